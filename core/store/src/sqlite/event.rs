//! Reading events.

use fastn_contract::activity::EventView;
use fastn_contract::page::Page;
use fastn_domain::ids::EventId;
use fastn_domain::scope::Reach;
use fastn_domain::time::Timestamp;
use sqlx::SqlitePool;
use sqlx::sqlite::SqliteRow;

use super::error::database;
use super::row::{Columns, execution_id, newest_first, next_cursor, within};
use crate::label::Label as _;
use crate::seam::{EventFilter, PageRequest, StoreResult};

const LIST: &str = "SELECT t.seq, t.customer, t.id, t.received, t.status, t.kind, t.source, t.subject, t.origin, \
    t.trigger_id, t.time, t.reason, t.executions FROM events t";

const ONE: &str = "SELECT t.seq, t.customer, t.id, t.received, t.status, t.kind, t.source, t.subject, t.origin, \
    t.trigger_id, t.time, t.reason, t.executions, t.data FROM events t";

pub(super) async fn list(
    pool: &SqlitePool,
    reach: &Reach,
    filter: &EventFilter,
    page: &PageRequest,
) -> StoreResult<Page<EventView>> {
    let mut query = within(LIST, reach);
    if let Some(status) = filter.status {
        query.push(" AND t.status = ").push_bind(status.label());
        if status.label() != "delivered" {
            // Lets the planner use the small index of the events that did not simply run.
            query.push(" AND t.status <> 'delivered'");
        }
    }
    if let Some(origin) = filter.origin {
        query.push(" AND t.origin = ").push_bind(origin.label());
    }
    if let Some(kind) = &filter.kind {
        query.push(" AND t.kind = ").push_bind(kind.clone());
    }
    if let Some(trigger) = &filter.trigger {
        query.push(" AND t.trigger_id = ").push_bind(trigger.clone());
    }
    if let Some(since) = filter.since {
        query.push(" AND t.received >= ").push_bind(since.0);
    }
    if let Some(until) = filter.until {
        query.push(" AND t.received < ").push_bind(until.0);
    }
    let limit = newest_first(&mut query, "events", "received", page)?;
    let rows = query.build().fetch_all(pool).await.map_err(|error| database("list", "events", error))?;
    let next_cursor = next_cursor(&rows, limit, "events", "received")?;
    let items = rows.iter().take(limit as usize).map(view).collect::<StoreResult<_>>()?;
    Ok(Page { items, next_cursor })
}

pub(super) async fn one(pool: &SqlitePool, reach: &Reach, id: &EventId) -> StoreResult<Option<EventView>> {
    let mut query = within(ONE, reach);
    // A duplicate has the id of the event that it repeats, which is the one to show.
    query.push(" AND t.id = ").push_bind(id.as_str().to_owned());
    query.push(" ORDER BY t.status = 'duplicate', t.received DESC, t.seq DESC LIMIT 1");
    let row = query.build().fetch_optional(pool).await.map_err(|error| database("read event", id.as_str(), error))?;
    let Some(row) = row else { return Ok(None) };
    let mut event = view(&row)?;
    event.data = Columns { table: "events", row: &row }.value("data")?;
    Ok(Some(event))
}

fn view(row: &SqliteRow) -> StoreResult<EventView> {
    let row = Columns { table: "events", row };
    let executions: Option<&[u8]> = row.get("executions")?;
    let executions = executions.unwrap_or_default().chunks_exact(16).filter_map(execution_id);
    Ok(EventView {
        id: row.text("id")?,
        customer: row.text("customer")?,
        source: row.text("source")?,
        kind: row.text("kind")?,
        subject: row.get("subject")?,
        origin: row.label("origin")?,
        trigger: row.get("trigger_id")?,
        time: Timestamp(row.get("time")?).to_string(),
        received_at: Timestamp(row.get("received")?).to_string(),
        status: row.label("status")?,
        reason: row.get("reason")?,
        executions: executions.map(|id| id.to_string()).collect(),
        data: None,
    })
}
