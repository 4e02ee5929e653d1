//! `POST /v1/events`: events that a SaaS backend sends, one or a batch, plain or as CloudEvents.
//!
//! A batch is all or nothing: one event that is not valid refuses it, and every bad part is named (`events[3].type`).
//! A valid batch is one append, in order.
//!
//! `Idempotency-Key: k` becomes the id of an event without one: `k` for a single event, `k/0`, `k/1` … in a batch. So a
//! send that is repeated with the same key is admitted once.

use axum::extract::Request;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, HeaderValue};
use fastn_contract::HEADER_IDEMPOTENCY_KEY;
use fastn_contract::activity::Origin;
use fastn_contract::command::BATCH_EVENTS_MAX;
use fastn_contract::error::{ErrorCode, Problem};
use fastn_domain::catalog::APP_SOURCE_PREFIX;
use fastn_domain::event::EventRecord;
use fastn_domain::{EventId, Scope, Timestamp};

use crate::auth::authenticate;
use crate::body::{self, Encoding};
use crate::cloudevents;
use crate::draft::{Draft, Envelope};
use crate::edge::{Edge, Taken};
use crate::event_id::new_event_id;
use crate::fields::{Fields, Items};
use crate::kept_headers::traceparent;
use crate::payload::Media;
use crate::plain;
use crate::problem::{cut, invalid, invalid_part};

/// Most bytes that are parsed on a thread that serves requests: about a millisecond. Larger batches get another thread, so
/// that nobody's small request waits for them.
const PARSED_INLINE_BYTES_MAX: usize = 256 * 1024;

/// Events read from a body, and whether they came as a list.
struct Drafts {
    drafts: Vec<Draft>,
    batch: bool,
}

/// Reads a request into events that are ready to be stored.
pub(crate) async fn take(edge: &Edge, request: Request) -> Result<Taken, Problem> {
    let (head, body) = request.into_parts();
    let config = &edge.parts.config;
    let now = edge.parts.clock.now();
    let scope = {
        let catalog = edge.catalog();
        let scope = authenticate(&catalog, &head.headers, now)?.scope(&catalog, &head.headers)?;
        edge.parts.residency.check(&catalog, &scope)?;
        scope
    };
    let encoding = Encoding::of(&head.headers)?;
    let bytes_max = config.events_body_bytes_max;
    let received = body::receive(&head.headers, body, &edge.budget, bytes_max, config.body_time_max).await?;
    let body = body::decode(received, encoding, bytes_max).await?;
    let headers = head.headers;
    if body.bytes.len() <= PARSED_INLINE_BYTES_MAX {
        let (events, batch) = parse_events(&headers, &body.bytes, scope, now)?;
        return Ok(Taken { events, body, batch });
    }
    let parse = move || {
        let (events, batch) = parse_events(&headers, &body.bytes, scope, now)?;
        Ok(Taken { events, body, batch })
    };
    tokio::task::spawn_blocking(parse).await.unwrap_or_else(|_| {
        Err(Problem::new(ErrorCode::InternalError, "Reading the events failed. Nothing was taken."))
    })
}

/// The events of a request to `/v1/events`, and whether they came as a list. Pure, so that it can be fuzzed.
///
/// # Errors
/// `VALIDATION_ERROR` naming each bad part, `PAYLOAD_TOO_LARGE`, `UNSUPPORTED_MEDIA_TYPE`.
pub fn parse_events(
    headers: &HeaderMap,
    body: &[u8],
    scope: Scope,
    now: Timestamp,
) -> Result<(Vec<EventRecord>, bool), Problem> {
    let key = idempotency_key(headers)?;
    let Drafts { drafts, batch } = read(headers, body)?;
    if batch && let Some(key) = key {
        // The longest id that can come of it, checked once for the whole batch.
        event_id(&format!("{key}/{}", drafts.len()))?;
    }
    check_sources(&drafts, batch)?;
    let envelope = Envelope { scope, origin: Origin::Api, trigger: None, now, traceparent: traceparent(headers) };
    let record = |(at, draft): (usize, Draft)| {
        let id = key.and_then(|key| if batch { event_id(&format!("{key}/{at}")) } else { event_id(key) }.ok());
        draft.into_record(&envelope, || id.unwrap_or_else(|| new_event_id(now)))
    };
    Ok((drafts.into_iter().enumerate().map(record).collect(), batch))
}

