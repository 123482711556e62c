// Package rpc is Celery's rpc:// result backend: a result is a message to the
// queue of the client that asked for it, and nothing is stored anywhere else.
//
// It works over every broker. It joins no chords: it does not implement
// backend.Chorder.
package rpc

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/umbel-go/umbel/backend"
	"github.com/umbel-go/umbel/broker"
	"github.com/umbel-go/umbel/protocol"
)

// Config says over what results travel. Only Broker is required.
type Config struct {
	// Broker is used, never closed.
	Broker broker.Broker
	// ID names our result queue; default a random UUID.
	ID string
	// Keep and KeepBytes are how many tasks' results are kept for Get and Watch,
	// and how large their messages may be together; the oldest go first. Default
	// 10,000 and 64 MiB.
	Keep      int
	KeepBytes int
	// Expires is how long RabbitMQ keeps our queue while nobody uses it; 0 means
	// backend.DefaultExpires, as in Celery, negative for ever.
	Expires time.Duration
	// Persistent is Celery's result_persistent: results that lie in a client's
	// queue survive a restart of RabbitMQ.
	Persistent bool
	// Serializer is result_serializer: json (the default), msgpack or yaml. What is
	// received says by itself which of them it is.
	Serializer string
	// Connect bounds how long ReplyTo waits for the queue; default 10 s.
	Connect time.Duration
}

func (c Config) withDefaults() Config {
	if c.ID == "" {
		c.ID = uuid.NewString()
	}
	if c.Keep == 0 {
		c.Keep = 10_000
	}
	if c.KeepBytes == 0 {
		c.KeepBytes = 64 << 20
	}
	switch {
	case c.Expires == 0:
		c.Expires = backend.DefaultExpires
	case c.Expires < 0:
		c.Expires = 0 // the broker's word for it
	}
	if c.Connect == 0 {
		c.Connect = 10 * time.Second
	}
	return c
}

// Backend implements backend.Backend. A worker only calls Put; the result queue
// of a client exists from the first call of ReplyTo on. It is safe for
// concurrent use.
type Backend struct {
	cfg Config

	start   sync.Once
	asked   atomic.Bool   // a queue was declared, so results may come
	up      chan struct{} // closed when the queue exists for the first time
	over    chan struct{} // closed when nothing is received any more
	failure error         // why; valid once over is closed
	life    context.Context
	end     context.CancelCauseFunc

	inbox *inbox
}

var _ backend.Backend = (*Backend)(nil)

// errClosed is the cause of life's end.
var errClosed = fmt.Errorf("rpc result backend: %w", backend.ErrClosed)

// New returns a backend; it does not connect.
func New(cfg Config) *Backend {
	b := &Backend{cfg: cfg.withDefaults(), up: make(chan struct{}), over: make(chan struct{})}
	b.inbox = newInbox(b.cfg.Keep, b.cfg.KeepBytes)
	b.life, b.end = context.WithCancelCause(context.Background())
	return b
}

// Put sends each result to the queue that its task's sender named, as Celery's
// rpc backend does: default exchange, priority 0, empty headers, transient unless
// the backend is persistent. A task without one wants no result. One message goes
// out for every state, with the task's id as correlation id where the task has
// none.
func (b *Backend) Put(ctx context.Context, results ...backend.Put) error {
	var msgs []broker.Publishing
	for _, p := range results {
		if p.ReplyTo == "" {
			continue
		}
		body, err := p.Result.Encode()
		if err != nil {
			return fmt.Errorf("encode the result of task %s: %w", p.Result.TaskID, err)
		}
		m, err := b.message(p, body)
		if err != nil {
			return fmt.Errorf("encode the result of task %s: %w", p.Result.TaskID, err)
		}
		msgs = append(msgs, m)
	}
	if b.life.Err() != nil {
		return errClosed
	}
	if len(msgs) == 0 {
		return nil
	}
	if err := b.cfg.Broker.Publish(ctx, msgs...); err != nil {
		return explain("send results", err)
	}
	return nil
}

