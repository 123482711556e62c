package redis_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"github.com/umbel-go/umbel/backend"
	"github.com/umbel-go/umbel/backend/redis"
	"github.com/umbel-go/umbel/internal/testenv"
	"github.com/umbel-go/umbel/protocol"
)

const (
	chordRecord = "umbel:chord:"
	chordIndex  = "umbel:chords"
)

// body is a frozen signature with what follows it.
var body = protocol.Signature{Task: "sum", Options: protocol.Object{
	{Name: "task_id", Value: "body-id"}, {Name: "chain", Value: []any{protocol.Signature{Task: "after"}}},
}}

func startChord(t *testing.T, b *redis.Backend, group string, size int) {
	t.Helper()
	start := protocol.ChordStart{Group: group, Size: size, Body: body, RootID: "root"}
	if err := b.StartChord(bounded(t), start); err != nil {
		t.Fatal(err)
	}
}

// part is a header task's, with the body in its message.
func part(group string, index int, value string) backend.Part {
	id := fmt.Sprintf("%s-%d", group, index)
	return backend.Part{Group: group, Index: at(index), Result: result(id, "SUCCESS", value), Body: body, RootID: "root"}
}

func orphans(t *testing.T, b *redis.Backend) []backend.OrphanChord {
	t.Helper()
	found, err := b.OrphanChords(bounded(t))
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// due makes the chord due to be looked at.
func due(look raw, group string) { look.do("ZADD", chordIndex, "XX", 0, group) }

// adopt waits for the one chord that b is handed, and wants it whole.
func adopt(t *testing.T, b *redis.Backend, group, parts string) *backend.ChordJoin {
	t.Helper()
	var found []backend.OrphanChord
	testenv.Eventually(t, 15*time.Second, func() error {
		if found = orphans(t, b); len(found) != 1 {
			return fmt.Errorf("%d orphans", len(found))
		}
		return nil
	})
	got, _ := protocol.Marshal(found[0].Start.Body)
	want, _ := protocol.Marshal(body)
	if s := found[0].Start; s.Group != group || s.RootID != "root" || string(got) != string(want) {
		t.Fatalf("got %+v", s)
	}
	wantValues(t, found[0].Join, parts)
	return found[0].Join
}

func finish(t *testing.T, join *backend.ChordJoin) {
	t.Helper()
	if ok, err := join.Extend(bounded(t)); !ok || err != nil {
		t.Fatalf("extend: %v, %v", ok, err)
	}
	if err := join.Done(bounded(t)); err != nil {
		t.Fatal(err)
	}
}

func wantForgotten(t *testing.T, look raw, group string) {
	t.Helper()
	if look.number("EXISTS", chordRecord+group) != 0 || look.number("ZCARD", chordIndex) != 0 {
		t.Errorf("chord %s is still recorded", group)
	}
}

// The holder of the claim dies before it sends the body; of many processes that
// look, one finishes the chord, when the claim has lapsed.
func TestOrphanIsAdoptedOnce(t *testing.T) {
	t.Parallel()
	url := testenv.Redis(t)
	b, look := open(t, redis.Config{URL: url}), dial(t, url)
	startChord(t, b, "g", 2)
	addPart(t, b, part("g", 0, "1"))
	dead := addPart(t, b, part("g", 1, "2"))
	wantValues(t, dead, "g-0=1 g-1=2")
	due(look, "g")
	if found := orphans(t, b); len(found) != 0 {
		t.Fatalf("a claim that is held was taken: %+v", found)
	}
	if next := look.number("ZSCORE", chordIndex, "g"); next > int(time.Now().Unix())+10 {
		t.Errorf("it is looked at again in %d s", next-int(time.Now().Unix()))
	}

	testenv.Eventually(t, 15*time.Second, func() error {
		if n := look.number("EXISTS", groupPrefix+"g.c"); n != 0 {
			return fmt.Errorf("the claim has not lapsed")
		}
		return nil
	})
	due(look, "g")
	var mu sync.Mutex
	var found []backend.OrphanChord
	var looking sync.WaitGroup
	for range 8 {
		janitor := open(t, redis.Config{URL: url})
		looking.Go(func() {
			o, err := janitor.OrphanChords(bounded(t))
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			found = append(found, o...)
		})
	}
	looking.Wait()
	if len(found) != 1 {
		t.Fatalf("%d processes adopted the chord", len(found))
	}
	if ok, err := dead.Extend(bounded(t)); ok || err != nil {
		t.Fatalf("the dead holder came back: %v, %v", ok, err)
	}
	finish(t, found[0].Join)
	wantForgotten(t, look, "g")
	wantValues(t, addPart(t, b, part("g", 1, "2")), "no join")
}

func TestSlowHolderIsNotRobbed(t *testing.T) {
	url := testenv.Redis(t)
	b, look := open(t, redis.Config{URL: url}), dial(t, url)
	startChord(t, b, "g", 1)
	slow := addPart(t, b, part("g", 0, "1"))
	for range 3 {
		look.do("EXPIRE", groupPrefix+"g.c", 1)
		if ok, err := slow.Extend(bounded(t)); !ok || err != nil {
			t.Fatalf("extend: %v, %v", ok, err)
		}
		due(look, "g")
		if found := orphans(t, b); len(found) != 0 {
			t.Fatal("its claim was taken")
		}
	}
	if next := look.number("ZSCORE", chordIndex, "g"); next < int(time.Now().Unix())+15 {
		t.Errorf("it is looked at again in %d s, while its claim lasts", next-int(time.Now().Unix()))
	}
	finish(t, slow)
	wantForgotten(t, look, "g")
}

// The one who takes a claim may die as well.
func TestOrphanOfAJanitor(t *testing.T) {
	url := testenv.Redis(t)
	b, look := open(t, redis.Config{URL: url}), dial(t, url)
	startChord(t, b, "g", 1)
	addPart(t, b, part("g", 0, "1"))
	for range 2 {
		look.do("DEL", groupPrefix+"g.c") // as its expiry does
		due(look, "g")
		adopt(t, b, "g", "g-0=1")
	}
}

// The embedded broker may be miniredis.
func TestOrphanOnMiniredis(t *testing.T) {
	server := miniredis.RunT(t)
	b := open(t, redis.Config{URL: "redis://" + server.Addr()})
	look := dial(t, "redis://"+server.Addr())
	startChord(t, b, "g", 2)
	for i := range 2 {
		addPart(t, b, part("g", i, "1"))
		due(look, "g")
		if found := orphans(t, b); len(found) != 0 {
			t.Fatalf("got %+v", found)
		}
	}
	look.do("DEL", groupPrefix+"g.c")
	due(look, "g")
	finish(t, adopt(t, b, "g", "g-0=1 g-1=1"))
	wantForgotten(t, look, "g")
}

func TestChordsThatAreNoOrphans(t *testing.T) {
	url := testenv.Redis(t)
	for _, test := range []struct {
		name      string
		prepare   func(b *redis.Backend, look raw)
		forgotten bool
	}{
		{"unfinished", func(b *redis.Backend, _ raw) {
			startChord(t, b, "g", 2)
			addPart(t, b, part("g", 0, "1"))
		}, false},
		{"grown", func(b *redis.Backend, _ raw) {
			startChord(t, b, "g", 1)
			if err := b.GrowChord(bounded(t), "g", 1); err != nil {
				t.Fatal(err)
			}
			addPart(t, b, part("g", 0, "1"))
		}, false},
		{"size is late", func(b *redis.Backend, _ raw) { addPart(t, b, part("g", 0, "1")) }, false},
		{"never sized", func(b *redis.Backend, look raw) {
			addPart(t, b, part("g", 0, "1"))
			look.do("HSET", chordRecord+"g", "since", 0)
		}, true},
		{"failed", func(b *redis.Backend, _ raw) {
			startChord(t, b, "g", 1)
			if err := addPart(t, b, part("g", 0, "1")).Failed(bounded(t)); err != nil {
				t.Fatal(err)
			}
		}, true},
		{"expired", func(b *redis.Backend, look raw) {
			startChord(t, b, "g", 1)
			look.do("DEL", chordRecord+"g", groupPrefix+"g.s")
		}, true},
		{"finished by another, long ago", func(b *redis.Backend, look raw) {
			startChord(t, b, "g", 1)
			look.do("DEL", groupPrefix+"g.s")
		}, true},
		{"finished by another", func(b *redis.Backend, look raw) {
			startChord(t, b, "g", 1)
			look.do("SET", groupPrefix+"g.c", "done")
		}, true},
		{"complete since a moment, for a peer that takes no claim", func(b *redis.Backend, look raw) {
			startChord(t, b, "g", 1)
			look.do("ZADD", groupPrefix+"g.j", 0, `[1, "a", "SUCCESS", 1]`)
		}, false},
		{"failed by a peer that leaves all keys", func(b *redis.Backend, look raw) {
			startChord(t, b, "g", 1)
			look.do("ZADD", groupPrefix+"g.j", 0, `[1, "a", "FAILURE", null]`)
			look.do("HSET", chordRecord+"g", "complete", 1)
			if err := b.Put(bounded(t), backend.Put{Result: result("body-id", "FAILURE", "null")}); err != nil {
				t.Fatal(err)
			}
		}, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			b, look := open(t, redis.Config{URL: url}), dial(t, url)
			look.do("FLUSHDB")
			test.prepare(b, look)
			due(look, "g")
			if found := orphans(t, b); len(found) != 0 {
				t.Fatalf("got %+v", found)
			}
			if test.forgotten {
				wantForgotten(t, look, "g")
			} else if look.number("EXISTS", chordRecord+"g") != 1 || look.number("ZSCORE", chordIndex, "g") == 0 {
				t.Error("it was forgotten")
			}
		})
	}
}

