//! What goes before the rest: an account's activity that is kept for less long, payloads that are blanked, a customer that
//! is erased. The statements are functions of `migrations/postgres/0016_privacy.sql`, since the roles that serve own
//! nothing.

use fastn_domain::catalog::ResourceKind;
use fastn_domain::ids::{AccountId, CustomerId};
use fastn_domain::scope::Scope;
use fastn_domain::time::Timestamp;
use sqlx::{PgConnection, PgPool};

use super::error::{commit, database};
use super::scoped::{Bound, Scoped};
use crate::seam::{ErasedActivity, ErasedConfiguration, StoreResult};

pub(super) async fn prune_account(
    pool: &PgPool,
    account: &AccountId,
    before: Timestamp,
    rows_max: u32,
    now: Timestamp,
) -> StoreResult<u64> {
    let long_before = before.0.saturating_sub(now.0.saturating_sub(before.0));
    let gone = sqlx::query_scalar!(
        "SELECT prune_account($1, $2, $3, $4) AS rows",
        account.as_str(),
        before.0,
        long_before,
        i64::from(rows_max)
    )
    .fetch_one(pool)
    .await
    .map_err(|error| commit("prune the activity of", account.as_str(), error))?;
    Ok(gone.unwrap_or(0).cast_unsigned())
}

pub(super) async fn blank_payloads(
    pool: &PgPool,
    account: &AccountId,
    from: Timestamp,
    before: Timestamp,
    rows_max: u32,
) -> StoreResult<u64> {
    let changed = sqlx::query_scalar!(
        "SELECT blank_payloads($1, $2, $3, $4) AS rows",
        account.as_str(),
        from.0,
        before.0,
        i64::from(rows_max)
    )
    .fetch_one(pool)
    .await
    .map_err(|error| commit("blank payloads of", account.as_str(), error))?;
    Ok(changed.unwrap_or(0).cast_unsigned())
}

pub(super) async fn erase_activity(pool: &PgPool, scope: &Scope, rows_max: u32) -> StoreResult<ErasedActivity> {
    let operation = "erase the activity of";
    let mut tx = Scoped::begin(pool, Bound::Account(&scope.account), operation).await?;
    let erased = erase_rows(&mut tx.0, scope, Some(i64::from(rows_max))).await;
    let erased = erased.map_err(|error| database(operation, scope.to_string(), error))?;
    tx.commit(operation, "a customer").await?;
    Ok(erased)
}

/// Deletes at most so many rows of each table, or all, in a transaction that is bound to the account.
async fn erase_rows(
    tx: &mut PgConnection,
    scope: &Scope,
    rows_max: Option<i64>,
) -> Result<ErasedActivity, sqlx::Error> {
    let gone = sqlx::query!(
        "SELECT of_events AS \"of_events!\", of_executions AS \"of_executions!\", of_letters AS \"of_letters!\", \
         of_usage AS \"of_usage!\" FROM erase_activity($1, $2, $3)",
        scope.account.as_str(),
        scope.customer.as_str(),
        rows_max
    )
    .fetch_one(tx)
    .await?;
    Ok(ErasedActivity {
        events: gone.of_events.cast_unsigned(),
        executions: gone.of_executions.cast_unsigned(),
        dead_letters: gone.of_letters.cast_unsigned(),
        usage: gone.of_usage.cast_unsigned(),
    })
}

/// For the projector while everything is made anew.
pub(super) async fn erase_again(tx: &mut PgConnection, scope: &Scope) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "SELECT set_config('app.role', 'account', TRUE) AS role, set_config('app.account_id', $1, TRUE) AS account",
        scope.account.as_str()
    )
    .fetch_one(&mut *tx)
    .await?;
    erase_rows(tx, scope, None).await.map(drop)
}

pub(super) async fn erase_configuration(
    pool: &PgPool,
    account: &AccountId,
    customer: Option<&CustomerId>,
    also: &[(ResourceKind, String)],
) -> StoreResult<ErasedConfiguration> {
    let operation = "erase the configuration of a customer of";
    let kinds: Vec<String> = also.iter().map(|(kind, _)| kind.as_str().to_owned()).collect();
    let ids: Vec<String> = also.iter().map(|(_, id)| id.clone()).collect();
    let mut tx = Scoped::begin(pool, Bound::Account(account), operation).await?;
    let gone = sqlx::query!(
        "SELECT of_resources AS \"of_resources!\", of_changes AS \"of_changes!\", of_answers AS \"of_answers!\", \
         of_alerts AS \"of_alerts!\", of_polls AS \"of_polls!\" FROM erase_configuration($1, $2, $3, $4)",
        account.as_str(),
        customer.map(|customer| customer.as_str()),
        &kinds,
        &ids
    )
    .fetch_one(&mut *tx.0)
    .await
    .map_err(|error| database(operation, account.as_str(), error))?;
    tx.commit(operation, account.as_str()).await?;
    Ok(ErasedConfiguration {
        resources: gone.of_resources.cast_unsigned(),
        changes: gone.of_changes.cast_unsigned(),
        answers: gone.of_answers.cast_unsigned(),
        alerts: gone.of_alerts.cast_unsigned(),
        polls: gone.of_polls.cast_unsigned(),
    })
}
