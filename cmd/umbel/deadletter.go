package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/umbel-go/umbel/broker"
	"github.com/umbel-go/umbel/protocol"
)

// summary is a dead letter in a list. The names are part of the output of --json.
type summary struct {
	ID     string `json:"id"`
	Time   string `json:"time"`
	Queue  string `json:"queue"`
	Task   string `json:"task"`
	TaskID string `json:"task_id"`
	Reason string `json:"reason"`
}

func summaryOf(l broker.DeadLetter) summary {
	s := summary{ID: l.ID, Time: moment(l.Time), Queue: l.Queue, Reason: l.Reason}
	if l.Message == nil {
		return s
	}
	t, err := protocol.DecodeTask(l.Message)
	var e *protocol.Error
	switch {
	case err == nil:
		s.Task, s.TaskID = t.Name, t.ID
	case errors.As(err, &e):
		s.Task, s.TaskID = e.TaskName, e.TaskID
	}
	return s
}

// moment is how the times of dead letters are printed; "" when unknown.
func moment(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

func summaries(letters []broker.DeadLetter) []summary {
	out := make([]summary, len(letters))
	for i, l := range letters {
		out[i] = summaryOf(l)
	}
	return out
}

// contents is a dead letter with what it carries. Body is the JSON value of a
// body that is JSON; otherwise Text has the body, or Base64 when it is no text.
type contents struct {
	summary
	Headers         json.RawMessage `json:"headers"`
	ContentType     string          `json:"content_type"`
	ContentEncoding string          `json:"content_encoding"`
	Body            json.RawMessage `json:"body,omitempty"`
	Text            string          `json:"body_text,omitempty"`
	Base64          string          `json:"body_base64,omitempty"`
}

func contentsOf(l broker.DeadLetter) contents {
	c := contents{summary: summaryOf(l), Headers: json.RawMessage("{}")}
	m := l.Message
	if m == nil {
		return c
	}
	c.ContentType, c.ContentEncoding = m.ContentType, m.ContentEncoding
	if headers, err := protocol.Marshal(m.Headers); err == nil && len(m.Headers) > 0 {
		c.Headers = asJSON(headers)
	}
	switch {
	case json.Valid(m.Body):
		c.Body = m.Body
	case utf8.Valid(m.Body):
		c.Text = string(m.Body)
	default:
		c.Base64 = base64.StdEncoding.EncodeToString(m.Body)
	}
	return c
}

// asJSON makes kombu's dialect, which has NaN, a JSON text that other programs
// can read: what they cannot becomes a string.
func asJSON(raw []byte) json.RawMessage {
	if json.Valid(raw) {
		return raw
	}
	quoted, _ := json.Marshal(string(raw)) // a string always can
	return quoted
}

func writeJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// reasonWidth keeps a row of the table readable; show has the whole reason.
const reasonWidth = 100

func writeTable(w io.Writer, rows []summary) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "ID\tTIME\tQUEUE\tTASK\tTASK ID\tREASON")
	for _, s := range rows {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\n", printable(s.ID), s.Time, printable(s.Queue),
			orDash(printable(s.Task)), orDash(printable(s.TaskID)), shorten(printable(s.Reason), reasonWidth))
	}
	return t.Flush() // a tabwriter keeps its rows, and the first error, until here
}

func writeLetter(w io.Writer, c contents) error {
	var out bytes.Buffer
	for _, f := range [][2]string{
		{"id", c.ID}, {"time", c.Time}, {"queue", c.Queue}, {"task", orDash(c.Task)}, {"task id", orDash(c.TaskID)},
		{"reason", c.Reason}, {"content", strings.TrimSpace(c.ContentType + " " + c.ContentEncoding)},
	} {
		fmt.Fprintf(&out, "%-8s %s\n", f[0], printable(f[1]))
	}
	fmt.Fprintf(&out, "\nheaders\n%s\n", indented(c.Headers))
	switch {
	case c.Body != nil:
		fmt.Fprintf(&out, "\nbody\n%s\n", indented(c.Body))
	case c.Base64 != "":
		fmt.Fprintf(&out, "\nbody (base64)\n%s\n", c.Base64)
	default:
		fmt.Fprintf(&out, "\nbody (not JSON)\n%s\n", printable(c.Text))
	}
	_, err := w.Write(out.Bytes())
	return err
}

func indented(raw json.RawMessage) string {
	var b bytes.Buffer
	if err := json.Indent(&b, raw, "", "  "); err != nil {
		return printable(string(raw))
	}
	lines := strings.Split(b.String(), "\n")
	for i, l := range lines {
		lines[i] = printable(l)
	}
	return strings.Join(lines, "\n")
}

// printable keeps what a producer wrote from steering the reader's terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) || r == utf8.RuneError {
			return ' '
		}
		return r
	}, s)
}

func shorten(s string, width int) string {
	r := []rune(s)
	if len(r) <= width {
		return s
	}
	return string(r[:width-3]) + "..."
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
