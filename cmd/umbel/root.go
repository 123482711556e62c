package main

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/umbel-go/umbel/internal/app"
	"github.com/umbel-go/umbel/internal/version"
)

// usageError is a command line that cannot be used.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

// globals are the options that every command takes, as Celery has them.
type globals struct {
	app            string
	broker         string
	brokerOptions  string
	backend        string
	backendOptions string
	logLevel       string
}

func newRoot() *cobra.Command {
	g := &globals{}
	root := &cobra.Command{
		Use:           "umbel",
		Short:         "Celery-compatible worker, Flower-compatible monitor and workflows in one program",
		Version:       version.String,
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          knownCommand,

		SuggestionsMinimumDistance: 2,
		RunE:                       func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error {
			return g.prepare(cmd.ErrOrStderr())
		},
	}
	f := root.PersistentFlags()
	f.SetNormalizeFunc(underscores)
	f.StringVarP(&g.app, "app", "A", "", "accepted for compatibility and ignored: there is no Python application to load")
	f.StringVarP(&g.broker, "broker", "b", brokerFromEnv(), "broker URL, redis://... or amqp://... (environment: CELERY_BROKER_URL)")
	f.StringVar(&g.backend, "result-backend", os.Getenv("CELERY_RESULT_BACKEND"), "result backend URL; default: the broker's Redis, rpc:// on RabbitMQ")
	f.StringVar(&g.brokerOptions, "broker-transport-options", os.Getenv(envBrokerOptions), "Celery's broker_transport_options as a JSON object, such as '{\"global_keyprefix\": \"shop:\"}'")
	f.StringVar(&g.backendOptions, "result-backend-options", os.Getenv(envBackendOptions), "Celery's result_* settings as a JSON object, such as '{\"result_expires\": 3600}'")
	f.StringVarP(&g.logLevel, "loglevel", "l", "info", "debug, info, warning or error")
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return &usageError{fmt.Errorf("%w\nSee '%s --help'", err, cmd.CommandPath())}
	})
	root.AddCommand(newUp(g), newWorker(g), newMonitor(g), newCall(g), newDLQ(g), newVersion())
	return root
}

// knownCommand refuses a first word that is no command, with what may have been
// meant.
func knownCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	hint := ""
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		hint = fmt.Sprintf("; did you mean %q?", near[0])
	}
	return &usageError{fmt.Errorf("unknown command %q%s\nSee 'umbel --help'", args[0], hint)}
}

func brokerFromEnv() string {
	for _, name := range []string{"UMBEL_BROKER", "CELERY_BROKER_URL"} {
		if v := os.Getenv(name); v != "" {
			return v
		}
	}
	return ""
}

// defaultBroker is used where a command needs a broker and none is named; it is
// what people have on their machine, not Celery's guest RabbitMQ.
const defaultBroker = "redis://127.0.0.1:6379/0"

func (g *globals) brokerURL() string {
	if g.broker == "" {
		return defaultBroker
	}
	return g.broker
}

// connection is where a command works. An error is about the options' JSON.
func (g *globals) connection() (app.Connection, error) {
	c := app.Connection{Broker: g.brokerURL(), Backend: g.backend}
	var err error
	if c.BrokerOptions, err = jsonOptions("--broker-transport-options", envBrokerOptions, g.brokerOptions); err != nil {
		return c, err
	}
	c.BackendOptions, err = jsonOptions("--result-backend-options", envBackendOptions, g.backendOptions)
	return c, err
}

// Environment variables that hold the defaults of options.
const (
	envBrokerOptions  = "UMBEL_BROKER_TRANSPORT_OPTIONS"
	envBackendOptions = "UMBEL_RESULT_BACKEND_OPTIONS"
)

// jsonOptions reads an option whose value is a JSON object; "" is none. An error
// names the variable when the value is its.
func jsonOptions(flag, env, text string) (map[string]any, error) {
	if text == "" {
		return nil, nil
	}
	var options map[string]any
	if err := json.Unmarshal([]byte(text), &options); err != nil {
		name := flag
		if text == os.Getenv(env) {
			name = env
		}
		return nil, &usageError{fmt.Errorf("%s is not a JSON object, such as '{\"name\": 1}': %w", name, err)}
	}
	return options, nil
}

func (g *globals) prepare(stderr io.Writer) error {
	level, err := levelOf(g.logLevel)
	if err != nil {
		return &usageError{err}
	}
	slog.SetDefault(slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: level})))
	if g.app != "" {
		slog.Warn("option -A is accepted and ignored: tasks are Go functions, there is no Python application to load", "app", g.app)
	}
	return nil
}

func levelOf(name string) (slog.Level, error) {
	levels := map[string]slog.Level{
		"debug": slog.LevelDebug, "info": slog.LevelInfo, "warning": slog.LevelWarn, "warn": slog.LevelWarn,
		"error": slog.LevelError, "critical": slog.LevelError, "fatal": slog.LevelError,
	}
	l, ok := levels[strings.ToLower(name)]
	if !ok {
		return 0, fmt.Errorf("log level %q: use debug, info, warning or error", name)
	}
	return l, nil
}
