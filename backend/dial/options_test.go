package dial

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/umbel-go/umbel/backend"
	"github.com/umbel-go/umbel/internal/testenv"
	"github.com/umbel-go/umbel/protocol"

	redigo "github.com/gomodule/redigo/redis"
)

func TestParse(t *testing.T) {
	for _, test := range []struct {
		name  string
		value any
		want  settings
	}{
		{"result_expires", 3600, settings{expires: time.Hour}},
		{"result_expires", int64(60), settings{expires: time.Minute}},
		{"result_expires", 0.5, settings{expires: time.Second / 2}},
		{"result_expires", "90", settings{expires: 90 * time.Second}},
		{"result_expires", "24h", settings{expires: 24 * time.Hour}},
		{"result_expires", time.Minute, settings{expires: time.Minute}},
		{"result_expires", 0, settings{expires: -1}},
		{"result_expires", nil, settings{expires: -1}},
		{"result_failure_expires", 60, settings{failureExpires: time.Minute}},
		{"result_failure_expires", nil, settings{}},
		{"result_chord_expires", "0", settings{chordExpires: -1}},
		{"result_chord_expires", nil, settings{}},
		{"result_compression", "zlib", settings{compression: "zlib"}},
		{"result_compression", nil, settings{}},
		{"result_serializer", "msgpack", settings{serializer: "msgpack"}},
		{"result_persistent", true, settings{persistent: true}},
		{"result_persistent", nil, settings{}},
		{"result_chord_ordered", false, settings{unorderedChords: true}},
		{"result_chord_ordered", "true", settings{}},
		{"result_chord_ordered", nil, settings{}},
		{"result_backend_transport_options.global_keyprefix", "app", settings{keyPrefix: "app"}},
		{"result_backend_transport_options", map[string]any{"global_keyprefix": "app", "result_chord_ordered": false},
			settings{keyPrefix: "app", unorderedChords: true}},
	} {
		if got, err := parse(map[string]any{test.name: test.value}); err != nil || got != test.want {
			t.Errorf("%s = %v: got %+v, %v, want %+v", test.name, test.value, got, err, test.want)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for _, test := range []struct {
		name  string
		value any
		want  string
	}{
		{"result_expire", 1, `option "result_expire" is unknown; did you mean "result_expires"? (known: result_`},
		{"result_backend_transport_options", map[string]any{"prefix": "x"}, `"result_backend_transport_options.prefix"`},
		{"result_backend_transport_options", "x", `"result_backend_transport_options" is unknown`},
		{"result_expires", -1, "0 means for ever"},
		{"result_expires", "soon", "no number of seconds, and no duration"},
		{"result_expires", "NaN", "no number of seconds"},
		{"result_expires", 1e300, "no number of seconds"},
		{"result_expires", 20_000_000_000, "no number of seconds"},
		{"result_expires", true, "no number of seconds"},
		{"result_compression", 3, "no text"},
		{"result_serializer", "pickle", "set result_serializer to json, msgpack or yaml"},
		{"result_persistent", "maybe", "neither true nor false"},
	} {
		_, err := OpenOptions("redis://localhost", nil, map[string]any{test.name: test.value})
		if err == nil || !strings.Contains(err.Error(), test.want) || !errors.Is(err, ErrOption) {
			t.Errorf("%s = %v: %v, want %q", test.name, test.value, err, test.want)
		}
	}
}

// The options reach the driver.
func TestOpenOptions(t *testing.T) {
	url := testenv.Redis(t)
	b, err := OpenOptions(url, nil, map[string]any{
		"result_expires": 3600, "result_failure_expires": 60, "result_compression": "zlib",
		"result_backend_transport_options": map[string]any{"global_keyprefix": "app"},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	for id, status := range map[string]string{"good": protocol.StateSuccess, "bad": protocol.StateFailure} {
		if err := b.Put(t.Context(), backend.Put{Result: &protocol.Result{TaskID: id, Status: status}}); err != nil {
			t.Fatal(err)
		}
	}
	conn, err := redigo.DialURL(url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for id, want := range map[string]int{"good": 3600, "bad": 60} {
		if ttl, err := redigo.Int(conn.Do("TTL", "app_celery-task-meta-"+id)); err != nil || ttl > want || ttl < want-5 {
			t.Errorf("%s is kept for %d s, %v; want %d", id, ttl, err, want)
		}
	}
	stored, err := redigo.String(conn.Do("GET", "app_celery-task-meta-good"))
	if err != nil || !strings.HasPrefix(stored, "\x00celery-compressed\x00application/x-gzip\x00") {
		t.Errorf("stored %q, %v", stored, err)
	}
}
