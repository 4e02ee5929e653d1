//! Triggers: what starts workflows.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use fastn_contract::error::ErrorCode;
use fastn_contract::page::Page;
use fastn_contract::resource::{Stored, Trigger};
use fastn_domain::TriggerId;
use fastn_domain::catalog::{ResourceKind, compile_trigger};

use super::Api;
use super::caller::Caller;
use super::extract::{Body, Params, PathParts, Precondition, checked};
use super::problem::{ApiError, ApiResult};
use super::resources::{self, ListParams};

const KIND: ResourceKind = ResourceKind::Trigger;

/// List triggers
#[utoipa::path(get, path = "/v1/triggers", operation_id = "listTriggers", tag = "Triggers", params(ListParams),
    responses((status = 200, description = "A page", body = Page<Stored<Trigger>>)))]
pub(crate) async fn list(
    State(api): State<Api>,
    caller: Caller,
    Params(params): Params<ListParams>,
) -> ApiResult<Json<Page<Stored<Trigger>>>> {
    resources::list(&api, &caller, KIND, params).await
}

/// Get a trigger
#[utoipa::path(get, path = "/v1/triggers/{id}", operation_id = "getTrigger", tag = "Triggers",
    params(("id" = String, Path, description = "The trigger's id")),
    responses((status = 200, description = "The trigger", body = Stored<Trigger>)))]
pub(crate) async fn get(
    State(api): State<Api>,
    caller: Caller,
    PathParts(id): PathParts<String>,
) -> ApiResult<Response> {
    checked("id", TriggerId::new(&id))?;
    resources::get::<Trigger>(&api, &caller, KIND, &id).await
}

/// Create or change a trigger
///
/// Takes effect at once, on every node. The id of a webhook trigger is part of its public URL, so ids are unique over
/// all accounts.
#[utoipa::path(put, path = "/v1/triggers/{id}", operation_id = "putTrigger", tag = "Triggers",
    params(("id" = String, Path, description = "The trigger's id")), request_body = Trigger,
    responses((status = 200, description = "Changed", body = Stored<Trigger>),
        (status = 201, description = "Created", body = Stored<Trigger>)))]
pub(crate) async fn put(
    State(api): State<Api>,
    caller: Caller,
    PathParts(id): PathParts<String>,
    Precondition(expect): Precondition,
    Body(trigger): Body<Trigger>,
) -> ApiResult<Response> {
    let own = checked("id", TriggerId::new(&id))?;
    resources::same_id("id", &id, &trigger.id)?;
    let compiled = compile_trigger(trigger.clone()).map_err(ApiError::fields)?;
    caller.may_configure_for(compiled.customer.as_ref())?;
    let before = api.store.resource(&caller.reach(), KIND, &id).await?;
    if let Some(row) = &before {
        caller.may_configure_for(row.customer.as_ref())?;
    }
    let known = before.is_some_and(|row| row.customer == compiled.customer);
    let owner = api.catalog.current().trigger_owner(&own).cloned();
    if owner.is_some_and(|owner| owner != caller.account) {
        return Err(ApiError::new(ErrorCode::Conflict, format!("the trigger id {id:?} is taken; choose another")));
    }
    let _one_at_a_time = api.may_create_trigger(&caller.account, compiled.customer.as_ref(), known).await?;
    let write = resources::writing(KIND, compiled.customer, &id, &trigger, expect)?;
    resources::put::<Trigger>(&api, &caller, write).await
}

/// Delete a trigger
///
/// Its URL answers 404 from now on. Executions that it started go on.
#[utoipa::path(delete, path = "/v1/triggers/{id}", operation_id = "deleteTrigger", tag = "Triggers",
    params(("id" = String, Path, description = "The trigger's id")),
    responses((status = 204, description = "Deleted")))]
pub(crate) async fn delete(
    State(api): State<Api>,
    caller: Caller,
    PathParts(id): PathParts<String>,
    Precondition(expect): Precondition,
) -> ApiResult<StatusCode> {
    checked("id", TriggerId::new(&id))?;
    resources::delete(&api, &caller, KIND, &id, expect).await
}
