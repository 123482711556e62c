package redis

import (
	"fmt"
	"strings"

	"github.com/gomodule/redigo/redis"
)

type command struct {
	name string
	args []any
}

// transaction runs commands in one round trip, all or none. A single command
// needs no MULTI. The first error of a command is the error.
func transaction(conn redis.Conn, cmds []command) ([]any, error) {
	switch len(cmds) {
	case 0:
		return nil, nil
	case 1:
		reply, err := conn.Do(cmds[0].name, cmds[0].args...)
		return []any{reply}, err
	}
	if err := conn.Send("MULTI"); err != nil {
		return nil, err
	}
	for _, c := range cmds {
		if err := conn.Send(c.name, c.args...); err != nil {
			return nil, err
		}
	}
	replies, err := redis.Values(conn.Do("EXEC"))
	if err != nil {
		return nil, err
	}
	for i, r := range replies {
		if err, failed := r.(redis.Error); failed {
			return replies, fmt.Errorf("%s: %w", cmds[i].name, err)
		}
	}
	return replies, nil
}

// pipelined runs commands in one round trip, each on its own.
func pipelined(conn redis.Conn, cmds []command) ([]any, error) {
	for _, c := range cmds {
		if err := conn.Send(c.name, c.args...); err != nil {
			return nil, err
		}
	}
	if err := conn.Flush(); err != nil {
		return nil, err
	}
	replies := make([]any, len(cmds))
	var failed error
	for i, c := range cmds {
		reply, err := conn.Receive()
		if err != nil && failed == nil {
			failed = fmt.Errorf("%s: %w", c.name, err)
		}
		replies[i] = reply
	}
	return replies, failed
}

type call struct {
	script *redis.Script
	args   []any
}

type reply struct {
	value any
	err   error
}

// runScripts runs scripts in one round trip, and those that the server does not
// know yet once more by their text.
func runScripts(conn redis.Conn, calls []call) []reply {
	replies := make([]reply, len(calls))
	failed := func(err error) []reply {
		for i := range replies {
			replies[i].err = err
		}
		return replies
	}
	for _, c := range calls {
		if err := c.script.SendHash(conn, c.args...); err != nil {
			return failed(err)
		}
	}
	if err := conn.Flush(); err != nil {
		return failed(err)
	}
	for i := range calls {
		replies[i].value, replies[i].err = conn.Receive()
	}
	for i, c := range calls {
		if err := replies[i].err; err != nil && strings.HasPrefix(err.Error(), "NOSCRIPT ") {
			replies[i].value, replies[i].err = c.script.Do(conn, c.args...)
		}
	}
	return replies
}
