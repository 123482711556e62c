package web

import (
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// directLoopback reports whether the request was made on this machine without
// anything in between: the peer is a loopback address, the Host it asked for
// is one too (a rebound DNS name is not), and no header tells of a proxy.
func directLoopback(r *http.Request) bool {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil || !peer.Addr().Unmap().IsLoopback() {
		return false
	}
	return loopbackHost(r.Host) && !forwarded(r.Header)
}

func loopbackHost(hostport string) bool {
	host := hostport
	if h, _, err := net.SplitHostPort(hostport); err == nil {
		host = h
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	if strings.EqualFold(host, "localhost") {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.Unmap().IsLoopback()
}

// proxyHeaders are set by proxies beside the X-Forwarded family.
var proxyHeaders = []string{
	"Forwarded", "Via", "X-Real-Ip", "X-Client-Ip", "X-Cluster-Client-Ip",
	"X-Original-Forwarded-For", "True-Client-Ip", "Cf-Connecting-Ip",
}

func forwarded(h http.Header) bool {
	for _, name := range proxyHeaders {
		if _, ok := h[name]; ok {
			return true
		}
	}
	for name := range h {
		if strings.HasPrefix(name, "X-Forwarded") {
			return true
		}
	}
	return false
}
