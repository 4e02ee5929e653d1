//! Replays in bulk: previewed, started, followed, cancelled.
//!
//! A replay is a resource. What works on it is [`Replays`], on every node that serves the API.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use fastn_contract::error::ErrorCode;
use fastn_contract::page::Page;
use fastn_contract::replay::{ReplayPreview, ReplayStatus, ReplayView, StartReplay};
use fastn_domain::catalog::{ResourceKind, ResourceRow};
use fastn_domain::{AccountId, CustomerId, Reach, Scope};
use fastn_store::Expect;
use tokio::task::JoinHandle;

use super::Api;
use super::caller::Caller;
use super::extract::{Body, Params, PathParts};
use super::idempotency::IdempotencyKey;
use super::ports::Ports;
use super::problem::{ApiError, ApiResult};
use super::resources::{self, ListParams};

pub(crate) mod build;
mod preview;
mod runner;
mod select;
mod stored;

use self::select::Selection;
use self::stored::StoredReplay;

const KIND: ResourceKind = ResourceKind::Replay;
/// Times that a cancellation is tried against the progress that is written meanwhile.
const CANCELS_MAX: usize = 20;
/// How often a node looks for replays that another has left.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Preview a replay
///
/// How many would run, and what the first few of them would do: at which version, with which results kept, and which
/// calls going out again. Nothing is started.
#[utoipa::path(post, path = "/v1/replays/preview", operation_id = "previewReplay", tag = "Replays",
    request_body = StartReplay, responses((status = 200, description = "What it would do", body = ReplayPreview)))]
pub(crate) async fn preview(
    State(api): State<Api>,
    caller: Caller,
    Body(request): Body<StartReplay>,
) -> ApiResult<Json<ReplayPreview>> {
    let reach = reach_of(&api, &caller, &request)?;
    let selection = Selection::of("rpl_preview", reach, &request, api.clock.now())?;
    Ok(Json(preview::preview(&api, &selection, &request).await?))
}

/// Start a replay
///
/// Runs in the background, at its rate, whichever node dies meanwhile. Each item is started once.
#[utoipa::path(post, path = "/v1/replays", operation_id = "startReplay", tag = "Replays",
    request_body = StartReplay, responses((status = 202, description = "The replay", body = ReplayView)))]
pub(crate) async fn start(
    State(api): State<Api>,
    caller: Caller,
    key: Option<Extension<IdempotencyKey>>,
    Body(request): Body<StartReplay>,
) -> ApiResult<(StatusCode, Json<ReplayView>)> {
    let reach = reach_of(&api, &caller, &request)?;
    let id = new_id("rpl", &reach, key.as_deref());
    let now = api.clock.now();
    Selection::of(&id, reach.clone(), &request, now)?;
    let customer = reach.customer().cloned();
    let replay = StoredReplay::new(request, customer.as_ref().map(ToString::to_string), now);
    let write = resources::writing(KIND, customer, &id, &replay, Expect::New)?;
    match resources::write_one(&api, &caller, write).await {
        Ok(_) => Ok((StatusCode::ACCEPTED, Json(replay.view(id)))),
        // A repeat of the request that started it.
        Err(error) if error.0.code == ErrorCode::Conflict && key.is_some() => {
            Ok((StatusCode::ACCEPTED, Json(view(&found(&api, &caller, &id).await?)?)))
        }
        Err(error) => Err(error),
    }
}

/// List replays
///
/// By id. A key of one customer sees those of its own only.
#[utoipa::path(get, path = "/v1/replays", operation_id = "listReplays", tag = "Replays", params(ListParams),
    responses((status = 200, description = "A page", body = Page<ReplayView>)))]
pub(crate) async fn list(
    State(api): State<Api>,
    caller: Caller,
    Params(params): Params<ListParams>,
) -> ApiResult<Json<Page<ReplayView>>> {
    let page = api.store.resources(&caller.reach(), KIND, &params.page()?).await?;
    let own = page.items.iter().filter(|row| is_own(&caller, row));
    let items = own.map(view).collect::<ApiResult<_>>()?;
    Ok(Json(Page { items, next_cursor: page.next_cursor }))
}

/// Get a replay
#[utoipa::path(get, path = "/v1/replays/{id}", operation_id = "getReplay", tag = "Replays",
    params(("id" = String, Path, description = "`rpl_…`")),
    responses((status = 200, description = "The replay", body = ReplayView)))]
pub(crate) async fn get(
    State(api): State<Api>,
    caller: Caller,
    PathParts(id): PathParts<String>,
) -> ApiResult<Json<ReplayView>> {
    Ok(Json(view(&found(&api, &caller, &id).await?)?))
}

/// Cancel a replay
///
/// Nothing more is started. What was started goes on.
#[utoipa::path(post, path = "/v1/replays/{id}/cancel", operation_id = "cancelReplay", tag = "Replays",
    params(("id" = String, Path, description = "`rpl_…`")),
    responses((status = 200, description = "The replay as it stands", body = ReplayView)))]
