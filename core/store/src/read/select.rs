//! A query as text and values, and the parts that every list shares.

use fastn_domain::scope::Reach;

use super::page_limit;
use crate::cursor::TimeCursor;
use crate::seam::{PageRequest, StoreResult};

/// A value of a query.
pub(crate) enum Value {
    Text(String),
    Number(i64),
    Bytes(Vec<u8>),
}

/// A query that is put together from constant texts; every value is a parameter.
pub(crate) struct Select {
    text: String,
    values: Vec<Value>,
}

impl Select {
    pub(crate) fn new(text: &'static str) -> Self {
        Self { text: text.to_owned(), values: Vec::new() }
    }

    /// The start of a query bound to `reach`. What follows it are `AND …` terms.
    pub(crate) fn within(select: &'static str, reach: &Reach) -> Self {
        let mut query = Self::new(select);
        query.push(" WHERE t.account = ").bind_text(reach.account().as_str());
        if let Some(customer) = reach.customer() {
            query.push(" AND t.customer = ").bind_text(customer.as_str());
        }
        query
    }

    pub(crate) fn push(&mut self, text: &'static str) -> &mut Self {
        self.text.push_str(text);
        self
    }

    pub(crate) fn bind_text(&mut self, text: &str) -> &mut Self {
        self.bind(Value::Text(text.to_owned()))
    }

    pub(crate) fn bind_number(&mut self, number: i64) -> &mut Self {
        self.bind(Value::Number(number))
    }

    pub(crate) fn bind_bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.bind(Value::Bytes(bytes.to_vec()))
    }

    fn bind(&mut self, value: Value) -> &mut Self {
        self.values.push(value);
        self.text.push('$');
        self.text.push_str(&self.values.len().to_string());
        self
    }

    /// ` IN (…)` over at least one value.
    pub(crate) fn one_of(&mut self, values: impl Iterator<Item = Value>) -> &mut Self {
        self.push(" IN (");
        for (at, value) in values.enumerate() {
            if at > 0 {
                self.push(", ");
            }
            self.bind(value);
        }
        self.push(")")
    }

    /// The end of a list's query, newest first by `time`: the place to go on from and one row more than the page has.
    /// Returns the page's rows.
    pub(crate) fn newest_first(
        &mut self,
        list: &'static str,
        time: &'static str,
        page: &PageRequest,
    ) -> StoreResult<i64> {
        if let Some(text) = page.cursor.as_deref() {
            let place = TimeCursor::decode(list, text)?;
            self.push(" AND (t.").push(time).push(", t.seq) < (").bind_number(place.at);
            self.push(", ").bind_number(place.seq).push(")");
        }
        let limit = page_limit(page);
        self.push(" ORDER BY t.").push(time).push(" DESC, t.seq DESC LIMIT ").bind_number(limit + 1);
        Ok(limit)
    }

    /// The text and its values. The text holds nothing that a caller of the store gave.
    pub(crate) fn into_parts(self) -> (sqlx::AssertSqlSafe<String>, Vec<Value>) {
        (sqlx::AssertSqlSafe(self.text), self.values)
    }
}
