package redis

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/gomodule/redigo/redis"

	"github.com/umbel-go/umbel/internal/pause"
)

const (
	// pingEvery keeps the subscriber's connection honest: without an answer for
	// pushTimeout it counts as lost.
	pingEvery   = 10 * time.Second
	pushTimeout = 25 * time.Second
	// Waits between attempts to connect or to read.
	minBackoff = 50 * time.Millisecond
	maxBackoff = 2 * time.Second
)

// hub listens for the results that all watches of a Backend wait for, on one
// connection. A push can come for a result only after its channel is
// subscribed, so the stored value is read after that: between the two nothing
// is missed. Before a read value is handed on, a fence makes sure that no older
// push is still on its way. After a lost connection all channels are subscribed
// and all values read again.
//
// Two goroutines run from the first watch until the backend is closed: listen
// owns the connection, and read fetches stored values. A third receives while
// there is a connection.
type hub struct {
	b *Backend

	wake    chan struct{} // channels are to be subscribed or left
	wakeup  chan struct{} // stored values are to be read
	hung    chan struct{} // the connection is to be given up
	running sync.WaitGroup

	mu      sync.Mutex
	started bool
	topics  map[string]*topic // by key, which is the channel's name too
	leave   []string          // channels to unsubscribe from
	stale   []string          // keys to be read
	fence   *fence            // nil when none is wanted
	// failed is closed when an attempt to connect fails, with failure as the
	// reason, and then replaced.
	failed  chan struct{}
	failure error
}

// topic is one watched result. It is guarded by hub.mu.
type topic struct {
	watches map[*watch]*subscription
	asked   bool          // SUBSCRIBE was sent on the present connection
	ready   chan struct{} // closed once the server has confirmed it
	pushes  uint64        // messages received
}

func newHub(b *Backend) *hub {
	return &hub{
		b: b, topics: map[string]*topic{}, failed: make(chan struct{}),
		wake: make(chan struct{}, 1), wakeup: make(chan struct{}, 1), hung: make(chan struct{}, 1),
	}
}

func (h *hub) wait() {
	h.mu.Lock()
	h.started = true // nothing starts any more
	h.mu.Unlock()
	h.running.Wait()
}

// start starts the goroutines once. The caller holds mu.
func (h *hub) start() {
	if h.started {
		return
	}
	h.started = true
	h.running.Go(h.listen)
	h.running.Go(h.read)
}

// signal fills a channel of one place.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// listen keeps a subscriber's connection until the backend is closed.
func (h *hub) listen() {
	ctx, backoff := h.b.closing, minBackoff
	for ctx.Err() == nil {
		conn, err := h.b.opts.Dial(ctx)
		if err == nil {
			backoff = minBackoff
			err = h.serve(ctx, conn)
		}
		if ctx.Err() != nil {
			return
		}
		h.fail(err)
		h.b.cfg.Logger.WarnContext(ctx, "result backend: lost the connection for pushed results, connecting again", "error", err)
		pause.For(ctx, backoff/2+rand.N(backoff/2))
		backoff = min(2*backoff, maxBackoff)
	}
}

// fail lets those waiting for a subscription know why there is none.
func (h *hub) fail(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.failure = h.b.classify(err)
	close(h.failed)
	h.failed = make(chan struct{})
}

// serve works with one connection until it is lost or the backend is closed.
func (h *hub) serve(ctx context.Context, conn redis.Conn) error {
	h.reset()
	var failure error
	lost := make(chan struct{})
	go func() {
		defer close(lost)
		failure = h.receive(conn)
	}()
	err := h.steer(ctx, conn, lost)
	conn.Close() // ends receive
	<-lost
	if err == nil {
		err = failure
	}
	return err
}

// steer is the only one to send on the connection. It returns nil when the
// receiver has ended.
func (h *hub) steer(ctx context.Context, conn redis.Conn, lost <-chan struct{}) error {
	ping := time.NewTicker(pingEvery)
	defer ping.Stop()
	for {
		if err := h.subscribe(conn); err != nil {
			return err
		}
		select {
		case <-h.wake:
		case <-ping.C:
			if err := conn.Send("PING"); err != nil {
				return err
			}
			if err := conn.Flush(); err != nil {
				return err
			}
		case <-h.hung:
			return errHung
		case <-lost:
			return nil
		case <-ctx.Done():
			return nil
		}
	}
}

