package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/umbel-go/umbel/broker"
	brokers "github.com/umbel-go/umbel/broker/dial"
	"github.com/umbel-go/umbel/client"
)

// dlq is what the subcommands of "umbel dlq" share.
type dlq struct {
	globals *globals
	queue   string
	json    bool
	open    func(url string, options map[string]any) (broker.Broker, error)
}

func newDLQ(g *globals) *cobra.Command {
	d := &dlq{globals: g, open: brokers.OpenOptions}
	return d.command()
}

func (d *dlq) command() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "dlq",
		Short: "List, show, replay or drop messages that could not be run",
		Long: "Messages that no worker could run are kept in the dead-letter place of their queue.\n" +
			"Replay puts them back on the queue as they were; drop deletes them.\n" +
			"Of an id, a beginning is enough that no other letter of the queue has.",
		Args: d.knownSubcommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	f := cmd.PersistentFlags()
	f.StringVarP(&d.queue, "queue", "Q", client.DefaultQueue, "queue whose dead letters are meant")
	f.BoolVar(&d.json, "json", false, "print JSON")
	cmd.AddCommand(
		d.newList(), d.newShow(),
		d.newSettle("replay", "Put dead letters back on the queue", "put back on queue %s", broker.DeadLetters.ReplayDead),
		d.newSettle("drop", "Delete dead letters", "dropped from queue %s", broker.DeadLetters.DropDead),
	)
	return cmd
}

func (d *dlq) knownSubcommand(_ *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	return &usageError{fmt.Errorf("unknown command %q\nSee 'umbel dlq --help'", "dlq "+args[0])}
}

func (d *dlq) newList() *cobra.Command {
	var most int
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List dead letters, the newest first",
		Args:  noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if most < 1 {
				return &usageError{fmt.Errorf("--max %d: give 1 or more", most)}
			}
			return d.with(func(dead broker.DeadLetters) error {
				return d.list(cmd, dead, min(most, math.MaxInt32-1))
			})
		},
	}
	cmd.Flags().IntVar(&most, "max", 100, "list at most so many")
	return cmd
}

// list asks for one more than it prints, to know whether there are more.
func (d *dlq) list(cmd *cobra.Command, dead broker.DeadLetters, most int) error {
	letters, err := dead.ListDead(cmd.Context(), d.queue, most+1)
	if err != nil {
		return err
	}
	more := len(letters) > most
	letters = letters[:min(len(letters), most)]
	switch {
	case d.json:
		err = writeJSON(cmd.OutOrStdout(), summaries(letters))
	case len(letters) > 0:
		err = writeTable(cmd.OutOrStdout(), summaries(letters))
	default:
		_, err = fmt.Fprintf(cmd.ErrOrStderr(), "queue %s has no dead letters\n", d.queue)
	}
	if err == nil && more {
		_, err = fmt.Fprintf(cmd.ErrOrStderr(), "queue %s has more than these %d: a higher --max lists them\n", d.queue, most)
	}
	return err
}

func (d *dlq) newShow() *cobra.Command {
	return &cobra.Command{
		Use:   "show ID",
		Short: "Print one dead letter with its headers and body",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return &usageError{fmt.Errorf("show needs the id of one dead letter, got %d arguments; 'umbel dlq list' has the ids", len(args))}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return d.with(func(dead broker.DeadLetters) error {
				letters, err := d.find(cmd.Context(), dead, args)
				if err != nil {
					return err
				}
				if d.json {
					return writeJSON(cmd.OutOrStdout(), contentsOf(letters[0]))
				}
				return writeLetter(cmd.OutOrStdout(), contentsOf(letters[0]))
			})
		},
	}
}

// find returns the letters that ids name, each once. An id may be the beginning
// of one.
func (d *dlq) find(ctx context.Context, dead broker.DeadLetters, ids []string) ([]broker.DeadLetter, error) {
	letters, err := dead.ListDead(ctx, d.queue, math.MaxInt32)
	if err != nil {
		return nil, err
	}
	var found []broker.DeadLetter
	for _, id := range ids {
		l, err := d.pick(letters, id)
		if err != nil {
			return nil, err
		}
		if !slices.ContainsFunc(found, func(f broker.DeadLetter) bool { return f.ID == l.ID }) {
			found = append(found, l)
		}
	}
	return found, nil
}

