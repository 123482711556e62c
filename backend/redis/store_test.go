package redis_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	redigo "github.com/gomodule/redigo/redis"

	"github.com/umbel-go/umbel/backend"
	"github.com/umbel-go/umbel/backend/redis"
	"github.com/umbel-go/umbel/internal/testenv"
	"github.com/umbel-go/umbel/protocol"
)

// raw is a connection to look at what is really stored.
type raw struct {
	t *testing.T
	redigo.Conn
}

func dial(t *testing.T, url string) raw {
	t.Helper()
	c, err := redigo.DialURL(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return raw{t, c}
}

func (r raw) do(command string, args ...any) any {
	r.t.Helper()
	reply, err := r.Do(command, args...)
	if err != nil {
		r.t.Fatalf("%s: %v", command, err)
	}
	return reply
}

func (r raw) text(command string, args ...any) string {
	r.t.Helper()
	s, err := redigo.String(r.do(command, args...), nil)
	if err != nil {
		r.t.Fatalf("%s: %v", command, err)
	}
	return s
}

func (r raw) number(command string, args ...any) int {
	r.t.Helper()
	n, err := redigo.Int(r.do(command, args...), nil)
	if err != nil {
		r.t.Fatalf("%s: %v", command, err)
	}
	return n
}

func bounded(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func result(id, status, value string) *protocol.Result {
	return &protocol.Result{TaskID: id, Status: status, Value: protocol.Raw(value)}
}

func put(t *testing.T, b *redis.Backend, results ...*protocol.Result) {
	t.Helper()
	for _, r := range results {
		if err := b.Put(bounded(t), backend.Put{Result: r}); err != nil {
			t.Fatal(err)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	for _, url := range []string{"", "amqp://localhost", "redis://localhost/x", "redis://:s%zzecret@localhost"} {
		_, err := redis.New(redis.Config{URL: url})
		if err == nil {
			t.Errorf("%q is accepted", url)
		} else if strings.Contains(err.Error(), "ecret") {
			t.Errorf("the error shows the password: %v", err)
		}
	}
	for _, name := range []string{"pickle", "own"} {
		_, err := redis.New(redis.Config{URL: "redis://localhost", Serializer: name})
		if err == nil || !strings.Contains(err.Error(), "set result_serializer to json, msgpack or yaml") {
			t.Errorf("serializer %s: %v", name, err)
		}
	}
	for _, method := range []string{"own", "bzip2"} {
		_, err := redis.New(redis.Config{URL: "redis://localhost", Compression: method})
		if err == nil || !strings.Contains(err.Error(), method) {
			t.Errorf("compression %s: %v", method, err)
		}
	}
}

func TestKeysAndLifetimes(t *testing.T) {
	url := testenv.Redis(t)
	look := dial(t, url)
	const day = 86400
	for _, test := range []struct {
		name    string
		cfg     redis.Config
		expires time.Duration
		key     string
		ttl     int
	}{
		{"defaults", redis.Config{}, 0, "celery-task-meta-1", day},
		{"prefix gets an underscore", redis.Config{KeyPrefix: "app", Expires: time.Hour}, 0, "app_celery-task-meta-1", 3600},
		{"prefix with a separator", redis.Config{KeyPrefix: "app:"}, 0, "app:celery-task-meta-1", day},
		{"of the result", redis.Config{KeyPrefix: "b."}, 90 * time.Second, "b.celery-task-meta-1", 90},
		{"rounded up", redis.Config{KeyPrefix: "c-"}, time.Millisecond, "c-celery-task-meta-1", 1},
		{"for ever", redis.Config{KeyPrefix: "d_", Expires: -1}, 0, "d_celery-task-meta-1", -1},
		{"this one for ever", redis.Config{KeyPrefix: "e"}, -1, "e_celery-task-meta-1", -1},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.cfg.URL = url
			b := open(t, test.cfg)
			r := result("1", protocol.StateSuccess, "5")
			if err := b.Put(bounded(t), backend.Put{Result: r, Expires: test.expires}); err != nil {
				t.Fatal(err)
			}
			if ttl := look.number("TTL", test.key); ttl > test.ttl || ttl < test.ttl-5 {
				t.Errorf("ttl of %s is %d, want %d", test.key, ttl, test.ttl)
			}
			want := `{"status": "SUCCESS", "result": 5, "traceback": null, "children": [], "date_done": null, "task_id": "1"}`
			if got := look.text("GET", test.key); got != want {
				t.Errorf("stored %s, want %s", got, want)
			}
		})
	}
}

func TestLifetimesOfFailuresAndGroups(t *testing.T) {
	url := testenv.Redis(t)
	look := dial(t, url)
	const result, group = "celery-task-meta-1", "celery-taskset-meta-1"
	for _, test := range []struct {
		name          string
		cfg           redis.Config
		failed, saved int
	}{
		{"defaults", redis.Config{}, 86400, 86400},
		{"as results", redis.Config{Expires: time.Hour}, 3600, 3600},
		{"longer", redis.Config{Expires: time.Hour, FailureExpires: 3 * time.Hour, ChordExpires: 2 * time.Hour}, 10800, 7200},
		{"shorter", redis.Config{Expires: time.Hour, FailureExpires: time.Minute, ChordExpires: time.Minute}, 60, 3600},
		{"for ever", redis.Config{Expires: time.Hour, FailureExpires: -1, ChordExpires: -1}, -1, -1},
		{"results for ever", redis.Config{Expires: -1, ChordExpires: time.Minute}, -1, -1},
	} {
		t.Run(test.name, func(t *testing.T) {
			look.do("FLUSHDB")
			test.cfg.URL = url
			b := open(t, test.cfg)
			put(t, b, &protocol.Result{TaskID: "1", Status: protocol.StateFailure})
			if err := b.PutGroup(bounded(t), "1", protocol.Tuple{ID: "1", Group: true}.Raw()); err != nil {
				t.Fatal(err)
			}
			for key, want := range map[string]int{result: test.failed, group: test.saved} {
				if ttl := look.number("TTL", key); ttl > want || ttl < want-5 {
					t.Errorf("ttl of %s is %d, want %d", key, ttl, want)
				}
			}
		})
	}
}

// Writers race for one id; whoever stores the first success ends it, compressed
// or not.
func TestFirstSuccessWins(t *testing.T) {
	url := testenv.Redis(t)
	for _, method := range []string{"", "zlib"} {
		id := "raced" + method
		b := open(t, redis.Config{URL: url, Compression: method})
		seen := dial(t, url)
		seen.do("SUBSCRIBE", "celery-task-meta-"+id)
		var writing sync.WaitGroup
		for n := range 8 {
			writing.Go(func() {
				for i := range 20 {
					r := result(id, protocol.StateFailure, "null")
					if i > 10 {
						r = result(id, protocol.StateSuccess, strconv.Itoa(n*100+i))
					}
					if err := b.Put(t.Context(), backend.Put{Result: r}); err != nil {
						t.Error(err)
					}
				}
			})
		}
		writing.Wait()
		stored, err := b.Get(bounded(t), id)
		if err != nil {
			t.Fatal(err)
		}
		dial(t, url).do("PUBLISH", "celery-task-meta-"+id, "end")
		last := ""
		for {
			push, err := redigo.ByteSlices(seen.Receive())
			if err != nil {
				t.Fatal(err)
			}
			if string(push[2]) == "end" {
				break
			}
			last = string(push[2])
		}
		if value := dial(t, url).text("GET", "celery-task-meta-"+id); stored.Status != protocol.StateSuccess || last != value {
			t.Errorf("%q: stored is %q, pushed last was %q", method, value, last)
		}
	}
}

// compressed returns in-band compressed values: as Celery 5.7 wrote them, and
// one with bzip2 by Python's bz2.
func compressed(t *testing.T) (zlibJSON, zlibMsgpack, bz2JSON []byte) {
	t.Helper()
	data, err := os.ReadFile("testdata/compressed.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct {
		Raw struct{ Base64 []byte }
	}
	if err := json.Unmarshal(data, &cases); err != nil {
		t.Fatal(err)
	}
	bz2JSON, err = base64.StdEncoding.DecodeString(
		"AGNlbGVyeS1jb21wcmVzc2VkAGFwcGxpY2F0aW9uL3gtYnoyAEJaaDkxQVkmU1k39UmYAAAzH4BQBACQCgAKCr5tnkogAEhohqBoabSNqaNBFPapo9CZPU0G" +
			"mmEg8gZDHvizV5zAuZXtTd0keCWYksHJTXb1pqaNodRSXifbEelRRCdfKF+SWB76qEcHsBqWbWYP8XckU4UJA39UmYA=")
	if err != nil {
		t.Fatal(err)
	}
	return cases[0].Raw.Base64, cases[1].Raw.Base64, bz2JSON
}

func TestReadsCompressed(t *testing.T) {
	url := testenv.Redis(t)
	b, look := open(t, redis.Config{URL: url}), dial(t, url)
	zlibJSON, zlibMsgpack, bz2JSON := compressed(t)
	for _, test := range []struct {
		name, value string
		wantErr     string
	}{
		{"zlib", string(zlibJSON), ""},
		{"bzip2", string(bz2JSON), ""},
		{"msgpack inside", string(zlibMsgpack), "the result_serializer of its writer"},
		{"pickle", "\x80\x04\x95", "the result_serializer of its writer"},
		{"unknown", "\x00celery-compressed\x00application/x-own\x00...", `"application/x-own" is not supported`},
		{"broken zlib", "\x00celery-compressed\x00application/x-gzip\x00no", "decompress zlib"},
		{"no method", "\x00celery-compressed\x00\x00{}", "cut off"},
		{"cut off", "\x00celery-compressed\x00application", "cut off"},
		{"cut off JSON", `{"status": "SUCC`, "unfinished"},
		{"empty", "", "JSON"},
	} {
		t.Run(test.name, func(t *testing.T) {
			look.do("SET", "celery-task-meta-x", test.value)
			r, err := b.Get(bounded(t), "x")
			switch {
			case test.wantErr == "" && (err != nil || r.Status != protocol.StateSuccess):
				t.Errorf("got %+v, %v", r, err)
			case test.wantErr != "" && (err == nil || !strings.Contains(err.Error(), test.wantErr)):
				t.Errorf("error is %v, want %q", err, test.wantErr)
			}
		})
	}
}

func TestPutOverForeignValues(t *testing.T) {
	url := testenv.Redis(t)
	b, look := open(t, redis.Config{URL: url}), dial(t, url)
	zlibJSON, _, bz2JSON := compressed(t)
	for _, test := range []struct {
		name, stored string
		kept         bool
	}{
		{"zlib success", string(zlibJSON), true},
		{"bzip2 success", string(bz2JSON), true},
		{"success in another order", `{"task_id": "x", "status": "SUCCESS", "result": 1}`, true},
		{"success without blanks", `{"status":"SUCCESS","result":1,"task_id":"x"}`, true},
		{"failure in another order", `{"task_id": "x", "status": "FAILURE", "result": null}`, false},
		{"name that begins alike", `{"status": "SUCCESSFUL", "result": null}`, false},
		{"unreadable", "\x80\x04\x95", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			look.do("SET", "celery-task-meta-x", test.stored)
			put(t, b, result("x", protocol.StateFailure, "null"))
			if kept := look.text("GET", "celery-task-meta-x") == test.stored; kept != test.kept {
				t.Errorf("kept %v, want %v", kept, test.kept)
			}
		})
	}
}

func TestUnreachable(t *testing.T) {
	server := testenv.RedisServer(t)
	b := open(t, redis.Config{URL: server.URL})
	put(t, b, result("x", protocol.StateStarted, "null"))
	server.Kill()
	ctx := bounded(t)
	_, getErr := b.Get(ctx, "x")
	_, watchErr := b.Watch(ctx, "x")
	_, partErr := b.AddPart(ctx, backend.Part{Group: "g", Result: result("x", protocol.StateSuccess, "1")})
	for name, err := range map[string]error{
		"put": b.Put(ctx, backend.Put{Result: result("x", protocol.StateSuccess, "1")}),
		"get": getErr, "watch": watchErr, "forget": b.Forget(ctx, "x"), "part": partErr,
		"start": b.StartChord(ctx, protocol.ChordStart{Group: "g", Size: 1}),
	} {
		if !errors.Is(err, backend.ErrConnection) {
			t.Errorf("%s: %v", name, err)
		}
	}
	server.Start()
	put(t, b, result("x", protocol.StateSuccess, "1"))
}

func TestServerRefusesWrites(t *testing.T) {
	server := testenv.RedisServer(t)
	b, look := open(t, redis.Config{URL: server.URL}), dial(t, server.URL)
	put(t, b, result("x", protocol.StateStarted, "null"))
	look.do("CONFIG", "SET", "maxmemory", "1")
	err := b.Put(bounded(t), backend.Put{Result: result("x", protocol.StateSuccess, "1")},
		backend.Put{Result: result("y", protocol.StateSuccess, "1")})
	if err == nil || !strings.Contains(err.Error(), "OOM") || !strings.Contains(err.Error(), "result of x") {
		t.Fatalf("got %v", err)
	}
	look.do("CONFIG", "SET", "maxmemory", "0")
	look.do("SCRIPT", "FLUSH")
	put(t, b, result("x", protocol.StateSuccess, "1"))
}