// A chord that Python has started is recorded by the first part that is ours,
// also when Celery 5.0 left its size in the body.
func TestRecordOfAPart(t *testing.T) {
	url := testenv.Redis(t)
	b, look := open(t, redis.Config{URL: url, KeyPrefix: "pre", Expires: time.Hour}), dial(t, url)
	old := part("g", 0, "1")
	old.Body.ChordSize = 1
	join := addPart(t, b, old)
	for _, key := range []string{"pre_umbel:chord:g", "pre_umbel:chords"} {
		if ttl := look.number("TTL", key); ttl < 3590 || ttl > 3600 {
			t.Errorf("ttl of %s is %d", key, ttl)
		}
	}
	look.do("DEL", "pre_"+groupPrefix+"g.c")
	look.do("ZADD", "pre_umbel:chords", 0, "g")
	found := orphans(t, b)
	if len(found) != 1 || found[0].Start.Size != 1 {
		t.Fatalf("got %+v", found)
	}
	if ok, err := join.Extend(bounded(t)); ok || err != nil {
		t.Fatalf("two hold the claim: %v, %v", ok, err)
	}
	finish(t, found[0].Join)
	if keys := look.do("KEYS", "*").([]any); len(keys) != 1 {
		t.Errorf("%d keys are left", len(keys))
	}
}

