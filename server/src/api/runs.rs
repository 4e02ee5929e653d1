//! Running a workflow directly. An Instant one answers with its result, every other with the execution's id.
//!
//! The answer of an Instant run comes from the processor itself. When it does not (another request started the same
//! execution, the process restarted), the activity of the execution is looked at instead: never is it run twice.

use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use fastn_contract::activity::{ExecutionError, ExecutionStatus, ExecutionView, Origin};
use fastn_contract::command::{RunAnswer, RunWorkflow};
use fastn_contract::error::ErrorCode;
use fastn_contract::resource::{Switch, Tier};
use fastn_domain::catalog::{Catalog, ENVIRONMENT_TEST, WorkflowEntry};
use fastn_domain::event::{EventRecord, Header};
use fastn_domain::route::direct_execution;
use fastn_domain::span::{TRACESTATE_BYTES_MAX, is_traceparent};
use fastn_domain::{EnvironmentId, ExecutionId, Scope, Timestamp, WorkflowId};
use tokio::time::Instant;

use super::caller::Caller;
use super::commands::{self, SOURCE};
use super::extract::{Body, PathParts, checked};
use super::idempotency::IdempotencyKey;
use super::ports::{RunOutcome, RunTicket};
use super::problem::{ApiError, ApiResult};
use super::{Api, workflows};

/// The type of the event that a direct run is.
const RUN_TYPE: &str = "fastn.run";
/// Time beyond the workflow's own limit that an answer may take.
const ANSWER_GRACE: Duration = Duration::from_secs(5);
/// How long a node that stops still waits for an answer: less than it waits for its requests.
const LEAVING_WAIT: Duration = Duration::from_secs(8);
/// How often activity is looked at while the processor's own answer is awaited.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Run a workflow
///
/// For the customer named in the header. An Instant workflow answers 200 with its result, or with the error that it ended
/// with; the others answer 202 with the execution's id. With an `Idempotency-Key`, a repeat returns the first execution.
#[utoipa::path(post, path = "/v1/workflows/{id}/run", operation_id = "runWorkflow", tag = "Workflows",
    params(("id" = String, Path, description = "The workflow's id")), request_body = RunWorkflow,
    responses((status = 200, description = "The result of an Instant workflow", body = RunAnswer),
        (status = 202, description = "The execution to ask for", body = RunAnswer)))]
pub(crate) async fn run(
    State(api): State<Api>,
    caller: Caller,
    headers: HeaderMap,
    key: Option<Extension<IdempotencyKey>>,
    PathParts(id): PathParts<String>,
    Body(request): Body<RunWorkflow>,
) -> ApiResult<Response> {
    let workflow = checked("id", WorkflowId::new(&id))?;
    let environment = request.environment.as_deref().unwrap_or(ENVIRONMENT_TEST);
    let environment = checked("environment", EnvironmentId::new(environment))?;
    let scope = caller.scope()?;
    let catalog = api.catalog.current();
    let entry = runnable(&catalog, &scope, &workflow, &environment)?;
    let now = api.clock.now();
    let event = event(&scope, &workflow, &environment, &request, key.as_deref(), &headers, now)?;
    super::limits::check_payload(&catalog, &scope, event.data.len())?;
    let execution = direct_execution(&scope, &event.source, &event.id, &workflow, &environment);
    if entry.spec.tier != Tier::Instant {
        commands::append(&api, &event).await?;
        let answer = RunAnswer { execution_id: execution.to_string(), status: ExecutionStatus::Queued, output: None };
        return Ok((StatusCode::ACCEPTED, Json(answer)).into_response());
    }
    let limit = entry.spec.timeout_ms.unwrap_or(workflows::tier_ms_max(Tier::Instant));
    let deadline = Instant::now() + Duration::from_millis(limit) + ANSWER_GRACE;
    let outcome = run_and_wait(&api, &caller, event, execution, deadline).await?;
    answer(execution, outcome)
}

fn runnable<'c>(
    catalog: &'c Catalog,
    scope: &Scope,
    workflow: &WorkflowId,
    environment: &EnvironmentId,
) -> ApiResult<&'c WorkflowEntry> {
    catalog.customer(scope).ok_or_else(|| ApiError::not_found("customer", scope.customer.as_str()))?;
    if !catalog.is_active(scope) {
        let detail = format!("customer {} is suspended; its runs are refused", scope.customer);
        return Err(ApiError::new(ErrorCode::Forbidden, detail));
    }
    let entry = catalog.account(&scope.account).and_then(|account| account.workflows.get(workflow));
    let entry = entry.ok_or_else(|| ApiError::not_found("workflow", workflow.as_str()))?;
    if entry.spec.status == Switch::Disabled {
        let detail = format!("workflow {workflow} is disabled; enable it to run it");
        return Err(ApiError::new(ErrorCode::WorkflowNotPublished, detail));
    }
    if entry.version_in(environment).is_none() {
        let detail =
            format!("workflow {workflow} has no version in {environment}; publish it, or deploy a version there");
        return Err(ApiError::new(ErrorCode::WorkflowNotPublished, detail));
    }
    Ok(entry)
}

