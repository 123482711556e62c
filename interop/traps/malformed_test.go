package traps

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/gomodule/redigo/redis"
	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/umbel-go/umbel/broker"
	"github.com/umbel-go/umbel/client"
	"github.com/umbel-go/umbel/internal/testenv"
	"github.com/umbel-go/umbel/protocol"
	"github.com/umbel-go/umbel/worker"
)

// malformed is a message that Python dies of, drops, or runs into an error with.
type malformed struct {
	name    string
	headers string // over {"task": "go.echo", "id": the row's}; null removes one
	bare    string // instead of all headers
	body    string
	content string // content type; "none" for no such member
	element string // a whole element of a Redis list
	// reason is part of why it is dead; "" means that it runs.
	reason string
	// nameless rows have no id under which a failure could be stored.
	nameless bool
}

const fineBody = `[[7], {}, {}]`

var malformedRows = []malformed{
	{name: "body of one element", body: `[[7]]`, reason: "1 elements"},
	{name: "body of two elements", body: `[[7], {}]`, reason: "2 elements"},
	{name: "body of four elements", body: `[[7], {}, {}, {}]`, reason: "4 elements"},
	{name: "body null", body: `null`, reason: "not a JSON array"},
	{name: "no id", headers: `{"id": null}`, reason: "id is missing", nameless: true},
	{name: "id a number", headers: `{"id": 5}`, reason: "id is missing or not a string", nameless: true},
	{name: "timelimit of one", headers: `{"timelimit": [null]}`, reason: "timelimit"},
	{name: "timelimit a string", headers: `{"timelimit": "10"}`, reason: "timelimit"},
	{name: "eta empty", headers: `{"eta": ""}`, reason: "eta"},
	{name: "eta a number", headers: `{"eta": 12}`, reason: "eta"},
	{name: "eta garbage", headers: `{"eta": "soon"}`, reason: "eta"},
	{name: "eta beyond the year 9999", headers: `{"eta": "9999-12-31T23:59:59-01:00"}`, reason: "eta"},
	{name: "expires empty", headers: `{"expires": ""}`, reason: "expires"},
	{name: "expires a number", headers: `{"expires": 12.5}`, reason: "expires"},
	{name: "expires garbage", headers: `{"expires": "never"}`, reason: "expires"},
	{name: "no content type", content: "none", reason: "content type"},
	{name: "content type not accepted", content: "application/x-python-serialize", reason: "pickle"},
	{name: "content type unknown", content: "application/x-nonsense", reason: "content type"},
	{name: "body no JSON", body: `{[`, reason: "JSON"},
	{name: "unknown compression", headers: `{"compression": "application/x-nonsense"}`, reason: "compression"},
	{name: "no headers", bare: `{}`, reason: "no task name", nameless: true, body: `{}`},
	{name: "headers of others", bare: `{"x": "y"}`, reason: "neither", nameless: true},
	{name: "kwargs null", body: `[[7], null, {}]`, reason: "kwargs"},
	{name: "kwargs a list", body: `[[7], [], {}]`, reason: "kwargs"},
	{name: "args null", body: `[null, {}, {}]`, reason: "args"},
	{name: "element no JSON", element: `this is not JSON`, reason: "envelope", nameless: true},
	{name: "element without properties", element: `{"body": "W10=", "headers": {}}`, reason: "envelope", nameless: true},

	{name: "retries null", headers: `{"retries": null}`},
	{name: "embed null", body: `[[7], {}, null]`},
	{name: "embed empty", body: `[[7], {}, {}]`},
	{name: "embed a list", body: `[[7], {}, []]`},
	{name: "header missing", headers: `{"argsrepr": null, "root_id": null}`},
}

func (m malformed) id() string { return strings.ReplaceAll(m.name, " ", "-") }

// table are the headers as they go over the wire.
func (m malformed) table(t *testing.T) map[string]any {
	t.Helper()
	headers, more := map[string]any{"task": "go.echo", "id": m.id()}, map[string]any{}
	if m.bare != "" {
		headers = map[string]any{}
		m.headers = m.bare
	}
	if m.headers != "" {
		must(t, json.Unmarshal([]byte(m.headers), &more))
	}
	maps.Copy(headers, more)
	return headers
}

func (m malformed) payload() (contentType, body string) {
	contentType, body = m.content, m.body
	if contentType == "" {
		contentType = "application/json"
	}
	if body == "" {
		body = fineBody
	}
	return contentType, body
}

