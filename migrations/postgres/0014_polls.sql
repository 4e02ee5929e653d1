-- Polls: when each is due, who polls, how far it has come. One row for each trigger and customer.
CREATE TABLE polls (
    account      TEXT   NOT NULL,
    customer     TEXT   NOT NULL COLLATE "C",
    trigger_id   TEXT   NOT NULL,
    generation   BIGINT NOT NULL,
    next_at      BIGINT NOT NULL,
    lease_holder TEXT   NOT NULL,
    lease_until  BIGINT NOT NULL,
    body         TEXT   NOT NULL,
    -- Events that may not have reached the log.
    outbox       BYTEA,
    PRIMARY KEY (account, trigger_id, customer)
) WITH (fillfactor = 70);

CREATE INDEX polls_by_time ON polls (next_at);

-- What a source listed last, in chunks that are rewritten one by one.
CREATE TABLE poll_chunks (
    account    TEXT   NOT NULL,
    customer   TEXT   NOT NULL,
    trigger_id TEXT   NOT NULL,
    chunk      BIGINT NOT NULL,
    body       BYTEA  NOT NULL,
    PRIMARY KEY (account, trigger_id, customer, chunk)
);

-- Hashes do not get smaller.
ALTER TABLE poll_chunks ALTER COLUMN body SET STORAGE EXTERNAL;

DO $$
DECLARE
    place TEXT;
BEGIN
    FOREACH place IN ARRAY ARRAY['polls', 'poll_chunks'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', place);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', place);
        EXECUTE format('CREATE POLICY keeper ON %I TO CURRENT_USER USING (current_setting(''app.role'', true) = ''keeper'')'
            ' WITH CHECK (current_setting(''app.role'', true) = ''keeper'')', place);
    END LOOP;
END $$;

-- `fastn migrate` calls it after grant_rights, which has dropped the policies. A customer reaches its own polls, the account
-- those of all its customers, and a node reads which are due.
CREATE FUNCTION grant_polls(application TEXT) RETURNS VOID
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
DECLARE
    own CONSTANT TEXT := 'account = current_setting(''app.account_id'', true)'
        ' AND (current_setting(''app.role'', true) = ''account'''
        ' OR current_setting(''app.role'', true) = ''customer'' AND customer = current_setting(''app.tenant_id'', true))';
    place TEXT;
BEGIN
    FOREACH place IN ARRAY ARRAY['polls', 'poll_chunks'] LOOP
        EXECUTE format('CREATE POLICY fastn_own ON %I TO %I USING (%s) WITH CHECK (%3$s)', place, application, own);
        EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON %I TO %I', place, application);
    END LOOP;
    EXECUTE format('CREATE POLICY fastn_due ON polls FOR SELECT TO %I USING (current_setting(''app.role'', true) = ''node'')',
        application);
END $$;

REVOKE ALL ON FUNCTION grant_polls(TEXT) FROM PUBLIC;
