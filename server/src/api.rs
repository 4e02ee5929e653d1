//! The headless API: configuration, activity, runs, replay, live updates. One file per endpoint family.
//!
//! A handler and its OpenAPI entry are one registration. What every operation shares (authentication, idempotency keys,
//! limits, error answers) is a layer here and a pass over the document in `openapi`, so that no handler can forget it.

use std::ops::Deref;
use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware;
use tower_http::catch_panic::CatchPanicLayer;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub mod access;
mod alerts;
mod app_ports;
mod apps;
mod caller;
mod captured_tokens;
mod commands;
mod customers;
mod dead_letters;
mod deployments;
mod env_configs;
mod erasures;
mod events;
mod executions;
mod export;
mod extract;
mod idempotency;
mod limits;
mod log_keys;
mod opaque_id;
mod openapi;
mod plans;
mod polls;
mod ports;
mod problem;
mod reference;
mod replays;
mod request_id;
mod resources;
mod retention;
mod runs;
mod schedules;
mod secrets;
mod stream;
mod subscriptions;
mod system;
mod triggers;
mod usage;
mod versions;
mod workflows;

pub use app_ports::{AppAnswer, AppPorts, AppRequest, CallApp};
pub use ports::{ActivityChange, CatalogView, Ports, RunOutcome, RunTicket, SourceError};
pub(crate) use ports::{AwaitRun, Seal, TestChannels};
pub use replays::Jobs;

/// What every handler works with. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Api(Arc<ApiState>);

/// See [`Api`].
pub(crate) struct ApiState {
    ports: Ports,
    repeats: idempotency::InFlight,
    live: Arc<stream::Live>,
    limits: Arc<limits::Limits>,
}

impl Deref for ApiState {
    type Target = Ports;

    fn deref(&self) -> &Ports {
        &self.ports
    }
}

impl Deref for Api {
    type Target = ApiState;

    fn deref(&self) -> &ApiState {
        &self.0
    }
}

/// The routes of the API over `ports`, or without `serves_api` only those that every node answers: health, metrics and
/// documents. `edge` is the router of the ingest role: its routes are documented here, and it authenticates by itself.
/// Must be called within a runtime.
pub fn router(ports: Ports, edge: Router, serves_api: bool) -> Router {
    let live = stream::Live::start(&ports.activity, ports.stopping.clone());
    let limits = limits::Limits::start(ports.store.clone(), ports.clock.clone(), ports.stopping.clone());
    let api = Api(Arc::new(ApiState { ports, repeats: idempotency::InFlight::default(), live, limits }));
    let protected = if serves_api { protected().split_for_parts().0 } else { Router::new() };
    let (open, _) = open().split_for_parts();
    let protected = protected
        .layer(middleware::from_fn_with_state(api.clone(), idempotency::repeat_safely))
        .layer(middleware::from_fn_with_state(api.clone(), limits::enforce))
        .layer(middleware::from_fn_with_state(api.clone(), caller::authenticate))
        .layer(middleware::from_fn(crate::observe::count_request));
    Router::new()
        .merge(protected)
        .merge(open)
        .with_state(api)
        .merge(edge)
        .fallback(|| async { axum::http::StatusCode::NOT_FOUND })
        .layer(DefaultBodyLimit::max(extract::BODY_BYTES_MAX))
        .layer(middleware::from_fn(problem::dress))
        .layer(CatchPanicLayer::custom(problem::panicked))
        .layer(middleware::from_fn(request_id::identify))
}

/// The OpenAPI document as it is served.
pub fn document() -> serde_json::Value {
    openapi::finish(raw_document())
}

/// What the handlers' own annotations say.
fn raw_document() -> serde_json::Value {
    let (_, mut document) = protected().split_for_parts();
    let (_, open) = open().split_for_parts();
    document.merge(open);
    document.merge(events::edge_document());
    serde_json::to_value(document).expect("the document is plain data")
}

fn protected() -> OpenApiRouter<Api> {
    OpenApiRouter::with_openapi(openapi::base())
        .routes(routes!(customers::list))
        .routes(routes!(customers::get, customers::put, customers::delete))
        .routes(routes!(export::export))
        .routes(routes!(erasures::erase))
        .routes(routes!(erasures::list))
        .routes(routes!(erasures::get))
        .routes(routes!(retention::get, retention::put))
        .routes(routes!(workflows::list))
        .routes(routes!(workflows::get, workflows::put, workflows::delete))
        .routes(routes!(versions::list, versions::publish))
        .routes(routes!(versions::get))
        .routes(routes!(deployments::list))
        .routes(routes!(deployments::put))
        .routes(routes!(runs::run))
        .routes(routes!(triggers::list, triggers::create))
        .routes(routes!(triggers::get, triggers::put, triggers::delete))
        .routes(routes!(polls::get, polls::now, polls::reset))
        .routes(routes!(schedules::list))
        .routes(routes!(schedules::get))
        .routes(routes!(schedules::run))
        .routes(routes!(schedules::backfill))
        .routes(routes!(schedules::pause))
        .routes(routes!(schedules::resume))
        .routes(routes!(subscriptions::get))
        .routes(routes!(subscriptions::retry))
        .routes(routes!(apps::list))
        .routes(routes!(apps::get, apps::put, apps::delete))
        .routes(routes!(secrets::list))
        .routes(routes!(secrets::put, secrets::delete))
        .routes(routes!(captured_tokens::get))
        .routes(routes!(env_configs::list))
        .routes(routes!(env_configs::put, env_configs::delete))
        .routes(routes!(events::list))
        .routes(routes!(events::get))
        .routes(routes!(events::replay))
        .routes(routes!(plans::list))
        .routes(routes!(plans::get, plans::put, plans::delete))
        .routes(routes!(plans::list_tiers))
        .routes(routes!(plans::get_tier, plans::put_tier, plans::delete_tier))
        .routes(routes!(plans::settings, plans::put_settings))
        .routes(routes!(usage::list))
        .routes(routes!(usage::current))
        .routes(routes!(executions::list))
        .routes(routes!(executions::get))
        .routes(routes!(executions::cancel))
        .routes(routes!(executions::replay))
        .routes(routes!(executions::decide))
        .routes(routes!(stream::follow))
        .routes(routes!(dead_letters::list))
        .routes(routes!(dead_letters::replay_many))
        .routes(routes!(dead_letters::get))
        .routes(routes!(dead_letters::replay))
        .routes(routes!(alerts::list_rules))
        .routes(routes!(alerts::get_rule, alerts::put_rule, alerts::delete_rule))
        .routes(routes!(alerts::silence))
        .routes(routes!(alerts::unsilence))
        .routes(routes!(alerts::test))
        .routes(routes!(alerts::list))
        .routes(routes!(alerts::get))
        .routes(routes!(replays::preview))
        .routes(routes!(replays::list, replays::start))
        .routes(routes!(replays::get))
        .routes(routes!(replays::cancel))
}

fn open() -> OpenApiRouter<Api> {
    OpenApiRouter::default()
        .routes(routes!(system::healthz))
        .routes(routes!(system::readyz))
        .routes(routes!(system::metrics))
        .routes(routes!(system::openapi_json))
        .routes(routes!(reference::docs))
        .routes(routes!(reference::error_page))
}
