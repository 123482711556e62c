package dial

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/umbel-go/umbel/broker/amqp"
	"github.com/umbel-go/umbel/broker/redis"
)

func TestRedisOptions(t *testing.T) {
	for name, c := range map[string]struct {
		options map[string]any
		want    redis.Config
	}{
		"none":          {nil, redis.Config{}},
		"texts":         {map[string]any{"global_keyprefix": "shop:", "sep": ":", "queue_order_strategy": "sorted"}, redis.Config{GlobalKeyPrefix: "shop:", Separator: ":", QueueOrder: redis.Sorted}},
		"keys":          {map[string]any{"unacked_key": "u", "unacked_index_key": "i", "unacked_mutex_key": "m", "deadletter_queue": "d"}, redis.Config{UnackedKey: "u", UnackedIndexKey: "i", UnackedMutexKey: "m", DeadletterQueue: "d"}},
		"numbers":       {map[string]any{"visibility_timeout": 5, "socket_timeout": "2.5", "socket_connect_timeout": json.Number("3")}, redis.Config{VisibilityTimeout: 5 * time.Second, CommandTimeout: 2500 * time.Millisecond, ConnectTimeout: 3 * time.Second}},
		"list":          {map[string]any{"priority_steps": []any{0, 5.0, json.Number("9")}}, redis.Config{PrioritySteps: []int{0, 5, 9}}},
		"list of ints":  {map[string]any{"priority_steps": []int{0, 1}}, redis.Config{PrioritySteps: []int{0, 1}}},
		"list as text":  {map[string]any{"priority_steps": "[0, 3]"}, redis.Config{PrioritySteps: []int{0, 3}}},
		"no prefix":     {map[string]any{"fanout_prefix": false, "fanout_patterns": "False"}, redis.Config{NoFanoutPrefix: true, NoFanoutPatterns: true}},
		"defaults":      {map[string]any{"fanout_prefix": true, "fanout_patterns": 1, "ack_emulation": true, "visibility_timeout": nil}, redis.Config{}},
		"own prefix":    {map[string]any{"fanout_prefix": "/{db}/shop."}, redis.Config{FanoutPrefix: "/{db}/shop."}},
		"Python's only": {map[string]any{"health_check_interval": 5, "max_connections": 20, "socket_keepalive": true, "max_retries": 3, "interval_start": 0}, redis.Config{}},
	} {
		var got redis.Config
		if err := apply(&got, RedisOptions, redisOptions, c.options); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestAMQPOptions(t *testing.T) {
	var got amqp.Config
	err := apply(&got, AMQPOptions, amqpOptions, map[string]any{"confirm_publish": true, "heartbeat": 30, "login_method": "EXTERNAL", "connect_timeout": 2})
	want := amqp.Config{Heartbeat: 30 * time.Second, LoginMethod: "EXTERNAL", ConnectTimeout: 2 * time.Second}
	if err != nil || got != want {
		t.Errorf("%+v, %v; want %+v", got, err, want)
	}
}

func TestOptionErrors(t *testing.T) {
	for _, c := range []struct {
		url, name string
		value     any
		want      string
	}{
		{"redis://h", "visiblity_timeout", 5, `broker transport option "visiblity_timeout" is unknown; did you mean "visibility_timeout"? (known: ack_emulation, body_encoding`},
		{"amqp://h", "visibility_timeout", 5, `broker transport option "visibility_timeout" is unknown (known: client_properties, confirm_publish`},
		{"redis://h", "visibility_timeout", "soon", "visibility_timeout: soon is not a positive number of seconds"},
		{"redis://h", "visibility_timeout", 0, "not a positive number"},
		{"redis://h", "visibility_timeout", "nan", "not a positive number"},
		{"redis://h", "visibility_timeout", 1e300, "not a positive number"},
		{"redis://h", "sep", 5, "sep: 5 is not a text"},
		{"redis://h", "priority_steps", []any{0, 1.5}, "not a list of whole numbers"},
		{"redis://h", "priority_steps", 3, "not a list of whole numbers"},
		{"redis://h", "priority_steps", []any{3, 6}, "must begin with 0"},
		{"redis://h", "queue_order_strategy", "random", "round_robin, sorted, priority"},
		{"redis://h", "fanout_prefix", "x", "begins with / and ends with a dot"},
		{"redis://h", "fanout_patterns", "perhaps", "neither true nor false"},
		{"redis://h", "ack_emulation", false, "always acknowledged"},
	} {
		_, err := OpenOptions(c.url, map[string]any{c.name: c.value})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s %s=%v: %v, want %q", c.url, c.name, c.value, err, c.want)
		}
	}
}