func TestRecordsThatNeverExpire(t *testing.T) {
	url := testenv.Redis(t)
	b, look := open(t, redis.Config{URL: url, Expires: -1}), dial(t, url)
	startChord(t, b, "g", 1)
	for _, key := range []string{chordRecord + "g", chordIndex, groupPrefix + "g.s"} {
		if ttl := look.number("TTL", key); ttl != -1 {
			t.Errorf("%s expires in %d s", key, ttl)
		}
	}
}

// Only so many chords are looked at in one call, and all in turn.
func TestOrphanChordsIsBounded(t *testing.T) {
	url := testenv.Redis(t)
	b, look := open(t, redis.Config{URL: url}), dial(t, url)
	const chords = 130
	for i := range chords {
		group := fmt.Sprintf("g%d", i)
		startChord(t, b, group, 1)
		addPart(t, b, part(group, 0, "1"))
		look.do("DEL", groupPrefix+group+".c")
		due(look, group)
	}
	total := 0
	for _, want := range []int{50, 50, 30, 0} {
		found := orphans(t, b)
		if len(found) != want {
			t.Fatalf("%d orphans after %d, want %d", len(found), total, want)
		}
		total += len(found)
	}
}

func TestUnreadableRecordDoesNotHideOthers(t *testing.T) {
	url := testenv.Redis(t)
	b, look := open(t, redis.Config{URL: url}), dial(t, url)
	for _, group := range []string{"bad", "good"} {
		startChord(t, b, group, 1)
		addPart(t, b, part(group, 0, "1"))
		look.do("DEL", groupPrefix+group+".c")
		due(look, group)
	}
	look.do("HSET", chordRecord+"bad", "body", "{")
	found, err := b.OrphanChords(bounded(t))
	if err == nil || len(found) != 1 || found[0].Start.Group != "good" {
		t.Fatalf("got %+v, %v", found, err)
	}
}

