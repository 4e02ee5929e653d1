//! Workflows: their settings. Their code is published as versions.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use fastn_contract::error::FieldError;
use fastn_contract::page::Page;
use fastn_contract::resource::{Stored, Tier, Workflow};
use fastn_domain::WorkflowId;
use fastn_domain::catalog::ResourceKind;
use fastn_domain::flow::{CompiledFlow, Holder};
use fastn_domain::retry::ATTEMPTS;

use super::Api;
use super::caller::Caller;
use super::extract::{Body, Params, PathParts, Precondition, checked};
use super::problem::{ApiError, ApiResult};
use super::resources::{self, ListParams};

const KIND: ResourceKind = ResourceKind::Workflow;
/// Longest wait between two attempts: a day.
const INTERVAL_MS_MAX: u64 = 86_400_000;

/// List workflows
#[utoipa::path(get, path = "/v1/workflows", operation_id = "listWorkflows", tag = "Workflows", params(ListParams),
    responses((status = 200, description = "A page", body = Page<Stored<Workflow>>)))]
pub(crate) async fn list(
    State(api): State<Api>,
    caller: Caller,
    Params(params): Params<ListParams>,
) -> ApiResult<Json<Page<Stored<Workflow>>>> {
    resources::list(&api, &caller, KIND, params).await
}

/// Get a workflow
#[utoipa::path(get, path = "/v1/workflows/{id}", operation_id = "getWorkflow", tag = "Workflows",
    params(("id" = String, Path, description = "The workflow's id")),
    responses((status = 200, description = "The workflow", body = Stored<Workflow>)))]
pub(crate) async fn get(
    State(api): State<Api>,
    caller: Caller,
    PathParts(id): PathParts<String>,
) -> ApiResult<Response> {
    checked("id", WorkflowId::new(&id))?;
    resources::get::<Workflow>(&api, &caller, KIND, &id).await
}

/// Create or change a workflow's settings
#[utoipa::path(put, path = "/v1/workflows/{id}", operation_id = "putWorkflow", tag = "Workflows",
    params(("id" = String, Path, description = "The workflow's id")), request_body = Workflow,
    responses((status = 200, description = "Changed", body = Stored<Workflow>),
        (status = 201, description = "Created", body = Stored<Workflow>)))]
pub(crate) async fn put(
    State(api): State<Api>,
    caller: Caller,
    PathParts(id): PathParts<String>,
    Precondition(expect): Precondition,
    Body(workflow): Body<Workflow>,
) -> ApiResult<Response> {
    checked("id", WorkflowId::new(&id))?;
    resources::same_id("id", &id, &workflow.id)?;
    let errors = check(&workflow);
    if !errors.is_empty() {
        return Err(ApiError::fields(errors));
    }
    let write = resources::writing(KIND, None, &id, &workflow, expect)?;
    resources::put::<Workflow>(&api, &caller, write).await
}

/// Delete a workflow
///
/// New runs end; running executions stay on their version and finish. Triggers that name it start nothing.
#[utoipa::path(delete, path = "/v1/workflows/{id}", operation_id = "deleteWorkflow", tag = "Workflows",
    params(("id" = String, Path, description = "The workflow's id")),
    responses((status = 204, description = "Deleted")))]
pub(crate) async fn delete(
    State(api): State<Api>,
    caller: Caller,
    PathParts(id): PathParts<String>,
    Precondition(expect): Precondition,
) -> ApiResult<StatusCode> {
    checked("id", WorkflowId::new(&id))?;
    resources::delete(&api, &caller, KIND, &id, expect).await
}

/// The longest that a workflow of this tier may run.
pub(crate) const fn tier_ms_max(tier: Tier) -> u64 {
    match tier {
        Tier::Instant => 60_000,
        Tier::Standard => 15 * 60_000,
        Tier::Long => 6 * 3_600_000,
    }
}

fn check(workflow: &Workflow) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let mut complain = |path: &str, message: String| errors.push(FieldError { path: path.to_owned(), message });
    let limit = tier_ms_max(workflow.tier);
    if workflow.timeout_ms.is_some_and(|timeout| timeout == 0 || timeout > limit) {
        complain("timeoutMs", format!("must be 1 to {limit} in this tier"));
    }
    if let Some(retry) = &workflow.retry {
        if !ATTEMPTS.contains(&retry.max_attempts) {
            complain("retry.maxAttempts", format!("must be {} to {}", ATTEMPTS.start(), ATTEMPTS.end()));
        }
        if !(1.0..=100.0).contains(&retry.backoff_coefficient) {
            complain("retry.backoffCoefficient", "must be 1 to 100".to_owned());
        }
        for (path, value) in
            [("retry.initialInterval", retry.initial_interval), ("retry.maxInterval", retry.max_interval)]
        {
            if value > INTERVAL_MS_MAX {
                complain(path, format!("must be at most {INTERVAL_MS_MAX}"));
            }
        }
    }
    if let Some(Err(wrong)) = workflow.flow.as_ref().map(|flow| CompiledFlow::compile(flow, Holder::Workflow)) {
        errors.extend(wrong);
    }
    errors
}
