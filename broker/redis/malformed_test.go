package redis_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/umbel-go/umbel/broker/redis"
	"github.com/umbel-go/umbel/internal/testenv"
	"github.com/umbel-go/umbel/protocol"
)

// odd are elements that other producers, or hands, have put on queues. Why is
// empty for those that a Python worker can run.
var odd = []struct{ element, why string }{
	{"not json", "not a kombu envelope"},
	{"", "not a kombu envelope"},
	{"\x00\xff\xfe", "not a kombu envelope"},
	{"[1, 2]", "not a kombu envelope"},
	{"{not json}", "not a kombu envelope"},
	{`{"body": "e30="}`, "no properties"},
	{`{"body": "e30=", "properties": []}`, "no properties"},
	{`{"body": "%%%", "properties": {"body_encoding": "base64"}}`, "body is not base64"},
	{`{"body": {"a": 1}, "properties": {}}`, "body is not a string"},
	{`{"body": "e30=", "headers": [], "properties": {}}`, "headers are not an object"},
	{`{"body": "e30=", "headers": "x", "properties": {}}`, "headers are not an object"},
	{strings.Repeat("[", 100_000), "not a kombu envelope"},
	{`{"body": "e30=", "headers": ` + strings.Repeat(`{"a": `, 2000) + "1" + strings.Repeat("}", 2000) + `, "properties": {}}`, "not a kombu envelope"},
	{`{"body": "e30=", "headers": null, "properties": {"body_encoding": "base64"}}`, ""},
	{`{"body": "e30=", "headers": {"a": 1}, "headers": {"b": 2}, "properties": {"body_encoding": "base64", "delivery_info": null}}`, ""},
}

// TestOddElements claims each of them between two good messages.
func TestOddElements(t *testing.T) {
	t.Parallel()
	url := testenv.Redis(t)
	b := open(t, redis.Config{URL: url})
	defer b.Close()
	c := consumeCelery(t, b, 3)
	for _, o := range odd {
		put(t, b, "celery", 0, "before")
		do(t, url, "LPUSH", "celery", o.element)
		put(t, b, "celery", 0, "after")
		ds := claimAll(t, c, 3)
		m := ds[1].Message()
		if idOf(ds[0]) != "before" || idOf(ds[2]) != "after" {
			t.Fatalf("neighbours of %.60q: %q, %q", o.element, idOf(ds[0]), idOf(ds[2]))
		}
		switch {
		case o.why != "" && (!strings.Contains(m.Malformed, o.why) || string(m.Body) != o.element):
			t.Errorf("%.60q: malformed %q, body %.60q; want %q and the element", o.element, m.Malformed, m.Body, o.why)
		case o.why == "" && (m.Malformed != "" || string(m.Body) != "{}"):
			t.Errorf("%.60q: malformed %q, body %.60q", o.element, m.Malformed, m.Body)
		}
		for _, d := range ds {
			if err := d.Ack(t.Context()); err != nil {
				t.Error(err)
			}
		}
	}
	if left := texts(t, url, "KEYS", "*unacked*"); len(left) != 0 {
		t.Errorf("keys left: %q", left)
	}
}

func TestHugeMessage(t *testing.T) {
	t.Parallel()
	b := open(t, redis.Config{URL: testenv.RedisServer(t).URL}) // which it holds up
	defer b.Close()
	body := []byte(strings.Repeat("x", 3<<20))
	m := protocol.NewMessage(protocol.Object{{Name: "id", Value: "huge"}}, body)
	if err := b.Publish(t.Context(), publishing("celery", m)); err != nil {
		t.Fatal(err)
	}
	c := consumeCelery(t, b, 1)
	if err := claimOne(t, c, 20*time.Second).Return(t.Context()); err != nil {
		t.Fatal(err)
	}
	d := claimOne(t, c, 20*time.Second)
	if string(d.Message().Body) != string(body) || !d.Redelivered() {
		t.Error("the message changed")
	}
	if err := d.Dead(t.Context(), "too big"); err != nil {
		t.Fatal(err)
	}
	if n, err := b.ReplayDead(t.Context(), "celery"); count(t, n, err) != 1 {
		t.Errorf("replayed %d", n)
	}
	if d := claimOne(t, c, 20*time.Second); string(d.Message().Body) != string(body) {
		t.Error("the message changed among the dead letters")
	}
}

// TestPythonSurvivesOurPoison gives every odd element to Go, which vanishes with
// its claims; Python gets them back, and must go on working.
func TestPythonSurvivesOurPoison(t *testing.T) {
	t.Parallel()
	testenv.Python(t, python)
	url := testenv.Redis(t)
	b := open(t, redis.Config{URL: url, Lease: testLease})
	for _, o := range odd {
		do(t, url, "LPUSH", "celery", o.element)
	}
	sendPython(t, b, 0, "good")
	claimAll(t, consumeCelery(t, b, 100), len(odd)+1)
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	worker := pythonWorker(t, url, 2)
	worker.WaitLine("start good redelivered True", 30*time.Second)
	b = open(t, redis.Config{URL: url})
	defer b.Close()
	sendPython(t, b, 0, "after")
	worker.WaitLine("end after", 20*time.Second)
	testenv.Eventually(t, 20*time.Second, func() error {
		if left := texts(t, url, "KEYS", "unacked*"); len(left) != 0 {
			return fmt.Errorf("keys left: %q", left)
		}
		return nil
	})
	for _, trace := range []string{"Traceback", "Unrecoverable", "Could not restore"} {
		if strings.Contains(worker.Output(), trace) {
			t.Errorf("the worker stumbled (%s)", trace)
		}
	}
}
