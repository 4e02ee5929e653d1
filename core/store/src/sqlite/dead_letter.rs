//! Reading dead letters.

use fastn_contract::activity::{DeadLetterStatus, DeadLetterView};
use fastn_contract::page::Page;
use fastn_domain::ids::ExecutionId;
use fastn_domain::scope::Reach;
use fastn_domain::time::Timestamp;
use sqlx::SqlitePool;
use sqlx::sqlite::SqliteRow;

use super::error::database;
use super::row::{Columns, execution_id, newest_first, next_cursor, read_label_error, within};
use crate::label::Label as _;
use crate::seam::{PageRequest, StoreResult};

const SELECT: &str = "SELECT t.seq, t.id, t.customer, t.workflow, t.event_id, t.status, t.attempts, t.created, t.error \
    FROM dead_letters t";

const REPLAYS: &str = "SELECT id FROM executions WHERE replay_of = $1 AND account = $2 ORDER BY created, seq LIMIT $3";
/// Most replays that are shown of one dead letter.
const REPLAYS_MAX: i64 = 100;

pub(super) async fn list(
    pool: &SqlitePool,
    reach: &Reach,
    status: Option<DeadLetterStatus>,
    workflow: Option<&str>,
    page: &PageRequest,
) -> StoreResult<Page<DeadLetterView>> {
    let mut query = within(SELECT, reach);
    if let Some(status) = status {
        query.push(" AND t.status = ").push_bind(status.label());
    }
    if let Some(workflow) = workflow {
        query.push(" AND t.workflow = ").push_bind(workflow.to_owned());
    }
    let limit = newest_first(&mut query, "dead_letters", "created", page)?;
    let rows = query.build().fetch_all(pool).await.map_err(|error| database("list", "dead letters", error))?;
    let next_cursor = next_cursor(&rows, limit, "dead_letters", "created")?;
    let mut items = Vec::with_capacity(rows.len());
    for row in rows.iter().take(limit as usize) {
        items.push(view(pool, reach, row).await?);
    }
    Ok(Page { items, next_cursor })
}

pub(super) async fn one(pool: &SqlitePool, reach: &Reach, id: ExecutionId) -> StoreResult<Option<DeadLetterView>> {
    let mut query = within(SELECT, reach);
    query.push(" AND t.id = ").push_bind(id.to_bytes().to_vec());
    let row = query
        .build()
        .fetch_optional(pool)
        .await
        .map_err(|error| database("read dead letter", id.to_string(), error))?;
    match row {
        Some(row) => Ok(Some(view(pool, reach, &row).await?)),
        None => Ok(None),
    }
}

async fn view(pool: &SqlitePool, reach: &Reach, row: &SqliteRow) -> StoreResult<DeadLetterView> {
    let row = Columns { table: "dead_letters", row };
    let unreadable = |column| read_label_error("dead_letters", column, "nothing");
    let id = row.execution("id")?.ok_or_else(|| unreadable("id"))?;
    let status: DeadLetterStatus = row.label("status")?;
    let replays = if status == DeadLetterStatus::Pending { Vec::new() } else { replays(pool, reach, id).await? };
    Ok(DeadLetterView {
        id: id.to_string(),
        customer: row.text("customer")?,
        workflow: row.text("workflow")?,
        event_id: row.text("event_id")?,
        status,
        attempts: row.count("attempts")?,
        created_at: Timestamp(row.get("created")?).to_string(),
        error: row.json("error")?.ok_or_else(|| unreadable("error"))?,
        replays,
    })
}

async fn replays(pool: &SqlitePool, reach: &Reach, id: ExecutionId) -> StoreResult<Vec<String>> {
    let ids: Vec<Vec<u8>> = sqlx::query_scalar(REPLAYS)
        .bind(id.to_bytes().to_vec())
        .bind(reach.account().as_str())
        .bind(REPLAYS_MAX)
        .fetch_all(pool)
        .await
        .map_err(|error| database("read replays of", id.to_string(), error))?;
    Ok(ids.iter().filter_map(|bytes| execution_id(bytes)).map(|id| id.to_string()).collect())
}
