-- Who may do what. `fastn migrate` calls grant_rights after every migration with the names of the two roles that serve:
--
--   the application  reads what its transaction is bound to, writes configuration
--   the projector    writes activity and positions, and reads of them what its statements need
--
-- Neither owns anything. A transaction says what it is bound to in three settings that end with it: app.role is 'account',
-- 'customer' or, for the feed of configuration that a node keeps, 'node'; app.account_id and app.tenant_id name whose.
-- Without them no policy holds for any row. The owner is bound as well (FORCE) and sees rows only as 'keeper', which the
-- functions of 0004_days.sql set for as long as they run.

CREATE FUNCTION grant_rights(application TEXT, projector TEXT) RETURNS VOID
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
DECLARE
    bound CONSTANT TEXT := 'account = current_setting(''app.account_id'', true)';
    whole CONSTANT TEXT := 'current_setting(''app.role'', true) = ''account''';
    one   CONSTANT TEXT := 'current_setting(''app.role'', true) = ''customer''';
    own   CONSTANT TEXT := 'customer = current_setting(''app.tenant_id'', true)';
    node  CONSTANT TEXT := 'current_setting(''app.role'', true) = ''node''';
    place RECORD;
BEGIN
    -- Anew each time: a role that is no longer used keeps nothing.
    FOR place IN SELECT p.policyname, p.tablename FROM pg_policies p
        WHERE p.schemaname = 'public' AND p.policyname LIKE 'fastn\_%' LOOP
        EXECUTE format('DROP POLICY %I ON %I', place.policyname, place.tablename);
    END LOOP;
    REVOKE CREATE ON SCHEMA public FROM PUBLIC;
    EXECUTE format('GRANT USAGE ON SCHEMA public TO %I, %I', application, projector);
    EXECUTE format('GRANT SELECT (version, success) ON _sqlx_migrations TO %I, %I', application, projector);

    -- Configuration. A customer sees its own and what belongs to the account; only the account's reach writes.
    EXECUTE format('CREATE POLICY fastn_read ON resources FOR SELECT TO %I USING (%s AND (%s OR %s AND (customer IS NULL OR %s)))',
        application, bound, whole, one, own);
    EXECUTE format('CREATE POLICY fastn_feed ON resources FOR SELECT TO %I USING (%s)', application, node);
    EXECUTE format('CREATE POLICY fastn_add ON resources FOR INSERT TO %I WITH CHECK (%s AND %s)', application, bound, whole);
    EXECUTE format('CREATE POLICY fastn_change ON resources FOR UPDATE TO %I USING (%s AND %s) WITH CHECK (%2$s AND %3$s)',
        application, bound, whole);
    EXECUTE format('GRANT SELECT, INSERT, UPDATE ON resources TO %I', application);
    EXECUTE format('CREATE POLICY fastn_add ON resource_changes FOR INSERT TO %I WITH CHECK (%s AND %s)',
        application, bound, whole);
    EXECUTE format('GRANT INSERT ON resource_changes TO %I', application);
    EXECUTE format('CREATE POLICY fastn_all ON feed TO %I USING (true) WITH CHECK (true)', application);
    EXECUTE format('GRANT SELECT, UPDATE (revision) ON feed TO %I', application);
    EXECUTE format('CREATE POLICY fastn_own ON idempotency TO %I USING (%2$s AND (%3$s AND customer = '''' OR %4$s AND %5$s))'
        ' WITH CHECK (%2$s AND (%3$s AND customer = '''' OR %4$s AND %5$s))', application, bound, whole, one, own);
    EXECUTE format('GRANT SELECT, INSERT, UPDATE ON idempotency TO %I', application);

    -- Activity.
    FOR place IN SELECT unnest(ARRAY['events', 'executions', 'dead_letters']) AS tablename LOOP
        EXECUTE format('CREATE POLICY fastn_read ON %I FOR SELECT TO %I USING (%s AND (%s OR %s AND %s))',
            place.tablename, application, bound, whole, one, own);
        EXECUTE format('GRANT SELECT ON %I TO %I', place.tablename, application);
        EXECUTE format('CREATE POLICY fastn_project ON %I TO %I USING (true) WITH CHECK (true)', place.tablename, projector);
    END LOOP;
    EXECUTE format('GRANT INSERT, SELECT (seq, received) ON events TO %I', projector);
    EXECUTE format('GRANT INSERT, UPDATE, DELETE, SELECT (id, created, ended, account, customer, workflow, event_id, status,'
        ' attempt, finished, step_count, error, results, waits) ON executions TO %I', projector);
    EXECUTE format('GRANT INSERT, UPDATE (status, attempts, error), SELECT (id, created, status, attempts, error) ON dead_letters TO %I', projector);
    EXECUTE format('GRANT USAGE ON SEQUENCE executions_seq, dead_letters_seq TO %I', projector);
    EXECUTE format('CREATE POLICY fastn_project ON projected TO %I USING (true) WITH CHECK (true)', projector);
    EXECUTE format('GRANT SELECT, INSERT, UPDATE ON projected TO %I', projector);
    -- How far activity is projected is nobody's secret: nodes that show activity or trim the log ask.
    EXECUTE format('CREATE POLICY fastn_read ON projected FOR SELECT TO %I USING (true)', application);
    EXECUTE format('GRANT SELECT ON projected TO %I', application);
    EXECUTE format('GRANT EXECUTE ON FUNCTION make_day(TEXT, BIGINT), drop_day(TEXT, BIGINT),'
        ' prune_strays(BIGINT, BIGINT, BIGINT, BIGINT), reset_activity() TO %I', projector);
END $$;

REVOKE ALL ON FUNCTION grant_rights(TEXT, TEXT) FROM PUBLIC;

-- The partitions are reached through their tables only: nobody but the owner has a right or a policy on them.
DO $$
DECLARE
    place TEXT;
BEGIN
    FOREACH place IN ARRAY ARRAY['resources', 'resource_changes', 'feed', 'idempotency', 'events', 'events_default',
        'executions', 'executions_open', 'executions_ended', 'executions_ended_default', 'dead_letters',
        'dead_letters_default', 'projected'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', place);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', place);
        EXECUTE format('CREATE POLICY keeper ON %I TO CURRENT_USER USING (current_setting(''app.role'', true) = ''keeper'')'
            ' WITH CHECK (current_setting(''app.role'', true) = ''keeper'')', place);
    END LOOP;
END $$;
