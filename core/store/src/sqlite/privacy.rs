//! What goes before the rest: an account's activity that is kept for less long, payloads that are blanked, a customer that
//! is erased. In small transactions, so that the projector is not held up.

use fastn_domain::catalog::ResourceKind;
use fastn_domain::ids::{AccountId, CustomerId};
use fastn_domain::scope::Scope;
use fastn_domain::time::Timestamp;
use sqlx::sqlite::SqliteConnection;
use sqlx::{Row as _, Sqlite, SqlitePool, Transaction};

use super::error::database;
use crate::seam::{ErasedActivity, ErasedConfiguration, StoreResult};

type Tx = Transaction<'static, Sqlite>;

const OLD_EXECUTIONS: &str = "SELECT seq FROM executions WHERE account = $1 AND created < $2 \
    AND status IN ('completed', 'failed', 'timeout', 'cancelled') ORDER BY created LIMIT $3";

const OLD_EVENTS: &str = "DELETE FROM events WHERE seq IN (SELECT e.seq FROM events e WHERE e.account = $1 \
    AND e.received < $2 AND NOT EXISTS (SELECT 1 FROM executions x WHERE x.account = e.account AND x.event_id = e.id \
    AND x.event_seq = e.seq) ORDER BY e.received LIMIT $3)";

const OLD_LETTERS: &str = "DELETE FROM dead_letters WHERE seq IN (SELECT seq FROM dead_letters WHERE account = $1 \
    AND created < $2 AND status <> 'pending' ORDER BY created LIMIT $3)";

/// Ended executions that still hold a payload. Texts within JSON have their quotes escaped, so that a step's own fields
/// are all that can match.
const FULL_EXECUTIONS: &str = "SELECT seq FROM executions WHERE account = $1 AND created >= $2 AND created < $3 \
    AND status IN ('completed', 'failed', 'timeout', 'cancelled') AND (headers IS NOT NULL OR input IS NOT NULL \
    OR logs IS NOT NULL OR output IS NOT NULL OR results IS NOT NULL OR waits IS NOT NULL \
    OR instr(steps, '\"input\":\"') > 0 OR instr(steps, '\"output\":\"') > 0) ORDER BY created LIMIT $4";

const BLANK_EXECUTION: &str = "UPDATE executions SET headers = NULL, input = NULL, logs = NULL, output = NULL, \
    results = NULL, waits = NULL, steps = (SELECT json_group_array(json_remove(s.value, '$.input', '$.output')) \
    FROM json_each(executions.steps) s) WHERE seq = $1";

const EXPIRE: &str = "UPDATE dead_letters SET status = 'expired' WHERE status = 'pending' AND id = \
    (SELECT id FROM executions WHERE seq = $1)";

const BLANK_EVENTS: &str = "UPDATE events SET headers = NULL, data = NULL WHERE seq IN (SELECT e.seq FROM events e \
    WHERE e.account = $1 AND e.received >= $2 AND e.received < $3 AND (e.data IS NOT NULL OR e.headers IS NOT NULL) \
    AND NOT EXISTS (SELECT 1 FROM executions x WHERE x.account = e.account AND x.event_id = e.id \
    AND x.event_seq = e.seq AND x.status NOT IN ('completed', 'failed', 'timeout', 'cancelled')) \
    ORDER BY e.received LIMIT $4)";

/// Times that the write-ahead log is tried to be emptied, each for as long as a lock is waited for.
const CHECKPOINTS_MAX: usize = 5;

pub(super) async fn prune_account(
    pool: &SqlitePool,
    account: &AccountId,
    before: Timestamp,
    rows_max: u32,
    now: Timestamp,
) -> StoreResult<u64> {
    let failed = |error| database("prune the activity of", account.as_str(), error);
    let long_before = before.0.saturating_sub(now.0.saturating_sub(before.0));
    let (name, limit) = (account.as_str(), i64::from(rows_max));
    let mut tx = pool.begin_with("BEGIN IMMEDIATE").await.map_err(failed)?;
    let old: Vec<i64> = sqlx::query_scalar(OLD_EXECUTIONS)
        .bind(name)
        .bind(before.0)
        .bind(limit)
        .fetch_all(&mut *tx)
        .await
        .map_err(failed)?;
    for seq in &old {
        sqlx::query(EXPIRE).bind(seq).execute(&mut *tx).await.map_err(failed)?;
        sqlx::query("DELETE FROM executions WHERE seq = $1").bind(seq).execute(&mut *tx).await.map_err(failed)?;
    }
    let mut gone = old.len() as u64;
    for (text, before) in [(OLD_EVENTS, before.0), (OLD_LETTERS, long_before)] {
        let deleted = sqlx::query(text).bind(name).bind(before).bind(limit).execute(&mut *tx).await.map_err(failed)?;
        gone += deleted.rows_affected();
    }
    tx.commit().await.map_err(failed)?;
    Ok(gone)
}

