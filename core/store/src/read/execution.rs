//! Reading executions.

use fastn_contract::activity::{ExecutionStatus, ExecutionView};
use fastn_contract::page::Page;
use fastn_domain::event::Header;
use fastn_domain::ids::{AccountId, CustomerId, ExecutionId};
use fastn_domain::journal::{OpRecord, Wait};
use fastn_domain::scope::{Reach, Scope};
use fastn_domain::time::Timestamp;

use super::row::{Columns, next_cursor, read_label_error};
use super::{Cells, Reader, Select, Value};
use crate::activity_view::{latest_results, live_steps, log_lines, merged_headers, step_views};
use crate::label::Label as _;
use crate::seam::{ExecutionFilter, PageRequest, ReplaySource, StoreResult};

const LIST: &str = "SELECT t.seq, t.id, t.customer, t.created, t.status, t.workflow, t.version, t.environment, t.tier, \
    t.origin, t.trigger_id, t.event_id, t.replay_of, t.parent, t.attempt, t.finished, t.step_count, t.error, t.flow \
    FROM executions t";

const ONE: &str = "SELECT t.seq, t.id, t.account, t.customer, t.created, t.status, t.workflow, t.version, \
    t.environment, t.tier, t.origin, t.trigger_id, t.event_id, t.replay_of, t.parent, t.attempt, t.finished, \
    t.step_count, t.error, COALESCE(t.event_kind, e.kind) AS event_kind, \
    COALESCE(t.event_source, e.source) AS event_source, COALESCE(t.event_time, e.time) AS event_time, \
    t.headers, e.headers AS event_headers, COALESCE(t.input, e.data) AS input, t.steps, t.logs, t.output, t.results, \
    t.waits, t.flow FROM executions t LEFT JOIN events e \
    ON e.seq = t.event_seq AND e.account = t.account AND e.customer = t.customer";

pub(crate) async fn list(
    reader: &mut impl Reader,
    reach: &Reach,
    filter: &ExecutionFilter,
    page: &PageRequest,
) -> StoreResult<Page<ExecutionView>> {
    let mut query = Select::within(LIST, reach);
    if let Some(status) = filter.status {
        query.push(" AND t.status = ").bind_text(status.label());
        if status.label() != "completed" {
            // Lets the planner use the small index of the executions that did not simply complete.
            query.push(" AND t.status <> 'completed'");
        }
    }
    if let Some(workflow) = &filter.workflow {
        query.push(" AND t.workflow = ").bind_text(workflow);
    }
    if let Some(trigger) = &filter.trigger {
        query.push(" AND t.trigger_id = ").bind_text(trigger);
    }
    if let Some(event) = &filter.event_id {
        query.push(" AND t.event_id = ").bind_text(event);
    }
    if let Some(since) = filter.since {
        query.push(" AND t.created >= ").bind_number(since.0);
    }
    if let Some(until) = filter.until {
        query.push(" AND t.created < ").bind_number(until.0);
    }
    let limit = query.newest_first("executions", "created", page)?;
    let rows = reader.rows(query, "list", "executions").await?;
    let next_cursor = next_cursor(&rows, limit, "executions", "created")?;
    let items = rows.iter().take(limit as usize).map(summary).collect::<StoreResult<_>>()?;
    Ok(Page { items, next_cursor })
}

pub(crate) async fn one(
    reader: &mut impl Reader,
    reach: &Reach,
    id: ExecutionId,
) -> StoreResult<Option<ExecutionView>> {
    whole(reader, reach, id).await?.first().map(full).transpose()
}

/// An id may have run twice: once more after the event's id was forgotten. The newest run is the one to show.
async fn whole<R: Reader>(reader: &mut R, reach: &Reach, id: ExecutionId) -> StoreResult<Vec<R::Row>> {
    let mut query = Select::within(ONE, reach);
    query.push(" AND t.id = ").bind_bytes(&id.to_bytes());
    query.push(" ORDER BY t.created DESC LIMIT 1");
    reader.rows(query, "read execution", &id.to_string()).await
}

