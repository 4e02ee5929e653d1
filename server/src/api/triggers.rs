//! Triggers: what starts workflows.

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use axum::{Extension, Json};
use fastn_contract::error::ErrorCode;
use fastn_contract::page::Page;
use fastn_contract::resource::{Stored, Trigger, TriggerSource, TriggerView};
use fastn_domain::TriggerId;
use fastn_domain::catalog::{ResourceKind, ResourceRow, compile_trigger};
use fastn_store::{Expect, ResourceWrite};

use super::Api;
use super::caller::Caller;
use super::extract::{Body, Params, PathParts, Precondition, checked};
use super::idempotency::IdempotencyKey;
use super::problem::{ApiError, ApiResult};
use super::resources::{self, ListParams};
use super::{opaque_id, polls, schedules, subscriptions};

const KIND: ResourceKind = ResourceKind::Trigger;

/// List triggers
///
/// An app-event trigger says whether its app knows of it (`subscription`), apart from its status.
#[utoipa::path(get, path = "/v1/triggers", operation_id = "listTriggers", tag = "Triggers", params(ListParams),
    responses((status = 200, description = "A page", body = Page<TriggerView>)))]
pub(crate) async fn list(
    State(api): State<Api>,
    caller: Caller,
    Params(params): Params<ListParams>,
) -> ApiResult<Json<Page<TriggerView>>> {
    let Json(page) = resources::list::<Trigger>(&api, &caller, KIND, params).await?;
    let items = page.items.into_iter().map(|stored| view(&api, &caller, stored)).collect();
    Ok(Json(Page { items, next_cursor: page.next_cursor }))
}

/// A trigger with where its subscription stands.
fn view(api: &Api, caller: &Caller, stored: Stored<Trigger>) -> TriggerView {
    let Stored { revision, created_at, updated_at, body } = stored;
    let subscription = subscriptions::state(api, &caller.account, &body);
    TriggerView { revision, created_at, updated_at, subscription, body }
}

fn answer(api: &Api, caller: &Caller, status: StatusCode, row: &ResourceRow) -> ApiResult<Response> {
    Ok(resources::answer_with(status, row.version, view(api, caller, resources::stored(row)?)))
}

/// Get a trigger
#[utoipa::path(get, path = "/v1/triggers/{id}", operation_id = "getTrigger", tag = "Triggers",
    params(("id" = String, Path, description = "The trigger's id")),
    responses((status = 200, description = "The trigger", body = TriggerView)))]
pub(crate) async fn get(
    State(api): State<Api>,
    caller: Caller,
    PathParts(id): PathParts<String>,
) -> ApiResult<Response> {
    checked("id", TriggerId::new(&id))?;
    let row = resources::required(&api, &caller, KIND, &id).await?;
    answer(&api, &caller, StatusCode::OK, &row)
}

/// Create a trigger
///
/// With an id of one's own, which must be new, or else a random one: the public URL of a webhook then tells nothing and
/// cannot be guessed. The same idempotency key makes the same trigger.
#[utoipa::path(post, path = "/v1/triggers", operation_id = "createTrigger", tag = "Triggers", request_body = Trigger,
    responses((status = 201, description = "Created", body = TriggerView)))]
pub(crate) async fn create(
    State(api): State<Api>,
    caller: Caller,
    key: Option<Extension<IdempotencyKey>>,
    headers: HeaderMap,
    Body(mut trigger): Body<Trigger>,
) -> ApiResult<Response> {
    let mut expect = Expect::New;
    if trigger.id.is_empty() {
        trigger.id = match (key, fastn_ingest::auth::access_key(&headers)) {
            (Some(Extension(IdempotencyKey(key))), Some(access_key)) => {
                // A repeat after an answer that was lost finds what it made.
                expect = Expect::Any;
                opaque_id::repeatable("whk_", access_key, &key)
            }
            _ => opaque_id::random("whk_"),
        };
    }
    let mut response = write(&api, &caller, trigger, expect, &headers).await?;
    *response.status_mut() = StatusCode::CREATED;
    Ok(response)
}

