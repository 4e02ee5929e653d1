//! The evaluator's memory, the alerts, and how far followers have come. All of it is written in the projector's role.

use sqlx::{PgConnection, PgPool};

use super::error::{commit, database};
use super::text::clean;
use crate::alerts::{AlertMemory, AlertRow, AlertSave, body};
use crate::error::refused;
use crate::label::Label as _;
use crate::projection::Position;
use crate::seam::{StoreErrorKind, StoreResult};

const MEMORY: &str = "the memory of alerts";

pub(super) async fn memory(pool: &PgPool) -> StoreResult<AlertMemory> {
    let failed = |error| database("read", MEMORY, error);
    let mut tx = pool.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await.map_err(failed)?;
    let revision =
        sqlx::query_scalar!("SELECT revision FROM alert_revision").fetch_one(&mut *tx).await.map_err(failed)?;
    let rows = sqlx::query!("SELECT key, body FROM alert_memory ORDER BY key").fetch_all(&mut *tx).await;
    let entries = rows.map_err(failed)?.into_iter().map(|row| (row.key, row.body)).collect();
    Ok(AlertMemory { revision: revision.cast_unsigned(), entries })
}

pub(super) async fn save(pool: &PgPool, save: AlertSave) -> StoreResult<u64> {
    let failed = |error| database("save", MEMORY, error);
    let AlertSave { from, puts, deletes, alerts, forget_before } = save;
    let mut tx = pool.begin().await.map_err(failed)?;
    // Whoever is second waits here for the first one's commit and is refused.
    let moved =
        sqlx::query!("UPDATE alert_revision SET revision = revision + 1 WHERE revision = $1", from.cast_signed());
    if moved.execute(&mut *tx).await.map_err(failed)?.rows_affected() != 1 {
        let message = format!("it is not at revision {from} any more; another evaluator has been here");
        return Err(refused(StoreErrorKind::Conflict, "save", MEMORY, message));
    }
    if !deletes.is_empty() {
        let deleted = sqlx::query!("DELETE FROM alert_memory WHERE key = ANY($1)", &deletes);
        deleted.execute(&mut *tx).await.map_err(failed)?;
    }
    if !puts.is_empty() {
        let (keys, bodies): (Vec<String>, Vec<String>) = puts.into_iter().unzip();
        sqlx::query!(
            "INSERT INTO alert_memory (key, body) SELECT * FROM UNNEST($1::TEXT[], $2::TEXT[]) \
             ON CONFLICT (key) DO UPDATE SET body = excluded.body",
            &keys,
            &bodies
        )
        .execute(&mut *tx)
        .await
        .map_err(failed)?;
    }
    for row in alerts {
        put_alert(&mut tx, row).await.map_err(failed)?;
    }
    if let Some(before) = forget_before {
        sqlx::query!("DELETE FROM alerts WHERE state = 'resolved' AND fired < $1", before.0)
            .execute(&mut *tx)
            .await
            .map_err(failed)?;
    }
    tx.commit().await.map_err(|error| commit("save", MEMORY, error))?;
    Ok(from + 1)
}

async fn put_alert(tx: &mut PgConnection, row: AlertRow) -> Result<(), sqlx::Error> {
    let AlertRow { account, customer, fired, view } = row;
    let text = body(&view);
    sqlx::query!(
        "INSERT INTO alerts (id, account, customer, rule, state, fired, body) VALUES ($1, $2, $3, $4, $5, $6, $7) \
         ON CONFLICT (id) DO UPDATE SET state = excluded.state, body = excluded.body",
        view.id,
        account.as_str(),
        customer.as_ref().map(|customer| customer.as_str()),
        view.rule,
        view.state.label(),
        fired.0,
        &*clean(&text)
    )
    .execute(tx)
    .await?;
    Ok(())
}

pub(super) async fn bookmark(pool: &PgPool, follower: &str, partition: u32) -> StoreResult<Position> {
    let found = sqlx::query!(
        "SELECT next, epoch FROM bookmarks WHERE follower = $1 AND part = $2",
        follower,
        i64::from(partition)
    );
    let row = found.fetch_optional(pool).await;
    let row = row.map_err(|error| database("read the bookmark of", follower, error))?;
    Ok(row.map_or_else(Position::default, |row| Position {
        next: row.next.cast_unsigned(),
        epoch: row.epoch.cast_unsigned(),
    }))
}

pub(super) async fn set_bookmark(pool: &PgPool, follower: &str, partition: u32, position: Position) -> StoreResult<()> {
    sqlx::query!(
        "INSERT INTO bookmarks (follower, part, next, epoch) VALUES ($1, $2, $3, $4) \
         ON CONFLICT (follower, part) DO UPDATE SET next = excluded.next, epoch = excluded.epoch \
         WHERE bookmarks.next < excluded.next",
        follower,
        i64::from(partition),
        position.next.cast_signed(),
        position.epoch.cast_signed()
    )
    .execute(pool)
    .await
    .map(drop)
    .map_err(|error| commit("set the bookmark of", follower, error))
}
