package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/umbel-go/umbel/client"
	"github.com/umbel-go/umbel/protocol"
)

// ErrNoReply means that no worker answered in time.
var ErrNoReply = errors.New("no reply")

// CallConfig is what `umbel call` sends. Args and Kwargs are JSON.
type CallConfig struct {
	Connection
	Task                        string
	Args, Kwargs                string
	ETA                         string
	Countdown, Expires          time.Duration
	Queue, Exchange, RoutingKey string
	// Wait is how long to wait for the result; 0 does not wait.
	Wait time.Duration
}

// Check reports what cannot be sent, before anything connects.
func (c CallConfig) Check() error {
	if c.ETA != "" {
		if c.Countdown > 0 {
			return errors.New("--eta and --countdown exclude each other")
		}
		if _, err := protocol.ParseTime(c.ETA); err != nil {
			return fmt.Errorf("--eta: %w", err)
		}
	}
	switch {
	case c.Queue != "" && c.Exchange != "":
		return errors.New("--queue and --exchange exclude each other")
	case c.Wait < 0:
		return fmt.Errorf("--wait %v: give a time above 0", c.Wait)
	}
	_, err := c.signature()
	return err
}

// Call sends a task and writes its id to out, and its result as JSON when told
// to wait.
func Call(ctx context.Context, c CallConfig, out io.Writer) error {
	sig, err := c.signature()
	if err != nil {
		return err
	}
	conn, err := c.open()
	if err != nil {
		return err
	}
	defer conn.close()
	cl := client.New(client.Config{Broker: conn.broker, Backend: conn.backend})
	res, err := cl.Send(ctx, sig)
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintln(out, res.ID); err != nil || c.Wait <= 0 {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, c.Wait)
	defer cancel()
	var value protocol.Raw
	if err := res.Get(ctx, &value); err != nil {
		if errors.Is(err, context.DeadlineExceeded) {
			return fmt.Errorf("%w: %s after %v", ErrNoReply, c.waiting(res), c.Wait)
		}
		return err
	}
	_, err = fmt.Fprintln(out, string(value))
	return err
}

// waiting says how far a task is that has no result yet.
func (c CallConfig) waiting(res *client.Result) string {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	state, err := res.State(ctx)
	if err != nil || state.Status == protocol.StatePending {
		return fmt.Sprintf("task %s has not ended; it runs, it waits, no worker consumes its queue, or its worker stores results elsewhere (--result-backend)", res.ID)
	}
	return fmt.Sprintf("task %s is in state %s", res.ID, state.Status)
}

func (c CallConfig) signature() (protocol.Signature, error) {
	sig := protocol.Signature{Task: c.Task}
	args, err := protocol.SplitArray([]byte(c.Args))
	if err != nil {
		return sig, fmt.Errorf("--args must be a JSON array such as '[2, 3]': %w", err)
	}
	for _, a := range args {
		sig.Args = append(sig.Args, a)
	}
	kwargs, err := protocol.SplitObject([]byte(c.Kwargs))
	if err != nil {
		return sig, fmt.Errorf("--kwargs must be a JSON object such as '{\"x\": 2}': %w", err)
	}
	for _, f := range kwargs {
		sig.Kwargs = append(sig.Kwargs, protocol.Field{Name: f.Name, Value: f.Value})
	}
	set := func(name string, value any, given bool) {
		if given {
			sig.Options = sig.Options.Set(name, value)
		}
	}
	set("eta", c.ETA, c.ETA != "")
	set("countdown", c.Countdown.Seconds(), c.Countdown > 0)
	set("expires", c.Expires.Seconds(), c.Expires > 0)
	set("queue", c.Queue, c.Queue != "")
	set("exchange", c.Exchange, c.Exchange != "")
	set("routing_key", c.RoutingKey, c.RoutingKey != "")
	return sig, nil
}
