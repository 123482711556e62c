package redis

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/gomodule/redigo/redis"
	"github.com/umbel-go/umbel/broker"
	"github.com/umbel-go/umbel/protocol"
)

const (
	defaultBuffer = 1024
	// rebindEvery is how often a subscription puts its row back into the
	// exchange's table, which a 5.7 worker or an operator may have deleted.
	rebindEvery = 20 * time.Second
	// cleanupTimeout bounds the tidying of Close.
	cleanupTimeout = 2 * time.Second
)

// subscription is a broker.Subscription with a connection of its own, read by
// one goroutine.
type subscription struct {
	b    *Broker
	opts broker.SubscribeOptions
	row  binding
	conn redis.Conn
	msgs chan *protocol.Message

	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup

	once   sync.Once
	failed error // why reading ended; set before msgs is closed
}

// Subscribe opens a pub/sub subscription on a fanout exchange (celeryev is one
// on Redis), else consumes a list without acknowledgements as kombu's no_ack
// consumers do.
func (b *Broker) Subscribe(ctx context.Context, opts broker.SubscribeOptions) (broker.Subscription, error) {
	doing := "subscribe " + opts.Queue
	if b.ctx.Err() != nil {
		return nil, fmt.Errorf("%s: %w", doing, broker.ErrClosed)
	}
	conn, err := b.opts.Dial(ctx)
	if err != nil {
		return nil, wrap(doing, err)
	}
	s := &subscription{b: b, opts: opts, conn: conn, row: subscriptionRow(opts)}
	buffer := opts.Buffer
	if buffer == 0 {
		buffer = defaultBuffer
	}
	s.msgs = make(chan *protocol.Message, buffer)
	s.ctx, s.cancel = context.WithCancel(b.ctx)
	if err := s.start(ctx); err != nil {
		s.cancel()
		return nil, errors.Join(wrap(doing, err), conn.Close())
	}
	b.mu.Lock()
	b.subs[s] = struct{}{}
	b.mu.Unlock()
	return s, nil
}

func subscriptionRow(opts broker.SubscribeOptions) binding {
	row := binding{exchange: opts.Exchange, key: opts.RoutingKey, queue: opts.Queue}
	if opts.Kind == broker.Topic && !isFanout(opts.Exchange, opts.Kind) {
		row.pattern = topicPattern(opts.RoutingKey)
	}
	return row
}

// start subscribes, binds and begins to read.
func (s *subscription) start(ctx context.Context) error {
	read := s.readList
	if isFanout(s.opts.Exchange, s.opts.Kind) {
		stop := context.AfterFunc(ctx, func() { s.conn.Close() })
		err := s.psubscribe()
		if !stop() {
			err = ctx.Err()
		}
		if err != nil {
			return err
		}
		s.wg.Go(s.ping)
		read = s.readChannel
	}
	if err := s.bind(ctx); err != nil {
		s.cancel()
		s.wg.Wait()
		return err
	}
	s.wg.Go(s.rebind)
	s.wg.Go(func() {
		stop := context.AfterFunc(s.ctx, func() { s.conn.Close() })
		defer stop()
		s.failed = read()
		close(s.msgs)
	})
	return nil
}

func (s *subscription) bind(ctx context.Context) error {
	if s.opts.Exchange == "" {
		return nil
	}
	if s.opts.Expires == 0 {
		return s.b.bindPermanent(ctx, s.row)
	}
	return s.b.bindExpiring(ctx, s.row, s.opts.Expires)
}

func (s *subscription) rebind() {
	t := time.NewTicker(rebindEvery)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			if err := errors.Join(s.bind(s.ctx), s.prolong(s.ctx)); err != nil && s.ctx.Err() == nil {
				slog.DebugContext(s.ctx, "binding not renewed", "queue", s.opts.Queue, "error", err)
			}
		case <-s.ctx.Done():
			return
		}
	}
}

// rebindReplies puts the bindings of the reply queues back just before somebody
// is asked to answer to them: they may have been swept a moment ago.
func (b *Broker) rebindReplies(ctx context.Context) error {
	b.mu.Lock()
	var replies []*subscription
	for s := range b.subs {
		if s.opts.Exchange == protocol.ReplyExchange {
			replies = append(replies, s)
		}
	}
	b.mu.Unlock()
	for _, s := range replies {
		if err := s.bind(ctx); err != nil {
			return err
		}
	}
	return nil
}

// deliver reports false when the subscription was closed.
func (s *subscription) deliver(payload []byte) bool {
	m, _ := decodeEnvelope(payload)
	select {
	case s.msgs <- m:
		return true
	case <-s.ctx.Done():
		return false
	}
}

// Next returns the next message.
func (s *subscription) Next(ctx context.Context) (*protocol.Message, error) {
	select {
	case m, ok := <-s.msgs:
		if ok {
			return m, nil
		}
		if s.ctx.Err() != nil {
			return nil, fmt.Errorf("%s: %w", s.opts.Queue, broker.ErrClosed)
		}
		return nil, wrap("receive from "+s.opts.Queue, s.failed)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Close ends the subscription and deletes its binding and its list, unless the
// queue is durable: that keeps its messages for the next subscriber, for as long
// as its Expires says.
func (s *subscription) Close() error {
	var err error
	s.once.Do(func() {
		broken := s.b.ctx.Err() != nil || s.conn.Err() != nil
		s.cancel()
		s.wg.Wait()
		s.conn.Close()
		s.b.mu.Lock()
		delete(s.b.subs, s)
		s.b.mu.Unlock()
		if !broken {
			err = s.cleanup()
		}
	})
	return err
}

func (s *subscription) cleanup() error {
	ctx, cancel := context.WithTimeout(context.Background(), cleanupTimeout)
	defer cancel()
	k := s.b.keys
	return s.b.with(ctx, "close "+s.opts.Queue, func(conn redis.Conn) error {
		cmds := s.expirations()
		if s.opts.Exchange != "" {
			cmds = append(cmds,
				command{"SREM", []any{k.binding(s.row.exchange), k.member(s.row)}},
				command{"SREM", []any{k.bindingPermanent(s.row.exchange), k.member(s.row)}})
		}
		if !s.opts.DurableQueue {
			cmds = append(cmds, command{"DEL", redis.Args{}.AddFlat(k.lists(s.opts.Queue))})
		}
		_, err := pipelined(conn, cmds)
		return err
	})
}

// prolong puts off the end of a durable queue's lists, which may have been made
// anew by something that was put back.
func (s *subscription) prolong(ctx context.Context) error {
	cmds := s.expirations()
	if len(cmds) == 0 {
		return nil
	}
	return s.b.with(ctx, "prolong "+s.opts.Queue, func(conn redis.Conn) error {
		_, err := pipelined(conn, cmds)
		return err
	})
}

// expirations let the lists of a durable queue end as long after now as its
// Expires says.
func (s *subscription) expirations() (cmds []command) {
	if !s.opts.DurableQueue || s.opts.Expires == 0 {
		return nil
	}
	for _, list := range s.b.keys.lists(s.opts.Queue) {
		cmds = append(cmds, command{"PEXPIRE", []any{list, s.opts.Expires.Milliseconds()}})
	}
	return cmds
}
