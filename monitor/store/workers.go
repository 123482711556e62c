package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"

	"github.com/umbel-go/umbel/monitor/state"
	"github.com/umbel-go/umbel/protocol"
)

// WorkerWrite is a worker as it is now.
type WorkerWrite struct {
	Broker int64
	Worker *state.Worker
}

const putWorker = `INSERT INTO workers (broker, hostname, pid, freq, heartbeats, clock, active, processed, loadavg,
		sw_ident, sw_ver, sw_sys, timestamp, seen, offline)
	VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
	ON CONFLICT (broker, hostname) DO UPDATE SET pid = excluded.pid, freq = excluded.freq,
		heartbeats = excluded.heartbeats, clock = excluded.clock, active = excluded.active,
		processed = excluded.processed, loadavg = excluded.loadavg, sw_ident = excluded.sw_ident,
		sw_ver = excluded.sw_ver, sw_sys = excluded.sw_sys, timestamp = excluded.timestamp,
		seen = excluded.seen, offline = excluded.offline`

func putWorkers(ctx context.Context, tx *sql.Tx, workers []WorkerWrite) error {
	for _, write := range workers {
		w := write.Worker
		beats, err := protocol.Marshal(w.Heartbeats)
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, putWorker, write.Broker, w.Hostname, w.PID, string(w.Freq), string(beats), w.Clock,
			string(w.Active), string(w.Processed), string(w.Loadavg), w.SwIdent, w.SwVer, w.SwSys,
			w.Timestamp, w.Seen, w.Offline)
		if err != nil {
			return err
		}
	}
	return nil
}

// Workers returns a broker's workers, first seen first.
func (s *Store) Workers(ctx context.Context, broker int64) ([]*state.Worker, error) {
	var out []*state.Worker
	const query = `SELECT hostname, pid, freq, heartbeats, clock, active, processed, loadavg, sw_ident, sw_ver, sw_sys,
		timestamp, seen, offline FROM workers WHERE broker = ? ORDER BY seq`
	err := s.each(ctx, query, func(rows *sql.Rows) error {
		w := new(state.Worker)
		var beats, freq, active, processed, loadavg string
		err := rows.Scan(&w.Hostname, &w.PID, &freq, &beats, &w.Clock, &active, &processed, &loadavg,
			&w.SwIdent, &w.SwVer, &w.SwSys, &w.Timestamp, &w.Seen, &w.Offline)
		if err != nil {
			return err
		}
		w.Freq, w.Active, w.Processed = json.Number(freq), json.Number(active), json.Number(processed)
		if loadavg != "" {
			w.Loadavg = protocol.Raw(loadavg)
		}
		out = append(out, w)
		return json.Unmarshal([]byte(beats), &w.Heartbeats)
	}, broker)
	if err != nil {
		return nil, fmt.Errorf("read stored workers: %w", err)
	}
	return out, nil
}

// DropWorker deletes a worker and its event counts. Its tasks stay.
func (s *Store) DropWorker(ctx context.Context, broker int64, hostname string) error {
	err := s.db.Write(ctx, func(tx *sql.Tx) error {
		for _, table := range []string{"workers", "event_counts"} {
			if _, err := tx.ExecContext(ctx, `DELETE FROM `+table+` WHERE broker = ? AND hostname = ?`, broker, hostname); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("forget worker %s: %w", hostname, err)
	}
	return nil
}
