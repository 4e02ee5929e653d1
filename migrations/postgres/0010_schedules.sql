-- Schedules: how far they have fired, and the runs that they made.

-- Instants that nodes have come to. A mark only rises. It is nobody's data: which node wrote it does not matter.
CREATE TABLE marks (
    name TEXT   NOT NULL PRIMARY KEY,
    at   BIGINT NOT NULL
) WITH (fillfactor = 50);

ALTER TABLE marks ENABLE ROW LEVEL SECURITY;
ALTER TABLE marks FORCE ROW LEVEL SECURITY;
CREATE POLICY keeper ON marks TO CURRENT_USER USING (current_setting('app.role', true) = 'keeper')
    WITH CHECK (current_setting('app.role', true) = 'keeper');

-- `fastn migrate` calls it after grant_rights, which has dropped the policy.
CREATE FUNCTION grant_marks(application TEXT) RETURNS VOID
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    EXECUTE format('CREATE POLICY fastn_all ON marks TO %I USING (true) WITH CHECK (true)', application);
    EXECUTE format('GRANT SELECT, INSERT, UPDATE (at) ON marks TO %I', application);
END $$;

REVOKE ALL ON FUNCTION grant_marks(TEXT) FROM PUBLIC;

-- Runs of schedules only: other executions are not in these.
CREATE INDEX executions_by_schedule ON executions (account, trigger_id, created) WHERE origin = 'schedule';
CREATE INDEX executions_failed_schedules ON executions (account, finished)
    WHERE origin = 'schedule' AND status IN ('failed', 'timeout');
