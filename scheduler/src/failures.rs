//! Counts failed fires in a row, from activity, and switches schedules off and on again.
//!
//! Several nodes may look at once: each writes with the version that it has read, so one of them wins and the others find
//! it done. What is counted is remembered with the id of the newest fire that was, so that looking again counts nothing twice.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use fastn_contract::resource::{Switch, Trigger, TriggerSource};
use fastn_contract::schedule::AutoDisable;
use fastn_domain::catalog::{AccountCatalog, Catalog, CompiledTrigger, ResourceKind, ResourceRow};
use fastn_domain::schedule::ScheduleState;
use fastn_domain::{AccountId, Clock, Reach, Timestamp, TriggerId};
use fastn_store::{Expect, ResourceWrite, Store, StoreErrorKind, StoreResult};
use tokio::sync::watch;

use crate::observe;

/// Activity comes late: each look goes back so far behind the one before, and the first so far behind the start.
pub const FAILURES_LOOK_BACK: Duration = Duration::from_secs(3_600);
/// Schedules of an account that one look counts at most; the others come with their next failure.
const SCHEDULES_OF_ONE_LOOK_MAX: u32 = 1_000;

/// See the head of this file.
pub struct Failures {
    store: Arc<dyn Store>,
    catalog: watch::Receiver<Arc<Catalog>>,
    clock: Arc<dyn Clock>,
}

impl Failures {
    /// Over what `store` shows.
    pub fn new(store: Arc<dyn Store>, catalog: watch::Receiver<Arc<Catalog>>, clock: Arc<dyn Clock>) -> Self {
        Self { store, catalog, clock }
    }

    /// Looks once at every account that has schedules.
    pub async fn look(&mut self) {
        let catalog = self.catalog.borrow().clone();
        for (id, account) in catalog.accounts() {
            if !account.triggers.values().any(|trigger| trigger.ticks.is_some()) {
                continue;
            }
            if let Err(error) = self.look_at(id, account).await {
                observe::failures_not_counted(&error);
            }
        }
    }

    async fn look_at(&self, id: &AccountId, account: &AccountCatalog) -> StoreResult<()> {
        let now = self.clock.now();
        let back = i64::try_from(FAILURES_LOOK_BACK.as_micros()).unwrap_or(i64::MAX);
        let since = Timestamp(now.0.saturating_sub(back));
        let failing = self.store.failing_schedules(id, since, SCHEDULES_OF_ONE_LOOK_MAX).await?;
        let mut look: BTreeSet<TriggerId> = failing.into_iter().collect();
        for (trigger, state) in &account.schedules {
            if state.failures > 0 || state.until.is_some() {
                look.insert(trigger.clone());
            }
        }
        for trigger in look.iter().filter_map(|id| account.triggers.get(id)) {
            let TriggerSource::Schedule(schedule) = &trigger.spec.source else { continue };
            let looked = match trigger.spec.status {
                Switch::Enabled => self.count(id, trigger, &schedule.auto_disable, now).await,
                Switch::Disabled => self.cool_down(id, trigger, now).await,
            };
            match looked {
                // Another node, or a person, was faster.
                Err(error) if matches!(error.kind, StoreErrorKind::Conflict | StoreErrorKind::NotFound) => {}
                looked => looked?,
            }
        }
        Ok(())
    }

    async fn count(
        &self,
        account: &AccountId,
        trigger: &CompiledTrigger,
        limits: &AutoDisable,
        now: Timestamp,
    ) -> StoreResult<()> {
        let reach = Reach::Account(account.clone());
        let (state, version) = self.state(&reach, &trigger.id).await?;
        let after = state.counted.max(Timestamp(trigger.created.0 - 1));
        let runs = self.store.schedule_runs(&reach, &trigger.id, after, &state.counted_event).await?;
        let before = if runs.completed.is_some() { 0 } else { state.failures };
        let failures = before.saturating_add(runs.failed);
        if failures == state.failures && runs.failed == 0 {
            return Ok(());
        }
        let newest = runs.newest_failed.or_else(|| runs.completed.map(|at| (at, state.counted_event.clone())));
        let counted = state.counting(failures, newest);
        if limits.failures == 0 || failures < limits.failures || runs.failed == 0 {
            return self.write(account, vec![state_write(&trigger.id, &counted, version)]).await;
        }
        let cooldown = Duration::from_secs(60 * u64::from(limits.cooldown_minutes));
        let until = (cooldown > Duration::ZERO).then(|| now.plus(cooldown));
        let row = self.store.resource(&reach, ResourceKind::Trigger, trigger.id.as_str()).await?;
        let Some(switched) = row.and_then(|row| switched(row, Switch::Disabled)) else { return Ok(()) };
        let next = counted.disabled(failures, until, now);
        self.write(account, vec![switched, state_write(&trigger.id, &next, version)]).await?;
        observe::disabled(account, &trigger.id, failures);
        Ok(())
    }

    async fn cool_down(&self, account: &AccountId, trigger: &CompiledTrigger, now: Timestamp) -> StoreResult<()> {
        let reach = Reach::Account(account.clone());
        let (state, version) = self.state(&reach, &trigger.id).await?;
        if state.until.is_none_or(|until| until > now) {
            return Ok(());
        }
        let row = self.store.resource(&reach, ResourceKind::Trigger, trigger.id.as_str()).await?;
        let Some(switched) = row.and_then(|row| switched(row, Switch::Enabled)) else { return Ok(()) };
        self.write(account, vec![switched, state_write(&trigger.id, &state.on_probation(now), version)]).await?;
        observe::enabled(account, &trigger.id);
        Ok(())
    }

    /// What is remembered, as the store has it now, and its version.
    async fn state(&self, reach: &Reach, trigger: &TriggerId) -> StoreResult<(ScheduleState, Option<u64>)> {
        let row = self.store.resource(reach, ResourceKind::ScheduleState, trigger.as_str()).await?;
        Ok(row.map_or_else(Default::default, |row| {
            // One that does not read is replaced.
            (serde_json::from_str(&row.body).unwrap_or_default(), Some(row.version))
        }))
    }

    async fn write(&self, account: &AccountId, writes: Vec<ResourceWrite>) -> StoreResult<()> {
        self.store.write(account, writes).await.map(drop)
    }
}

/// The write of what is remembered.
fn state_write(trigger: &TriggerId, state: &ScheduleState, version: Option<u64>) -> ResourceWrite {
    ResourceWrite {
        kind: ResourceKind::ScheduleState,
        customer: None,
        id: trigger.to_string(),
        body: serde_json::to_string(state).ok(),
        expect: version.map_or(Expect::New, Expect::Version),
    }
}

/// The write that gives a trigger another status; none if it has it.
fn switched(row: ResourceRow, status: Switch) -> Option<ResourceWrite> {
    let mut trigger: Trigger = serde_json::from_str(&row.body).ok()?;
    if trigger.status == status {
        return None;
    }
    trigger.status = status;
    Some(ResourceWrite {
        kind: ResourceKind::Trigger,
        customer: row.customer,
        id: row.id,
        body: serde_json::to_string(&trigger).ok(),
        expect: Expect::Version(row.version),
    })
}
