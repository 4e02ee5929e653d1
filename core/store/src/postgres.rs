//! The store on PostgreSQL, 15 and newer: shared by every node of a cell.
//!
//! Nothing here relies on a WHERE clause to keep customers apart. Row-level security is forced on every table, the role that
//! serves owns nothing and can't bypass it, and each transaction says whom it serves ([`scoped`]). Queries name account and
//! customer as well, but for the sake of indexes. Activity is written by another role, with just the rights of a projector.
//!
//! The schema is brought up to date by [`migrate`] only, never by a node. A node may start while PostgreSQL is away; what
//! serves is looked at once, at the first connection that works.

mod alerts;
mod columns;
mod config;
mod connect;
mod days;
mod error;
mod examine;
mod listen;
mod marks;
mod migrate;
mod options;
mod polls;
mod privacy;
mod project;
mod scoped;
mod text;
mod usage;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use fastn_contract::activity::{DeadLetterStatus, DeadLetterView, EventView, ExecutionStatus, ExecutionView};
use fastn_contract::alert::AlertView;
use fastn_contract::flow::WaitingOn;
use fastn_contract::page::Page;
use fastn_contract::quota::UsageRow;
use fastn_domain::catalog::{ResourceKind, ResourceRow};
use fastn_domain::ids::{AccountId, CustomerId, EventId, ExecutionId, TriggerId};
use fastn_domain::scope::{Reach, Scope};
use fastn_domain::time::{Clock, Timestamp};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use self::connect::{Link, Serves};
use self::days::Days;
use self::scoped::{Bound, Scoped};
use crate::alerts::{AlertFilter, AlertMemory, AlertSave};
use crate::error::refused;
use crate::observe;
use crate::polls::Polls;
use crate::projection::{Position, ProjectionBatch};
use crate::read::usage as read_usage;
use crate::read::{alert, dead_letter, event, execution, schedule};
use crate::seam::{
    ApiCalls, ErasedActivity, ErasedConfiguration, EventFilter, EventState, ExecutionFilter, Outcome, PageRequest,
    RememberedAnswer, ReplaySource, ResourceWrite, ScheduleRuns, Store, StoreErrorKind, StoreResult, StoredEvent,
    UsageFilter,
};

pub use examine::{Finding, examine};
pub use migrate::{MigrateOptions, Migrated, migrate};
pub use options::PostgresOptions;

/// See the head of this file.
pub struct PostgresStore {
    application: Link,
    projector: Option<Link>,
    listener: Link,
    listening: JoinHandle<()>,
    written: watch::Sender<u64>,
    days: Days,
    deadline: Duration,
    clock: Arc<dyn Clock>,
}

impl PostgresStore {
    /// Connects and looks at what is there. With [`PostgresOptions::start_without_server`] a server that is away is no error:
    /// the first operation that reaches it looks.
    ///
    /// # Errors
    /// `SchemaNewer` when a newer program has migrated it; `Database` when it is not migrated, when it is older than 15, or
    /// when a role could bypass row-level security; `Unavailable` when it is away.
    pub async fn open(options: PostgresOptions) -> StoreResult<Self> {
        let application = Link::new(&options, &options.url, Serves::Application)?;
        let projector = options.projector_url.as_deref();
        let projector = projector.map(|url| Link::new(&options, url, Serves::Projector)).transpose()?;
        for link in [Some(&application), projector.as_ref()].into_iter().flatten() {
            match link.ready().await {
                Err(error) if error.kind == StoreErrorKind::Unavailable && options.start_without_server => {
                    observe::server_away(&error);
                    break;
                }
                looked => looked.map(drop)?,
            }
        }
        let listener = Link::new(&options, &options.url, Serves::Listener)?;
        let written = watch::Sender::new(0);
        if let Ok(pool) = application.ready().await {
            let newest = config::newest_revision(pool).await?;
            listen::raise(&written, newest);
        }
        let listening = tokio::spawn(listen::listen(listener.pool().clone(), written.clone()));
        Ok(Self {
            application,
            projector,
            listener,
            listening,
            written,
            days: Days::default(),
            deadline: options.operation_timeout,
            clock: options.clock,
        })
    }

    /// Runs one operation of the seam within its deadline. `lost` is what a missing answer leaves behind.
    async fn run<T>(
        &self,
        operation: &'static str,
        lost: Outcome,
        work: impl Future<Output = StoreResult<T>>,
    ) -> StoreResult<T> {
        let work = Box::pin(work);
        observe::timed(operation, async {
            match timeout(self.deadline, work).await {
                Ok(result) => result,
                Err(_) => Err(error::late(operation, lost)),
            }
        })
        .await
    }

