//! Counting usage in SQLite.

use fastn_domain::ids::AccountId;
use fastn_domain::time::Timestamp;
use sqlx::SqlitePool;

use super::error::database;
use super::project::Tx;
use crate::label::Label as _;
use crate::projection::UsageDelta;
use crate::read::usage::day_of;
use crate::seam::{ApiCalls, StoreResult, USAGE_DAYS_KEPT};

const COUNT: &str = "INSERT INTO usage (account, customer, day, measure, used) VALUES ($1, $2, $3, $4, $5) \
    ON CONFLICT (account, customer, day, measure) DO UPDATE SET used = usage.used + excluded.used";

/// Adds what a batch of the projector counted.
pub(super) async fn count(tx: &mut Tx, deltas: &[UsageDelta]) -> Result<(), sqlx::Error> {
    for delta in deltas {
        sqlx::query(COUNT)
            .bind(delta.scope.account.as_str())
            .bind(delta.scope.customer.as_str())
            .bind(delta.day)
            .bind(delta.measure.label())
            .bind(delta.used.cast_signed())
            .execute(&mut **tx)
            .await?;
    }
    Ok(())
}

/// Adds requests to the API.
pub(super) async fn count_api_calls(pool: &SqlitePool, account: &AccountId, counts: &[ApiCalls]) -> StoreResult<()> {
    let failed = |error| database("count", "requests", error);
    let mut tx = pool.begin_with("BEGIN IMMEDIATE").await.map_err(failed)?;
    for count in counts {
        sqlx::query(COUNT)
            .bind(account.as_str())
            .bind(count.customer.as_ref().map_or("", |customer| customer.as_str()))
            .bind(count.day)
            .bind("api_calls")
            .bind(count.calls.cast_signed())
            .execute(&mut *tx)
            .await
            .map_err(failed)?;
    }
    tx.commit().await.map_err(failed)
}

/// Deletes what is older than it is kept.
pub(super) async fn prune(pool: &SqlitePool, now: Timestamp) -> StoreResult<u64> {
    let before = day_of(now) - USAGE_DAYS_KEPT;
    let gone = sqlx::query("DELETE FROM usage WHERE day < $1").bind(before).execute(pool).await;
    gone.map(|gone| gone.rows_affected()).map_err(|error| database("prune", "usage", error))
}
