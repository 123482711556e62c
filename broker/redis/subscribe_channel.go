package redis

import (
	"errors"
	"time"

	"github.com/gomodule/redigo/redis"
)

const (
	// pingEvery is how often a pub/sub connection is asked for a sign of life;
	// it counts as broken when nothing came for silentFor: two answers are
	// missing then.
	pingEvery = 5 * time.Second
	silentFor = 12 * time.Second
)

// psubscribe returns when the subscription is active.
func (s *subscription) psubscribe() error {
	key := s.opts.RoutingKey
	if s.opts.Exchange == eventExchange && key == "" {
		key = "#"
	}
	patterns := []any{s.b.keys.pattern(s.opts.Exchange, key)}
	if key == "#" && s.b.keys.patterns { // also what has no routing key
		patterns = append(patterns, s.b.keys.pattern(s.opts.Exchange, ""))
	}
	psc := redis.PubSubConn{Conn: s.conn}
	if err := psc.PSubscribe(patterns...); err != nil {
		return err
	}
	for range patterns {
		switch v := psc.ReceiveWithTimeout(s.b.opts.Timeout).(type) {
		case redis.Subscription:
		case error:
			return v
		default:
			return errors.New("no answer to PSUBSCRIBE")
		}
	}
	return nil
}

func (s *subscription) readChannel() error {
	psc := redis.PubSubConn{Conn: s.conn}
	for {
		switch v := psc.ReceiveWithTimeout(silentFor).(type) {
		case redis.Message:
			if !s.deliver(v.Data) {
				return nil
			}
		case error:
			return v
		}
	}
}

// ping runs beside readChannel, which sees the answers.
func (s *subscription) ping() {
	psc := redis.PubSubConn{Conn: s.conn}
	t := time.NewTicker(pingEvery)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			if psc.Ping("") != nil {
				return // the reader gets the same error
			}
		case <-s.ctx.Done():
			return
		}
	}
}
