-- Alerts: what their evaluator remembers, and the times that rules fired.

-- The revision of the memory, in one row: whoever saves names the one it started from.
CREATE TABLE alert_revision (
    only_row INTEGER NOT NULL PRIMARY KEY CHECK (only_row = 1),
    revision BIGINT  NOT NULL
);

-- Counts, states, notices on their way and places in the journal, as JSON text. Only the evaluator reads it.
CREATE TABLE alert_memory (
    key  TEXT NOT NULL PRIMARY KEY,
    body TEXT NOT NULL
);

CREATE TABLE alerts (
    -- The order of firing: a tie-breaker of lists.
    seq      INTEGER NOT NULL PRIMARY KEY,
    id       TEXT    NOT NULL UNIQUE,
    account  TEXT    NOT NULL,
    -- The one customer that the rule is about.
    customer TEXT,
    rule     TEXT    NOT NULL,
    state    TEXT    NOT NULL,
    fired    BIGINT  NOT NULL,
    -- JSON text of what people see.
    body     TEXT    NOT NULL
);

CREATE INDEX alerts_by_account ON alerts (account, fired);
CREATE INDEX alerts_live ON alerts (account, state, fired) WHERE state <> 'resolved';

-- How far a follower of the journal, such as the exporter of traces, has come in each partition.
CREATE TABLE bookmarks (
    follower TEXT    NOT NULL,
    part     INTEGER NOT NULL,
    next     BIGINT  NOT NULL,
    epoch    BIGINT  NOT NULL,
    PRIMARY KEY (follower, part)
);
