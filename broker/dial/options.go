package dial

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/umbel-go/umbel/broker/amqp"
	"github.com/umbel-go/umbel/broker/redis"
	"github.com/umbel-go/umbel/internal/nearest"
)

// RedisOptions are the transport options of kombu's Redis transport that
// OpenOptions reads for Redis URLs. Those of Python's client alone, and those
// whose purpose is met without them, are accepted and change nothing.
var RedisOptions = slices.Sorted(maps.Keys(redisOptions))

// AMQPOptions are the same for RabbitMQ URLs.
var AMQPOptions = slices.Sorted(maps.Keys(amqpOptions))

// ErrOption is matched by the errors of OpenOptions about the name or the value
// of an option.
var ErrOption = errors.New("broker transport option")

// option writes a value into a driver's configuration.
type option[C any] func(*C, any) error

var redisOptions = map[string]option[redis.Config]{
	"global_keyprefix":       text(func(c *redis.Config) *string { return &c.GlobalKeyPrefix }),
	"sep":                    text(func(c *redis.Config) *string { return &c.Separator }),
	"priority_steps":         numbers(func(c *redis.Config) *[]int { return &c.PrioritySteps }),
	"visibility_timeout":     seconds(func(c *redis.Config) *time.Duration { return &c.VisibilityTimeout }),
	"queue_order_strategy":   text(func(c *redis.Config) *redis.QueueOrder { return &c.QueueOrder }),
	"fanout_prefix":          fanoutPrefix,
	"fanout_patterns":        unless(func(c *redis.Config) *bool { return &c.NoFanoutPatterns }),
	"unacked_key":            text(func(c *redis.Config) *string { return &c.UnackedKey }),
	"unacked_index_key":      text(func(c *redis.Config) *string { return &c.UnackedIndexKey }),
	"unacked_mutex_key":      text(func(c *redis.Config) *string { return &c.UnackedMutexKey }),
	"deadletter_queue":       text(func(c *redis.Config) *string { return &c.DeadletterQueue }),
	"socket_timeout":         seconds(func(c *redis.Config) *time.Duration { return &c.CommandTimeout }),
	"socket_connect_timeout": seconds(func(c *redis.Config) *time.Duration { return &c.ConnectTimeout }),
	"ack_emulation":          ackEmulation,

	"body_encoding": nil, "client_name": nil, "credential_provider": nil, "health_check_interval": nil,
	"max_connections": nil, "polling_interval": nil, "reauth_check_interval": nil, "retry_on_timeout": nil,
	"socket_keepalive": nil, "socket_keepalive_options": nil, "unacked_mutex_expire": nil,
	"unacked_restore_interval": nil, "unacked_restore_limit": nil, "unacked_restore_throttle": nil,
	"connect_retries_timeout": nil, "interval_max": nil, "interval_start": nil, "interval_step": nil, "max_retries": nil,
}

var amqpOptions = map[string]option[amqp.Config]{
	"connect_timeout": seconds(func(c *amqp.Config) *time.Duration { return &c.ConnectTimeout }),
	"heartbeat":       seconds(func(c *amqp.Config) *time.Duration { return &c.Heartbeat }),
	"login_method":    text(func(c *amqp.Config) *string { return &c.LoginMethod }),

	// Publishes are always confirmed.
	"confirm_publish": nil, "confirm_timeout": nil, "client_properties": nil,
	"read_timeout": nil, "write_timeout": nil, "socket_settings": nil,
	"connect_retries_timeout": nil, "interval_max": nil, "interval_start": nil, "interval_step": nil, "max_retries": nil,
}

// apply sets options; a value of nil (Python's None) is the default.
func apply[C any](cfg *C, known []string, setters map[string]option[C], options map[string]any) error {
	for _, name := range slices.Sorted(maps.Keys(options)) {
		set, ok := setters[name]
		if !ok {
			return unknown(name, known)
		}
		if set == nil || options[name] == nil {
			continue
		}
		if err := set(cfg, options[name]); err != nil {
			return fmt.Errorf("%w %s: %w", ErrOption, name, err)
		}
	}
	return nil
}

func unknown(name string, known []string) error {
	hint := ""
	if meant := nearest.Name(name, known); meant != "" {
		hint = fmt.Sprintf("; did you mean %q?", meant)
	}
	return fmt.Errorf("%w %.80q is unknown%s (known: %s)", ErrOption, name, hint, strings.Join(known, ", "))
}

func text[C any, S ~string](field func(*C) *S) option[C] {
	return func(c *C, v any) error {
		s, ok := v.(string)
		if !ok {
			return fmt.Errorf("%v is not a text", v)
		}
		*field(c) = S(s)
		return nil
	}
}

func seconds[C any](field func(*C) *time.Duration) option[C] {
	return func(c *C, v any) error {
		n, err := number(v)
		if err != nil || !(n > 0 && n < math.MaxInt64/float64(time.Second)) {
			return fmt.Errorf("%v is not a positive number of seconds", v)
		}
		*field(c) = time.Duration(n * float64(time.Second))
		return nil
	}
}

func numbers[C any](field func(*C) *[]int) option[C] {
	return func(c *C, v any) error {
		var items []any
		switch v := v.(type) {
		case []any:
			items = v
		case []int:
			*field(c) = slices.Clone(v)
			return nil
		case string:
			for s := range strings.SplitSeq(strings.Trim(v, "[] "), ",") {
				items = append(items, strings.TrimSpace(s))
			}
		}
		var out []int
		for _, item := range items {
			n, err := number(item)
			if err != nil || n != math.Trunc(n) || math.Abs(n) > math.MaxInt32 {
				return fmt.Errorf("%v is not a list of whole numbers", v)
			}
			out = append(out, int(n))
		}
		if out == nil {
			return fmt.Errorf("%v is not a list of whole numbers", v)
		}
		*field(c) = out
		return nil
	}
}

// unless sets a field that has the opposite meaning.
func unless[C any](field func(*C) *bool) option[C] {
	return func(c *C, v any) error {
		b, err := truth(v)
		*field(c) = !b
		return err
	}
}

// fanoutPrefix is a truth value, or a text that replaces kombu's prefix.
func fanoutPrefix(c *redis.Config, v any) error {
	if b, err := truth(v); err == nil {
		c.NoFanoutPrefix = !b
		return nil
	}
	s, ok := v.(string)
	if !ok || !strings.HasPrefix(s, "/") || !strings.HasSuffix(s, ".") {
		return fmt.Errorf("%v is neither true, false nor a text that begins with / and ends with a dot", v)
	}
	c.FanoutPrefix = s
	return nil
}

func ackEmulation(_ *redis.Config, v any) error {
	if b, err := truth(v); err != nil || !b {
		return cmp.Or(err, errors.New("messages are always acknowledged here, so that a crash loses none; leave the option out"))
	}
	return nil
}
