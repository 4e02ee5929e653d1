//! Reading events.

use fastn_contract::activity::EventView;
use fastn_contract::flow::Priority;
use fastn_contract::page::Page;
use fastn_domain::event::Header;
use fastn_domain::ids::EventId;
use fastn_domain::scope::{CUSTOMER_NONE, Reach, Scope};
use fastn_domain::time::Timestamp;

use super::row::{Columns, execution_id, next_cursor, read_label_error};
use super::{Cells, Reader, Select, Value};
use crate::label::Label as _;
use crate::seam::{EventFilter, EventState, PageRequest, StoreResult, StoredEvent};

const LIST: &str = "SELECT t.seq, t.customer, t.id, t.received, t.status, t.kind, t.source, t.subject, t.origin, \
    t.trigger_id, t.time, t.reason, t.quota, t.priority, t.executions FROM events t";

const ONE: &str = "SELECT t.seq, t.customer, t.id, t.received, t.status, t.kind, t.source, t.subject, t.origin, \
    t.trigger_id, t.time, t.reason, t.quota, t.priority, t.executions, t.account, t.headers, t.data FROM events t";

const STATES: &str = "SELECT t.id, t.status, t.executions FROM events t";

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
    if let Some(quota) = filter.quota {
        query.push(" AND t.quota = ").bind_text(quota.label());
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

/// A duplicate has the id of the event that it repeats, which is the one to show.
async fn whole<R: Reader>(reader: &mut R, reach: &Reach, id: &EventId) -> StoreResult<Vec<R::Row>> {
    let mut query = Select::within(ONE, reach);
    query.push(" AND t.id = ").bind_text(id.as_str());
    query.push(" ORDER BY t.status = 'duplicate', t.received DESC, t.seq DESC LIMIT 1");
    reader.rows(query, "read event", id.as_str()).await
}

pub(crate) async fn stored(reader: &mut impl Reader, reach: &Reach, id: &EventId) -> StoreResult<Option<StoredEvent>> {
    let rows = whole(reader, reach, id).await?;
    let Some(row) = rows.first() else { return Ok(None) };
    let view = view(row)?;
    let row = Columns::new("events", row);
    let Some(data) = row.text_or_null("data")? else { return Ok(None) };
    let (account, customer) = (row.text("account")?, row.text("customer")?);
    let scope = Scope::parse(&account, &customer).map_err(|_| read_label_error("events", "customer", &customer))?;
    let headers = row.json::<Vec<Header>>("headers")?.unwrap_or_default();
    let time = Timestamp(row.number("time")?);
    Ok(Some(StoredEvent { scope, view, headers, data, time }))
}

pub(crate) async fn one(reader: &mut impl Reader, reach: &Reach, id: &EventId) -> StoreResult<Option<EventView>> {
    let rows = whole(reader, reach, id).await?;
    let Some(row) = rows.first() else { return Ok(None) };
    let mut event = view(row)?;
    event.data = Columns::new("events", row).value("data")?;
    Ok(Some(event))
}

pub(crate) async fn states(reader: &mut impl Reader, reach: &Reach, ids: &[EventId]) -> StoreResult<Vec<EventState>> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let mut query = Select::within(STATES, reach);
    query.push(" AND t.id").one_of(ids.iter().map(|id| Value::Text(id.to_string())));
    let rows = reader.rows(query, "look at", "events").await?;
    rows.iter().map(state).collect()
}

fn state(row: &impl Cells) -> StoreResult<EventState> {
    let row = Columns::new("events", row);
    let id = row.text("id")?;
    let executions = row.bytes("executions")?.unwrap_or_default().chunks_exact(16).filter_map(execution_id);
    Ok(EventState {
        id: EventId::new(&id).map_err(|_| read_label_error("events", "id", &id))?,
        status: row.label("status")?,
        executions: executions.collect(),
    })
}

/// The customer as it is shown: none where the event belongs to the account.
fn shown_customer(text: String) -> String {
    if text == CUSTOMER_NONE { String::new() } else { text }
}

fn view(row: &impl Cells) -> StoreResult<EventView> {
    let row = Columns::new("events", row);
    let priority = row.number_or_null("priority")?.and_then(|number| u32::try_from(number).ok());
    let executions = row.bytes("executions")?.unwrap_or_default().chunks_exact(16).filter_map(execution_id);
    Ok(EventView {
        id: row.text("id")?,
        customer: shown_customer(row.text("customer")?),
        source: row.text("source")?,
        kind: row.text("kind")?,
        subject: row.text_or_null("subject")?,
        origin: row.label("origin")?,
        trigger: row.text_or_null("trigger_id")?,
        time: Timestamp(row.number("time")?).to_string(),
        received_at: Timestamp(row.number("received")?).to_string(),
        status: row.label("status")?,
        reason: row.text_or_null("reason")?,
        quota: row.label_or_null("quota")?,
        priority: priority.and_then(Priority::from_number),
        executions: executions.map(|id| id.to_string()).collect(),
        data: None,
    })
}
