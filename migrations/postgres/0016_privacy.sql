-- What goes before the rest: an account's activity that is kept for less long, payloads that are blanked, a customer that is
-- erased. Like those of 0004_days.sql these functions run as the owner. Those that the application may call check that
-- the transaction is bound to the account that they are asked to change, and leave it bound as it was.

-- Deletes ended executions, events and dead letters of one account that are too old for it.
CREATE FUNCTION prune_account(whose TEXT, before BIGINT, long_before BIGINT, rows_max BIGINT) RETURNS BIGINT
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    gone  BIGINT := 0;
    now   BIGINT;
BEGIN
    PERFORM set_config('app.role', 'keeper', TRUE);
    WITH old AS (SELECT id, created, status FROM executions WHERE account = whose AND ended AND created < before
            ORDER BY created LIMIT rows_max),
        expired AS (UPDATE dead_letters SET status = 'expired' FROM old
            WHERE dead_letters.status = 'pending' AND dead_letters.id = old.id AND old.status IN ('failed', 'timeout'))
        DELETE FROM executions x USING old WHERE x.id = old.id AND x.created = old.created AND x.ended;
    GET DIAGNOSTICS now = ROW_COUNT;
    gone := gone + now;
    DELETE FROM events WHERE (seq, received) IN (SELECT e.seq, e.received FROM events e
        WHERE e.account = whose AND e.received < before AND NOT EXISTS (SELECT 1 FROM executions x
            WHERE x.account = e.account AND x.event_id = e.id AND x.event_seq = e.seq)
        ORDER BY e.received LIMIT rows_max);
    GET DIAGNOSTICS now = ROW_COUNT;
    gone := gone + now;
    DELETE FROM dead_letters WHERE (id, created) IN (SELECT id, created FROM dead_letters
        WHERE account = whose AND created < long_before AND status <> 'pending' ORDER BY created LIMIT rows_max);
    GET DIAGNOSTICS now = ROW_COUNT;
    RETURN gone + now;
END $$;

-- Steps without what went in and came out. Fields are taken over as they stand: their texts may hold what JSONB refuses.
CREATE FUNCTION blank_steps(steps TEXT) RETURNS TEXT
LANGUAGE sql IMMUTABLE SET search_path = public, pg_temp AS $$
    SELECT json_agg(json_build_object('key', s -> 'key', 'name', s -> 'name', 'kind', s -> 'kind',
        'completed', s -> 'completed', 'attempts', s -> 'attempts', 'started', s -> 'started', 'ended', s -> 'ended',
        'error', s -> 'error'))::TEXT FROM json_array_elements(steps::JSON) s
$$;

-- Blanks the payloads of one account's events and ended executions of some time. Texts within JSON have their quotes
-- escaped, so that a step's own fields are all that can match.
CREATE FUNCTION blank_payloads(whose TEXT, since BIGINT, before BIGINT, rows_max BIGINT) RETURNS BIGINT
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    changed BIGINT := 0;
    now     BIGINT;
BEGIN
    PERFORM set_config('app.role', 'keeper', TRUE);
    WITH filled AS (SELECT id, created FROM executions WHERE account = whose AND ended AND created >= since
            AND created < before AND (headers IS NOT NULL OR input IS NOT NULL OR logs IS NOT NULL OR output IS NOT NULL
            OR results IS NOT NULL OR waits IS NOT NULL OR strpos(steps, '"input":"') > 0
            OR strpos(steps, '"output":"') > 0)
            ORDER BY created LIMIT rows_max),
        expired AS (UPDATE dead_letters SET status = 'expired' FROM filled
            WHERE dead_letters.status = 'pending' AND dead_letters.id = filled.id)
        UPDATE executions x SET headers = NULL, input = NULL, logs = NULL, output = NULL, results = NULL, waits = NULL,
            steps = blank_steps(x.steps) FROM filled WHERE x.id = filled.id AND x.created = filled.created AND x.ended;
    GET DIAGNOSTICS now = ROW_COUNT;
    changed := changed + now;
    UPDATE events SET headers = NULL, data = NULL WHERE (seq, received) IN (SELECT e.seq, e.received FROM events e
        WHERE e.account = whose AND e.received >= since AND e.received < before
        AND (e.data IS NOT NULL OR e.headers IS NOT NULL)
        AND NOT EXISTS (SELECT 1 FROM executions x WHERE x.account = e.account AND x.event_id = e.id
            AND x.event_seq = e.seq AND NOT x.ended)
        ORDER BY e.received LIMIT rows_max);
    GET DIAGNOSTICS now = ROW_COUNT;
    RETURN changed + now;
END $$;

-- Raises unless the transaction is bound to this account as a whole.
CREATE FUNCTION check_bound_to(whose TEXT) RETURNS VOID
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    IF current_setting('app.role', TRUE) IS DISTINCT FROM 'account'
            OR current_setting('app.account_id', TRUE) IS DISTINCT FROM whose THEN
        RAISE EXCEPTION 'the transaction is not bound to the account that it is to erase from' USING ERRCODE = '42501';
    END IF;
END $$;