// poison puts malformed messages on the queue "go" of one broker.
type poison func(t *testing.T, m malformed)

func poisonOnRedis(conn redis.Conn) poison {
	return func(t *testing.T, m malformed) {
		element := m.element
		if element == "" {
			contentType, body := m.payload()
			envelope := map[string]any{
				"body": body, "content-encoding": "utf-8", "content-type": contentType, "headers": m.table(t),
				"properties": map[string]any{
					"delivery_mode": 2, "priority": 0, "delivery_tag": m.id(),
					"delivery_info": map[string]any{"exchange": "", "routing_key": "go"},
				},
			}
			if contentType == "none" {
				delete(envelope, "content-type")
			}
			raw, err := json.Marshal(envelope)
			must(t, err)
			element = string(raw)
		}
		_, err := conn.Do("LPUSH", "go", element)
		must(t, err)
	}
}

func poisonOnRabbitMQ(ch *amqp.Channel) poison {
	return func(t *testing.T, m malformed) {
		if m.element != "" {
			t.Skip("only Redis has envelopes")
		}
		contentType, body := m.payload()
		if contentType == "none" {
			contentType = ""
		}
		headers := amqp.Table(m.table(t))
		for name, v := range headers {
			if f, ok := v.(float64); ok && f == float64(int32(f)) {
				headers[name] = int32(f)
			}
		}
		must(t, ch.Publish("", "go", true, false, amqp.Publishing{
			ContentType: contentType, ContentEncoding: "utf-8", Headers: headers, Body: []byte(body)}))
	}
}

// What stops a Python worker, or is lost in silence there, is kept by ours:
// the message lies in the dead-letter place with its reason, whoever waits for
// the result hears of it, a monitor too, and the next message runs.
func TestMalformedMessagesAreKept(t *testing.T) {
	t.Run("redis", func(t *testing.T) {
		s := onRedis(t)
		checkMalformed(t, s, poisonOnRedis(s.redis(t)))
	})
	t.Run("amqp", func(t *testing.T) {
		s := stage{broker: testenv.AMQP(t), backend: testenv.Redis(t)}
		checkMalformed(t, s, poisonOnRabbitMQ(s.channel(t)))
	})
}

func (s stage) channel(t *testing.T) *amqp.Channel {
	t.Helper()
	conn, err := amqp.Dial(s.broker)
	must(t, err)
	t.Cleanup(func() { conn.Close() })
	ch, err := conn.Channel()
	must(t, err)
	return ch
}

// deadLetters is the dead-letter place of the stage's broker.
func (s stage) deadLetters(t *testing.T) broker.DeadLetters {
	t.Helper()
	b, _ := s.connect(t)
	dead, ok := b.(broker.DeadLetters)
	if !ok {
		t.Fatalf("%T lists no dead letters", b)
	}
	return dead
}

func checkMalformed(t *testing.T, s stage, put poison) {
	dead := s.deadLetters(t)
	events := s.events(t)
	s.worker(t, echo)
	c := s.client(t)
	for _, row := range malformedRows {
		t.Run(row.name, func(t *testing.T) {
			put(t, row)
			if row.reason == "" {
				var got int
				if err := get(t, c.Result(row.id()), &got); err != nil || got != 7 {
					t.Errorf("got %d, %v", got, err)
				}
				return
			}
			letter := onlyLetter(t, dead, "go")
			if !strings.Contains(letter.Reason, row.reason) || letter.Queue != "go" || letter.Time.IsZero() || letter.Message == nil {
				t.Errorf("letter %+v, want a reason with %q", letter, row.reason)
			}
			if !row.nameless {
				checkFailure(t, c, events, row)
			}
			if n, err := dead.DropDead(t.Context(), "go", letter.ID); n != 1 || err != nil {
				t.Errorf("dropped %d, %v", n, err)
			}
			var got int
			if err := get(t, send(t, c, client.Task("go.echo", 8)), &got); err != nil || got != 8 {
				t.Errorf("the next task gave %d, %v", got, err)
			}
		})
	}
}

func onlyLetter(t *testing.T, dead broker.DeadLetters, queue string) broker.DeadLetter {
	t.Helper()
	var letters []broker.DeadLetter
	testenv.Eventually(t, patience, func() (err error) {
		letters, err = dead.ListDead(t.Context(), queue, 10)
		if err == nil && len(letters) != 1 {
			err = fmt.Errorf("%d dead letters, want one", len(letters))
		}
		return err
	})
	return letters[0]
}

