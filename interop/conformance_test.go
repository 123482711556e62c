package interop

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/umbel-go/umbel/internal/testenv"
)

var update = flag.Bool("update", false, "write what this run saw into docs/compatibility.md")

// onlyVar limits a run to the columns that begin with its value: "5.6/redis".
const onlyVar = "UMBEL_CONFORMANCE"

// column is one column of the compatibility table.
type column struct {
	venv    string
	version string
	stage   string
}

// versions are the environments of the table, newest first.
var versions = []struct{ venv, version string }{
	{"celery57", "5.7"}, {"celery56", "5.6"}, {"celery54", "5.4"}, {"celery52", "5.2"}, {"celery44", "4.4"},
}

var stageOrder = []string{onRedis, onAMQPAndRedis, onAMQPAndRPC}

func columns() []column {
	var all []column
	for _, v := range versions {
		for _, stage := range stageOrder {
			all = append(all, column{v.venv, v.version, stage})
		}
	}
	return all
}

// wanted tells whether a row runs in a column in this form of the suite: in the
// short one the newest Celery runs everything with a Redis backend and the
// basics over rpc, two older ones the basics.
func (c column) wanted(b behaviour) bool {
	if testenv.Full() {
		return true
	}
	switch {
	case b.long, c.venv == "celery52", c.venv == "celery44":
		return false
	case c.venv == "celery57" && c.stage != onAMQPAndRPC:
		return true
	case c.venv == "celery57":
		return b.smoke
	}
	return b.smoke && c.stage != onAMQPAndRPC
}

// outcomes are the results of a run: nil, or why a check failed.
type outcomes struct {
	mu   sync.Mutex
	seen map[cell]error
}

type cell struct {
	row    string // group and name
	column column
}

func (b behaviour) key() string { return b.group + " / " + b.name }

// TestConformance runs the compatibility table and holds the committed one
// against it: a check that fails where the table says that it works is an error,
// and so is one that works where the table says that it does not.
func TestConformance(t *testing.T) {
	committed, err := readTable(tablePath)
	if err != nil && !*update {
		t.Fatal(err)
	}
	run := &outcomes{seen: map[cell]error{}}
	t.Run("columns", func(t *testing.T) {
		chosen := columns()
		if only := os.Getenv(onlyVar); only != "" {
			chosen = slices.DeleteFunc(chosen, func(c column) bool { return !strings.HasPrefix(c.version+"/"+c.stage, only) })
			if len(chosen) == 0 {
				t.Fatalf("%s=%s names no column; columns are like 5.7/redis, 5.6/amqp+redis, 5.4/amqp+rpc", onlyVar, only)
			}
		}
		for _, c := range chosen {
			t.Run(c.version+"/"+c.stage, func(t *testing.T) {
				t.Parallel()
				runColumn(t, c, committed, run)
			})
		}
	})
	if *update {
		if err := writeTable(tablePath, run.seen, committed); err != nil {
			t.Fatal(err)
		}
	}
}

func runColumn(t *testing.T, c column, committed table, run *outcomes) {
	var rows []behaviour
	for _, b := range behaviours() {
		if c.wanted(b) && b.applies(c) == "" {
			rows = append(rows, b)
		}
	}
	if len(rows) == 0 {
		return
	}
	var r *rig
	for _, b := range rows {
		t.Run(b.key(), func(st *testing.T) {
			if r == nil {
				r = openRig(t, stages[c.stage], c.venv)
			}
			failure := b.try(st, r)
			run.note(b, c, failure)
			if !*update {
				committed.judge(st, b, c, failure)
			} else if failure != nil {
				st.Logf("✗ %v", failure)
			}
		})
	}
}

func (o *outcomes) note(b behaviour, c column, failure error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.seen[cell{b.key(), c}] = failure
}

// judge compares an outcome with the committed table.
func (committed table) judge(t *testing.T, b behaviour, c column, failure error) {
	said, ok := committed[cell{b.key(), c}]
	switch {
	case !ok:
		t.Errorf("%s has no row for it; %s", tablePath, howToUpdate)
	case failure != nil && said.mark != markFails:
		t.Errorf("%v", failure)
	case failure == nil && said.mark == markFails:
		t.Errorf("it works, but %s says that it does not; %s", tablePath, howToUpdate)
	case failure != nil:
		t.Logf("known failure: %v", failure)
	}
}

// TestTableIsComplete holds the committed table against the rows of the suite,
// without running any.
func TestTableIsComplete(t *testing.T) {
	committed, err := readTable(tablePath)
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{}
	for _, b := range behaviours() {
		if known[b.key()] {
			t.Errorf("two rows are called %s", b.key())
		}
		known[b.key()] = true
		for _, c := range columns() {
			said, ok := committed[cell{b.key(), c}]
			if why := b.applies(c); !ok || (why != "") != (said.mark == markNone) {
				t.Errorf("%s, %s %s: the table has %q; %s", b.key(), c.version, c.stage, said.mark, howToUpdate)
			}
		}
	}
	for at := range committed {
		if !known[at.row] {
			t.Errorf("the table has a row that the suite lacks: %s; %s", at.row, howToUpdate)
			known[at.row] = true
		}
	}
}

// TestColumnsAreNamedOnce keeps the columns of the table apart.
func TestColumnsAreNamedOnce(t *testing.T) {
	var names []string
	for _, c := range columns() {
		names = append(names, c.title())
	}
	slices.Sort(names)
	if len(slices.Compact(names)) != len(columns()) {
		t.Error(fmt.Sprint("two columns have one name: ", names))
	}
}
