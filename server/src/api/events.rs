//! Events: what came in and what became of it. Sending is the ingest role's; it is documented here.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use fastn_contract::activity::{EventStatus, EventView, Origin};
use fastn_contract::app::{AppAccepted, SendAppEvent};
use fastn_contract::command::{Accepted, SendEvent};
use fastn_contract::error::ErrorCode;
use fastn_contract::flow::Priority;
use fastn_contract::page::Page;
use fastn_contract::quota::QuotaOutcome;
use fastn_domain::event::EventRecord;
use fastn_domain::{EventId, TriggerId};
use fastn_store::{EventFilter, StoredEvent};
use serde::Deserialize;
use utoipa::{IntoParams, OpenApi};

use super::caller::Caller;
use super::extract::{Params, PathParts, checked, instant, page};
use super::problem::{ApiError, ApiResult};
use super::{Api, commands};

/// The query of the list of events.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct EventParams {
    /// Only those of which admission made this.
    #[param(inline)]
    status: Option<EventStatus>,
    /// Only those that came from here.
    #[param(inline)]
    origin: Option<Origin>,
    /// Only this CloudEvents type.
    #[serde(rename = "type")]
    #[param(rename = "type")]
    kind: Option<String>,
    /// Only those that arrived at this webhook trigger.
    trigger: Option<String>,
    /// Only those that a quota did this to.
    #[param(inline)]
    quota: Option<QuotaOutcome>,
    /// Received at or after, RFC 3339.
    #[param(format = DateTime)]
    since: Option<String>,
    /// Received before, RFC 3339.
    #[param(format = DateTime)]
    until: Option<String>,
    /// The `nextCursor` of the page before.
    #[param(max_length = 1024)]
    cursor: Option<String>,
    /// Most rows of the page; 50 when absent.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
}

/// List events
///
/// Newest first, without payloads. With the customer header, those of that customer only.
#[utoipa::path(get, path = "/v1/events", operation_id = "listEvents", tag = "Events", params(EventParams),
    responses((status = 200, description = "A page", body = Page<EventView>)))]
pub(crate) async fn list(
    State(api): State<Api>,
    caller: Caller,
    Params(params): Params<EventParams>,
) -> ApiResult<Json<Page<EventView>>> {
    let filter = EventFilter {
        status: params.status,
        origin: params.origin,
        kind: params.kind,
        trigger: params.trigger,
        quota: params.quota,
        since: instant("since", params.since.as_deref())?,
        until: instant("until", params.until.as_deref())?,
    };
    let page = page(params.cursor, params.limit)?;
    Ok(Json(api.store.events(&caller.reach(), &filter, &page).await?))
}

/// Get an event
///
/// With its payload. Event ids are the sender's: without the customer header, the newest with this id is shown.
#[utoipa::path(get, path = "/v1/events/{id}", operation_id = "getEvent", tag = "Events",
    params(("id" = String, Path, description = "The event's id")),
    responses((status = 200, description = "The event", body = EventView)))]
pub(crate) async fn get(
    State(api): State<Api>,
    caller: Caller,
    PathParts(id): PathParts<String>,
) -> ApiResult<Json<EventView>> {
    let event = checked("id", EventId::new(&id))?;
    let found = api.store.event(&caller.reach(), &event).await?;
    found.map(Json).ok_or_else(|| ApiError::not_found("event", &id))
}

/// Replay a refused event
///
/// Takes an event that a quota refused once more, with the same id: it is judged by the limits as they are now, and counts
/// now. Twice is once. An event that was admitted is not taken again; replay its executions instead.
#[utoipa::path(post, path = "/v1/events/{id}/replay", operation_id = "replayEvent", tag = "Events",
    params(("id" = String, Path, description = "The event's id")),
    responses((status = 202, description = "Durable, not yet processed", body = Accepted)))]
