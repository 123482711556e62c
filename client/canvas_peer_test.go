package client_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"os"
	"testing"

	"github.com/umbel-go/umbel/internal/testenv"
	"github.com/umbel-go/umbel/protocol"
)

// answer is a line of canvas_peer.py.
type answer struct {
	Error     string          `json:"error"`
	Signature json.RawMessage `json:"signature"`
	Built     told            `json:"built"`
	Decoded   told            `json:"decoded"`
}

// A random canvas sends message for message what Celery sends for it: built with
// our API or read from Celery's JSON, at first and when its tasks succeed.
func TestCanvasIsCelerys(t *testing.T) {
	n := 300
	if testenv.Full() {
		n = 3000
	}
	cases := make([]canvasCase, n)
	for i := range cases {
		g := &generator{Rand: rand.New(rand.NewPCG(2, uint64(i)))}
		cases[i] = g.canvasCase()
	}
	wrong, astrayCases := map[string]int{}, 0
	for i, a := range askCelery(t, cases) {
		c := cases[i]
		if a.Error != "" { // a canvas that Celery cannot build
			wrong["cannot build"]++
			continue
		}
		if w := astray(a.Built); w != "" {
			wrong[w]++
			astrayCases++
		}
		opts := make(protocol.Object, 0, len(c.Options))
		for name, v := range c.Options {
			opts = append(opts, protocol.Field{Name: name, Value: v})
		}
		read, err := protocol.DecodeSignature(a.Signature)
		if err != nil {
			t.Fatalf("case %d %s: %v", i, c, err)
		}
		if d := differentRun(a.Decoded, runCanvas(read, c.Args, opts)); d != "" {
			t.Errorf("case %d read %s\n\t%s\n\t%s", i, c, a.Signature, d)
		}
		if d := differentRun(a.Built, runCanvas(c.Canvas.build(), c.Args, opts)); d != "" {
			t.Errorf("case %d built %s\n\t%s", i, c, d)
		}
	}
	t.Logf("of %d canvases Celery goes astray with %v", n, wrong)
	if astrayCases > n/5 {
		t.Errorf("only %d of %d canvases were compared", n-astrayCases, n)
	}
}

// askCelery runs all cases through one Python process.
func askCelery(t *testing.T, cases []canvasCase) []answer {
	t.Helper()
	var in bytes.Buffer
	for _, c := range cases {
		in.WriteString(c.String() + "\n")
	}
	cmd := testenv.PythonCommand(t, "celery57", "testdata/canvas_peer.py")
	cmd.Stdin, cmd.Stderr = &in, os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(bytes.NewReader(out))
	answers := make([]answer, len(cases))
	for i := range answers {
		line, err := lines.ReadBytes('\n')
		if err == nil {
			err = json.Unmarshal(line, &answers[i])
		}
		if err != nil {
			t.Fatalf("answer %d: %v", i, err)
		}
	}
	return answers
}