// reset makes all topics ask for their channel on a new connection.
func (h *hub) reset() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.leave = nil
	h.endFence(false)
	select {
	case <-h.hung: // that was the last connection
	default:
	}
	for _, t := range h.topics {
		t.asked = false
		select {
		case <-t.ready:
			t.ready = make(chan struct{})
		default:
		}
	}
}

// subscribe sends what has changed since it was last called. Leaving comes
// first, so that a channel left and entered again ends up entered.
func (h *hub) subscribe(conn redis.Conn) error {
	h.mu.Lock()
	leave := h.leave
	h.leave = nil
	var enter []string
	for key, t := range h.topics {
		if !t.asked {
			t.asked = true
			enter = append(enter, key)
		}
	}
	ping := h.fence != nil && !h.fence.sent
	if ping {
		h.fence.sent = true
	}
	h.mu.Unlock()
	for _, change := range []struct {
		command  string
		channels []string
	}{{"UNSUBSCRIBE", leave}, {"SUBSCRIBE", enter}} {
		for part := range slices.Chunk(change.channels, 1000) {
			if err := conn.Send(change.command, redis.Args{}.AddFlat(part)...); err != nil {
				return err
			}
		}
	}
	if ping {
		if err := conn.Send("PING", fencePayload); err != nil {
			return err
		}
	}
	return conn.Flush()
}

// receive hands on what the server sends.
func (h *hub) receive(conn redis.Conn) error {
	for {
		reply, err := redis.ReceiveWithTimeout(conn, pushTimeout)
		if err != nil {
			return err
		}
		h.handle(reply)
	}
}

// handle takes one reply: [kind, channel, data] or, for a PING, [pong, payload];
// while nothing is subscribed a PING is answered by its payload alone.
func (h *hub) handle(reply any) {
	parts, _ := reply.([]any)
	texts := make([][]byte, 3)
	for i := range min(len(parts), len(texts)) {
		texts[i], _ = parts[i].([]byte)
	}
	if payload, ok := reply.([]byte); ok {
		texts[0], texts[1] = []byte("pong"), payload
	}
	switch channel := string(texts[1]); string(texts[0]) {
	case "subscribe":
		h.confirmed(channel)
	case "message":
		h.pushed(channel, texts[2])
	case "pong":
		if channel == fencePayload {
			h.mu.Lock()
			h.endFence(true)
			h.mu.Unlock()
		}
	}
}

// confirmed is called when a channel is subscribed: now its key may be read.
func (h *hub) confirmed(key string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	t := h.topics[key]
	if t == nil {
		return
	}
	select {
	case <-t.ready:
	default:
		close(t.ready)
	}
	h.stale = append(h.stale, key)
	signal(h.wakeup)
}

func (h *hub) pushed(key string, data []byte) {
	h.mu.Lock()
	defer h.mu.Unlock()
	t := h.topics[key]
	if t == nil {
		return
	}
	t.pushes++
	for w, s := range t.watches {
		w.offer(s, data)
	}
}

// join adds a watch to topics, and returns what to wait for.
func (h *hub) join(w *watch, subs []*subscription) (ready []<-chan struct{}, failed <-chan struct{}) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.start()
	for _, s := range subs {
		t := h.topics[s.key]
		if t == nil {
			t = &topic{watches: map[*watch]*subscription{}, ready: make(chan struct{})}
			h.topics[s.key] = t
		}
		t.watches[w] = s
		ready = append(ready, t.ready)
		select {
		case <-t.ready: // no confirmation will come, so read for this watch
			h.stale = append(h.stale, s.key)
			signal(h.wakeup)
		default:
		}
	}
	signal(h.wake)
	return ready, h.failed
}

// part takes a watch off topics and leaves channels that nobody watches.
func (h *hub) part(w *watch, subs []*subscription) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, s := range subs {
		t := h.topics[s.key]
		if t == nil || t.watches[w] != s {
			continue
		}
		delete(t.watches, w)
		if len(t.watches) == 0 {
			delete(h.topics, s.key)
			h.leave = append(h.leave, s.key)
		}
	}
	signal(h.wake)
}

// why is the reason of the last failed attempt to connect.
func (h *hub) why() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return fmt.Errorf("subscribe to results: %w", h.failure)
}
