package dial

import (
	"strings"
	"testing"
)

func TestOpen(t *testing.T) {
	for _, c := range []struct{ url, transport, err string }{
		{"redis://:secret@localhost:6380/2", "redis", ""},
		{"rediss://localhost", "redis", ""},
		{"redis+socket:///run/redis.sock?virtual_host=1", "redis", ""},
		{"amqp://guest:secret@localhost//", "amqp", ""},
		{"pyamqp://guest:secret@localhost:5673/v", "amqp", ""},
		{"sentinel://a:secret@h:26379", "", "sentinel:// is not supported yet"},
		{"redis://a;redis://:secret@b", "redis", ""},
		{"amqp://a;amqp://guest:secret@b", "amqp", ""},
		{"redis://a;amqp://guest:secret@b", "", "of one transport"},
		{"redis://a;rediss://:secret@b", "", "one scheme"},
		{";", "", "is empty"},
		{"sqs://key:secret@", "", `no broker driver for "sqs://" (known: redis, rediss`},
		{"localhost:6379", "", "has no scheme"},
		{"redis://:sec ret@h/x", "", "redis URL"},
		{"redis://:secret@h/x", "", `database "x" is not a number`},
	} {
		b, err := Open(c.url)
		if c.err != "" {
			if err == nil || !strings.Contains(err.Error(), c.err) || strings.Contains(err.Error(), "secret") {
				t.Errorf("Open(%q): %v, want %q and no password", c.url, err, c.err)
			}
			continue
		}
		if err != nil {
			t.Errorf("Open(%q): %v", c.url, err)
			continue
		}
		if i := b.Info(); i.Transport != c.transport || strings.Contains(i.URL, "secret") {
			t.Errorf("Open(%q): %+v, want transport %s and no password", c.url, i, c.transport)
		}
		if err := b.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	}
}
