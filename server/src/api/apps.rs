//! Connector apps: one shared URL for the webhooks of all customers.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use fastn_contract::error::ErrorCode;
use fastn_contract::page::Page;
use fastn_contract::resource::{App, Stored};
use fastn_domain::AppId;
use fastn_domain::catalog::{ResourceKind, compile_app};
use fastn_store::Expect;

use super::Api;
use super::caller::Caller;
use super::extract::{Body, Params, PathParts, Precondition, checked};
use super::opaque_id;
use super::problem::{ApiError, ApiResult};
use super::resources::{self, ListParams};

const KIND: ResourceKind = ResourceKind::App;

/// List apps
#[utoipa::path(get, path = "/v1/apps", operation_id = "listApps", tag = "Apps", params(ListParams),
    responses((status = 200, description = "A page", body = Page<Stored<App>>)))]
pub(crate) async fn list(
    State(api): State<Api>,
    caller: Caller,
    Params(params): Params<ListParams>,
) -> ApiResult<Json<Page<Stored<App>>>> {
    resources::list(&api, &caller, KIND, params).await
}

/// Get an app
#[utoipa::path(get, path = "/v1/apps/{id}", operation_id = "getApp", tag = "Apps",
    params(("id" = String, Path, description = "The app's id")),
    responses((status = 200, description = "The app", body = Stored<App>)))]
pub(crate) async fn get(
    State(api): State<Api>,
    caller: Caller,
    PathParts(id): PathParts<String>,
) -> ApiResult<Response> {
    checked("id", AppId::new(&id))?;
    resources::get::<App>(&api, &caller, KIND, &id).await
}

/// Create or change an app
///
/// A new app gets a random `endpoint`, which stays: its events are sent to `/v1/apps/<endpoint>/events`, a URL that tells
/// nothing of the account.
#[utoipa::path(put, path = "/v1/apps/{id}", operation_id = "putApp", tag = "Apps",
    params(("id" = String, Path, description = "The app's id")), request_body = App,
    responses((status = 200, description = "Changed", body = Stored<App>),
        (status = 201, description = "Created", body = Stored<App>)))]
pub(crate) async fn put(
    State(api): State<Api>,
    caller: Caller,
    PathParts(id): PathParts<String>,
    Precondition(expect): Precondition,
    Body(mut app): Body<App>,
) -> ApiResult<Response> {
    checked("id", AppId::new(&id))?;
    resources::same_id("id", &id, &app.id)?;
    compile_app(app.clone()).map_err(ApiError::fields)?;
    let known = api.store.resource(&caller.reach(), KIND, &id).await?;
    let kept = known.as_ref().map(resources::body::<App>).transpose()?.and_then(|app| app.endpoint);
    if app.endpoint.is_some() && app.endpoint != kept {
        return Err(ApiError::invalid("endpoint", "is made by the server and stays as it is; leave it out"));
    }
    app.endpoint = Some(kept.unwrap_or_else(|| opaque_id::random("ep_")));
    // Two that create it at once would give it two endpoints.
    let expect = match (expect, &known) {
        (Expect::Any, Some(row)) => Expect::Version(row.version),
        (Expect::Any, None) => Expect::New,
        (asked, _) => asked,
    };
    let write = resources::writing(KIND, None, &id, &app, expect)?;
    resources::put::<App>(&api, &caller, write).await
}

/// Delete an app
///
/// Its URL answers 404 from now on. An app that triggers listen to is not deleted.
#[utoipa::path(delete, path = "/v1/apps/{id}", operation_id = "deleteApp", tag = "Apps",
    params(("id" = String, Path, description = "The app's id")),
    responses((status = 204, description = "Deleted")))]
pub(crate) async fn delete(
    State(api): State<Api>,
    caller: Caller,
    PathParts(id): PathParts<String>,
    Precondition(expect): Precondition,
) -> ApiResult<StatusCode> {
    let own = checked("id", AppId::new(&id))?;
    let used = api.catalog.current().account(&caller.account).is_some_and(|account| account.app_is_used(&own));
    if used {
        let detail = format!("triggers listen to the app {id:?}; delete them first");
        return Err(ApiError::new(ErrorCode::Conflict, detail));
    }
    resources::delete(&api, &caller, KIND, &id, expect).await
}
