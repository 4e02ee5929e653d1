//! Marks, in `config.db`.

use fastn_domain::time::Timestamp;
use sqlx::SqlitePool;

use super::error::database;
use crate::seam::StoreResult;

pub(super) async fn mark(pool: &SqlitePool, name: &str) -> StoreResult<Option<Timestamp>> {
    let at: Option<i64> = sqlx::query_scalar("SELECT at FROM marks WHERE name = $1")
        .bind(name)
        .fetch_optional(pool)
        .await
        .map_err(|error| database("read mark", name, error))?;
    Ok(at.map(Timestamp))
}

pub(super) async fn raise(pool: &SqlitePool, name: &str, at: Timestamp) -> StoreResult<()> {
    sqlx::query(
        "INSERT INTO marks (name, at) VALUES ($1, $2) \
         ON CONFLICT (name) DO UPDATE SET at = excluded.at WHERE marks.at < excluded.at",
    )
    .bind(name)
    .bind(at.0)
    .execute(pool)
    .await
    .map_err(|error| database("raise mark", name, error))?;
    Ok(())
}
