package amqp

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"math"
	"net"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Config says which RabbitMQ to use and how.
type Config struct {
	// URL names one RabbitMQ node, or several separated by ";", which are tried in
	// turn when the one in use fails (Celery's round-robin failover): give the
	// nodes of one cluster.
	//
	// A URL is amqp://user:password@host:port/vhost, or amqps:// for TLS; kombu's
	// pyamqp:// and librabbitmq:// mean amqp://. Defaults are kombu's: guest,
	// guest, localhost, port 5672 (TLS 5671), virtual host "/". Reserved
	// characters in a part are percent-encoded; the virtual host "/" may be
	// left out, and "//name" is the virtual host "/name".
	//
	// Query parameters as in RabbitMQ's URI specification: heartbeat (seconds,
	// default 10, 0 for what RabbitMQ proposes), and for TLS cacertfile,
	// certfile, keyfile and server_name_indication.
	URL string
	// TLS replaces what the URL says about TLS. It is used for amqps:// only.
	TLS *tls.Config
	// LoginMethod is "PLAIN", the default, or "EXTERNAL": the client certificate
	// names the user (kombu's login_method; RabbitMQ's plugin
	// rabbitmq_auth_mechanism_ssl).
	LoginMethod string
	// Heartbeat replaces what the URL says (Celery's broker_heartbeat).
	Heartbeat time.Duration
	// ConnectTimeout bounds one attempt to connect and to log in, 10 s by default
	// (Celery's broker_connection_timeout).
	ConnectTimeout time.Duration
	// Name identifies this process in RabbitMQ's list of connections; default
	// "umbel".
	Name string

	// QueueType is "classic", the default, or "quorum": the type of the task
	// queues that are created here (Celery's task_create_missing_queue_type)
	// where their arguments name none. Queues that exist stay what they are.
	QueueType string
	// QueueMaxPriority is x-max-priority of the task queues that are created here
	// where their arguments name none (Celery's task_queue_max_priority); 0
	// means none. Quorum queues have no such argument.
	QueueMaxPriority int
	// DelayQueueType is the type of the queues of native delayed delivery,
	// "quorum", the default, or "classic" (Celery's
	// broker_native_delayed_delivery_queue_type).
	DelayQueueType string
}

// Types of queues.
const (
	classicQueue = "classic"
	quorumQueue  = "quorum"
)

// Login methods.
const (
	loginPlain    = "PLAIN"
	loginExternal = "EXTERNAL"
)

const (
	defaultHeartbeat      = 10 * time.Second
	serverHeartbeat       = 60 * time.Second // what RabbitMQ proposes
	defaultConnectTimeout = 10 * time.Second
	defaultPort           = 5672
	defaultPortTLS        = 5671
	defaultUser           = "guest"
	defaultVhost          = "/"
)

// check refuses unknown words, and fills in what is missing.
func (c *Config) check() error {
	for _, option := range []struct {
		name    string
		value   *string
		allowed [2]string // the default first
	}{
		{"queue type", &c.QueueType, [...]string{classicQueue, quorumQueue}},
		{"queue type of native delayed delivery", &c.DelayQueueType, [...]string{quorumQueue, classicQueue}},
		{"login method", &c.LoginMethod, [...]string{loginPlain, loginExternal}},
	} {
		*option.value = cmp.Or(*option.value, option.allowed[0])
		if !slices.Contains(option.allowed[:], *option.value) {
			return fmt.Errorf("RabbitMQ %s %q: it is %s or %s", option.name, *option.value, option.allowed[0], option.allowed[1])
		}
	}
	if c.QueueMaxPriority < 0 || c.QueueMaxPriority > math.MaxUint8 {
		return fmt.Errorf("RabbitMQ maximal priority %d: it is 0 to 255", c.QueueMaxPriority)
	}
	c.ConnectTimeout = cmp.Or(c.ConnectTimeout, defaultConnectTimeout)
	c.Name = cmp.Or(c.Name, "umbel")
	return nil
}

// endpoint is a broker URL taken apart.
type endpoint struct {
	host      string
	port      int
	user      string
	password  string
	vhost     string
	login     string
	heartbeat time.Duration
	timeout   time.Duration // to connect and to log in
	tls       *tls.Config   // nil for plain TCP
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

// parseURL reads one of the URLs, the rest of a checked configuration applies.
func parseURL(text string, cfg Config) (*endpoint, error) {
	u, err := url.Parse(text)
	if err != nil {
		return nil, errBadURL
	}
	e := &endpoint{
		host: u.Hostname(), port: defaultPort, user: defaultUser, password: defaultUser,
		login: cfg.LoginMethod, heartbeat: defaultHeartbeat, timeout: cfg.ConnectTimeout,
	}
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
	e.heartbeat = cmp.Or(cfg.Heartbeat, e.heartbeat)
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
