//! The evaluator's memory, the alerts, and how far followers have come, in `config.db`: none of it can be made anew from
//! the log.

use sqlx::{Row as _, SqlitePool};

use super::error::database;
use crate::alerts::{AlertMemory, AlertRow, AlertSave};
use crate::error::refused;
use crate::label::Label as _;
use crate::projection::Position;
use crate::seam::{StoreErrorKind, StoreResult};

pub(super) async fn memory(pool: &SqlitePool) -> StoreResult<AlertMemory> {
    let failed = |error| database("read", "the memory of alerts", error);
    let mut tx = pool.begin().await.map_err(failed)?;
    let revision: Option<i64> =
        sqlx::query_scalar("SELECT revision FROM alert_revision").fetch_optional(&mut *tx).await.map_err(failed)?;
    let rows = sqlx::query("SELECT key, body FROM alert_memory ORDER BY key").fetch_all(&mut *tx).await;
    let rows = rows.map_err(failed)?;
    let entries: Result<_, sqlx::Error> = rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect();
    Ok(AlertMemory { revision: revision.unwrap_or(0).cast_unsigned(), entries: entries.map_err(failed)? })
}

pub(super) async fn save(pool: &SqlitePool, save: AlertSave) -> StoreResult<u64> {
    let failed = |error| database("save", "the memory of alerts", error);
    let mut tx = pool.begin_with("BEGIN IMMEDIATE").await.map_err(failed)?;
    let found: Option<i64> =
        sqlx::query_scalar("SELECT revision FROM alert_revision").fetch_optional(&mut *tx).await.map_err(failed)?;
    let found = found.unwrap_or(0).cast_unsigned();
    if found != save.from {
        let message = format!("it is at revision {found}, not {}; another evaluator has been here", save.from);
        return Err(refused(StoreErrorKind::Conflict, "save", "the memory of alerts", message));
    }
    let next = found + 1;
    sqlx::query(
        "INSERT INTO alert_revision (only_row, revision) VALUES (1, $1) \
         ON CONFLICT (only_row) DO UPDATE SET revision = excluded.revision",
    )
    .bind(next.cast_signed())
    .execute(&mut *tx)
    .await
    .map_err(failed)?;
    for key in &save.deletes {
        sqlx::query("DELETE FROM alert_memory WHERE key = $1").bind(key).execute(&mut *tx).await.map_err(failed)?;
    }
    for (key, body) in &save.puts {
        sqlx::query(
            "INSERT INTO alert_memory (key, body) VALUES ($1, $2) \
             ON CONFLICT (key) DO UPDATE SET body = excluded.body",
        )
        .bind(key)
        .bind(body)
        .execute(&mut *tx)
        .await
        .map_err(failed)?;
    }
    for AlertRow { account, customer, fired, view } in &save.alerts {
        sqlx::query("INSERT INTO alerts (id, account, customer, rule, state, fired, body) \
             VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (id) DO UPDATE SET state = excluded.state, body = excluded.body")
            .bind(&view.id)
            .bind(account.as_str())
            .bind(customer.as_ref().map(|customer| customer.as_str()))
            .bind(&view.rule)
            .bind(view.state.label())
            .bind(fired.0)
            .bind(crate::alerts::body(view))
            .execute(&mut *tx)
            .await
            .map_err(failed)?;
    }
    if let Some(before) = save.forget_before {
        sqlx::query("DELETE FROM alerts WHERE state = 'resolved' AND fired < $1")
            .bind(before.0)
            .execute(&mut *tx)
            .await
            .map_err(failed)?;
    }
    tx.commit().await.map_err(failed)?;
    Ok(next)
}

pub(super) async fn bookmark(pool: &SqlitePool, follower: &str, partition: u32) -> StoreResult<Position> {
    let failed = |error| database("read the bookmark of", follower, error);
    let row = sqlx::query("SELECT next, epoch FROM bookmarks WHERE follower = $1 AND part = $2")
        .bind(follower)
        .bind(i64::from(partition))
        .fetch_optional(pool)
        .await
        .map_err(failed)?;
    let Some(row) = row else { return Ok(Position::default()) };
    let number = |column: usize| row.try_get::<i64, _>(column).map(i64::cast_unsigned).map_err(failed);
    Ok(Position { next: number(0)?, epoch: number(1)? })
}

pub(super) async fn set_bookmark(
    pool: &SqlitePool,
    follower: &str,
    partition: u32,
    position: Position,
) -> StoreResult<()> {
    sqlx::query(
        "INSERT INTO bookmarks (follower, part, next, epoch) VALUES ($1, $2, $3, $4) \
         ON CONFLICT (follower, part) DO UPDATE SET next = excluded.next, epoch = excluded.epoch \
         WHERE bookmarks.next < excluded.next",
    )
    .bind(follower)
    .bind(i64::from(partition))
    .bind(position.next.cast_signed())
    .bind(position.epoch.cast_signed())
    .execute(pool)
    .await
    .map(drop)
    .map_err(|error| database("set the bookmark of", follower, error))
}
