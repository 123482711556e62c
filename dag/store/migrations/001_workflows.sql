-- Times are microseconds since 1970 (UTC), 0 where a thing has not happened and
-- NULL where an index must not see the row. JSON columns hold text as the tasks
-- wrote it.

-- A version of a definition: never changed once written. defined_at is when the
-- content was last defined; the newest one is what a new run takes.
CREATE TABLE dag_def (
    name       TEXT    NOT NULL,
    version    INTEGER NOT NULL,
    checksum   TEXT    NOT NULL,
    spec       TEXT    NOT NULL,
    source     TEXT    NOT NULL,
    created_at INTEGER NOT NULL,
    defined_at INTEGER NOT NULL,
    PRIMARY KEY (name, version),
    UNIQUE (name, checksum)
) STRICT;

-- A run. wake_at is when the engine must look at it again.
CREATE TABLE dag_run (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    uuid        TEXT    NOT NULL UNIQUE,
    def_name    TEXT    NOT NULL,
    def_version INTEGER NOT NULL,
    name        TEXT    UNIQUE,
    namespace   TEXT    NOT NULL,
    reqid       TEXT    NOT NULL,
    client      TEXT    NOT NULL,
    operator    TEXT    NOT NULL,
    tags        TEXT    NOT NULL,
    source      TEXT    NOT NULL,
    inputs      TEXT    NOT NULL,
    state       TEXT    NOT NULL,
    desired     TEXT    NOT NULL,
    epoch       INTEGER NOT NULL,
    ret_stat    TEXT    NOT NULL,
    ret_data    TEXT,
    reason      TEXT    NOT NULL,
    timeout     INTEGER NOT NULL, -- microseconds
    stop_at     INTEGER NOT NULL,
    wake_at     INTEGER,
    created_at  INTEGER NOT NULL,
    started_at  INTEGER NOT NULL,
    ended_at    INTEGER NOT NULL,
    updated_at  INTEGER NOT NULL,
    FOREIGN KEY (def_name, def_version) REFERENCES dag_def (name, version)
) STRICT;
CREATE INDEX dag_run_wake ON dag_run (wake_at) WHERE wake_at IS NOT NULL;
CREATE INDEX dag_run_def ON dag_run (def_name, id);

-- A node of a run, in the order of the definition (id).
CREATE TABLE dag_node (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    run_id     INTEGER NOT NULL REFERENCES dag_run (id) ON DELETE CASCADE,
    node       TEXT    NOT NULL,
    item       INTEGER NOT NULL,
    state      TEXT    NOT NULL,
    reason     TEXT    NOT NULL,
    deps_left  INTEGER NOT NULL,
    attempt    INTEGER NOT NULL,
    task_id    TEXT    NOT NULL,
    due_at     INTEGER NOT NULL,
    kwargs     TEXT,
    result     TEXT,
    result_ref TEXT    NOT NULL,
    ret_stat   TEXT    NOT NULL,
    ret_data   TEXT,
    error      TEXT    NOT NULL,
    traceback  TEXT    NOT NULL,
    worker     TEXT    NOT NULL,
    runtime    REAL    NOT NULL, -- seconds
    ready_at   INTEGER NOT NULL,
    queued_at  INTEGER NOT NULL,
    started_at INTEGER NOT NULL,
    ended_at   INTEGER NOT NULL,
    UNIQUE (run_id, node, item)
) STRICT;

-- One attempt of a node: one Celery task. poll_at is when the result backend is
-- asked next, NULL before it was published and after its verdict.
CREATE TABLE dag_attempt (
    task_id   TEXT    PRIMARY KEY,
    run_id    INTEGER NOT NULL REFERENCES dag_run (id) ON DELETE CASCADE,
    node      TEXT    NOT NULL,
    item      INTEGER NOT NULL,
    attempt   INTEGER NOT NULL,
    state     TEXT    NOT NULL, -- dispatching, out, succeeded, failed, cancelled, lost
    error     TEXT    NOT NULL,
    poll_at   INTEGER,
    poll_wait INTEGER NOT NULL, -- microseconds
    sent_at   INTEGER NOT NULL,
    ended_at  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX dag_attempt_poll ON dag_attempt (poll_at) WHERE poll_at IS NOT NULL;
CREATE INDEX dag_attempt_run ON dag_attempt (run_id, node, item, attempt);

-- Reports that were seen and not yet applied. A second one of the same kind adds
-- nothing.
CREATE TABLE dag_inbox (
    task_id TEXT    NOT NULL,
    kind    TEXT    NOT NULL,
    run_id  INTEGER NOT NULL REFERENCES dag_run (id) ON DELETE CASCADE,
    payload TEXT    NOT NULL,
    seen_at INTEGER NOT NULL,
    PRIMARY KEY (task_id, kind)
) STRICT, WITHOUT ROWID;
CREATE INDEX dag_inbox_run ON dag_inbox (run_id, seen_at);

-- Everything with an effect outside: messages to publish and tasks to revoke.
-- payload is dropped when the thing is done; the key stays.
CREATE TABLE dag_outbox (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    dedupe_key TEXT    NOT NULL UNIQUE,
    kind       TEXT    NOT NULL, -- publish, revoke
    run_id     INTEGER NOT NULL REFERENCES dag_run (id) ON DELETE CASCADE,
    task_id    TEXT    NOT NULL,
    payload    TEXT,
    tries      INTEGER NOT NULL,
    error      TEXT    NOT NULL,
    due_at     INTEGER,          -- NULL when done
    done_at    INTEGER NOT NULL
) STRICT;
CREATE INDEX dag_outbox_due ON dag_outbox (due_at, id) WHERE due_at IS NOT NULL;

-- The history of a run, only ever appended to.
CREATE TABLE dag_event (
    run_id INTEGER NOT NULL REFERENCES dag_run (id) ON DELETE CASCADE,
    seq    INTEGER NOT NULL,
    at     INTEGER NOT NULL,
    node   TEXT    NOT NULL,
    kind   TEXT    NOT NULL,
    text   TEXT    NOT NULL,
    PRIMARY KEY (run_id, seq)
) STRICT, WITHOUT ROWID;