-- Deletes what activity holds of a customer, at most so many rows of each table; all of them without a number.
CREATE FUNCTION erase_activity(whose TEXT, one TEXT, rows_max BIGINT,
    OUT of_events BIGINT, OUT of_executions BIGINT, OUT of_letters BIGINT, OUT of_usage BIGINT)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    PERFORM check_bound_to(whose);
    PERFORM set_config('app.role', 'keeper', TRUE);
    DELETE FROM events WHERE (seq, received) IN
        (SELECT seq, received FROM events WHERE account = whose AND customer = one LIMIT rows_max);
    GET DIAGNOSTICS of_events = ROW_COUNT;
    DELETE FROM executions WHERE (id, created, ended) IN
        (SELECT id, created, ended FROM executions WHERE account = whose AND customer = one LIMIT rows_max);
    GET DIAGNOSTICS of_executions = ROW_COUNT;
    DELETE FROM dead_letters WHERE (id, created) IN
        (SELECT id, created FROM dead_letters WHERE account = whose AND customer = one LIMIT rows_max);
    GET DIAGNOSTICS of_letters = ROW_COUNT;
    DELETE FROM usage WHERE seq IN
        (SELECT seq FROM usage WHERE account = whose AND customer = one LIMIT rows_max);
    GET DIAGNOSTICS of_usage = ROW_COUNT;
    PERFORM set_config('app.role', 'account', TRUE);
END $$;

-- Removes for good what configuration keeps of a customer: its deleted resources and those named, their history, answers
-- that are remembered of it, alerts about it, and its polls. The newest row of all stays, as in the other store.
CREATE FUNCTION erase_configuration(whose TEXT, one TEXT, kinds TEXT[], ids TEXT[],
    OUT of_resources BIGINT, OUT of_changes BIGINT, OUT of_answers BIGINT,
    OUT of_alerts BIGINT, OUT of_polls BIGINT)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    newest BIGINT;
    now    BIGINT;
BEGIN
    PERFORM check_bound_to(whose);
    PERFORM set_config('app.role', 'keeper', TRUE);
    SELECT feed.revision INTO newest FROM feed;
    DELETE FROM resource_changes c WHERE c.account = whose AND c.customer = one AND c.revision < newest;
    GET DIAGNOSTICS of_changes = ROW_COUNT;
    DELETE FROM resources r WHERE r.account = whose AND r.customer = one AND r.deleted AND r.revision < newest;
    GET DIAGNOSTICS of_resources = ROW_COUNT;
    DELETE FROM resources r USING UNNEST(kinds, ids) AS v (kind, id)
        WHERE r.kind = v.kind AND r.account = whose AND r.id = v.id AND r.deleted AND r.revision < newest;
    GET DIAGNOSTICS now = ROW_COUNT;
    of_resources := of_resources + now;
    DELETE FROM resource_changes c USING UNNEST(kinds, ids) AS v (kind, id)
        WHERE c.kind = v.kind AND c.account = whose AND c.id = v.id AND c.revision < COALESCE((SELECT r.revision
            FROM resources r WHERE r.kind = v.kind AND r.account = whose AND r.id = v.id), newest);
    GET DIAGNOSTICS now = ROW_COUNT;
    of_changes := of_changes + now;
    -- An answer that names the customer has its id as a JSON text, or before the name of what is the customer's.
    DELETE FROM idempotency i WHERE i.account = whose AND (i.customer = one OR strpos(i.body, '"' || one || '"') > 0
        OR strpos(i.body, '"' || one || '/') > 0);
    GET DIAGNOSTICS of_answers = ROW_COUNT;
    DELETE FROM alerts a WHERE a.account = whose AND a.customer = one;
    GET DIAGNOSTICS of_alerts = ROW_COUNT;
    -- Alerts of the account may tell whose value it was.
    UPDATE alerts a SET body = replace(a.body, '"valueOf":"' || one || '",', '')
        WHERE a.account = whose AND strpos(a.body, '"valueOf":"' || one || '",') > 0;
    DELETE FROM polls p WHERE p.account = whose AND p.customer = one;
    GET DIAGNOSTICS of_polls = ROW_COUNT;
    DELETE FROM poll_chunks p WHERE p.account = whose AND p.customer = one;
    PERFORM set_config('app.role', 'account', TRUE);
END $$;

REVOKE ALL ON FUNCTION prune_account(TEXT, BIGINT, BIGINT, BIGINT), blank_steps(TEXT),
    blank_payloads(TEXT, BIGINT, BIGINT, BIGINT), check_bound_to(TEXT), erase_activity(TEXT, TEXT, BIGINT),
    erase_configuration(TEXT, TEXT, TEXT[], TEXT[]) FROM PUBLIC;

-- Called after grant_rights, by every `fastn migrate`.
CREATE FUNCTION grant_rights_of_privacy(application TEXT, projector TEXT) RETURNS VOID
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    EXECUTE format('GRANT EXECUTE ON FUNCTION prune_account(TEXT, BIGINT, BIGINT, BIGINT),'
        ' blank_payloads(TEXT, BIGINT, BIGINT, BIGINT) TO %I', projector);
    EXECUTE format('GRANT EXECUTE ON FUNCTION erase_activity(TEXT, TEXT, BIGINT) TO %I, %I', application, projector);
    EXECUTE format('GRANT EXECUTE ON FUNCTION erase_configuration(TEXT, TEXT, TEXT[], TEXT[]) TO %I', application);
END $$;

REVOKE ALL ON FUNCTION grant_rights_of_privacy(TEXT, TEXT) FROM PUBLIC;