pub(crate) async fn cancel(
    State(api): State<Api>,
    caller: Caller,
    PathParts(id): PathParts<String>,
) -> ApiResult<Json<ReplayView>> {
    for _ in 0..CANCELS_MAX {
        let row = found(&api, &caller, &id).await?;
        let mut replay = read(&row)?;
        if replay.status == ReplayStatus::Cancelled {
            return Ok(Json(replay.view(id)));
        }
        if replay.status.is_final() {
            return Err(ApiError::new(ErrorCode::Conflict, format!("replay {id} is over and cannot be cancelled")));
        }
        replay.end(ReplayStatus::Cancelled, api.clock.now());
        let write = resources::writing(KIND, row.customer, &id, &replay, Expect::Version(row.version))?;
        match resources::write_one(&api, &caller, write).await {
            Ok(_) => return Ok(Json(replay.view(id))),
            // Its progress was written meanwhile.
            Err(error) if error.0.code == ErrorCode::Conflict => {}
            Err(error) => return Err(error),
        }
    }
    let detail = format!("replay {id} moves too fast to be cancelled; try again");
    Err(ApiError::new(ErrorCode::ServiceUnavailable, detail).retry_after(1))
}

/// How far the replay looks: the customer that the caller acts for, or that the request names.
fn reach_of(api: &Api, caller: &Caller, request: &StartReplay) -> ApiResult<Reach> {
    let named = select::customer_of(request)?;
    let bound = caller.reach().customer().cloned();
    let customer = match (bound, named) {
        (Some(bound), Some(named)) if bound != named => {
            let detail = format!("this request acts for customer {bound}; it cannot replay what is of {named}");
            return Err(ApiError::new(ErrorCode::Forbidden, detail));
        }
        (Some(customer), _) | (None, Some(customer)) => Some(customer),
        (None, None) => None,
    };
    if let Some(customer) = &customer {
        known(api, &caller.account, customer)?;
    }
    Ok(select::reach_of(&caller.account, customer))
}

fn known(api: &Api, account: &AccountId, customer: &CustomerId) -> ApiResult<()> {
    let scope = Scope::new(account.clone(), customer.clone());
    let catalog = api.catalog.current();
    api.residency.check(&catalog, &scope)?;
    catalog.customer(&scope).map(drop).ok_or_else(|| ApiError::not_found("customer", customer.as_str()))
}

/// Rows of the account itself are within a customer's reach; a replay of the account is not a customer's to see.
fn is_own(caller: &Caller, row: &ResourceRow) -> bool {
    caller.reach().customer().is_none() || row.customer.is_some()
}

async fn found(api: &Api, caller: &Caller, id: &str) -> ApiResult<ResourceRow> {
    let row = resources::required(api, caller, KIND, id).await?;
    if is_own(caller, &row) { Ok(row) } else { Err(ApiError::not_found("replay", id)) }
}

fn read(row: &ResourceRow) -> ApiResult<StoredReplay> {
    resources::body(row)
}

fn view(row: &ResourceRow) -> ApiResult<ReplayView> {
    Ok(read(row)?.view(row.id.clone()))
}

/// An id that a repeat of the request with the same idempotency key has too.
pub(crate) fn new_id(prefix: &str, reach: &Reach, key: Option<&IdempotencyKey>) -> String {
    let mut hash = blake3::Hasher::new_derive_key("fastn 2026 api job id");
    let customer = reach.customer().map_or("", |customer| customer.as_str());
    let random;
    let key = match key {
        Some(IdempotencyKey(key)) => key.as_str(),
        None => {
            random = super::commands::random_hex();
            &random
        }
    };
    for part in [prefix, reach.account().as_str(), customer, key] {
        hash.update(&(part.len() as u64).to_le_bytes());
        hash.update(part.as_bytes());
    }
    format!("{prefix}_{}", &hash.finalize().to_hex()[..26])
}

/// What works on replays and erasures on this node, until it is dropped.
pub struct Jobs {
    task: JoinHandle<()>,
}

impl Jobs {
    /// Starts to work on everything that is open, and on what comes.
    pub fn start(ports: Ports) -> Self {
        // Unique to this start of the process: what it held before, somebody may take at once.
        let node: Arc<str> = super::commands::random_hex().into();
        Self { task: tokio::spawn(look_after(ports, node)) }
    }
}

impl Drop for Jobs {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn look_after(ports: Ports, node: Arc<str>) {
    let mut catalog = ports.catalog.0.clone();
    let mut running: HashMap<String, Running> = HashMap::new();
    loop {
        running.retain(|_, work| !work.0.is_finished());
        let current = catalog.borrow_and_update().clone();
        for (account, entry) in current.accounts().filter(|_| !ports.stopping.is_cancelled()) {
            for id in &entry.replays {
                running.entry(id.clone()).or_insert_with(|| {
                    let (ports, node) = (ports.clone(), Arc::clone(&node));
                    Running(tokio::spawn(runner::run(ports, node, account.clone(), id.clone())))
                });
            }
            for id in entry.erasures.keys() {
                running.entry(id.clone()).or_insert_with(|| {
                    let ports = ports.clone();
                    Running(tokio::spawn(super::erasures::run(ports, account.clone(), id.clone())))
                });
            }
        }
        // Another node may have left one, or this one has lost it and may take it again.
        if let Ok(Err(_closed)) = tokio::time::timeout(LOOK_EVERY, catalog.changed()).await {
            return;
        }
    }
}

/// Work that ends when it is dropped.
struct Running(JoinHandle<()>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.abort();
    }
}
