package monitor

import (
	"context"

	"github.com/umbel-go/umbel/monitor/state"
	"github.com/umbel-go/umbel/monitor/store"
)

// childrenAtOnce is how many tasks of an answer have their children looked up
// together.
const childrenAtOnce = 256

// Query selects tasks.
type Query = store.Query

// Task is a task with the tasks that it started.
type Task struct {
	*state.Task
	Children []string // ids, as far as they are stored
}

// TaskPage is the answer to a Query.
type TaskPage = store.Page[Task]

// Tasks answers a query from the store, including every event applied before the
// call (as far as the disk takes them within half a second). A bad SortBy,
// Search or Broker gives an error that matches store.ErrBadQuery.
func (m *Monitor) Tasks(ctx context.Context, q Query) (TaskPage, error) {
	page := TaskPage{Tasks: []Task{}}
	s, err := m.source(q.Broker)
	if err != nil {
		return page, err
	}
	s.sync(ctx)
	if page.Total, err = s.store.Count(ctx, s.id, q); err != nil {
		return page, err
	}
	page.SearchedTo, err = s.eachTask(ctx, q, func(t Task) error {
		page.Tasks = append(page.Tasks, t)
		return nil
	})
	if complete := q.Limit == 0 || len(page.Tasks) < q.Limit; page.Total < 0 && complete && page.SearchedTo == 0 &&
		(len(page.Tasks) > 0 || q.Offset == 0) {
		page.Total = q.Offset + len(page.Tasks)
	}
	return page, err
}

// EachTask is Tasks for answers of any length: it calls fn for each task in
// order until fn returns an error, which it returns.
func (m *Monitor) EachTask(ctx context.Context, q Query, fn func(Task) error) error {
	s, err := m.source(q.Broker)
	if err != nil {
		return err
	}
	s.sync(ctx)
	_, err = s.eachTask(ctx, q, fn)
	return err
}

// CountTasks is the Total of a query without reading its tasks; -1 for a search.
func (m *Monitor) CountTasks(ctx context.Context, q Query) (int, error) {
	s, err := m.source(q.Broker)
	if err != nil {
		return 0, err
	}
	s.sync(ctx)
	return s.store.Count(ctx, s.id, q)
}

func (s *source) eachTask(ctx context.Context, q Query, fn func(Task) error) (searchedTo float64, err error) {
	waiting := make([]*state.Task, 0, childrenAtOnce)
	flush := func() error {
		err := s.withChildren(ctx, waiting, fn)
		waiting = waiting[:0]
		return err
	}
	searchedTo, err = s.store.Each(ctx, s.id, q, func(t *state.Task) error {
		if waiting = append(waiting, t); len(waiting) == childrenAtOnce {
			return flush()
		}
		return nil
	})
	if err == nil {
		err = flush()
	}
	return searchedTo, err
}

func (s *source) withChildren(ctx context.Context, tasks []*state.Task, fn func(Task) error) error {
	ids := make([]string, len(tasks))
	for i, t := range tasks {
		ids[i] = t.UUID
	}
	children, err := s.store.Children(ctx, s.id, ids)
	if err != nil {
		return err
	}
	for _, t := range tasks {
		if err := fn(Task{t, children[t.UUID]}); err != nil {
			return err
		}
	}
	return nil
}

// Task returns one task as of its last event; ok is false when it is unknown.
func (m *Monitor) Task(ctx context.Context, broker, id string) (t Task, ok bool, err error) {
	s, err := m.source(broker)
	if err != nil || id == "" {
		return Task{}, false, err
	}
	s.sync(ctx)
	found := s.snapshotTask(id)
	if found == nil {
		stored, err := s.store.Load(ctx, s.id, []string{id})
		if err != nil || len(stored) == 0 {
			return Task{}, false, err
		}
		found = stored[0]
	}
	children, err := s.store.Children(ctx, s.id, []string{id})
	return Task{found, children[id]}, true, err
}

// TaskTypes are the names of all tasks of a broker as of the last commit, sorted;
// none for an unknown broker.
func (m *Monitor) TaskTypes(broker string) []string {
	s, err := m.source(broker)
	if err != nil {
		return nil
	}
	return s.store.TaskTypes(s.id)
}

// StateCounts is how many tasks of a broker are in each state as of the last
// commit, which is a quarter of a second old at most.
func (m *Monitor) StateCounts(broker string) map[string]int {
	s, err := m.source(broker)
	if err != nil {
		return nil
	}
	return s.store.States(s.id)
}
