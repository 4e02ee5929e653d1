-- Activity: a view of the log, rebuilt from it by `fastn rebuild`. Tables are cut by days of UTC, and what is too old goes
-- by dropping days (0004_days.sql). A row of a day that has no partition is kept in the default one.
--
--   events        by received
--   executions    ended = false: one small table, whatever their age, so that no day holds a living execution
--                 ended = true:  by created
--   dead_letters  by created
--
-- An execution that ends is moved to its day by the UPDATE that says so. Nothing finds a living execution by its day, so a
-- late record, which knows only the id, touches one small index. Ids of ended ones are unique within their `created`.

CREATE TABLE events (
    -- Partition and offset in the events log as one number, partition * 2^44 + offset.
    seq        BIGINT NOT NULL,
    account    TEXT   NOT NULL,
    customer   TEXT   NOT NULL,
    id         TEXT   NOT NULL,
    received   BIGINT NOT NULL,
    status     TEXT   NOT NULL,
    kind       TEXT   NOT NULL,
    source     TEXT   NOT NULL,
    subject    TEXT,
    origin     TEXT   NOT NULL,
    trigger_id TEXT,
    time       BIGINT NOT NULL,
    reason     TEXT,
    -- The ids of the executions that it started, 16 bytes each.
    executions BYTEA,
    -- JSON text: [{name, value}], absent when there are none.
    headers    TEXT,
    -- JSON text; absent for commands, whose content the executions show.
    data       TEXT,
    PRIMARY KEY (seq, received)
) PARTITION BY RANGE (received);

CREATE TABLE events_default PARTITION OF events DEFAULT;

CREATE INDEX events_by_account ON events (account, received);
CREATE INDEX events_by_customer ON events (account, customer, received);
CREATE INDEX events_by_id ON events (account, id);
CREATE INDEX events_odd ON events (account, status, received) WHERE status <> 'delivered';

CREATE SEQUENCE executions_seq;

CREATE TABLE executions (
    -- The order of projection: a tie-breaker of lists.
    seq          BIGINT NOT NULL DEFAULT nextval('executions_seq'),
    id           BYTEA  NOT NULL,
    account      TEXT   NOT NULL,
    customer     TEXT   NOT NULL,
    created      BIGINT NOT NULL,
    ended        BOOLEAN NOT NULL,
    status       TEXT   NOT NULL,
    workflow     TEXT   NOT NULL,
    version      BIGINT NOT NULL,
    environment  TEXT   NOT NULL,
    tier         TEXT   NOT NULL,
    origin       TEXT   NOT NULL,
    trigger_id   TEXT,
    event_id     TEXT   NOT NULL,
    -- events.seq; absent when the input is in this row.
    event_seq    BIGINT,
    replay_of    BYTEA,
    parent       BYTEA,
    attempt      BIGINT NOT NULL,
    finished     BIGINT,
    step_count   BIGINT NOT NULL,
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
    waits        TEXT,
    PRIMARY KEY (id, created, ended)
) PARTITION BY LIST (ended);

CREATE TABLE executions_open PARTITION OF executions FOR VALUES IN (FALSE) WITH (fillfactor = 70);
CREATE TABLE executions_ended PARTITION OF executions FOR VALUES IN (TRUE) PARTITION BY RANGE (created);
CREATE TABLE executions_ended_default PARTITION OF executions_ended DEFAULT;

CREATE INDEX executions_by_account ON executions (account, created);
CREATE INDEX executions_by_customer ON executions (account, customer, created);
CREATE INDEX executions_by_event ON executions (account, event_id);
-- Everything that is not simply done: short, whatever the total.
CREATE INDEX executions_odd ON executions (account, status, created) WHERE status <> 'completed';
CREATE INDEX executions_replays ON executions (replay_of) WHERE replay_of IS NOT NULL;

CREATE SEQUENCE dead_letters_seq;

CREATE TABLE dead_letters (
    seq      BIGINT NOT NULL DEFAULT nextval('dead_letters_seq'),
    -- The execution's.
    id       BYTEA  NOT NULL,
    account  TEXT   NOT NULL,
    customer TEXT   NOT NULL,
    workflow TEXT   NOT NULL,
    event_id TEXT   NOT NULL,
    status   TEXT   NOT NULL,
    attempts BIGINT NOT NULL,
    created  BIGINT NOT NULL,
    error    TEXT   NOT NULL,
    PRIMARY KEY (id, created)
) PARTITION BY RANGE (created);

CREATE TABLE dead_letters_default PARTITION OF dead_letters DEFAULT;

CREATE INDEX dead_letters_by_account ON dead_letters (account, created);
CREATE INDEX dead_letters_by_customer ON dead_letters (account, customer, created);

-- How far each partition of the journal is in these tables. Written in the transaction that wrote the rows.
CREATE TABLE projected (
    part  BIGINT NOT NULL PRIMARY KEY,
    -- The journal offset from which the partition is not projected yet.
    next  BIGINT NOT NULL,
    -- The newest claim before it: records of older epochs are ignored.
    epoch BIGINT NOT NULL
) WITH (fillfactor = 50);
