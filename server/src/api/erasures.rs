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

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use fastn_contract::activity::EventStatus;
use fastn_contract::alert::AlertRule;
use fastn_contract::error::ErrorCode;
use fastn_contract::page::Page;
use fastn_contract::privacy::{ErasedKey, ErasedLog, ErasedRows, ErasureStatus, ErasureStep, ErasureView};
use fastn_domain::catalog::{AccessKey, LogKey, ResourceKind, ResourceRow};
use fastn_domain::event::Command;
use fastn_domain::partition::partition_of;
use fastn_domain::{AccountId, CustomerId, EventId, Reach, Scope, Timestamp};
use fastn_log::{LogError, Topic};
use fastn_store::{Expect, PageRequest, ResourceWrite, StoreError, StoreErrorKind};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Api;
use super::caller::Caller;
use super::commands;
use super::extract::{Params, PathParts, checked};
use super::ports::Ports;
use super::problem::{ApiError, ApiResult};
use super::resources::{self, ListParams};
use crate::observe;

const KIND: ResourceKind = ResourceKind::Erasure;
/// How long every node has to hear that the customer is gone, and to write down what it counted of its requests before. The
/// feed tells within half a second, counts are written every three.
const HEARD: Duration = Duration::from_secs(4);
/// How often the projector is looked at, and how long before the command is sent once more.
const LOOK_EVERY: Duration = Duration::from_millis(100);
const LOOKS_MAX: u32 = 300;
/// Rows of one deletion.
const CHUNK_ROWS: u32 = 1_000;
/// The wait after a failure of log or store.
const AGAIN: Duration = Duration::from_millis(500);
/// How much later than its age says a record may go: trimming looks every ten minutes.
const TRIM_SLACK: Duration = Duration::from_secs(3_600);

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
    caller.may_configure()?;
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
    caller.may_configure()?;
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
    caller.may_configure()?;
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

/// Why the work on an erasure ends for now.
#[derive(Debug, thiserror::Error)]
enum Stop {
    #[error("the erasure is over")]
    Over,
    #[error("{0}")]
    NotYet(String),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Log(#[from] LogError),
}

impl From<ApiError> for Stop {
    fn from(error: ApiError) -> Self {
        Self::NotYet(error.0.detail)
    }
}

impl From<serde_json::Error> for Stop {
    fn from(error: serde_json::Error) -> Self {
        Self::NotYet(error.to_string())
    }
}

/// Works on the erasure `id` until it is done.
pub(super) async fn run(ports: Ports, account: AccountId, id: String) {
    let work = Work { ports, account, id };
    loop {
        match work.step().await {
            Ok(()) => {}
            Err(Stop::Over) => return,
            Err(stop) => {
                observe::erasure_interrupted(&work.id, &stop);
                tokio::time::sleep(AGAIN).await;
            }
        }
    }
}

struct Work {
    ports: Ports,
    account: AccountId,
    id: String,
}

impl Work {
    /// Does the next step.
    async fn step(&self) -> Result<(), Stop> {
        let (erasure, _) = self.read().await?;
        if erasure.status == ErasureStatus::Done {
            return Err(Stop::Over);
        }
        let Some(customer) = erasure.customer.clone() else { return self.close().await };
        let scope = Scope::new(self.account.clone(), customer);
        if !erasure.has("stopped") {
            return self.stop(&erasure, &scope).await;
        }
        if !erasure.has("deleted") {
            self.delete_activity(&scope).await?;
            self.delete_configuration(&scope).await?;
            return self.note(|erasure| erasure.step("deleted")).await;
        }
        if !erasure.has("key_destroyed") {
            return self.destroy_keys(&scope).await;
        }
        self.forget(&erasure, &scope).await
    }

