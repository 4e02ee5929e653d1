//! Works on erasures, on any node that serves the API, until they are done.

use std::time::Duration;

use fastn_contract::activity::EventStatus;
use fastn_contract::alert::AlertRule;
use fastn_contract::privacy::{ErasedKey, ErasedLog, ErasureStatus};
use fastn_domain::catalog::{AccessKey, LogKey, ResourceKind, ResourceRow};
use fastn_domain::event::Command;
use fastn_domain::partition::partition_of;
use fastn_domain::{AccountId, CustomerId, EventId, Reach, Scope, Timestamp};
use fastn_log::{LogError, Topic};
use fastn_store::{Expect, PageRequest, ResourceWrite, StoreError, StoreErrorKind};
use serde_json::Value;

use super::{KIND, StoredErasure};
use crate::api::commands;
use crate::api::ports::Ports;
use crate::api::problem::ApiError;
use crate::observe;

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
pub(in crate::api) async fn run(ports: Ports, account: AccountId, id: String) {
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
