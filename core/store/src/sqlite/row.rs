//! Reading columns back into the contract's types, and the parts of queries that every list shares.

use fastn_domain::ids::{CustomerId, ExecutionId};
use fastn_domain::scope::Reach;
use serde::de::DeserializeOwned;
use serde_json::Value;
use sqlx::sqlite::SqliteRow;
use sqlx::{QueryBuilder, Row as _, Sqlite};

use super::error::{database, refused};
use super::limit;
use crate::cursor::TimeCursor;
use crate::label::Label;
use crate::seam::{PageRequest, StoreError, StoreErrorKind, StoreResult};

/// A row with the name of its table, for messages.
#[derive(Clone, Copy)]
pub(super) struct Columns<'r> {
    pub(super) table: &'static str,
    pub(super) row: &'r SqliteRow,
}

impl<'r> Columns<'r> {
    pub(super) fn get<T>(&self, column: &'static str) -> StoreResult<T>
    where
        T: sqlx::Decode<'r, Sqlite> + sqlx::Type<Sqlite>,
    {
        self.row.try_get(column).map_err(|error| database("read a row of", self.table, error))
    }

    pub(super) fn text(&self, column: &'static str) -> StoreResult<String> {
        self.get(column)
    }

    pub(super) fn label<T: Label>(&self, column: &'static str) -> StoreResult<T> {
        let text: &str = self.get(column)?;
        T::from_label(text).ok_or_else(|| read_label_error(self.table, column, text))
    }

    pub(super) fn count(&self, column: &'static str) -> StoreResult<u32> {
        let number: i64 = self.get(column)?;
        u32::try_from(number).map_err(|_| read_label_error(self.table, column, &number.to_string()))
    }

    pub(super) fn execution(&self, column: &'static str) -> StoreResult<Option<ExecutionId>> {
        let bytes: Option<&[u8]> = self.get(column)?;
        bytes.map(|bytes| execution_id(bytes).ok_or_else(|| read_label_error(self.table, column, "bytes"))).transpose()
    }

    pub(super) fn json<T: DeserializeOwned>(&self, column: &'static str) -> StoreResult<Option<T>> {
        let text: Option<&str> = self.get(column)?;
        text.map(|text| serde_json::from_str(text).map_err(|_| read_label_error(self.table, column, "JSON")))
            .transpose()
    }

    /// A payload. Text that is no JSON, which a cut one may be, is shown as a text.
    pub(super) fn value(&self, column: &'static str) -> StoreResult<Option<Value>> {
        let text: Option<&str> = self.get(column)?;
        Ok(text.map(value))
    }

    /// One JSON object a line.
    pub(super) fn lines<T: DeserializeOwned>(&self, column: &'static str) -> StoreResult<Vec<T>> {
        let text: Option<&str> = self.get(column)?;
        let lines = text.unwrap_or_default().lines().filter(|line| !line.is_empty());
        lines.map(|line| serde_json::from_str(line).map_err(|_| read_label_error(self.table, column, "JSON"))).collect()
    }
}

pub(super) fn value(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned()))
}

pub(super) fn execution_id(bytes: &[u8]) -> Option<ExecutionId> {
    bytes.try_into().ok().map(|bytes| ExecutionId(u128::from_be_bytes(bytes)))
}

pub(super) fn customer(text: Option<&str>) -> StoreResult<Option<CustomerId>> {
    text.map(|text| CustomerId::new(text).map_err(|_| read_label_error("resources", "customer", text))).transpose()
}

/// What is stored in a column is none of the values that it may have.
pub(super) fn read_label_error(table: &'static str, column: &'static str, found: &str) -> StoreError {
    let found: String = found.chars().take(40).collect();
    refused(StoreErrorKind::Corrupt, "read a row of", table, format!("column {column} holds {found:?}"))
}

/// The start of a query bound to `reach`. What follows it are `AND …` terms.
pub(super) fn within(select: &'static str, reach: &Reach) -> QueryBuilder<Sqlite> {
    let mut query = QueryBuilder::new(select);
    query.push(" WHERE t.account = ").push_bind(reach.account().as_str().to_owned());
    if let Some(customer) = reach.customer() {
        query.push(" AND t.customer = ").push_bind(customer.as_str().to_owned());
    }
    query
}

/// The end of a list's query, newest first by `time`: the place to go on from and one row more than the page has.
pub(super) fn newest_first(
    query: &mut QueryBuilder<Sqlite>,
    list: &'static str,
    time: &'static str,
    page: &PageRequest,
) -> StoreResult<i64> {
    if let Some(text) = page.cursor.as_deref() {
        let place = TimeCursor::decode(list, text)?;
        query.push(format_args!(" AND (t.{time}, t.seq) < (")).push_bind(place.at);
        query.push(", ").push_bind(place.seq).push(")");
    }
    let limit = limit(page);
    query.push(format_args!(" ORDER BY t.{time} DESC, t.seq DESC LIMIT ")).push_bind(limit + 1);
    Ok(limit)
}

/// The cursor behind the last of `shown` rows out of `rows`, if there are more.
pub(super) fn next_cursor(
    rows: &[SqliteRow],
    limit: i64,
    list: &'static str,
    time: &'static str,
) -> StoreResult<Option<String>> {
    if rows.len() as i64 <= limit {
        return Ok(None);
    }
    let Some(last) = rows.get(limit as usize - 1) else { return Ok(None) };
    let last = Columns { table: list, row: last };
    Ok(Some(TimeCursor { at: last.get(time)?, seq: last.get("seq")? }.encode(list)))
}
