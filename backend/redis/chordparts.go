package redis

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/gomodule/redigo/redis"

	"github.com/umbel-go/umbel/protocol"
)

// A chord part is the JSON array [1, task id, state, result]; the 1 is a version
// (celery.backends.redis).

// encodePart writes a part byte for byte as Python does, because a peer of
// Celery < 5.7 tells parts apart by their bytes.
func (b *Backend) encodePart(r *protocol.Result) ([]byte, error) {
	value, err := protocol.Decode(orNull(r.Value))
	if err != nil {
		return nil, fmt.Errorf("result is not JSON: %w", err)
	}
	part, err := protocol.Marshal([]any{1, r.TaskID, r.Status, value})
	if err != nil {
		return nil, err
	}
	return b.encode(part)
}

// partBeginning is how every part of the task begins that a peer of Celery < 5.7
// may have added, "" where that cannot be told: of compressed parts, which such a
// peer does not write, and of yaml, which has more than one way to write it.
func (b *Backend) partBeginning(id string) ([]byte, error) {
	if b.cfg.Compression != "" || b.cfg.Serializer == "yaml" {
		return nil, nil
	}
	json, err := protocol.Marshal([]any{1, id, nil, nil})
	if err != nil {
		return nil, err
	}
	part, _, _, err := protocol.SerializeResult(b.cfg.Serializer, json)
	if err != nil {
		return nil, err
	}
	if b.cfg.Serializer == "msgpack" {
		return part[:len(part)-2], nil // two nils of a byte each
	}
	return bytes.TrimSuffix(part, []byte("null, null]")), nil
}

// partPadding is what readers skip at the end of a part, "" where they do not.
func (b *Backend) partPadding() string {
	if b.cfg.Serializer == "json" && (b.cfg.Compression == "" || b.cfg.Compression == "zlib" || b.cfg.Compression == "gzip") {
		return " "
	}
	return ""
}

func orNull(raw protocol.Raw) protocol.Raw {
	if len(raw) == 0 {
		return protocol.Raw("null")
	}
	return raw
}

// parts returns the results of a chord's header: of the saved group where there
// is one, because its members may be groups themselves, else the collected ones.
func (b *Backend) parts(ctx context.Context, group string) ([]*protocol.Result, error) {
	saved, collected, err := b.readParts(ctx, group)
	if err != nil {
		return nil, err
	}
	if saved != nil {
		return b.joinGroup(ctx, group, saved)
	}
	out := make([]*protocol.Result, len(collected))
	for i, data := range collected {
		out[i] = b.decodePart(data)
	}
	return out, nil
}

func (b *Backend) readParts(ctx context.Context, group string) (saved []byte, collected [][]byte, err error) {
	conn, err := b.conn(ctx)
	if err != nil {
		return nil, nil, err
	}
	defer conn.Close()
	key, list := b.keys.group(group), "ZRANGE"
	if b.cfg.UnorderedChords {
		list = "LRANGE"
	}
	conn.Send("GET", key)
	conn.Send(list, key+partsSuffix, 0, -1)
	if err := conn.Flush(); err != nil {
		return nil, nil, b.classify(err)
	}
	saved, err = redis.Bytes(conn.Receive())
	if err != nil && !errors.Is(err, redis.ErrNil) {
		return nil, nil, b.classify(err)
	}
	if collected, err = redis.ByteSlices(conn.Receive()); err != nil {
		return nil, nil, b.classify(err)
	}
	return saved, collected, nil
}

// decodePart reads a part. One that cannot be read counts as failed: the chord
// must end, and its error says why.
func (b *Backend) decodePart(stored []byte) *protocol.Result {
	r, err := b.readPart(stored)
	if err != nil {
		return failedPart(r.TaskID, protocol.NewException("unreadable chord part: "+err.Error()))
	}
	return r
}

func (b *Backend) readPart(stored []byte) (*protocol.Result, error) {
	r := &protocol.Result{}
	data, err := b.plain(stored)
	if err != nil {
		return r, err
	}
	fields, err := protocol.SplitArray(data)
	if err != nil {
		return r, err
	}
	if len(fields) != 4 {
		return r, fmt.Errorf("%d members where 4 are expected", len(fields))
	}
	for i, into := range []*string{&r.TaskID, &r.Status} {
		v, err := protocol.Decode(fields[i+1])
		if err != nil {
			return r, err
		}
		s, ok := v.(string)
		if !ok {
			return r, fmt.Errorf("member %d is not a string", i+1)
		}
		*into = s
	}
	r.Value = fields[3]
	return r, nil
}

func failedPart(id string, e *protocol.Exception) *protocol.Result {
	return &protocol.Result{TaskID: id, Status: protocol.StateFailure, Value: e.Raw()}
}
