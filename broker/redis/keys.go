package redis

import (
	"slices"
	"strconv"
	"strings"
)

// keyspace names every key and channel that this driver touches, kombu's and
// ours. Unless a TTL is given, a key has none.
type keyspace struct {
	prefix string
	sep    string
	steps  []int
	// fanout stands before the exchange in channels; patterns says whether the
	// routing key follows it.
	fanout   string
	patterns bool

	unackedKey, unackedIndexKey, unackedMutexKey string
}

func newKeyspace(cfg Config, db int) keyspace {
	k := keyspace{
		prefix: cfg.GlobalKeyPrefix, sep: cfg.Separator, steps: cfg.PrioritySteps,
		patterns:   !cfg.NoFanoutPatterns,
		unackedKey: cfg.UnackedKey, unackedIndexKey: cfg.UnackedIndexKey, unackedMutexKey: cfg.UnackedMutexKey,
	}
	if !cfg.NoFanoutPrefix {
		k.fanout = strings.ReplaceAll(cfg.FanoutPrefix, "{db}", strconv.Itoa(db))
	}
	return k
}

// list is a queue's list for one priority step (kombu). The right end is
// consumed next.
//
//	type: list of envelopes; written by producers and by whoever restores,
//	read by workers of both languages
func (k keyspace) list(queue string, step int) string {
	if step == 0 {
		return k.prefix + queue
	}
	return k.prefix + queue + k.sep + strconv.Itoa(step)
}

// lists are all lists of a queue, the one consumed first in front.
func (k keyspace) lists(queue string) []string {
	out := make([]string, len(k.steps))
	for i, step := range k.steps {
		out[i] = k.list(queue, step)
	}
	return out
}

// listFor is the list for a message's priority: kombu clamps to 0..9 and takes
// the greatest step below.
func (k keyspace) listFor(queue string, priority *int) string {
	p := 0
	if priority != nil {
		p = min(max(*priority, 0), 9)
	}
	i, found := slices.BinarySearch(k.steps, p)
	if !found {
		i--
	}
	return k.list(queue, k.steps[i])
}

// unacked holds what was claimed and not settled (kombu).
//
//	type: hash of tag to [envelope, exchange, routing key]; written and read by
//	workers of both languages
func (k keyspace) unacked() string { return k.prefix + k.unackedKey }

// unackedIndex orders unacked by age (kombu): Unix seconds of the claim, of its
// last renewal for ours, of the due time for what is parked.
//
//	type: zset of tag; written and read as unacked
func (k keyspace) unackedIndex() string { return k.prefix + k.unackedIndexKey }

// unackedMutex is held by whoever restores expired claims (kombu).
//
//	type: string, TTL 300 s; written and read by workers of both languages
func (k keyspace) unackedMutex() string { return k.prefix + k.unackedMutexKey }

// binding is an exchange's table of queues (kombu).
//
//	type: set of routing key, pattern and queue joined by the separator; written
//	by consumers and producers of both languages, read by producers
func (k keyspace) binding(exchange string) string { return k.prefix + bindingPrefix + exchange }

// bindingPermanent are the members of binding whose queues never expire (kombu
// 5.7); while it exists, no peer sweeps the table.
//
//	type: set; written as binding, read by Python's sweep
func (k keyspace) bindingPermanent(exchange string) string {
	return k.prefix + "_kombu.binding_permanent." + exchange
}

// bindingDeadlines say when tables of expiring queues may be swept (kombu 5.7).
//
//	type: zset of exchange, Unix milliseconds; written by owners of expiring
//	queues, read by Python's sweep
func (k keyspace) bindingDeadlines() string { return k.prefix + "_kombu.binding_deadlines" }

// channel is the pub/sub channel of a fanout exchange (kombu, by default with
// the database number in front and the routing key at the end).
func (k keyspace) channel(exchange, routingKey string) string {
	c := k.prefix + k.fanout + exchange
	if routingKey == "" || !k.patterns {
		return c
	}
	return c + "/" + routingKey
}

// pattern is what a subscriber of the fanout exchange asks for: kombu's
// channel with # rewritten to *.
func (k keyspace) pattern(exchange, routingKey string) string {
	c := globEscaper.Replace(k.channel(exchange, ""))
	if routingKey == "" || !k.patterns {
		return c
	}
	return c + "/" + strings.ReplaceAll(routingKey, "#", "*")
}

var globEscaper = strings.NewReplacer(`\`, `\\`, "*", `\*`, "?", `\?`, "[", `\[`, "]", `\]`)

// claims are the leases of Umbel's claims: Unix seconds of the last renewal, by
// the server's clock.
//
//	type: zset of tag; written and read by Umbel consumers
func (k keyspace) claims() string { return k.prefix + "umbel:claims" }

// delayedQueues are the queues that have parked messages, by the earliest due
// time in Unix seconds of the server's clock.
//
//	type: zset of queue; written and read by Umbel consumers
func (k keyspace) delayedQueues() string { return k.prefix + "umbel:delayed" }

// delayed are the parked messages of a queue by due time. The messages
// themselves stay in unacked.
//
//	type: zset of tag; written and read by Umbel consumers
func (k keyspace) delayed(queue string) string { return k.delayedPrefix() + queue }

func (k keyspace) delayedPrefix() string { return k.prefix + "umbel:delayed:" }

// poured says that a message of a fanout exchange is in the queue's list: each
// consumer of the queue receives it from the channel.
//
//	type: string, TTL 5 min; written and read by Umbel consumers
func (k keyspace) poured(queue, deliveryTag string) string {
	return k.prefix + "umbel:poured:" + queue + ":" + deliveryTag
}

// dead are the ids of a queue's dead letters, the newest in front.
//
//	type: list, bounded by the count and the bytes of the letters; written by
//	Umbel consumers and operators, read by operators
func (k keyspace) dead(queue string) string { return k.prefix + "umbel:dead:" + queue }

// deadLetters holds the letters:
//
//	{"reason": text, "time": Unix seconds, "queue": name, "envelope": {...}}
//
//	type: hash of id to JSON; written and read with dead
func (k keyspace) deadLetters(queue string) string { return k.prefix + "umbel:dead.letters:" + queue }

// deadBytes is the size of the letters.
//
//	type: integer; written and read with dead
func (k keyspace) deadBytes(queue string) string { return k.prefix + "umbel:dead.bytes:" + queue }

const bindingPrefix = "_kombu.binding."
