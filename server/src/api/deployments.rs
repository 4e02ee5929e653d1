//! Deployments: which version of a workflow runs in an environment.

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use fastn_contract::command::DeployVersion;
use fastn_contract::page::Page;
use fastn_contract::resource::{Deployment, Stored};
use fastn_domain::catalog::ResourceKind;
use fastn_domain::{EnvironmentId, WorkflowId};

use super::Api;
use super::caller::Caller;
use super::extract::{Body, PathParts, Precondition, checked};
use super::problem::ApiResult;
use super::{resources, versions};

const KIND: ResourceKind = ResourceKind::Deployment;

/// List a workflow's deployments
///
/// The built-in environment `test` is in it only when a version was pinned there; without that it runs the latest.
#[utoipa::path(get, path = "/v1/workflows/{id}/deployments", operation_id = "listDeployments", tag = "Workflows",
    params(("id" = String, Path, description = "The workflow's id")),
    responses((status = 200, description = "All of them", body = Page<Stored<Deployment>>)))]
pub(crate) async fn list(
    State(api): State<Api>,
    caller: Caller,
    PathParts(id): PathParts<String>,
) -> ApiResult<Json<Page<Stored<Deployment>>>> {
    let workflow = checked("id", WorkflowId::new(&id))?;
    resources::required(&api, &caller, ResourceKind::Workflow, &id).await?;
    let catalog = api.catalog.current();
    let entry = catalog.account(&caller.account).and_then(|account| account.workflows.get(&workflow));
    let mut environments: Vec<&EnvironmentId> = entry.into_iter().flat_map(|entry| entry.deployments.keys()).collect();
    environments.sort();
    let mut items = Vec::new();
    for environment in environments {
        let row = api.store.resource(&caller.reach(), KIND, &format!("{id}/{environment}")).await?;
        if let Some(row) = row {
            items.push(resources::stored(&row)?);
        }
    }
    Ok(Json(Page { items, next_cursor: None }))
}

/// Deploy a version to an environment
///
/// New executions there run this version; running ones stay on theirs. Deploying an older version is the rollback.
#[utoipa::path(put, path = "/v1/workflows/{id}/deployments/{environment}", operation_id = "deployVersion",
    tag = "Workflows", params(("id" = String, Path, description = "The workflow's id"),
        ("environment" = String, Path, description = "The environment, e.g. `live`")),
    request_body = DeployVersion,
    responses((status = 200, description = "Changed", body = Stored<Deployment>),
        (status = 201, description = "First deployment there", body = Stored<Deployment>)))]
pub(crate) async fn put(
    State(api): State<Api>,
    caller: Caller,
    PathParts((id, environment)): PathParts<(String, String)>,
    Precondition(expect): Precondition,
    Body(request): Body<DeployVersion>,
) -> ApiResult<Response> {
    checked("id", WorkflowId::new(&id))?;
    checked("environment", EnvironmentId::new(&environment))?;
    let version = versions::row_id(&id, request.version);
    resources::required(&api, &caller, ResourceKind::WorkflowVersion, &version).await?;
    let row_id = format!("{id}/{environment}");
    let deployment = Deployment { workflow: id, environment, version: request.version };
    let write = resources::writing(KIND, None, &row_id, &deployment, expect)?;
    resources::put::<Deployment>(&api, &caller, write).await
}
