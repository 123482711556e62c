package test

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/gomodule/redigo/redis"
	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/umbel-go/umbel/internal/testenv"
)

func readFile(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func portOpen(addr string) bool {
	c, err := net.DialTimeout("tcp", addr, time.Second)
	if err != nil {
		return false
	}
	c.Close()
	return true
}

// Command lines that cannot work end with a code and one sentence that names
// cause and next step.
func TestCommandLineErrors(t *testing.T) {
	port := testenv.FreePort(t)
	busy, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	closed := fmt.Sprintf("redis://127.0.0.1:%d/0", testenv.FreePort(t))
	tests := []struct {
		name string
		args []string
		code int
		want []string
	}{
		{"unknown command", []string{"wrker"}, 2, []string{"unknown command", "worker"}},
		{"unknown option", []string{"worker", "--frobnicate"}, 2, []string{"--frobnicate", "umbel worker --help"}},
		{"bad number", []string{"worker", "-c", "many"}, 2, []string{"many"}},
		{"bad level", []string{"worker", "-l", "loud"}, 2, []string{"loud", "debug"}},
		{"unknown scheme", []string{"worker", "-b", "sqs://x"}, 1, []string{"sqs", "redis", "amqp"}},
		{"sentinel", []string{"worker", "-b", "sentinel://x:26379"}, 1, []string{"entinel"}},
		{"call without a name", []string{"call"}, 2, []string{"name"}},
		{"call with bad JSON", []string{"call", "x", "-a", "[1,"}, 2, []string{"--args", "JSON"}},
		{"call without a broker", []string{"call", "x", "-b", closed}, 1, []string{"127.0.0.1", "refused"}},
		{"up on a taken port", []string{"up", "--data", t.TempDir(), "--listen", fmt.Sprintf("127.0.0.1:%d", port)}, 1,
			[]string{fmt.Sprint(port), "in use", "--listen"}},
		{"up on a taken broker port", []string{"up", "--data", t.TempDir(), "--listen", fmt.Sprintf("127.0.0.1:%d", testenv.FreePort(t)),
			"--broker-listen", fmt.Sprintf("127.0.0.1:%d", port)}, 1, []string{fmt.Sprint(port)}},
		{"monitor on a taken port", []string{"monitor", "-b", closed, "--db", ":memory:", "--address", "127.0.0.1", fmt.Sprintf("--port=%d", port)}, 1,
			[]string{fmt.Sprint(port), "in use"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := testenv.Start(t, exec.Command(testenv.Umbel(t), tt.args...))
			if code := p.Wait(30 * time.Second); code != tt.code {
				t.Errorf("exit code %d, want %d", code, tt.code)
			}
			for _, w := range tt.want {
				if !strings.Contains(p.Output(), w) {
					t.Errorf("%q is not in:\n%s", w, p.Output())
				}
			}
			if strings.Contains(p.Output(), "goroutine ") {
				t.Errorf("a stack is shown to the user:\n%s", p.Output())
			}
		})
	}
}

// The monitor ignores options that it does not know, as Flower does, but says
// so; and Celery's way to start Flower works.
func TestMonitorWarnsAboutUnknownOptions(t *testing.T) {
	port := testenv.FreePort(t)
	p := testenv.Start(t, exec.Command(testenv.Umbel(t), "celery", "-A", "proj.app", "--broker", testenv.Redis(t), "flower",
		"--address=127.0.0.1", fmt.Sprintf("--port=%d", port), "--db=:memory:", "--no_such_option=1", "--max_tasks=10"))
	p.WaitLine("no_such_option", 30*time.Second)
	testenv.Eventually(t, 20*time.Second, func() error {
		_, err := program{site: fmt.Sprintf("http://127.0.0.1:%d", port)}.get("/healthcheck")
		return err
	})
}

// The monitor follows RabbitMQ as it follows Redis.
func TestMonitorOnRabbitMQ(t *testing.T) {
	url, port := testenv.AMQP(t), testenv.FreePort(t)
	testenv.Start(t, exec.Command(testenv.Umbel(t), "monitor", "-b", url, "--db", ":memory:",
		"--address", "127.0.0.1", "--port", fmt.Sprint(port))).WaitLine("are served", 20*time.Second)
	site := program{site: fmt.Sprintf("http://127.0.0.1:%d", port)}
	w := testenv.Start(t, exec.Command(testenv.Umbel(t), "worker", "--demo", "-b", url, "-n", "w@rabbit", "-E"))
	w.WaitLine("worker is ready", 20*time.Second)
	call := testenv.Start(t, exec.Command(testenv.Umbel(t), "call", "demo.add", "-a", "[2, 3]", "-b", url, "--wait", "20s"))
	if code := call.Wait(30 * time.Second); code != 0 {
		t.Fatalf("call ended with %d", code)
	}
	testenv.Eventually(t, 20*time.Second, func() error {
		var stats struct {
			Tasks, Workers, Queues map[string]int
		}
		if err := site.getJSON("/api/stats", &stats); err != nil {
			return err
		}
		if _, known := stats.Queues["celery"]; stats.Tasks["succeeded"] != 1 || stats.Workers["online"] != 1 || !known {
			return fmt.Errorf("%+v", stats)
		}
		return nil
	})
}

// A worker without its broker says so, waits, and works once the broker is
// there.
func TestWorkerWaitsForItsBroker(t *testing.T) {
	server := testenv.RedisServer(t)
	server.Stop()
	p := testenv.Start(t, exec.Command(testenv.Umbel(t), "worker", "--demo", "-b", server.URL))
	p.WaitLine("cannot", 20*time.Second)
	server.Start()
	call := exec.Command(testenv.Umbel(t), "call", "demo.add", "-a", "[2, 3]", "-b", server.URL, "--wait", "20s")
	c := testenv.Start(t, call)
	if code := c.Wait(40 * time.Second); code != 0 || !strings.Contains(c.Output(), "5") {
		t.Fatalf("call ended with %d:\n%s", code, c.Output())
	}
}

// Messages that kill Python workers neither stop ours nor get lost.
func TestMalformedMessagesOnRabbitMQ(t *testing.T) {
	url := testenv.AMQP(t)
	p := testenv.Start(t, exec.Command(testenv.Umbel(t), "worker", "--demo", "-b", url, "-n", "tough@here"))
	p.WaitLine("worker is ready", 30*time.Second)
	conn, err := amqp.Dial(url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ch, err := conn.Channel()
	if err != nil {
		t.Fatal(err)
	}
	const fine = `[[2, 3], {}, {}]`
	task := amqp.Table{"task": "demo.add", "id": "b1"}
	bad := []amqp.Publishing{
		{ContentType: "application/json", Body: []byte("not JSON")},
		{ContentType: "application/json", Headers: amqp.Table{"task": "demo.add"}, Body: []byte(fine)},
		{ContentType: "application/json", Headers: amqp.Table{"task": "demo.add", "id": int32(5)}, Body: []byte(fine)},
		{ContentType: "application/json", Headers: task, Body: []byte(`[[1]]`)},
		{ContentType: "application/json", Headers: task, Body: nil},
		{Headers: task, Body: []byte(fine)},
		{ContentType: "application/x-python-serialize", Headers: task, Body: []byte("\x80\x04.")},
		{ContentType: "application/json", Headers: amqp.Table{"task": "demo.add", "id": "b1", "eta": "soon"}, Body: []byte(fine)},
	}
	for _, m := range bad {
		if err := ch.Publish("", "celery", true, false, m); err != nil {
			t.Fatal(err)
		}
	}
	testenv.Eventually(t, 30*time.Second, func() error {
		look, err := conn.Channel() // a missing queue closes the channel
		if err != nil {
			t.Fatal(err)
		}
		defer look.Close()
		q, err := look.QueueDeclarePassive("umbel.dead.celery", true, false, false, false, nil)
		if err == nil && q.Messages != len(bad) {
			err = fmt.Errorf("%d messages in the dead-letter place, want %d", q.Messages, len(bad))
		}
		return err
	})
	c := testenv.Start(t, exec.Command(testenv.Umbel(t), "call", "demo.add", "-a", "[2, 3]", "-b", url, "--wait", "10s"))
	if code := c.Wait(30 * time.Second); code != 0 {
		t.Errorf("the worker no longer answers: exit code %d", code)
	}
}

// The same on Redis, where Python dies of things that are no envelope at all.
func TestMalformedMessages(t *testing.T) {
	url := testenv.Redis(t)
	p := testenv.Start(t, exec.Command(testenv.Umbel(t), "worker", "--demo", "-b", url, "-n", "tough@here"))
	conn, err := redis.DialURL(url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	envelope := func(headers, body string) string {
		return fmt.Sprintf(`{"body": %q, "content-encoding": "utf-8", "content-type": "application/json", "headers": %s,`+
			` "properties": {"correlation_id": "x", "delivery_mode": 2, "delivery_info": {"exchange": "", "routing_key": "celery"},`+
			` "priority": 0, "delivery_tag": "t"}}`, body, headers)
	}
	const fine = `[[2, 3], {}, {}]`
	bad := []string{
		"this is not JSON", `{"no": "properties"}`, `[]`, `null`, "\xff\xfe",
		envelope(`{}`, "not JSON"), envelope(`null`, `{}`), envelope(`{}`, `[1]`),
		envelope(`{"task": "demo.add"}`, fine),
		envelope(`{"task": "demo.add", "id": 5}`, fine),
		envelope(`{"task": "demo.add", "id": "b1"}`, `[[1]]`),
		envelope(`{"task": "demo.add", "id": "b2"}`, `null`),
		envelope(`{"task": "demo.add", "id": "b3", "timelimit": [null]}`, fine),
		envelope(`{"task": "demo.add", "id": "b4", "eta": ""}`, fine),
		envelope(`{"task": "demo.add", "id": "b5", "expires": 12}`, fine),
		envelope(`{"task": "demo.add", "id": "b6"}`, `[null, {}, {}]`),
		envelope(`{"task": "demo.add", "id": "b7"}`, `[[], null, {}]`),
		envelope(`{"task": "demo.add", "id": "b8", "compression": "application/x-nonsense"}`, fine),
	}
	for _, m := range bad {
		if _, err := conn.Do("LPUSH", "celery", m); err != nil {
			t.Fatal(err)
		}
	}
	testenv.Eventually(t, 30*time.Second, func() error {
		n, err := redis.Int(conn.Do("LLEN", "umbel:dead:celery"))
		if err == nil && n != len(bad) {
			err = fmt.Errorf("%d messages in the dead-letter place, want %d", n, len(bad))
		}
		return err
	})
	for i := 1; i <= 8; i++ {
		meta, err := redis.String(conn.Do("GET", fmt.Sprintf("celery-task-meta-b%d", i)))
		if err != nil || !strings.Contains(meta, `"status": "FAILURE"`) {
			t.Errorf("result of b%d: %s, %v", i, meta, err)
		}
	}
	c := testenv.Start(t, exec.Command(testenv.Umbel(t), "call", "demo.add", "-a", "[2, 3]", "-b", url, "--wait", "10s"))
	if code := c.Wait(30 * time.Second); code != 0 {
		t.Errorf("the worker no longer answers: exit code %d", code)
	}
	select {
	case <-p.Done():
		t.Error("the worker ended")
	default:
	}
}
