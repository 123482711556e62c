package redis

import (
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/umbel-go/umbel/broker"
)

var testKeys = newKeyspace(Config{}.withDefaults(), 2)

func TestTopicPattern(t *testing.T) {
	for _, c := range []struct {
		key, pattern string
		yes, no      []string
	}{
		{"worker.#", `^worker\..*?$`, []string{"worker.heartbeat", "worker.a.b"}, []string{"task.sent", "worker"}},
		{"eu.*.paid", `^eu\.[^\.]+\.paid$`, []string{"eu.shop.paid"}, []string{"eu.a.b.paid", "eu..paid"}},
		{"#", `^.*?$`, []string{"", "a.b"}, nil},
		{"a.€ é", `^a\.\€\ é$`, []string{"a.€ é"}, []string{"a.x é"}},
		{"a-b_c", `^a\-b\_c$`, []string{"a-b_c"}, []string{"a-bxc"}},
	} {
		if got := topicPattern(c.key); got != c.pattern {
			t.Errorf("topicPattern(%q) = %s, want %s", c.key, got, c.pattern)
		}
		row := binding{pattern: c.pattern}
		for _, key := range c.yes {
			if !row.matches(key) {
				t.Errorf("%q does not match %q", c.key, key)
			}
		}
		for _, key := range c.no {
			if row.matches(key) {
				t.Errorf("%q matches %q", c.key, key)
			}
		}
	}
}

func TestRoute(t *testing.T) {
	rows := []binding{
		{key: "k", queue: "a"}, {key: "k", queue: "b"}, {key: "other", queue: "c"}, {key: "k", queue: "a"},
		{key: "x.*", pattern: `^x\..*?[^\.]$`, queue: "old kombu"}, {key: "bad", pattern: `(?<=x)`, queue: "d"}, {key: "k"},
	}
	if got := route(rows, "k"); !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("route(k) = %v", got)
	}
	if got := route(rows, "x.yz"); !slices.Equal(got, []string{"old kombu"}) {
		t.Errorf("route(x.yz) = %v", got)
	}
}

