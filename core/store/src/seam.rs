//! The seam: configuration and activity in SQL, whatever is behind it.
//!
//! Every method takes the account and customer it is bound to (a [`Reach`] or a [`Scope`]), except the two that serve the
//! node itself: the change feed and the projector's batch.

use std::sync::Arc;

use async_trait::async_trait;
use fastn_contract::activity::{
    DeadLetterStatus, DeadLetterView, EventStatus, EventView, ExecutionStatus, ExecutionView, Origin,
};
use fastn_contract::alert::AlertView;
use fastn_contract::flow::WaitingOn;
use fastn_contract::page::Page;
use fastn_contract::quota::{Measure, QuotaOutcome, UsageRow};
use fastn_domain::catalog::{ResourceKind, ResourceRow};
use fastn_domain::event::Header;
use fastn_domain::ids::{AccountId, CustomerId, EventId, ExecutionId, TriggerId};
use fastn_domain::journal::OpRecord;
use fastn_domain::scope::{Reach, Scope};
use fastn_domain::time::Timestamp;

use tokio::sync::watch;

use crate::alerts::{AlertFilter, AlertMemory, AlertSave};
use crate::polls::Polls;
use crate::projection::{Position, ProjectionBatch};

/// Whether a failed operation may have happened all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It did not happen and will not.
    NotDone,
    /// It may have happened.
    Unknown,
}

/// What went wrong. Decisions read this, never a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreErrorKind {
    /// The row is not there, or not within reach.
    NotFound,
    /// The row exists already, or has another version than expected.
    Conflict,
    /// A cursor that this store did not make, or not for this list.
    BadCursor,
    /// The database is busy or away; trying again later helps.
    Unavailable,
    /// No space is left on the device.
    Full,
    /// The schema is newer than this program.
    SchemaNewer,
    /// What is stored does not read back.
    Corrupt,
    /// Anything else that the database says.
    Database,
}

/// A failed store operation.
#[derive(Debug, thiserror::Error)]
#[error("{operation} {context}: {message}")]
pub struct StoreError {
    /// See [`StoreErrorKind`].
    pub kind: StoreErrorKind,
    /// See [`Outcome`].
    pub outcome: Outcome,
    /// The operation attempted, e.g. `put trigger`.
    pub operation: &'static str,
    /// On what.
    pub context: String,
    /// What happened and what to do.
    pub message: String,
    /// The driver's error.
    #[source]
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// The result of a store operation.
pub type StoreResult<T> = Result<T, StoreError>;

/// What a write expects to find.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// Anything, or nothing.
    Any,
    /// Nothing: the row is new. A deleted row counts as nothing.
    New,
    /// This version.
    Version(u64),
}

/// A write of one resource.
#[derive(Clone, Debug, PartialEq)]
pub struct ResourceWrite {
    /// What it is.
    pub kind: ResourceKind,
    /// The one customer it belongs to, if it does.
    pub customer: Option<CustomerId>,
    /// Unique within kind and account.
    pub id: String,
    /// The body as JSON text; `None` deletes.
    pub body: Option<String>,
    /// What it expects to find.
    pub expect: Expect,
}

/// Where a list goes on, and how far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PageRequest {
    /// The cursor of the page before.
    pub cursor: Option<String>,
    /// Most rows; see the contract's limits.
    pub limit: u32,
}

/// Which events a list shows.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EventFilter {
    /// By what admission made of them.
    pub status: Option<EventStatus>,
    /// By where they came from.
    pub origin: Option<Origin>,
    /// By CloudEvents type.
    pub kind: Option<String>,
    /// By webhook trigger.
    pub trigger: Option<String>,
    /// By what a quota did to them.
    pub quota: Option<QuotaOutcome>,
    /// Received at or after.
    pub since: Option<Timestamp>,
    /// Received before.
    pub until: Option<Timestamp>,
}

/// Which executions a list shows.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ExecutionFilter {
    /// By where they stand.
    pub status: Option<ExecutionStatus>,
    /// By workflow.
    pub workflow: Option<String>,
    /// By trigger.
    pub trigger: Option<String>,
    /// By the event that started them.
    pub event_id: Option<String>,
    /// Admitted at or after.
    pub since: Option<Timestamp>,
    /// Admitted before.
    pub until: Option<Timestamp>,
}

