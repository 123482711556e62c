package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/umbel-go/umbel/broker"
	brokers "github.com/umbel-go/umbel/broker/dial"
	"github.com/umbel-go/umbel/internal/testenv"
	"github.com/umbel-go/umbel/protocol"
)

// morgue is a broker that has dead letters and nothing else.
type morgue struct {
	broker.Broker
	letters []broker.DeadLetter
	done    []string // what was asked for
	failure error    // of replay and drop
}

func (m *morgue) ListDead(_ context.Context, queue string, most int) ([]broker.DeadLetter, error) {
	var out []broker.DeadLetter
	for _, l := range m.letters {
		if l.Queue == queue && len(out) < most {
			out = append(out, l)
		}
	}
	return out, nil
}

func (m *morgue) take(verb, queue string, ids []string) (int, error) {
	m.done = append(m.done, strings.Join(append([]string{verb, queue}, ids...), " "))
	n := 0
	for _, l := range m.letters {
		if l.Queue == queue && (len(ids) == 0 || slices.Contains(ids, l.ID)) {
			n++
		}
	}
	return n, m.failure
}

func (m *morgue) ReplayDead(_ context.Context, queue string, ids ...string) (int, error) {
	return m.take("replay", queue, ids)
}

func (m *morgue) DropDead(_ context.Context, queue string, ids ...string) (int, error) {
	return m.take("drop", queue, ids)
}

func (m *morgue) Close() error { return nil }

func newMorgue() *morgue {
	at := time.Date(2026, 11, 21, 14, 0, 0, 0, time.UTC)
	task := protocol.Object{{Name: "task", Value: "shop.pay"}, {Name: "id", Value: "t1"}}
	return &morgue{letters: []broker.DeadLetter{
		{ID: "a", Queue: "celery", Reason: "args are not\nan array", Time: at, Message: protocol.NewMessage(task, []byte(`[null, {}, {"x": 1}]`))},
		{ID: "b", Queue: "celery", Reason: "no JSON", Time: at, Message: protocol.NewMessage(nil, []byte("not \x1b[31mJSON"))},
		{ID: "c", Queue: "celery", Reason: "pickle", Message: protocol.NewMessage(task, []byte("\x80\x04."))},
		{ID: "d", Queue: "other", Reason: "nobody knows it", Time: at, Message: protocol.NewMessage(task, []byte(`[[], {}, {}]`))},
		{ID: "4f1c", Queue: "ids"}, {ID: "4f1c9", Queue: "ids"}, {ID: "4f2d", Queue: "ids"}, {ID: "77ab", Queue: "ids"},
	}}
}

// runDLQ runs "umbel dlq" with the letters of m, or of none.
func runDLQ(m broker.Broker, args ...string) (stdout, stderr string, err error) {
	d := &dlq{globals: &globals{broker: "redis://broker"}, open: func(string, map[string]any) (broker.Broker, error) { return m, nil }}
	cmd := d.command()
	var out, errs bytes.Buffer
	cmd.SetOut(&out)
	cmd.SetErr(&errs)
	cmd.SetArgs(args)
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	err = cmd.Execute()
	return out.String(), errs.String(), err
}

func TestDLQList(t *testing.T) {
	out, _, err := runDLQ(newMorgue(), "list")
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if err != nil || len(lines) != 4 {
		t.Fatalf("%v:\n%s", err, out)
	}
	for _, want := range []string{"a", "2026-11-21T14:00:00Z", "celery", "shop.pay", "t1", "args are not an array"} {
		if !strings.Contains(lines[1], want) {
			t.Errorf("%q lacks %q", lines[1], want)
		}
	}
	if out, _, err := runDLQ(newMorgue(), "list", "--max", "2"); err != nil || strings.Count(out, "\n") != 3 {
		t.Errorf("%v:\n%s", err, out)
	}
	for most, more := range map[string]bool{"2": true, "3": false} {
		_, errs, err := runDLQ(newMorgue(), "list", "--max", most)
		if err != nil || strings.Contains(errs, "more than these 2") != more || !more && errs != "" {
			t.Errorf("--max %s: %q, %v", most, errs, err)
		}
	}
	if out, errs, err := runDLQ(newMorgue(), "list", "-Q", "empty"); err != nil || out != "" || !strings.Contains(errs, "no dead letters") {
		t.Errorf("%q, %q, %v", out, errs, err)
	}
}

