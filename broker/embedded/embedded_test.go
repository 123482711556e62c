package embedded

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/gomodule/redigo/redis"

	"github.com/umbel-go/umbel/internal/redisx"
	"github.com/umbel-go/umbel/internal/testenv"
)

// The test binary started with this variable is an `up` that holds a server in
// the folder and at the address that the variable names.
const holderVar = "UMBEL_TEST_EMBEDDED_HOLDER"

func TestMain(m *testing.M) {
	if where := os.Getenv(holderVar); where != "" {
		dir, addr, _ := strings.Cut(where, "|")
		s, err := Start(context.Background(), Config{Dir: dir, Addr: addr})
		if err != nil {
			fmt.Println("error", err)
			os.Exit(1)
		}
		fmt.Println("ready", s.Kind())
		select {}
	}
	os.Exit(m.Run())
}

func freeAddr(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func start(t *testing.T, dir, addr string) *Server {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	s, err := Start(ctx, Config{Dir: dir, Addr: addr})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(t, s) })
	return s
}

func stop(t *testing.T, s *Server) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := s.Stop(ctx); err != nil {
		t.Errorf("stop: %v", err)
	}
}

func do(t *testing.T, s *Server, command string, args ...any) any {
	t.Helper()
	opts, err := redisx.ParseURL(s.URL())
	if err != nil {
		t.Fatal(err)
	}
	conn, err := opts.Dial(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	reply, err := conn.Do(command, args...)
	if err != nil {
		t.Fatalf("%s: %v", command, err)
	}
	return reply
}

func needServer(t *testing.T) {
	t.Helper()
	if _, err := findProgram(context.Background()); err != nil {
		testenv.Missing(t, "%v", err)
	}
}

func TestWorkSurvivesRestart(t *testing.T) {
	needServer(t)
	dir, addr := t.TempDir(), freeAddr(t)
	first := start(t, dir, addr)
	if first.Warning() != "" || first.Kind() == Miniredis {
		t.Errorf("kind %s, warning %q; want a real server without warning", first.Kind(), first.Warning())
	}
	do(t, first, "LPUSH", "celery", "work")
	stop(t, first)
	select {
	case <-first.Done():
	default:
		t.Error("Done is open after Stop")
	}
	second := start(t, dir, addr)
	if n, _ := redis.Int(do(t, second, "LLEN", "celery"), nil); n != 1 {
		t.Errorf("%d messages after the restart, want 1", n)
	}
}

func TestAdoptsLiveServer(t *testing.T) {
	needServer(t)
	dir, addr := t.TempDir(), freeAddr(t)
	first := start(t, dir, addr)
	do(t, first, "SET", "k", "v")
	second := start(t, dir, addr)
	if v, _ := redis.String(do(t, second, "GET", "k"), nil); v != "v" {
		t.Errorf("the second start has another server")
	}
	stop(t, second)
	do(t, first, "PING")
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if _, err := Start(ctx, Config{Dir: dir, Addr: freeAddr(t)}); err == nil || !strings.Contains(err.Error(), "already runs at "+addr) {
		t.Errorf("start at another address: %v, want an error that names the first", err)
	}
}

func TestTakenPort(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			fmt.Fprint(c, "HTTP/1.1 400 Bad Request\r\n\r\n")
			c.Close()
		}
	}()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	_, err = Start(ctx, Config{Dir: t.TempDir(), Addr: l.Addr().String()})
	if err == nil || !strings.Contains(err.Error(), l.Addr().String()+" is taken") {
		t.Errorf("start on a taken port: %v", err)
	}
	replica := miniredis.RunT(t) // cut off from its primary, perhaps for ever
	replica.SetError("MASTERDOWN Link with MASTER is down")
	_, err = Start(ctx, Config{Dir: t.TempDir(), Addr: replica.Addr()})
	if err == nil || !strings.Contains(err.Error(), "is taken") || ctx.Err() != nil {
		t.Errorf("start where a replica listens: %v", err)
	}
	needServer(t)
	other := start(t, t.TempDir(), freeAddr(t))
	_, err = Start(ctx, Config{Dir: t.TempDir(), Addr: other.addr})
	if err == nil || !strings.Contains(err.Error(), "is taken") {
		t.Errorf("start where another Redis listens: %v", err)
	}
}

func TestNotOnTheNetwork(t *testing.T) {
	for _, addr := range []string{"0.0.0.0:16379", ":16379", "192.0.2.1:16379", "16379"} {
		if _, err := Start(context.Background(), Config{Dir: t.TempDir(), Addr: addr}); err == nil {
			t.Errorf("%s was accepted", addr)
		}
	}
}

func TestStandIn(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	dir, addr := t.TempDir(), freeAddr(t)
	s := start(t, dir, addr)
	if s.Kind() != Miniredis || !strings.Contains(s.Warning(), "keeps nothing over a restart") {
		t.Errorf("kind %s, warning %q", s.Kind(), s.Warning())
	}
	do(t, s, "SET", "k", "v", "PX", 50)
	testenv.Eventually(t, 5*time.Second, func() error {
		if n, _ := redis.Int(do(t, s, "EXISTS", "k"), nil); n != 0 {
			return fmt.Errorf("the key has not expired")
		}
		return nil
	})
}

func TestOldServerIsRefused(t *testing.T) {
	for version, want := range map[string]bool{
		"Redis server v=7.0.15 sha=0": true, "Redis server v=6.2.0 sha": true, "Valkey server v=8.0.1": true,
		"Redis server v=6.0.16 sha=0": false, "Redis server v=5.0.3": false, "something else": false,
	} {
		if recent(version) != want {
			t.Errorf("recent(%q) = %v", version, !want)
		}
	}
}

// TestChildDiesWithParent kills the process that started the server.
func TestChildDiesWithParent(t *testing.T) {
	needServer(t)
	dir, addr := t.TempDir(), freeAddr(t)
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), holderVar+"="+dir+"|"+addr)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil || !strings.HasPrefix(line, "ready") {
		t.Fatalf("holder said %q, %v", line, err)
	}
	folder := filepath.Join(dir, "broker")
	pid, _ := pidOf(folder)
	if pid == 0 {
		t.Fatal("no pid file")
	}
	do(t, &Server{addr: addr}, "LPUSH", "celery", "work")
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // killed, as intended
	second := start(t, dir, addr)
	if n, _ := redis.Int(do(t, second, "LLEN", "celery"), nil); n != 1 {
		t.Errorf("%d messages after the crash, want 1", n)
	}
	if again, _ := pidOf(folder); again == pid {
		t.Error("the second start adopted a server whose parent was killed")
	}
}
