package store

import (
	"errors"
	"fmt"
	"strings"

	"github.com/umbel-go/umbel/monitor/search"
	"github.com/umbel-go/umbel/monitor/state"
)

// ErrBadQuery means that a Query asks for what there is not: the caller's
// fault. A bad Search is a *search.SyntaxError as well.
var ErrBadQuery = errors.New("bad task query")

// Query selects tasks. The zero Query is every task of the first broker, newest
// first.
type Query struct {
	// Broker is the name of a source; "" means the first one.
	Broker string
	// State, Worker and Name match the whole field, case-insensitively for
	// ASCII letters; "" matches everything.
	State, Worker, Name string
	// Search is Flower's search language (package search).
	Search string
	// Ranges are inclusive, in Unix seconds, 0 is open. A task without that
	// time always passes, as in Flower.
	ReceivedFrom, ReceivedTo float64
	StartedFrom, StartedTo   float64
	// SortBy is a field of a task (see Sortable), with a leading "-" for
	// descending order; unknown values sort before all others. "" is newest
	// first by the time of the last event.
	SortBy string
	// Limit is how many tasks are answered at most; 0 means all.
	Limit  int
	Offset int
}

// Page is the answer to a Query.
type Page[T any] struct {
	Tasks []T
	// Total is how many tasks match without Limit and Offset, -1 when it would
	// take a long scan to know.
	Total int
	// SearchedTo is the timestamp back to which a search came within its time
	// budget; 0 when it saw everything it had to.
	SearchedTo float64
}

// Sortable reports whether SortBy may name the field.
func Sortable(field string) bool { _, ok := sortColumn(field); return ok }

func sortColumn(field string) (column string, ok bool) {
	if field == "uuid" {
		return "id", true
	}
	for _, c := range columns[1:] {
		if c == field {
			return c, true
		}
	}
	return "", false
}

// statement is the SQL for a query: FROM tasks WHERE where ORDER BY order.
type statement struct {
	where  []string
	args   []any
	order  string
	search *search.Query // nil when SQL alone decides
}

func (q *Query) compile(broker int64) (*statement, error) {
	st := &statement{}
	st.and("broker = ?", broker)
	for _, f := range []struct{ column, value string }{{"state", q.State}, {"worker", q.Worker}, {"name", q.Name}} {
		if f.value != "" {
			st.and(f.column+" = ?", f.value)
		}
	}
	st.between("received", q.ReceivedFrom, q.ReceivedTo)
	st.between("started", q.StartedFrom, q.StartedTo)
	st.order = newestFirst
	if q.SortBy != "" {
		field, direction := strings.TrimPrefix(q.SortBy, "-"), ""
		column, ok := sortColumn(field)
		if !ok {
			return nil, fmt.Errorf("%w: cannot sort by %q", ErrBadQuery, q.SortBy)
		}
		if field != q.SortBy {
			direction = " DESC"
		}
		st.order = column + direction + ", id" + direction
	}
	return st, st.searchFor(q.Search)
}

// newestFirst is the order without SortBy.
const newestFirst = "timestamp DESC, id DESC"

func (st *statement) searchFor(text string) error {
	parsed, err := search.Parse(text)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrBadQuery, err)
	}
	if parsed.Op == search.All {
		return nil
	}
	st.search = parsed
	clause, args := narrow(parsed)
	st.and(clause, args...)
	return nil
}

func (st *statement) and(clause string, args ...any) {
	st.where = append(st.where, clause)
	st.args = append(st.args, args...)
}

func (st *statement) between(column string, from, to float64) {
	if from != 0 {
		st.and("("+column+" IS NULL OR "+column+" >= ?)", from)
	}
	if to != 0 {
		st.and("("+column+" IS NULL OR "+column+" <= ?)", to)
	}
}

func (st *statement) sql(what string) string {
	return "SELECT " + what + " FROM tasks WHERE " + strings.Join(st.where, " AND ") + " ORDER BY " + st.order
}

func (st *statement) matches(t *state.Task) bool {
	return st.search == nil || st.search.Match(&search.Document{
		ID: t.UUID, Name: t.Name, State: t.State, Worker: t.Worker,
		Args: t.Args.String, Kwargs: t.Kwargs.String, Result: t.Result.String,
	})
}

// narrow is an SQL condition that holds for every task that the search matches,
// and for few others: SQLite folds case for ASCII only, so the search itself has
// the last word.
func narrow(q *search.Query) (clause string, args []any) {
	switch q.Op {
	case search.And, search.Or:
		parts := make([]string, len(q.Children))
		for i, c := range q.Children {
			var more []any
			parts[i], more = narrow(c)
			args = append(args, more...)
		}
		word := " AND "
		if q.Op == search.Or {
			word = " OR "
		}
		return "(" + strings.Join(parts, word) + ")", args
	case search.Term:
		return narrowTerm(q)
	}
	return "1", nil
}

func narrowTerm(q *search.Query) (clause string, args []any) {
	if q.Exact() && isASCII(q.Value) {
		return "state = ?", []any{q.Value}
	}
	value, fields := q.Value, []string{string(q.Field)}
	if key, _, ok := q.Pair(); ok {
		value = key
	}
	if q.Field == search.Any {
		fields = []string{"name", "state", "worker", "args", "kwargs", "result"}
		if strings.Trim(value, "0123456789abcdef-") == "" {
			fields = append(fields, uuidText)
		} else {
			fields = append(fields, "CASE typeof(id) WHEN 'text' THEN id END")
		}
	}
	// Reprs escape quotes, and SQLite does not fold other than ASCII letters:
	// leave those to the search.
	if !isASCII(value) || strings.ContainsAny(value, `'"\`) {
		return "1", nil
	}
	pattern := "%" + strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`).Replace(value) + "%"
	parts := make([]string, len(fields))
	for i, f := range fields {
		parts[i] = f + ` LIKE ? ESCAPE '\'`
		args = append(args, pattern)
	}
	return "(" + strings.Join(parts, " OR ") + ")", args
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}