func TestDLQListJSON(t *testing.T) {
	out, _, err := runDLQ(newMorgue(), "list", "--json", "-Q", "other")
	want := `[{"id":"d","time":"2026-11-21T14:00:00Z","queue":"other","task":"shop.pay","task_id":"t1","reason":"nobody knows it"}]`
	var got bytes.Buffer
	if cerr := json.Compact(&got, []byte(out)); cerr != nil || err != nil || got.String() != want {
		t.Errorf("%v, %v: %s", err, cerr, out)
	}
	if out, _, err := runDLQ(newMorgue(), "list", "--json", "-Q", "empty"); err != nil || out != "[]\n" {
		t.Errorf("%q, %v", out, err)
	}
}

func TestDLQShow(t *testing.T) {
	for id, want := range map[string][]string{
		"a": {"args are not an array", `"task": "shop.pay"`, "null,\n", `"x": 1`},
		"b": {"body (not JSON)", "not  [31mJSON", "\ntask     -\n"},
		"c": {"body (base64)", "gAQu"},
	} {
		out, _, err := runDLQ(newMorgue(), "show", id)
		if err != nil {
			t.Fatal(err)
		}
		for _, w := range want {
			if !strings.Contains(out, w) {
				t.Errorf("%s lacks %q:\n%s", id, w, out)
			}
		}
		if strings.Contains(out, "\x1b") {
			t.Errorf("%s sends an escape sequence to the terminal", id)
		}
		out, _, err = runDLQ(newMorgue(), "show", id, "--json")
		var c contents
		if jerr := json.Unmarshal([]byte(out), &c); err != nil || jerr != nil || c.ID != id || c.ContentType != "application/json" ||
			(c.Body == nil) == (c.Text == "" && c.Base64 == "") {
			t.Errorf("%s: %v, %v: %s", id, err, jerr, out)
		}
	}
}

func TestPrintable(t *testing.T) {
	for in, want := range map[string]string{
		"a\x1b[31mb\nc":     "a [31mb c",
		"evil\u202egpj.exe": "evil gpj.exe", // would show the rest backwards
		"Größe 大小":          "Größe 大小",
	} {
		if got := printable(in); got != want {
			t.Errorf("printable(%q) = %q, want %q", in, got, want)
		}
	}
}

// Headers may hold what JSON cannot.
func TestDLQShowNaN(t *testing.T) {
	m := newMorgue()
	m.letters[0].Message.Headers = protocol.Object{{Name: "task", Value: "x"}, {Name: "load", Value: json.Number("NaN")}}
	out, _, err := runDLQ(m, "show", "a", "--json")
	if err != nil || !json.Valid([]byte(out)) || !strings.Contains(out, "NaN") {
		t.Errorf("%v: %s", err, out)
	}
	if out, _, err := runDLQ(m, "show", "a"); err != nil || !strings.Contains(out, "NaN") {
		t.Errorf("%v: %s", err, out)
	}
}

func TestDLQReplayAndDrop(t *testing.T) {
	for _, test := range []struct {
		args, did, out string
		failure        string
	}{
		{"replay a b", "replay celery a b", "2 letters put back on queue celery\n", ""},
		{"replay a a", "replay celery a", "1 letter put back on queue celery\n", ""},
		{"drop d -Q other", "drop other d", "1 letter dropped from queue other\n", ""},
		{"drop --all", "drop celery", "3 letters dropped from queue celery\n", ""},
		{"drop --all -Q empty", "drop empty", "0 letters dropped from queue empty\n", ""},
		{"drop 4f2 77 4f2d -Q ids", "drop ids 4f2d 77ab", "2 letters dropped from queue ids\n", ""},
		{"replay 4f1c -Q ids", "replay ids 4f1c", "1 letter put back on queue ids\n", ""}, // whole, though 4f1c9 begins so
		{"drop 4f -Q ids", "", "", "4f begins the ids of 3 dead letters of queue ids, such as 4f1c and 4f1c9"},
		{"replay a nope", "", "", "queue celery has no dead letter nope; 'umbel dlq list -Q celery'"},
	} {
		m := newMorgue()
		out, _, err := runDLQ(m, strings.Fields(test.args)...)
		if out != test.out || strings.Join(m.done, "; ") != test.did {
			t.Errorf("%s: did %q, said %q", test.args, m.done, out)
		}
		if (err == nil) != (test.failure == "") || err != nil && !strings.Contains(err.Error(), test.failure) {
			t.Errorf("%s: %v", test.args, err)
		}
		var usage *usageError
		if errors.As(err, &usage) {
			t.Errorf("%s: a wrong id is no wrong usage", test.args)
		}
	}
	out, _, err := runDLQ(newMorgue(), "drop", "--all", "--json")
	if want := "{\n  \"letters\": 3,\n  \"queue\": \"celery\"\n}\n"; err != nil || out != want {
		t.Errorf("%v: %q", err, out)
	}
}

