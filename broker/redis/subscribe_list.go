package redis

import (
	"time"

	"github.com/gomodule/redigo/redis"
)

// popFor is the timeout of a blocking pop; the connection counts as half-open
// when popSlack more have passed without an answer.
const (
	popFor   = 5 * time.Second
	popSlack = 5 * time.Second
)

// readList takes messages off the queue's lists without recording them, kombu's
// no_ack: what is lost with the process had no other reader.
func (s *subscription) readList() error {
	args := redis.Args{}.AddFlat(s.b.keys.lists(s.opts.Queue)).Add(popFor.Seconds())
	for {
		reply, err := redis.DoWithTimeout(s.conn, popFor+popSlack, "BRPOP", args...)
		if err != nil {
			return err
		}
		pair, err := redis.ByteSlices(reply, nil)
		if reply == nil || err != nil || len(pair) != 2 {
			continue
		}
		if !s.deliver(pair[1]) {
			return nil
		}
	}
}
