package embedded

import (
	"context"
	"fmt"

	"github.com/alicebob/miniredis/v2"
)

// startMini runs the stand-in. Its clock makes TTLs elapse, which in tests,
// where it comes from, they do not.
func startMini(ctx context.Context, addr string, why error) (*Server, error) {
	m := miniredis.NewMiniRedis()
	m.ClockTTL(true)
	if err := m.StartAddr(addr); err != nil {
		return nil, errTaken(addr, err)
	}
	done := make(chan struct{})
	s := &Server{
		kind: Miniredis,
		addr: m.Addr(),
		done: done,
		warning: fmt.Sprintf("The broker is a stand-in inside this process (miniredis), for trying out: %v. "+
			"It keeps nothing over a restart and slows down with very long queues. "+
			"Install redis-server or valkey-server (Redis 6.2 or newer) and start again to keep your work.", why),
		stop: func(context.Context) error {
			m.Close()
			close(done)
			return nil
		},
	}
	s.logStarted(ctx)
	return s, nil
}
