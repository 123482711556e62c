package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"github.com/umbel-go/umbel/internal/testenv"
	"github.com/umbel-go/umbel/internal/testenv/requirements"
	"github.com/umbel-go/umbel/internal/testenv/server"
)

// environment is what the command gets: servers, interpreters, and the
// variables that tell it of them.
type environment struct {
	cache string
	temp  string
	wants func(part string) bool
	out   *console

	mu        sync.Mutex
	variables []string
	closers   []func()
	ended     chan string // names of servers that ended by themselves
}

// errMissing marks what a machine lacks, as opposed to what went wrong.
var errMissing = errors.New("missing")

func (e *environment) export(name, value string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.variables = append(e.variables, name+"="+value)
}

func (e *environment) onClose(f func()) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.closers = append(e.closers, f)
}

func (e *environment) close() {
	e.mu.Lock()
	closers := e.closers
	e.closers = nil
	e.mu.Unlock()
	var all sync.WaitGroup
	for _, f := range closers {
		all.Go(f)
	}
	all.Wait()
}

// prepare brings everything up, all of it at the same time, and returns one
// error for each part that could not be had.
func (e *environment) prepare(ctx context.Context) []error {
	python := make(chan error, 1)
	servers := make(chan error, 2)
	packages := e.missingPackages(ctx)
	go func() {
		var install error
		if len(packages) > 0 {
			install = installPackages(e.cache, packages, e.out)
		}
		go func() { servers <- explain(e.startRedis(ctx), install) }()
		go func() { servers <- explain(e.startRabbitMQ(ctx), install) }()
		// Only python3 itself may have to wait for packages.
		if slices.Contains(packages, "python3-venv") {
			python <- explain(e.buildVenvs(ctx), install)
		}
	}()
	if !slices.Contains(packages, "python3-venv") {
		go func() { python <- e.buildVenvs(ctx) }()
	}
	var failed []error
	for _, err := range []error{<-python, <-servers, <-servers} {
		if err != nil {
			failed = append(failed, err)
		}
	}
	return failed
}

// explain adds to an error about something missing why it was not installed.
func explain(err, install error) error {
	if err == nil || install == nil || !errors.Is(err, errMissing) {
		return err
	}
	return fmt.Errorf("%w; not installed here: %w", err, install)
}

func (e *environment) missingPackages(ctx context.Context) []string {
	var packages []string
	if _, err := server.FindRedis(); err != nil && e.wants("redis") {
		packages = append(packages, "redis-server")
	}
	if _, _, err := server.FindRabbitMQ(); err != nil && e.wants("amqp") {
		packages = append(packages, "rabbitmq-server")
	}
	if _, err := interpreter(ctx); err != nil && e.wants("python") {
		packages = append(packages, "python3", "python3-venv")
	}
	return packages
}

func (e *environment) startRedis(ctx context.Context) error {
	if !e.wants("redis") {
		return nil
	}
	if _, err := server.FindRedis(); err != nil {
		return fmt.Errorf("%w: %w", errMissing, err)
	}
	dir, err := e.folder("redis")
	if err != nil {
		return err
	}
	s, err := server.NewRedis(dir)
	if err != nil {
		return err
	}
	e.onClose(s.Kill)
	if err := s.Start(ctx); err != nil {
		return err
	}
	e.watch("redis-server", s)
	e.export("UMBEL_TEST_REDIS", s.URL)
	return nil
}

func (e *environment) startRabbitMQ(ctx context.Context) error {
	if !e.wants("amqp") {
		return nil
	}
	if _, _, err := server.FindRabbitMQ(); err != nil {
		return fmt.Errorf("%w: %w", errMissing, err)
	}
	dir, err := e.folder("rabbitmq")
	if err != nil {
		return err
	}
	b, err := server.NewRabbitMQ(dir)
	if err != nil {
		return err
	}
	e.onClose(b.Close)
	if err := b.Start(ctx); err != nil {
		return err
	}
	e.watch("rabbitmq-server", b.Server)
	e.export("UMBEL_TEST_AMQP", b.URL)
	e.export("UMBEL_TEST_AMQP_API", b.API)
	return nil
}

// watch makes the end of a server while it is needed known.
func (e *environment) watch(name string, s *server.Server) {
	done := s.Done()
	go func() {
		<-done
		e.ended <- fmt.Sprintf("%s (%v)", name, s.Err())
	}()
}

func (e *environment) buildVenvs(ctx context.Context) error {
	if !e.wants("python") {
		return nil
	}
	python, err := interpreter(ctx)
	if err != nil {
		return fmt.Errorf("%w: %w", errMissing, err)
	}
	environments, err := requirements.Environments()
	if err != nil {
		return err
	}
	var (
		all   sync.WaitGroup
		mu    sync.Mutex
		built = map[string]string{}
		errs  []error
	)
	for _, wanted := range environments {
		if wanted.FullOnly && !testenv.Full() {
			continue
		}
		v := planVenv(e.cache, python, wanted)
		all.Go(func() {
			err := v.build(ctx, e.out)
			mu.Lock()
			defer mu.Unlock()
			built[v.Name] = v.dir
			errs = append(errs, err)
		})
	}
	all.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	text, err := json.Marshal(built)
	if err != nil {
		return fmt.Errorf("describe the Python environments: %w", err)
	}
	e.export("UMBEL_TEST_PYTHONS", string(text))
	return nil
}

func (e *environment) folder(name string) (string, error) {
	dir := filepath.Join(e.temp, name)
	if err := os.Mkdir(dir, 0o700); err != nil {
		return "", fmt.Errorf("create the folder of %s: %w", name, err)
	}
	return dir, nil
}
