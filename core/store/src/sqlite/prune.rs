//! Deleting what is older than it is kept, in small transactions.

use sqlx::{Row as _, Sqlite, SqlitePool, Transaction};

use fastn_domain::time::Timestamp;

use super::error::database;
use crate::projection::EventSeq;
use crate::seam::StoreResult;

/// A failed execution that goes leaves a dead letter that can no longer be replayed.
const EXPIRE: &str = "UPDATE dead_letters SET status = 'expired' WHERE status = 'pending' AND id IN \
    (SELECT id FROM executions WHERE seq > $1 AND seq <= $2 AND created < $3 AND status IN ('failed', 'timeout'))";

const EXECUTIONS: &str = "DELETE FROM executions WHERE seq > $1 AND seq <= $2 AND created < $3 \
    AND status IN ('completed', 'failed', 'timeout', 'cancelled')";

/// Dead letters that nobody can or need replay outlive their executions once more as long, so that people see them.
const LETTERS: &str = "DELETE FROM dead_letters WHERE seq IN \
    (SELECT seq FROM dead_letters WHERE created < $1 AND status <> 'pending' ORDER BY seq LIMIT $2)";

/// An event stays while an execution that it started does, whose input it holds.
const EVENTS: &str = "DELETE FROM events WHERE seq IN (SELECT e.seq FROM events e WHERE e.seq >= $1 AND e.seq < $2 \
    AND NOT EXISTS (SELECT 1 FROM executions x WHERE x.account = e.account AND x.event_id = e.id \
    AND x.event_seq = e.seq) ORDER BY e.seq LIMIT $3)";

pub(super) async fn prune(pool: &SqlitePool, before: Timestamp, rows_max: u32, now: Timestamp) -> StoreResult<u64> {
    let failed = |error| database("prune", "activity", error);
    let long_before = before.0.saturating_sub(now.0.saturating_sub(before.0));
    let mut tx = pool.begin_with("BEGIN IMMEDIATE").await.map_err(failed)?;
    let executions = prune_executions(&mut tx, before, rows_max).await.map_err(failed)?;
    let events = prune_events(&mut tx, before, rows_max).await.map_err(failed)?;
    let letters =
        sqlx::query(LETTERS).bind(long_before).bind(i64::from(rows_max)).execute(&mut *tx).await.map_err(failed)?;
    tx.commit().await.map_err(failed)?;
    let usage = super::usage::prune(pool, now).await?;
    Ok(executions + events + letters.rows_affected() + usage)
}

/// Walks the executions in the order of their making. Those that have not ended stay and are passed over, so the walk
/// goes on behind them until it has found something to delete or something too young.
async fn prune_executions(
    tx: &mut Transaction<'static, Sqlite>,
    before: Timestamp,
    rows_max: u32,
) -> Result<u64, sqlx::Error> {
    let mut after = i64::MIN;
    loop {
        let rows = sqlx::query("SELECT seq, created FROM executions WHERE seq > $1 ORDER BY seq LIMIT $2")
            .bind(after)
            .bind(i64::from(rows_max))
            .fetch_all(&mut **tx)
            .await?;
        let mut last = None;
        let mut old = 0;
        for row in &rows {
            let (seq, created): (i64, i64) = (row.try_get(0)?, row.try_get(1)?);
            old += usize::from(created < before.0);
            last = Some(seq);
        }
        let Some(last) = last.filter(|_| old > 0) else { return Ok(0) };
        sqlx::query(EXPIRE).bind(after).bind(last).bind(before.0).execute(&mut **tx).await?;
        let gone = sqlx::query(EXECUTIONS).bind(after).bind(last).bind(before.0).execute(&mut **tx).await?;
        if gone.rows_affected() > 0 {
            return Ok(gone.rows_affected());
        }
        after = last;
    }
}

/// Events of a partition lie in the order in which they came, so the old ones are those before one place.
async fn prune_events(
    tx: &mut Transaction<'static, Sqlite>,
    before: Timestamp,
    rows_max: u32,
) -> Result<u64, sqlx::Error> {
    let partitions: Vec<i64> =
        sqlx::query_scalar("SELECT part FROM projected ORDER BY part").fetch_all(&mut **tx).await?;
    let mut gone = 0;
    for partition in partitions.into_iter().filter_map(|partition| u32::try_from(partition).ok()) {
        let left = i64::from(rows_max) - gone as i64;
        if left <= 0 {
            break;
        }
        let start = EventSeq::new(partition, 0).as_i64();
        let end = EventSeq::new(partition + 1, 0).as_i64();
        let end = first_young(tx, start, end, before).await?;
        let deleted = sqlx::query(EVENTS).bind(start).bind(end).bind(left).execute(&mut **tx).await?;
        gone += deleted.rows_affected();
    }
    Ok(gone)
}

/// The first place in `start..end` whose event came at or after `before`, by bisection.
async fn first_young(
    tx: &mut Transaction<'static, Sqlite>,
    start: i64,
    end: i64,
    before: Timestamp,
) -> Result<i64, sqlx::Error> {
    // Invariant: what lies before `low` is old, what lies at or after `high` is young or not there.
    let (mut low, mut high) = (start, end);
    while low < high {
        let middle = low + (high - low) / 2;
        let row = sqlx::query("SELECT seq, received FROM events WHERE seq >= $1 AND seq < $2 ORDER BY seq LIMIT 1")
            .bind(middle)
            .bind(high)
            .fetch_optional(&mut **tx)
            .await?;
        match row {
            Some(row) if row.try_get::<i64, _>(1)? < before.0 => low = row.try_get::<i64, _>(0)? + 1,
            _ => high = middle,
        }
    }
    Ok(low)
}
