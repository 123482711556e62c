// Command run starts what the tests need (a private Redis, a private RabbitMQ,
// Python environments with several versions of Celery), runs a command with the
// addresses in its environment, and ends everything it started:
//
//	go run ./internal/testenv/run -- go test -race ./...
//
// As root on Debian it installs what is missing. Environments stay in
// ${XDG_CACHE_HOME:-~/.cache}/umbel-test. It ends when its parent ends.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"time"
	"unsafe"

	"github.com/umbel-go/umbel/internal/testenv/cache"
	"github.com/umbel-go/umbel/internal/testenv/child"
)

const (
	failure = 1
	misuse  = 2
)

func main() {
	os.Exit(run(os.Args[1:]))
}

func run(args []string) (code int) {
	flags := flag.NewFlagSet("run", flag.ContinueOnError)
	allowMissing := flags.Bool("allow-missing", false, "run the command although something is missing; tests that need it skip")
	verbose := flags.Bool("v", false, "show the output of installers")
	with := flags.String("with", "redis,amqp,python", "what to provide")
	flags.Usage = func() {
		fmt.Fprintln(flags.Output(), "usage: go run ./internal/testenv/run [flags] -- command [argument...]")
		flags.PrintDefaults()
	}
	if err := flags.Parse(args); err != nil {
		return misuse
	}
	if flags.NArg() == 0 {
		flags.Usage()
		return misuse
	}
	out := &console{to: os.Stderr, verbose: *verbose}
	env, err := newEnvironment(*with, out)
	if err != nil {
		out.say("%v", err)
		return failure
	}
	defer env.remove()

	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	signals := endSignals()
	if err := child.AdoptOrphans(ctx); err != nil {
		out.say("%v", err)
	}
	if !env.up(ctx, cancel, signals, *allowMissing) {
		return failure
	}
	code, err = env.command(flags.Args(), signals)
	if err != nil {
		out.say("%v", err)
	}
	return code
}

func newEnvironment(with string, out *console) (*environment, error) {
	folder, err := cache.Dir()
	if err != nil {
		return nil, err
	}
	temp, err := os.MkdirTemp("", "umbel-test-")
	if err != nil {
		return nil, fmt.Errorf("create a temporary folder: %w", err)
	}
	e := &environment{cache: folder, temp: temp, out: out, ended: make(chan string, 2)}
	e.wants = func(part string) bool { return strings.Contains(","+with+",", ","+part+",") }
	e.export("UMBEL_TEST_DIR", temp)
	return e, nil
}

// remove ends the servers and whatever the command left behind.
func (e *environment) remove() {
	e.close()
	for _, left := range child.EndOrphans() {
		e.out.say("ended a process that was left behind: %s", left)
	}
	if err := os.RemoveAll(e.temp); err != nil {
		e.out.say("%v", err)
	}
}

// up prepares the environment and tells whether the command may run.
func (e *environment) up(ctx context.Context, cancel context.CancelCauseFunc, signals <-chan os.Signal, allowMissing bool) bool {
	start := time.Now()
	prepared := make(chan []error, 1)
	go func() { prepared <- e.prepare(ctx) }()
	var failed []error
	select {
	case failed = <-prepared:
	case sig := <-signals:
		e.out.say("%v: stopping (a package installation is finished first)", sig)
		cancel(fmt.Errorf("%v", sig))
		<-prepared
		return false
	}
	for _, err := range failed {
		e.out.say("%v", err)
		if !errors.Is(err, errMissing) {
			allowMissing = false
		}
	}
	if len(failed) > 0 && !allowMissing {
		return false
	}
	e.out.say("ready after %.1f s", time.Since(start).Seconds())
	return true
}

// command runs the command, hands signals on to its process group, and returns
// its exit code. It ends the command when a server ends.
func (e *environment) command(args []string, signals <-chan os.Signal) (int, error) {
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), e.variables...)
	// On a terminal the command takes our place in the foreground.
	cmd.SysProcAttr = &syscall.SysProcAttr{Foreground: onTerminal()}
	if err := child.Start(cmd); err != nil {
		return failure, err
	}
	done := make(chan error, 1)
	go func() { done <- child.Wait(cmd) }()
	var problem error
	for {
		select {
		case err := <-done:
			_ = child.SignalGroup(cmd, syscall.SIGKILL)
			if problem != nil {
				return failure, problem
			}
			if code := child.ExitCode(err); code >= 0 {
				return code, nil
			}
			return failure, err
		case sig := <-signals:
			_ = child.SignalGroup(cmd, sig.(syscall.Signal))
		case name := <-e.ended:
			problem = fmt.Errorf("%s ended while the command ran", name)
			e.out.say("%v", problem)
			_ = child.SignalGroup(cmd, syscall.SIGTERM)
		}
	}
}

// endSignals delivers SIGINT, SIGTERM and SIGHUP, and SIGTERM when the parent
// ends: a killed "go run" or make tells its child nothing.
func endSignals() <-chan os.Signal {
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	parent := os.Getppid()
	go func() {
		for range time.Tick(time.Second) {
			if os.Getppid() != parent {
				signals <- syscall.SIGTERM
				return
			}
		}
	}()
	return signals
}

// onTerminal tells whether standard input is the terminal that controls us and
// whose foreground we are.
func onTerminal() bool {
	var group int32
	_, _, errno := syscall.Syscall(syscall.SYS_IOCTL, 0, syscall.TIOCGPGRP, uintptr(unsafe.Pointer(&group)))
	return errno == 0 && int(group) == syscall.Getpgrp()
}
