package web

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// Query returns the request's query with parameters changed, as a reference to
// the same page: Query(r, "sort", "-received", "page", "") sets sort and drops
// page.
func Query(r *http.Request, pairs ...string) string {
	values := r.URL.Query()
	values.Del("lang")
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] == "" {
			values.Del(pairs[i])
		} else {
			values.Set(pairs[i], pairs[i+1])
		}
	}
	return "?" + values.Encode()
}

// Column is the head of a table column for the partial "columns".
type Column struct {
	Name  string // attribute that it shows, "received"
	Title string // English
	Class string // "num" aligns right
	// Href sorts by the column; "" where it cannot be sorted.
	Href string
	// Sorted is "ascending", "descending" or "".
	Sorted string
}

// SortColumns fills Href and Sorted of the columns whose name is in sortable.
// The sort parameter is a name, with "-" in front for descending, which is
// also what a first click asks for.
func SortColumns(r *http.Request, columns []Column, sort string, sortable ...string) []Column {
	by, descending := strings.CutPrefix(sort, "-")
	out := slices.Clone(columns)
	for i := range out {
		c := &out[i]
		if !slices.Contains(sortable, c.Name) {
			continue
		}
		next := "-" + c.Name
		if c.Name == by {
			c.Sorted = "ascending"
			if descending {
				c.Sorted, next = "descending", c.Name
			}
		}
		c.Href = Query(r, "sort", next, "page", "", "cursor", "")
	}
	return out
}

// Pager is the foot of a long table for the partial "pager".
type Pager struct {
	From, To int    // numbers of the rows shown, from 1
	Total    int    // -1 when it is not known
	Prev     string // reference, "" when there is none
	Next     string
}

// PathEscape escapes a name for one segment of a path: task ids and worker
// names may hold anything.
func PathEscape(name string) string { return url.PathEscape(name) }
