//! The edge's parts and limits, its router, and how every request is answered.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use fastn_contract::app::AppAccepted;
use fastn_contract::command::Accepted;
use fastn_contract::error::Problem;
use fastn_domain::catalog::{Catalog, SealedSecret};
use fastn_domain::event::{EVENT_DATA_BYTES_MAX, EventRecord};
use fastn_domain::{AccountId, Clock, CustomerId, Residency};
use fastn_log::Log;
use futures_util::future::BoxFuture;
use tokio::sync::watch;

use crate::app::{AppEvents, AppOutcome};
use crate::append::{append_events, append_problem};
use crate::body::Received;
use crate::budget::Budget;
use crate::limiter::Limiter;
use crate::observe::{self, Route};
use crate::problem::ProblemResponse;
use crate::{app, app_send, events, limits, webhook};

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

/// A secret that a provider hands over itself.
#[derive(Clone, PartialEq, Eq)]
pub struct NewSecret {
    /// The account.
    pub account: AccountId,
    /// The one customer it belongs to; absent for the account's own.
    pub customer: Option<CustomerId>,
    /// Its name.
    pub name: String,
    /// The value.
    pub value: String,
}

impl std::fmt::Debug for NewSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NewSecret").field("name", &self.name).field("value", &"***").finish_non_exhaustive()
    }
}

/// Stores a secret, unless there is one of this name: `false`. Resolves once it is stored and this node can open it. The
/// error says why it could not be stored, without the value.
pub type KeepSecret = Arc<dyn Fn(NewSecret) -> BoxFuture<'static, Result<bool, String>> + Send + Sync>;

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
    /// Stores the signing secrets that providers hand over themselves.
    pub keep_secret: KeepSecret,
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

/// What a request to a webhook became.
pub(crate) enum Outcome {
    /// Events to store.
    Taken(Taken),
    /// A handshake, and its answer.
    Answered(Response),
}

/// The routes of webhooks and apps, and `POST /v1/events` and `POST /v1/app-events`.
///
/// It has no fallbacks of its own, so that it can be merged with the API's router, which has other methods on the same
/// paths; whoever wires the server puts [`crate::problem::with_fallbacks`] around the whole.
pub fn router(ingest: Ingest) -> Router {
    let budget = Budget::new(ingest.config.in_flight_bytes_max);
    Router::new()
        .route("/v1/webhooks/{trigger}", post(post_webhook).get(get_webhook))
        .route("/v1/events", post(post_events))
        .route("/v1/apps/{endpoint}/events", post(post_app).get(get_app))
        .route("/v1/app-events", post(post_app_events))
        .with_state(Arc::new(Edge { parts: ingest, budget, limiter: Limiter::default() }))
}

async fn post_webhook(
    State(edge): State<Arc<Edge>>,
    trigger: Result<Path<String>, PathRejection>,
    request: Request,
) -> Response {
    let started = Instant::now();
    let trigger = trigger.map(|Path(trigger)| trigger).unwrap_or_default();
    let answer = match webhook::take(&edge, &trigger, request).await {
        Ok(Outcome::Answered(answer)) => answer,
        Ok(Outcome::Taken(taken)) => answer(&edge, Route::Webhooks, started, Ok(taken)).await,
        Err(problem) => answer(&edge, Route::Webhooks, started, Err(problem)).await,
    };
    challenged(answer, || webhook::asks_for_basic(&edge, &trigger))
}

async fn get_webhook(
    State(edge): State<Arc<Edge>>,
    trigger: Result<Path<String>, PathRejection>,
    request: Request,
) -> Response {
    let trigger = trigger.map(|Path(trigger)| trigger).unwrap_or_default();
    handshake_or_405(webhook::ask(&edge, &trigger, &request), &request)
}

