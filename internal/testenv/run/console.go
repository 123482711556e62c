package main

import (
	"bytes"
	"fmt"
	"io"
	"os/exec"
	"sync"

	"github.com/umbel-go/umbel/internal/testenv/child"
)

// console tells what is being done. Several goroutines use it.
type console struct {
	mu      sync.Mutex
	to      io.Writer
	verbose bool
}

func (c *console) say(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	fmt.Fprintf(c.to, "testenv: "+format+"\n", args...)
}

// Write passes on the output of a program that was run verbosely.
func (c *console) Write(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.to.Write(b)
}

// run runs an installer; its output is shown when verbose, else it is the text
// of the error.
func (c *console) run(cmd *exec.Cmd) error {
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	if c.verbose {
		cmd.Stdout, cmd.Stderr = c, c
	}
	if err := child.Run(cmd); err != nil {
		return fmt.Errorf("%w\n%s", err, bytes.TrimSpace(output.Bytes()))
	}
	return nil
}
