package redis_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	redigo "github.com/gomodule/redigo/redis"

	"github.com/umbel-go/umbel/backend"
	"github.com/umbel-go/umbel/backend/redis"
	"github.com/umbel-go/umbel/internal/testenv"
	"github.com/umbel-go/umbel/protocol"
)

const groupPrefix = "celery-taskset-meta-"

func addPart(t *testing.T, b *redis.Backend, part backend.Part) *backend.ChordJoin {
	t.Helper()
	join, err := b.AddPart(bounded(t), part)
	if err != nil {
		t.Fatal(err)
	}
	return join
}

func at(i int) *int { return &i }

func values(join *backend.ChordJoin) string {
	if join == nil {
		return "no join"
	}
	var out []string
	for _, p := range join.Parts {
		out = append(out, p.TaskID+"="+string(p.Value))
	}
	return strings.Join(out, " ")
}

func wantValues(t *testing.T, join *backend.ChordJoin, want string) {
	t.Helper()
	if got := values(join); got != want {
		t.Fatalf("got %s, want %s", got, want)
	}
}

// goldenKeys are the keys of a captured chord, their values as text.
type goldenKeys map[string]struct {
	Type  string
	TTL   int
	Value any
}

type goldenState struct {
	Case  string
	Group string `json:"group_id"`
	Keys  goldenKeys
}

