-- What a quota did to an event; absent for most.
ALTER TABLE events ADD COLUMN quota TEXT;
-- JSON text: what holds an execution back before it starts; absent for most.
ALTER TABLE executions ADD COLUMN flow TEXT;

CREATE INDEX events_by_quota ON events (account, quota, received) WHERE quota IS NOT NULL;

-- What each customer used, by day. Of events and executions a view of the log, as the other tables here; requests to the API
-- are counted in this table alone.
CREATE TABLE usage (
    seq      INTEGER NOT NULL PRIMARY KEY,
    account  TEXT    NOT NULL,
    -- Empty for requests of the account itself.
    customer TEXT    NOT NULL,
    -- Days since 1970-01-01, UTC.
    day      BIGINT  NOT NULL,
    measure  TEXT    NOT NULL,
    used     BIGINT  NOT NULL,
    UNIQUE (account, customer, day, measure)
);

CREATE INDEX usage_by_account ON usage (account, day);
