//! Lists, page by page or row by row.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::marker::PhantomData;

use fastn_contract::page::Page;
use futures_util::Stream;
use reqwest::Method;
use serde::de::DeserializeOwned;

use crate::error::Error;
use crate::transport::{Call, Transport};

/// A list on the server. Nothing is asked for until a page or a row is.
#[derive(Clone, Debug)]
pub struct Pager<T> {
    transport: Transport,
    path: Vec<String>,
    customer: Option<String>,
    query: Vec<(Cow<'static, str>, String)>,
    rows: PhantomData<fn() -> T>,
}

impl<T: DeserializeOwned> Pager<T> {
    pub(crate) fn new(transport: Transport, path: &[&str], customer: Option<String>) -> Self {
        let path = path.iter().map(|segment| (*segment).to_owned()).collect();
        Self { transport, path, customer, query: Vec::new(), rows: PhantomData }
    }

    /// Only rows for which the parameter `name` of the list holds, e.g. `status`.
    pub fn filter(mut self, name: impl Into<Cow<'static, str>>, value: Option<impl ToString>) -> Self {
        self.query.extend(value.map(|value| (name.into(), value.to_string())));
        self
    }

    /// One page: the first without a cursor.
    pub async fn page(&self, cursor: Option<&str>, limit: Option<u32>) -> Result<Page<T>, Error> {
        let mut call = Call::new(Method::GET, &self.path).for_customer(self.customer.as_deref());
        for (name, value) in &self.query {
            call = call.query(name.clone(), Some(value));
        }
        self.transport.decode(call.query("cursor", cursor).query("limit", limit)).await
    }

    /// At most `rows_max` rows, over as many pages as that takes.
    pub async fn take(&self, rows_max: usize) -> Result<Vec<T>, Error> {
        const PAGE_ROWS_MAX: usize = 1_000;
        let (mut rows, mut cursor) = (Vec::new(), None);
        while rows.len() < rows_max {
            let limit = (rows_max - rows.len()).min(PAGE_ROWS_MAX) as u32;
            let page = self.page(cursor.as_deref(), Some(limit)).await?;
            rows.extend(page.items);
            cursor = page.next_cursor;
            if cursor.is_none() {
                break;
            }
        }
        Ok(rows)
    }

    /// Every row, pages being asked for as they are needed. Ends after the first error.
    pub fn stream(self) -> impl Stream<Item = Result<T, Error>> {
        let start = (self, VecDeque::new(), Some(None::<String>));
        futures_util::stream::unfold(start, |(pager, mut rows, mut next)| async move {
            loop {
                if let Some(row) = rows.pop_front() {
                    return Some((Ok(row), (pager, rows, next)));
                }
                let cursor = next.take()?;
                match pager.page(cursor.as_deref(), None).await {
                    Ok(page) => {
                        rows.extend(page.items);
                        next = page.next_cursor.map(Some);
                    }
                    Err(error) => return Some((Err(error), (pager, rows, None))),
                }
            }
        })
    }
}
