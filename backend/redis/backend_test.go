package redis_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/alicebob/miniredis/v2"
	redigo "github.com/gomodule/redigo/redis"
	"go.uber.org/goleak"

	"github.com/umbel-go/umbel/backend"
	"github.com/umbel-go/umbel/backend/backendtest"
	"github.com/umbel-go/umbel/backend/redis"
	"github.com/umbel-go/umbel/internal/testenv"
)

func TestMain(m *testing.M) {
	// The thread that started a test server stays, so that the server ends with us.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/umbel-go/umbel/internal/testenv/child.startBound.func1.1"))
}

func open(t *testing.T, cfg redis.Config) *redis.Backend {
	t.Helper()
	b, err := redis.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return b
}

func TestConformance(t *testing.T) {
	url := testenv.Redis(t)
	backendtest.Run(t, backendtest.Driver{
		Open:     func(t *testing.T) backend.Backend { return open(t, redis.Config{URL: url, KeyPrefix: "pre"}) },
		Features: backendtest.Features{Stored: true, Chords: true},
	})
}

// TestConformanceWithRights holds to the access list in the package's
// documentation, with keys and channels narrowed to the prefix.
func TestConformanceWithRights(t *testing.T) {
	s := testenv.RedisServer(t)
	admin, err := redigo.DialURL(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close()
	args := redigo.Args{"SETUSER", "umbel"}
	for _, rule := range documentedRights(t) {
		args = args.Add(strings.Replace(rule, "*", "pre_*", 1))
	}
	if _, err := admin.Do("ACL", args...); err != nil {
		t.Fatal(err)
	}
	url := strings.Replace(s.URL, "redis://", "redis://umbel:password@", 1) + "/1"
	cfg := redis.Config{URL: url, KeyPrefix: "pre"}
	t.Run("suite", func(t *testing.T) { // ends when its parallel tests do
		backendtest.Run(t, backendtest.Driver{
			Open:     func(t *testing.T) backend.Backend { return open(t, cfg) },
			Features: backendtest.Features{Stored: true, Chords: true},
		})
	})
	b := open(t, cfg) // for what the suite does not get to
	if _, err := b.OrphanChords(t.Context()); err != nil {
		t.Error(err)
	}
	if _, _, err := b.StuckChords(t.Context(), 0); err != nil {
		t.Error(err)
	}
	if log, err := redigo.Values(admin.Do("ACL", "LOG")); err != nil || len(log) != 0 {
		t.Errorf("refused: %q, %v", log, err)
	}
}

// TestRightsCoverScripts looks at the branches too that the suite does not take.
func TestRightsCoverScripts(t *testing.T) {
	rights := documentedRights(t)
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	called := map[string]bool{}
	for _, file := range files {
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, call := range regexp.MustCompile(`redis\.call\(([^,)]*)`).FindAllSubmatch(source, -1) {
			for _, name := range regexp.MustCompile(`'([A-Z]+)'`).FindAllSubmatch(call[1], -1) { // 'ZCARD' or 'LLEN'
				called[strings.ToLower(string(name[1]))] = true
			}
		}
	}
	if !called["hsetnx"] || !called["llen"] {
		t.Fatalf("found only %v", called)
	}
	for name := range called {
		if !slices.Contains(rights, "+"+name) {
			t.Errorf("the list lacks +%s", name)
		}
	}
}

// documentedRights are the rules of the package documentation.
func documentedRights(t *testing.T) []string {
	t.Helper()
	source, err := os.ReadFile("backend.go")
	if err != nil {
		t.Fatal(err)
	}
	_, rules, found := strings.Cut(string(source), "//	ACL SETUSER umbel ")
	rules, _, end := strings.Cut(rules, "//\n")
	if !found || !end {
		t.Fatal("the documentation names no rights")
	}
	return strings.Fields(strings.ReplaceAll(rules, "//", " "))
}

// The embedded broker is miniredis where no Redis is installed.
func TestConformanceOnMiniredis(t *testing.T) {
	server := miniredis.RunT(t)
	backendtest.Run(t, backendtest.Driver{
		Open:     func(t *testing.T) backend.Backend { return open(t, redis.Config{URL: "redis://" + server.Addr()}) },
		Features: backendtest.Features{Stored: true, Chords: true},
	})
}
