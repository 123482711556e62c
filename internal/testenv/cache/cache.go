// Package cache keeps what the test environment makes once and uses often:
// Python environments and built programs.
package cache

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// Dir returns a folder, made where needed, below
// ${XDG_CACHE_HOME:-~/.cache}/umbel-test.
func Dir(elements ...string) (string, error) {
	base := os.Getenv("XDG_CACHE_HOME")
	if base == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return "", fmt.Errorf("find the cache folder: %w", err)
		}
		base = filepath.Join(home, ".cache")
	}
	dir := filepath.Join(append([]string{base, "umbel-test"}, elements...)...)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", fmt.Errorf("create the cache folder: %w", err)
	}
	return dir, nil
}

// Lock waits for a lock that one process holds at a time. The kernel releases it
// when its holder dies; the file stays.
func Lock(path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, fmt.Errorf("lock: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	return func() { _ = f.Close() }, nil
}
