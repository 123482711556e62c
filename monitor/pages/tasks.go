package pages

import (
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/umbel-go/umbel/internal/web"
	"github.com/umbel-go/umbel/monitor"
	"github.com/umbel-go/umbel/monitor/state"
	"github.com/umbel-go/umbel/monitor/store"
)

const (
	defaultLimit = 50
	maxLimit     = 500
	// maxPage keeps paging by number within what a store answers quickly.
	maxPage = 20000
)

type tasksPage struct {
	frame
	Table    taskTable
	Pager    web.Pager
	Chips    []chip
	Search   string
	State    string
	Name     string
	Worker   string
	Sort     string
	Limit    int
	Problem  string    // what is wrong with the search
	Back     time.Time // how far a search came, zero when it saw everything
	Filtered bool
	Any      bool // there is a task at all
}

func (p *pages) tasks(w http.ResponseWriter, r *http.Request) {
	ctx := r.Context()
	q := r.URL.Query()
	if p.toTask(w, r, q.Get("q")) {
		return
	}
	d := &tasksPage{frame: p.frame(r), Search: strings.TrimSpace(q.Get("q")), State: q.Get("state"), Name: q.Get("name"),
		Worker: q.Get("worker"), Sort: q.Get("sort"), Limit: within(q.Get("limit"), defaultLimit, 1, maxLimit)}
	page := within(q.Get("page"), 1, 1, maxPage)
	d.Filtered = d.Search != "" || d.State != "" || d.Name != "" || d.Worker != ""
	if !slices.Contains(sortable, strings.TrimPrefix(d.Sort, "-")) {
		d.Sort = ""
	}
	status := http.StatusOK
	found, err := p.Source.Tasks(ctx, monitor.Query{
		Broker: d.Broker, State: d.State, Name: d.Name, Worker: d.Worker, Search: d.Search,
		SortBy: d.Sort, Limit: d.Limit + 1, Offset: (page - 1) * d.Limit, // one more tells whether a page follows
	})
	if errors.Is(err, store.ErrBadQuery) {
		d.Problem, status = err.Error(), http.StatusBadRequest
	} else {
		d.failed(ctx, "tasks", err)
	}
	d.show(r, found, page, p.columns)
	counts := p.Source.StateCounts(d.Broker)
	d.Any = len(counts) > 0 || len(found.Tasks) > 0
	d.Chips = stateChips(r, counts, d.State)
	p.Renderer.Render(w, r, status, "tasks.html", d)
}

func (d *tasksPage) show(r *http.Request, found monitor.TaskPage, page int, columns []string) {
	tasks, more := found.Tasks, len(found.Tasks) > d.Limit
	if more {
		tasks = tasks[:d.Limit]
	}
	d.Table = newTaskTable(columns, tasks)
	d.Table.Columns = web.SortColumns(r, d.Table.Columns, d.Sort, sortable...)
	d.Back = moment(found.SearchedTo)
	d.Pager = web.Pager{From: (page-1)*d.Limit + 1, To: (page-1)*d.Limit + len(tasks), Total: found.Total}
	if page > 1 {
		d.Pager.Prev = web.Query(r, "page", strconv.Itoa(page-1))
	}
	if page == 2 {
		d.Pager.Prev = web.Query(r, "page", "")
	}
	if more {
		d.Pager.Next = web.Query(r, "page", strconv.Itoa(page+1))
	}
}

// toTask goes straight to the task when the search is a task's id.
func (p *pages) toTask(w http.ResponseWriter, r *http.Request, search string) bool {
	id := strings.TrimSpace(search)
	if len(id) != 36 || strings.Count(id, "-") != 4 {
		return false
	}
	if _, ok, err := p.Source.Task(r.Context(), r.URL.Query().Get("broker"), id); err != nil || !ok {
		return false
	}
	http.Redirect(w, r, web.URL(r, "/task/"+web.PathEscape(id)), http.StatusSeeOther)
	return true
}

// stateChips offers the states in the order of a task's life, then those that
// users invented.
func stateChips(r *http.Request, counts map[string]int, current string) []chip {
	order := []string{state.Started, state.Success, state.Failure, state.Retry, state.Received, state.Pending, state.Revoked, state.Rejected}
	own := make([]string, 0, len(counts))
	total := 0
	for s, n := range counts {
		total += n
		if !slices.Contains(order, s) {
			own = append(own, s)
		}
	}
	slices.Sort(own)
	chips := []chip{{Title: "All", Href: web.Query(r, "state", "", "page", ""), Count: total, Counted: true, Current: current == ""}}
	for i, s := range append(order, own...) {
		on := strings.EqualFold(s, current)
		if i > 3 && counts[s] == 0 && !on {
			continue
		}
		chips = append(chips, chip{Title: s, Href: web.Query(r, "state", s, "page", ""), Count: counts[s], Counted: true, Current: on})
	}
	return chips
}

// within reads a number and keeps it in its bounds; what is no number is def.
func within(s string, def, low, high int) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		return def
	}
	return min(max(n, low), high)
}