    async fn stop(&self, erasure: &StoredErasure, scope: &Scope) -> Result<(), Stop> {
        heard(erasure.told).await;
        let reach = Reach::Customer(scope.clone());
        let partition = partition_of(scope, self.ports.log.partitions());
        let mut from = Vec::new();
        for topic in [Topic::Events, Topic::Executions] {
            from.push((topic, self.ports.log.bounds(topic, partition).await?.start));
        }
        // A new id each time: one that was refused, as by a node that does not know the command, is not admitted again.
        let id = format!("{}_{}", self.id, &commands::random_hex()[..8]);
        commands::append_to(&self.ports, scope, &id, &Command::Erase).await?;
        let event = EventId::new(&id).map_err(|error| Stop::NotYet(error.to_string()))?;
        for _ in 0..LOOKS_MAX {
            tokio::time::sleep(LOOK_EVERY).await;
            match self.ports.store.event(&reach, &event).await? {
                Some(view) if view.status == EventStatus::Delivered => {
                    let log = self.remaining(scope, partition, &from).await?;
                    return self
                        .note(|erasure| {
                            erasure.view.log.clone_from(&log);
                            erasure.step("stopped");
                        })
                        .await;
                }
                Some(view) => {
                    return Err(Stop::NotYet(format!("the command was not carried out: {:?}", view.reason)));
                }
                None => {}
            }
        }
        Err(Stop::NotYet("the command is not projected yet".to_owned()))
    }

    /// What of the customer the log holds now.
    async fn remaining(&self, scope: &Scope, partition: u32, from: &[(Topic, u64)]) -> Result<Vec<ErasedLog>, Stop> {
        let keys = self.ports.catalog.current().log_keys().of(scope);
        let unreadable = keys.iter().any(|key| key.active && key.since_the_start);
        let keep = i64::try_from((self.ports.log_keep + TRIM_SLACK).as_micros()).unwrap_or(i64::MAX);
        let gone_by = Timestamp(crate::clock::now().as_micros().saturating_add(keep)).to_string();
        let mut log = Vec::new();
        for &(topic, from) in from {
            let to = self.ports.log.bounds(topic, partition).await?.end;
            let (topic, gone_by) = (topic.name().to_owned(), gone_by.clone());
            log.push(ErasedLog { topic, partition, from, to, unreadable, gone_by });
        }
        Ok(log)
    }

    async fn delete_activity(&self, scope: &Scope) -> Result<(), Stop> {
        loop {
            let gone = self.ports.store.erase_activity(scope, CHUNK_ROWS).await?;
            if gone.rows() == 0 {
                return Ok(());
            }
            self.note(|erasure| {
                erasure.count("events", gone.events);
                erasure.count("executions", gone.executions);
                erasure.count("dead_letters", gone.dead_letters);
                erasure.count("usage", gone.usage);
            })
            .await?;
        }
    }

    /// Deletes what the customer has configured, as any deletion: so that every node hears of it. The data key stays until
    /// the next step.
    async fn delete_configuration(&self, scope: &Scope) -> Result<(), Stop> {
        let kept = [KIND, ResourceKind::LogKey];
        for kind in ResourceKind::ALL.iter().copied().filter(|kind| !kept.contains(kind)) {
            for row in self.rows_of(kind, scope).await? {
                self.delete(kind, row).await?;
            }
        }
        Ok(())
    }