/// Create or change a trigger
///
/// Takes effect at once, on every node. The id of a webhook trigger is part of its public URL, so ids are unique over
/// all accounts. An app-event trigger makes itself known to its app; see its subscription for what the app answered.
#[utoipa::path(put, path = "/v1/triggers/{id}", operation_id = "putTrigger", tag = "Triggers",
    params(("id" = String, Path, description = "The trigger's id")), request_body = Trigger,
    responses((status = 200, description = "Changed", body = TriggerView),
        (status = 201, description = "Created", body = TriggerView)))]
pub(crate) async fn put(
    State(api): State<Api>,
    caller: Caller,
    PathParts(id): PathParts<String>,
    Precondition(expect): Precondition,
    headers: HeaderMap,
    Body(trigger): Body<Trigger>,
) -> ApiResult<Response> {
    checked("id", TriggerId::new(&id))?;
    resources::same_id("id", &id, &trigger.id)?;
    write(&api, &caller, trigger, expect, &headers).await
}

/// Writes a trigger, and makes an app-event trigger known to its app.
async fn write(
    api: &Api,
    caller: &Caller,
    trigger: Trigger,
    expect: Expect,
    headers: &HeaderMap,
) -> ApiResult<Response> {
    let compiled = compile_trigger(trigger.clone()).map_err(ApiError::fields)?;
    caller.may_configure_for(compiled.customer.as_ref())?;
    polls::check_writer(caller, &trigger)?;
    let known = api.store.resource(&caller.reach(), KIND, &trigger.id).await?;
    if let Some(row) = &known {
        caller.may_configure_for(row.customer.as_ref())?;
    }
    let owner = api.catalog.current().trigger_owner(&compiled.id).cloned();
    if owner.is_some_and(|owner| owner != caller.account) {
        let detail = format!("the trigger id {:?} is taken; choose another", trigger.id);
        return Err(ApiError::new(ErrorCode::Conflict, detail));
    }
    let there = known.as_ref().is_some_and(|row| row.customer == compiled.customer);
    let _one_at_a_time = api.may_write_trigger(&caller.account, &compiled, there).await?;
    let before = known.as_ref().map(resources::body::<Trigger>).transpose()?;
    subscriptions::check(api, caller, &trigger, before.as_ref())?;
    let mut writes = vec![resources::writing(KIND, compiled.customer, &trigger.id, &trigger, expect)?];
    if before.is_none() {
        writes.extend(subscriptions::beginning(&trigger, &compiled.id)?);
    }
    writes.extend(schedules::told_by_write(api, caller, before.as_ref(), &trigger).await?);
    let rows = resources::write_all(api, caller, writes).await?;
    let missing = || ApiError::new(ErrorCode::DbError, "the database returned no row");
    let row = rows.into_iter().find(|row| row.kind == KIND).ok_or_else(missing)?;
    if matches!(trigger.source, TriggerSource::AppEvent { .. }) {
        subscriptions::subscribe(api, caller, &trigger, row.version, headers).await?;
    }
    let status = if row.version == 1 { StatusCode::CREATED } else { StatusCode::OK };
    answer(api, caller, status, &row)
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
    headers: HeaderMap,
) -> ApiResult<StatusCode> {
    let own = checked("id", TriggerId::new(&id))?;
    let row = resources::required(&api, &caller, KIND, &id).await?;
    let trigger: Trigger = resources::body(&row)?;
    if !matches!(trigger.source, TriggerSource::AppEvent { .. }) {
        let history = schedules::forgotten(&api, &caller, &id).await?;
        let status = resources::delete_with(&api, &caller, KIND, &id, expect, history).await?;
        polls::forget(&api, &caller, &own).await?;
        return Ok(status);
    }
    caller.may_configure()?;
    let expect = if expect == Expect::Any { Expect::Version(row.version) } else { expect };
    if expect != Expect::Version(row.version) {
        return Err(ApiError::new(ErrorCode::Conflict, format!("trigger {id:?} has version {}", row.version)));
    }
    // The app forgets it first: a process that dies in between leaves a trigger that can be deleted again.
    let subscription = subscriptions::end(&api, &caller, &trigger, &headers).await?;
    let mut writes = vec![ResourceWrite { kind: KIND, customer: row.customer, id, body: None, expect }];
    writes.extend(subscription);
    resources::write_all(&api, &caller, writes).await?;
    Ok(StatusCode::NO_CONTENT)
}