pub(super) async fn blank_payloads(
    pool: &SqlitePool,
    account: &AccountId,
    from: Timestamp,
    before: Timestamp,
    rows_max: u32,
) -> StoreResult<u64> {
    let failed = |error| database("blank payloads of", account.as_str(), error);
    let (name, limit) = (account.as_str(), i64::from(rows_max));
    let mut tx = pool.begin_with("BEGIN IMMEDIATE").await.map_err(failed)?;
    let full: Vec<i64> = sqlx::query_scalar(FULL_EXECUTIONS)
        .bind(name)
        .bind(from.0)
        .bind(before.0)
        .bind(limit)
        .fetch_all(&mut *tx)
        .await
        .map_err(failed)?;
    for seq in &full {
        sqlx::query(EXPIRE).bind(seq).execute(&mut *tx).await.map_err(failed)?;
        sqlx::query(BLANK_EXECUTION).bind(seq).execute(&mut *tx).await.map_err(failed)?;
    }
    let events = sqlx::query(BLANK_EVENTS)
        .bind(name)
        .bind(from.0)
        .bind(before.0)
        .bind(limit)
        .execute(&mut *tx)
        .await
        .map_err(failed)?;
    tx.commit().await.map_err(failed)?;
    Ok(full.len() as u64 + events.rows_affected())
}

pub(super) async fn erase_activity(pool: &SqlitePool, scope: &Scope, rows_max: u32) -> StoreResult<ErasedActivity> {
    let failed = |error| database("erase the activity of", scope.to_string(), error);
    let mut tx = pool.begin_with("BEGIN IMMEDIATE").await.map_err(failed)?;
    let erased = erase_rows(&mut tx, scope, i64::from(rows_max)).await.map_err(failed)?;
    tx.commit().await.map_err(failed)?;
    Ok(erased)
}

/// Deletes at most so many rows of each table; all of them with a negative limit.
pub(super) async fn erase_rows(tx: &mut Tx, scope: &Scope, limit: i64) -> Result<ErasedActivity, sqlx::Error> {
    let mut gone = [0; 4];
    let tables = [
        "DELETE FROM events WHERE seq IN (SELECT seq FROM events WHERE account = $1 AND customer = $2 LIMIT $3)",
        "DELETE FROM executions WHERE seq IN (SELECT seq FROM executions WHERE account = $1 AND customer = $2 LIMIT $3)",
        "DELETE FROM dead_letters WHERE seq IN \
         (SELECT seq FROM dead_letters WHERE account = $1 AND customer = $2 LIMIT $3)",
        "DELETE FROM usage WHERE seq IN (SELECT seq FROM usage WHERE account = $1 AND customer = $2 LIMIT $3)",
    ];
    for (text, gone) in tables.into_iter().zip(&mut gone) {
        let deleted = sqlx::query(text)
            .bind(scope.account.as_str())
            .bind(scope.customer.as_str())
            .bind(limit)
            .execute(&mut **tx)
            .await?;
        *gone = deleted.rows_affected();
    }
    let [events, executions, dead_letters, usage] = gone;
    Ok(ErasedActivity { events, executions, dead_letters, usage })
}

pub(super) async fn erase_configuration(
    pool: &SqlitePool,
    account: &AccountId,
    customer: Option<&CustomerId>,
    also: &[(ResourceKind, String)],
) -> StoreResult<ErasedConfiguration> {
    let failed = |error| database("erase the configuration of a customer of", account.as_str(), error);
    let mut tx = pool.begin_with("BEGIN IMMEDIATE").await.map_err(failed)?;
    // Nothing equals NULL: without a customer only those named go.
    let customer = customer.map(|customer| customer.as_str());
    let erased = erase_resources(&mut tx, account.as_str(), customer, also).await.map_err(failed)?;
    tx.commit().await.map_err(failed)?;
    Ok(erased)
}

