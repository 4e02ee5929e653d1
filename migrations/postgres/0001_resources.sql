-- Configuration: everything that a person sets up, in one table, and every change to it in another. Row-level security is
-- forced: who may see what is in 0003_rights.sql, and without a policy nobody sees anything.

CREATE TABLE resources (
    kind     TEXT    NOT NULL,
    account  TEXT    NOT NULL,
    customer TEXT,
    id       TEXT    NOT NULL COLLATE "C",
    -- Grows over the whole table with each change, in the order of commits: the position of the feed.
    revision BIGINT  NOT NULL,
    -- Grows with each change of this row: the optimistic lock.
    version  BIGINT  NOT NULL,
    -- Microseconds since the Unix epoch, here and everywhere.
    created  BIGINT  NOT NULL,
    updated  BIGINT  NOT NULL,
    -- A deleted row stays, so that the feed can tell of it.
    deleted  BOOLEAN NOT NULL,
    body     TEXT    NOT NULL,
    PRIMARY KEY (kind, account, id)
);

CREATE UNIQUE INDEX resources_by_revision ON resources (revision);

-- A trigger's id is its public webhook URL, so no two accounts may share one.
CREATE UNIQUE INDEX resources_trigger_urls ON resources (id) WHERE kind = 'trigger' AND deleted = FALSE;

-- The newest revision, in one row. Every writer locks it first and holds it until its commit, so that revisions become
-- visible in their order and a reader behind `revision > n` never misses one that commits later.
CREATE TABLE feed (
    only_row BOOLEAN NOT NULL PRIMARY KEY DEFAULT TRUE CHECK (only_row),
    revision BIGINT  NOT NULL
) WITH (fillfactor = 50);

INSERT INTO feed (revision) VALUES (0);

CREATE TABLE resource_changes (
    revision BIGINT  NOT NULL PRIMARY KEY,
    kind     TEXT    NOT NULL,
    account  TEXT    NOT NULL,
    customer TEXT,
    id       TEXT    NOT NULL,
    version  BIGINT  NOT NULL,
    at       BIGINT  NOT NULL,
    deleted  BOOLEAN NOT NULL,
    -- The body as it became. Never kept of a secret, whose deletion must leave nothing behind.
    body     TEXT
);

CREATE INDEX resource_changes_by_row ON resource_changes (account, kind, id, revision);

-- Answers to writes that carried an idempotency key. The customer is '' for the account itself.
CREATE TABLE idempotency (
    account     TEXT     NOT NULL,
    customer    TEXT     NOT NULL,
    key         TEXT     NOT NULL,
    fingerprint TEXT     NOT NULL,
    status      BIGINT   NOT NULL,
    body        TEXT     NOT NULL,
    created     BIGINT   NOT NULL,
    PRIMARY KEY (account, customer, key)
);

CREATE INDEX idempotency_by_age ON idempotency (created);
