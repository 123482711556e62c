package redisx

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"syscall"

	"github.com/gomodule/redigo/redis"
)

// IsConnection reports whether err means that the server could not be reached
// or the connection broke. The command may or may not have been carried out. An
// ended context is not a broken connection.
func IsConnection(err error) bool {
	if err == nil || errors.Is(err, redis.ErrNil) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return false
	}
	var reply redis.Error
	if errors.As(err, &reply) {
		return hasCode(err, "ERR max number of clients")
	}
	var network net.Error
	var number syscall.Errno
	return errors.As(err, &network) || errors.As(err, &number) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) ||
		strings.Contains(err.Error(), "redigo: ")
}

// IsReadOnly reports whether the server is up but takes no writes now: a demoted
// primary, a replica cut off from its primary, or a server that loads its data.
func IsReadOnly(err error) bool {
	return hasCode(err, "READONLY") || hasCode(err, "LOADING") || hasCode(err, "MASTERDOWN")
}

func isAuth(err error) bool {
	return hasCode(err, "NOAUTH") || hasCode(err, "WRONGPASS") || hasCode(err, "ERR AUTH") ||
		hasCode(err, "ERR invalid password") || hasCode(err, "NOPERM")
}

// hasCode also looks inside the sentence that Redis puts around an error raised
// by a script's command.
func hasCode(err error, code string) bool {
	var reply redis.Error
	if !errors.As(err, &reply) {
		return false
	}
	text := string(reply)
	return strings.HasPrefix(text, code) || strings.Contains(text, ": -"+code+" ")
}