/// What a replay needs of a finished execution, beside its view.
#[derive(Clone, Debug, PartialEq)]
pub struct ReplaySource {
    /// The customer.
    pub scope: Scope,
    /// Its view with input.
    pub view: ExecutionView,
    /// The input as JSON text.
    pub input: String,
    /// The headers, as JSON text of `[{name, value}]`.
    pub headers: String,
    /// The event's type, source and time.
    pub event_kind: String,
    /// See `event_kind`.
    pub event_source: String,
    /// See `event_kind`.
    pub event_time: Timestamp,
    /// Every successful result, in order.
    pub results: Vec<OpRecord>,
}

/// An event with all that is needed to send it once more.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredEvent {
    /// Whose.
    pub scope: Scope,
    /// Its view.
    pub view: EventView,
    /// The headers.
    pub headers: Vec<Header>,
    /// The payload as JSON text.
    pub data: String,
    /// CloudEvents `time`.
    pub time: Timestamp,
}

/// Which usage a list shows.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct UsageFilter {
    /// Of this customer; empty for requests of the account itself.
    pub customer: Option<String>,
    /// Only this.
    pub measure: Option<Measure>,
    /// From the day that holds this instant.
    pub since: Option<Timestamp>,
    /// To the day that holds this instant, included.
    pub until: Option<Timestamp>,
}

/// Requests to the API, to be added to those that are known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiCalls {
    /// The customer; absent for the account itself.
    pub customer: Option<CustomerId>,
    /// Days since 1970-01-01, UTC.
    pub day: i64,
    /// How many.
    pub calls: u64,
}

/// Days for which usage is kept: a year and what bills of it may need.
pub(crate) const USAGE_DAYS_KEPT: i64 = 400;

/// What became of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventState {
    /// Its id.
    pub id: EventId,
    /// What admission made of it.
    pub status: EventStatus,
    /// The executions that it started.
    pub executions: Vec<ExecutionId>,
}

/// Rows of a customer that were deleted from the activity tables.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ErasedActivity {
    /// Of `events`.
    pub events: u64,
    /// Of `executions`.
    pub executions: u64,
    /// Of `dead_letters`.
    pub dead_letters: u64,
    /// Of `usage`.
    pub usage: u64,
}

impl ErasedActivity {
    /// All of them.
    pub fn rows(&self) -> u64 {
        self.events + self.executions + self.dead_letters + self.usage
    }
}

/// Rows of a customer that were deleted from the tables of configuration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ErasedConfiguration {
    /// Of `resources`.
    pub resources: u64,
    /// Of `resource_changes`.
    pub changes: u64,
    /// Of `idempotency`.
    pub answers: u64,
    /// Of `alerts`.
    pub alerts: u64,
    /// Of `polls`, each with its snapshot.
    pub polls: u64,
}

/// What activity shows of the runs that a schedule's fires made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScheduleRuns {
    /// When the newest was admitted, and where it stands.
    pub last: Option<(Timestamp, ExecutionStatus)>,
    /// When the newest that completed was admitted, after the instant asked for.
    pub completed: Option<Timestamp>,
    /// Fires that failed after both: for no customer do they run still, and for none did they complete.
    pub failed: u32,
    /// When the newest run of these was admitted, and the id of the newest event.
    pub newest_failed: Option<(Timestamp, String)>,
}

/// The stored answer to a write that carried an idempotency key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RememberedAnswer {
    /// A hash of the request: the same key with another request is a conflict.
    pub fingerprint: String,
    /// The HTTP status.
    pub status: u16,
    /// The body.
    pub body: String,
}

