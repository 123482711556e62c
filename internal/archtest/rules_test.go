// Package archtest keeps the shape of the code: who may import whom, how long a
// file may be, and which names say nothing. It holds tests only.
package archtest

import (
	"slices"
	"testing"
)

// Internal packages that are no part of the product, or know all of it.
var (
	outside = []string{
		"./bench/...", "./test/...", "./interop/...", "./examples/...", "./internal/testenv/...",
		"./*test", // suites that drivers share, such as brokertest
	}
	summit = []string{"./cmd/...", "./internal/app/..."}
	heavy  = []string{
		"database/sql", "html/template", "github.com/gorilla/mux",
		"github.com/prometheus/...", "go.opentelemetry.io/...",
	}
	// overBroker are the backends whose results travel as messages.
	overBroker = []string{"./backend/rpc/...", "./backend/dial/..."}
	webPages   = []string{"./dag/api/...", "./dag/pages/...", "./dag/xingqiao/...", "./dag/pipeline/..."}
)

var rules = []rule{
	{
		who:  []string{"./protocol/..."},
		only: []string{"./protocol/..."},
		why:  "protocol is pure formats",
	},
	{
		who:  []string{"./broker/..."},
		only: []string{"./broker/...", "./protocol/...", "./internal/..."},
		why:  "a broker moves messages and knows neither tasks nor results",
	},
	{
		who:    []string{"./backend/..."},
		except: overBroker,
		only:   []string{"./backend/...", "./protocol/...", "./internal/..."},
		why:    "a backend keeps results and moves no messages",
	},
	{
		who:  overBroker,
		only: []string{"./backend/...", "./broker/...", "./protocol/...", "./internal/..."},
		why:  "rpc results are messages, but the backend is still no client",
	},
	{
		who:   []string{"./client/..."},
		only:  []string{"./client/...", "./broker/...", "./backend/...", "./protocol/...", "./internal/..."},
		never: heavy,
		why:   "client stays light and below the services",
	},
	{
		who: []string{"./worker/..."},
		only: []string{
			"./worker/...", "./client/...", "./broker/...", "./backend/...", "./protocol/...", "./internal/...",
		},
		never: append([]string{"./internal/web/..."}, heavy...),
		why:   "worker stays light and imports no other service",
	},
	{
		who:   []string{"./beat/..."},
		never: []string{"./worker/...", "./monitor/...", "./dag/...", "./templates/...", "./static/..."},
		why:   "beat is below the services",
	},
	{
		who:   []string{"./monitor/..."},
		never: []string{"./worker/...", "./dag/..."},
		why:   "services never import each other",
	},
	{
		who:   []string{"./dag/..."},
		never: []string{"./worker/...", "./monitor/..."},
		why:   "services never import each other",
	},
	{
		who:    []string{"./dag/..."},
		except: webPages,
		never: append([]string{
			"./internal/web/...", "./templates/...", "./static/...", "html/template", "github.com/gorilla/mux",
		}, webPages...),
		why: "the workflow engine runs without pages",
	},
	{
		who:  []string{"./templates/...", "./static/..."},
		only: []string{"./templates/...", "./static/..."},
		why:  "assets are files only",
	},
	{
		who:    []string{"./internal/..."},
		except: append([]string{"./internal/app/..."}, outside...),
		never:  []string{"./worker/...", "./monitor/...", "./dag/...", "./cmd/..."},
		why:    "internal packages are below the services",
	},
	{
		who:    []string{"./..."},
		except: append(summit[:len(summit):len(summit)], outside...),
		never:  []string{"./internal/app/...", "./cmd/..."},
		why:    "only the program assembles the services",
	},
	{
		who:    []string{"./..."},
		except: outside,
		never:  append([]string{"testing"}, outside...),
		why:    "the product imports nothing made for tests",
	},
	{
		who:    []string{"./..."},
		except: append([]string{"./monitor/...", "./dag/...", "./internal/app/..."}, outside...),
		never:  []string{"github.com/prometheus/..."},
		direct: true,
		why:    "metrics live in monitor and dag",
	},
}

func TestImports(t *testing.T) {
	g := load(t)
	for _, r := range rules {
		broken, binds := r.check(g)
		for _, line := range broken {
			t.Error(line)
		}
		if !binds {
			t.Logf("no package yet for: %v: %s", r.who, r.why)
		}
	}
}

// The checker must be able to fail.
func TestRuleFindsWhatItForbids(t *testing.T) {
	g := graph{
		"./protocol":   {"fmt"},
		"./broker":     {"./protocol"},
		"./worker":     {"./broker", "./internal/x", "internal/abi"},
		"./worker/sub": {"./worker", "./monitor"},
		"./workerlike": {"./monitor"},
		"./internal/x": {"example.com/driver"},
		"./monitor":    {"html/template", "./broker/brokertest", "internal/synctest"},
		"fmt":          nil,

		"example.com/driver": {"database/sql"},
	}
	for _, tc := range []struct {
		name string
		rule rule
		want []string
	}{
		{"kept", rule{who: []string{"./broker/..."}, only: []string{"./protocol"}}, nil},
		{"through others", rule{who: []string{"./worker"}, never: []string{"database/sql"}, why: "light"},
			[]string{"./worker -> ./internal/x -> example.com/driver -> database/sql (light)"}},
		{"direct only", rule{who: []string{"./worker"}, never: []string{"database/sql"}, direct: true}, nil},
		{"only ours are limited by only", rule{who: []string{"./worker"}, only: []string{"./broker", "./internal/..."}, why: "w"},
			[]string{"./worker -> ./broker -> ./protocol (w)"}},
		{"below, not beside", rule{who: []string{"./worker/..."}, never: []string{"./monitor"}, why: "w"},
			[]string{"./worker/sub -> ./monitor (w)"}},
		{"packages for tests", rule{who: []string{"./monitor"}, never: []string{"./*test"}, why: "t"},
			[]string{"./monitor -> ./broker/brokertest (t)"}},
		{"except", rule{who: []string{"./worker/..."}, except: []string{"./worker/sub"}, never: []string{"./monitor"}}, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, binds := tc.rule.check(g)
			if !slices.Equal(got, tc.want) || !binds {
				t.Errorf("got %q, want %q (binds: %v)", got, tc.want, binds)
			}
		})
	}
	if _, binds := (rule{who: []string{"./absent"}}).check(g); binds {
		t.Error("a rule for an absent package binds")
	}
}