pub(crate) async fn replay_source(
    reader: &mut impl Reader,
    reach: &Reach,
    id: ExecutionId,
) -> StoreResult<Option<ReplaySource>> {
    let rows = whole(reader, reach, id).await?;
    let Some(row) = rows.first() else { return Ok(None) };
    let view = full(row)?;
    let row = Columns::new("executions", row);
    // Without its input there is nothing to replay: the event was deleted by age, or its log was trimmed too early.
    let Some(input) = row.text_or_null("input")? else { return Ok(None) };
    let id_of = |column: &'static str| row.text(column).map(|text| (column, text));
    let (account, customer) = (id_of("account")?, id_of("customer")?);
    let headers = merged_headers(
        row.json::<Vec<Header>>("event_headers")?.unwrap_or_default(),
        row.json::<Vec<Header>>("headers")?.unwrap_or_default(),
    );
    Ok(Some(ReplaySource {
        scope: Scope::new(
            AccountId::new(&account.1).map_err(|_| read_label_error("executions", account.0, &account.1))?,
            CustomerId::new(&customer.1).map_err(|_| read_label_error("executions", customer.0, &customer.1))?,
        ),
        view,
        input,
        headers: serde_json::to_string(&headers).expect("names and values are plain strings"),
        event_kind: row.text_or_null("event_kind")?.unwrap_or_default(),
        event_source: row.text_or_null("event_source")?.unwrap_or_default(),
        event_time: Timestamp(row.number_or_null("event_time")?.unwrap_or_default()),
        results: latest_results(row.lines::<OpRecord>("results")?),
    }))
}

pub(crate) async fn states(
    reader: &mut impl Reader,
    reach: &Reach,
    ids: &[ExecutionId],
) -> StoreResult<Vec<(ExecutionId, ExecutionStatus)>> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let mut query = Select::within("SELECT t.id, t.status FROM executions t", reach);
    query.push(" AND t.id").one_of(ids.iter().map(|id| Value::Bytes(id.to_bytes().to_vec())));
    let rows = reader.rows(query, "look at", "executions").await?;
    rows.iter().map(state).collect()
}

fn state(row: &impl Cells) -> StoreResult<(ExecutionId, ExecutionStatus)> {
    let row = Columns::new("executions", row);
    Ok((row.execution("id")?, row.label("status")?))
}

fn summary(row: &impl Cells) -> StoreResult<ExecutionView> {
    let row = Columns::new("executions", row);
    let created = row.number("created")?;
    let finished = row.number_or_null("finished")?;
    let status = row.label("status")?;
    Ok(ExecutionView {
        id: row.execution("id")?.to_string(),
        customer: row.text("customer")?,
        workflow: row.text("workflow")?,
        version: row.count("version")?,
        environment: row.text("environment")?,
        tier: row.label("tier")?,
        status,
        triggered_by: row.label("origin")?,
        trigger: row.text_or_null("trigger_id")?,
        event_id: row.text("event_id")?,
        replay_of: row.execution_or_null("replay_of")?.map(|id| id.to_string()),
        parent: row.execution_or_null("parent")?.map(|id| id.to_string()),
        attempt: row.count("attempt")?,
        created_at: Timestamp(created).to_string(),
        finished_at: finished.map(|at| Timestamp(at).to_string()),
        duration_ms: finished.map(|at| u64::try_from((at - created) / 1_000).unwrap_or(0)),
        step_count: row.count("step_count")?,
        waiting_on: super::usage::held(status, row.json("flow")?),
        error: row.json("error")?,
        input: None,
        output: None,
        steps: None,
        logs: None,
    })
}

fn full(row: &impl Cells) -> StoreResult<ExecutionView> {
    let mut view = summary(row)?;
    let row = Columns::new("executions", row);
    view.input = row.value("input")?;
    view.output = row.value("output")?;
    view.steps = Some(match row.json("steps")? {
        Some(steps) => step_views(steps),
        None if view.status.is_final() => Vec::new(),
        None => live_steps(row.lines("results")?, row.lines::<Wait>("waits")?),
    });
    view.logs = Some(log_lines(row.json("logs")?.unwrap_or_default()));
    Ok(view)
}
