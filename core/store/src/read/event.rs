//! Reading events.

use fastn_contract::activity::EventView;
use fastn_contract::page::Page;
use fastn_domain::ids::EventId;
use fastn_domain::scope::Reach;
use fastn_domain::time::Timestamp;

use super::row::{Columns, execution_id, next_cursor};
use super::{Cells, Reader, Select};
use crate::label::Label as _;
use crate::seam::{EventFilter, PageRequest, StoreResult};

const LIST: &str = "SELECT t.seq, t.customer, t.id, t.received, t.status, t.kind, t.source, t.subject, t.origin, \
    t.trigger_id, t.time, t.reason, t.executions FROM events t";

const ONE: &str = "SELECT t.seq, t.customer, t.id, t.received, t.status, t.kind, t.source, t.subject, t.origin, \
    t.trigger_id, t.time, t.reason, t.executions, t.data FROM events t";

pub(crate) async fn list(
    reader: &mut impl Reader,
    reach: &Reach,
    filter: &EventFilter,
    page: &PageRequest,
) -> StoreResult<Page<EventView>> {
    let mut query = Select::within(LIST, reach);
    if let Some(status) = filter.status {
        query.push(" AND t.status = ").bind_text(status.label());
        if status.label() != "delivered" {
            // Lets the planner use the small index of the events that did not simply run.
            query.push(" AND t.status <> 'delivered'");
        }
    }
    if let Some(origin) = filter.origin {
        query.push(" AND t.origin = ").bind_text(origin.label());
    }
    if let Some(kind) = &filter.kind {
        query.push(" AND t.kind = ").bind_text(kind);
    }
    if let Some(trigger) = &filter.trigger {
        query.push(" AND t.trigger_id = ").bind_text(trigger);
    }
    if let Some(since) = filter.since {
        query.push(" AND t.received >= ").bind_number(since.0);
    }
    if let Some(until) = filter.until {
        query.push(" AND t.received < ").bind_number(until.0);
    }
    let limit = query.newest_first("events", "received", page)?;
    let rows = reader.rows(query, "list", "events").await?;
    let next_cursor = next_cursor(&rows, limit, "events", "received")?;
    let items = rows.iter().take(limit as usize).map(view).collect::<StoreResult<_>>()?;
    Ok(Page { items, next_cursor })
}

pub(crate) async fn one(reader: &mut impl Reader, reach: &Reach, id: &EventId) -> StoreResult<Option<EventView>> {
    let mut query = Select::within(ONE, reach);
    // A duplicate has the id of the event that it repeats, which is the one to show.
    query.push(" AND t.id = ").bind_text(id.as_str());
    query.push(" ORDER BY t.status = 'duplicate', t.received DESC, t.seq DESC LIMIT 1");
    let rows = reader.rows(query, "read event", id.as_str()).await?;
    let Some(row) = rows.first() else { return Ok(None) };
    let mut event = view(row)?;
    event.data = Columns::new("events", row).value("data")?;
    Ok(Some(event))
}

fn view(row: &impl Cells) -> StoreResult<EventView> {
    let row = Columns::new("events", row);
    let executions = row.bytes("executions")?.unwrap_or_default().chunks_exact(16).filter_map(execution_id);
    Ok(EventView {
        id: row.text("id")?,
        customer: row.text("customer")?,
        source: row.text("source")?,
        kind: row.text("kind")?,
        subject: row.text_or_null("subject")?,
        origin: row.label("origin")?,
        trigger: row.text_or_null("trigger_id")?,
        time: Timestamp(row.number("time")?).to_string(),
        received_at: Timestamp(row.number("received")?).to_string(),
        status: row.label("status")?,
        reason: row.text_or_null("reason")?,
        executions: executions.map(|id| id.to_string()).collect(),
        data: None,
    })
}
