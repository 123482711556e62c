package web

import (
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func mustJoin(t *testing.T, h *Hub, topics ...string) *subscriber {
	t.Helper()
	s, ok := h.join(topics)
	if !ok {
		t.Fatal("the hub is full")
	}
	return s
}

func TestHubReplacesWhatWaits(t *testing.T) {
	h := NewHub()
	s := mustJoin(t, h, "tasks", "workers")
	h.Publish(Update{"tasks", "a", []byte("1")}, Update{"tasks", "b", []byte("2")}, Update{"tasks", "a", []byte("3")}, Update{"queues", "", nil})
	got := s.take()
	if len(got) != 2 || string(got[0].Data) != "3" || string(got[1].Data) != "2" {
		t.Errorf("got %v", got)
	}
	h.Publish(Update{"tasks", "a", []byte("4")})
	if got := s.take(); len(got) != 1 || string(got[0].Data) != "4" {
		t.Errorf("after a take: %v", got)
	}
}

func TestHubDropsTheClientNotTheProducer(t *testing.T) {
	h := NewHub()
	slow, quick := mustJoin(t, h, "tasks"), mustJoin(t, h, "tasks")
	big := []byte(strings.Repeat("x", 1000))
	for i := range 1000 {
		h.Publish(Update{"tasks", string(rune('a'+i%26)) + strings.Repeat("k", i), big})
		quick.take()
	}
	select {
	case <-slow.lost:
	default:
		t.Error("the slow client is still there")
	}
	select {
	case <-quick.lost:
		t.Error("the quick client was dropped")
	default:
	}
	if h.Evicted() != 1 {
		t.Errorf("%d evicted", h.Evicted())
	}
}

func TestHubForgetsClientsThatLeave(t *testing.T) {
	h := NewHub()
	s := mustJoin(t, h, "tasks")
	if !h.Wanted("tasks") || h.Wanted("workers") || h.Clients() != 1 {
		t.Error("not joined")
	}
	h.leave(s)
	if h.Wanted("tasks") || h.Clients() != 0 {
		t.Error("not gone")
	}
	h.Close()
	h.Close()
	if _, ok := h.join([]string{"tasks"}); ok {
		t.Error("a closed hub takes clients")
	}
}

func TestHubIsBounded(t *testing.T) {
	h := NewHub()
	for range maxSubscribers {
		mustJoin(t, h, "tasks")
	}
	w := ask(h, at(request("GET"), "/stream?topics=tasks"))
	if w.Code != 503 || w.Header().Get("Retry-After") == "" {
		t.Errorf("%d", w.Code)
	}
}

func TestStreamTopics(t *testing.T) {
	many := strings.Repeat("a,b,c,d,e,f,g,h,i,", 1) + "j,k,l,m,n,o,p,q"
	for topics, ok := range map[string]bool{"tasks": true, "tasks, task/%3Cx%3E": true, "": false, ",": false, "a%0Adata: x": false, many: false, strings.Repeat("x", 400): false} {
		r := httptest.NewRequest("GET", "/stream?topics="+strings.ReplaceAll(topics, " ", "%20"), nil)
		_, err := parseTopics(r.URL.Query()["topics"])
		if (err == nil) != ok {
			t.Errorf("%q: %v", topics, err)
		}
	}
}

func TestStreamPings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := NewHub()
		w := httptest.NewRecorder()
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			h.ServeHTTP(w, httptest.NewRequest("GET", "/stream?topics=tasks", nil))
		}()
		time.Sleep(31 * time.Second) // the bubble's clock, not the machine's
		h.Close()
		<-ended
		if n := strings.Count(w.Body.String(), ": ping\n\n"); n != 2 {
			t.Errorf("%d pings", n)
		}
	})
}
