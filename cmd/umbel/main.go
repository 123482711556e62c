// Command umbel is a Celery-compatible worker, a Flower-compatible monitor and a
// workflow layer in one program. Run it without arguments for its commands.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	backends "github.com/umbel-go/umbel/backend/dial"
	brokers "github.com/umbel-go/umbel/broker/dial"
	"github.com/umbel-go/umbel/internal/app"
)

// Exit codes. Unavailable is Celery's for "no worker answered" (EX_UNAVAILABLE).
const (
	exitFailure     = 1
	exitUsage       = 2
	exitUnavailable = 69
)

func main() {
	os.Exit(run(os.Args))
}

func run(argv []string) int {
	ctx, stop := app.WithSignals(context.Background(), func() { os.Exit(exitFailure) })
	defer stop()
	root := newRoot()
	root.SetArgs(canonical(argv))
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	fmt.Fprintln(os.Stderr, "umbel:", err)
	return exitCode(err)
}

func exitCode(err error) int {
	var usage *usageError
	switch {
	case errors.As(err, &usage), errors.Is(err, brokers.ErrOption), errors.Is(err, backends.ErrOption):
		return exitUsage
	case errors.Is(err, app.ErrNoReply):
		return exitUnavailable
	}
	return exitFailure
}
