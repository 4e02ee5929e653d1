//! Everything of one customer as a stream of JSON lines, in bounded memory: rows are read page by page as the reader takes
//! them.
//!
//! ```text
//! {"type":"export","version":1,"customer":"cus_acme","at":"…"}
//! {"type":"customer", …}   {"type":"resource","kind":"trigger", …}   {"type":"secret","name":"…"}
//! {"type":"event", …}      {"type":"execution", …}                   {"type":"dead_letter", …}   {"type":"state", …}
//! {"type":"usage", …}      {"type":"alert", …}                       {"type":"poll", …}
//! {"type":"end","counts":{"event":12, …}}
//! ```
//!
//! An export without its last line is not whole.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use fastn_contract::page::Page;
use fastn_domain::catalog::{ResourceKind, ResourceRow};
use fastn_domain::{CustomerId, EventId, ExecutionId, Reach, Scope};
use fastn_store::{AlertFilter, EventFilter, ExecutionFilter, PageRequest, UsageFilter};
use futures_util::stream;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::Api;
use super::caller::Caller;
use super::extract::{PathParts, checked};
use super::problem::{ApiError, ApiResult};
use super::resources;

/// Rows of one read.
const PAGE_ROWS: u32 = 100;
/// Lines that wait for a reader.
const LINES_MAX: usize = 64;
/// Grows when lines change their meaning.
const VERSION: u32 = 1;

/// Export a customer
///
/// Everything that is kept of it as JSON lines: its configuration with the names of its secrets and never their values,
/// its events and executions with payloads and steps, its dead letters, the state of its workflows, what it used by day,
/// alerts about it, and how far its polls have come. The last line has the type `end`; an export without it was cut off.
#[utoipa::path(get, path = "/v1/customers/{id}/export", operation_id = "exportCustomer", tag = "Customers",
    params(("id" = String, Path, description = "The customer's id")),
    responses((status = 200, description = "JSON lines", content_type = "application/x-ndjson", body = String)))]
