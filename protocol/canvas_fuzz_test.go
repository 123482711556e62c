package protocol_test

import (
	"testing"

	"github.com/umbel-go/umbel/protocol"
)

// Any JSON is a signature that can be applied or an error, and it sends no more
// messages than it has room to name.
func FuzzApply(f *testing.F) {
	seeds := []protocol.Signature{
		plain("a", 1), chain(plain("a"), group(plain("b"), plain("c")), plain("d")),
		chord(group(chord(group(plain("a")), plain("b")), chain(plain("c"), group(plain("x"), plain("y")))), chain(plain("d"), group(plain("e"), plain("f")), chord(group(plain("g"), plain("h")), plain("i")))),
		with(chain(group(plain("a"), plain("b")), group(plain("c"), plain("d")), group(plain("e"))), "link", plain("l")),
		with(group(group(plain("a"), chain()), with(plain("b"), "stamped_headers", []string{"s"})), "chain", []protocol.Signature{plain("n"), group(plain("m"), plain("o"))}),
		with(chord(group(), plain("b")), "link_error", plain("e")),
		{Task: protocol.TaskChunks, SubtaskType: protocol.SubtaskChunks, Kwargs: protocol.Object{{Name: "task", Value: plain("a")}, {Name: "it", Value: []int{1, 2, 3}}, {Name: "n", Value: 2}}},
	}
	for _, s := range seeds {
		raw, err := protocol.Marshal(s)
		if err != nil {
			f.Fatal(err)
		}
		f.Add([]byte(raw))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 1<<14 {
			return // the cost of clones grows with the square
		}
		sig, err := protocol.DecodeSignature(data)
		if err != nil {
			return
		}
		plan, err := protocol.Apply(sig, []any{1}, nil, testEnv())
		if err != nil {
			return
		}
		if len(plan.Sends) > len(data) {
			t.Errorf("%d messages of %d bytes", len(plan.Sends), len(data))
		}
		for _, s := range plan.Sends {
			s.Task.Serializer, s.Task.Compression = "", ""
			if _, err := s.Task.Encode(); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := protocol.DecodeTuple(plan.Result); err != nil {
			t.Errorf("result %s: %v", plan.Result, err)
		}
		protocol.Frozen(sig)
		protocol.Errbacks(sig)
	})
}
