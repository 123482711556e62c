package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// FindRabbitMQ returns the path of RabbitMQ's own start script and of epmd,
// Erlang's name server. Debian's wrapper in /usr/sbin is of no use: it insists
// on the system's user and folders.
func FindRabbitMQ() (script, epmd string, err error) {
	if found, _ := filepath.Glob("/usr/lib/rabbitmq/lib/rabbitmq_server-*/sbin/rabbitmq-server"); len(found) > 0 {
		script = found[len(found)-1]
	} else if script, err = exec.LookPath("rabbitmq-server"); err != nil {
		return "", "", errors.New("rabbitmq-server is not installed (RabbitMQ 3.10 or newer; Debian and Ubuntu: apt-get install rabbitmq-server, macOS: brew install rabbitmq)")
	}
	if epmd, err = exec.LookPath("epmd"); err != nil {
		return "", "", errors.New("epmd is not installed or not on the PATH (it is part of Erlang; Debian and Ubuntu: apt-get install erlang-base)")
	}
	return script, epmd, nil
}

// Broker is a RabbitMQ node with the epmd that belongs to it alone.
type Broker struct {
	*Server
	epmd *Server
	ctl  func(args ...string) *exec.Cmd
}

// NewRabbitMQ prepares a RabbitMQ node with its management plugin, name, ports,
// data, logs and cookie of its own, everything in dir.
func NewRabbitMQ(dir string) (*Broker, error) {
	script, epmd, err := FindRabbitMQ()
	if err != nil {
		return nil, err
	}
	ports, err := freePorts(4)
	if err != nil {
		return nil, err
	}
	amqp, api, dist, names := ports[0], ports[1], ports[2], ports[3]
	epmdDir := filepath.Join(dir, "epmd")
	if err := os.MkdirAll(epmdDir, 0o700); err != nil {
		return nil, fmt.Errorf("create the folder of epmd: %w", err)
	}
	if err := writeRabbitConfig(dir, amqp, api); err != nil {
		return nil, err
	}
	env := append(os.Environ(),
		"HOME="+dir, // the Erlang cookie is made there
		fmt.Sprintf("ERL_EPMD_PORT=%d", names), "ERL_EPMD_ADDRESS=127.0.0.1",
		fmt.Sprintf("RABBITMQ_NODENAME=umbel-test-%d@localhost", amqp),
		fmt.Sprintf("RABBITMQ_DIST_PORT=%d", dist),
		"RABBITMQ_CONFIG_FILE="+filepath.Join(dir, "rabbitmq.conf"),
		"RABBITMQ_CONF_ENV_FILE="+filepath.Join(dir, "none"),
		"RABBITMQ_ADVANCED_CONFIG_FILE="+filepath.Join(dir, "none"),
		"RABBITMQ_ENABLED_PLUGINS_FILE="+filepath.Join(dir, "enabled_plugins"),
		"RABBITMQ_MNESIA_BASE="+filepath.Join(dir, "mnesia"),
		"RABBITMQ_LOG_BASE="+filepath.Join(dir, "log"),
		"RABBITMQ_PID_FILE="+filepath.Join(dir, "pid"),
		"RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS=-kernel inet_dist_use_interface {127,0,0,1}",
		// Makes the script become the Erlang machine instead of waiting for it,
		// so that signals and the death of the parent reach it.
		"RUNNING_UNDER_SYSTEMD=true",
	)
	b := &Broker{
		Server: &Server{
			URL:  fmt.Sprintf("amqp://guest:guest@127.0.0.1:%d", amqp),
			API:  fmt.Sprintf("http://guest:guest@127.0.0.1:%d", api),
			name: "rabbitmq-server", dir: dir,
			command: func() *exec.Cmd { return command(env, script) },
		},
		epmd: &Server{
			name: "epmd", dir: epmdDir,
			command: func() *exec.Cmd { return command(env, epmd) },
			ready:   func(ctx context.Context) error { return command(env, epmd, "-names").Run() },
		},
		ctl: func(args ...string) *exec.Cmd {
			return command(env, filepath.Join(filepath.Dir(script), "rabbitmqctl"), args...)
		},
	}
	b.ready = func(ctx context.Context) error {
		return getOK(ctx, fmt.Sprintf("%s/api/health/checks/port-listener/%d", b.API, amqp))
	}
	return b, nil
}

// Start starts epmd where it does not run, then the node.
func (b *Broker) Start(ctx context.Context) error {
	if !b.epmd.Running() {
		if err := b.epmd.Start(ctx); err != nil {
			return err
		}
	}
	return b.Server.Start(ctx)
}

// Ctl runs rabbitmqctl on the running node, which takes a second or two.
func (b *Broker) Ctl(args ...string) error {
	if output, err := b.ctl(args...).CombinedOutput(); err != nil {
		return fmt.Errorf("rabbitmqctl %s: %w: %s", strings.Join(args, " "), err, output)
	}
	return nil
}

// Close kills the node and epmd. Their data is worth nothing by then, and an
// orderly stop takes seconds.
func (b *Broker) Close() {
	b.Kill()
	b.epmd.Kill()
}

func command(env []string, path string, args ...string) *exec.Cmd {
	cmd := exec.Command(path, args...)
	cmd.Env = env
	return cmd
}

func writeRabbitConfig(dir string, amqp, api int) error {
	// Statistics every second: tests wait for queue lengths. Disk limit: a nearly
	// full disk must not block publishers in the middle of a test.
	conf := fmt.Sprintf(`listeners.tcp.1 = 127.0.0.1:%d
management.tcp.ip = 127.0.0.1
management.tcp.port = %d
collect_statistics_interval = 1000
disk_free_limit.absolute = 10MB
log.file.level = info
`, amqp, api)
	for name, text := range map[string]string{
		"rabbitmq.conf":   conf,
		"enabled_plugins": "[rabbitmq_management].\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			return fmt.Errorf("configure rabbitmq-server: %w", err)
		}
	}
	return nil
}

func getOK(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return fmt.Errorf("ask RabbitMQ's API: %w", err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("ask RabbitMQ's API: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		body, _ := io.ReadAll(io.LimitReader(resp.Body, 500))
		return fmt.Errorf("ask RabbitMQ's API: %s: %s", resp.Status, strings.TrimSpace(string(body)))
	}
	return nil
}
