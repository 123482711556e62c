package interop

import (
	"bytes"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/umbel-go/umbel/client"
	"github.com/umbel-go/umbel/internal/testenv"
	"github.com/umbel-go/umbel/protocol"
)

// stored tells whether a task has its result.
func stored(t testing.TB, c *client.Client, id string) error {
	t.Helper()
	state, err := c.Result(id).State(waitFor(t))
	if err != nil {
		return err
	}
	if state.Status != protocol.StateSuccess {
		return fmt.Errorf("the task is %s", state.Status)
	}
	return nil
}

// mentions tells whether a node's answer to an inspect command holds a task id.
func mentions(t testing.TB, c *client.Client, node, method, id string) error {
	t.Helper()
	answers, err := c.Inspect(waitFor(t), method, nil, client.ControlOptions{Destination: []string{node}, Timeout: 500 * time.Millisecond})
	if err != nil {
		return err
	}
	if !bytes.Contains(answers[node], []byte(id)) {
		return fmt.Errorf("%s of %s lacks %s: %s", method, node, id, answers[node])
	}
	return nil
}

func revoke(t testing.TB, c *client.Client, id string) {
	t.Helper()
	args := protocol.Object{{Name: "task_id", Value: id}, {Name: "terminate", Value: false}, {Name: "signal", Value: "SIGTERM"}}
	if err := c.Broadcast(waitFor(t), "revoke", args); err != nil {
		t.Fatal(err)
	}
}

// cutRabbitMQ closes the connections to the URL's virtual host.
func cutRabbitMQ(t testing.TB, broker string) {
	t.Helper()
	api, vhost := testenv.AMQPAPI(t), broker[strings.LastIndexByte(broker, '/')+1:]
	var open []struct{ Name string }
	// RabbitMQ lists a connection a moment after it was opened.
	eventually(t, func() error {
		if err := fetchJSON(api+"/api/vhosts/"+vhost+"/connections", &open); err != nil {
			return err
		}
		if len(open) == 0 {
			return fmt.Errorf("RabbitMQ knows no connection to %s", vhost)
		}
		return nil
	})
	for _, c := range open {
		request, err := http.NewRequest(http.MethodDelete, api+"/api/connections/"+url.PathEscape(c.Name), nil)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
	}
}

// excerpt is a text from a word on, bounded.
func excerpt(text, word string) string {
	at := strings.Index(text, word)
	if at < 0 {
		return ""
	}
	return text[at:min(len(text), at+400)]
}
