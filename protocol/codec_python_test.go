package protocol_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"os/exec"
	"testing"

	"github.com/umbel-go/umbel/internal/testenv"
	"github.com/umbel-go/umbel/protocol"
)

// kombuMessage is one line between this test and testdata/codec.py.
type kombuMessage struct {
	Serializer      string            `json:"serializer,omitempty"`
	ContentType     string            `json:"content_type"`
	ContentEncoding string            `json:"content_encoding"`
	Headers         map[string]string `json:"headers,omitempty"`
	Compression     string            `json:"compression"`
	Body            []byte            `json:"body"`
}

func (k kombuMessage) message() *protocol.Message {
	headers := protocol.Object{{Name: "task", Value: k.Headers["task"]}, {Name: "id", Value: k.Headers["id"]}}
	if c, ok := k.Headers["compression"]; ok {
		headers = append(headers, protocol.Field{Name: "compression", Value: c})
	}
	return &protocol.Message{Headers: headers, ContentType: k.ContentType, ContentEncoding: k.ContentEncoding, Body: k.Body}
}

// Random values that real kombu wrote with every serializer and compression are
// read, written again and read by kombu: they are the same.
func TestCodecAgainstKombu(t *testing.T) {
	const seed = "57"
	written, err := testenv.PythonCommand(t, "celery57", "testdata/codec.py", "write", seed).Output()
	if err != nil {
		t.Fatalf("write: %v%s", err, stderr(err))
	}
	var back bytes.Buffer
	lines := bytes.Split(bytes.TrimSpace(written), []byte("\n"))
	if len(lines) != 48 {
		t.Fatalf("kombu wrote %d messages", len(lines))
	}
	for _, line := range lines {
		var in kombuMessage
		if err := json.Unmarshal(line, &in); err != nil {
			t.Fatal(err)
		}
		out := throughGo(t, in)
		line, err := json.Marshal(out)
		if err != nil {
			t.Fatal(err)
		}
		back.Write(append(line, '\n'))
	}
	check := testenv.PythonCommand(t, "celery57", "testdata/codec.py", "check", seed)
	check.Stdin = &back
	found, err := check.Output()
	if err != nil || len(found) > 0 {
		t.Fatalf("check: %v%s\n%.3000s", err, stderr(err), found)
	}
}

// throughGo is the message after Go decoded and encoded it.
func throughGo(t *testing.T, in kombuMessage) kombuMessage {
	t.Helper()
	task, err := protocol.Decoder{Pickle: true}.Task(in.message())
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", in.Serializer, in.Headers["compression"], err, base64.StdEncoding.EncodeToString(in.Body))
	}
	if len(task.Callbacks) != 1 || task.Callbacks[0].Task != "link.me" || len(task.Chain) != 2 || len(task.Kwargs) != 3 {
		t.Fatalf("%s: callbacks %v, chain %v, kwargs %v", in.Serializer, task.Callbacks, task.Chain, task.Kwargs)
	}
	out, err := task.Encode()
	if err != nil {
		t.Fatalf("%s: %v", in.Serializer, err)
	}
	wantType, wantPacking := in.ContentType, in.Headers["compression"]
	if in.Serializer == "pickle" {
		wantType = protocol.ContentTypeJSON
	}
	if wantPacking == "application/x-bz2" {
		wantPacking = "application/x-gzip"
	}
	packing := out.Headers.String("compression")
	if out.ContentType != wantType || packing != wantPacking {
		t.Fatalf("%s %s became %s %s", in.ContentType, in.Headers["compression"], out.ContentType, packing)
	}
	return kombuMessage{ContentType: out.ContentType, ContentEncoding: out.ContentEncoding, Compression: packing, Body: out.Body}
}

// Values that kombu wraps, and one of a registered type, become Go values and are
// written again: Python reads the same ones. (The type money is registered in
// register_test.go.)
func TestTypedValuesAgainstKombu(t *testing.T) {
	written, err := testenv.PythonCommand(t, "celery57", "testdata/codec.py", "values", "-").Output()
	if err != nil {
		t.Fatalf("values: %v%s", err, stderr(err))
	}
	var back bytes.Buffer
	for line := range bytes.Lines(written) {
		var v any
		if err := protocol.Unmarshal(line, &v); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		again, err := protocol.Marshal(v)
		if err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		back.Write(append(again, '\n'))
	}
	compare := testenv.PythonCommand(t, "celery57", "testdata/codec.py", "compare", "-")
	compare.Stdin = &back
	found, err := compare.Output()
	if err != nil || len(found) > 0 {
		t.Fatalf("compare: %v%s\n%s", err, stderr(err), found)
	}
}

// stderr is what a failed command said.
func stderr(err error) string {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return "\n" + string(exit.Stderr)
	}
	return ""
}