// checkFailure looks for the stored failure and for the event about it.
func checkFailure(t *testing.T, c *client.Client, events func() *protocol.Event, row malformed) {
	t.Helper()
	err := get(t, c.Result(row.id()), nil)
	if err == nil || !strings.Contains(err.Error(), row.reason) {
		t.Errorf("the result is %v, want a failure with %q", err, row.reason)
	}
	for {
		e := events()
		if e.Type != protocol.EventTaskFailed || e.UUID() != row.id() {
			continue
		}
		if text := e.Fields.String("exception"); !strings.Contains(text, row.reason) {
			t.Errorf("the event says %s, want %q", text, row.reason)
		}
		return
	}
}

// A Python worker on the same queue lives on when ours has taken what would have
// stopped it.
func TestMalformedMessagesSparePython(t *testing.T) {
	t.Run("redis", func(t *testing.T) {
		s := besidePython(t)
		checkSpared(t, s, poisonOnRedis(s.redis(t)))
	})
	t.Run("amqp", func(t *testing.T) {
		s := stage{broker: testenv.AMQP(t), backend: testenv.Redis(t)}
		testenv.StartCelery(t, testenv.Celery{
			Venv: "celery57", App: "testdata/pyapp.py", Broker: s.broker, Backend: s.backend,
			Args: []string{"-P", "solo", "-n", "py@traps", "-Q", "py"},
		})
		checkSpared(t, s, poisonOnRabbitMQ(s.channel(t)))
	})
}

func checkSpared(t *testing.T, s stage, put poison) {
	dead := s.deadLetters(t)
	s.worker(t, echo)
	c := s.client(t)
	want := 0
	for _, row := range malformedRows {
		if row.reason == "" || row.element != "" {
			continue
		}
		want++
		put(t, row)
	}
	testenv.Eventually(t, patience, func() error {
		letters, err := dead.ListDead(t.Context(), "go", 100)
		if err == nil && len(letters) != want {
			err = fmt.Errorf("%d dead letters, want %d", len(letters), want)
		}
		return err
	})
	queue := protocol.Object{{Name: "queue", Value: "go"}}
	var left map[string]string
	reply(t, c, &left, "cancel_consumer", queue) // what follows is Python's
	must(t, c.Broadcast(t.Context(), "add_consumer", queue, "py@traps"))
	for i := range 5 {
		var got int
		if err := get(t, send(t, c, client.Task("py.echo", i)), &got); err != nil || got != i {
			t.Fatalf("Python gave %d, %v", got, err)
		}
	}
	must(t, c.Broadcast(t.Context(), "cancel_consumer", queue, "py@traps"))
	if n, err := dead.DropDead(t.Context(), "go"); n != want || err != nil {
		t.Errorf("dropped %d, %v", n, err)
	}
}

// Python acknowledges what it cannot decode and rejects what it does not know:
// both are gone. Ours keeps both, and what was only unknown runs once somebody
// registers it and an operator replays it.
func TestTrap19BadMessagesAreNotLost(t *testing.T) {
	s := onRedis(t)
	dead := s.deadLetters(t)
	c := s.client(t)
	r := send(t, c, client.Task("go.late", 1))
	var letter broker.DeadLetter
	t.Run("refused", func(t *testing.T) {
		s.worker(t, echo)
		letter = onlyLetter(t, dead, "go")
		if err := get(t, r, nil); err == nil || !strings.Contains(err.Error(), "NotRegistered") {
			t.Errorf("an unknown task ended with %v", err)
		}
	})
	t.Run("replayed", func(t *testing.T) {
		done := make(chan string, 1)
		s.worker(t, func(w *worker.Worker) {
			worker.Must(worker.Raw(w, "go.late", func(_ context.Context, t *worker.Task) (any, error) {
				done <- t.ID
				return t.Args[0], nil
			}))
		})
		if n, err := dead.ReplayDead(t.Context(), "go", letter.ID); n != 1 || err != nil {
			t.Fatalf("replayed %d, %v", n, err)
		}
		eventually(t, "the replayed task does not run", func() bool { return len(done) == 1 })
		if id := <-done; id != r.ID {
			t.Errorf("ran %s, want %s", id, r.ID)
		}
	})
}
