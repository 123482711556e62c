//go:build !linux

package child

import "os/exec"

func startBound(cmd *exec.Cmd) error { return cmd.Start() }
