package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/umbel-go/umbel/internal/app"
)

func newCall(g *globals) *cobra.Command {
	var c app.CallConfig
	var countdown, expires float64
	cmd := &cobra.Command{
		Use:   "call NAME",
		Short: "Send a task and print its id",
		Example: `  umbel call demo.add -a '[2, 3]' --wait 5s
  umbel call demo.echo -k '{"x": 1}' --queue other --countdown 10`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 || args[0] == "" {
				return &usageError{fmt.Errorf("call needs the name of one task, got %d arguments\nSee 'umbel call --help'", len(args))}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			var err error
			if c.Connection, err = g.connection(); err != nil {
				return err
			}
			c.Task = args[0]
			given := cmd.Flags().Changed
			if c.Countdown, err = durationOf("--countdown", countdown, given("countdown")); err != nil {
				return err
			}
			if c.Expires, err = durationOf("--expires", expires, given("expires")); err != nil {
				return err
			}
			if err := c.Check(); err != nil {
				return &usageError{err}
			}
			return app.Call(cmd.Context(), c, cmd.OutOrStdout())
		},
	}
	f := cmd.Flags()
	f.StringVarP(&c.Args, "args", "a", "[]", "positional arguments, a JSON array")
	f.StringVarP(&c.Kwargs, "kwargs", "k", "{}", "keyword arguments, a JSON object")
	f.StringVar(&c.ETA, "eta", "", "run no sooner than this ISO 8601 time")
	f.Float64Var(&countdown, "countdown", 0, "seconds to wait before the task runs")
	f.Float64Var(&expires, "expires", 0, "seconds after which the task is refused")
	f.StringVar(&c.Queue, "queue", "", "queue (default celery)")
	f.StringVar(&c.Exchange, "exchange", "", "exchange, with --routing-key, instead of a queue")
	f.StringVar(&c.RoutingKey, "routing-key", "", "routing key")
	f.DurationVar(&c.Wait, "wait", 0, "wait this long for the result and print it")
	return cmd
}

// durationOf checks an option that is a number of seconds: not negative where it
// is given, and no more than ten years.
func durationOf(option string, seconds float64, given bool) (time.Duration, error) {
	const most = 10 * 366 * 24 * 3600
	if given && !(seconds >= 0 && seconds <= most) {
		return 0, &usageError{fmt.Errorf("%s %v: give a number of seconds, 0 to ten years", option, seconds)}
	}
	return time.Duration(seconds * float64(time.Second)), nil
}