    /// A transaction that reads for `reach`. It ends by being dropped: there is nothing to commit.
    async fn reader(&self, reach: &Reach, operation: &'static str) -> StoreResult<Scoped> {
        Scoped::begin(self.application.ready().await?, Bound::Reach(reach), operation).await
    }

    fn projector(&self, operation: &'static str) -> StoreResult<&Link> {
        self.projector.as_ref().ok_or_else(|| {
            let message = "this process has no connection of the projector's role; set `store_projector`";
            refused(StoreErrorKind::Database, operation, "activity", message)
        })
    }
}

impl Drop for PostgresStore {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

#[async_trait]
impl Store for PostgresStore {
    async fn write(&self, account: &AccountId, writes: Vec<ResourceWrite>) -> StoreResult<Vec<ResourceRow>> {
        let rows = self
            .run("write", Outcome::Unknown, async {
                config::write(self.application.ready().await?, account, writes, self.clock.now()).await
            })
            .await?;
        if let Some(newest) = rows.iter().map(|row| row.revision).max() {
            listen::raise(&self.written, newest);
        }
        Ok(rows)
    }

    fn written(&self) -> Option<watch::Receiver<u64>> {
        Some(self.written.subscribe())
    }

    async fn resource(&self, reach: &Reach, kind: ResourceKind, id: &str) -> StoreResult<Option<ResourceRow>> {
        let work = async { config::resource(self.application.ready().await?, reach, kind, id).await };
        self.run("resource", Outcome::NotDone, work).await
    }

    async fn resources(&self, reach: &Reach, kind: ResourceKind, page: &PageRequest) -> StoreResult<Page<ResourceRow>> {
        let work = async { config::resources(self.application.ready().await?, reach, kind, page).await };
        self.run("resources", Outcome::NotDone, work).await
    }

    async fn changes(&self, after: u64, limit: u32) -> StoreResult<Vec<ResourceRow>> {
        let work = async { config::changes(self.application.ready().await?, after, limit).await };
        self.run("changes", Outcome::NotDone, work).await
    }

    async fn events(&self, reach: &Reach, filter: &EventFilter, page: &PageRequest) -> StoreResult<Page<EventView>> {
        let work = async { event::list(&mut self.reader(reach, "events").await?, reach, filter, page).await };
        self.run("events", Outcome::NotDone, work).await
    }

    async fn event(&self, reach: &Reach, id: &EventId) -> StoreResult<Option<EventView>> {
        let work = async { event::one(&mut self.reader(reach, "event").await?, reach, id).await };
        self.run("event", Outcome::NotDone, work).await
    }

    async fn executions(
        &self,
        reach: &Reach,
        filter: &ExecutionFilter,
        page: &PageRequest,
    ) -> StoreResult<Page<ExecutionView>> {
        let work = async { execution::list(&mut self.reader(reach, "executions").await?, reach, filter, page).await };
        self.run("executions", Outcome::NotDone, work).await
    }

    async fn execution(&self, reach: &Reach, id: ExecutionId) -> StoreResult<Option<ExecutionView>> {
        let work = async { execution::one(&mut self.reader(reach, "execution").await?, reach, id).await };
        self.run("execution", Outcome::NotDone, work).await
    }

    async fn replay_source(&self, reach: &Reach, id: ExecutionId) -> StoreResult<Option<ReplaySource>> {
        let work = async { execution::replay_source(&mut self.reader(reach, "replay_source").await?, reach, id).await };
        self.run("replay_source", Outcome::NotDone, work).await
    }

    async fn execution_states(
        &self,
        reach: &Reach,
        ids: &[ExecutionId],
    ) -> StoreResult<Vec<(ExecutionId, ExecutionStatus)>> {
        let work = async { execution::states(&mut self.reader(reach, "execution_states").await?, reach, ids).await };
        self.run("execution_states", Outcome::NotDone, work).await
    }

    async fn event_states(&self, reach: &Reach, ids: &[EventId]) -> StoreResult<Vec<EventState>> {
        let work = async { event::states(&mut self.reader(reach, "event_states").await?, reach, ids).await };
        self.run("event_states", Outcome::NotDone, work).await
    }

    async fn dead_letters(
        &self,
        reach: &Reach,
        status: Option<DeadLetterStatus>,
        workflow: Option<&str>,
        page: &PageRequest,
    ) -> StoreResult<Page<DeadLetterView>> {
        let work = async {
            let mut reader = self.reader(reach, "dead_letters").await?;
            dead_letter::list(&mut reader, reach, status, workflow, page).await
        };
        self.run("dead_letters", Outcome::NotDone, work).await
    }

