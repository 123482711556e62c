package redis

import (
	"bytes"
	"context"

	"github.com/gomodule/redigo/redis"
	"github.com/umbel-go/umbel/broker"
)

const (
	// inflightPage and inflightMax bound what one look at the claims costs;
	// beyond the latter the figures are scaled up from the oldest claims.
	inflightPage = 1000
	inflightMax  = 10_000
	// tailLength is enough of a record to hold exchange and routing key.
	tailLength = 1024
)

// inflightScript reads the ends of the records of claims that are being worked
// on: a parked message has its time, not its age, in the index.
//
//	KEYS: unacked, unacked_index
//	ARGV: offset, limit, length of an end
//	Result: number of such claims, then the ends
//	Atomic, reads only.
var inflightScript = redis.NewScript(2, `
local t = redis.call('TIME')
local now = t[1] .. '.' .. string.format('%06d', tonumber(t[2]))
local out = {redis.call('ZCOUNT', KEYS[2], '-inf', now)}
for _, tag in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', now, 'LIMIT', tonumber(ARGV[1]), tonumber(ARGV[2]))) do
  local record = redis.call('HGET', KEYS[1], tag)
  if record then out[#out + 1] = string.sub(record, -tonumber(ARGV[3])) end
end
return out
`)

// Queues counts waiting messages over all priority steps and claims of both
// languages. Redis knows no consumers (-1) and no publication times.
func (b *Broker) Queues(ctx context.Context, names ...string) ([]broker.QueueInfo, error) {
	out := make([]broker.QueueInfo, len(names))
	err := b.with(ctx, "read queue figures", func(conn redis.Conn) error {
		if len(names) == 0 {
			return nil
		}
		var cmds []command
		for _, name := range names {
			for _, list := range b.keys.lists(name) {
				cmds = append(cmds, command{"LLEN", []any{list}})
			}
			cmds = append(cmds, command{"ZCARD", []any{b.keys.delayed(name)}})
		}
		figures, err := redis.Ints(pipelined(conn, cmds))
		if err != nil {
			return err
		}
		inflight, err := b.inflight(conn)
		if err != nil {
			return err
		}
		steps := len(b.keys.steps)
		for i, name := range names {
			mine := figures[i*(steps+1) : (i+1)*(steps+1)]
			info := broker.QueueInfo{Name: name, Consumers: -1, Unacked: inflight[name], Delayed: mine[steps]}
			for _, n := range mine[:steps] {
				info.Ready += n
			}
			info.Messages = info.Ready + info.Unacked
			out[i] = info
		}
		return nil
	})
	return out, err
}

// inflight counts claims by queue.
func (b *Broker) inflight(conn redis.Conn) (map[string]int, error) {
	var ends []record
	total := 0
	for offset := 0; offset < inflightMax; offset += inflightPage {
		page, err := redis.Values(inflightScript.Do(conn, b.keys.unacked(), b.keys.unackedIndex(),
			offset, inflightPage, tailLength))
		if err != nil {
			return nil, err
		}
		if total, err = redis.Int(page[0], nil); err != nil {
			return nil, err
		}
		for _, v := range page[1:] {
			end, _ := v.([]byte)
			ends = append(ends, parseTail(end))
		}
		if offset+inflightPage >= total {
			break
		}
	}
	return b.countByQueue(conn, ends, total)
}

func (b *Broker) countByQueue(conn redis.Conn, ends []record, total int) (map[string]int, error) {
	var exchanges []string
	seen := map[string]bool{"": true}
	for _, r := range ends {
		if !seen[r.exchange] {
			seen[r.exchange] = true
			exchanges = append(exchanges, r.exchange)
		}
	}
	tables, err := b.table(conn, exchanges)
	if err != nil {
		return nil, err
	}
	counts := map[string]int{}
	for _, r := range ends {
		queues := []string{r.routingKey}
		if r.exchange != "" {
			queues = route(tables[r.exchange], r.routingKey)
		}
		for _, q := range queues {
			counts[q]++
		}
	}
	if total > inflightMax && len(ends) > 0 {
		for q, n := range counts {
			counts[q] = n * total / len(ends)
		}
	}
	return counts, nil
}

// parseTail reads exchange and routing key off the end of a record, whichever
// separators its writer used.
func parseTail(end []byte) record {
	end = bytes.TrimSuffix(bytes.TrimSpace(end), []byte("]"))
	key, rest := lastString(end)
	exchange, _ := lastString(bytes.TrimSuffix(bytes.TrimSpace(rest), []byte(",")))
	return record{exchange: textOf(exchange), routingKey: textOf(key)}
}

// lastString splits off the JSON string at the end of data.
func lastString(data []byte) (str, rest []byte) {
	data = bytes.TrimSpace(data)
	if len(data) < 2 || data[len(data)-1] != '"' {
		return nil, data
	}
	for i := len(data) - 2; i >= 0; i-- {
		if data[i] == '"' && (i == 0 || data[i-1] != '\\') {
			return data[i:], data[:i]
		}
	}
	return nil, data
}

// Purge deletes the waiting messages of all priority steps, not what is claimed
// or parked (kombu).
func (b *Broker) Purge(ctx context.Context, queue string) (int, error) {
	n := 0
	err := b.with(ctx, "purge "+queue, func(conn redis.Conn) error {
		var cmds []command
		for _, list := range b.keys.lists(queue) {
			cmds = append(cmds, command{"LLEN", []any{list}}, command{"DEL", []any{list}})
		}
		figures, err := redis.Ints(transaction(conn, cmds))
		if err != nil {
			return err
		}
		for i := 0; i < len(figures); i += 2 {
			n += figures[i]
		}
		return nil
	})
	return n, err
}