    async fn delete(&self, kind: ResourceKind, row: ResourceRow) -> Result<(), Stop> {
        let write = ResourceWrite { kind, customer: row.customer, id: row.id, body: None, expect: Expect::Any };
        match self.ports.store.write(&self.account, vec![write]).await {
            Err(error) if error.kind != StoreErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }

    /// The live resources of one kind that are the customer's, or that name it.
    async fn rows_of(&self, kind: ResourceKind, scope: &Scope) -> Result<Vec<ResourceRow>, Stop> {
        let reach = match kind {
            // They belong to the account, and say in their body whom they are for.
            ResourceKind::AccessKey | ResourceKind::Replay | ResourceKind::AlertRule => {
                Reach::Account(self.account.clone())
            }
            _ => Reach::Customer(scope.clone()),
        };
        let mut found = Vec::new();
        let mut page = PageRequest { cursor: None, limit: CHUNK_ROWS };
        loop {
            let rows = self.ports.store.resources(&reach, kind, &page).await?;
            found.extend(rows.items.into_iter().filter(|row| is_of(row, &scope.customer)));
            match rows.next_cursor {
                None => return Ok(found),
                next => page.cursor = next,
            }
        }
    }

    async fn destroy_keys(&self, scope: &Scope) -> Result<(), Stop> {
        let mut keys = Vec::new();
        for row in self.rows_of(ResourceKind::LogKey, scope).await? {
            let key: LogKey = serde_json::from_str(&row.body)?;
            keys.push(ErasedKey { id: key.id, created_at: key.created.to_string() });
            self.delete(ResourceKind::LogKey, row).await?;
        }
        self.note(|erasure| {
            let fresh = keys.iter().filter(|key| !erasure.view.keys.contains(key)).cloned().collect::<Vec<_>>();
            erasure.view.keys.extend(fresh);
            erasure.step("key_destroyed");
            erasure.told = crate::clock::now();
        })
        .await
    }

    /// Removes what the deletions left, once every node has heard of them, and who it was.
    async fn forget(&self, erasure: &StoredErasure, scope: &Scope) -> Result<(), Stop> {
        heard(erasure.told).await;
        self.delete_activity(scope).await?;
        let also = self.named(scope).await?;
        let gone = self.ports.store.erase_configuration(&self.account, Some(&scope.customer), &also).await?;
        self.note(|erasure| {
            erasure.count("resources", gone.resources);
            erasure.count("resource_changes", gone.changes);
            erasure.count("idempotency", gone.answers);
            erasure.count("alerts", gone.alerts);
            erasure.count("polls", gone.polls);
            erasure.step("forgotten");
            erasure.customer = None;
        })
        .await
    }

    /// Deleted resources of the account that named the customer: access keys, replays, alert rules.
    async fn named(&self, scope: &Scope) -> Result<Vec<(ResourceKind, String)>, Stop> {
        let mut named = Vec::new();
        let mut after = 0;
        loop {
            let rows = self.ports.store.changes(after, CHUNK_ROWS).await?;
            let Some(last) = rows.last() else { return Ok(named) };
            after = last.revision;
            let own = rows.into_iter().filter(|row| row.account == self.account && row.deleted);
            let own = own.filter(|row| is_of(row, &scope.customer));
            named.extend(own.map(|row| (row.kind, row.id)));
        }
    }

    /// Who it was is not in the resource any more; now its history goes, and what was deleted from the files.
    async fn close(&self) -> Result<(), Stop> {
        self.ports.store.erase_configuration(&self.account, None, &[(KIND, self.id.clone())]).await?;
        let compacted = self.ports.store.compact().await?;
        self.note(|erasure| {
            if compacted {
                erasure.step("compacted");
            }
            erasure.step("done");
            erasure.status = ErasureStatus::Done;
            erasure.view.status = ErasureStatus::Done;
            erasure.view.finished_at = Some(crate::clock::now().to_string());
        })
        .await?;
        observe::erased(&self.id);
        Err(Stop::Over)
    }

    async fn read(&self) -> Result<(StoredErasure, u64), Stop> {
        let reach = Reach::Account(self.account.clone());
        let row = self.ports.store.resource(&reach, KIND, &self.id).await?.ok_or(Stop::Over)?;
        Ok((serde_json::from_str(&row.body)?, row.version))
    }

    /// Changes what is kept of the erasure; again if another node has changed it meanwhile.
    async fn note(&self, change: impl Fn(&mut StoredErasure)) -> Result<(), Stop> {
        loop {
            let (mut erasure, version) = self.read().await?;
            if erasure.status == ErasureStatus::Done {
                return Err(Stop::Over);
            }
            change(&mut erasure);
            let write = ResourceWrite {
                kind: KIND,
                customer: None,
                id: self.id.clone(),
                body: Some(serde_json::to_string(&erasure)?),
                expect: Expect::Version(version),
            };
            match self.ports.store.write(&self.account, vec![write]).await {
                Err(error) if error.kind == StoreErrorKind::Conflict => {}
                Err(error) => return Err(error.into()),
                Ok(_) => return Ok(()),
            }
        }
    }
}

/// Waits until every node has had the time to hear what it was told.
async fn heard(told: Timestamp) {
    let since = crate::clock::now().since(told);
    tokio::time::sleep(HEARD.saturating_sub(since)).await;
}

/// Whether a resource is the customer's, or names it as whom it is for.
fn is_of(row: &ResourceRow, customer: &CustomerId) -> bool {
    if row.customer.as_ref() == Some(customer) {
        return true;
    }
    match row.kind {
        ResourceKind::AccessKey => {
            serde_json::from_str::<AccessKey>(&row.body).is_ok_and(|key| key.customer.as_ref() == Some(customer))
        }
        ResourceKind::AlertRule => serde_json::from_str::<AlertRule>(&row.body)
            .is_ok_and(|rule| rule.customer.as_deref() == Some(customer.as_str())),
        ResourceKind::Replay => serde_json::from_str::<Value>(&row.body)
            .is_ok_and(|replay| replay["request"]["select"]["customer"] == customer.as_str()),
        _ => false,
    }
}
