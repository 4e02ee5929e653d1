-- Runs of schedules only: other executions are not in these.
CREATE INDEX executions_by_schedule ON executions (account, trigger_id, created) WHERE origin = 'schedule';
CREATE INDEX executions_failed_schedules ON executions (account, finished)
    WHERE origin = 'schedule' AND status IN ('failed', 'timeout');
