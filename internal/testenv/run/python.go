package main

import (
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/umbel-go/umbel/internal/testenv/cache"
	"github.com/umbel-go/umbel/internal/testenv/requirements"
)

// completeMark is written last into a virtual environment. Environments cannot
// be built elsewhere and moved: their scripts hold their own path.
const completeMark = ".complete"

// venv is one virtual environment to provide.
type venv struct {
	requirements.Environment
	dir string
}

// planVenv names the environment's folder after what goes into it: the pinned
// packages, the interpreter and what it runs first.
func planVenv(folder, interpreter string, e requirements.Environment) venv {
	sum := sha256.Sum256([]byte(interpreter + "\n" + e.Packages + e.Startup))
	return venv{e, filepath.Join(folder, fmt.Sprintf("%s-%x", e.Name, sum[:6]))}
}

func (v venv) ready() bool {
	_, err := os.Stat(filepath.Join(v.dir, completeMark))
	return err == nil
}

// build makes the environment unless it is complete, also when several
// processes ask at once.
func (v venv) build(ctx context.Context, out *console) error {
	if v.ready() {
		return nil
	}
	unlock, err := cache.Lock(v.dir + ".lock")
	if err != nil {
		return err
	}
	defer unlock()
	if v.ready() {
		return nil
	}
	out.say("building the Python environment %s", v.Name)
	start := time.Now()
	if err := v.install(ctx, out); err != nil {
		return fmt.Errorf("build the Python environment %s: %w", v.Name, err)
	}
	out.say("built %s in %.0f s", v.Name, time.Since(start).Seconds())
	return nil
}

func (v venv) install(ctx context.Context, out *console) error {
	if err := os.RemoveAll(v.dir); err != nil {
		return fmt.Errorf("remove the incomplete one: %w", err)
	}
	list := v.dir + ".txt"
	if err := os.WriteFile(list, []byte(v.Packages), 0o644); err != nil {
		return fmt.Errorf("write requirements: %w", err)
	}
	if err := out.run(interruptible(ctx, "python3", "-m", "venv", v.dir)); err != nil {
		return fmt.Errorf("python3 -m venv: %w", err)
	}
	pip := []string{"-m", "pip", "install", "-q", "--no-input", "--disable-pip-version-check", "-r", list}
	if err := out.run(interruptible(ctx, filepath.Join(v.dir, "bin", "python"), pip...)); err != nil {
		return fmt.Errorf("pip install: %w", err)
	}
	if err := v.installStartup(ctx); err != nil {
		return fmt.Errorf("install what it runs first: %w", err)
	}
	if err := os.WriteFile(filepath.Join(v.dir, completeMark), nil, 0o644); err != nil {
		return fmt.Errorf("mark as complete: %w", err)
	}
	return nil
}

func (v venv) installStartup(ctx context.Context) error {
	if v.Startup == "" {
		return nil
	}
	const where = "import sysconfig; print(sysconfig.get_path('purelib'))"
	folder, err := interruptible(ctx, filepath.Join(v.dir, "bin", "python"), "-c", where).Output()
	if err != nil {
		return fmt.Errorf("find site-packages: %w", err)
	}
	return os.WriteFile(filepath.Join(strings.TrimSpace(string(folder)), "sitecustomize.py"), []byte(v.Startup), 0o644)
}

// interpreter describes python3 and fails where it cannot make environments.
func interpreter(ctx context.Context) (string, error) {
	const describe = "import ensurepip, sys; print(sys.version, sys.base_prefix)"
	cmd := interruptible(ctx, "python3", "-c", describe)
	var said strings.Builder
	cmd.Stderr = &said
	text, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("python3 with venv is not installed (Python 3.10 or newer; Debian and Ubuntu: apt-get install python3 python3-venv): %w: %s", err, strings.TrimSpace(said.String()))
	}
	return strings.TrimSpace(string(text)), nil
}

// interruptible is a command whose process group ends with ctx.
func interruptible(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	return cmd
}
