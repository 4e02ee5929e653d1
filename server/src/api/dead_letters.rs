//! Dead letters: executions that failed for good, and their replay, one or many.

use axum::Extension;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use fastn_contract::activity::{DeadLetterStatus, DeadLetterView, ExecutionStatus};
use fastn_contract::command::{
    DEAD_LETTER_REPLAYS_MAX, DeadLetterReplay, DeadLettersReplayed, ReplayDeadLetters, ReplayExecution, RunAnswer,
};
use fastn_contract::page::{PAGE_LIMIT_MAX, Page};
use fastn_domain::ExecutionId;
use fastn_store::PageRequest;
use serde::Deserialize;
use utoipa::IntoParams;

use super::Api;
use super::caller::Caller;
use super::executions::start_replay;
use super::extract::{Body, Params, PathParts, execution_id, page};
use super::idempotency::IdempotencyKey;
use super::problem::{ApiError, ApiResult};

/// Replays of one request when it names no limit.
const REPLAYS_DEFAULT: u32 = 100;

/// The query of the list of dead letters.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct DeadLetterParams {
    /// Only those that stand here.
    #[param(inline)]
    status: Option<DeadLetterStatus>,
    /// Only those of this workflow.
    workflow: Option<String>,
    /// The `nextCursor` of the page before.
    #[param(max_length = 1024)]
    cursor: Option<String>,
    /// Most rows of the page; 50 when absent.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
}

/// List dead letters
///
/// Newest first.
#[utoipa::path(get, path = "/v1/dead-letters", operation_id = "listDeadLetters", tag = "Dead letters",
    params(DeadLetterParams), responses((status = 200, description = "A page", body = Page<DeadLetterView>)))]
pub(crate) async fn list(
    State(api): State<Api>,
    caller: Caller,
    Params(params): Params<DeadLetterParams>,
) -> ApiResult<Json<Page<DeadLetterView>>> {
    let page = page(params.cursor, params.limit)?;
    let workflow = params.workflow.as_deref();
    Ok(Json(api.store.dead_letters(&caller.reach(), params.status, workflow, &page).await?))
}

/// Get a dead letter
#[utoipa::path(get, path = "/v1/dead-letters/{id}", operation_id = "getDeadLetter", tag = "Dead letters",
    params(("id" = String, Path, description = "The execution's id, `exec_…`")),
    responses((status = 200, description = "The dead letter", body = DeadLetterView)))]
pub(crate) async fn get(
    State(api): State<Api>,
    caller: Caller,
    PathParts(id): PathParts<String>,
) -> ApiResult<Json<DeadLetterView>> {
    let letter = execution_id(&id).map_err(|_| ApiError::not_found("dead letter", &id))?;
    let found = api.store.dead_letter(&caller.reach(), letter).await?;
    found.map(Json).ok_or_else(|| ApiError::not_found("dead letter", &id))
}

/// Replay a dead letter
///
/// As a new execution. The dead letter stays, and names its replays.
#[utoipa::path(post, path = "/v1/dead-letters/{id}/replay", operation_id = "replayDeadLetter", tag = "Dead letters",
    params(("id" = String, Path, description = "The execution's id, `exec_…`")),
    request_body = Option<ReplayExecution>,
    responses((status = 202, description = "The new execution", body = RunAnswer)))]
pub(crate) async fn replay(
    State(api): State<Api>,
    caller: Caller,
    key: Option<Extension<IdempotencyKey>>,
    PathParts(id): PathParts<String>,
    request: Option<Body<ReplayExecution>>,
) -> ApiResult<(StatusCode, Json<RunAnswer>)> {
    let missing = || ApiError::not_found("dead letter", &id);
    let letter = execution_id(&id).map_err(|_| missing())?;
    api.store.dead_letter(&caller.reach(), letter).await?.ok_or_else(missing)?;
    let request = request.map(|Body(request)| request).unwrap_or_default();
    let new = start_replay(&api, &caller, letter, &request, key.as_deref()).await?;
    let answer = RunAnswer { execution_id: new.to_string(), status: ExecutionStatus::Queued, output: None };
    Ok((StatusCode::ACCEPTED, Json(answer)))
}

/// Replay many dead letters
///
/// Those named in `ids`, or those that are pending, newest first, up to `limit`. The answer tells how many were started.
#[utoipa::path(post, path = "/v1/dead-letters/replay", operation_id = "replayDeadLetters", tag = "Dead letters",
    request_body = ReplayDeadLetters,
    responses((status = 202, description = "What was started", body = DeadLettersReplayed)))]
pub(crate) async fn replay_many(
    State(api): State<Api>,
    caller: Caller,
    key: Option<Extension<IdempotencyKey>>,
    Body(request): Body<ReplayDeadLetters>,
) -> ApiResult<(StatusCode, Json<DeadLettersReplayed>)> {
    let limit = request.limit.unwrap_or(REPLAYS_DEFAULT);
    if limit == 0 || limit > DEAD_LETTER_REPLAYS_MAX {
        return Err(ApiError::invalid("limit", format!("must be 1 to {DEAD_LETTER_REPLAYS_MAX}")));
    }
    let (chosen, skipped) = chosen(&api, &caller, &request, limit).await?;
    let wanted = ReplayExecution { from: request.from, version: request.version };
    let mut answer = DeadLettersReplayed { skipped, ..DeadLettersReplayed::default() };
    for id in chosen {
        let letter = execution_id(&id)?;
        match start_replay(&api, &caller, letter, &wanted, key.as_deref()).await {
            Ok(new) => {
                answer.count += 1;
                answer.replays.push(DeadLetterReplay { dead_letter: id, execution_id: new.to_string() });
            }
            Err(error) if error.0.status < 500 => answer.skipped.push(id),
            // What was started is started. With an idempotency key the repeat starts only the rest.
            Err(error) => return Err(error),
        }
    }
    Ok((StatusCode::ACCEPTED, Json(answer)))
}

/// The dead letters to replay, and those named that are not there.
async fn chosen(
    api: &Api,
    caller: &Caller,
    request: &ReplayDeadLetters,
    limit: u32,
) -> ApiResult<(Vec<String>, Vec<String>)> {
    let reach = caller.reach();
    let workflow = request.workflow.as_deref();
    let Some(ids) = &request.ids else {
        let pending = Some(DeadLetterStatus::Pending);
        let page = PageRequest { cursor: None, limit: limit.min(PAGE_LIMIT_MAX) };
        let page = api.store.dead_letters(&reach, pending, workflow, &page).await?;
        return Ok((page.items.into_iter().map(|letter| letter.id).collect(), Vec::new()));
    };
    if ids.len() > DEAD_LETTER_REPLAYS_MAX as usize {
        return Err(ApiError::invalid("ids", format!("at most {DEAD_LETTER_REPLAYS_MAX} in one request")));
    }
    let (mut chosen, mut skipped) = (Vec::new(), Vec::new());
    for id in ids.iter().take(limit as usize) {
        let known = match id.parse::<ExecutionId>() {
            Ok(letter) => api.store.dead_letter(&reach, letter).await?,
            Err(_) => None,
        };
        let wanted = known.is_some_and(|letter| workflow.is_none_or(|workflow| workflow == letter.workflow));
        if wanted { chosen.push(id.clone()) } else { skipped.push(id.clone()) }
    }
    Ok((chosen, skipped))
}
