package traps

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gomodule/redigo/redis"

	backendredis "github.com/umbel-go/umbel/backend/redis"
	"github.com/umbel-go/umbel/broker"
	brokerredis "github.com/umbel-go/umbel/broker/redis"
	"github.com/umbel-go/umbel/client"
	"github.com/umbel-go/umbel/protocol"
)

// waiting are the ids of the messages on a Redis queue, from the end that
// producers push to to the end that consumers take from.
func waiting(t *testing.T, conn redis.Conn, queue string) string {
	t.Helper()
	list, err := redis.ByteSlices(conn.Do("LRANGE", queue, 0, -1))
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, raw := range list {
		o, err := protocol.DecodeObject(raw)
		if err != nil {
			t.Fatal(err)
		}
		id, _ := at(t, o, "headers", "id").(string)
		ids = append(ids, id)
	}
	return strings.Join(ids, " ")
}

// A rejected message goes to the far end of the queue, behind everything; one
// that its worker did not start goes to the near end and is next. Exchanged,
// a poisonous message comes back at once, or old work waits for ever.
func TestTrap05RejectedGoFarRestoredGoNear(t *testing.T) {
	s := onRedis(t)
	conn := s.redis(t)
	for _, id := range []string{"first", "second"} {
		push(t, conn, "go", `{"task": "t", "id": "`+id+`"}`, `[[], {}, {}]`)
	}
	const take = `
channel = connection.channel()
message = channel.basic_get("go")
`
	c := s.consumer(t, "go")
	for _, step := range []struct {
		who  string
		do   func()
		want string
	}{
		{"Go rejects", func() { must(t, claim(t, c).Reject(t.Context(), true)) }, "first second"},
		{"Python rejects", func() { s.python(t, nil, take+`channel.basic_reject(message.delivery_tag, requeue=True)`, nil) }, "second first"},
		{"Go returns", func() { must(t, claim(t, c).Return(t.Context())) }, "second first"},
		{"Python restores", func() { s.python(t, nil, take+`channel.qos.restore_unacked()`, nil) }, "second first"},
	} {
		step.do()
		if got := waiting(t, conn, "go"); got != step.want {
			t.Fatalf("%s: %s, want %s", step.who, got, step.want)
		}
	}
}

// Only what was handed out before is marked as redelivered, in a header and in
// the delivery info: a worker that looks for one of them in every message, or
// marks none itself, breaks the deduplication of Python's tasks.
func TestTrap07RedeliveredAppearsAfterARestore(t *testing.T) {
	s := onRedis(t)
	conn := s.redis(t)
	marks := func() (header, info any) {
		o := envelope(t, conn, "go")
		return at(t, o, "headers", "redelivered"), at(t, o, "properties", "delivery_info", "redelivered")
	}
	s.python(t, nil, `app.send_task("t", queue="go")`, nil)
	if header, info := marks(); header != nil || info != nil {
		t.Errorf("a new message has the marks %v and %v", header, info)
	}
	c := s.consumer(t, "go")
	d := claim(t, c)
	if d.Redelivered() {
		t.Error("a new message counts as redelivered")
	}
	must(t, d.Reject(t.Context(), true))
	if header, info := marks(); header != true || info != true {
		t.Errorf("what Go gave back has the marks %v and %v", header, info)
	}
	s.python(t, nil, `
channel = connection.channel()
channel.basic_get("go")
channel.qos.restore_unacked()`, nil)
	if d = claim(t, c); !d.Redelivered() {
		t.Error("what Python restored does not count as redelivered")
	}
	must(t, d.Ack(t.Context()))
}

// Every peer sweeps the claims of all others by its own visibility timeout: a
// claim that is not renewed all the time runs twice.
func TestTrap08PeersSweepEachOther(t *testing.T) {
	s := onRedis(t)
	s.conf = map[string]any{"broker_transport_options": map[string]any{"visibility_timeout": 4}}
	conn := s.redis(t)
	for _, q := range []string{"go", "py"} {
		push(t, conn, q, `{"task": "t", "id": "`+q+`"}`, `[[], {}, {}]`)
	}
	ours := claim(t, s.consumer(t, "go"))
	var given []int
	s.python(t, &given, `
from time import monotonic, sleep
channel = connection.channel()
channel.basic_get("py")
redis, end = app.backend.client, monotonic() + 20
while not redis.llen("py") and monotonic() < end:
    sleep(0.1)
    channel.qos.restore_visible(interval=1)
result = [redis.llen("go"), redis.llen("py")]`, nil)
	if given[0] != 0 || given[1] != 1 {
		t.Errorf("given back: %d of Go's claims, want 0; %d of Python's of the same age, want 1", given[0], given[1])
	}
	must(t, ours.Ack(t.Context()))
}

