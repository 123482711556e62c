package testenv

import (
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"strings"
	"sync"
	"testing"

	"github.com/umbel-go/umbel/internal/testenv/cache"
)

var build = sync.OnceValues(buildUmbel)

// Umbel returns the path of the umbel program, built from this checkout once per
// test process, with -race when the test itself is. UMBEL_TEST_BINARY names
// another one to use.
func Umbel(t testing.TB) string {
	t.Helper()
	if path := os.Getenv(binaryVar); path != "" {
		return path
	}
	path, err := build()
	if err != nil {
		t.Fatalf("build umbel: %v", err)
	}
	return path
}

// buildUmbel builds into a folder that all test processes share; go build does
// nothing there when another one has built the same.
func buildUmbel() (string, error) {
	root, err := moduleRoot()
	if err != nil {
		return "", err
	}
	args := []string{"build"}
	name := "umbel"
	if raceDetector() {
		args = append(args, "-race")
		name = "umbel-race"
	}
	dir, err := buildDir(root)
	if err != nil {
		return "", err
	}
	unlock, err := cache.Lock(filepath.Join(dir, name+".lock"))
	if err != nil {
		return "", err
	}
	defer unlock()
	path := filepath.Join(dir, name)
	cmd := exec.Command("go", append(args, "-o", path, "./cmd/umbel")...)
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return path, nil
}

// buildDir is the folder of the whole run where there is one, else one in the
// user's cache for this checkout, so that nothing is left in the temporary folder.
func buildDir(root string) (string, error) {
	if dir := os.Getenv(dirVar); dir != "" {
		return dir, nil
	}
	return cache.Dir("bin", fmt.Sprintf("%x", sha256.Sum256([]byte(root)))[:12])
}

// moduleRoot asks for the module by name: a test may belong to a nested one.
func moduleRoot() (string, error) {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/umbel-go/umbel").Output()
	if err != nil {
		return "", fmt.Errorf("find the module: %w", err)
	}
	return strings.TrimSpace(string(out)), nil
}

func raceDetector() bool {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return false
	}
	for _, s := range info.Settings {
		if s.Key == "-race" {
			return s.Value == "true"
		}
	}
	return false
}
