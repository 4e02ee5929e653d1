//! The texts of the projector's statements, each for a few fixed numbers of rows.

use std::sync::LazyLock;

/// How many rows a statement takes. Few sizes, so that SQLite prepares few texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Size {
    One,
    Some,
    Many,
}

impl Size {
    /// Most rows × most columns is far below SQLite's 32,766 parameters, and a longer text gains nothing.
    pub(super) const fn rows(self) -> usize {
        match self {
            Self::One => 1,
            Self::Some => 8,
            Self::Many => 64,
        }
    }
}

/// The statements that `rows` rows take.
pub(super) fn chunks(rows: usize) -> Vec<Size> {
    let mut left = rows;
    let mut sizes = Vec::with_capacity(rows / Size::Many.rows() + 16);
    for size in [Size::Many, Size::Some, Size::One] {
        sizes.extend(std::iter::repeat_n(size, left / size.rows()));
        left %= size.rows();
    }
    sizes
}

/// One statement over several rows: `head (…), (…) tail`.
pub(super) struct Statement {
    pub(super) name: &'static str,
    /// Parameters of one row.
    pub(super) columns: usize,
    texts: [String; 3],
}

impl Statement {
    fn new(name: &'static str, columns: usize, head: &str, tail: &str) -> Self {
        let text = |size: Size| {
            let mut text = head.to_owned();
            for row in 0..size.rows() {
                text.push_str(if row == 0 { "(" } else { ", (" });
                // `?` and not `$n`: the driver asks SQLite for the name of each parameter, and SQLite looks a name up by
                // walking all of them. With names this walk was a sixth of the server's CPU time under load.
                for column in 0..columns {
                    text.push_str(if column == 0 { "?" } else { ", ?" });
                }
                text.push(')');
            }
            text.push_str(tail);
            text
        };
        Self { name, columns, texts: [text(Size::One), text(Size::Some), text(Size::Many)] }
    }

    pub(super) fn text(&'static self, size: Size) -> sqlx::AssertSqlSafe<&'static str> {
        // Nothing but parameters was put into the text.
        sqlx::AssertSqlSafe(self.texts[size as usize].as_str())
    }
}

pub(super) static EVENTS: LazyLock<Statement> = LazyLock::new(|| {
    Statement::new(
        "events",
        18,
        "INSERT INTO events (seq, account, customer, id, received, status, kind, source, subject, origin, trigger_id, \
         time, reason, executions, headers, data, quota, priority) VALUES ",
        " ON CONFLICT (seq) DO NOTHING",
    )
});

pub(super) static EXECUTIONS: LazyLock<Statement> = LazyLock::new(|| {
    Statement::new(
        "executions",
        30,
        "INSERT INTO executions (id, account, customer, created, status, workflow, version, environment, tier, origin, \
         trigger_id, event_id, event_seq, replay_of, parent, attempt, finished, step_count, error, event_kind, \
         event_source, event_time, headers, input, steps, logs, output, results, waits, flow) VALUES ",
        " ON CONFLICT (id) DO UPDATE SET account = excluded.account, customer = excluded.customer, \
         created = excluded.created, status = excluded.status, workflow = excluded.workflow, \
         version = excluded.version, environment = excluded.environment, tier = excluded.tier, \
         origin = excluded.origin, trigger_id = excluded.trigger_id, event_id = excluded.event_id, \
         event_seq = excluded.event_seq, replay_of = excluded.replay_of, parent = excluded.parent, \
         attempt = excluded.attempt, finished = excluded.finished, step_count = excluded.step_count, \
         error = excluded.error, event_kind = excluded.event_kind, event_source = excluded.event_source, \
         event_time = excluded.event_time, headers = excluded.headers, input = excluded.input, \
         steps = excluded.steps, logs = excluded.logs, output = excluded.output, results = excluded.results, \
         waits = excluded.waits, flow = excluded.flow",
    )
});

/// What changed of executions that are there and have not ended. `ended` is 0, or 1 for the end of an execution.
pub(super) static PROGRESS: LazyLock<Statement> = LazyLock::new(|| {
    Statement::new(
        "patches",
        13,
        "WITH v (id, status, attempt, tier, finished, step_count, error, steps, logs, output, results, waits, ended) \
         AS (VALUES ",
        ") UPDATE executions SET status = v.status, attempt = v.attempt, tier = v.tier, finished = v.finished, \
         step_count = CASE WHEN v.ended = 1 THEN v.step_count ELSE executions.step_count + v.step_count END, \
         error = CASE WHEN v.ended = 1 THEN v.error ELSE COALESCE(v.error, executions.error) END, \
         steps = v.steps, logs = v.logs, output = v.output, \
         results = CASE WHEN v.status = 'completed' THEN NULL WHEN v.results IS NULL THEN executions.results \
         ELSE COALESCE(executions.results, '') || v.results END, \
         waits = CASE WHEN v.ended = 1 THEN NULL WHEN v.waits IS NULL THEN executions.waits \
         ELSE COALESCE(executions.waits, '') || v.waits END \
         FROM v WHERE executions.id = v.id \
         AND executions.status NOT IN ('completed', 'failed', 'timeout', 'cancelled')",
    )
});

/// A row that failed is put down as a dead letter, from its execution.
pub(super) static DEAD_LETTERS: LazyLock<Statement> = LazyLock::new(|| {
    Statement::new(
        "dead letters",
        1,
        "WITH v (id) AS (VALUES ",
        ") INSERT INTO dead_letters (id, account, customer, workflow, event_id, status, attempts, created, error) \
         SELECT e.id, e.account, e.customer, e.workflow, e.event_id, 'pending', e.attempt, e.finished, e.error \
         FROM v JOIN executions e ON e.id = v.id \
         WHERE e.status IN ('failed', 'timeout') AND e.error IS NOT NULL AND e.finished IS NOT NULL \
         ON CONFLICT (id) DO UPDATE SET status = excluded.status, attempts = excluded.attempts, \
         created = excluded.created, error = excluded.error",
    )
});

pub(super) static MARK_REPLAYED: LazyLock<Statement> = LazyLock::new(|| {
    Statement::new(
        "replayed dead letters",
        1,
        "WITH v (id) AS (VALUES ",
        ") UPDATE dead_letters SET status = 'replayed' FROM v WHERE dead_letters.id = v.id",
    )
});

#[cfg(test)]
mod tests {
    use super::*;

    /// Property: the chunks of any number of rows hold exactly that many rows.
    #[test]
    fn chunks_add_up() {
        for rows in 0..1_000 {
            assert_eq!(chunks(rows).iter().map(|size| size.rows()).sum::<usize>(), rows);
        }
    }
}
