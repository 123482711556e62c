package web

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

const (
	maxTopics      = 16
	maxTopicLength = 300
	writeWithin    = 10 * time.Second
)

// ServeHTTP streams updates as server-sent events: GET /stream?topics=a,b. The
// event's name is the topic, its data one JSON value. A comment goes out every
// 15 s. Clients that stop reading are dropped.
func (h *Hub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	topics, err := parseTopics(r.URL.Query()["topics"])
	if err != nil {
		plain(w, http.StatusBadRequest, err.Error())
		return
	}
	sub, ok := h.join(topics)
	if !ok {
		w.Header().Set("Retry-After", "5")
		plain(w, http.StatusServiceUnavailable, "No more live streams can be opened now.")
		return
	}
	defer h.leave(sub)
	header := w.Header()
	header.Set("Content-Type", "text/event-stream; charset=UTF-8")
	header.Set("Cache-Control", "no-store")
	header.Set("X-Accel-Buffering", "no")
	out := &eventWriter{w: w, rc: http.NewResponseController(w)}
	if out.open() != nil || r.Method == http.MethodHead {
		return
	}
	h.pump(r, sub, out)
}

// pump writes what waits until the client or the hub is gone. It wakes for
// every change but writes no oftener than the pace.
func (h *Hub) pump(r *http.Request, sub *subscriber, out *eventWriter) {
	ping := time.NewTicker(h.ping)
	defer ping.Stop()
	rest := time.NewTimer(0)
	defer rest.Stop()
	<-rest.C
	wake := sub.wake
	for {
		var err error
		select {
		case <-r.Context().Done():
			return
		case <-h.closed:
			return
		case <-sub.lost:
			return
		case <-ping.C:
			err = out.comment("ping")
		case <-wake:
			err = out.events(sub.take())
			wake = nil
			rest.Reset(pace)
		case <-rest.C:
			wake = sub.wake
		}
		if err != nil {
			return // the client is gone
		}
	}
}

func parseTopics(values []string) ([]string, error) {
	var topics []string
	for _, v := range values {
		for t := range strings.SplitSeq(v, ",") {
			if t = strings.TrimSpace(t); t == "" || slices.Contains(topics, t) {
				continue
			}
			if len(t) > maxTopicLength || strings.ContainsFunc(t, func(c rune) bool { return c < ' ' || c == 0x7f }) {
				return nil, errors.New("a topic is too long or holds control characters")
			}
			topics = append(topics, t)
		}
	}
	if len(topics) == 0 || len(topics) > maxTopics {
		return nil, fmt.Errorf("give 1 to %d topics: /stream?topics=workers,tasks", maxTopics)
	}
	return topics, nil
}

// eventWriter writes the text/event-stream format.
type eventWriter struct {
	w   http.ResponseWriter
	rc  *http.ResponseController
	buf bytes.Buffer
}

// open lifts the server's read deadline, which would end the stream, and says
// how soon to come back after a break, in milliseconds.
func (e *eventWriter) open() error {
	if err := e.rc.SetReadDeadline(time.Time{}); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	e.buf.WriteString("retry: 2000\n: connected\n\n")
	return e.send()
}

func (e *eventWriter) comment(text string) error {
	fmt.Fprintf(&e.buf, ": %s\n\n", text)
	return e.send()
}

func (e *eventWriter) events(updates []Update) error {
	for _, u := range updates {
		data := u.Data
		if len(data) == 0 {
			data = []byte("{}")
		}
		fmt.Fprintf(&e.buf, "event: %s\n", u.Topic)
		for line := range bytes.Lines(data) {
			fmt.Fprintf(&e.buf, "data: %s\n", bytes.TrimRight(line, "\r\n"))
		}
		e.buf.WriteByte('\n')
	}
	return e.send()
}

func (e *eventWriter) send() error {
	deadline := time.Now().Add(writeWithin)
	if err := e.rc.SetWriteDeadline(deadline); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	_, err := e.buf.WriteTo(e.w)
	e.buf.Reset()
	if err != nil {
		return err
	}
	return e.rc.Flush()
}