func TestStuckChords(t *testing.T) {
	url := testenv.Redis(t)
	b, look := open(t, redis.Config{URL: url, KeyPrefix: "a*b"}), dial(t, url)
	for i := range 3000 { // more than one step of the scan
		look.do("SET", fmt.Sprintf("a*b_celery-task-meta-%d", i), "{}")
	}
	startChord(t, b, "running", 2)
	startChord(t, b, "claimed", 1)
	addPart(t, b, part("claimed", 0, "1"))
	startChord(t, b, "known", 1)
	addPart(t, b, part("known", 0, "1"))
	look.do("DEL", "a*b_"+groupPrefix+"known.c")
	look.do("SET", "a*b_"+groupPrefix+"python.s", 1)
	look.do("ZADD", "a*b_"+groupPrefix+"python.j", 0, `[1, "x", "SUCCESS", 1]`)
	look.do("EXPIRE", "a*b_"+groupPrefix+"python.j", 86400-60)
	look.do("SET", "aXb_"+groupPrefix+"foreign.s", 0)
	found := map[string]redis.StuckChord{}
	cursor, calls := uint64(0), 0
	for cursor != 0 || calls == 0 {
		stuck, next, err := b.StuckChords(bounded(t), cursor)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range stuck {
			found[c.Group] = c
		}
		cursor, calls = next, calls+1
	}
	if len(found) != 2 || calls < 2 || !found["known"].Known || found["python"].Known || found["python"].Parts != 1 ||
		found["python"].Idle.Round(10*time.Second) != time.Minute {
		t.Errorf("%d calls found %+v", calls, found)
	}
}

// TestOrphansBehindBrokenChords has more chords that cannot be looked at than one
// call looks at: the next one is adopted all the same.
func TestOrphansBehindBrokenChords(t *testing.T) {
	t.Parallel()
	url := testenv.Redis(t)
	b, look := open(t, redis.Config{URL: url}), dial(t, url)
	for i := range 60 {
		group := fmt.Sprint("broken", i)
		startChord(t, b, group, 1)
		look.do("RPUSH", groupPrefix+group+".j", "a list, as with unordered chords")
		due(look, group)
	}
	startChord(t, b, "g", 1)
	look.do("ZADD", groupPrefix+"g.j", 0, `[1, "x", "SUCCESS", 1]`)
	look.do("SADD", groupPrefix+"g.d", "x:0")
	look.do("ZADD", chordIndex, "XX", 1, "g")
	for range 2 {
		found, err := b.OrphanChords(bounded(t))
		if err == nil || !strings.Contains(err.Error(), "broken") {
			t.Errorf("no word about the broken chords: %v", err)
		}
		if len(found) == 1 && found[0].Start.Group == "g" {
			return
		}
	}
	t.Error("the orphan behind the broken chords was not adopted")
}

// TestOrphansAreHandedOverInTime has two orphans whose results must be waited for:
// the second is left for the next call, or the first claim would lapse meanwhile.
func TestOrphansAreHandedOverInTime(t *testing.T) {
	t.Parallel()
	url := testenv.Redis(t)
	b, look := open(t, redis.Config{URL: url}), dial(t, url)
	for _, group := range []string{"g", "h"} {
		startChord(t, b, group, 1)
		late := protocol.Tuple{ID: group, Group: true, Members: []protocol.Tuple{{ID: "never"}}}
		if err := b.PutGroup(bounded(t), group, late.Raw()); err != nil {
			t.Fatal(err)
		}
		look.do("ZADD", groupPrefix+group+".j", 0, `[1, "x", "SUCCESS", 1]`)
		look.do("SADD", groupPrefix+group+".d", "x:0")
		due(look, group)
	}
	for range 2 {
		found := orphans(t, b)
		if len(found) != 1 {
			t.Fatalf("%d orphans at once", len(found))
		}
		finish(t, found[0].Join)
	}
}

// A peer of Celery < 5.7 that died between the last part and the body left no
// claim: the second look finds its chord.
func TestOrphanOfAPeerWithoutClaims(t *testing.T) {
	url := testenv.Redis(t)
	b, look := open(t, redis.Config{URL: url}), dial(t, url)
	startChord(t, b, "g", 1)
	look.do("ZADD", groupPrefix+"g.j", 0, `[1, "a", "SUCCESS", 1]`)
	for want := range 2 {
		due(look, "g")
		if found := orphans(t, b); len(found) != want {
			t.Fatalf("look %d: %d orphans", want+1, len(found))
		}
	}
}