pub(crate) async fn export(
    State(api): State<Api>,
    caller: Caller,
    PathParts(id): PathParts<String>,
) -> ApiResult<Response> {
    let customer = checked("id", CustomerId::new(&id))?;
    let row = resources::required(&api, &caller, ResourceKind::Customer, &id).await?;
    let scope = Scope::new(caller.account.clone(), customer);
    api.residency.check(&api.catalog.current(), &scope)?;
    let (lines, taken) = mpsc::channel::<Result<Bytes, std::convert::Infallible>>(LINES_MAX);
    tokio::spawn(async move {
        let mut export = Export { reach: Reach::Customer(scope.clone()), scope, api, lines, counts: BTreeMap::new() };
        if let Err(Cut::Failed(error)) = export.run(row).await {
            crate::observe::export_failed(&error.0.detail);
            let problem = serde_json::to_value(&*error.0).unwrap_or_default();
            let _nobody_reads = export.put("error", problem).await;
        }
    });
    let body = stream::unfold(taken, |mut taken| async { taken.recv().await.map(|line| (line, taken)) });
    let kind = [(header::CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"))];
    Ok((kind, Body::from_stream(body)).into_response())
}

/// Why an export ends early.
enum Cut {
    /// Its reader has gone.
    Gone,
    Failed(ApiError),
}

impl<E: Into<ApiError>> From<E> for Cut {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

struct Export {
    api: Api,
    scope: Scope,
    reach: Reach,
    lines: mpsc::Sender<Result<Bytes, std::convert::Infallible>>,
    counts: BTreeMap<&'static str, u64>,
}

impl Export {
    async fn run(&mut self, customer: ResourceRow) -> Result<(), Cut> {
        let head = json!({"version": VERSION, "account": self.scope.account, "customer": self.scope.customer,
            "at": self.api.clock.now().to_string()});
        self.put("export", head).await?;
        self.resource("customer", &customer).await?;
        for kind in ResourceKind::ALL {
            self.resources_of(*kind).await?;
        }
        self.events().await?;
        self.executions().await?;
        self.dead_letters().await?;
        self.state().await?;
        self.usage().await?;
        self.alerts().await?;
        self.polls().await?;
        let counts = std::mem::take(&mut self.counts);
        self.put("end", json!({"counts": counts})).await
    }

    async fn resources_of(&mut self, kind: ResourceKind) -> Result<(), Cut> {
        // The customer itself is the first line; an erasure tells nothing of it.
        if matches!(kind, ResourceKind::Customer | ResourceKind::Erasure) {
            return Ok(());
        }
        let mut page = first();
        loop {
            let rows = self.api.store.resources(&self.reach, kind, &page).await?;
            let own = self.scope.customer.clone();
            for row in rows.items.iter().filter(|row| row.customer.as_ref() == Some(&own)) {
                match kind {
                    ResourceKind::Secret => {
                        let name = row.id.rsplit('/').next().unwrap_or(&row.id);
                        let secret = json!({"name": name, "updatedAt": row.updated.to_string()});
                        self.put("secret", secret).await?;
                    }
                    ResourceKind::LogKey => {
                        let key = json!({"id": row.id, "createdAt": row.created.to_string()});
                        self.put("log_key", key).await?;
                    }
                    _ => self.resource("resource", row).await?,
                }
            }
            match next(&rows) {
                None => return Ok(()),
                Some(then) => page = then,
            }
        }
    }

    async fn resource(&mut self, line: &'static str, row: &ResourceRow) -> Result<(), Cut> {
        let body: Value = resources::body(row)?;
        let resource = json!({"kind": row.kind.as_str(), "id": row.id, "createdAt": row.created.to_string(),
            "updatedAt": row.updated.to_string(), "body": body});
        self.put(line, resource).await
    }

    async fn events(&mut self) -> Result<(), Cut> {
        let mut page = first();
        loop {
            let rows = self.api.store.events(&self.reach, &EventFilter::default(), &page).await?;
            for row in &rows.items {
                let mut line = serde_json::to_value(row).unwrap_or_default();
                if let Ok(id) = EventId::new(&row.id)
                    && let Some(source) = self.api.store.stored_event(&self.reach, &id).await?
                {
                    line["data"] = serde_json::from_str(&source.data).unwrap_or(Value::String(source.data));
                    line["headers"] = serde_json::to_value(&source.headers).unwrap_or_default();
                }
                self.put("event", line).await?;
            }
            match next(&rows) {
                None => return Ok(()),
                Some(then) => page = then,
            }
        }
    }

    async fn executions(&mut self) -> Result<(), Cut> {
        let mut page = first();
        loop {
            let rows = self.api.store.executions(&self.reach, &ExecutionFilter::default(), &page).await?;
            for row in &rows.items {
                let whole = match row.id.parse::<ExecutionId>() {
                    Ok(id) => self.api.store.execution(&self.reach, id).await?,
                    Err(_) => None,
                };
                self.put("execution", serde_json::to_value(whole.as_ref().unwrap_or(row)).unwrap_or_default()).await?;
            }
            match next(&rows) {
                None => return Ok(()),
                Some(then) => page = then,
            }
        }
    }

    async fn dead_letters(&mut self) -> Result<(), Cut> {
        let mut page = first();
        loop {
            let rows = self.api.store.dead_letters(&self.reach, None, None, &page).await?;
            for row in &rows.items {
                self.put("dead_letter", serde_json::to_value(row).unwrap_or_default()).await?;
            }
            match next(&rows) {
                None => return Ok(()),
                Some(then) => page = then,
            }
        }
    }

    async fn state(&mut self) -> Result<(), Cut> {
        let state = fastn_pipeline::processor::state_of(self.api.log.as_ref(), &self.scope).await?;
        for entry in state {
            let value = entry.value.as_deref().map(|text| serde_json::from_str::<Value>(text).unwrap_or(text.into()));
            let expires = entry.expires.map(|at| at.to_string());
            let line = json!({"space": entry.space, "key": entry.key, "value": value, "expiresAt": expires});
            self.put("state", line).await?;
        }
        Ok(())
    }

    async fn usage(&mut self) -> Result<(), Cut> {
        let mut page = first();
        loop {
            let rows = self.api.store.usage(&self.reach, &UsageFilter::default(), &page).await?;
            for row in &rows.items {
                self.put("usage", serde_json::to_value(row).unwrap_or_default()).await?;
            }
            match next(&rows) {
                None => return Ok(()),
                Some(then) => page = then,
            }
        }
    }

    async fn alerts(&mut self) -> Result<(), Cut> {
        let mut page = first();
        loop {
            let rows = self.api.store.alerts(&self.reach, &AlertFilter::default(), &page).await?;
            for row in &rows.items {
                self.put("alert", serde_json::to_value(row).unwrap_or_default()).await?;
            }
            match next(&rows) {
                None => return Ok(()),
                Some(then) => page = then,
            }
        }
    }

    async fn polls(&mut self) -> Result<(), Cut> {
        let catalog = self.api.catalog.current();
        let polls = Arc::clone(&self.api.store).polls();
        for trigger in catalog.account(&self.scope.account).into_iter().flat_map(|account| account.triggers.keys()) {
            for poll in polls.list(&self.reach, trigger, &first()).await?.items {
                let state = serde_json::from_str(&poll.body).unwrap_or(Value::Null);
                let line = json!({"trigger": trigger, "nextAt": poll.next_at.to_string(), "state": state});
                self.put("poll", line).await?;
            }
        }
        Ok(())
    }

    async fn put(&mut self, kind: &'static str, mut line: Value) -> Result<(), Cut> {
        if let Some(fields) = line.as_object_mut() {
            // An event has a type of its own.
            if let Some(own) = fields.remove("type") {
                fields.insert("eventType".to_owned(), own);
            }
            fields.insert("type".to_owned(), kind.into());
        }
        *self.counts.entry(kind).or_default() += 1;
        let mut text = line.to_string();
        text.push('\n');
        self.lines.send(Ok(Bytes::from(text))).await.map_err(|_| Cut::Gone)
    }
}

fn first() -> PageRequest {
    PageRequest { cursor: None, limit: PAGE_ROWS }
}

fn next<T>(page: &Page<T>) -> Option<PageRequest> {
    page.next_cursor.clone().map(|cursor| PageRequest { cursor: Some(cursor), limit: PAGE_ROWS })
}
