//! Reading columns back into the contract's types.

use fastn_domain::ids::{CustomerId, ExecutionId};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::Cells;
use crate::cursor::TimeCursor;
use crate::error::refused;
use crate::label::Label;
use crate::seam::{Outcome, StoreError, StoreErrorKind, StoreResult};

/// A row with the name of its table, for messages.
#[derive(Clone, Copy)]
pub(crate) struct Columns<'r> {
    table: &'static str,
    row: &'r dyn Cells,
}

impl<'r> Columns<'r> {
    pub(crate) fn new(table: &'static str, row: &'r dyn Cells) -> Self {
        Self { table, row }
    }

    /// What the driver can't give.
    fn failed(&self, error: sqlx::Error) -> StoreError {
        StoreError {
            kind: StoreErrorKind::Corrupt,
            outcome: Outcome::NotDone,
            operation: "read a row of",
            context: self.table.to_owned(),
            message: "what is stored does not read back; restore it or run `fastn rebuild`".to_owned(),
            source: Some(Box::new(error)),
        }
    }

    fn text_ref(&self, column: &str) -> StoreResult<Option<&'r str>> {
        self.row.text(column).map_err(|error| self.failed(error))
    }

    pub(crate) fn text_or_null(&self, column: &'static str) -> StoreResult<Option<String>> {
        Ok(self.text_ref(column)?.map(str::to_owned))
    }

    pub(crate) fn text(&self, column: &'static str) -> StoreResult<String> {
        self.text_or_null(column)?.ok_or_else(|| self.absent(column))
    }

    pub(crate) fn number_or_null(&self, column: &'static str) -> StoreResult<Option<i64>> {
        self.row.number(column).map_err(|error| self.failed(error))
    }

    pub(crate) fn number(&self, column: &'static str) -> StoreResult<i64> {
        self.number_or_null(column)?.ok_or_else(|| self.absent(column))
    }

    pub(crate) fn bytes(&self, column: &'static str) -> StoreResult<Option<&'r [u8]>> {
        self.row.bytes(column).map_err(|error| self.failed(error))
    }

    fn absent(&self, column: &'static str) -> StoreError {
        read_label_error(self.table, column, "nothing")
    }

    pub(crate) fn label<T: Label>(&self, column: &'static str) -> StoreResult<T> {
        let text = self.text_ref(column)?.ok_or_else(|| self.absent(column))?;
        T::from_label(text).ok_or_else(|| read_label_error(self.table, column, text))
    }

    pub(crate) fn label_or_null<T: Label>(&self, column: &'static str) -> StoreResult<Option<T>> {
        let read = |text| T::from_label(text).ok_or_else(|| read_label_error(self.table, column, text));
        self.text_ref(column)?.map(read).transpose()
    }

    pub(crate) fn count(&self, column: &'static str) -> StoreResult<u32> {
        let number = self.number(column)?;
        u32::try_from(number).map_err(|_| read_label_error(self.table, column, &number.to_string()))
    }

    pub(crate) fn execution_or_null(&self, column: &'static str) -> StoreResult<Option<ExecutionId>> {
        let bytes = self.bytes(column)?;
        bytes.map(|bytes| execution_id(bytes).ok_or_else(|| read_label_error(self.table, column, "bytes"))).transpose()
    }

    pub(crate) fn execution(&self, column: &'static str) -> StoreResult<ExecutionId> {
        self.execution_or_null(column)?.ok_or_else(|| self.absent(column))
    }

    pub(crate) fn json<T: DeserializeOwned>(&self, column: &'static str) -> StoreResult<Option<T>> {
        let text = self.text_ref(column)?;
        text.map(|text| serde_json::from_str(text).map_err(|_| read_label_error(self.table, column, "JSON")))
            .transpose()
    }

    /// A payload. Text that is no JSON, which a cut one may be, is shown as a text.
    pub(crate) fn value(&self, column: &'static str) -> StoreResult<Option<Value>> {
        let text = self.text_ref(column)?;
        Ok(text.map(|text| serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned()))))
    }

    /// One JSON object a line.
    pub(crate) fn lines<T: DeserializeOwned>(&self, column: &'static str) -> StoreResult<Vec<T>> {
        let lines = self.text_ref(column)?.unwrap_or_default().lines().filter(|line| !line.is_empty());
        lines.map(|line| serde_json::from_str(line).map_err(|_| read_label_error(self.table, column, "JSON"))).collect()
    }
}

pub(crate) fn execution_id(bytes: &[u8]) -> Option<ExecutionId> {
    bytes.try_into().ok().map(|bytes| ExecutionId(u128::from_be_bytes(bytes)))
}

pub(crate) fn customer(text: Option<&str>) -> StoreResult<Option<CustomerId>> {
    text.map(|text| CustomerId::new(text).map_err(|_| read_label_error("resources", "customer", text))).transpose()
}

/// What is stored in a column is none of the values that it may have.
pub(crate) fn read_label_error(table: &'static str, column: &'static str, found: &str) -> StoreError {
    let found: String = found.chars().take(40).collect();
    refused(StoreErrorKind::Corrupt, "read a row of", table, format!("column {column} holds {found:?}"))
}

/// The cursor behind the last of `shown` rows out of `rows`, if there are more.
pub(crate) fn next_cursor<R: Cells>(
    rows: &[R],
    limit: i64,
    list: &'static str,
    time: &'static str,
) -> StoreResult<Option<String>> {
    if rows.len() as i64 <= limit {
        return Ok(None);
    }
    let Some(last) = rows.get(limit as usize - 1) else { return Ok(None) };
    let last = Columns::new(list, last);
    Ok(Some(TimeCursor { at: last.number(time)?, seq: last.number("seq")? }.encode(list)))
}
