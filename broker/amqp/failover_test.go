package amqp

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"testing"

	"github.com/umbel-go/umbel/broker"
	"github.com/umbel-go/umbel/internal/testenv"
	"github.com/umbel-go/umbel/protocol"
)

func TestFailover(t *testing.T) {
	t.Parallel()
	target := testenv.AMQP(t)
	first, second := testenv.NewProxy(t, target), testenv.NewProxy(t, target)
	b := newBroker(t, first.URL+";"+second.URL)
	c := newConsumer(t, b, 1, "q")
	at := func() string { return b.endpoints.current().address() }
	if !strings.Contains(first.URL, at()) {
		t.Errorf("connected to %s, want the first address", at())
	}
	first.SetDown(true)
	testenv.Eventually(t, patience, func() error {
		return b.Publish(within(t, patience), broker.Publishing{RoutingKey: "q", Message: protocol.NewMessage(nil, []byte("a"))})
	})
	if d := claimOne(t, c); body(d) != "a" || !strings.Contains(second.URL, at()) {
		t.Errorf("got %s over %s, want the second address", body(d), at())
	}
	// The second fails, the first is back.
	first.SetDown(false)
	second.SetDown(true)
	if d := claimOne(t, c); body(d) != "a" || !strings.Contains(first.URL, at()) || !d.Redelivered() {
		t.Errorf("got %s over %s, want the first address again", body(d), at())
	}
	first.SetDown(true)
	_, err := newBroker(t, first.URL+";"+second.URL).Queues(within(t, patience), "q")
	if !errors.Is(err, broker.ErrConnection) || !strings.Contains(err.Error(), "none of the 2") ||
		!strings.Contains(err.Error(), hostOf(t, first.URL)) || !strings.Contains(err.Error(), hostOf(t, second.URL)) {
		t.Errorf("all down: %v, want ErrConnection and both addresses", err)
	}
}

// TestFailoverIsLogged is not parallel: it reads the default log.
func TestFailoverIsLogged(t *testing.T) {
	second := testenv.AMQP(t)
	b := newBroker(t, "amqp://guest:secret@127.0.0.1:1;"+second)
	var log bytes.Buffer
	defer slog.SetDefault(slog.Default())
	slog.SetDefault(slog.New(slog.NewTextHandler(&log, nil)))
	for _, name := range []string{"publish", "consume"} {
		conn, _, err := b.endpoints.dial(within(t, patience), name)
		if err != nil {
			t.Fatal(err)
		}
		conn.Close()
	}
	want := fmt.Sprintf("level=WARN msg=\"RabbitMQ failed over\" from=127.0.0.1:1 to=%s\n", hostOf(t, second))
	if got := log.String(); strings.Count(got, "\n") != 1 || !strings.HasSuffix(got, want) {
		t.Errorf("logged %q, want one line %q", got, want)
	}
}

func hostOf(t *testing.T, text string) string {
	t.Helper()
	u, err := url.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return u.Host
}

func TestConfig(t *testing.T) {
	for text, cfg := range map[string]Config{
		"queue type":       {QueueType: "stream"},
		"delayed delivery": {DelayQueueType: "stream"},
		"login method":     {LoginMethod: "AMQPLAIN"},
		"maximal priority": {QueueMaxPriority: 256},
	} {
		cfg.URL = "amqp://"
		if _, err := New(cfg); err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("%s: %v, want an error that names it", text, err)
		}
	}
	e, err := parseURL("amqp://?heartbeat=5", Config{Heartbeat: 7, LoginMethod: loginExternal})
	if err != nil || e.heartbeat != 7 || e.authentication().Mechanism() != "EXTERNAL" {
		t.Errorf("got %+v, %v", e, err)
	}
}
