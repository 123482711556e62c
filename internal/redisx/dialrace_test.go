package redisx

import (
	"context"
	"testing"

	"github.com/alicebob/miniredis/v2"
)

// A context that ends just as its connection is ready leaves the next borrower no
// connection whose socket is about to be closed.
func TestContextEndsWhileDialing(t *testing.T) {
	s := miniredis.RunT(t)
	for range 500 {
		opts, err := ParseURL("redis://" + s.Addr())
		if err != nil {
			t.Fatal(err)
		}
		pool := opts.Pool()
		ctx, cancel := context.WithCancel(t.Context())
		go cancel()
		if conn, err := pool.GetContext(ctx); err == nil {
			conn.Close() // an error is the dial's, which was interrupted
		}
		conn, err := pool.GetContext(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Do("SET", "a", 1); err != nil {
			t.Fatal(err)
		}
		conn.Close()
		pool.Close()
	}
}
