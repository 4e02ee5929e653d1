//! A [`Store`] whose projections and saves of alerts fail at random: before they happen, or after they happened with nobody told.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use fastn_contract::activity::{DeadLetterStatus, DeadLetterView, EventView, ExecutionStatus, ExecutionView};
use fastn_contract::alert::AlertView;
use fastn_contract::flow::WaitingOn;
use fastn_contract::page::Page;
use fastn_contract::quota::UsageRow;
use fastn_domain::catalog::{ResourceKind, ResourceRow};
use fastn_domain::ids::{AccountId, CustomerId, EventId, ExecutionId, TriggerId};
use fastn_domain::scope::{Reach, Scope};
use fastn_domain::time::Timestamp;
use fastn_store::{
    AlertFilter, AlertMemory, AlertSave, ApiCalls, ErasedActivity, ErasedConfiguration, EventFilter, EventState,
    ExecutionFilter, Outcome, PageRequest, Polls, Position, ProjectionBatch, RememberedAnswer, ReplaySource,
    ResourceWrite, ScheduleRuns, Store, StoreError, StoreErrorKind, StoreResult, StoredEvent, UsageFilter,
};

/// See the module's comment. Everything but `project` and `save_alerts` goes through.
pub struct FaultyStore {
    inner: Arc<dyn Store>,
    state: AtomicU64,
    one_in: u64,
}

impl FaultyStore {
    /// One projection in `one_in` does not happen, and one in `one_in` happens unheard.
    pub fn new(inner: Arc<dyn Store>, seed: u64, one_in: u64) -> Self {
        Self { inner, state: AtomicU64::new(seed), one_in }
    }

    fn strikes(&self) -> bool {
        // SplitMix64: each call adds the same odd number and mixes.
        let mut mixed = self.state.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)).is_multiple_of(self.one_in)
    }
}

fn failure(outcome: Outcome) -> StoreError {
    StoreError {
        kind: StoreErrorKind::Unavailable,
        outcome,
        operation: "write",
        context: "a batch".to_owned(),
        message: "a fault was injected".to_owned(),
        source: None,
    }
}

#[async_trait]
impl Store for FaultyStore {
    async fn write(&self, account: &AccountId, writes: Vec<ResourceWrite>) -> StoreResult<Vec<ResourceRow>> {
        self.inner.write(account, writes).await
    }
    async fn resource(&self, reach: &Reach, kind: ResourceKind, id: &str) -> StoreResult<Option<ResourceRow>> {
        self.inner.resource(reach, kind, id).await
    }
    async fn resources(&self, reach: &Reach, kind: ResourceKind, page: &PageRequest) -> StoreResult<Page<ResourceRow>> {
        self.inner.resources(reach, kind, page).await
    }
    async fn changes(&self, after: u64, limit: u32) -> StoreResult<Vec<ResourceRow>> {
        self.inner.changes(after, limit).await
    }
    async fn events(&self, reach: &Reach, filter: &EventFilter, page: &PageRequest) -> StoreResult<Page<EventView>> {
        self.inner.events(reach, filter, page).await
    }
    async fn event(&self, reach: &Reach, id: &EventId) -> StoreResult<Option<EventView>> {
        self.inner.event(reach, id).await
    }
    async fn executions(
        &self,
        reach: &Reach,
        filter: &ExecutionFilter,
        page: &PageRequest,
    ) -> StoreResult<Page<ExecutionView>> {
        self.inner.executions(reach, filter, page).await
    }
    async fn execution(&self, reach: &Reach, id: ExecutionId) -> StoreResult<Option<ExecutionView>> {
        self.inner.execution(reach, id).await
    }
    async fn replay_source(&self, reach: &Reach, id: ExecutionId) -> StoreResult<Option<ReplaySource>> {
        self.inner.replay_source(reach, id).await
    }
    async fn execution_states(
        &self,
        reach: &Reach,
        ids: &[ExecutionId],
    ) -> StoreResult<Vec<(ExecutionId, ExecutionStatus)>> {
        self.inner.execution_states(reach, ids).await
    }
    async fn event_states(&self, reach: &Reach, ids: &[EventId]) -> StoreResult<Vec<EventState>> {
        self.inner.event_states(reach, ids).await
    }
    async fn dead_letters(
        &self,
        reach: &Reach,
        status: Option<DeadLetterStatus>,
        workflow: Option<&str>,
        page: &PageRequest,
    ) -> StoreResult<Page<DeadLetterView>> {
        self.inner.dead_letters(reach, status, workflow, page).await
    }
    async fn dead_letter(&self, reach: &Reach, id: ExecutionId) -> StoreResult<Option<DeadLetterView>> {
        self.inner.dead_letter(reach, id).await
    }
    async fn stored_event(&self, reach: &Reach, id: &EventId) -> StoreResult<Option<StoredEvent>> {
        self.inner.stored_event(reach, id).await
    }

    async fn usage(&self, reach: &Reach, filter: &UsageFilter, page: &PageRequest) -> StoreResult<Page<UsageRow>> {
        self.inner.usage(reach, filter, page).await
    }

