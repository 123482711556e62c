package traps

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/umbel-go/umbel/client"
	"github.com/umbel-go/umbel/protocol"
	"github.com/umbel-go/umbel/worker"
)

// notYet are Celery's commands that our worker may still lack; it then answers
// as Python to an unknown one.
var notYet = []string{
	"report", "memsample", "memdump", "objgraph", "rate_limit", "time_limit", "pool_grow", "pool_shrink",
	"autoscale", "pool_restart", "election", "revoke_by_stamped_headers",
}

// differently are the differences that stand, by case or by how they begin, with
// the reason.
var differently = map[string]string{
	"active safe":       "arguments come as values, also when their reprs are asked for",
	"conf":              "a worker in Go has settings of its own",
	"stats.pool.writes": "no processes are written to here",
	"disable_events":    "Celery's text says already for a worker started with -E",
}

// Each command that Celery's clients were seen to send gets an answer of the
// captured shape from our worker: the same members with values of the same kinds,
// as 5.7 or 5.6 has them.
func TestControlRepliesHaveCelerysShape(t *testing.T) {
	s := onRedis(t)
	release := make(chan struct{})
	s.worker(t, func(w *worker.Worker) {
		echo(w)
		worker.Must(worker.Raw(w, "go.wait", func(context.Context, *worker.Task) (any, error) {
			<-release
			return nil, nil
		}))
	})
	defer close(release)
	c := s.client(t)
	running := send(t, c, client.Task("go.wait", 150))
	send(t, c, client.Task("go.echo", 1), client.Countdown(time.Hour))
	eventually(t, "the task does not run", func() bool {
		var active []any
		reply(t, c, &active, "active", nil)
		return len(active) == 1
	})
	older := map[string]any{}
	for _, g := range capturedControl(t, "control56.json") {
		if g.Kind == "reply" {
			older[g.Case] = g.value(t)
		}
	}
	golden := capturedControl(t, "control.json")
	for i, g := range golden {
		if g.Kind != "request" || i+1 == len(golden) || golden[i+1].Kind != "reply" {
			continue
		}
		t.Run(g.Case, func(t *testing.T) {
			req := g.request(t)
			got := ask(t, c, req.Method, translated(req.Arguments, running.ID))
			checkReply(t, g.Case, req.Method, got, golden[i+1].value(t), older[g.Case])
		})
	}
}

// checkReply compares our answer with that of 5.7, or in shape with that of 5.6
// where there is one.
func checkReply(t *testing.T, name, method string, got, want, older any) {
	t.Helper()
	if o, ok := got.(protocol.Object); ok && slices.Contains(notYet, method) && o.String("error") == "KeyError('"+method+"')" {
		t.Skipf("the worker has no command %s yet", method)
	}
	diff := shapeDiff(method, got, want)
	if older != nil && len(shapeDiff(method, got, older)) == 0 {
		diff = nil
	}
	for _, d := range append(diff, wordsDiff(got, want)...) {
		if !excused(name, d) {
			t.Error(d)
		}
	}
}

func excused(name, diff string) bool {
	for prefix := range differently {
		if strings.HasPrefix(diff, prefix) || name == prefix {
			return true
		}
	}
	return false
}

var anyID = regexp.MustCompile(`[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`)

// wordsDiff compares the texts of answers to commands, which scripts look at. A
// task id in one is that of another run.
func wordsDiff(got, want any) []string {
	g, _ := got.(protocol.Object)
	w, _ := want.(protocol.Object)
	for _, name := range []string{"ok", "error"} {
		said, text := anyID.ReplaceAllString(g.String(name), "ID"), anyID.ReplaceAllString(w.String(name), "ID")
		if said != text {
			return []string{fmt.Sprintf("says %q, not %q", said, text)}
		}
	}
	return nil
}

// value is the one node's answer in a captured reply.
func (c captured) value(t *testing.T) any {
	t.Helper()
	o, err := protocol.DecodeObject([]byte(c.Body))
	if err != nil || len(o) != 1 {
		t.Fatalf("reply %s: %v", c.Body, err)
	}
	return o[0].Value
}

func ask(t *testing.T, c *client.Client, method string, args protocol.Object) any {
	t.Helper()
	replies, err := c.Inspect(t.Context(), method, args, client.ControlOptions{Destination: []string{"go@traps"}, Timeout: patience})
	must(t, err)
	raw, ok := replies["go@traps"]
	if !ok {
		t.Fatal("no answer")
	}
	v, err := protocol.Decode(raw)
	must(t, err)
	return v
}

// translated names our tasks in place of those of the capture, and the task that
// runs in place of the one that ran there.
func translated(args protocol.Object, running string) protocol.Object {
	out := append(protocol.Object(nil), args...)
	for i, f := range out {
		switch {
		case f.Name == "task_name" && f.Value == "golden.add":
			out[i].Value = "go.echo"
		case f.Name == "ids":
			if ids, _ := f.Value.([]any); len(ids) > 1 {
				out[i].Value = []string{running}
			}
		case f.Name == "task_id" && len(args.String("task_id")) == len(running):
			out[i].Value = running
		}
	}
	return out
}