func TestUnescapeLetters(t *testing.T) {
	for pattern, want := range map[string]string{
		`^a\.b\-c$`: `^a\.b\-c$`, `\€\€\.`: `€€\.`, `\\€`: `\\€`, `\\\€`: `\\€`, `€`: `€`, `x\`: `x\`, "": "",
	} {
		if got := unescapeLetters(pattern); got != want {
			t.Errorf("unescapeLetters(%s) = %s, want %s", pattern, got, want)
		}
	}
}

// FuzzMembers reads bindings that anybody may have written, and routes by them.
func FuzzMembers(f *testing.F) {
	f.Add("celery\x06\x16\x06\x16celery", "celery")
	f.Add("x.#\x06\x16^x\\..*?$\x06\x16q", "x.y")
	f.Add("x.*\x06\x16^x\\..*?[^\\.]$\x06\x16q", "x.y")
	f.Add("k\x06\x16(?<=x)\x06\x16q", "k")
	f.Fuzz(func(t *testing.T, member, key string) {
		row, ok := testKeys.parseMember("e", member)
		if ok != (row.queue != "") {
			t.Errorf("%q: %+v, %v", member, row, ok)
		}
		if ok && testKeys.member(row) != member {
			t.Errorf("%q became %q", member, testKeys.member(row))
		}
		if got := route([]binding{row}, key); len(got) > 1 || len(got) == 1 && got[0] != row.queue {
			t.Errorf("%q leads %q to %q", member, key, got)
		}
		made := rowOf(broker.Queue{Name: "q", Exchange: "e", Kind: broker.Topic, RoutingKey: key})
		if literal := !strings.ContainsAny(key, "*#\n") && utf8.ValidString(key) && key != ""; literal && !made.matches(key) {
			t.Errorf("the topic %q does not match itself: %s", key, made.pattern)
		}
	})
}

// TestMembers holds to what Celery 5.7 wrote into Redis.
func TestMembers(t *testing.T) {
	for want, q := range map[string]broker.Queue{
		"celery\x06\x16\x06\x16celery":  {Name: "celery"},
		"k\x06\x16\x06\x16q":            {Name: "q", Exchange: "e", RoutingKey: "k"},
		"x.#\x06\x16^x\\..*?$\x06\x16q": {Name: "q", Exchange: "e", Kind: broker.Topic, RoutingKey: "x.#"},
	} {
		if got := testKeys.member(rowOf(q)); got != want {
			t.Errorf("member of %+v = %q, want %q", q, got, want)
		}
	}
	oid := "20f3f41d-0853-3bfa-9d93-abe92c2588c1"
	reply := subscriptionRow(broker.SubscribeOptions{Exchange: "reply.celery.pidbox", Kind: broker.Direct, RoutingKey: oid, Queue: oid + ".reply.celery.pidbox"})
	if got, want := testKeys.member(reply), oid+"\x06\x16\x06\x16"+oid+".reply.celery.pidbox"; got != want {
		t.Errorf("reply member %q, want %q", got, want)
	}
	events := subscriptionRow(broker.SubscribeOptions{Exchange: "celeryev", Kind: broker.Topic, RoutingKey: "worker.#", Queue: "celeryev.1"})
	if got, want := testKeys.member(events), "worker.#\x06\x16\x06\x16celeryev.1"; got != want {
		t.Errorf("event member %q, want %q", got, want)
	}
}

func TestKeys(t *testing.T) {
	k := testKeys
	for _, c := range []struct {
		priority int
		want     string
	}{{-1, "q"}, {0, "q"}, {2, "q"}, {3, "q\x06\x163"}, {5, "q\x06\x163"}, {6, "q\x06\x166"}, {9, "q\x06\x169"}, {200, "q\x06\x169"}} {
		if got := k.listFor("q", &c.priority); got != c.want {
			t.Errorf("listFor(%d) = %q, want %q", c.priority, got, c.want)
		}
	}
	if got := k.listFor("q", nil); got != "q" {
		t.Errorf("listFor(nil) = %q", got)
	}
	p := newKeyspace(Config{GlobalKeyPrefix: "shop[1]:"}.withDefaults(), 3)
	own := newKeyspace(Config{
		GlobalKeyPrefix: "g:", FanoutPrefix: "/{db}/x.", NoFanoutPatterns: true,
		UnackedKey: "u", UnackedIndexKey: "ui", UnackedMutexKey: "um",
	}.withDefaults(), 4)
	bare := newKeyspace(Config{NoFanoutPrefix: true}.withDefaults(), 4)
	for got, want := range map[string]string{
		k.channel("celery.pidbox", ""):            "/2.celery.pidbox",
		k.channel("celeryev", "worker.heartbeat"): "/2.celeryev/worker.heartbeat",
		k.pattern("celeryev", "#"):                "/2.celeryev/*",
		k.pattern("celeryev", "worker.#"):         "/2.celeryev/worker.*",
		p.channel("celery.pidbox", ""):            "shop[1]:/3.celery.pidbox",
		p.pattern("celery.pidbox", ""):            `shop\[1\]:/3.celery.pidbox`,
		p.unacked():                               "shop[1]:unacked",
		p.delayed("q"):                            "shop[1]:umbel:delayed:q",
		p.list("q", 3):                            "shop[1]:q\x06\x163",
		own.channel("celeryev", "task.sent"):      "g:/4/x.celeryev",
		own.pattern("celeryev", "task.#"):         "g:/4/x.celeryev",
		own.unacked():                             "g:u",
		own.unackedIndex():                        "g:ui",
		own.unackedMutex():                        "g:um",
		bare.channel("celeryev", "task.sent"):     "celeryev/task.sent",
		bare.pattern("celery.pidbox", ""):         "celery.pidbox",
		p.bindingPermanent("celery"):              "shop[1]:_kombu.binding_permanent.celery",
	} {
		if got != want {
			t.Errorf("key %q, want %q", got, want)
		}
	}
}
