-- Activity: a view of the log, rebuilt from it by `fastn rebuild`. Columns that lists show come first in each row, so
-- that a list never reads the pages into which a large payload spills.

CREATE TABLE events (
    -- Partition and offset in the events log as one number, partition * 2^44 + offset: unique without an index of its own.
    seq        INTEGER NOT NULL PRIMARY KEY,
    account    TEXT    NOT NULL,
    customer   TEXT    NOT NULL,
    id         TEXT    NOT NULL,
    received   BIGINT  NOT NULL,
    status     TEXT    NOT NULL,
    kind       TEXT    NOT NULL,
    source     TEXT    NOT NULL,
    subject    TEXT,
    origin     TEXT    NOT NULL,
    trigger_id TEXT,
    time       BIGINT  NOT NULL,
    reason     TEXT,
    -- The ids of the executions that it started, 16 bytes each.
    executions BLOB,
    -- JSON text: [{name, value}], absent when there are none.
    headers    TEXT,
    -- JSON text; absent for commands, whose content the executions show.
    data       TEXT
);

CREATE INDEX events_by_account ON events (account, received);
CREATE INDEX events_by_customer ON events (account, customer, received);
CREATE INDEX events_by_id ON events (account, id);
CREATE INDEX events_odd ON events (account, status, received) WHERE status <> 'delivered';

CREATE TABLE executions (
    -- The order of projection: a tie-breaker of lists and the order of pruning.
    seq          INTEGER NOT NULL PRIMARY KEY,
    id           BLOB    NOT NULL UNIQUE,
    account      TEXT    NOT NULL,
    customer     TEXT    NOT NULL,
    created      BIGINT  NOT NULL,
    status       TEXT    NOT NULL,
    workflow     TEXT    NOT NULL,
    version      INTEGER NOT NULL,
    environment  TEXT    NOT NULL,
    tier         TEXT    NOT NULL,
    origin       TEXT    NOT NULL,
    trigger_id   TEXT,
    event_id     TEXT    NOT NULL,
    -- events.seq; absent when the input is in this row.
    event_seq    BIGINT,
    replay_of    BLOB,
    parent       BLOB,
    attempt      INTEGER NOT NULL,
    finished     BIGINT,
    step_count   INTEGER NOT NULL,
    -- JSON text of the error of the last attempt.
    error        TEXT,
    -- What `ctx.event` shows when the input is in this row.
    event_kind   TEXT,
    event_source TEXT,
    event_time   BIGINT,
    -- JSON text: headers of this row's own; the event's come before them.
    headers      TEXT,
    -- JSON text; absent when it is the event's data.
    input        TEXT,
    -- JSON text: an array, set at the end.
    steps        TEXT,
    -- JSON text: an array.
    logs         TEXT,
    -- JSON text.
    output       TEXT,
    -- Results of durable calls so far, one JSON object a line. Emptied when the execution completes.
    results      TEXT,
    -- Waits begun so far, one JSON object a line. Emptied at the end.
    waits        TEXT
);

CREATE INDEX executions_by_account ON executions (account, created);
CREATE INDEX executions_by_customer ON executions (account, customer, created);
CREATE INDEX executions_by_event ON executions (account, event_id);
-- Everything that is not simply done: short, whatever the total.
CREATE INDEX executions_open ON executions (account, status, created) WHERE status <> 'completed';
CREATE INDEX executions_replays ON executions (replay_of) WHERE replay_of IS NOT NULL;

CREATE TABLE dead_letters (
    seq      INTEGER NOT NULL PRIMARY KEY,
    -- The execution's.
    id       BLOB    NOT NULL UNIQUE,
    account  TEXT    NOT NULL,
    customer TEXT    NOT NULL,
    workflow TEXT    NOT NULL,
    event_id TEXT    NOT NULL,
    status   TEXT    NOT NULL,
    attempts INTEGER NOT NULL,
    created  BIGINT  NOT NULL,
    error    TEXT    NOT NULL
);

CREATE INDEX dead_letters_by_account ON dead_letters (account, created);
CREATE INDEX dead_letters_by_customer ON dead_letters (account, customer, created);

-- How far each partition of the journal is in these tables. Written in the transaction that wrote the rows.
CREATE TABLE projected (
    part  INTEGER NOT NULL PRIMARY KEY,
    -- The journal offset from which the partition is not projected yet.
    next  BIGINT  NOT NULL,
    -- The newest claim before it: records of older epochs are ignored.
    epoch BIGINT  NOT NULL
);