func (b *Backend) message(p backend.Put, json protocol.Raw) (broker.Publishing, error) {
	body, mime, encoding, err := protocol.SerializeResult(b.cfg.Serializer, json)
	if err != nil {
		return broker.Publishing{}, err
	}
	lowest := 0
	m := protocol.NewMessage(protocol.Object{}, body)
	m.ContentType, m.ContentEncoding = mime, encoding
	m.Properties = protocol.Properties{
		CorrelationID: cmp.Or(p.CorrelationID, p.Result.TaskID), DeliveryMode: protocol.Transient,
		Priority: &lowest, RoutingKey: p.ReplyTo,
	}
	if b.cfg.Persistent {
		m.Properties.DeliveryMode = protocol.Persistent
	}
	return broker.Publishing{RoutingKey: p.ReplyTo, Message: m}, nil
}

// explain makes a lost broker match backend.ErrConnection, too.
func explain(doing string, err error) error {
	if errors.Is(err, broker.ErrConnection) || errors.Is(err, broker.ErrReadOnly) {
		return fmt.Errorf("%s: %w: %w", doing, backend.ErrConnection, err)
	}
	return fmt.Errorf("%s: %w", doing, err)
}

// ReplyTo returns the name of our result queue. The first call declares it and
// waits until it exists, since a result that comes before is dropped; when that
// takes too long, the attempts go on in the background.
func (b *Backend) ReplyTo() string {
	b.start.Do(func() {
		b.asked.Store(true)
		go b.receive()
	})
	timeout := time.NewTimer(b.cfg.Connect)
	defer timeout.Stop()
	select {
	case <-b.up:
	case <-b.over:
	case <-timeout.C:
	}
	return b.cfg.ID
}

// receive runs until Close, which waits for it.
func (b *Backend) receive() {
	defer close(b.over)
	var first sync.Once
	connected := func(err error) {
		if err == nil {
			first.Do(func() { close(b.up) })
		}
	}
	b.failure = broker.Follow(b.life, b.cfg.Broker, broker.SubscribeOptions{
		Queue: b.cfg.ID, DurableQueue: true, NotExclusive: true, Expires: b.cfg.Expires,
	}, connected, b.handle)
	b.inbox.fail(b.failure)
}

func (b *Backend) handle(m *protocol.Message) {
	r, err := decode(m)
	if err != nil {
		slog.WarnContext(b.life, "a message in the result queue is no result", "queue", b.cfg.ID, "content_type", m.ContentType, "error", err)
		return
	}
	if r.TaskID == "" {
		r.TaskID = m.Properties.CorrelationID
	}
	b.inbox.add(r, len(m.Body))
}

func decode(m *protocol.Message) (*protocol.Result, error) {
	body, err := protocol.DeserializeResult(m.ContentType, m.Body)
	if err != nil {
		return nil, err
	}
	return protocol.DecodeResult(body)
}

// errForeign says why a result cannot be had.
var errForeign = fmt.Errorf("%w: rpc:// sends results only to the client that sent the task, and this one has sent none: "+
	"use a Redis result backend to read them from anywhere", backend.ErrUnsupported)

// Get returns the last state received for the id, PENDING when none was: a
// result that was asked for by another client never comes here. A backend whose
// ReplyTo and Watch were never called can have no results; then the error matches
// backend.ErrUnsupported.
func (b *Backend) Get(_ context.Context, id string) (*protocol.Result, error) {
	if r := b.inbox.get(id); r != nil {
		return r, nil
	}
	if !b.asked.Load() && b.life.Err() == nil {
		return nil, fmt.Errorf("result of task %s: %w", id, errForeign)
	}
	if err := b.broken(); err != nil {
		return nil, fmt.Errorf("result of task %s: %w", id, err)
	}
	return &protocol.Result{TaskID: id, Status: protocol.StatePending, Value: protocol.Raw("null")}, nil
}

// broken returns why results cannot come any more.
func (b *Backend) broken() error {
	select {
	case <-b.over:
		return b.failure
	default:
		return nil
	}
}

// Watch delivers what was received for the ids and what will be.
func (b *Backend) Watch(ctx context.Context, ids ...string) (backend.Watch, error) {
	b.ReplyTo()
	if err := b.broken(); err != nil {
		return nil, fmt.Errorf("watch results: %w", err)
	}
	w := b.inbox.watch()
	return w, w.Add(ctx, ids...)
}

// Forget drops what was received for the id.
func (b *Backend) Forget(_ context.Context, id string) error {
	b.inbox.forget(id)
	return nil
}

// Close gives up the result queue; the broker deletes it. Watches end.
func (b *Backend) Close() error {
	b.end(errClosed)
	b.start.Do(func() {
		b.failure = errClosed
		b.inbox.fail(errClosed)
		close(b.over)
	})
	<-b.over
	return nil
}
