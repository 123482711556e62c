package testenv

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gomodule/redigo/redis"
	amqp "github.com/rabbitmq/amqp091-go"
)

// recorder is a test of its own, to see how a helper ends one.
type recorder struct {
	testing.TB
	failed, skipped atomic.Bool
}

func (r *recorder) Helper()               {}
func (r *recorder) Fatalf(string, ...any) { r.failed.Store(true); panic(r) }
func (r *recorder) Skipf(string, ...any)  { r.skipped.Store(true); panic(r) }

// observe runs f as a test would and returns how it ended.
func observe(t *testing.T, f func(testing.TB)) *recorder {
	r := &recorder{TB: t}
	func() {
		defer func() {
			if ended := recover(); ended != nil && ended != any(r) {
				panic(ended)
			}
		}()
		f(r)
	}()
	return r
}

func TestWhatIsMissingSkipsOrFails(t *testing.T) {
	t.Setenv(redisVar, "")
	for _, tc := range []struct {
		required        string
		failed, skipped bool
	}{{"", false, true}, {"1", true, false}} {
		t.Setenv(requiredVar, tc.required)
		r := observe(t, func(tb testing.TB) { Redis(tb) })
		if r.failed.Load() != tc.failed || r.skipped.Load() != tc.skipped {
			t.Errorf("required %q: failed %v, skipped %v", tc.required, r.failed.Load(), r.skipped.Load())
		}
	}
}

func TestEventually(t *testing.T) {
	calls := 0
	Eventually(t, time.Minute, func() error {
		if calls++; calls < 3 {
			return errors.New("not yet")
		}
		return nil
	})
	if calls != 3 {
		t.Errorf("%d calls", calls)
	}
	r := observe(t, func(tb testing.TB) {
		Eventually(tb, time.Millisecond, func() error { return errors.New("never") })
	})
	if !r.failed.Load() {
		t.Error("did not fail")
	}
}

func dialRedis(t *testing.T, url string) redis.Conn {
	t.Helper()
	conn, err := redis.DialURL(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func TestRedisDatabasesAreSeparateAndEmptied(t *testing.T) {
	a, b := Redis(t), Redis(t)
	if a == b {
		t.Fatalf("twice %s", a)
	}
	if _, err := dialRedis(t, a).Do("SET", "k", "v"); err != nil {
		t.Fatal(err)
	}
	if n, err := redis.Int(dialRedis(t, b).Do("DBSIZE")); n != 0 || err != nil {
		t.Errorf("the other database holds %d keys (%v)", n, err)
	}
	var url string
	t.Run("inner", func(t *testing.T) {
		url = Redis(t)
		if _, err := dialRedis(t, url).Do("SET", "k", "v"); err != nil {
			t.Fatal(err)
		}
	})
	if n, err := redis.Int(dialRedis(t, url).Do("DBSIZE")); n != 0 || err != nil {
		t.Errorf("%d keys are left (%v)", n, err)
	}
}

func dialAMQP(url string) (*amqp.Channel, func(), error) {
	conn, err := amqp.Dial(url)
	if err != nil {
		return nil, nil, fmt.Errorf("dial: %w", err)
	}
	ch, err := conn.Channel()
	if err != nil {
		return nil, nil, errors.Join(err, conn.Close())
	}
	return ch, func() { _ = conn.Close() }, nil
}

func TestVhostsAreSeparateAndDeleted(t *testing.T) {
	var urls [2]string
	t.Run("inner", func(t *testing.T) {
		for i := range urls {
			urls[i] = AMQP(t)
			ch, hangUp, err := dialAMQP(urls[i])
			if err != nil {
				t.Fatal(err)
			}
			defer hangUp()
			if i == 0 {
				_, err = ch.QueueDeclare("celery", true, false, false, false, nil)
			} else if _, err = ch.QueueDeclarePassive("celery", true, false, false, false, nil); err == nil {
				err = errors.New("the queue of one vhost is in the other")
			} else {
				err = nil
			}
			if err != nil {
				t.Error(err)
			}
		}
	})
	for _, url := range urls {
		if _, hangUp, err := dialAMQP(url); err == nil {
			hangUp()
			t.Errorf("%s is still there", url)
		}
	}
}

func TestManagementAPI(t *testing.T) {
	resp, err := http.Get(AMQPAPI(t) + "/api/overview")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, err := io.ReadAll(resp.Body); err != nil || !strings.Contains(string(body), `"node":"umbel-test-`) {
		t.Errorf("%v: %s", err, body)
	}
}

func TestRedisServerRestarts(t *testing.T) {
	if os.Getenv(redisVar) == "" {
		Missing(t, "%s is not set", redisVar)
	}
	s := RedisServer(t, "--appendonly", "yes")
	if _, err := dialRedis(t, s.URL).Do("SET", "k", "v"); err != nil {
		t.Fatal(err)
	}
	pid := s.Pid()
	s.Restart()
	if s.Pid() == pid {
		t.Error("the process is the same")
	}
	if v, err := redis.String(dialRedis(t, s.URL).Do("GET", "k")); v != "v" || err != nil {
		t.Errorf("after the restart: %q, %v", v, err)
	}
	s.Kill()
	if s.Running() {
		t.Error("it runs after Kill")
	}
	if _, err := redis.DialURL(s.URL); err == nil {
		t.Error("it answers after Kill")
	}
	s.Start()
	s.Pause()
	if _, err := redis.DialURL(s.URL+"/1", redis.DialReadTimeout(50*time.Millisecond)); err == nil {
		t.Error("it answers while paused")
	}
	s.Resume()
	if _, err := dialRedis(t, s.URL+"/1").Do("PING"); err != nil {
		t.Error(err)
	}
}

func TestRabbitMQServerRestarts(t *testing.T) {
	RequireFull(t)
	s := RabbitMQServer(t)
	ch, hangUp, err := dialAMQP(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ch.QueueDeclare("celery", true, false, false, false, nil); err != nil {
		t.Fatal(err)
	}
	hangUp()
	s.Restart()
	ch, hangUp, err = dialAMQP(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer hangUp()
	if _, err := ch.QueueDeclarePassive("celery", true, false, false, false, nil); err != nil {
		t.Errorf("the durable queue is gone: %v", err)
	}
}

func TestCeleryWorkersAnswer(t *testing.T) {
	versions := map[string]string{"celery57": "5.7.0", "celery57-redis7": "5.7.0", "celery56": "5.6.3", "celery54": "5.4.0"}
	if Full() {
		versions["celery52"], versions["celery44"] = "5.2.7", "4.4.7"
	}
	for venv, version := range versions {
		t.Run(venv, func(t *testing.T) {
			app := Celery{
				Venv: venv, App: filepath.Join("testdata", "echoapp.py"),
				Broker: Redis(t), Backend: Redis(t), Args: []string{"-c", "1"},
			}
			worker := StartCelery(t, app)
			send := PythonCommand(t, venv, app.App, "hello")
			send.Env = append(send.Env, "CELERY_BROKER_URL="+app.Broker, "CELERY_RESULT_BACKEND="+app.Backend)
			client := Start(t, send)
			client.WaitLine("celery "+version+" answered hello", 30*time.Second)
			if code := client.Wait(10 * time.Second); code != 0 {
				t.Errorf("exit code %d", code)
			}
			if code := worker.Stop(30 * time.Second); code != 0 {
				t.Errorf("the worker's exit code is %d", code)
			}
		})
	}
}