    async fn dead_letter(&self, reach: &Reach, id: ExecutionId) -> StoreResult<Option<DeadLetterView>> {
        let work = async { dead_letter::one(&mut self.reader(reach, "dead_letter").await?, reach, id).await };
        self.run("dead_letter", Outcome::NotDone, work).await
    }

    async fn stored_event(&self, reach: &Reach, id: &EventId) -> StoreResult<Option<StoredEvent>> {
        let work = async { event::stored(&mut self.reader(reach, "stored_event").await?, reach, id).await };
        self.run("stored_event", Outcome::NotDone, work).await
    }

    async fn usage(&self, reach: &Reach, filter: &UsageFilter, page: &PageRequest) -> StoreResult<Page<UsageRow>> {
        let work = async { read_usage::list(&mut self.reader(reach, "usage").await?, reach, filter, page).await };
        self.run("usage", Outcome::NotDone, work).await
    }

    async fn events_since(&self, reach: &Reach, since: Timestamp) -> StoreResult<u64> {
        let work =
            async { read_usage::events_since(&mut self.reader(reach, "events_since").await?, reach, since).await };
        self.run("events_since", Outcome::NotDone, work).await
    }

    async fn count_api_calls(&self, account: &AccountId, counts: Vec<ApiCalls>) -> StoreResult<()> {
        let work = async { usage::count_api_calls(self.application.ready().await?, account, &counts).await };
        self.run("count_api_calls", Outcome::Unknown, work).await
    }

    async fn waiting_on(
        &self,
        reach: &Reach,
        id: ExecutionId,
        now: Timestamp,
        concurrency: Option<u32>,
    ) -> StoreResult<Option<WaitingOn>> {
        let work = async {
            let reader = &mut self.reader(reach, "waiting_on").await?;
            read_usage::waiting_on(reader, reach, id, now, concurrency).await
        };
        self.run("waiting_on", Outcome::NotDone, work).await
    }

    async fn remember(
        &self,
        reach: &Reach,
        key: &str,
        answer: RememberedAnswer,
    ) -> StoreResult<Option<RememberedAnswer>> {
        let work =
            async { config::remember(self.application.ready().await?, reach, key, answer, self.clock.now()).await };
        self.run("remember", Outcome::Unknown, work).await
    }

    async fn recall(&self, reach: &Reach, key: &str) -> StoreResult<Option<RememberedAnswer>> {
        let work = async { config::recall(self.application.ready().await?, reach, key, self.clock.now()).await };
        self.run("recall", Outcome::NotDone, work).await
    }

    async fn known_fires(&self, reach: &Reach, ids: &[EventId]) -> StoreResult<Vec<(CustomerId, EventId)>> {
        let work = async { schedule::known_fires(&mut self.reader(reach, "known_fires").await?, reach, ids).await };
        self.run("known_fires", Outcome::NotDone, work).await
    }

    async fn schedule_runs(
        &self,
        reach: &Reach,
        trigger: &TriggerId,
        after: Timestamp,
        after_event: &str,
    ) -> StoreResult<ScheduleRuns> {
        let work = async {
            let mut reader = self.reader(reach, "schedule_runs").await?;
            schedule::runs(&mut reader, reach, trigger, after, after_event).await
        };
        self.run("schedule_runs", Outcome::NotDone, work).await
    }

    async fn failing_schedules(
        &self,
        account: &AccountId,
        since: Timestamp,
        limit: u32,
    ) -> StoreResult<Vec<TriggerId>> {
        let work = async {
            let mut reader = self.reader(&Reach::Account(account.clone()), "failing_schedules").await?;
            schedule::failing(&mut reader, account, since, limit).await
        };
        self.run("failing_schedules", Outcome::NotDone, work).await
    }

    async fn mark(&self, name: &str) -> StoreResult<Option<Timestamp>> {
        let work = async { marks::mark(self.application.ready().await?, name).await };
        self.run("mark", Outcome::NotDone, work).await
    }

    async fn raise_mark(&self, name: &str, at: Timestamp) -> StoreResult<()> {
        let work = async { marks::raise(self.application.ready().await?, name, at).await };
        self.run("raise_mark", Outcome::Unknown, work).await
    }

    fn polls(self: Arc<Self>) -> Arc<dyn Polls> {
        self
    }

    async fn position(&self, partition: u32) -> StoreResult<Position> {
        let link = self.projector.as_ref().unwrap_or(&self.application);
        let work = async { project::position(link.ready().await?, partition).await };
        self.run("position", Outcome::NotDone, work).await
    }

