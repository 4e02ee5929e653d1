//! Polls of triggers: how they stand, polling at once, and starting from nothing.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use fastn_contract::page::Page;
use fastn_contract::poll::{PollView, PollsAsked};
use fastn_contract::resource::{Trigger, TriggerSource};
use fastn_domain::catalog::ResourceKind;
use fastn_domain::poll::PollProgress;
use fastn_domain::{CustomerId, TriggerId};

use super::Api;
use super::caller::Caller;
use super::extract::{Params, PathParts, checked};
use super::problem::{ApiError, ApiResult};
use super::resources::{self, ListParams};

/// Get a trigger's polls
///
/// How the polls of a trigger stand, by customer. One that is not in the list has not begun; it does within a second or two
/// after its trigger is written.
#[utoipa::path(get, path = "/v1/triggers/{id}/poll", operation_id = "getPolls", tag = "Triggers",
    params(("id" = String, Path, description = "The trigger's id"), ListParams),
    responses((status = 200, description = "A page", body = Page<PollView>)))]
pub(crate) async fn get(
    State(api): State<Api>,
    caller: Caller,
    PathParts(id): PathParts<String>,
    Params(params): Params<ListParams>,
) -> ApiResult<Json<Page<PollView>>> {
    let (id, _) = polled(&api, &caller, &id).await?;
    let page = api.store.clone().polls().list(&caller.reach(), &id, &params.page()?).await?;
    let now = api.clock.now();
    let view = |row: fastn_store::PollRow| {
        let progress: PollProgress = serde_json::from_str(&row.body).unwrap_or_default();
        progress.view(&id, &row.customer, row.next_at, row.lease_until > now)
    };
    let items = page.items.into_iter().map(view).collect();
    Ok(Json(Page { items, next_cursor: page.next_cursor }))
}

/// Poll at once
///
/// For the customer named in the header, or for all that the trigger polls for. A poll that is under way is not begun again.
#[utoipa::path(post, path = "/v1/triggers/{id}/poll", operation_id = "pollNow", tag = "Triggers",
    params(("id" = String, Path, description = "The trigger's id")),
    responses((status = 202, description = "What is due now", body = PollsAsked)))]
pub(crate) async fn now(
    State(api): State<Api>,
    caller: Caller,
    PathParts(id): PathParts<String>,
) -> ApiResult<(StatusCode, Json<PollsAsked>)> {
    let (id, _) = polled(&api, &caller, &id).await?;
    let polls = api.store.clone().polls().hasten(&caller.reach(), &id, api.clock.now()).await?;
    Ok((StatusCode::ACCEPTED, Json(PollsAsked { polls })))
}

/// Forget what was listed
///
/// The next poll, which is due now, is as the first one: `initial` says whether its records are told as created.
#[utoipa::path(delete, path = "/v1/triggers/{id}/poll", operation_id = "resetPolls", tag = "Triggers",
    params(("id" = String, Path, description = "The trigger's id")),
    responses((status = 204, description = "Forgotten")))]
pub(crate) async fn reset(
    State(api): State<Api>,
    caller: Caller,
    PathParts(id): PathParts<String>,
) -> ApiResult<StatusCode> {
    let (id, trigger) = polled(&api, &caller, &id).await?;
    let customer = trigger.customer.as_deref().map(CustomerId::new).transpose();
    caller.may_configure_for(checked("customer", customer)?.as_ref())?;
    api.store.clone().polls().reset(&caller.reach(), &id, api.clock.now()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Refuses a trigger that polls to a key of one customer: its requests go wherever they say, with the account's secrets.
pub(super) fn check_writer(caller: &Caller, trigger: &Trigger) -> ApiResult<()> {
    match trigger.source {
        TriggerSource::Poll(_) => caller.may_configure(),
        _ => Ok(()),
    }
}

/// After a trigger was deleted: nothing is kept of its polls.
pub(super) async fn forget(api: &Api, caller: &Caller, id: &TriggerId) -> ApiResult<()> {
    Ok(api.store.clone().polls().forget(&caller.account, id).await?)
}

async fn polled(api: &Api, caller: &Caller, id: &str) -> ApiResult<(TriggerId, Trigger)> {
    let own = checked("id", TriggerId::new(id))?;
    let row = resources::required(api, caller, ResourceKind::Trigger, id).await?;
    let trigger: Trigger = resources::body(&row)?;
    match trigger.source {
        TriggerSource::Poll(_) => Ok((own, trigger)),
        _ => Err(ApiError::invalid("id", format!("trigger {id:?} polls nothing"))),
    }
}
