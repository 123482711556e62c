package main

import (
	"fmt"
	"runtime"

	"github.com/spf13/cobra"

	"github.com/umbel-go/umbel/internal/version"
)

func newVersion() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "umbel %s (%s)\n", version.String, runtime.Version())
			return err
		},
	}
}
