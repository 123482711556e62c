package client_test

import (
	"encoding/json"
	"os"
	"testing"
	"time"

	"github.com/umbel-go/umbel/client"
	"github.com/umbel-go/umbel/protocol"
)

// What Celery 5.7 put into Redis for canvases is what our API sends for them,
// where no Python is at hand to ask (testdata/canvas_golden.json).
func TestGoldenCanvas(t *testing.T) {
	data, err := os.ReadFile("testdata/canvas_golden.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct {
		Case string
		told
	}
	if err := json.Unmarshal(data, &cases); err != nil {
		t.Fatal(err)
	}
	built := goldenCanvases()
	for _, c := range cases {
		t.Run(c.Case, func(t *testing.T) {
			sig, ok := built[c.Case]
			if !ok {
				t.Fatal("no canvas for this case")
			}
			ours := runCanvas(sig, nil, protocol.Object{{Name: "queue", Value: "golden"}})
			ours.Messages = ours.Messages[:min(c.First, len(ours.Messages))]
			ours.Sizes, ours.Result, ours.Groups = ours.Sizes[:min(len(c.Sizes), len(ours.Sizes))], nil, nil
			ours.First = len(ours.Messages)
			for i := range ours.Messages {
				for _, m := range []sent{c.Messages[i], ours.Messages[i]} {
					delete(m.Headers, "ignore_result") // there the sender has the task, and its own setting
					if m.Headers["eta"] != nil {
						m.Headers["eta"] = "some time"
					}
				}
			}
			if d := differentRun(c.told, ours); d != "" {
				t.Error(d)
			}
		})
	}
}

func goldenCanvases() map[string]protocol.Signature {
	add := func(args ...any) protocol.Signature { return client.Task("golden.add", args...) }
	sum, echo, fail := client.Task("golden.tsum"), client.Task("golden.echo"), client.Task("golden.fail")
	stamped := client.With(client.Chain(add(1, 2), add(3)), client.Stamp("monitoring_id", "m-42"), client.Stamp("lst", []int{1, 2}))
	pairs := [][]int{{0, 0}, {1, 1}, {2, 2}, {3, 3}, {4, 4}, {5, 5}}
	type sigs = []protocol.Signature
	return map[string]protocol.Signature{
		"link": client.With(add(2, 3), client.Link(add(10))),
		"link, two immutable": client.With(add(2, 3),
			client.Link(client.With(add(1, 1), client.Immutable()), client.With(echo, client.Kwarg("k", 1)))),
		"link_error":            client.With(fail, client.LinkError(echo)),
		"chain":                 client.Chain(add(1, 2), add(3), add(4)),
		"chain with options":    client.Chain(client.With(add(1, 2), client.Countdown(30*time.Second)), client.With(add(3), client.Queue("other"), client.Priority(5))),
		"group":                 client.Group(add(0, 0), add(1, 1), add(2, 2)),
		"group with link":       client.With(client.Group(add(1, 1), add(2, 2)), client.Link(echo)),
		"chord":                 client.Chord(sigs{add(0, 0), add(1, 1), add(2, 2)}, sum),
		"chord with link_error": client.Chord(sigs{add(1, 1), fail}, client.With(sum, client.LinkError(echo))),
		"chain | group | task":  client.Chain(add(1, 1), client.Group(add(1), add(2)), sum),
		"chord of chains":       client.Chord(sigs{client.Chain(add(1, 1), add(2)), add(3, 3)}, sum),
		"group in group":        client.Group(add(1, 1), client.Group(add(2, 2), add(3, 3))),
		"chord in group":        client.Group(client.Chord(sigs{add(1, 1), add(2, 2)}, sum), add(5, 5)),
		"map":                   client.Map("golden.tsum", [][]int{{1, 2}, {3, 4}}),
		"starmap":               client.Starmap("golden.add", [][]int{{1, 2}, {3, 4}}),
		"chunks":                client.Chunks("golden.add", pairs, 2),
		"stamped":               stamped,
	}
}