// pick returns the letter of this id, else the only one whose id begins with it.
func (d *dlq) pick(letters []broker.DeadLetter, id string) (broker.DeadLetter, error) {
	var begin []broker.DeadLetter
	for _, l := range letters {
		if l.ID == id {
			return l, nil
		}
		if id != "" && strings.HasPrefix(l.ID, id) {
			begin = append(begin, l)
		}
	}
	switch len(begin) {
	case 0:
		return broker.DeadLetter{}, fmt.Errorf("queue %s has no dead letter %s; 'umbel dlq list -Q %s' shows those it has",
			d.queue, cmp.Or(printable(id), `""`), d.queue)
	case 1:
		return begin[0], nil
	}
	return broker.DeadLetter{}, fmt.Errorf("%s begins the ids of %d dead letters of queue %s, such as %s and %s; give more of it",
		id, len(begin), d.queue, printable(begin[0].ID), printable(begin[1].ID))
}

// settle is ReplayDead or DropDead.
type settle func(dead broker.DeadLetters, ctx context.Context, queue string, ids ...string) (int, error)

func (d *dlq) newSettle(name, short, done string, settle settle) *cobra.Command {
	var all bool
	cmd := &cobra.Command{
		Use:     name + " [--all | ID...]",
		Short:   short,
		Example: fmt.Sprintf("  umbel dlq %s -Q orders 4f1c 77ab\n  umbel dlq %s -Q orders --all", name, name),
		Args: func(_ *cobra.Command, ids []string) error {
			if all == (len(ids) > 0) {
				return &usageError{fmt.Errorf("%s needs the ids of dead letters, or --all instead; 'umbel dlq list' has the ids", name)}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, ids []string) error {
			return d.with(func(dead broker.DeadLetters) error { return d.settle(cmd, dead, settle, done, ids) })
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, "every dead letter of the queue")
	return cmd
}

// settle deals with the letters that ids name, or with all when there are none.
// An id that names none, or several, leaves every letter as it is.
func (d *dlq) settle(cmd *cobra.Command, dead broker.DeadLetters, settle settle, done string, ids []string) error {
	var named []string
	if len(ids) > 0 {
		letters, err := d.find(cmd.Context(), dead, ids)
		if err != nil {
			return err
		}
		for _, l := range letters {
			named = append(named, l.ID)
		}
	}
	n, err := settle(dead, cmd.Context(), d.queue, named...)
	if err == nil || n > 0 { // some may have gone before the error
		err = errors.Join(d.report(cmd, n, fmt.Sprintf(done, d.queue)), err)
	}
	if missing := len(named) - n; err == nil && missing > 0 {
		return fmt.Errorf("%d of %d dead letters left queue %s meanwhile; 'umbel dlq list -Q %s' shows those it has",
			missing, len(named), d.queue, d.queue)
	}
	return err
}

func (d *dlq) report(cmd *cobra.Command, n int, done string) error {
	if d.json {
		return writeJSON(cmd.OutOrStdout(), map[string]any{"queue": d.queue, "letters": n})
	}
	noun := "letters"
	if n == 1 {
		noun = "letter"
	}
	_, err := fmt.Fprintf(cmd.OutOrStdout(), "%d %s %s\n", n, noun, done)
	return err
}

// with opens the broker for the time of do.
func (d *dlq) with(do func(broker.DeadLetters) error) (err error) {
	on, err := d.globals.connection()
	if err != nil {
		return err
	}
	b, err := d.open(on.Broker, on.BrokerOptions)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.Close()) }()
	return do(b)
}

func noArguments(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return &usageError{fmt.Errorf("%s takes no arguments, got %q\nSee '%s --help'", cmd.Name(), args[0], cmd.CommandPath())}
	}
	return nil
}
