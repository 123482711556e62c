package worker

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/umbel-go/umbel/broker"
	"github.com/umbel-go/umbel/protocol"
)

// noReply is returned by a command that answers nothing.
type noReply struct{}

// command is one remote control command: it returns the value of the reply.
type command func(w *Worker, args protocol.Object) (any, error)

// mailbox answers remote control from a goroutine and a subscription of its
// own, so that busy slots never delay it.
func (w *Worker) mailbox(ctx context.Context) {
	opts := broker.SubscribeOptions{
		Exchange: protocol.ControlExchange, Kind: broker.Fanout, Queue: protocol.ControlQueue(w.name),
		TTL: protocol.ControlTTL, Expires: protocol.ControlExpires,
	}
	listening := func(err error) {
		if err == nil {
			w.listenOnce.Do(func() { close(w.listening) })
		}
	}
	err := broker.Follow(ctx, w.cfg.Broker, opts, listening, func(m *protocol.Message) { w.control(ctx, m) })
	if ctx.Err() == nil {
		w.log.Error("remote control is off", "error", err)
	}
}

func (w *Worker) control(ctx context.Context, m *protocol.Message) {
	req, err := protocol.DecodeControlRequest(m)
	if err != nil {
		w.log.Error("ignored a remote control message", "error", err)
		return
	}
	w.client.Clock().Adjust(req.Clock)
	if !w.addressed(req) {
		return
	}
	value := w.obey(req)
	if _, silent := value.(noReply); silent || req.ReplyTo == "" {
		return
	}
	if err := w.reply(ctx, req, value); err != nil {
		w.log.Warn("cannot reply to remote control", "method", req.Method, "error", err)
	}
}

// addressed follows kombu: a destination list, else a pattern, else everybody.
func (w *Worker) addressed(req *protocol.ControlRequest) bool {
	switch {
	case len(req.Destination) > 0:
		return slices.Contains(req.Destination, w.name)
	case req.Pattern == "" || req.Matcher == "":
		return true
	}
	re, err := pattern(req.Pattern, req.Matcher)
	if err != nil {
		w.log.Warn("ignored a remote control command", "method", req.Method, "error", err)
		return false
	}
	return re.MatchString(w.name)
}

// pattern compiles a pattern as Python matches it: glob is fnmatch and covers
// the whole name, pcre is re.match and begins at its start.
func pattern(text, matcher string) (*regexp.Regexp, error) {
	switch matcher {
	case "glob":
		text = "^" + globToRegexp(text) + "$"
	case "pcre":
		text = "^(?:" + text + ")"
	default:
		return nil, fmt.Errorf("matcher %q is not known", matcher)
	}
	re, err := regexp.Compile(text)
	if err != nil {
		return nil, fmt.Errorf("pattern %q: %w", text, err)
	}
	return re, nil
}

// globToRegexp follows fnmatch: *, ?, [seq] and [!seq], no escapes.
func globToRegexp(glob string) string {
	var b strings.Builder
	for i := 0; i < len(glob); i++ {
		switch c := glob[i]; c {
		case '*':
			b.WriteString(".*")
		case '?':
			b.WriteByte('.')
		case '[':
			end := strings.IndexByte(glob[min(i+2, len(glob)):], ']')
			if end < 0 {
				b.WriteString(`\[`)
				continue
			}
			set := strings.ReplaceAll(glob[i+1:i+2+end], `\`, `\\`)
			if rest, negated := strings.CutPrefix(set, "!"); negated {
				set = "^" + rest
			}
			b.WriteString("[" + set + "]")
			i += 2 + end
		default:
			b.WriteString(regexp.QuoteMeta(string(c)))
		}
	}
	return b.String()
}

// obey runs a command; errors become replies as Python writes them.
func (w *Worker) obey(req *protocol.ControlRequest) (value any) {
	defer func() {
		if p := recover(); p != nil {
			w.log.Error("remote control command panicked", "method", req.Method, "panic", p)
			value = errorReply("RuntimeError", fmt.Sprint(p))
		}
	}()
	cmd, ok := commands[req.Method]
	if !ok {
		return errorReply("KeyError", req.Method)
	}
	value, err := cmd(w, req.Arguments)
	if err != nil {
		return errorReply("ValueError", err.Error())
	}
	return value
}

func errorReply(class, message string) any {
	e := protocol.Exception{Type: class, Args: []any{message}}
	return protocol.Object{{Name: "error", Value: e.Repr()}}
}

func (w *Worker) reply(ctx context.Context, req *protocol.ControlRequest, value any) error {
	raw, err := protocol.Marshal(value)
	if err != nil {
		return err
	}
	r := protocol.ControlReply{Node: w.name, Value: raw, Ticket: req.Ticket, Clock: w.client.Clock().Forward()}
	m, err := r.Encode()
	if err != nil {
		return err
	}
	exchange := req.ReplyToExch
	if exchange == "" {
		exchange = protocol.ReplyExchange
	}
	m.Properties.Exchange, m.Properties.RoutingKey = exchange, req.ReplyTo
	return w.cfg.Broker.Publish(ctx, broker.Publishing{Exchange: exchange, Kind: broker.Direct, RoutingKey: req.ReplyTo, Message: m})
}
