//! Reading usage, and what an execution that has not started waits for.

use fastn_contract::activity::ExecutionStatus;
use fastn_contract::flow::WaitingOn;
use fastn_contract::page::Page;
use fastn_contract::quota::UsageRow;
use fastn_domain::ids::ExecutionId;
use fastn_domain::journal::{Flow, Gate};
use fastn_domain::scope::Reach;
use fastn_domain::time::Timestamp;

use super::row::{Columns, next_cursor};
use super::{Cells, Reader, Select};
use crate::label::Label as _;
use crate::seam::{PageRequest, StoreResult, UsageFilter};

const LIST: &str = "SELECT t.seq, t.customer, t.day, t.measure, t.used FROM usage t";

/// Events that count, as admission counts them.
const EVENTS: &str = "SELECT COUNT(*) AS n FROM events t";

const EXECUTION: &str = "SELECT t.seq, t.customer, t.created, t.status, t.flow FROM executions t";
const AHEAD: &str = "SELECT COUNT(*) AS n FROM executions t";

const DAY_US: i64 = 86_400_000_000;

/// The day of `at`, in days since 1970-01-01 UTC.
pub(crate) fn day_of(at: Timestamp) -> i64 {
    at.0.div_euclid(DAY_US)
}

pub(crate) async fn list(
    reader: &mut impl Reader,
    reach: &Reach,
    filter: &UsageFilter,
    page: &PageRequest,
) -> StoreResult<Page<UsageRow>> {
    let mut query = Select::within(LIST, reach);
    if let Some(customer) = &filter.customer {
        query.push(" AND t.customer = ").bind_text(customer);
    }
    if let Some(measure) = filter.measure {
        query.push(" AND t.measure = ").bind_text(measure.label());
    }
    if let Some(since) = filter.since {
        query.push(" AND t.day >= ").bind_number(day_of(since));
    }
    if let Some(until) = filter.until {
        query.push(" AND t.day <= ").bind_number(day_of(until));
    }
    let limit = query.newest_first("usage", "day", page)?;
    let rows = reader.rows(query, "list", "usage").await?;
    let next_cursor = next_cursor(&rows, limit, "usage", "day")?;
    let items = rows.iter().take(limit as usize).map(view).collect::<StoreResult<_>>()?;
    Ok(Page { items, next_cursor })
}

fn view(row: &impl Cells) -> StoreResult<UsageRow> {
    let row = Columns::new("usage", row);
    let day = Timestamp(row.number("day")?.saturating_mul(DAY_US)).to_string();
    Ok(UsageRow {
        day: day[..10].to_owned(),
        customer: row.text("customer")?,
        measure: row.label("measure")?,
        used: row.number("used")?.cast_unsigned(),
    })
}

pub(crate) async fn events_since(reader: &mut impl Reader, reach: &Reach, since: Timestamp) -> StoreResult<u64> {
    let mut query = Select::within(EVENTS, reach);
    query.push(" AND t.received >= ").bind_number(since.0);
    query.push(" AND t.status <> 'duplicate' AND t.origin NOT IN ('command', 'manual')");
    query.push(" AND (t.quota IS NULL OR t.quota <> 'blocked')");
    count(reader, query, "events").await
}

async fn count(reader: &mut impl Reader, query: Select, of: &'static str) -> StoreResult<u64> {
    let rows = reader.rows(query, "count", of).await?;
    let counted = rows.first().map(|row| Columns::new(of, row).number("n")).transpose()?;
    Ok(counted.unwrap_or_default().cast_unsigned())
}

/// What an execution waits for by the time alone, if it is queued.
pub(crate) fn held(status: ExecutionStatus, flow: Option<Flow>) -> Option<WaitingOn> {
    let flow = flow.filter(|_| status == ExecutionStatus::Queued)?;
    let (until, by) = (flow.not_before?, flow.limit?);
    let until = until.to_string();
    let text = format!("waiting on the limit {} of {} until {until}", by.limit, by.of);
    Some(WaitingOn { limit: by.limit, of: by.of, until: Some(until), text })
}

/// What a queued execution waits for: a time that has not come, room in a gate, or room among its customer's.
pub(crate) async fn waiting_on(
    reader: &mut impl Reader,
    reach: &Reach,
    id: ExecutionId,
    now: Timestamp,
    concurrency: Option<u32>,
) -> StoreResult<Option<WaitingOn>> {
    let mut query = Select::within(EXECUTION, reach);
    query.push(" AND t.id = ").bind_bytes(&id.to_bytes());
    query.push(" ORDER BY t.created DESC LIMIT 1");
    let rows = reader.rows(query, "read execution", &id.to_string()).await?;
    let Some(row) = rows.first() else { return Ok(None) };
    let row = Columns::new("executions", row);
    let status: ExecutionStatus = row.label("status")?;
    if status != ExecutionStatus::Queued {
        return Ok(None);
    }
    let flow: Flow = row.json("flow")?.unwrap_or_default();
    if flow.not_before.is_some_and(|at| at > now) {
        return Ok(held(status, Some(flow)));
    }
    let place = (row.number("created")?, row.number("seq")?);
    let customer = row.text("customer")?;
    for gate in &flow.gates {
        let ahead = ahead(reader, reach, &customer, place, Some(gate)).await?;
        if ahead >= u64::from(gate.limit) {
            return Ok(Some(words(&gate.name, gate.of.clone(), u64::from(gate.limit))));
        }
    }
    let Some(limit) = concurrency else { return Ok(None) };
    let ahead = ahead(reader, reach, &customer, place, None).await?;
    let words = || words("concurrentExecutions", format!("customer {customer}"), u64::from(limit));
    Ok((ahead >= u64::from(limit)).then(words))
}

fn words(limit: &str, of: String, most: u64) -> WaitingOn {
    let text = format!("waiting on the limit {limit} ({most}) of {of}");
    WaitingOn { limit: limit.to_owned(), of, until: None, text }
}

/// Executions that were admitted before and have not ended: of a gate, or of the customer those that may be running.
async fn ahead(
    reader: &mut impl Reader,
    reach: &Reach,
    customer: &str,
    (created, seq): (i64, i64),
    gate: Option<&Gate>,
) -> StoreResult<u64> {
    let mut query = Select::within(AHEAD, reach);
    query.push(" AND t.customer = ").bind_text(customer);
    query.push(" AND (t.created, t.seq) < (").bind_number(created);
    query.push(", ").bind_number(seq).push(")");
    match gate {
        Some(gate) => {
            query.push(" AND t.status IN ('queued', 'running', 'waiting') AND t.flow LIKE ").bind_text(&within(gate));
            query.push(" ESCAPE '!'");
        }
        None => {
            query.push(" AND t.status IN ('queued', 'running')");
        }
    }
    count(reader, query, "executions").await
}

/// A pattern for the JSON text of what holds an execution back, of those with this gate.
fn within(gate: &Gate) -> String {
    let key = serde_json::Value::from(gate.key.as_str()).to_string();
    let mut pattern = String::with_capacity(key.len() + 16);
    pattern.push_str("%\"key\":");
    for c in key.chars() {
        if matches!(c, '%' | '_' | '!') {
            pattern.push('!');
        }
        pattern.push(c);
    }
    pattern.push('%');
    pattern
}
