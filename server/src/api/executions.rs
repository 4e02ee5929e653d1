//! Executions: every run, its steps, and what can be asked of it.

use axum::Extension;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use fastn_contract::activity::{ExecutionStatus, ExecutionView};
use fastn_contract::command::{Decision, ReplayExecution, RunAnswer};
use fastn_contract::error::ErrorCode;
use fastn_contract::page::Page;
use fastn_domain::event::Command;
use fastn_domain::time::parse_rfc3339;
use fastn_domain::{ExecutionId, Reach, Scope, Timestamp};
use fastn_store::ExecutionFilter;
use serde::Deserialize;
use utoipa::IntoParams;

use super::caller::Caller;
use super::extract::{Body, Params, PathParts, execution_id, instant, page};
use super::idempotency::IdempotencyKey;
use super::problem::{ApiError, ApiResult};
use super::replays::build::{replay_of, version_to_run};
use super::{Api, commands};

/// Longest remark of a decision.
const COMMENT_BYTES_MAX: usize = 4_096;

/// The query of the list of executions.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ExecutionParams {
    /// Only those that stand here.
    #[param(inline)]
    status: Option<ExecutionStatus>,
    /// Only those of this workflow.
    workflow: Option<String>,
    /// Only those of this trigger.
    trigger: Option<String>,
    /// Only those that this event started.
    event_id: Option<String>,
    /// Admitted at or after, RFC 3339.
    #[param(format = DateTime)]
    since: Option<String>,
    /// Admitted before, RFC 3339.
    #[param(format = DateTime)]
    until: Option<String>,
    /// The `nextCursor` of the page before.
    #[param(max_length = 1024)]
    cursor: Option<String>,
    /// Most rows of the page; 50 when absent.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
}

/// List executions
///
/// Newest first, without input, output, steps and logs.
#[utoipa::path(get, path = "/v1/executions", operation_id = "listExecutions", tag = "Executions",
    params(ExecutionParams), responses((status = 200, description = "A page", body = Page<ExecutionView>)))]
pub(crate) async fn list(
    State(api): State<Api>,
    caller: Caller,
    Params(params): Params<ExecutionParams>,
) -> ApiResult<Json<Page<ExecutionView>>> {
    let filter = ExecutionFilter {
        status: params.status,
        workflow: params.workflow,
        trigger: params.trigger,
        event_id: params.event_id,
        since: instant("since", params.since.as_deref())?,
        until: instant("until", params.until.as_deref())?,
    };
    let page = page(params.cursor, params.limit)?;
    let mut page = api.store.executions(&caller.reach(), &filter, &page).await?;
    let now = api.clock.now();
    page.items.iter_mut().for_each(|view| drop_past_waits(view, now));
    Ok(Json(page))
}

/// Get an execution
///
/// With input, output, every step and what it logged. Secrets are masked.
#[utoipa::path(get, path = "/v1/executions/{id}", operation_id = "getExecution", tag = "Executions",
    params(("id" = String, Path, description = "`exec_…`")),
    responses((status = 200, description = "The execution", body = ExecutionView)))]
pub(crate) async fn get(
    State(api): State<Api>,
    caller: Caller,
    PathParts(id): PathParts<String>,
) -> ApiResult<Json<ExecutionView>> {
    let mut view = found(&api, &caller, &id).await?;
    if view.status == ExecutionStatus::Queued {
        let scope = scope_of(&caller, &view)?;
        let (concurrency, _) = api.catalog.current().share(&scope);
        let (execution, now) = (execution_id(&id)?, api.clock.now());
        view.waiting_on = api.store.waiting_on(&Reach::Customer(scope), execution, now, concurrency).await?;
    }
    Ok(Json(view))
}

/// A time that has come holds nothing back; what else does is told of one execution only.
fn drop_past_waits(view: &mut ExecutionView, now: Timestamp) {
    let until = view.waiting_on.as_ref().and_then(|waiting| parse_rfc3339(waiting.until.as_deref()?));
    if until.is_some_and(|until| until <= now) {
        view.waiting_on = None;
    }
}

/// Cancel an execution
///
/// Asks for its end; an outside call under way is not taken back. One that has ended cannot be cancelled.
#[utoipa::path(post, path = "/v1/executions/{id}/cancel", operation_id = "cancelExecution", tag = "Executions",
    params(("id" = String, Path, description = "`exec_…`")),
    responses((status = 202, description = "Asked for", body = RunAnswer)))]
pub(crate) async fn cancel(
    State(api): State<Api>,
    caller: Caller,
    key: Option<Extension<IdempotencyKey>>,
    PathParts(id): PathParts<String>,
) -> ApiResult<(StatusCode, Json<RunAnswer>)> {
    let execution = execution_id(&id)?;
    let view = found(&api, &caller, &id).await?;
    refuse_ended(&view, "cancelled")?;
    let scope = scope_of(&caller, &view)?;
    let request = commands::request_id("cancel", &scope, key.as_deref());
    commands::append_command(&api, &scope, &request, &Command::Cancel { execution }).await?;
    Ok((StatusCode::ACCEPTED, Json(RunAnswer { execution_id: id, status: view.status, output: None })))
}