    async fn project(&self, batch: ProjectionBatch) -> StoreResult<()> {
        let work = async {
            let pool = self.projector("project")?.ready().await?;
            self.days.ready_for(pool, &batch, self.clock.now()).await?;
            project::project(pool, batch).await
        };
        self.run("project", Outcome::Unknown, work).await
    }

    async fn prune(&self, before: Timestamp, rows_max: u32) -> StoreResult<u64> {
        let work = async {
            let pool = self.projector("prune")?.ready().await?;
            let usage = usage::prune(pool, self.clock.now()).await?;
            Ok(usage + self.days.prune(pool, before, rows_max, self.clock.now()).await?)
        };
        self.run("prune", Outcome::Unknown, work).await
    }

    async fn prune_account(&self, account: &AccountId, before: Timestamp, rows_max: u32) -> StoreResult<u64> {
        let work = async {
            let pool = self.projector("prune_account")?.ready().await?;
            privacy::prune_account(pool, account, before, rows_max, self.clock.now()).await
        };
        self.run("prune_account", Outcome::Unknown, work).await
    }

    async fn blank_payloads(
        &self,
        account: &AccountId,
        from: Timestamp,
        before: Timestamp,
        rows_max: u32,
    ) -> StoreResult<u64> {
        let work = async {
            let pool = self.projector("blank_payloads")?.ready().await?;
            privacy::blank_payloads(pool, account, from, before, rows_max).await
        };
        self.run("blank_payloads", Outcome::Unknown, work).await
    }

    async fn erase_activity(&self, scope: &Scope, rows_max: u32) -> StoreResult<ErasedActivity> {
        let work = async { privacy::erase_activity(self.application.ready().await?, scope, rows_max).await };
        self.run("erase_activity", Outcome::Unknown, work).await
    }

    async fn erase_configuration(
        &self,
        account: &AccountId,
        customer: Option<&CustomerId>,
        also: &[(ResourceKind, String)],
    ) -> StoreResult<ErasedConfiguration> {
        let work =
            async { privacy::erase_configuration(self.application.ready().await?, account, customer, also).await };
        self.run("erase_configuration", Outcome::Unknown, work).await
    }

    async fn compact(&self) -> StoreResult<bool> {
        // Its own vacuum does, and only the owner of a table may ask for it.
        Ok(false)
    }

    async fn reset_activity(&self) -> StoreResult<()> {
        let work = async { project::reset(self.projector("reset activity")?.ready().await?).await };
        self.run("reset_activity", Outcome::Unknown, work).await
    }

    async fn alerts(&self, reach: &Reach, filter: &AlertFilter, page: &PageRequest) -> StoreResult<Page<AlertView>> {
        let work = async { alert::list(&mut self.reader(reach, "alerts").await?, reach, filter, page).await };
        self.run("alerts", Outcome::NotDone, work).await
    }

    async fn alert(&self, reach: &Reach, id: &str) -> StoreResult<Option<AlertView>> {
        let work = async { alert::one(&mut self.reader(reach, "alert").await?, reach, id).await };
        self.run("alert", Outcome::NotDone, work).await
    }

    async fn pending_dead_letters(&self, reach: &Reach, workflow: Option<&str>) -> StoreResult<u64> {
        let work = async {
            let mut reader = self.reader(reach, "pending_dead_letters").await?;
            alert::pending_dead_letters(&mut reader, reach, workflow).await
        };
        self.run("pending_dead_letters", Outcome::NotDone, work).await
    }

    async fn alert_memory(&self) -> StoreResult<AlertMemory> {
        let work = async { alerts::memory(self.projector("alert_memory")?.ready().await?).await };
        self.run("alert_memory", Outcome::NotDone, work).await
    }

    async fn save_alerts(&self, save: AlertSave) -> StoreResult<u64> {
        let work = async { alerts::save(self.projector("save_alerts")?.ready().await?, save).await };
        self.run("save_alerts", Outcome::Unknown, work).await
    }

    async fn bookmark(&self, follower: &str, partition: u32) -> StoreResult<Position> {
        let work = async { alerts::bookmark(self.projector("bookmark")?.ready().await?, follower, partition).await };
        self.run("bookmark", Outcome::NotDone, work).await
    }

    async fn set_bookmark(&self, follower: &str, partition: u32, position: Position) -> StoreResult<()> {
        let work = async {
            let pool = self.projector("set_bookmark")?.ready().await?;
            alerts::set_bookmark(pool, follower, partition, position).await
        };
        self.run("set_bookmark", Outcome::Unknown, work).await
    }

    async fn close(&self) {
        self.listening.abort();
        for link in [Some(&self.listener), Some(&self.application), self.projector.as_ref()].into_iter().flatten() {
            link.pool().close().await;
        }
    }
}
