// Package redisx opens Redis connections as Celery's URLs describe them, and
// tells the errors apart that drivers choose by. It sits below broker and
// backend and knows neither.
package redisx

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Options say how to reach a Redis server, or the one in use of a list of them.
// ParseURL fills them in; the zero value of a duration means its default. Copies
// share which server is in use.
type Options struct {
	// Network is "tcp" or "unix", Addr host:port or the socket's path.
	Network string
	Addr    string
	// Username is empty for servers without ACLs.
	Username string
	Password string
	// DB is the database number. Pub/sub ignores it.
	DB int
	// TLS is nil for plain connections.
	TLS *tls.Config
	// DialTimeout bounds connecting, authenticating included (5 s).
	DialTimeout time.Duration
	// Timeout bounds the answer to one ordinary command and each write (10 s).
	// Blocking commands need a longer one, given with the command.
	Timeout time.Duration
	// PoolSize is how many connections a pool keeps idle (16).
	PoolSize int

	servers *servers
}

// Schemes are the URL schemes that ParseURL reads.
var Schemes = []string{"redis", "rediss", "redis+socket"}

const defaultPort = "6379"

// ParseURL reads a Redis URL as kombu and redis-py do:
//
//	redis://[[user]:password@]host[:6379][/db]
//	rediss://...?ssl_cert_reqs=required|none&ssl_ca_certs=&ssl_certfile=&ssl_keyfile=
//	redis+socket:///path/to.sock?virtual_host=db
//
// Several of them, separated by semicolons, are a failover list: all connections
// go to one server, the first that can be reached, until it fails (see Dial).
// They must agree on scheme and database.
//
// The values of ssl_cert_reqs may be written CERT_REQUIRED and so on, "optional"
// means "required" for a client (Python's ssl module), and ssl_check_hostname=false
// checks the certificate but not the name in it. Query parameters that only
// concern Python's client are ignored. Errors never show the password.
func ParseURL(raw string) (Options, error) {
	var list []Options
	first := ""
	for part := range strings.SplitSeq(raw, ";") {
		if part = strings.TrimSpace(part); part == "" && raw != "" {
			continue
		}
		o, scheme, err := parseOne(part)
		if err != nil {
			return Options{}, err
		}
		if first == "" {
			first = scheme
		}
		if scheme != first {
			return Options{}, fmt.Errorf("redis URLs of a failover list must have one scheme: %s:// and %s:// are mixed", first, scheme)
		}
		if len(list) > 0 && o.DB != list[0].DB {
			return Options{}, fmt.Errorf("redis URLs of a failover list must name one database: %d and %d are mixed", list[0].DB, o.DB)
		}
		list = append(list, o)
	}
	if len(list) == 0 {
		return Options{}, errors.New("redis URL is empty: write it as redis://host:6379/0")
	}
	o := list[0]
	o.servers = newServers(list...)
	return o, nil
}

// parseOne reads a URL without failover.
func parseOne(raw string) (o Options, scheme string, err error) {
	u, err := url.Parse(raw)
	if err != nil {
		// The error of net/url quotes its input, password included.
		return Options{}, "", errors.New("redis URL cannot be read: write special characters in the password as %XX, as in redis://:p%40ss@host:6379/0")
	}
	o = Options{Network: "tcp"}
	o.Password, _ = u.User.Password()
	o.Username = u.User.Username()
	database := strings.Trim(u.Path, "/")
	switch u.Scheme {
	case "redis", "rediss":
		o.Addr = address(u)
	case "redis+socket":
		o.Network, o.Addr, database = "unix", u.Path, ""
	case "sentinel", "sentinel+rediss":
		return Options{}, "", errors.New("sentinel:// is not supported yet: give the primary's own address as redis://host:6379/0, or primary and replicas as redis://a:6379/0;redis://b:6379/0")
	default:
		return Options{}, "", fmt.Errorf("%q is not a Redis URL scheme (known: %s)", u.Scheme, strings.Join(Schemes, ", "))
	}
	if o.Addr == "" {
		return Options{}, "", errors.New("redis URL names no socket, as in redis+socket:///run/redis/redis.sock")
	}
	if o.DB, err = parseDB(database, u.Query()); err != nil {
		return Options{}, "", err
	}
	if u.Scheme == "rediss" {
		if o.TLS, err = tlsConfig(u.Hostname(), u.Query()); err != nil {
			return Options{}, "", err
		}
	}
	return o, u.Scheme, nil
}

func address(u *url.URL) string {
	host, port := u.Hostname(), u.Port()
	if host == "" {
		host = "localhost"
	}
	if port == "" {
		port = defaultPort
	}
	return net.JoinHostPort(host, port)
}

// parseDB takes the path, else the query parameter of redis-py or of kombu's
// socket URLs.
func parseDB(path string, q url.Values) (int, error) {
	for _, s := range []string{path, q.Get("virtual_host"), q.Get("db")} {
		if s == "" {
			continue
		}
		n, err := strconv.Atoi(strings.Trim(s, "/"))
		if err != nil || n < 0 {
			return 0, fmt.Errorf("redis URL: database %q is not a number, as in redis://host:6379/0", s)
		}
		return n, nil
	}
	return 0, nil
}

// Redacted is the URL without password, for logs and people.
func (o Options) Redacted() string {
	u := url.URL{Scheme: "redis", Host: o.Addr, Path: "/" + strconv.Itoa(o.DB)}
	if o.Network == "unix" {
		u = url.URL{Scheme: "redis+socket", Path: o.Addr, RawQuery: "virtual_host=" + strconv.Itoa(o.DB)}
	} else if o.TLS != nil {
		u.Scheme = "rediss"
	}
	switch {
	case o.Password != "":
		u.User = url.UserPassword(o.Username, "**")
	case o.Username != "":
		u.User = url.User(o.Username)
	}
	return strings.Replace(u.String(), "%2A%2A@", "**@", 1)
}

// HostPort are the parts of Addr; a socket has its path and port 0.
func (o Options) HostPort() (host string, port int) {
	host, p, err := net.SplitHostPort(o.Addr)
	if o.Network == "unix" || err != nil {
		return o.Addr, 0
	}
	port, _ = strconv.Atoi(p)
	return host, port
}
