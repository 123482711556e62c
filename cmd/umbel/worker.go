package main

import (
	"strings"

	"github.com/spf13/cobra"

	"github.com/umbel-go/umbel/internal/app"
)

func newWorker(g *globals) *cobra.Command {
	var c app.WorkerConfig
	var queues string
	cmd := &cobra.Command{
		Use:   "worker",
		Short: "Run a worker with the stock tasks",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c.Queues = splitList(queues)
			on, err := g.connection()
			if err != nil {
				return err
			}
			return app.RunWorker(cmd.Context(), on, c)
		},
	}
	f := cmd.Flags()
	f.StringVarP(&queues, "queues", "Q", "", "comma-separated queues to consume (default celery; with --demo also umbel-demo)")
	f.IntVarP(&c.Concurrency, "concurrency", "c", 0, "tasks that run at once (default: number of CPUs)")
	f.StringVarP(&c.Name, "hostname", "n", "", "node name; %h is the host (default umbel@%h)")
	f.BoolVarP(&c.TaskEvents, "task-events", "E", false, "send task events from the start")
	f.BoolVar(&c.Demo, "demo", false, "register the demo tasks (demo.add, demo.sleep, ...)")
	f.DurationVar(&c.DrainTimeout, "drain-timeout", 0, "how long a warm shutdown waits for running tasks (0: until they end)")
	return cmd
}

func splitList(s string) []string {
	var out []string
	for part := range strings.SplitSeq(s, ",") {
		if part = strings.TrimSpace(part); part != "" {
			out = append(out, part)
		}
	}
	return out
}