/// Replay an execution
///
/// Runs it again as a new execution, with the same input: from the start, or from the failed step with the results
/// before it kept. Effects happen again unless their receiver knows the idempotency key.
#[utoipa::path(post, path = "/v1/executions/{id}/replay", operation_id = "replayExecution", tag = "Executions",
    params(("id" = String, Path, description = "`exec_…`")), request_body = Option<ReplayExecution>,
    responses((status = 202, description = "The new execution", body = RunAnswer)))]
pub(crate) async fn replay(
    State(api): State<Api>,
    caller: Caller,
    key: Option<Extension<IdempotencyKey>>,
    PathParts(id): PathParts<String>,
    request: Option<Body<ReplayExecution>>,
) -> ApiResult<(StatusCode, Json<RunAnswer>)> {
    let request = request.map(|Body(request)| request).unwrap_or_default();
    let execution = execution_id(&id)?;
    let new = start_replay(&api, &caller, execution, &request, key.as_deref()).await?;
    let answer = RunAnswer { execution_id: new.to_string(), status: ExecutionStatus::Queued, output: None };
    Ok((StatusCode::ACCEPTED, Json(answer)))
}

/// Decide an approval
///
/// Answers the approval that an execution waits for; its `ctx.approval` resolves with the decision.
#[utoipa::path(post, path = "/v1/executions/{id}/decisions", operation_id = "decideApproval", tag = "Executions",
    params(("id" = String, Path, description = "`exec_…`")), request_body = Decision,
    responses((status = 202, description = "Handed to the execution", body = RunAnswer)))]
pub(crate) async fn decide(
    State(api): State<Api>,
    caller: Caller,
    key: Option<Extension<IdempotencyKey>>,
    PathParts(id): PathParts<String>,
    Body(decision): Body<Decision>,
) -> ApiResult<(StatusCode, Json<RunAnswer>)> {
    let execution = execution_id(&id)?;
    if decision.comment.as_ref().is_some_and(|comment| comment.len() > COMMENT_BYTES_MAX) {
        return Err(ApiError::invalid("comment", format!("must be at most {COMMENT_BYTES_MAX} bytes")));
    }
    let view = found(&api, &caller, &id).await?;
    refuse_ended(&view, "decided")?;
    let scope = scope_of(&caller, &view)?;
    let request = commands::request_id("decide", &scope, key.as_deref());
    let answer = serde_json::json!({
        "approved": decision.approved, "comment": decision.comment, "by": decision.by,
        "at": api.clock.now().to_string(),
    });
    let command = Command::Decide { execution, key: decision.step, answer: answer.to_string() };
    commands::append_command(&api, &scope, &request, &command).await?;
    Ok((StatusCode::ACCEPTED, Json(RunAnswer { execution_id: id, status: view.status, output: None })))
}

/// The execution, if it is within reach.
/// The execution, if it is within the caller's reach.
pub(super) async fn found(api: &Api, caller: &Caller, id: &str) -> ApiResult<ExecutionView> {
    let view = api.store.execution(&caller.reach(), execution_id(id)?).await?;
    view.ok_or_else(|| ApiError::not_found("execution", id))
}

fn scope_of(caller: &Caller, view: &ExecutionView) -> ApiResult<Scope> {
    Scope::parse(caller.account.as_str(), &view.customer)
        .map_err(|error| ApiError::new(ErrorCode::DbError, error.to_string()))
}

fn refuse_ended(view: &ExecutionView, done: &str) -> ApiResult<()> {
    if !view.status.is_final() {
        return Ok(());
    }
    let detail = format!("execution {} has ended and cannot be {done}", view.id);
    Err(ApiError::new(ErrorCode::Conflict, detail).execution(&view.id))
}

/// Asks for a replay and tells the new execution's id.
pub(crate) async fn start_replay(
    api: &Api,
    caller: &Caller,
    execution: ExecutionId,
    request: &ReplayExecution,
    key: Option<&IdempotencyKey>,
) -> ApiResult<ExecutionId> {
    let source = api.store.replay_source(&caller.reach(), execution).await?;
    let source = source.ok_or_else(|| ApiError::not_found("execution", &execution.to_string()))?;
    if !source.view.status.is_final() {
        let detail = format!("execution {execution} has not ended; only an ended one can be replayed");
        return Err(ApiError::new(ErrorCode::Conflict, detail).execution(execution));
    }
    let id = commands::request_id(&format!("replay_{execution}"), &source.scope, key);
    let scope = source.scope.clone();
    let version = version_to_run(&api.catalog.current(), &source, request.version)?;
    let replay = replay_of(source, execution, version, request.from, &id)?;
    let new = replay.execution;
    commands::append_command(api, &scope, &id, &Command::Replay(Box::new(replay))).await?;
    Ok(new)
}
