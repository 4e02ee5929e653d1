-- What a quota did to an event; absent for most.
ALTER TABLE events ADD COLUMN quota TEXT;
-- JSON text: what holds an execution back before it starts; absent for most.
ALTER TABLE executions ADD COLUMN flow TEXT;

CREATE INDEX events_by_quota ON events (account, quota, received) WHERE quota IS NOT NULL;

-- What each customer used, by day. Of events and executions a view of the log, as the other tables of activity; requests to
-- the API are counted in this table alone.
CREATE SEQUENCE usage_seq;

CREATE TABLE usage (
    seq      BIGINT NOT NULL DEFAULT nextval('usage_seq'),
    account  TEXT   NOT NULL,
    -- Empty for requests of the account itself.
    customer TEXT   NOT NULL,
    -- Days since 1970-01-01, UTC.
    day      BIGINT NOT NULL,
    measure  TEXT   NOT NULL,
    used     BIGINT NOT NULL,
    PRIMARY KEY (account, customer, day, measure)
) WITH (fillfactor = 70);

CREATE INDEX usage_by_account ON usage (account, day);

ALTER TABLE usage ENABLE ROW LEVEL SECURITY;
ALTER TABLE usage FORCE ROW LEVEL SECURITY;
CREATE POLICY keeper ON usage TO CURRENT_USER USING (current_setting('app.role', true) = 'keeper')
    WITH CHECK (current_setting('app.role', true) = 'keeper');

-- Called by `fastn migrate` after grant_rights, which drops every policy of its kind before. The application reads its own
-- and counts its requests to the API; the projector counts the rest.
CREATE FUNCTION grant_usage_rights(application TEXT, projector TEXT) RETURNS VOID
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
DECLARE
    bound CONSTANT TEXT := 'account = current_setting(''app.account_id'', true)';
    whole CONSTANT TEXT := 'current_setting(''app.role'', true) = ''account''';
    one   CONSTANT TEXT := 'current_setting(''app.role'', true) = ''customer'' AND customer = current_setting(''app.tenant_id'', true)';
    calls CONSTANT TEXT := 'measure = ''api_calls''';
BEGIN
    EXECUTE format('CREATE POLICY fastn_read ON usage FOR SELECT TO %I USING (%s AND (%s OR %s))', application, bound, whole, one);
    EXECUTE format('CREATE POLICY fastn_add ON usage FOR INSERT TO %I WITH CHECK (%s AND %s AND %s)',
        application, bound, whole, calls);
    EXECUTE format('CREATE POLICY fastn_change ON usage FOR UPDATE TO %I USING (%s AND %s AND %s) WITH CHECK (%2$s AND %3$s AND %4$s)',
        application, bound, whole, calls);
    EXECUTE format('GRANT SELECT, INSERT, UPDATE (used) ON usage TO %I', application);
    EXECUTE format('CREATE POLICY fastn_project ON usage TO %I USING (true) WITH CHECK (true)', projector);
    EXECUTE format('GRANT SELECT, INSERT, UPDATE (used) ON usage TO %I', projector);
    EXECUTE format('GRANT USAGE ON SEQUENCE usage_seq TO %I, %I', application, projector);
    EXECUTE format('GRANT EXECUTE ON FUNCTION prune_usage(BIGINT), reset_usage() TO %I', projector);
END $$;

REVOKE ALL ON FUNCTION grant_usage_rights(TEXT, TEXT) FROM PUBLIC;

-- Deletes what is of days before this one.
CREATE FUNCTION prune_usage(before BIGINT) RETURNS BIGINT
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    gone BIGINT;
BEGIN
    PERFORM set_config('app.role', 'keeper', TRUE);
    DELETE FROM usage WHERE day < before;
    GET DIAGNOSTICS gone = ROW_COUNT;
    RETURN gone;
END $$;

-- Forgets what the projector counts again.
CREATE FUNCTION reset_usage() RETURNS VOID
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    PERFORM set_config('app.role', 'keeper', TRUE);
    DELETE FROM usage WHERE measure <> 'api_calls';
END $$;

REVOKE ALL ON FUNCTION prune_usage(BIGINT), reset_usage() FROM PUBLIC;
