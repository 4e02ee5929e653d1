-- Alerts: what their evaluator remembers, and the times that rules fired. The projector's role writes, the application's
-- reads alerts within its reach and nothing else.

-- The revision of the memory, in one row: whoever saves names the one it started from.
CREATE TABLE alert_revision (
    only_row BOOLEAN NOT NULL PRIMARY KEY DEFAULT TRUE CHECK (only_row),
    revision BIGINT  NOT NULL
) WITH (fillfactor = 50);

INSERT INTO alert_revision (revision) VALUES (0);

-- Counts, states, notices on their way and places in the journal, as JSON text. Only the evaluator reads it.
CREATE TABLE alert_memory (
    key  TEXT NOT NULL COLLATE "C" PRIMARY KEY,
    body TEXT NOT NULL
);

CREATE SEQUENCE alerts_seq;

CREATE TABLE alerts (
    -- The order of firing: a tie-breaker of lists.
    seq      BIGINT NOT NULL DEFAULT nextval('alerts_seq'),
    id       TEXT   NOT NULL PRIMARY KEY,
    account  TEXT   NOT NULL,
    -- The one customer that the rule is about.
    customer TEXT,
    rule     TEXT   NOT NULL,
    state    TEXT   NOT NULL,
    fired    BIGINT NOT NULL,
    -- JSON text of what people see.
    body     TEXT   NOT NULL
);

CREATE INDEX alerts_by_account ON alerts (account, fired);
CREATE INDEX alerts_live ON alerts (account, state, fired) WHERE state <> 'resolved';

-- How far a follower of the journal, such as the exporter of traces, has come in each partition.
CREATE TABLE bookmarks (
    follower TEXT   NOT NULL,
    part     BIGINT NOT NULL,
    next     BIGINT NOT NULL,
    epoch    BIGINT NOT NULL,
    PRIMARY KEY (follower, part)
) WITH (fillfactor = 50);

-- Called after grant_rights, which drops the policies that it made.
CREATE FUNCTION grant_alert_rights(application TEXT, projector TEXT) RETURNS VOID
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
DECLARE
    bound CONSTANT TEXT := 'account = current_setting(''app.account_id'', true)';
    whole CONSTANT TEXT := 'current_setting(''app.role'', true) = ''account''';
    one   CONSTANT TEXT := 'current_setting(''app.role'', true) = ''customer''';
    own   CONSTANT TEXT := 'customer = current_setting(''app.tenant_id'', true)';
    place TEXT;
BEGIN
    EXECUTE format('CREATE POLICY fastn_read ON alerts FOR SELECT TO %I USING (%s AND (%s OR %s AND %s))',
        application, bound, whole, one, own);
    EXECUTE format('GRANT SELECT ON alerts TO %I', application);
    FOREACH place IN ARRAY ARRAY['alert_revision', 'alert_memory', 'alerts', 'bookmarks'] LOOP
        EXECUTE format('CREATE POLICY fastn_evaluate ON %I TO %I USING (true) WITH CHECK (true)', place, projector);
    END LOOP;
    EXECUTE format('GRANT SELECT, UPDATE (revision) ON alert_revision TO %I', projector);
    EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON alert_memory TO %I', projector);
    EXECUTE format('GRANT INSERT, UPDATE (state, body), DELETE, SELECT (id, state, fired, body) ON alerts TO %I', projector);
    EXECUTE format('GRANT USAGE ON SEQUENCE alerts_seq TO %I', projector);
    EXECUTE format('GRANT SELECT, INSERT, UPDATE ON bookmarks TO %I', projector);
END $$;

REVOKE ALL ON FUNCTION grant_alert_rights(TEXT, TEXT) FROM PUBLIC;

DO $$
DECLARE
    place TEXT;
BEGIN
    FOREACH place IN ARRAY ARRAY['alert_revision', 'alert_memory', 'alerts', 'bookmarks'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', place);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', place);
        EXECUTE format('CREATE POLICY keeper ON %I TO CURRENT_USER USING (current_setting(''app.role'', true) = ''keeper'')'
            ' WITH CHECK (current_setting(''app.role'', true) = ''keeper'')', place);
    END LOOP;
END $$;