func goldenChords(t *testing.T) map[string]goldenState {
	t.Helper()
	data, err := os.ReadFile("testdata/chords.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct{ States []goldenState }
	if err := json.Unmarshal(data, &file); err != nil {
		t.Fatal(err)
	}
	states := map[string]goldenState{}
	for _, s := range file.States {
		states[s.Case] = s
	}
	return states
}

// compare wants the database to hold these keys and no others, with the same
// types, lifetimes and values; a claim's token is free.
func compare(t *testing.T, look raw, want goldenKeys) {
	t.Helper()
	keys, _ := redigo.Strings(look.do("KEYS", "*"), nil)
	slices.Sort(keys)
	if wanted := slices.Sorted(maps.Keys(want)); !slices.Equal(keys, wanted) {
		t.Errorf("keys are %v, want %v", keys, wanted)
	}
	for key, w := range want {
		if kind := look.text("TYPE", key); kind != w.Type {
			t.Errorf("%s is a %s, want %s", key, kind, w.Type)
		}
		if ttl := look.number("TTL", key); ttl > w.TTL+1 || ttl < w.TTL-2 {
			t.Errorf("ttl of %s is %d, want %d", key, ttl, w.TTL)
		}
		var got any
		switch w.Type {
		case "string":
			got = look.text("GET", key)
			if s, _ := w.Value.(string); len(s) == 32 {
				w.Value = got
			}
		case "set":
			got, _ = redigo.Strings(look.do("SMEMBERS", key), nil)
			slices.Sort(got.([]string))
		case "zset":
			scores, _ := redigo.Strings(look.do("ZRANGE", key, 0, -1, "WITHSCORES"), nil)
			var pairs []string
			for pair := range slices.Chunk(scores, 2) {
				pairs = append(pairs, fmt.Sprint(pair))
			}
			got = pairs
		}
		if fmt.Sprint(got) != fmt.Sprint(w.Value) {
			t.Errorf("%s is\n%v, want\n%v", key, got, w.Value)
		}
	}
}

func TestChordKeysAreCelerys(t *testing.T) {
	url := testenv.Redis(t)
	b, look, golden := open(t, redis.Config{URL: url}), dial(t, url), goldenChords(t)
	half := golden["keys of a chord, one of two parts done"]
	if err := b.StartChord(bounded(t), protocol.ChordStart{Group: half.Group, Size: 2}); err != nil {
		t.Fatal(err)
	}
	addPart(t, b, backend.Part{Group: half.Group, Index: at(0), Result: result("0331e336-fc1b-4f05-95c5-31283b7c2d77", "SUCCESS", "2")})
	compare(t, look, half.Keys)

	join := addPart(t, b, backend.Part{Group: half.Group, Index: at(1), Result: result("7d6b7fcf-6367-4bc9-be8e-7a403e603982", "SUCCESS", "4")})
	if ok, err := join.Extend(bounded(t)); !ok || err != nil {
		t.Fatal(ok, err)
	}
	if ttl := look.number("TTL", groupPrefix+half.Group+".c"); ttl < 19 || ttl > 21 {
		t.Errorf("a claim to publish lasts %d s", ttl)
	}
	if err := join.Done(bounded(t)); err != nil {
		t.Fatal(err)
	}
	compare(t, look, golden["keys of a chord that is done"].Keys)
}

func TestFailedChordKeysAreCelerys(t *testing.T) {
	url := testenv.Redis(t)
	b, look, golden := open(t, redis.Config{URL: url}), dial(t, url), goldenChords(t)
	const group = "65e0cf84-229d-45d7-a235-1bd5ead33336"
	if err := b.StartChord(bounded(t), protocol.ChordStart{Group: group, Size: 2}); err != nil {
		t.Fatal(err)
	}
	addPart(t, b, backend.Part{Group: group, Index: at(0), Result: result("0f845f77-799e-4d53-a4ba-328cb406134c", "SUCCESS", "2")})
	failed := result("97c3a670-705f-4e43-9d14-e665a3299767", "FAILURE", `{"exc_type":"ValueError","exc_message":["boom",42],"exc_module":"builtins"}`)
	join := addPart(t, b, backend.Part{Group: group, Index: at(1), Result: failed})
	if err := join.Failed(bounded(t)); err != nil {
		t.Fatal(err)
	}
	compare(t, look, golden["keys of a chord that failed"].Keys)
}

func TestChordWithAPeerOfCelery56(t *testing.T) {
	url := testenv.Redis(t)
	b, look := open(t, redis.Config{URL: url}), dial(t, url)
	// The peer ran both tasks first and left no set of counted parts; its copy of
	// the second has another value than ours.
	if err := b.StartChord(bounded(t), protocol.ChordStart{Group: "g", Size: 3}); err != nil {
		t.Fatal(err)
	}
	look.do("ZADD", groupPrefix+"g.j", 0, `[1, "a", "SUCCESS", 10]`)
	look.do("ZADD", groupPrefix+"g.j", 1, `[1, "b", "SUCCESS", 20]`)
	wantValues(t, addPart(t, b, backend.Part{Group: "g", Index: at(0), Result: result("a", "SUCCESS", "10")}), "no join")
	wantValues(t, addPart(t, b, backend.Part{Group: "g", Index: at(1), Result: result("b", "SUCCESS", "21")}), "no join")
	join := addPart(t, b, backend.Part{Group: "g", Index: at(2), Result: result("c", "SUCCESS", "30")})
	wantValues(t, join, "a=10 b=20 c=30")
}

func TestChordOfCelery50(t *testing.T) {
	url := testenv.Redis(t)
	b := open(t, redis.Config{URL: url})
	part := func(i int) backend.Part {
		return backend.Part{Group: "g", Index: at(i), Body: protocol.Signature{ChordSize: 2}, Result: result(fmt.Sprint(i), "SUCCESS", "1")}
	}
	wantValues(t, addPart(t, b, part(0)), "no join")
	join := addPart(t, b, part(1))
	wantValues(t, join, "0=1 1=1")
	if ok, err := join.Extend(bounded(t)); !ok || err != nil {
		t.Fatal(ok, err)
	}
	if err := join.Failed(bounded(t)); err != nil {
		t.Fatal(err)
	}
	wantValues(t, addPart(t, b, part(1)), "no join")
}

func TestChordUnordered(t *testing.T) {
	url := testenv.Redis(t)
	b := open(t, redis.Config{URL: url, UnorderedChords: true})
	if err := b.StartChord(bounded(t), protocol.ChordStart{Group: "g", Size: 2}); err != nil {
		t.Fatal(err)
	}
	wantValues(t, addPart(t, b, backend.Part{Group: "g", Index: at(1), Result: result("b", "SUCCESS", "1")}), "no join")
	wantValues(t, addPart(t, b, backend.Part{Group: "g", Index: at(1), Result: result("b", "SUCCESS", "2")}), "no join")
	wantValues(t, addPart(t, b, backend.Part{Group: "g", Index: at(0), Result: result("a", "SUCCESS", "3")}), "b=1 a=3")
}

func TestChordClaimLapses(t *testing.T) {
	url := testenv.Redis(t)
	b, look := open(t, redis.Config{URL: url}), dial(t, url)
	if err := b.StartChord(bounded(t), protocol.ChordStart{Group: "g", Size: 1}); err != nil {
		t.Fatal(err)
	}
	part := backend.Part{Group: "g", Result: result("a", "SUCCESS", "1")}
	first := addPart(t, b, part)
	wantValues(t, first, "a=1")
	wantValues(t, addPart(t, b, part), "no join")

	look.do("DEL", groupPrefix+"g.c") // as its expiry does
	second := addPart(t, b, part)
	wantValues(t, second, "a=1")
	if ok, err := first.Extend(bounded(t)); ok || err != nil {
		t.Fatalf("two hold the claim: %v, %v", ok, err)
	}
	if err := first.Done(bounded(t)); err != nil {
		t.Fatal(err)
	}
	if look.number("EXISTS", groupPrefix+"g.j") != 1 {
		t.Fatal("one without the claim forgot the parts")
	}

	look.do("DEL", groupPrefix+"g.c")
	if ok, err := second.Extend(bounded(t)); !ok || err != nil {
		t.Fatalf("a lapsed claim is not taken back: %v, %v", ok, err)
	}
	if err := second.Done(bounded(t)); err != nil {
		t.Fatal(err)
	}
	wantValues(t, addPart(t, b, part), "no join")
}

// A claim that was won by a call that then failed is found again by the next one.
func TestChordClaimSurvivesAnError(t *testing.T) {
	url := testenv.Redis(t)
	b, look := open(t, redis.Config{URL: url}), dial(t, url)
	if err := b.StartChord(bounded(t), protocol.ChordStart{Group: "g", Size: 1}); err != nil {
		t.Fatal(err)
	}
	look.do("RPUSH", groupPrefix+"g", "not a string")
	part := backend.Part{Group: "g", Result: result("a", "SUCCESS", "1")}
	if _, err := b.AddPart(bounded(t), part); err == nil || !strings.Contains(err.Error(), "chord g: part of task a") {
		t.Fatalf("got %v", err)
	}
	look.do("DEL", groupPrefix+"g")
	wantValues(t, addPart(t, b, part), "a=1")
	wantValues(t, addPart(t, b, part), "no join")
}

func TestChordUnreadablePart(t *testing.T) {
	url := testenv.Redis(t)
	b, look := open(t, redis.Config{URL: url}), dial(t, url)
	if err := b.StartChord(bounded(t), protocol.ChordStart{Group: "g", Size: 2}); err != nil {
		t.Fatal(err)
	}
	look.do("ZADD", groupPrefix+"g.j", 0, "\x80\x04")
	join := addPart(t, b, backend.Part{Group: "g", Index: at(1), Result: result("b", "SUCCESS", "1")})
	if join == nil || join.Parts[0].Status != protocol.StateFailure || !strings.Contains(string(join.Parts[0].Value), "result_serializer") {
		t.Fatalf("got %s", values(join))
	}
}

func TestChordOfASavedGroup(t *testing.T) {
	url := testenv.Redis(t)
	b := open(t, redis.Config{URL: url})
	// Members a, a group of b and c, and d; d's result comes a little late.
	inner := protocol.GroupTuple("inner", nil, []protocol.Raw{protocol.ResultTuple("b", nil), protocol.ResultTuple("c", protocol.ResultTuple("p", nil))})
	tuple := protocol.GroupTuple("g", nil, []protocol.Raw{protocol.ResultTuple("a", nil), inner, protocol.Raw(`["d", null]`)})
	if err := b.PutGroup(bounded(t), "g", tuple); err != nil {
		t.Fatal(err)
	}
	if err := b.StartChord(bounded(t), protocol.ChordStart{Group: "g", Size: 1}); err != nil {
		t.Fatal(err)
	}
	put(t, b, result("a", "SUCCESS", "1"), result("b", "SUCCESS", `"é"`), result("c", "SUCCESS", "[3]"), result("d", "STARTED", "null"))
	late := time.AfterFunc(100*time.Millisecond, func() { put(t, b, result("d", "SUCCESS", "4")) })
	defer late.Stop()
	part := backend.Part{Group: "g", Index: at(0), Result: result("a", "SUCCESS", "1")}
	join := addPart(t, b, part)
	wantValues(t, join, `a=1 inner=["é", [3]] d=4`)

	look := dial(t, url)
	look.do("DEL", groupPrefix+"g.c", "celery-task-meta-c")
	put(t, b, result("c", "FAILURE", `{"exc_type": "ValueError"}`))
	wantValues(t, addPart(t, b, part), `a=1 c={"exc_type": "ValueError"} d=4`)

	look.do("DEL", groupPrefix+"g.c", "celery-task-meta-d")
	join = addPart(t, b, part)
	if d := join.Parts[2]; d.TaskID != "d" || protocol.DecodeException(d.Value).Type != "TimeoutError" {
		t.Fatalf("a result that never comes is %s", d.Value)
	}
}

// TestChordPartsWithoutIndex adds parts that have no place of their own beside
// those of a peer of Celery 5.6, which leaves no set of counted parts.
func TestChordPartsWithoutIndex(t *testing.T) {
	for name, cfg := range map[string]redis.Config{
		"json":            {},
		"msgpack":         {Serializer: "msgpack"},
		"yaml":            {Serializer: "yaml"},
		"compressed yaml": {Serializer: "yaml", Compression: "zlib"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg.URL = testenv.Redis(t)
			b, look := open(t, cfg), dial(t, cfg.URL)
			if err := b.StartChord(bounded(t), protocol.ChordStart{Group: "g", Size: 5}); err != nil {
				t.Fatal(err)
			}
			placeless := func(id string) *backend.ChordJoin {
				return addPart(t, b, backend.Part{Group: "g", Result: result(id, "SUCCESS", "1")})
			}
			addPart(t, b, backend.Part{Group: "g", Index: at(0), Result: result("m", "SUCCESS", "2")})
			for _, id := range []string{"m", "a", "mm", "a"} {
				wantValues(t, placeless(id), "no join")
			}
			if cfg.Serializer != "yaml" {
				look.do("DEL", groupPrefix+"g.d")
				wantValues(t, placeless("m"), "no join")
				wantValues(t, placeless("a"), "no join")
			}
			if join := placeless("z"); join == nil || len(join.Parts) != 5 {
				t.Errorf("got %s, want five parts", values(join))
			}
		})
	}
}