async fn erase_resources(
    tx: &mut Tx,
    account: &str,
    customer: Option<&str>,
    also: &[(ResourceKind, String)],
) -> Result<ErasedConfiguration, sqlx::Error> {
    let mut erased = ErasedConfiguration::default();
    let newest: i64 =
        sqlx::query_scalar("SELECT COALESCE(MAX(revision), 0) FROM resources").fetch_one(&mut **tx).await?;
    // History first: which rows are deleted says the table of resources.
    let changes = sqlx::query("DELETE FROM resource_changes WHERE account = $1 AND customer = $2 AND revision < $3")
        .bind(account)
        .bind(customer)
        .bind(newest)
        .execute(&mut **tx)
        .await?;
    erased.changes += changes.rows_affected();
    let rows = sqlx::query("DELETE FROM resources WHERE account = $1 AND customer = $2 AND deleted AND revision < $3")
        .bind(account)
        .bind(customer)
        .bind(newest)
        .execute(&mut **tx)
        .await?;
    erased.resources += rows.rows_affected();
    for (kind, id) in also {
        let rows = sqlx::query(
            "DELETE FROM resources WHERE kind = $1 AND account = $2 AND id = $3 AND deleted AND revision < $4",
        )
        .bind(kind.as_str())
        .bind(account)
        .bind(id)
        .bind(newest)
        .execute(&mut **tx)
        .await?;
        erased.resources += rows.rows_affected();
        let changes = sqlx::query(
            "DELETE FROM resource_changes WHERE kind = $1 AND account = $2 AND id = $3 AND revision < COALESCE(\
             (SELECT revision FROM resources WHERE kind = $1 AND account = $2 AND id = $3), $4)",
        )
        .bind(kind.as_str())
        .bind(account)
        .bind(id)
        .bind(newest)
        .execute(&mut **tx)
        .await?;
        erased.changes += changes.rows_affected();
    }
    // An answer that names the customer has its id as a JSON text, or before the name of what is the customer's.
    let answers = sqlx::query(
        "DELETE FROM idempotency WHERE account = $1 AND (customer = $2 OR instr(body, '\"' || $2 || '\"') > 0 \
         OR instr(body, '\"' || $2 || '/') > 0)",
    )
    .bind(account)
    .bind(customer)
    .execute(&mut **tx)
    .await?;
    erased.answers = answers.rows_affected();
    for (text, gone) in [
        ("DELETE FROM alerts WHERE account = $1 AND customer = $2", &mut erased.alerts),
        ("DELETE FROM polls WHERE account = $1 AND customer = $2", &mut erased.polls),
        // With their polls.
        ("DELETE FROM poll_chunks WHERE account = $1 AND customer = $2", &mut 0),
    ] {
        *gone = sqlx::query(text).bind(account).bind(customer).execute(&mut **tx).await?.rows_affected();
    }
    // Alerts of the account may tell whose value it was.
    sqlx::query(
        "UPDATE alerts SET body = replace(body, '\"valueOf\":\"' || $2 || '\",', '') WHERE account = $1 \
         AND instr(body, '\"valueOf\":\"' || $2 || '\",') > 0",
    )
    .bind(account)
    .bind(customer)
    .execute(&mut **tx)
    .await?;
    Ok(erased)
}

/// Writes a file anew without what deleted rows left in it, and empties its write-ahead log.
pub(super) async fn compact(pool: &SqlitePool, file: &'static str) -> StoreResult<()> {
    let failed = |error| database("compact database", file, error);
    let mut connection = pool.acquire().await.map_err(failed)?;
    // The copy is as large as the database: not in memory.
    run(&mut connection, "PRAGMA temp_store = FILE").await.map_err(failed)?;
    let copied = run(&mut connection, "VACUUM").await;
    run(&mut connection, "PRAGMA temp_store = MEMORY").await.map_err(failed)?;
    copied.map_err(failed)?;
    for _ in 0..CHECKPOINTS_MAX {
        let row = sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").fetch_one(&mut *connection).await.map_err(failed)?;
        // The first column says whether a reader was in the way.
        if row.try_get::<i64, _>(0).map_err(failed)? == 0 {
            return Ok(());
        }
    }
    Err(crate::error::refused(
        crate::seam::StoreErrorKind::Unavailable,
        "compact database",
        file,
        "a reader holds its write-ahead log; try again",
    ))
}

async fn run(connection: &mut SqliteConnection, text: &'static str) -> Result<(), sqlx::Error> {
    sqlx::query(text).execute(connection).await.map(drop)
}
