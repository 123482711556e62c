package interop

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/umbel-go/umbel/client"
	"github.com/umbel-go/umbel/protocol"
)

// legacyValues sends a time as kombu before 5.3 wrote it, which every version
// reads as text.
func legacyValues(t testing.TB, r *rig) {
	b, results := r.connect(t)
	old := &rig{stage: r.stage, client: client.New(client.Config{Broker: b, Backend: results, Route: sideOf, LegacyValues: true})}
	gives("2026-11-05T12:30:01Z", client.Task("py.echo", time.Date(2026, 11, 5, 12, 30, 1, 0, time.UTC)))(t, old)
}

// follows expects the result of a task that another one led to.
func follows(t testing.TB, r *rig, id string, want any) {
	t.Helper()
	var got any
	if err := r.client.Result(id).Get(waitFor(t), &got); err != nil {
		t.Fatal(err)
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("the follow-up gave %v, want %v", got, want)
	}
}

func typedValues(t testing.TB, r *rig) {
	when := time.Date(2026, 11, 5, 12, 30, 1, 250_000_000, time.UTC)
	ctx := waitFor(t)
	result, err := r.client.Send(ctx, client.Task("py.echo", when))
	if err != nil {
		t.Fatal(err)
	}
	var back time.Time
	if err := result.Get(ctx, &back); err != nil || !back.Equal(when) {
		t.Errorf("got %v, %v; want %v", back, err, when)
	}
	if result, err = r.client.Send(ctx, client.Task("py.echo", []byte{0, 255, 'r'})); err != nil {
		t.Fatal(err)
	}
	var data []byte
	if err := result.Get(ctx, &data); err != nil || string(data) != "\x00\xffr" {
		t.Errorf("got %q, %v", data, err)
	}
}

// ignored sends a task without a result, waits for its callback, and looks.
func ignored(t testing.TB, r *rig) {
	ctx, follow := waitFor(t), uuid.NewString()
	result, err := r.client.Send(ctx, client.Task("py.add", 1, 1), client.IgnoreResult(),
		client.Link(client.With(client.Task("py.add", 1), client.ID(follow))))
	if err != nil {
		t.Fatal(err)
	}
	follows(t, r, follow, 3)
	state, err := result.State(ctx)
	if err != nil {
		t.Fatal(err)
	}
	// Before 5.6 a Python worker that tracks STARTED stores that.
	if state.Status != protocol.StatePending && state.Status != protocol.StateStarted {
		t.Errorf("the state is %s", state.Status)
	}
}

func revokedByGo(t testing.TB, r *rig) {
	id := uuid.NewString()
	revoke(t, r.client, id)
	eventually(t, func() error { return mentions(t, r.client, pyNode, "revoked", id) })
	fails("TaskRevokedError", "revoked", client.Task("py.add", 1, 2), client.ID(id))(t, r)
}

// chordTwice sends a chord again under the same group id, while what the first
// left behind still lies there.
func chordTwice(t testing.TB, r *rig) {
	group := uuid.NewString()
	for range 2 {
		header := append(pyAdds(3), client.Task("go.add", 1, 1))
		chord := client.Chord([]protocol.Signature{client.With(client.Group(header...), client.ID(group))}, client.Task("py.xsum"))
		chord.Kwargs = chord.Kwargs.Set("header", client.With(client.Group(header...), client.ID(group)))
		gives(8, chord)(t, r)
	}
}