    async fn events_since(&self, reach: &Reach, since: Timestamp) -> StoreResult<u64> {
        self.inner.events_since(reach, since).await
    }

    async fn count_api_calls(&self, account: &AccountId, counts: Vec<ApiCalls>) -> StoreResult<()> {
        self.inner.count_api_calls(account, counts).await
    }

    async fn waiting_on(
        &self,
        reach: &Reach,
        id: ExecutionId,
        now: Timestamp,
        concurrency: Option<u32>,
    ) -> StoreResult<Option<WaitingOn>> {
        self.inner.waiting_on(reach, id, now, concurrency).await
    }

    async fn remember(
        &self,
        reach: &Reach,
        key: &str,
        answer: RememberedAnswer,
    ) -> StoreResult<Option<RememberedAnswer>> {
        self.inner.remember(reach, key, answer).await
    }
    async fn recall(&self, reach: &Reach, key: &str) -> StoreResult<Option<RememberedAnswer>> {
        self.inner.recall(reach, key).await
    }
    async fn known_fires(&self, reach: &Reach, ids: &[EventId]) -> StoreResult<Vec<(CustomerId, EventId)>> {
        self.inner.known_fires(reach, ids).await
    }
    async fn schedule_runs(
        &self,
        reach: &Reach,
        trigger: &TriggerId,
        after: Timestamp,
        after_event: &str,
    ) -> StoreResult<ScheduleRuns> {
        self.inner.schedule_runs(reach, trigger, after, after_event).await
    }
    async fn failing_schedules(
        &self,
        account: &AccountId,
        since: Timestamp,
        limit: u32,
    ) -> StoreResult<Vec<TriggerId>> {
        self.inner.failing_schedules(account, since, limit).await
    }
    async fn mark(&self, name: &str) -> StoreResult<Option<Timestamp>> {
        self.inner.mark(name).await
    }
    async fn raise_mark(&self, name: &str, at: Timestamp) -> StoreResult<()> {
        self.inner.raise_mark(name, at).await
    }
    fn polls(self: Arc<Self>) -> Arc<dyn Polls> {
        self.inner.clone().polls()
    }
    async fn position(&self, partition: u32) -> StoreResult<Position> {
        self.inner.position(partition).await
    }
    async fn project(&self, batch: ProjectionBatch) -> StoreResult<()> {
        if self.strikes() {
            return Err(failure(Outcome::NotDone));
        }
        self.inner.project(batch).await?;
        if self.strikes() { Err(failure(Outcome::Unknown)) } else { Ok(()) }
    }
    async fn prune(&self, before: Timestamp, rows_max: u32) -> StoreResult<u64> {
        self.inner.prune(before, rows_max).await
    }
    async fn prune_account(&self, account: &AccountId, before: Timestamp, rows_max: u32) -> StoreResult<u64> {
        self.inner.prune_account(account, before, rows_max).await
    }
    async fn blank_payloads(
        &self,
        account: &AccountId,
        from: Timestamp,
        before: Timestamp,
        rows_max: u32,
    ) -> StoreResult<u64> {
        self.inner.blank_payloads(account, from, before, rows_max).await
    }
    async fn erase_activity(&self, scope: &Scope, rows_max: u32) -> StoreResult<ErasedActivity> {
        self.inner.erase_activity(scope, rows_max).await
    }
    async fn erase_configuration(
        &self,
        account: &AccountId,
        customer: Option<&CustomerId>,
        also: &[(ResourceKind, String)],
    ) -> StoreResult<ErasedConfiguration> {
        self.inner.erase_configuration(account, customer, also).await
    }
    async fn compact(&self) -> StoreResult<bool> {
        self.inner.compact().await
    }
    async fn reset_activity(&self) -> StoreResult<()> {
        self.inner.reset_activity().await
    }
    async fn alerts(&self, reach: &Reach, filter: &AlertFilter, page: &PageRequest) -> StoreResult<Page<AlertView>> {
        self.inner.alerts(reach, filter, page).await
    }
    async fn alert(&self, reach: &Reach, id: &str) -> StoreResult<Option<AlertView>> {
        self.inner.alert(reach, id).await
    }
    async fn pending_dead_letters(&self, reach: &Reach, workflow: Option<&str>) -> StoreResult<u64> {
        self.inner.pending_dead_letters(reach, workflow).await
    }
    async fn alert_memory(&self) -> StoreResult<AlertMemory> {
        self.inner.alert_memory().await
    }
    async fn save_alerts(&self, save: AlertSave) -> StoreResult<u64> {
        if self.strikes() {
            return Err(failure(Outcome::NotDone));
        }
        let revision = self.inner.save_alerts(save).await?;
        if self.strikes() { Err(failure(Outcome::Unknown)) } else { Ok(revision) }
    }
    async fn bookmark(&self, follower: &str, partition: u32) -> StoreResult<Position> {
        self.inner.bookmark(follower, partition).await
    }
    async fn set_bookmark(&self, follower: &str, partition: u32, position: Position) -> StoreResult<()> {
        self.inner.set_bookmark(follower, partition, position).await
    }
    async fn close(&self) {
        self.inner.close().await;
    }
}
