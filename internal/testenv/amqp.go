package testenv

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

const apiTimeout = 30 * time.Second

// AMQP returns the URL (amqp://guest:guest@127.0.0.1:PORT/VHOST) of an empty
// virtual host of the test's own. It is deleted, with its connections, when the
// test ends.
func AMQP(t testing.TB) string {
	t.Helper()
	url, api := variable(t, amqpVar), AMQPAPI(t)
	vhost := "test-" + strings.ToLower(rand.Text()[:12])
	if err := createVhost(api, vhost); err != nil {
		t.Fatalf("create vhost %s: %v", vhost, err)
	}
	t.Cleanup(func() {
		if err := callAPI(http.MethodDelete, api+"/api/vhosts/"+vhost, ""); err != nil {
			t.Errorf("delete vhost %s: %v", vhost, err)
		}
	})
	return url + "/" + vhost
}

// AMQPAPI returns the address of RabbitMQ's management API with user and
// password (http://guest:guest@127.0.0.1:PORT). Its statistics are one second
// old at most.
func AMQPAPI(t testing.TB) string {
	t.Helper()
	return variable(t, amqpAPIVar)
}

func createVhost(api, vhost string) error {
	if err := callAPI(http.MethodPut, api+"/api/vhosts/"+vhost, "{}"); err != nil {
		return err
	}
	return callAPI(http.MethodPut, api+"/api/permissions/"+vhost+"/guest",
		`{"configure": ".*", "write": ".*", "read": ".*"}`)
}

// callAPI keeps no connection open, so that a test that counts goroutines is not
// disturbed.
func callAPI(method, url, body string) (err error) {
	req, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		return fmt.Errorf("ask RabbitMQ's API: %w", err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Close = true
	client := http.Client{Timeout: apiTimeout}
	resp, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("ask RabbitMQ's API: %w", err)
	}
	defer func() { err = errors.Join(err, resp.Body.Close()) }()
	if resp.StatusCode >= http.StatusMultipleChoices {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 500))
		return fmt.Errorf("RabbitMQ's API: %s %s: %s: %s", method, req.URL.Path, resp.Status, text)
	}
	return nil
}
