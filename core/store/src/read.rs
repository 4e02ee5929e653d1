//! Reading activity: the same queries and the same rows for every database.
//!
//! A query is a [`Select`]: a text with `$n` and its values. A database runs it ([`Reader`]) and gives rows of which three
//! kinds of values can be read ([`Cells`]); everything above is written once.

pub(crate) mod dead_letter;
pub(crate) mod event;
pub(crate) mod execution;
pub(crate) mod row;
pub(crate) mod schedule;
pub(crate) mod select;

use async_trait::async_trait;
use fastn_contract::page::{PAGE_LIMIT_DEFAULT, PAGE_LIMIT_MAX};

pub(crate) use self::select::{Select, Value};
use crate::seam::{PageRequest, StoreResult};

/// A row of any database, by the names of its columns.
pub(crate) trait Cells: Sync {
    /// A text.
    fn text(&self, column: &str) -> Result<Option<&str>, sqlx::Error>;
    /// A number of eight bytes.
    fn number(&self, column: &str) -> Result<Option<i64>, sqlx::Error>;
    /// Bytes.
    fn bytes(&self, column: &str) -> Result<Option<&[u8]>, sqlx::Error>;
}

/// What runs a query.
#[async_trait]
pub(crate) trait Reader: Send {
    /// Its rows.
    type Row: Cells + Send;

    /// Every row of `select`. The operation and what it is about are for the error.
    async fn rows(&mut self, select: Select, operation: &'static str, context: &str) -> StoreResult<Vec<Self::Row>>;
}

/// The rows that a page may have.
pub(crate) fn page_limit(page: &PageRequest) -> i64 {
    let limit = if page.limit == 0 { PAGE_LIMIT_DEFAULT } else { page.limit.min(PAGE_LIMIT_MAX) };
    i64::from(limit)
}