// The broker's channels carry the number of the database, since Redis's pub/sub
// knows no databases; the channels of results are their keys alone.
func TestTrap28ChannelsEmbedTheDatabase(t *testing.T) {
	s := onRedis(t)
	heard := s.listen(t)
	s.worker(t, echo)
	c := s.client(t)
	r := send(t, c, client.Task("go.echo", 1))
	must(t, c.Broadcast(t.Context(), "enable_events", nil))
	db := s.broker[strings.LastIndex(s.broker, "/"):]
	for _, want := range []string{
		db + ".celeryev/worker.heartbeat", db + ".celery.pidbox", "celery-task-meta-" + r.ID,
	} {
		eventually(t, "nothing on "+want, func() bool { return slices.Contains(heard(), want) })
	}
	s.python(t, nil, `assert app.control.ping(["go@traps"], timeout=20, limit=1)`, nil)
}

// The broker and the result backend have a global_keyprefix each: the first is
// put before every key as it is, the second gets an underscore unless it ends in
// punctuation.
func TestTrap31TwoKeyPrefixes(t *testing.T) {
	s := onRedis(t)
	b, err := brokerredis.New(brokerredis.Config{URL: s.broker, GlobalKeyPrefix: "app"})
	must(t, err)
	t.Cleanup(func() { b.Close() })
	results, err := backendredis.New(backendredis.Config{URL: s.backend, KeyPrefix: "app"})
	must(t, err)
	t.Cleanup(func() { results.Close() })
	r := send(t, client.New(client.Config{Broker: b, Backend: results}), client.Task("t"))
	envelope(t, s.redis(t), "appcelery")
	s.conf = map[string]any{
		"broker_transport_options":         map[string]any{"global_keyprefix": "app"},
		"result_backend_transport_options": map[string]any{"global_keyprefix": "app"},
	}
	s.python(t, nil, `
message = connection.channel().basic_get("celery")
assert message.headers["id"] == id
app.backend.store_result(id, 7, "SUCCESS")`, map[string]any{"id": r.ID})
	var got int
	if err := get(t, r, &got); err != nil || got != 7 {
		t.Errorf("got %d, %v", got, err)
	}
	if n, err := redis.Int(s.redis(t).Do("EXISTS", "app_celery-task-meta-"+r.ID)); n != 1 || err != nil {
		t.Errorf("Python's result is elsewhere, %v", err)
	}
}

// A worker of Celery 5.7 deletes every binding table whose deadline has passed
// and that no permanent queue keeps: one written by SADD alone goes with it, and
// the messages to its queues are lost.
func TestTrap33BindingsAreSwept(t *testing.T) {
	s := onRedis(t)
	conn := s.redis(t)
	b, _ := s.connect(t)
	must(t, b.Declare(t.Context(), broker.Queue{Name: "kept", Exchange: "shared"}))
	sub, err := b.Subscribe(t.Context(), broker.SubscribeOptions{
		Exchange: protocol.ReplyExchange, Kind: broker.Direct, RoutingKey: "me", Queue: protocol.ReplyQueue("me"),
		TTL: protocol.ControlTTL, Expires: protocol.ControlExpires,
	})
	must(t, err)
	defer sub.Close()
	deadline, err := redis.Float64(conn.Do("ZSCORE", "_kombu.binding_deadlines", protocol.ReplyExchange))
	if err != nil || deadline < float64(time.Now().Add(30*time.Minute).UnixMilli()) {
		t.Errorf("deadline of the reply exchange is %v, %v", deadline, err)
	}
	if _, err := conn.Do("ZADD", "_kombu.binding_deadlines", 1, "shared"); err != nil { // a peer's expiring queue
		t.Fatal(err)
	}
	s.python(t, nil, `connection.channel().sweep_bindings()`, nil)
	for _, table := range []string{"_kombu.binding.shared", "_kombu.binding." + protocol.ReplyExchange} {
		if n, err := redis.Int(conn.Do("SCARD", table)); n != 1 || err != nil {
			t.Errorf("%s has %d members after the sweep, %v", table, n, err)
		}
	}
}

// listen returns a function that tells on which channels there was a message so
// far.
func (s stage) listen(t *testing.T) func() []string {
	t.Helper()
	conn := s.redis(t)
	psc := redis.PubSubConn{Conn: conn}
	must(t, psc.PSubscribe("*"))
	if _, ok := psc.Receive().(redis.Subscription); !ok {
		t.Fatal("cannot listen")
	}
	heard := make(chan []string, 1)
	heard <- nil
	go func() {
		for {
			m, ok := psc.Receive().(redis.Message)
			if !ok {
				return // closed with the test
			}
			heard <- append(<-heard, m.Channel)
		}
	}()
	return func() []string {
		list := <-heard
		heard <- list
		return slices.Clone(list)
	}
}
