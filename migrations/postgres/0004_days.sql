-- Partitions of days: made ahead, and dropped when they are too old. These functions run as the owner, since only an owner
-- may make and drop tables; the projector may call them. Each call locks one table only, and that one first, so that no two
-- of them and no reader can wait for each other in a circle. app.role = 'keeper' lets the owner's policies hold; the caller is
-- not the owner, so it gains nothing by it.

-- Where the partitions of a table hang, and the column that cuts it.
CREATE FUNCTION day_table(activity TEXT, OUT parent TEXT, OUT time_column TEXT)
LANGUAGE plpgsql IMMUTABLE SET search_path = public, pg_temp AS $$
BEGIN
    CASE activity
        WHEN 'events' THEN parent := 'events'; time_column := 'received';
        WHEN 'executions' THEN parent := 'executions_ended'; time_column := 'created';
        WHEN 'dead_letters' THEN parent := 'dead_letters'; time_column := 'created';
    END CASE;
END $$;

-- Days are counted from 1970-01-01, UTC.
CREATE FUNCTION day_partition(parent TEXT, day BIGINT) RETURNS TEXT
LANGUAGE sql IMMUTABLE SET search_path = public, pg_temp AS $$
    SELECT parent || '_' || to_char(DATE '1970-01-01' + day::INT, 'YYYYMMDD')
$$;

-- Makes the partition of a day. False when it can't be: rows of that day are in the default partition already, and stay there.
CREATE FUNCTION make_day(activity TEXT, day BIGINT) RETURNS BOOLEAN
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = public, pg_temp SET lock_timeout = '3s' AS $$
DECLARE
    place  RECORD;
    part   TEXT;
    low    CONSTANT BIGINT := day * 86400000000;
    high   CONSTANT BIGINT := low + 86400000000;
    strays BOOLEAN;
BEGIN
    PERFORM set_config('app.role', 'keeper', TRUE);
    SELECT * INTO place FROM day_table(activity);
    part := day_partition(place.parent, day);
    PERFORM pg_advisory_xact_lock(hashtextextended('fastn days of ' || activity, 0));
    IF to_regclass('public.' || quote_ident(part)) IS NOT NULL THEN
        RETURN TRUE;
    END IF;
    EXECUTE format('LOCK TABLE %I IN ACCESS EXCLUSIVE MODE', place.parent || '_default');
    EXECUTE format('SELECT EXISTS (SELECT 1 FROM %I WHERE %I >= $1 AND %2$I < $2)', place.parent || '_default', place.time_column)
        INTO strays USING low, high;
    IF strays THEN
        RETURN FALSE;
    END IF;
    EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING DEFAULTS INCLUDING CONSTRAINTS)', part, place.parent);
    EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', part);
    EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', part);
    EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%s) TO (%s)', place.parent, part, low, high);
    RETURN TRUE;
END $$;

-- Drops the partition of a day and says how many rows went with it. Events that living executions still read their input from
-- move to the default partition. Dead letters of executions that go can no longer be replayed.
CREATE FUNCTION drop_day(activity TEXT, day BIGINT) RETURNS BIGINT
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = public, pg_temp SET lock_timeout = '3s' AS $$
DECLARE
    place RECORD;
    part  TEXT;
    low   CONSTANT BIGINT := day * 86400000000;
    high  CONSTANT BIGINT := low + 86400000000;
    rows  BIGINT;
    kept  BIGINT := 0;
BEGIN
    PERFORM set_config('app.role', 'keeper', TRUE);
    SELECT * INTO place FROM day_table(activity);
    part := day_partition(place.parent, day);
    PERFORM pg_advisory_xact_lock(hashtextextended('fastn days of ' || activity, 0));
    IF to_regclass('public.' || quote_ident(part)) IS NULL THEN
        RETURN 0;
    END IF;
    EXECUTE format('LOCK TABLE %I IN ACCESS EXCLUSIVE MODE', CASE activity WHEN 'executions' THEN 'executions' ELSE place.parent END);
    EXECUTE format('SELECT count(*) FROM %I WHERE %I >= $1 AND %2$I < $2', place.parent, place.time_column)
        INTO rows USING low, high;
    IF activity = 'executions' THEN
        UPDATE dead_letters SET status = 'expired' WHERE status = 'pending' AND id IN
            (SELECT id FROM executions_ended WHERE created >= low AND created < high AND status IN ('failed', 'timeout'));
    ELSIF activity = 'events' THEN
        CREATE TEMP TABLE kept_events ON COMMIT DROP AS SELECT e.* FROM events e
            WHERE e.received >= low AND e.received < high AND e.seq IN (SELECT x.event_seq FROM executions_open x);
        GET DIAGNOSTICS kept = ROW_COUNT;
    END IF;
    EXECUTE format('DROP TABLE %I', part);
    IF activity = 'events' THEN
        INSERT INTO events SELECT * FROM kept_events;
        DROP TABLE kept_events;
    END IF;
    RETURN rows - kept;
END $$;

-- Deletes what is too old in the default partitions, row by row, and answers that need not be remembered any longer.
CREATE FUNCTION prune_strays(before BIGINT, long_before BIGINT, answers_before BIGINT, rows_max BIGINT) RETURNS BIGINT
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    gone  BIGINT := 0;
    now   BIGINT;
BEGIN
    PERFORM set_config('app.role', 'keeper', TRUE);
    WITH old AS (SELECT id, created, status FROM executions_ended_default WHERE created < before
            ORDER BY created LIMIT rows_max),
        expired AS (UPDATE dead_letters SET status = 'expired' FROM old
            WHERE dead_letters.status = 'pending' AND dead_letters.id = old.id AND old.status IN ('failed', 'timeout'))
        DELETE FROM executions_ended_default x USING old WHERE x.id = old.id AND x.created = old.created;
    GET DIAGNOSTICS now = ROW_COUNT;
    gone := gone + now;
    DELETE FROM events_default WHERE (seq, received) IN (SELECT e.seq, e.received FROM events_default e
        WHERE e.received < before AND NOT EXISTS (SELECT 1 FROM executions x WHERE x.account = e.account
            AND x.event_id = e.id AND x.event_seq = e.seq)
        ORDER BY e.received LIMIT rows_max);
    GET DIAGNOSTICS now = ROW_COUNT;
    gone := gone + now;
    DELETE FROM dead_letters_default WHERE (id, created) IN (SELECT id, created FROM dead_letters_default
        WHERE created < long_before AND status <> 'pending' ORDER BY created LIMIT rows_max);
    GET DIAGNOSTICS now = ROW_COUNT;
    gone := gone + now;
    DELETE FROM idempotency WHERE created <= answers_before;
    RETURN gone;
END $$;

-- Empties activity and forgets the positions.
CREATE FUNCTION reset_activity() RETURNS VOID
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    PERFORM set_config('app.role', 'keeper', TRUE);
    TRUNCATE events, executions, dead_letters, projected;
END $$;

REVOKE ALL ON FUNCTION make_day(TEXT, BIGINT), drop_day(TEXT, BIGINT), prune_strays(BIGINT, BIGINT, BIGINT, BIGINT), reset_activity(),
    day_table(TEXT), day_partition(TEXT, BIGINT) FROM PUBLIC;
