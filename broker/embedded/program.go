package embedded

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"regexp"
	"strconv"
)

// program is an installed server.
type program struct{ kind, path string }

var (
	errNoProgram = errors.New("neither redis-server nor valkey-server is installed")
	versionText  = regexp.MustCompile(`v=(\d+)\.(\d+)`)
)

// findProgram looks for a server that is new enough: Celery 5.7 and our own
// scripts need Redis 6.2.
func findProgram(ctx context.Context) (program, error) {
	found := errNoProgram
	for _, kind := range []string{RedisServer, ValkeyServer} {
		path, err := exec.LookPath(kind)
		if err != nil {
			continue
		}
		out, err := exec.CommandContext(ctx, path, "--version").Output()
		if err != nil {
			found = fmt.Errorf("%s does not run: %w", path, err)
			continue
		}
		if !recent(string(out)) {
			found = fmt.Errorf("%s is older than Redis 6.2", path)
			continue
		}
		return program{kind, path}, nil
	}
	return program{}, found
}

func recent(version string) bool {
	m := versionText.FindStringSubmatch(version)
	if m == nil {
		return false
	}
	major, _ := strconv.Atoi(m[1])
	minor, _ := strconv.Atoi(m[2])
	return major > 6 || major == 6 && minor >= 2
}
