package redisx

import (
	"context"
	"crypto/tls"
	"crypto/x509"
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
	if err == nil || errors.Is(err, redis.ErrNil) || errors.Is(err, context.Canceled) {
		return false
	}
	var reply redis.Error
	if errors.As(err, &reply) {
		return hasCode(err, "ERR max number of clients")
	}
	// A dial that timed out also claims to be context.DeadlineExceeded.
	var op *net.OpError
	if errors.As(err, &op) {
		return true
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return false
	}
	var network net.Error
	var number syscall.Errno
	return errors.As(err, &network) || errors.As(err, &number) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) ||
		strings.Contains(err.Error(), "redigo: ")
}

// IsReadOnly reports whether the server is up but does not do our work now: a
// demoted primary, a primary cut off from its replicas or a replica from its
// primary, a server that loads its data, a node of a cluster.
func IsReadOnly(err error) bool {
	for _, code := range []string{"READONLY", "LOADING", "MASTERDOWN", "UNBLOCKED force", "NOREPLICAS", "MOVED", "REDIRECT", "CLUSTERDOWN"} {
		if hasCode(err, code) {
			return true
		}
	}
	return false
}

func isAuth(err error) bool {
	return hasCode(err, "NOAUTH") || hasCode(err, "WRONGPASS") || hasCode(err, "ERR AUTH") || hasCode(err, "ERR invalid password")
}

func isPermission(err error) bool { return hasCode(err, "NOPERM") }

func isCertificate(err error) bool {
	var unknown x509.UnknownAuthorityError
	var name x509.HostnameError
	var invalid x509.CertificateInvalidError
	var verify *tls.CertificateVerificationError
	return errors.As(err, &unknown) || errors.As(err, &name) || errors.As(err, &invalid) || errors.As(err, &verify)
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