/// Refuses sources that only an app's events have.
fn check_sources(drafts: &[Draft], batch: bool) -> Result<(), Problem> {
    let Some(at) = drafts.iter().position(|draft| draft.source.starts_with(APP_SOURCE_PREFIX)) else { return Ok(()) };
    let path = if batch { format!("events[{at}].source") } else { "source".to_owned() };
    Err(invalid_part(path, format!("starts with {APP_SOURCE_PREFIX}; send an app's events to /v1/app-events")))
}

/// The idempotency key of a request, which can be an event's id.
pub(crate) fn idempotency_key(headers: &HeaderMap) -> Result<Option<&str>, Problem> {
    let Some(value) = headers.get(HEADER_IDEMPOTENCY_KEY) else { return Ok(None) };
    let key = value.to_str().map_err(|_| invalid_part(HEADER_IDEMPOTENCY_KEY, "must be printable ASCII"))?;
    event_id(key).map(|_| Some(key))
}

/// The event id that an idempotency key becomes.
pub(crate) fn event_id(key: &str) -> Result<EventId, Problem> {
    EventId::new(key).map_err(|error| invalid_part(HEADER_IDEMPOTENCY_KEY, format!("becomes an event id, and {error}")))
}

fn read(headers: &HeaderMap, body: &[u8]) -> Result<Drafts, Problem> {
    let media = Media::of(headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes));
    match media {
        Media::CloudEvent => single(cloudevents::structured::read(text(body)?, String::new())),
        Media::CloudEventBatch => batch(items(text(body)?)?, "", cloudevents::structured::read),
        Media::CloudEventOther => Err(unsupported()),
        _ if cloudevents::is_binary(headers) => single(cloudevents::binary::read(headers, body)),
        Media::Json | Media::Absent => plain_events(text(body)?),
        Media::Form | Media::Text | Media::Binary => Err(unsupported()),
    }
}

fn single(draft: Result<Draft, Problem>) -> Result<Drafts, Problem> {
    Ok(Drafts { drafts: vec![draft?], batch: false })
}

fn plain_events(text: &str) -> Result<Drafts, Problem> {
    if text.trim_ascii_start().starts_with('[') {
        return batch(items(text)?, "", plain::read);
    }
    let Ok(mut fields) = Fields::read(text) else { return single(plain::read(text, String::new())) };
    // `{"events": […]}` and nothing beside it; an event has a type and no such field.
    if let (1, Some(list)) = (fields.0.len(), fields.take("events")) {
        return batch(items(list.get()).map_err(|_| invalid_part("events", too_many()))?, "events", plain::read);
    }
    single(plain::from_fields(fields, String::new()))
}

fn batch(
    items: Items<'_, BATCH_EVENTS_MAX>,
    list: &str,
    read: fn(&str, String) -> Result<Draft, Problem>,
) -> Result<Drafts, Problem> {
    if items.0.is_empty() {
        return Err(invalid_part(if list.is_empty() { "body" } else { list }, "holds no event"));
    }
    let mut drafts = Vec::with_capacity(items.0.len());
    let mut errors = Vec::new();
    for (at, item) in items.0.iter().enumerate() {
        match read(item.get(), format!("events[{at}].")) {
            Ok(draft) => drafts.push(draft),
            // Every bad event of the batch is named, unless the trouble is with the request as a whole.
            Err(problem) if !problem.errors.is_empty() => errors.extend(problem.errors),
            Err(problem) => {
                let detail = format!("events[{at}]: {}", problem.detail);
                return Err(Problem { detail, ..problem });
            }
        }
    }
    if errors.is_empty() { Ok(Drafts { drafts, batch: true }) } else { Err(invalid(errors)) }
}

fn items(text: &str) -> Result<Items<'_, BATCH_EVENTS_MAX>, Problem> {
    serde_json::from_str(text)
        .map_err(|error| invalid_part("body", format!("{}: {}", too_many(), cut(&error.to_string(), 200))))
}

fn too_many() -> String {
    format!("must be an array of 1 to {BATCH_EVENTS_MAX} events")
}

fn text(body: &[u8]) -> Result<&str, Problem> {
    std::str::from_utf8(body).map_err(|_| invalid_part("body", "is not UTF-8"))
}

fn unsupported() -> Problem {
    let detail = "Send events as application/json, or as CloudEvents in JSON: application/cloudevents+json, \
                  application/cloudevents-batch+json, or any body with ce- headers.";
    Problem::new(ErrorCode::UnsupportedMediaType, detail)
}