async fn post_app(
    State(edge): State<Arc<Edge>>,
    endpoint: Result<Path<String>, PathRejection>,
    request: Request,
) -> Response {
    let started = Instant::now();
    let endpoint = endpoint.map(|Path(endpoint)| endpoint).unwrap_or_default();
    let answer = match app::take(&edge, &endpoint, request).await {
        Ok(AppOutcome::Answered(answer)) => answer,
        Ok(AppOutcome::Taken(app, events, body)) => {
            observe::app_events(&app, events.dispatched(), events.unroutable);
            answer_app(&edge, Route::AppWebhooks, started, Ok((events, body))).await
        }
        Err(problem) => answer_app(&edge, Route::AppWebhooks, started, Err(problem)).await,
    };
    challenged(answer, || app::asks_for_basic(&edge, &endpoint))
}

async fn get_app(
    State(edge): State<Arc<Edge>>,
    endpoint: Result<Path<String>, PathRejection>,
    request: Request,
) -> Response {
    let endpoint = endpoint.map(|Path(endpoint)| endpoint).unwrap_or_default();
    handshake_or_405(app::ask(&edge, &endpoint, &request), &request)
}

async fn post_app_events(State(edge): State<Arc<Edge>>, request: Request) -> Response {
    let started = Instant::now();
    let taken = app_send::take(&edge, request).await;
    answer_app(&edge, Route::AppEvents, started, taken).await
}

/// A 401 of a URL whose senders use HTTP Basic asks for that: some send their password only when they are asked.
fn challenged(mut answer: Response, asks_for_basic: impl FnOnce() -> bool) -> Response {
    if answer.status() == StatusCode::UNAUTHORIZED && asks_for_basic() {
        let basic = HeaderValue::from_static("Basic realm=\"webhook\"");
        answer.headers_mut().insert(header::WWW_AUTHENTICATE, basic);
    }
    answer
}

/// The answer to a GET: a handshake's, else what every URL that takes only POST says.
fn handshake_or_405(asked: Result<Option<Response>, Problem>, request: &Request) -> Response {
    match asked {
        Ok(Some(answer)) => answer,
        Ok(None) => {
            let mut refused = crate::problem::no_such_method_at(request.method(), request.uri()).into_response();
            refused.headers_mut().insert(header::ALLOW, HeaderValue::from_static("POST"));
            refused
        }
        Err(problem) => ProblemResponse(problem).into_response(),
    }
}

/// Answers 202 once the events of every customer are durable. If some are not, the sender sends all again: what is stored
/// has the same id and counts once.
async fn answer_app(
    edge: &Edge,
    route: Route,
    started: Instant,
    taken: Result<(AppEvents, Received), Problem>,
) -> Response {
    let stored = match taken {
        Ok((events, body)) => store_app(edge, &events).await.map(|()| (events, body)),
        Err(problem) => Err(problem),
    };
    match stored {
        Ok((events, body)) => {
            observe::accepted(route, events.dispatched(), body.bytes.len(), started.elapsed());
            let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
            let mut event_ids: Vec<String> =
                events.by_customer.values().flatten().map(|event| event.id.as_str().to_owned()).collect();
            event_ids.sort_unstable();
            event_ids.dedup();
            let (received, dispatched) = (count(events.received), count(events.dispatched()));
            let answer = AppAccepted { received, dispatched, unroutable: count(events.unroutable), event_ids };
            json_accepted(serde_json::to_vec(&answer).expect("texts and numbers"))
        }
        Err(problem) => {
            observe::refused(route, &problem, started.elapsed());
            ProblemResponse(problem).into_response()
        }
    }
}

async fn store_app(edge: &Edge, events: &AppEvents) -> Result<(), Problem> {
    let revision = edge.catalog().revision;
    let appends = events.appends().map(|events| async {
        let appended = append_events(edge.parts.log.as_ref(), events, revision).await;
        appended.map(|_| ()).map_err(|error| append_problem(&error, events[0].id.as_str()))
    });
    // Every one is waited for, so that what was asked of the log is over when the sender is answered.
    futures_util::future::join_all(appends).await.into_iter().collect()
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
    json_accepted(body)
}

fn json_accepted(body: Vec<u8>) -> Response {
    let json = [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))];
    (StatusCode::ACCEPTED, json, body).into_response()
}
