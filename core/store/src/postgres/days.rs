//! The days that activity is cut into: made before they are needed, dropped when they are too old.

use std::collections::HashSet;
use std::sync::Mutex;

use fastn_domain::time::Timestamp;
use sqlx::PgPool;

use super::error::{commit, database};
use crate::observe;
use crate::projection::ProjectionBatch;
use crate::resource::IDEMPOTENCY_TTL_US;
use crate::seam::StoreResult;

const DAY_US: i64 = 86_400_000_000;
/// Days made ahead of the newest row, so that midnight finds its partition there.
const AHEAD_DAYS: i64 = 2;
/// Rows older or younger than this are strays and need no partition of their own: nothing is kept for longer.
const BACK_DAYS_MAX: i64 = 400;

/// The tables that are cut, as the functions of the schema call them.
const TABLES: [&str; 3] = ["events", "executions", "dead_letters"];

/// The days that this process knows to be dealt with.
#[derive(Default)]
pub(super) struct Days(Mutex<HashSet<i64>>);

impl Days {
    /// Makes the partitions that `batch` needs, if there may be some missing. A day that can't be made costs nothing but
    /// order: its rows go to the default partition.
    pub(super) async fn ready_for(&self, pool: &PgPool, batch: &ProjectionBatch, now: Timestamp) -> StoreResult<()> {
        for day in self.missing(batch, now) {
            for table in TABLES {
                let made = sqlx::query_scalar!("SELECT make_day($1, $2) AS made", table, day).fetch_one(pool).await;
                match made {
                    Ok(made) => observe::day_made(table, made.unwrap_or(false)),
                    Err(error) => return Err(database("make a partition of", table, error)),
                }
            }
            self.known().insert(day);
        }
        Ok(())
    }

    fn missing(&self, batch: &ProjectionBatch, now: Timestamp) -> Vec<i64> {
        let today = now.0.div_euclid(DAY_US);
        let times = batch.events.iter().map(|row| row.received.0);
        let times = times.chain(batch.executions.iter().map(|row| row.created.0));
        let mut days: Vec<i64> = times.map(|time| time.div_euclid(DAY_US)).collect();
        days.sort_unstable();
        days.dedup();
        // What ends today may have begun long ago, and its dead letter is of today.
        days.extend(today..=today + AHEAD_DAYS);
        let known = self.known();
        days.retain(|day| (today - BACK_DAYS_MAX..=today + AHEAD_DAYS).contains(day) && !known.contains(day));
        days.sort_unstable();
        days.dedup();
        days
    }

    fn known(&self) -> std::sync::MutexGuard<'_, HashSet<i64>> {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// See the seam. Whole days go at once; what lies in the default partitions goes row by row. A day goes once all of it
    /// is older than `before`; one of events a day later, since an execution may begin a while after its event came.
    pub(super) async fn prune(
        &self,
        pool: &PgPool,
        before: Timestamp,
        rows_max: u32,
        now: Timestamp,
    ) -> StoreResult<u64> {
        let long_before = before.0.saturating_sub(now.0.saturating_sub(before.0));
        let mut gone = 0;
        let ends = [
            ("executions", before.0.div_euclid(DAY_US)),
            ("events", before.0.div_euclid(DAY_US) - 1),
            ("dead_letters", long_before.div_euclid(DAY_US)),
        ];
        for (table, end) in ends {
            for day in days_of(pool, table).await?.into_iter().filter(|day| *day < end) {
                let rows = sqlx::query_scalar!("SELECT drop_day($1, $2) AS rows", table, day)
                    .fetch_one(pool)
                    .await
                    .map_err(|error| commit("drop a partition of", table, error))?
                    .unwrap_or(0);
                self.known().remove(&day);
                observe::day_dropped(table, rows.cast_unsigned());
                gone += rows.cast_unsigned();
            }
        }
        let strays = sqlx::query_scalar!(
            "SELECT prune_strays($1, $2, $3, $4) AS rows",
            before.0,
            long_before,
            now.0 - IDEMPOTENCY_TTL_US,
            i64::from(rows_max)
        )
        .fetch_one(pool)
        .await
        .map_err(|error| commit("prune", "activity", error))?;
        Ok(gone + strays.unwrap_or(0).cast_unsigned())
    }
}

/// The days that have a partition.
async fn days_of(pool: &PgPool, table: &'static str) -> StoreResult<Vec<i64>> {
    let days = sqlx::query_scalar!(
        "SELECT (to_date(right(c.relname, 8), 'YYYYMMDD') - DATE '1970-01-01')::BIGINT AS \"day!\" \
         FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid JOIN pg_class p ON p.oid = i.inhparent \
         JOIN pg_namespace n ON n.oid = p.relnamespace WHERE n.nspname = 'public' \
         AND p.relname = CASE $1::TEXT WHEN 'executions' THEN 'executions_ended' ELSE $1 END \
         AND c.relname ~ '_[0-9]{8}$' ORDER BY 1",
        table
    )
    .fetch_all(pool)
    .await;
    days.map_err(|error| database("list the partitions of", table, error))
}