// A letter that cannot be replayed is no reason to hide that others were.
func TestDLQReplayInPart(t *testing.T) {
	m := newMorgue()
	m.failure = errors.New("letter b holds no message")
	out, _, err := runDLQ(m, "replay", "a", "b")
	if !errors.Is(err, m.failure) || out != "2 letters put back on queue celery\n" {
		t.Errorf("%q, %v", out, err)
	}
}

// Nothing is replayed or dropped because an argument was forgotten.
func TestDLQUsage(t *testing.T) {
	for _, args := range []string{
		"replay", "drop", "drop --all a", "show", "show a b", "list a", "list --max 0", "nothing",
	} {
		m := newMorgue()
		_, _, err := runDLQ(m, strings.Fields(args)...)
		var usage *usageError
		if !errors.As(err, &usage) || len(m.done) > 0 {
			t.Errorf("%s: %v, did %q", args, err, m.done)
		}
	}
	for _, id := range []string{"nope", ""} {
		if _, _, err := runDLQ(newMorgue(), "show", id, "-Q", "other"); err == nil || !strings.Contains(err.Error(), "umbel dlq list -Q other") {
			t.Errorf("unknown id %q: %v", id, err)
		}
	}
	if out, _, err := runDLQ(newMorgue(), "show", "77", "-Q", "ids"); err != nil || !strings.Contains(out, "77ab") {
		t.Errorf("beginning of an id: %q, %v", out, err)
	}
}

// The same over real brokers: a message dies, is listed, shown, replayed, and is
// on its queue again.
func TestDLQOverBrokers(t *testing.T) {
	for name, open := range map[string]func(testing.TB) string{"redis": testenv.Redis, "amqp": testenv.AMQP} {
		t.Run(name, func(t *testing.T) {
			url := open(t)
			b, err := brokers.Open(url)
			if err != nil {
				t.Fatal(err)
			}
			defer b.Close()
			bury(t, b, "orders", "nobody wants it")
			run := func(args ...string) string {
				t.Helper()
				cmd := newDLQ(&globals{broker: url})
				var out bytes.Buffer
				cmd.SetOut(&out)
				cmd.SetErr(&out)
				cmd.SetArgs(append(args, "-Q", "orders"))
				if err := cmd.ExecuteContext(t.Context()); err != nil {
					t.Fatalf("dlq %s: %v", args, err)
				}
				return out.String()
			}
			var list []summary
			if err := json.Unmarshal([]byte(run("list", "--json")), &list); err != nil || len(list) != 1 {
				t.Fatalf("%v, %v", list, err)
			}
			if s := list[0]; s.Task != "shop.pay" || s.TaskID != "t1" || s.Queue != "orders" || s.Reason != "nobody wants it" || s.Time == "" {
				t.Errorf("listed as %+v", s)
			}
			if out := run("show", list[0].ID); !strings.Contains(out, `"x": 1`) {
				t.Errorf("shown as\n%s", out)
			}
			run("replay", list[0].ID[:len(list[0].ID)-1])
			if q, err := b.Queues(t.Context(), "orders"); err != nil || q[0].Ready != 1 {
				t.Errorf("queue after the replay: %+v, %v", q, err)
			}
			if out := run("drop", "--all"); out != "0 letters dropped from queue orders\n" {
				t.Errorf("dropped %q", out)
			}
		})
	}
}

// bury sends a message to the queue and makes a dead letter of it.
func bury(t *testing.T, b broker.Broker, queue, reason string) {
	t.Helper()
	c, err := b.Consume(t.Context(), broker.ConsumeOptions{Worker: "test", Queues: []broker.Queue{{Name: queue}}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(context.WithoutCancel(t.Context()))
	m := protocol.NewMessage(protocol.Object{{Name: "task", Value: "shop.pay"}, {Name: "id", Value: "t1"}}, []byte(`[[{"x": 1}], {}, {}]`))
	m.Properties.RoutingKey = queue
	if err := b.Publish(t.Context(), broker.Publishing{RoutingKey: queue, Message: m}); err != nil {
		t.Fatal(err)
	}
	ds, err := c.Claim(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	if err := ds[0].Dead(t.Context(), reason); err != nil {
		t.Fatal(err)
	}
}
