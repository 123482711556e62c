package app

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/gofrs/flock"
)

// lockFolder creates the data folder of `up` and makes sure that one process
// uses it.
func lockFolder(dir string) (unlock func(), err error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("create the data folder: %w; choose another with --data", err)
	}
	return lock(filepath.Join(dir, "umbel.lock"), "the data folder "+dir, "--data")
}

// lockDatabase makes sure that one monitor writes a database file.
func lockDatabase(path string) (unlock func(), err error) {
	return lock(path+".lock", "the database "+path, "--db")
}

// lock takes a lock that goes with the process, however that ends.
func lock(path, what, option string) (unlock func(), err error) {
	l := flock.New(path)
	free, err := l.TryLock()
	if err != nil {
		return nil, fmt.Errorf("lock %s: %w; choose another with %s", what, err, option)
	}
	if !free {
		return nil, fmt.Errorf("%s is in use by another umbel; end that one or choose another with %s", what, option)
	}
	return func() {
		if err := l.Unlock(); err != nil {
			slog.Warn("unlock", "file", path, "error", err)
		}
	}, nil
}
