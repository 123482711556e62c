package amqp

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"sync"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/umbel-go/umbel/broker"
)

// A parked message waits in a bucket queue named
// umbel.delay.<queue>.<due second>, in wider buckets followed by +<width in
// seconds>. It carries a TTL and is dead-lettered through the default exchange
// back into its queue. The bucket deletes itself after it was empty and unused
// for long enough.
//
// A bucket one second wide lets its messages go at their time exactly or, behind
// others, at most a second later. A wider one lets them go at its beginning, too
// early, and whoever receives them parks them again, in a narrower one.
const delayPrefix = "umbel.delay."

// headerUntil holds the time until which a message is parked, in Unix
// milliseconds as a string.
const headerUntil = "umbel-until"

// holdBelow is the remaining time that is waited for in this process.
const holdBelow = time.Second

// bucketLevel is a width of buckets, used for delays up to horizon. The horizon
// of one level is the width of the next, so that every hop goes a level down.
type bucketLevel struct{ width, horizon time.Duration }

// RabbitMQ limits TTLs to 2^32 ms, 49 days; longer delays take several hops.
var bucketLevels = [...]bucketLevel{
	{time.Second, time.Minute},
	{time.Minute, time.Hour},
	{time.Hour, 24 * time.Hour},
	{24 * time.Hour, 30 * 24 * time.Hour},
}

// bucket is one delay queue and when a message has to leave it.
type bucket struct {
	name    string
	due     time.Time // when the last message has left
	ttl     time.Duration
	expires time.Duration
}

// bucketFor chooses the bucket for a message of the queue. until is after now.
func bucketFor(queue string, until, now time.Time) bucket {
	last := len(bucketLevels) - 1
	if longest := now.Add(bucketLevels[last].horizon); until.After(longest) {
		until = longest
	}
	level := 0
	for level < last && until.Sub(now) > bucketLevels[level].horizon {
		level++
	}
	b := bucket{expires: bucketLevels[level].horizon + 10*time.Minute}
	width := bucketLevels[level].width
	if level == 0 {
		b.due = until.Add(width - time.Nanosecond).Truncate(width)
		b.ttl = until.Sub(now)
		b.name = fmt.Sprintf("%s%s.%d", delayPrefix, queue, b.due.Unix())
		return b
	}
	b.due = until.Truncate(width)
	b.ttl = b.due.Sub(now)
	b.name = fmt.Sprintf("%s%s.%d+%d", delayPrefix, queue, b.due.Unix(), int(width.Seconds()))
	return b
}

// milliseconds rounds up, so that nothing leaves early.
func milliseconds(d time.Duration) int64 {
	return int64((max(d, 0) + time.Millisecond - 1) / time.Millisecond)
}

// parking is one message and until when it waits.
type parking struct {
	delivery *delivery
	until    time.Time
}

// park publishes copies into their buckets and waits for the confirms.
func (b *Broker) park(ctx context.Context, parkings ...parking) error {
	s, err := b.publishing.session(ctx)
	if err != nil {
		return fmt.Errorf("park: %w", err)
	}
	if err := s.unblocked(ctx); err != nil {
		return fmt.Errorf("park: %w", err)
	}
	out := make([]outgoing, len(parkings))
	for i, p := range parkings {
		queue, now := p.delivery.stream.queue.Name, b.now()
		to := bucketFor(queue, p.until, now)
		if err := s.ensureBucket(to, queue, now); err != nil {
			return err
		}
		b.delays.add(queue, to, now)
		copied := p.delivery.copy()
		copied.Headers[headerUntil] = untilText(p.until)
		copied.Expiration = strconv.FormatInt(milliseconds(to.ttl), 10)
		out[i] = outgoing{key: to.name, mandatory: true, message: copied}
	}
	err = b.publishOn(ctx, s, out)
	if errors.Is(err, broker.ErrNoQueue) {
		s.forgetDeclared() // somebody deleted a bucket
	}
	return err
}

// ensureBucket declares a bucket once in its life on this connection.
func (s *session) ensureBucket(b bucket, queue string, now time.Time) error {
	s.mu.Lock()
	_, known := s.buckets[b.name]
	s.mu.Unlock()
	if known {
		return nil
	}
	err := s.declareOwn(b.name, amqp091.Table{
		"x-queue-type":              "classic",
		"x-dead-letter-exchange":    "",
		"x-dead-letter-routing-key": queue,
		"x-expires":                 b.expires.Milliseconds(),
	})
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, due := range s.buckets {
		if due.Before(now) {
			delete(s.buckets, name)
		}
	}
	s.buckets[b.name] = b.due
	return nil
}

// delays are the buckets in which this process has parked something. The zero
// value is ready; it is safe for concurrent use.
type delays struct {
	mu      sync.Mutex
	buckets map[string]map[string]time.Time // queue -> bucket -> its end
}

func (ds *delays) add(queue string, b bucket, now time.Time) {
	ds.mu.Lock()
	defer ds.mu.Unlock()
	if _, known := ds.buckets[queue][b.name]; known {
		return
	}
	if ds.buckets == nil {
		ds.buckets = map[string]map[string]time.Time{}
	}
	if ds.buckets[queue] == nil {
		ds.buckets[queue] = map[string]time.Time{}
	}
	ds.forgetPast(queue, now)
	ds.buckets[queue][b.name] = b.due
}

func (ds *delays) forgetPast(queue string, now time.Time) {
	maps.DeleteFunc(ds.buckets[queue], func(_ string, due time.Time) bool { return due.Before(now) })
}

// of names the buckets of the queue that may still hold something.
func (ds *delays) of(queue string, now time.Time) []string {
	ds.mu.Lock()
	defer ds.mu.Unlock()
	ds.forgetPast(queue, now)
	return slices.Collect(maps.Keys(ds.buckets[queue]))
}

// untilText writes the time for headerUntil, rounded up, whatever the year.
func untilText(t time.Time) string {
	return strconv.FormatInt(t.Add(time.Millisecond-time.Nanosecond).UnixMilli(), 10)
}

// parkedUntil reads the time of a message that came out of a bucket.
func parkedUntil(headers amqp091.Table) (time.Time, bool) {
	text, _ := headers[headerUntil].(string)
	ms, err := strconv.ParseInt(text, 10, 64)
	return time.UnixMilli(ms), err == nil
}
