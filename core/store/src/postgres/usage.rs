//! Counting usage in PostgreSQL.

use fastn_domain::ids::AccountId;
use fastn_domain::time::Timestamp;
use sqlx::{PgConnection, PgPool};

use super::error::{commit, database};
use super::scoped::{Bound, Scoped};
use crate::label::Label as _;
use crate::projection::UsageDelta;
use crate::read::usage::day_of;
use crate::seam::{ApiCalls, StoreResult, USAGE_DAYS_KEPT};

/// Adds what a batch of the projector counted. In a fixed order, so that no two wait for each other in a circle.
pub(super) async fn count(tx: &mut PgConnection, deltas: &[UsageDelta]) -> Result<(), sqlx::Error> {
    if deltas.is_empty() {
        return Ok(());
    }
    let mut rows: Vec<&UsageDelta> = deltas.iter().collect();
    rows.sort_by(|a, b| (&a.scope, a.day, a.measure).cmp(&(&b.scope, b.day, b.measure)));
    let account: Vec<&str> = rows.iter().map(|row| row.scope.account.as_str()).collect();
    let customer: Vec<&str> = rows.iter().map(|row| row.scope.customer.as_str()).collect();
    let day: Vec<i64> = rows.iter().map(|row| row.day).collect();
    let measure: Vec<&str> = rows.iter().map(|row| row.measure.label()).collect();
    let used: Vec<i64> = rows.iter().map(|row| row.used.cast_signed()).collect();
    sqlx::query!(
        "INSERT INTO usage (account, customer, day, measure, used) \
         SELECT * FROM UNNEST($1::TEXT[], $2::TEXT[], $3::BIGINT[], $4::TEXT[], $5::BIGINT[]) \
         ON CONFLICT (account, customer, day, measure) DO UPDATE SET used = usage.used + excluded.used",
        &account as _,
        &customer as _,
        &day,
        &measure as _,
        &used
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Adds requests to the API.
pub(super) async fn count_api_calls(pool: &PgPool, account: &AccountId, counts: &[ApiCalls]) -> StoreResult<()> {
    let mut bound = Scoped::begin(pool, Bound::Account(account), "count requests").await?;
    for count in counts {
        let customer = count.customer.as_ref().map_or("", |customer| customer.as_str());
        sqlx::query!(
            "INSERT INTO usage (account, customer, day, measure, used) VALUES ($1, $2, $3, 'api_calls', $4) \
             ON CONFLICT (account, customer, day, measure) DO UPDATE SET used = usage.used + excluded.used",
            account.as_str(),
            customer,
            count.day,
            count.calls.cast_signed()
        )
        .execute(&mut *bound.0)
        .await
        .map_err(|error| database("count", "requests", error))?;
    }
    bound.commit("count", "requests").await
}

/// Deletes what is older than it is kept.
pub(super) async fn prune(pool: &PgPool, now: Timestamp) -> StoreResult<u64> {
    let before = day_of(now) - USAGE_DAYS_KEPT;
    let gone = sqlx::query_scalar!("SELECT prune_usage($1) AS gone", before).fetch_one(pool).await;
    gone.map(|gone| gone.unwrap_or(0).cast_unsigned()).map_err(|error| commit("prune", "usage", error))
}
