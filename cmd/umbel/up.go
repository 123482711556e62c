package main

import (
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/umbel-go/umbel/internal/app"
)

// upDrain is how long `up` waits for running tasks and again for what they leave
// to settle, so that Ctrl-C ends within five seconds.
const upDrain = time.Second

func newUp(g *globals) *cobra.Command {
	c := app.UpConfig{Out: os.Stdout}
	var queues string
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Run everything on this machine: broker, worker, monitor and workflows",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			// The environment of a developer's machine may name production's:
			// here only what is said on the command line counts.
			said := *g
			for option, value := range map[string]*string{
				"broker": &said.broker, "broker-transport-options": &said.brokerOptions,
				"result-backend": &said.backend, "result-backend-options": &said.backendOptions,
			} {
				if !cmd.Flags().Changed(option) {
					*value = ""
				}
			}
			var err error
			if c.Connection, err = said.connection(); err != nil {
				return err
			}
			c.Broker = said.broker // "" is the embedded one
			c.Worker.Queues, c.Worker.Demo, c.Worker.DrainTimeout = splitList(queues), c.Demo, upDrain
			return app.Up(cmd.Context(), c)
		},
	}
	f := cmd.Flags()
	f.StringVar(&c.Listen, "listen", "127.0.0.1:5555", "address of the pages and the API")
	f.StringVar(&c.BrokerListen, "broker-listen", "127.0.0.1:16379", "address of the embedded broker")
	f.StringVar(&c.Data, "data", "umbel-data", "folder for every file that is written")
	f.BoolVar(&c.Demo, "demo", false, "register the demo tasks and keep sample work flowing")
	f.StringVarP(&queues, "queues", "Q", "", "comma-separated queues that the worker consumes")
	f.IntVarP(&c.Worker.Concurrency, "concurrency", "c", 0, "tasks that run at once (default: number of CPUs)")
	f.StringVarP(&c.Worker.Name, "hostname", "n", "", "node name of the worker; %h is the host (default umbel@%h)")
	return cmd
}
