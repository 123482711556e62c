package dial

import (
	"errors"
	"strings"
	"testing"

	"github.com/umbel-go/umbel/backend/redis"
	"github.com/umbel-go/umbel/backend/rpc"
	"github.com/umbel-go/umbel/broker/amqp"
)

func TestOpen(t *testing.T) {
	over, err := amqp.New(amqp.Config{URL: "amqp://localhost"})
	if err != nil {
		t.Fatal(err)
	}
	defer over.Close()
	for _, url := range []string{"redis://localhost/1", "rediss://localhost", "redis+socket:///run/redis.sock", "rpc://", "rpc"} {
		b, err := Open(url, over)
		if err != nil {
			t.Errorf("%s: %v", url, err)
			continue
		}
		defer b.Close()
		_, isRPC := b.(*rpc.Backend)
		_, isRedis := b.(*redis.Backend)
		if isRPC == isRedis || isRPC != strings.HasPrefix(url, "rpc") {
			t.Errorf("%s: got a %T", url, b)
		}
	}
	for _, url := range []string{"", "disabled://"} {
		if b, err := Open(url, over); !errors.Is(err, ErrDisabled) || b != nil {
			t.Errorf("%q: %v, %v; want ErrDisabled", url, b, err)
		}
	}
	if _, err := Open("rpc://", nil); err == nil {
		t.Error("rpc:// without a broker was accepted")
	}
	for _, url := range []string{"cache+memcached://u:secret@h", "amqp://u:secret@h", "redis://u:se%cret@h", "secret@h/x"} {
		b, err := Open(url, over)
		if err == nil || b != nil {
			t.Errorf("%s: %v, want an error", url, b)
		} else if strings.Contains(err.Error(), "cret") {
			t.Errorf("%s: the error shows the password: %v", url, err)
		}
	}
}
