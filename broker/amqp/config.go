package amqp

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"
)

// Config says which RabbitMQ to use and how.
type Config struct {
	// URL is amqp://user:password@host:port/vhost, or amqps:// for TLS; kombu's
	// pyamqp:// and librabbitmq:// mean amqp://. Defaults are kombu's: guest,
	// guest, localhost, port 5672 (TLS 5671), virtual host "/". Reserved
	// characters in a part are percent-encoded; the virtual host "/" may be
	// left out, and "//name" is the virtual host "/name".
	//
	// Query parameters as in RabbitMQ's URI specification: heartbeat (seconds,
	// default 10, 0 for
	// what RabbitMQ proposes), and for TLS cacertfile, certfile, keyfile and
	// server_name_indication.
	URL string
	// TLS replaces what the URL says about TLS. It is used for amqps:// only.
	TLS *tls.Config
	// Name identifies this process in RabbitMQ's list of connections; default
	// "umbel".
	Name string
}

const (
	defaultHeartbeat = 10 * time.Second
	serverHeartbeat  = 60 * time.Second // what RabbitMQ proposes
	defaultPort      = 5672
	defaultPortTLS   = 5671
	defaultUser      = "guest"
	defaultVhost     = "/"
)

// endpoint is a broker URL taken apart.
type endpoint struct {
	host      string
	port      int
	user      string
	password  string
	vhost     string
	heartbeat time.Duration
	tls       *tls.Config // nil for plain TCP
}

func (e *endpoint) address() string { return net.JoinHostPort(e.host, strconv.Itoa(e.port)) }

// publicURL is the URL without the password.
func (e *endpoint) publicURL() string {
	u := url.URL{Scheme: "amqp", User: url.User(e.user), Host: e.address(), Path: "/" + e.vhost}
	if e.tls != nil {
		u.Scheme = "amqps"
	}
	if e.vhost == defaultVhost {
		u.Path = "//"
	} else {
		u.RawPath = "/" + url.PathEscape(e.vhost)
	}
	return u.String()
}

// errBadURL hides what net/url says, since that quotes parts of the password.
var errBadURL = errors.New("RabbitMQ URL cannot be read: write it as amqp://user:password@host:port/vhost and percent-encode reserved characters in user, password and vhost (/ is %2F, @ is %40, : is %3A)")

func parseURL(cfg Config) (*endpoint, error) {
	if strings.Contains(cfg.URL, ";") {
		return nil, errors.New("several addresses separated by \";\" are not supported on RabbitMQ; give the address of one node or of a load balancer")
	}
	u, err := url.Parse(cfg.URL)
	if err != nil {
		return nil, errBadURL
	}
	e := &endpoint{host: u.Hostname(), port: defaultPort, user: defaultUser, password: defaultUser, heartbeat: defaultHeartbeat}
	switch u.Scheme {
	case "amqp", "pyamqp", "librabbitmq":
	case "amqps":
		e.port, e.tls = defaultPortTLS, &tls.Config{MinVersion: tls.VersionTLS12}
	default:
		return nil, errors.New("the scheme of a RabbitMQ URL is amqp, amqps or pyamqp")
	}
	if e.host == "" {
		e.host = "localhost"
	}
	if p := u.Port(); p != "" {
		if e.port, err = strconv.Atoi(p); err != nil || e.port < 1 || e.port > 65535 {
			return nil, errBadURL
		}
	}
	if u.User != nil {
		e.user = u.User.Username()
		if password, given := u.User.Password(); given {
			e.password = password
		}
	}
	if e.vhost = strings.TrimPrefix(u.Path, "/"); e.vhost == "" {
		e.vhost = defaultVhost
	}
	return e, e.options(cfg, u)
}

// options applies the query parameters and Config.TLS.
func (e *endpoint) options(cfg Config, u *url.URL) error {
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return errBadURL
	}
	if text := query.Get("heartbeat"); text != "" {
		seconds, err := strconv.ParseUint(text, 10, 16)
		if err != nil {
			return fmt.Errorf("heartbeat=%q in the RabbitMQ URL is not a number of seconds", text)
		}
		e.heartbeat = time.Duration(seconds) * time.Second
	}
	switch {
	case e.tls == nil:
		return nil
	case cfg.TLS != nil:
		e.tls = cfg.TLS.Clone()
	default:
		if err := loadTLS(e.tls, query); err != nil {
			return err
		}
	}
	if e.tls.ServerName == "" {
		e.tls.ServerName = e.host
	}
	return nil
}

func loadTLS(c *tls.Config, query url.Values) error {
	c.ServerName = query.Get("server_name_indication")
	if path := query.Get("cacertfile"); path != "" {
		pem, err := os.ReadFile(path)
		if err != nil {
			return fmt.Errorf("RabbitMQ URL: read cacertfile: %w", err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return fmt.Errorf("RabbitMQ URL: cacertfile %s holds no PEM certificate", path)
		}
	}
	cert, key := query.Get("certfile"), query.Get("keyfile")
	if cert == "" && key == "" {
		return nil
	}
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		return fmt.Errorf("RabbitMQ URL: certfile and keyfile: %w", err)
	}
	c.Certificates = []tls.Certificate{pair}
	return nil
}
