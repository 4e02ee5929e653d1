//! Reading dead letters.

use fastn_contract::activity::{DeadLetterStatus, DeadLetterView};
use fastn_contract::page::Page;
use fastn_domain::ids::ExecutionId;
use fastn_domain::scope::Reach;
use fastn_domain::time::Timestamp;

use super::row::{Columns, next_cursor, read_label_error};
use super::{Cells, Reader, Select};
use crate::label::Label as _;
use crate::seam::{PageRequest, StoreResult};

const SELECT: &str = "SELECT t.seq, t.id, t.customer, t.workflow, t.event_id, t.status, t.attempts, t.created, t.error \
    FROM dead_letters t";

const REPLAYS: &str = "SELECT t.id FROM executions t";
/// Most replays that are shown of one dead letter.
const REPLAYS_MAX: i64 = 100;

pub(crate) async fn list(
    reader: &mut impl Reader,
    reach: &Reach,
    status: Option<DeadLetterStatus>,
    workflow: Option<&str>,
    page: &PageRequest,
) -> StoreResult<Page<DeadLetterView>> {
    let mut query = Select::within(SELECT, reach);
    if let Some(status) = status {
        query.push(" AND t.status = ").bind_text(status.label());
    }
    if let Some(workflow) = workflow {
        query.push(" AND t.workflow = ").bind_text(workflow);
    }
    let limit = query.newest_first("dead_letters", "created", page)?;
    let rows = reader.rows(query, "list", "dead letters").await?;
    let next_cursor = next_cursor(&rows, limit, "dead_letters", "created")?;
    let mut items = Vec::with_capacity(rows.len());
    for row in rows.iter().take(limit as usize) {
        items.push(view(reader, reach, row).await?);
    }
    Ok(Page { items, next_cursor })
}

pub(crate) async fn one(
    reader: &mut impl Reader,
    reach: &Reach,
    id: ExecutionId,
) -> StoreResult<Option<DeadLetterView>> {
    let mut query = Select::within(SELECT, reach);
    query.push(" AND t.id = ").bind_bytes(&id.to_bytes());
    query.push(" ORDER BY t.created DESC LIMIT 1");
    let rows = reader.rows(query, "read dead letter", &id.to_string()).await?;
    match rows.first() {
        Some(row) => Ok(Some(view(reader, reach, row).await?)),
        None => Ok(None),
    }
}

async fn view(reader: &mut impl Reader, reach: &Reach, row: &impl Cells) -> StoreResult<DeadLetterView> {
    let row = Columns::new("dead_letters", row);
    let id = row.execution("id")?;
    let status: DeadLetterStatus = row.label("status")?;
    let replays = if status == DeadLetterStatus::Pending { Vec::new() } else { replays(reader, reach, id).await? };
    Ok(DeadLetterView {
        id: id.to_string(),
        customer: row.text("customer")?,
        workflow: row.text("workflow")?,
        event_id: row.text("event_id")?,
        status,
        attempts: row.count("attempts")?,
        created_at: Timestamp(row.number("created")?).to_string(),
        error: row.json("error")?.ok_or_else(|| read_label_error("dead_letters", "error", "nothing"))?,
        replays,
    })
}

async fn replays(reader: &mut impl Reader, reach: &Reach, id: ExecutionId) -> StoreResult<Vec<String>> {
    let mut query = Select::within(REPLAYS, reach);
    query.push(" AND t.replay_of = ").bind_bytes(&id.to_bytes());
    query.push(" ORDER BY t.created, t.seq LIMIT ").bind_number(REPLAYS_MAX);
    let rows = reader.rows(query, "read replays of", &id.to_string()).await?;
    rows.iter().map(|row| Ok(Columns::new("executions", row).execution("id")?.to_string())).collect()
}
