//! The erasure of a customer: everywhere, in steps, with a proof.
//!
//! ```text
//!   refused ─▶ stopped ─▶ deleted ─▶ key destroyed ─▶ forgotten ─▶ compacted ─▶ done
//! ```
//!
//! - *refused*: the customer is deleted in the transaction that begins the erasure, so every node refuses its events.
//! - *stopped*: a command in the customer's partition ends its executions and its state. Once the projector has passed it,
//!   nothing more comes.
//! - *deleted*: its rows of activity and configuration.
//! - *key destroyed*: what is sealed in the log, and in copies of it, cannot be read any more.
//! - *forgotten*: what the deletions left (deleted rows kept for the feed, history, remembered answers), and what a node
//!   that had not heard yet still took.
//! - *compacted*: what deleted rows left in the database's files.
//!
//! Each step may be done twice, and by two nodes at once. Who it was is in the resource until it is forgotten; afterwards
//! only the proof is left, which tells the customer by a hash.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use fastn_contract::error::ErrorCode;
use fastn_contract::page::Page;
use fastn_contract::privacy::{ErasedRows, ErasureStatus, ErasureStep, ErasureView};
use fastn_domain::catalog::{ResourceKind, ResourceRow};
use fastn_domain::{AccountId, CustomerId, Reach, Timestamp};
use fastn_store::{Expect, ResourceWrite};
use serde::{Deserialize, Serialize};

use super::Api;
use super::caller::Caller;
use super::extract::{Params, PathParts, checked};
use super::problem::{ApiError, ApiResult};
use super::resources::{self, ListParams};

mod work;

pub(super) use work::run;

const KIND: ResourceKind = ResourceKind::Erasure;

/// An erasure as it is kept.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct StoredErasure {
    status: ErasureStatus,
    /// Whose, until it is forgotten.
    #[serde(default)]
    customer: Option<CustomerId>,
    /// When the nodes were last told something that they must have heard before the next step.
    told: Timestamp,
    view: ErasureView,
}

impl StoredErasure {
    fn has(&self, step: &str) -> bool {
        self.view.steps.iter().any(|done| done.step == step)
    }

    fn step(&mut self, step: &str) {
        if !self.has(step) {
            let at = crate::clock::now().to_string();
            self.view.steps.push(ErasureStep { step: step.to_owned(), at });
        }
    }

    fn count(&mut self, table: &str, rows: u64) {
        match self.view.rows.iter_mut().find(|known| known.table == table) {
            Some(known) => known.rows += rows,
            None => self.view.rows.push(ErasedRows { table: table.to_owned(), rows }),
        }
    }
}

/// Erase a customer
///
/// Its events are refused at once, and its executions, its activity, its configuration and its key go in the background;
/// the answer is the proof as it grows. There is no way back. Asking again while it runs answers the same erasure.
#[utoipa::path(post, path = "/v1/customers/{id}/erase", operation_id = "eraseCustomer", tag = "Customers",
    params(("id" = String, Path, description = "The customer's id")),
    responses((status = 202, description = "The erasure", body = ErasureView)))]
pub(crate) async fn erase(
    State(api): State<Api>,
    caller: Caller,
    PathParts(id): PathParts<String>,
) -> ApiResult<(StatusCode, Json<ErasureView>)> {
    let customer = checked("id", CustomerId::new(&id))?;
    if let Some(running) = running(&api, &caller.account, &customer) {
        let row = resources::required(&api, &caller, KIND, &running).await?;
        return Ok((StatusCode::ACCEPTED, Json(resources::body::<StoredErasure>(&row)?.view)));
    }
    let row = resources::required(&api, &caller, ResourceKind::Customer, &id).await?;
    let erasure = begun(&caller.account, &customer, &row);
    let answer = erasure.view.clone();
    let resource =
        |kind, customer, id: &str, body, expect| ResourceWrite { kind, customer, id: id.to_owned(), body, expect };
    let bare = serde_json::json!({"id": id}).to_string();
    let body = serde_json::to_string(&erasure).map_err(|error| unreadable(&error))?;
    let writes = vec![
        resource(KIND, None, &answer.id, Some(body), Expect::New),
        // A deleted row keeps its body for the feed: this one keeps nothing but the id.
        resource(ResourceKind::Customer, row.customer.clone(), &id, Some(bare), Expect::Version(row.version)),
        resource(ResourceKind::Customer, row.customer, &id, None, Expect::Any),
    ];
    resources::write_all(&api, &caller, writes).await?;
    Ok((StatusCode::ACCEPTED, Json(answer)))
}

/// List erasures
#[utoipa::path(get, path = "/v1/erasures", operation_id = "listErasures", tag = "Customers", params(ListParams),
    responses((status = 200, description = "A page", body = Page<ErasureView>)))]
pub(crate) async fn list(
    State(api): State<Api>,
    caller: Caller,
    Params(params): Params<ListParams>,
) -> ApiResult<Json<Page<ErasureView>>> {
    let reach = Reach::Account(caller.account.clone());
    let page = api.store.resources(&reach, KIND, &params.page()?).await?;
    let view = |row: &ResourceRow| Ok(resources::body::<StoredErasure>(row)?.view);
    Ok(Json(Page { items: page.items.iter().map(view).collect::<ApiResult<_>>()?, next_cursor: page.next_cursor }))
}

/// Get an erasure
///
/// The proof of what was destroyed where, and what remains in the log until when.
#[utoipa::path(get, path = "/v1/erasures/{id}", operation_id = "getErasure", tag = "Customers",
    params(("id" = String, Path, description = "`ers_…`")),
    responses((status = 200, description = "The erasure", body = ErasureView)))]
pub(crate) async fn get(
    State(api): State<Api>,
    caller: Caller,
    PathParts(id): PathParts<String>,
) -> ApiResult<Json<ErasureView>> {
    let row = resources::required(&api, &caller, KIND, &id).await?;
    Ok(Json(resources::body::<StoredErasure>(&row)?.view))
}

/// The erasure that runs for this customer.
pub(crate) fn running(api: &Api, account: &AccountId, customer: &CustomerId) -> Option<String> {
    let catalog = api.catalog.current();
    let running = catalog.account(account)?.erasures.iter().find(|(_, whose)| whose.as_ref() == Some(customer));
    running.map(|(id, _)| id.clone())
}

/// The same for a repeat: made of the customer and of when it was made.
fn begun(account: &AccountId, customer: &CustomerId, row: &ResourceRow) -> StoredErasure {
    let mut hash = blake3::Hasher::new_derive_key("fastn 2026 erasure id");
    for part in [account.as_str(), customer.as_str(), &row.created.0.to_string()] {
        hash.update(&(part.len() as u64).to_le_bytes());
        hash.update(part.as_bytes());
    }
    let id = format!("ers_{}", &hash.finalize().to_hex()[..26]);
    let now = crate::clock::now();
    let view = ErasureView {
        customer_hash: fastn_store::hash_access_key(&format!("{id}/{customer}")),
        id,
        status: ErasureStatus::Running,
        requested_at: now.to_string(),
        finished_at: None,
        steps: Vec::new(),
        rows: Vec::new(),
        keys: Vec::new(),
        log: Vec::new(),
    };
    let mut erasure =
        StoredErasure { status: ErasureStatus::Running, customer: Some(customer.clone()), told: now, view };
    erasure.step("refused");
    erasure
}

fn unreadable(error: &serde_json::Error) -> ApiError {
    ApiError::new(ErrorCode::InternalError, error.to_string())
}
