package worker

import (
	"errors"
	"maps"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/umbel-go/umbel/client"
	"github.com/umbel-go/umbel/protocol"
)

// Every shape that stops or confuses a Python worker is survived: the message is
// a dead letter, whoever waits learns of it, and so does the chord that it was a
// part of, where that much could be read.
func TestMalformed(t *testing.T) {
	id := protocol.Object{{Name: "task", Value: "a"}, {Name: "id", Value: "1"}}
	in := append(id[:2:2], protocol.Field{Name: "group", Value: "g"}, protocol.Field{Name: "group_index", Value: 0})
	embed := string(protocol.Raw(must(protocol.Marshal(protocol.Object{{Name: "chord", Value: body()}}))))
	whole := "[[], {}, " + embed + "]"
	with := func(h protocol.Object, name string, v any) protocol.Object {
		return append(h[:len(h):len(h)], protocol.Field{Name: name, Value: v})
	}
	tests := []struct {
		name    string
		headers protocol.Object
		body    string
		kind    protocol.Kind
		failed  bool // a FAILURE under the id
		part    bool // and in the chord
	}{
		{"two elements", in, `[[], {}]`, protocol.KindMalformed, true, false},
		{"body null", in, `null`, protocol.KindMalformed, true, false},
		{"not JSON", in, `{`, protocol.KindMalformed, true, false},
		{"no id", id[:1], whole, protocol.KindMalformed, false, false},
		{"id is a number", protocol.Object{id[0], {Name: "id", Value: 5}}, whole, protocol.KindMalformed, false, false},
		{"timelimit of one", with(in, "timelimit", []any{nil}), whole, protocol.KindInvalid, true, true},
		{"timelimit a string", with(in, "timelimit", "x"), whole, protocol.KindInvalid, true, true},
		{"eta empty", with(in, "eta", ""), whole, protocol.KindInvalid, true, true},
		{"eta a number", with(in, "eta", 12), whole, protocol.KindInvalid, true, true},
		{"expires garbage", with(in, "expires", "soon"), whole, protocol.KindInvalid, true, true},
		{"kwargs null", in, "[[], null, " + embed + "]", protocol.KindMalformed, true, true},
		{"kwargs a list", in, "[[], [1], " + embed + "]", protocol.KindMalformed, true, true},
		{"args null", in, "[null, {}, " + embed + "]", protocol.KindMalformed, true, true},
		{"unknown compression", with(in, "compression", "rot13"), whole, protocol.KindContent, true, false},
		{"no headers", nil, whole, protocol.KindUnknown, false, false},
		{"protocol 1 without id", nil, `{"task": "a", "args": []}`, protocol.KindMalformed, false, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newStage(t, Config{})
			s.task("a", 1, nil)
			s.backend.sizes["g"] = 1
			s.handle(carried(protocol.NewMessage(tt.headers, []byte(tt.body)))).want(t, "dead")
			var states, events []string
			if tt.failed {
				states, events = append(states, "1 FAILURE"), append(events, "task-failed")
			}
			if tt.part {
				states = append(states, "body-id FAILURE")
			}
			s.wantStates(states...)
			s.wantEvents(events...)
			if want := (map[protocol.Kind]int64{tt.kind: 1}); !maps.Equal(s.w.Stats().Refused, want) {
				t.Errorf("refused %v, want %v", s.w.Stats().Refused, want)
			}
		})
	}
}

// The reason of a dead letter says what is wrong, not which task: others say that.
func TestRefusedReason(t *testing.T) {
	for _, tt := range []struct {
		headers protocol.Object
		want    string
	}{
		{protocol.Object{{Name: "task", Value: "a"}, {Name: "id", Value: "uuid"}}, "malformed: body is not JSON: "},
		{nil, "unknown: neither task headers nor a protocol 1 body: "},
	} {
		s := newStage(t, Config{})
		s.task("a", 1, nil)
		d := s.handle(carried(protocol.NewMessage(tt.headers, []byte("{}["))))
		if d.want(t, "dead"); !strings.HasPrefix(d.reason, tt.want) || strings.Contains(d.reason, "uuid") {
			t.Errorf("reason %q, want %q", d.reason, tt.want)
		}
	}
}

// These are fine, whatever they look like.
func TestOddButFine(t *testing.T) {
	for _, embed := range []string{`null`, `{}`, `[]`} {
		s := newStage(t, Config{})
		s.task("a", 1, nil)
		h := protocol.Object{{Name: "task", Value: "a"}, {Name: "id", Value: "1"}, {Name: "retries", Value: nil}}
		s.handle(protocol.NewMessage(h, []byte("[[], {}, "+embed+"]"))).want(t, "ack")
		s.wantStates("1 SUCCESS")
	}
}

// A task that never ran fails its chain and its chord, but calls no errbacks.
func TestUnrunCallsNoErrbacks(t *testing.T) {
	s := newStage(t, Config{})
	yes := true
	s.w.failUnrun(&protocol.Task{
		Name: "a", ID: "1", IgnoreResult: &yes, Errbacks: []protocol.Signature{client.Task("err")},
		Chain: []protocol.Signature{client.With(client.Task("b"), client.ID("b-id"))},
	}, protocol.NotRegistered("a"))
	s.wantStates("1 FAILURE", "b-id FAILURE")
	s.wantSent()
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// What a worker accepts is its own to say.
func TestAccept(t *testing.T) {
	tests := []struct {
		cfg    Config
		serial string
		end    string
	}{
		{Config{}, "json", "ack"},
		{Config{}, "msgpack", "ack"},
		{Config{Accept: []string{"json"}}, "msgpack", "dead"},
		{Config{Accept: []string{"application/json"}}, "json", "ack"},
	}
	for _, tt := range tests {
		s := newStage(t, tt.cfg)
		s.task("a", 1, nil)
		s.deliver(&protocol.Task{Name: "a", ID: "1", Serializer: tt.serial}).want(t, tt.end)
	}
	pickled := protocol.NewMessage(protocol.Object{{Name: "task", Value: "a"}, {Name: "id", Value: "1"}}, []byte("\x80\x02]]}}\x87."))
	pickled.ContentType = "application/x-python-serialize"
	for _, pickle := range []bool{false, true} {
		s := newStage(t, Config{Pickle: pickle})
		s.task("a", 1, nil)
		d := s.handle(pickled)
		if pickle != s.accepted() {
			t.Errorf("pickle %v: the message ended as %q (%s)", pickle, d.end, d.reason)
		}
	}
}

// A message that the broker does not let us move is not kept.
func TestUnmovable(t *testing.T) {
	tomorrow := time.Now().Add(24 * time.Hour)
	for name, task := range map[string]*protocol.Task{
		"eta":     {Name: "a", ID: "1", ETA: tomorrow},
		"refused": {Name: "a", ID: "1", Serializer: "msgpack"},
		"foreign": {Name: "b", ID: "1"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStage(t, Config{Accept: []string{"json"}})
				s.task("a", 1, nil)
				m, err := task.Encode()
				if err != nil {
					t.Fatal(err)
				}
				d := &delivery{message: carried(m), stuck: errors.New("ACCESS_REFUSED")}
				s.w.handle(t.Context(), d)
				d.want(t, "requeue")
			})
		})
	}
}

func (s *stage) accepted() bool { return s.w.Stats().Started == 1 }
