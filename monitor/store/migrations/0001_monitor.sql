-- What the monitor keeps. One process writes (package monitor/store).
--
-- Identity is (broker, id): two brokers may carry the same ids and host names.
-- Ids are 16-byte blobs where they are canonical lower-case UUIDs, else text.
-- Columns of type ANY hold what senders wrote: TEXT for text (mostly a Python
-- repr), BLOB for any other JSON value, NULL for null. Times are Unix seconds.

CREATE TABLE brokers (
	id   INTEGER PRIMARY KEY,
	name TEXT NOT NULL UNIQUE
) STRICT;

CREATE TABLE tasks (
	broker      INTEGER NOT NULL REFERENCES brokers (id),
	id          ANY     NOT NULL,
	name        TEXT    COLLATE NOCASE,
	state       TEXT    NOT NULL COLLATE NOCASE,
	received    REAL,
	sent        REAL,
	started     REAL,
	rejected    REAL,
	succeeded   REAL,
	failed      REAL,
	retried     REAL,
	revoked     REAL,
	args        ANY,
	kwargs      ANY,
	eta         ANY,
	expires     ANY,
	retries     INTEGER,
	worker      TEXT    COLLATE NOCASE,
	result      ANY,
	exception   ANY,
	timestamp   REAL    NOT NULL,
	runtime     REAL,
	traceback   ANY,
	exchange    TEXT,
	routing_key TEXT,
	queue       TEXT,
	clock       INTEGER NOT NULL,
	client      TEXT,
	root_id     ANY,
	parent_id   ANY,
	UNIQUE (broker, id)
) STRICT;

-- The default order, newest first, also decides what retention deletes.
CREATE INDEX tasks_timestamp ON tasks (broker, timestamp, id);
CREATE INDEX tasks_state     ON tasks (broker, state, timestamp);
CREATE INDEX tasks_name      ON tasks (broker, name, timestamp);
CREATE INDEX tasks_worker    ON tasks (broker, worker, timestamp);
CREATE INDEX tasks_received  ON tasks (broker, received);
CREATE INDEX tasks_started   ON tasks (broker, started);
CREATE INDEX tasks_parent    ON tasks (broker, parent_id) WHERE parent_id IS NOT NULL;

-- How many tasks there are of each kind, kept in the transactions that change
-- tasks, so that no total needs a scan. '' stands for null.
CREATE TABLE task_counts (
	broker INTEGER NOT NULL,
	state  TEXT    NOT NULL,
	name   TEXT    NOT NULL,
	worker TEXT    NOT NULL,
	n      INTEGER NOT NULL,
	PRIMARY KEY (broker, state, name, worker)
) STRICT, WITHOUT ROWID;

-- The last known state of each worker, in the order they were first seen.
-- freq, active and processed are the literals that the worker sent; heartbeats
-- and loadavg are JSON arrays of Unix seconds and of numbers.
CREATE TABLE workers (
	seq        INTEGER PRIMARY KEY,
	broker     INTEGER NOT NULL,
	hostname   TEXT    NOT NULL,
	pid        INTEGER NOT NULL,
	freq       TEXT    NOT NULL,
	heartbeats TEXT    NOT NULL,
	clock      INTEGER NOT NULL,
	active     TEXT    NOT NULL,
	processed  TEXT    NOT NULL,
	loadavg    TEXT    NOT NULL,
	sw_ident   TEXT    NOT NULL,
	sw_ver     TEXT    NOT NULL,
	sw_sys     TEXT    NOT NULL,
	timestamp  REAL    NOT NULL,
	seen       REAL    NOT NULL,
	offline    REAL    NOT NULL,
	UNIQUE (broker, hostname)
) STRICT;

-- Events counted by sender, type and task name ('' for none), for ever.
CREATE TABLE event_counts (
	seq      INTEGER PRIMARY KEY,
	broker   INTEGER NOT NULL,
	hostname TEXT    NOT NULL,
	type     TEXT    NOT NULL,
	task     TEXT    NOT NULL,
	n        INTEGER NOT NULL,
	UNIQUE (broker, hostname, type, task)
) STRICT;