pub(crate) async fn replay(
    State(api): State<Api>,
    caller: Caller,
    PathParts(id): PathParts<String>,
) -> ApiResult<(StatusCode, Json<Accepted>)> {
    let event = checked("id", EventId::new(&id))?;
    let stored = api.store.stored_event(&caller.reach(), &event).await?;
    let stored = stored.ok_or_else(|| ApiError::not_found("event", &id))?;
    if stored.view.quota != Some(QuotaOutcome::Blocked) {
        let detail = format!("event {id} was not refused by a quota; replay its executions instead");
        return Err(ApiError::new(ErrorCode::Conflict, detail));
    }
    let again = event_again(event, stored)?;
    commands::append(&api, &again).await?;
    Ok((StatusCode::ACCEPTED, Json(Accepted { event_id: id, event_ids: Vec::new() })))
}

/// The event as it came.
fn event_again(id: EventId, stored: StoredEvent) -> ApiResult<EventRecord> {
    let unreadable = |error: &dyn std::fmt::Display| {
        ApiError::new(ErrorCode::DbError, format!("the stored event cannot be read: {error}"))
    };
    let StoredEvent { scope, view, headers, data, time } = stored;
    Ok(EventRecord {
        id,
        source: view.source,
        kind: view.kind,
        subject: view.subject,
        time,
        scope,
        origin: view.origin,
        trigger: view.trigger.as_deref().map(TriggerId::new).transpose().map_err(|error| unreadable(&error))?,
        workflow: None,
        environment: None,
        headers: serde_json::from_str(&headers).map_err(|error| unreadable(&error))?,
        data: data.into(),
        reply_to: None,
        traceparent: None,
        priority: view.priority.map(Priority::number),
    })
}

/// The routes of the ingest role, for the document only.
#[derive(OpenApi)]
#[openapi(paths(send_events, receive_webhook, receive_app_events, send_app_events))]
struct Edge;

/// See [`Edge`].
pub(crate) fn edge_document() -> utoipa::openapi::OpenApi {
    Edge::openapi()
}

/// Send events
///
/// Takes one event as `application/json`, a CloudEvent in structured mode (`application/cloudevents+json`), a batch
/// (`application/cloudevents-batch+json`), or a CloudEvent in binary mode (`ce-…` headers). `Content-Encoding: gzip` is
/// understood. The answer is 202 only once the events are durable. An id that was seen within the window is admitted
/// once, so a repeat is safe.
#[utoipa::path(post, path = "/v1/events", operation_id = "sendEvents", tag = "Events",
    request_body(content((SendEvent = "application/json"))),
    responses((status = 202, description = "Durable, not yet processed", body = Accepted)))]
#[expect(dead_code, reason = "the ingest role serves it; this documents it")]
fn send_events() {}

/// Receive a webhook
///
/// The public URL of a webhook trigger. The body is the provider's own; the trigger's verification scheme decides who
/// may send. The answer is 202 only once the event is durable.
#[utoipa::path(post, path = "/v1/webhooks/{trigger}", operation_id = "receiveWebhook", tag = "Events",
    params(("trigger" = String, Path, description = "The trigger's id")),
    request_body(content((serde_json::Value = "application/json"))),
    responses((status = 202, description = "Durable, not yet processed", body = Accepted)))]
#[expect(dead_code, reason = "the ingest role serves it; this documents it")]
fn receive_webhook() {}

/// Receive an app's events
///
/// The public URL of a connector app, one for all its customers. The body is the app's own, one event or an array of
/// them; the app's verification scheme decides who may send. Each event goes to the customers whose triggers have its
/// account. The answer is 202 only once the events of all of them are durable; sent again, they count once.
#[utoipa::path(post, path = "/v1/apps/{endpoint}/events", operation_id = "receiveAppEvents", tag = "Events",
    params(("endpoint" = String, Path, description = "The app's endpoint")),
    request_body(content((serde_json::Value = "application/json"))),
    responses((status = 202, description = "Durable, not yet processed", body = AppAccepted)))]
#[expect(dead_code, reason = "the ingest role serves it; this documents it")]
fn receive_app_events() {}

/// Send app events
///
/// Events of a connector app that the SaaS backend sends itself: one, or an array of them, all or none. An event goes to
/// the customer that it names, or to those whose triggers have its account.
#[utoipa::path(post, path = "/v1/app-events", operation_id = "sendAppEvents", tag = "Events",
    request_body(content((SendAppEvent = "application/json"))),
    responses((status = 202, description = "Durable, not yet processed", body = AppAccepted)))]
#[expect(dead_code, reason = "the ingest role serves it; this documents it")]
fn send_app_events() {}
