package redis

import (
	"context"
	"log/slog"
	"regexp"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/gomodule/redigo/redis"
	"github.com/umbel-go/umbel/broker"
)

// minBindingTTL is kombu's MIN_BINDING_TTL.
const minBindingTTL = time.Hour

// bindScript is kombu 5.7's REFRESH_BINDING: it adds a member to an exchange's
// table and puts off the table's deadline.
//
//	KEYS: binding table, binding deadlines
//	ARGV: member, exchange, milliseconds from now
//	Atomic. Python's sweep reads both keys.
var bindScript = redis.NewScript(2, `
redis.call('SADD', KEYS[1], ARGV[1])
local now = redis.call('TIME')
local ms = tonumber(now[1]) * 1000 + math.floor(tonumber(now[2]) / 1000)
redis.call('ZADD', KEYS[2], 'GT', string.format('%.0f', ms + tonumber(ARGV[3])), ARGV[2])
`)

// binding is one row of an exchange's table.
type binding struct {
	exchange, key, pattern, queue string
}

func (k keyspace) member(b binding) string {
	return b.key + k.sep + b.pattern + k.sep + b.queue
}

// parseMember is false for what no kombu wrote.
func (k keyspace) parseMember(exchange, member string) (binding, bool) {
	parts := strings.Split(member, k.sep)
	if len(parts) != 3 || parts[2] == "" {
		return binding{}, false
	}
	return binding{exchange, parts[0], parts[1], parts[2]}, true
}

// bindPermanent binds a queue that never expires (kombu 5.7).
func (b *Broker) bindPermanent(ctx context.Context, rows ...binding) error {
	names := make([]string, len(rows))
	for i, row := range rows {
		names[i] = row.queue
	}
	return b.with(ctx, "declare queue "+strings.Join(names, ", "), func(conn redis.Conn) error {
		cmds := make([]command, 0, 2*len(rows))
		for _, row := range rows {
			cmds = append(cmds,
				command{"SADD", []any{b.keys.binding(row.exchange), b.keys.member(row)}},
				command{"SADD", []any{b.keys.bindingPermanent(row.exchange), b.keys.member(row)}})
		}
		_, err := transaction(conn, cmds)
		return err
	})
}

// bindExpiring binds a queue with x-expires; its owner repeats it.
func (b *Broker) bindExpiring(ctx context.Context, row binding, expires time.Duration) error {
	ttl := max(2*expires, minBindingTTL)
	return b.with(ctx, "bind queue "+row.queue, func(conn redis.Conn) error {
		_, err := bindScript.Do(conn, b.keys.binding(row.exchange), b.keys.bindingDeadlines(),
			b.keys.member(row), row.exchange, ttl.Milliseconds())
		return err
	})
}

// table reads the bindings of exchanges.
func (b *Broker) table(conn redis.Conn, exchanges []string) (map[string][]binding, error) {
	for _, exchange := range exchanges {
		if err := conn.Send("SMEMBERS", b.keys.binding(exchange)); err != nil {
			return nil, err
		}
	}
	if err := conn.Flush(); err != nil {
		return nil, err
	}
	out := make(map[string][]binding, len(exchanges))
	var failed error
	for _, exchange := range exchanges {
		members, err := redis.Strings(conn.Receive())
		if err != nil {
			failed = err
			continue
		}
		for _, m := range members {
			if row, ok := b.keys.parseMember(exchange, m); ok {
				out[exchange] = append(out[exchange], row)
			}
		}
	}
	return out, failed
}

// route returns the queues that a routing key leads to: rows of topic exchanges
// carry a pattern, those of direct ones do not.
func route(rows []binding, routingKey string) []string {
	var out []string
	seen := map[string]bool{}
	for _, row := range rows {
		if row.matches(routingKey) && !seen[row.queue] && row.queue != "" {
			seen[row.queue] = true
			out = append(out, row.queue)
		}
	}
	return out
}

func (row binding) matches(routingKey string) bool {
	if row.pattern == "" {
		return row.key == routingKey
	}
	re, err := regexp.Compile(unescapeLetters(row.pattern))
	if err != nil {
		slog.Warn("binding ignored, its pattern cannot be read", "exchange", row.exchange, "queue", row.queue, "error", err)
		return false
	}
	return re.MatchString(routingKey)
}

// unescapeLetters drops backslashes before what is not ASCII: Python escapes
// every symbol, Go knows no such escape.
func unescapeLetters(pattern string) string {
	out := make([]byte, 0, len(pattern))
	for i := 0; i < len(pattern); i++ {
		if pattern[i] == '\\' && i+1 < len(pattern) {
			if i++; pattern[i] < utf8.RuneSelf {
				out = append(out, '\\')
			}
		}
		out = append(out, pattern[i])
	}
	return string(out)
}

// topicPattern is the regular expression that kombu 5.7 stores for a topic
// binding.
func topicPattern(key string) string {
	words := strings.Split(key, ".")
	for i, w := range words {
		switch w {
		case "*":
			words[i] = `[^\.]+`
		case "#":
			words[i] = `.*?`
		default:
			words[i] = escapeRegex(w)
		}
	}
	return "^" + strings.Join(words, `\.`) + "$"
}

// escapeRegex is kombu.utils.text.escape_regex with "#" and "*" let through.
func escapeRegex(s string) string {
	var out strings.Builder
	for _, r := range s {
		if !unicode.IsLetter(r) && !unicode.IsDigit(r) && r != '#' && r != '*' {
			out.WriteByte('\\')
		}
		out.WriteRune(r)
	}
	return out.String()
}

// rowOf is the binding of a task queue.
func rowOf(q broker.Queue) binding {
	q = q.WithDefaults()
	row := binding{exchange: q.Exchange, key: q.RoutingKey, queue: q.Name}
	if q.Kind == broker.Topic {
		row.pattern = topicPattern(q.RoutingKey)
	}
	return row
}

// Declare binds the queue; on Redis a queue exists while it holds messages.
func (b *Broker) Declare(ctx context.Context, q broker.Queue) error {
	return b.bindPermanent(ctx, rowOf(q))
}
