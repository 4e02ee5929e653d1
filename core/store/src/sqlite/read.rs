//! How SQLite runs a query of activity.

use async_trait::async_trait;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row as _, SqlitePool};

use super::error::database;
use crate::read::{Cells, Reader, Select, Value};
use crate::seam::StoreResult;

/// Reads with any connection of a pool.
pub(super) struct Rows<'p>(pub(super) &'p SqlitePool);

#[async_trait]
impl Reader for Rows<'_> {
    type Row = SqliteRow;

    async fn rows(&mut self, select: Select, operation: &'static str, context: &str) -> StoreResult<Vec<SqliteRow>> {
        let (text, values) = select.into_parts();
        let query = values.into_iter().fold(sqlx::query(text), |query, value| match value {
            Value::Text(text) => query.bind(text),
            Value::Number(number) => query.bind(number),
            Value::Bytes(bytes) => query.bind(bytes),
        });
        query.fetch_all(self.0).await.map_err(|error| database(operation, context, error))
    }
}

impl Cells for SqliteRow {
    fn text(&self, column: &str) -> Result<Option<&str>, sqlx::Error> {
        self.try_get(column)
    }

    fn number(&self, column: &str) -> Result<Option<i64>, sqlx::Error> {
        self.try_get(column)
    }

    fn bytes(&self, column: &str) -> Result<Option<&[u8]>, sqlx::Error> {
        self.try_get(column)
    }
}