fn event(
    scope: &Scope,
    workflow: &WorkflowId,
    environment: &EnvironmentId,
    request: &RunWorkflow,
    key: Option<&IdempotencyKey>,
    headers: &HeaderMap,
    time: Timestamp,
) -> ApiResult<EventRecord> {
    let id = commands::request_id("run", scope, key);
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let traceparent = text("traceparent").filter(|text| is_traceparent(text));
    let tracestate = text("tracestate").filter(|state| traceparent.is_some() && state.len() <= TRACESTATE_BYTES_MAX);
    Ok(EventRecord {
        id: commands::event_id(&id)?,
        source: SOURCE.to_owned(),
        kind: RUN_TYPE.to_owned(),
        subject: None,
        time,
        scope: scope.clone(),
        origin: Origin::Manual,
        trigger: None,
        workflow: Some(workflow.clone()),
        environment: Some(environment.clone()),
        headers: tracestate.into_iter().map(|value| Header { name: "tracestate".to_owned(), value }).collect(),
        data: request.input.to_string().into(),
        reply_to: None,
        traceparent,
        priority: None,
    })
}

async fn run_and_wait(
    api: &Api,
    caller: &Caller,
    mut event: EventRecord,
    execution: ExecutionId,
    deadline: Instant,
) -> ApiResult<RunOutcome> {
    let mut changes = api.activity.subscribe();
    let RunTicket { reply_to, outcome: mut reply } = (api.await_run)();
    event.reply_to = Some(reply_to);
    commands::append(api, &event).await?;
    let wanted = execution.to_string();
    let mut look = tokio::time::interval(LOOK_EVERY);
    look.tick().await;
    let mut replies = true;
    let leaves = async {
        api.stopping.cancelled().await;
        tokio::time::sleep(LEAVING_WAIT).await;
    };
    tokio::pin!(leaves);
    loop {
        tokio::select! {
            answer = &mut reply, if replies => match answer {
                Some(Ok(outcome)) => return Ok(outcome),
                Some(Err((code, reason))) => {
                    return Err(ApiError::new(code, format!("nothing was started: {reason}")));
                }
                None => replies = false,
            },
            change = changes.recv() => {
                let ended = |change: &Arc<super::ActivityChange>| {
                    change.execution.id == wanted && change.execution.status.is_final()
                };
                if !change.as_ref().is_ok_and(ended) { continue; }
            }
            _ = look.tick() => {}
            () = tokio::time::sleep_until(deadline) => {
                let detail = format!("execution {execution} has not ended in time; ask for it by its id");
                return Err(ApiError::new(ErrorCode::Timeout, detail).execution(execution));
            }
            () = &mut leaves => {
                let detail = format!("the server stops; execution {execution} goes on without it");
                return Err(ApiError::new(ErrorCode::ServiceUnavailable, detail).execution(execution).retry_after(1));
            }
        }
        if let Some(view) = api.store.execution(&caller.reach(), execution).await?
            && view.status.is_final()
        {
            return Ok(outcome_of(view));
        }
    }
}

fn outcome_of(view: ExecutionView) -> RunOutcome {
    RunOutcome { status: view.status, output: view.output.map(|output| output.to_string()), error: view.error }
}

fn answer(execution: ExecutionId, outcome: RunOutcome) -> ApiResult<Response> {
    let code = match outcome.status {
        ExecutionStatus::Completed => {
            let output = outcome.output.as_deref().map(serde_json::from_str).transpose();
            let unreadable = |error| ApiError::new(ErrorCode::InternalError, format!("the result is no JSON: {error}"));
            let output = output.map_err(unreadable)?;
            let answer = RunAnswer { execution_id: execution.to_string(), status: outcome.status, output };
            return Ok(Json(answer).into_response());
        }
        ExecutionStatus::Timeout => ErrorCode::WorkflowTimeout,
        ExecutionStatus::Cancelled => ErrorCode::WorkflowCancelled,
        ExecutionStatus::Failed => ErrorCode::WorkflowFailed,
        // Escalated to a longer tier: it goes on.
        ExecutionStatus::Queued | ExecutionStatus::Running | ExecutionStatus::Waiting => {
            let answer = RunAnswer { execution_id: execution.to_string(), status: outcome.status, output: None };
            return Ok((StatusCode::ACCEPTED, Json(answer)).into_response());
        }
    };
    let detail = outcome.error.as_ref().map_or_else(|| code.title().to_owned(), headline);
    Err(ApiError::new(code, detail).execution(execution))
}

/// An error in one line: name, message, place.
fn headline(error: &ExecutionError) -> String {
    let mut line = format!("{}: {}", error.name, error.message);
    if let (Some(file), Some(at)) = (&error.file, error.line) {
        line.push_str(&format!(" ({file}:{at}:{})", error.column.unwrap_or(1)));
    }
    line
}
