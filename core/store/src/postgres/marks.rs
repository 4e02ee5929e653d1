//! Marks. They are nobody's, so no transaction is bound to an account.

use fastn_domain::time::Timestamp;
use sqlx::PgPool;

use super::error::database;
use crate::seam::StoreResult;

pub(super) async fn mark(pool: &PgPool, name: &str) -> StoreResult<Option<Timestamp>> {
    let at = sqlx::query_scalar!("SELECT at FROM marks WHERE name = $1", name).fetch_optional(pool).await;
    at.map(|at| at.map(Timestamp)).map_err(|error| database("read mark", name, error))
}

pub(super) async fn raise(pool: &PgPool, name: &str, at: Timestamp) -> StoreResult<()> {
    sqlx::query!(
        "INSERT INTO marks (name, at) VALUES ($1, $2) \
         ON CONFLICT (name) DO UPDATE SET at = excluded.at WHERE marks.at < excluded.at",
        name,
        at.0
    )
    .execute(pool)
    .await
    .map_err(|error| database("raise mark", name, error))?;
    Ok(())
}
