-- Polls: when each is due, who polls, how far it has come. One row for each trigger and customer.
CREATE TABLE polls (
    account      TEXT    NOT NULL,
    customer     TEXT    NOT NULL,
    trigger_id   TEXT    NOT NULL,
    generation   INTEGER NOT NULL,
    next_at      INTEGER NOT NULL,
    lease_holder TEXT    NOT NULL,
    lease_until  INTEGER NOT NULL,
    body         TEXT    NOT NULL,
    -- Events that may not have reached the log.
    outbox       BLOB,
    PRIMARY KEY (account, trigger_id, customer)
);

CREATE INDEX polls_by_time ON polls (next_at);

-- What a source listed last, in chunks that are rewritten one by one.
CREATE TABLE poll_chunks (
    account    TEXT    NOT NULL,
    customer   TEXT    NOT NULL,
    trigger_id TEXT    NOT NULL,
    chunk      INTEGER NOT NULL,
    body       BLOB    NOT NULL,
    PRIMARY KEY (account, trigger_id, customer, chunk)
);
