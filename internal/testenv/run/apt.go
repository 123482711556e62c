package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/umbel-go/umbel/internal/testenv/cache"
	"github.com/umbel-go/umbel/internal/testenv/child"
)

// While policyFile exits with 101, packages start no services.
const (
	policyFile = "/usr/sbin/policy-rc.d"
	policy     = "#!/bin/sh\n# Written by Umbel's test environment while it installs packages; safe to remove.\nexit 101\n"
)

// installPackages installs Debian packages. What they would run as services
// neither starts now nor at the next boot. A run of it is not cancelled in the
// middle: that would leave dpkg broken.
func installPackages(dir string, packages []string, out *console) error {
	if _, err := exec.LookPath("apt-get"); err != nil || os.Geteuid() != 0 {
		return errors.New("installing needs apt-get and root")
	}
	unlock, err := cache.Lock(filepath.Join(dir, "apt.lock"))
	if err != nil {
		return err
	}
	defer unlock()
	restore, err := forbidServices(policyFile)
	if err != nil {
		return err
	}
	defer restore()
	out.say("installing %s", strings.Join(packages, " "))
	start := time.Now()
	if err := aptInstall(packages, out); err != nil {
		// The usual cause is a package list that is missing or too old.
		if err := out.run(aptCommand("update", "-q")); err != nil {
			return fmt.Errorf("apt-get update: %w", err)
		}
		if err := aptInstall(packages, out); err != nil {
			return fmt.Errorf("apt-get install %s: %w", strings.Join(packages, " "), err)
		}
	}
	disableServices(packages)
	out.say("installed %s in %.0f s", strings.Join(packages, " "), time.Since(start).Seconds())
	return nil
}

func aptInstall(packages []string, out *console) error {
	args := append([]string{"install", "-y", "-q", "--no-install-recommends"}, packages...)
	return out.run(aptCommand(args...))
}

func aptCommand(args ...string) *exec.Cmd {
	cmd := exec.Command("apt-get", append([]string{"-o", "DPkg::Lock::Timeout=600"}, args...)...)
	cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive", "LC_ALL=C")
	return cmd
}

// forbidServices puts our policy in place unless the machine has one of its own,
// and returns what takes it away again.
func forbidServices(file string) (restore func(), err error) {
	old, err := os.ReadFile(file)
	if err == nil && string(old) != policy {
		return func() {}, nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("keep packages from starting services: %w", err)
	}
	if err := os.WriteFile(file, []byte(policy), 0o755); err != nil {
		return nil, fmt.Errorf("keep packages from starting services: %w", err)
	}
	return func() { _ = os.Remove(file) }, nil
}

// disableServices keeps the services from starting at the next boot; a package
// without a service makes update-rc.d complain, which means nothing here.
func disableServices(packages []string) {
	for _, name := range packages {
		if _, err := os.Stat("/etc/init.d/" + name); err == nil {
			_ = child.Run(exec.Command("update-rc.d", name, "disable"))
		}
	}
}
