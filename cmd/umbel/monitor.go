package main

import (
	"errors"
	"fmt"
	"log/slog"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/umbel-go/umbel/internal/app"
)

func newMonitor(g *globals) *cobra.Command {
	var c app.MonitorConfig
	cmd := &cobra.Command{
		Use:     "monitor",
		Aliases: []string{"flower"},
		Short:   "Run the monitor in Flower's place",
		// Parsed by hand below: Flower ignores options that it does not know.
		DisableFlagParsing: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := parseLeniently(cmd, args); err != nil {
				if errors.Is(err, pflag.ErrHelp) {
					return cmd.Help()
				}
				return &usageError{err}
			}
			if err := g.prepare(cmd.ErrOrStderr()); err != nil {
				return err
			}
			var err error
			if c.Connection, err = g.connection(); err != nil {
				return err
			}
			return app.RunMonitor(cmd.Context(), c)
		},
	}
	f := cmd.Flags()
	f.StringVar(&c.Address, "address", "", "address to listen on (default: all)")
	f.IntVar(&c.Port, "port", 5555, "port to listen on")
	f.StringVar(&c.Prefix, "url-prefix", "", "prefix of every URL")
	f.StringVar(&c.DB, "db", "umbel-monitor.db", "database file; :memory: keeps nothing")
	f.IntVar(&c.MaxTasks, "max-tasks", 1_000_000, "tasks to keep")
	f.BoolVar(&c.Persistent, "persistent", true, "keep history in --db over a restart")
	f.StringVar(&c.BasicAuth, "basic-auth", "", "user:password pairs, comma-separated")
	return cmd
}

// parseLeniently parses a command's options and warns about those that it does
// not know.
func parseLeniently(cmd *cobra.Command, args []string) error {
	flags := cmd.Flags()
	flags.AddFlagSet(cmd.InheritedFlags())
	flags.SetNormalizeFunc(underscores)
	kept, unknown := withoutUnknown(flags, args)
	if err := flags.Parse(kept); err != nil {
		return fmt.Errorf("%w\nSee '%s --help'", err, cmd.CommandPath())
	}
	for _, name := range unknown {
		slog.Warn("unknown option is ignored", "option", name)
	}
	if help, err := flags.GetBool("help"); err == nil && help {
		return pflag.ErrHelp
	}
	if rest := flags.Args(); len(rest) > 0 {
		return fmt.Errorf("unexpected argument %q\nSee '%s --help'", rest[0], cmd.CommandPath())
	}
	return nil
}