/// Configuration and activity.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// Writes resources of one account in one transaction, all or none, and returns the new rows. Each changed row gets
    /// a revision above every earlier one. Writing an equal body to an existing row changes nothing and returns it as it is.
    async fn write(&self, account: &AccountId, writes: Vec<ResourceWrite>) -> StoreResult<Vec<ResourceRow>>;

    /// One resource; `None` when it is not there, deleted, or out of reach.
    async fn resource(&self, reach: &Reach, kind: ResourceKind, id: &str) -> StoreResult<Option<ResourceRow>>;

    /// Resources of one kind by id, deleted ones left out. A customer's reach sees its own rows and the account's.
    async fn resources(&self, reach: &Reach, kind: ResourceKind, page: &PageRequest) -> StoreResult<Page<ResourceRow>>;

    /// The feed, for the node itself: rows of every account with a revision above `after`, oldest first, deleted ones
    /// included.
    async fn changes(&self, after: u64, limit: u32) -> StoreResult<Vec<ResourceRow>>;

    /// Events, newest first, without payloads.
    async fn events(&self, reach: &Reach, filter: &EventFilter, page: &PageRequest) -> StoreResult<Page<EventView>>;

    /// One event with its payload. With an account's reach the newest of that id.
    async fn event(&self, reach: &Reach, id: &EventId) -> StoreResult<Option<EventView>>;

    /// Executions, newest first, without input, output, steps and logs.
    async fn executions(
        &self,
        reach: &Reach,
        filter: &ExecutionFilter,
        page: &PageRequest,
    ) -> StoreResult<Page<ExecutionView>>;

    /// One execution with everything.
    async fn execution(&self, reach: &Reach, id: ExecutionId) -> StoreResult<Option<ExecutionView>>;

    /// What a replay needs.
    async fn replay_source(&self, reach: &Reach, id: ExecutionId) -> StoreResult<Option<ReplaySource>>;

    /// Where those of these executions that are there stand.
    async fn execution_states(
        &self,
        reach: &Reach,
        ids: &[ExecutionId],
    ) -> StoreResult<Vec<(ExecutionId, ExecutionStatus)>>;

    /// What became of those of these events that are there, and the executions that they started. An event that came twice
    /// is told twice.
    async fn event_states(&self, reach: &Reach, ids: &[EventId]) -> StoreResult<Vec<EventState>>;

    /// Dead letters, newest first.
    async fn dead_letters(
        &self,
        reach: &Reach,
        status: Option<DeadLetterStatus>,
        workflow: Option<&str>,
        page: &PageRequest,
    ) -> StoreResult<Page<DeadLetterView>>;

    /// One dead letter.
    async fn dead_letter(&self, reach: &Reach, id: ExecutionId) -> StoreResult<Option<DeadLetterView>>;

    /// One event with headers and payload, to be sent once more; `None` too when its payload is not kept any more.
    async fn stored_event(&self, reach: &Reach, id: &EventId) -> StoreResult<Option<StoredEvent>>;

    /// What was used, the newest day first.
    async fn usage(&self, reach: &Reach, filter: &UsageFilter, page: &PageRequest) -> StoreResult<Page<UsageRow>>;

    /// Events that count and came at or after `since`, as far as they are projected.
    async fn events_since(&self, reach: &Reach, since: Timestamp) -> StoreResult<u64>;

    /// Adds requests to the API to the usage of an account, all or none. Twice counts twice.
    async fn count_api_calls(&self, account: &AccountId, counts: Vec<ApiCalls>) -> StoreResult<()>;

    /// What a queued execution waits for; `concurrency` is the limit of its customer.
    async fn waiting_on(
        &self,
        reach: &Reach,
        id: ExecutionId,
        now: Timestamp,
        concurrency: Option<u32>,
    ) -> StoreResult<Option<WaitingOn>>;

    /// Remembers the answer to a write under its idempotency key for a day. If the key is there already, keeps and
    /// returns what is there.
    async fn remember(
        &self,
        reach: &Reach,
        key: &str,
        answer: RememberedAnswer,
    ) -> StoreResult<Option<RememberedAnswer>>;

    /// The remembered answer.
    async fn recall(&self, reach: &Reach, key: &str) -> StoreResult<Option<RememberedAnswer>>;

    /// Those of `ids` that are events of schedules within reach, with their customers.
    async fn known_fires(&self, reach: &Reach, ids: &[EventId]) -> StoreResult<Vec<(CustomerId, EventId)>>;

    /// The runs of a schedule that were admitted after `after`, of fires whose event id is above `after_event`; and the
    /// newest of all.
    async fn schedule_runs(
        &self,
        reach: &Reach,
        trigger: &TriggerId,
        after: Timestamp,
        after_event: &str,
    ) -> StoreResult<ScheduleRuns>;

    /// For the scheduler: schedules of `account` of which a run failed at `since` or later, by id, at most `limit`.
    async fn failing_schedules(&self, account: &AccountId, since: Timestamp, limit: u32)
    -> StoreResult<Vec<TriggerId>>;

    /// For the node itself: the instant under this name.
    async fn mark(&self, name: &str) -> StoreResult<Option<Timestamp>>;

    /// For the node itself: raises the mark to `at`, unless it is as high already. Twice is once.
    async fn raise_mark(&self, name: &str, at: Timestamp) -> StoreResult<()>;

    /// The polls that are kept beside everything else.
    fn polls(self: Arc<Self>) -> Arc<dyn Polls>;

    /// Follows the newest revision that this process has written or heard of from others, if the store can tell: a hint
    /// for the feed, which polls anyway.
    fn written(&self) -> Option<watch::Receiver<u64>> {
        None
    }

    /// For the projector: how far `partition` is projected.
    async fn position(&self, partition: u32) -> StoreResult<Position>;

    /// The journal offset from which `partition` is not projected yet.
    async fn projected(&self, partition: u32) -> StoreResult<u64> {
        Ok(self.position(partition).await?.next)
    }

    /// For the projector: applies a batch and its positions in one transaction. A batch whose positions do not follow
    /// what is stored is refused as a conflict and changes nothing, so that two projectors cannot double a row.
    async fn project(&self, batch: ProjectionBatch) -> StoreResult<()>;

    /// Deletes ended executions and events from before `before`, at most about `rows_max` of each, and returns how many
    /// rows went; zero when nothing is left to delete. Dead letters of deleted executions expire. Executions that have
    /// not ended stay.
    async fn prune(&self, before: Timestamp, rows_max: u32) -> StoreResult<u64>;

    /// The same for one account that keeps its activity for less long than others.
    async fn prune_account(&self, account: &AccountId, before: Timestamp, rows_max: u32) -> StoreResult<u64>;

    /// Blanks the payloads of one account's events and ended executions that came in `from..before`: data, headers,
    /// inputs, outputs, results, log lines, and those of steps. At most about `rows_max` of each; returns how many rows
    /// changed; zero when nothing is left. Dead letters whose input goes expire. What has not ended keeps its input.
    async fn blank_payloads(
        &self,
        account: &AccountId,
        from: Timestamp,
        before: Timestamp,
        rows_max: u32,
    ) -> StoreResult<u64>;

    /// Deletes what activity holds of a customer, whatever its state, at most about `rows_max` rows of each table; nothing
    /// is deleted when nothing is left. Twice deletes nothing more.
    async fn erase_activity(&self, scope: &Scope, rows_max: u32) -> StoreResult<ErasedActivity>;

    /// Removes for good what configuration keeps of a customer, if one is named: its deleted resources, their history,
    /// answers that are remembered of it, alerts that were about it, and its polls with their snapshots; and the same of the resources `also`. Rows that are not deleted stay, with their
    /// newest version only. The newest row of all stays too, so that no revision is given twice.
    async fn erase_configuration(
        &self,
        account: &AccountId,
        customer: Option<&CustomerId>,
        also: &[(ResourceKind, String)],
    ) -> StoreResult<ErasedConfiguration>;

    /// Overwrites what deleted rows have left in the database's files; false where only the database itself can, in its
    /// own time.
    async fn compact(&self) -> StoreResult<bool>;

    /// For `fastn rebuild`: empties the activity tables and forgets the projector's positions, in one transaction.
    async fn reset_activity(&self) -> StoreResult<()>;

    /// Alerts, newest first. A customer's reach sees those about itself only.
    async fn alerts(&self, reach: &Reach, filter: &AlertFilter, page: &PageRequest) -> StoreResult<Page<AlertView>>;

    /// One alert.
    async fn alert(&self, reach: &Reach, id: &str) -> StoreResult<Option<AlertView>>;

    /// How many dead letters are pending, as far as activity is projected.
    async fn pending_dead_letters(&self, reach: &Reach, workflow: Option<&str>) -> StoreResult<u64>;

    /// For the evaluator of alerts: all that it remembers.
    async fn alert_memory(&self) -> StoreResult<AlertMemory>;

    /// For the evaluator of alerts: changes its memory and the alerts in one transaction, and returns the new revision. A
    /// save that was not made from the revision that is stored is refused as a conflict and changes nothing.
    async fn save_alerts(&self, save: AlertSave) -> StoreResult<u64>;

    /// For a follower of the journal: how far it has come in `partition`.
    async fn bookmark(&self, follower: &str, partition: u32) -> StoreResult<Position>;

    /// For a follower of the journal: how far it has come now. A bookmark never goes back.
    async fn set_bookmark(&self, follower: &str, partition: u32, position: Position) -> StoreResult<()>;

    /// Closes the connections.
    async fn close(&self);
}
