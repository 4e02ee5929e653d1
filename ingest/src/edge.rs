//! The edge's parts and limits, its router, and how every request is answered.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use fastn_contract::command::Accepted;
use fastn_contract::error::Problem;
use fastn_domain::catalog::{Catalog, SealedSecret};
use fastn_domain::event::{EVENT_DATA_BYTES_MAX, EventRecord};
use fastn_domain::{AccountId, Clock, CustomerId, Residency};
use fastn_log::Log;
use tokio::sync::watch;

use crate::append::{append_events, append_problem};
use crate::budget::Budget;
use crate::limiter::Limiter;
use crate::observe::{self, Route};
use crate::problem::ProblemResponse;
use crate::{events, limits, webhook};

/// A sealed secret and the place that its seal is bound to.
#[derive(Clone, Copy, Debug)]
pub struct SecretAt<'a> {
    /// The account.
    pub account: &'a AccountId,
    /// The one customer it belongs to; absent for the account's own.
    pub customer: Option<&'a CustomerId>,
    /// Its name.
    pub name: &'a str,
    /// The version: the newest.
    pub version: u32,
    /// The sealed value of this version.
    pub sealed: &'a SealedSecret,
}

/// Opens a secret, as the vault of the store does. The error says why it cannot, without the value.
pub type OpenSecret = Arc<dyn Fn(SecretAt<'_>) -> Result<String, String> + Send + Sync>;

/// The limits of the edge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IngestConfig {
    /// Most bytes of a webhook's body, as sent and again decompressed.
    pub webhook_body_bytes_max: usize,
    /// Most bytes of a body of `/v1/events`, as sent and again decompressed: a batch as a whole.
    pub events_body_bytes_max: usize,
    /// Most bytes of bodies held at once by the process. What comes on top is answered 503.
    pub in_flight_bytes_max: usize,
    /// Longest time that a body may take to arrive.
    pub body_time_max: Duration,
}

impl Default for IngestConfig {
    fn default() -> Self {
        Self {
            webhook_body_bytes_max: EVENT_DATA_BYTES_MAX,
            events_body_bytes_max: 8 * 1024 * 1024,
            in_flight_bytes_max: 64 * 1024 * 1024,
            body_time_max: Duration::from_secs(10),
        }
    }
}

/// What the edge works with.
#[derive(Clone)]
pub struct Ingest {
    /// Where events go.
    pub log: Arc<dyn Log>,
    /// The configuration, as new as it is.
    pub catalog: watch::Receiver<Arc<Catalog>>,
    /// Opens the signing secrets of webhooks.
    pub secrets: OpenSecret,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Whose events are taken here.
    pub residency: Arc<Residency>,
    /// The limits.
    pub config: IngestConfig,
}

/// [`Ingest`] and what its requests share.
pub(crate) struct Edge {
    pub(crate) parts: Ingest,
    pub(crate) budget: Budget,
    pub(crate) limiter: Limiter,
}

impl Edge {
    /// The newest configuration.
    pub(crate) fn catalog(&self) -> Arc<Catalog> {
        self.parts.catalog.borrow().clone()
    }
}

/// What a request became: at least one event, from a body of so many bytes.
pub(crate) struct Taken {
    pub(crate) events: Vec<EventRecord>,
    pub(crate) body: crate::body::Received,
    /// Whether the sender sent a list and gets one.
    pub(crate) batch: bool,
}

/// The routes `POST /v1/webhooks/{trigger}` and `POST /v1/events`.
///
/// It has no fallbacks of its own, so that it can be merged with the API's router, which has other methods on the same
/// paths; whoever wires the server puts [`crate::problem::with_fallbacks`] around the whole.
pub fn router(ingest: Ingest) -> Router {
    let budget = Budget::new(ingest.config.in_flight_bytes_max);
    Router::new()
        .route("/v1/webhooks/{trigger}", post(post_webhook))
        .route("/v1/events", post(post_events))
        .with_state(Arc::new(Edge { parts: ingest, budget, limiter: Limiter::default() }))
}

async fn post_webhook(
    State(edge): State<Arc<Edge>>,
    trigger: Result<Path<String>, PathRejection>,
    request: Request,
) -> Response {
    let started = Instant::now();
    let trigger = trigger.map(|Path(trigger)| trigger).unwrap_or_default();
    let taken = webhook::take(&edge, &trigger, request).await;
    answer(&edge, Route::Webhooks, started, taken).await
}

async fn post_events(State(edge): State<Arc<Edge>>, request: Request) -> Response {
    let started = Instant::now();
    let taken = events::take(&edge, request).await;
    answer(&edge, Route::Events, started, taken).await
}

/// Answers 202 once the events are durable, and a problem for everything else.
async fn answer(edge: &Edge, route: Route, started: Instant, taken: Result<Taken, Problem>) -> Response {
    if let Ok(taken) = &taken
        && let Some((problem, told)) = limits::refusal(edge, taken)
    {
        observe::refused(route, &problem, started.elapsed());
        let response = ProblemResponse(problem).into_response();
        return limits::tell(response, told.as_slice(), edge.parts.clock.now());
    }
    let stored = match taken {
        Ok(taken) => store(edge, &taken).await.map(|()| taken),
        Err(problem) => Err(problem),
    };
    match stored {
        Ok(taken) => {
            observe::accepted(route, taken.events.len(), taken.body.bytes.len(), started.elapsed());
            accepted(&taken)
        }
        Err(problem) => {
            observe::refused(route, &problem, started.elapsed());
            ProblemResponse(problem).into_response()
        }
    }
}

async fn store(edge: &Edge, taken: &Taken) -> Result<(), Problem> {
    let appended = append_events(edge.parts.log.as_ref(), &taken.events, edge.catalog().revision).await;
    appended.map(|_| ()).map_err(|error| append_problem(&error, taken.events[0].id.as_str()))
}

fn accepted(taken: &Taken) -> Response {
    let id = |event: &EventRecord| event.id.as_str().to_owned();
    let event_ids = if taken.batch { taken.events.iter().map(id).collect() } else { Vec::new() };
    let answer = Accepted { event_id: id(&taken.events[0]), event_ids };
    let body = serde_json::to_vec(&answer).expect("ids are texts");
    let json = [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))];
    (StatusCode::ACCEPTED, json, body).into_response()
}
