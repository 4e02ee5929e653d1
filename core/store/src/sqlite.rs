//! The store on SQLite: one directory with two database files.
//!
//! `config.db` is the truth for configuration, so each commit is synced (`synchronous=FULL`). `activity.db` is a view of
//! the log whose position is in the same transaction as its rows, so a commit that a power cut takes back is simply
//! projected again (`synchronous=NORMAL`). Each file has one writing connection and a few reading ones; the two never
//! wait for each other. Both are in WAL mode.

mod alerts;
mod config;
mod error;
mod marks;
mod migrate;
mod polls;
mod privacy;
mod project;
mod prune;
mod read;
mod usage;

use std::path::Path;
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
use sqlx::SqlitePool;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use tokio::sync::watch;

use crate::alerts::{AlertFilter, AlertMemory, AlertSave};
use crate::clock::SystemClock;
use crate::observe;
use crate::polls::Polls;
use crate::projection::{Position, ProjectionBatch};
use crate::read::usage as read_usage;
use crate::read::{alert, dead_letter, event, execution, schedule};
use crate::seam::{
    ApiCalls, ErasedActivity, ErasedConfiguration, EventFilter, EventState, ExecutionFilter, PageRequest,
    RememberedAnswer, ReplaySource, ResourceWrite, ScheduleRuns, Store, StoreResult, StoredEvent, UsageFilter,
};

/// How long a connection waits for another one's lock before it gives up.
const BUSY_TIMEOUT_MS: u64 = 5_000;
/// How long a call waits for a free connection.
const ACQUIRE_TIMEOUT_MS: u64 = 10_000;
/// Page of the activity file. Rows are one to a few KiB: on larger pages more of them fit without spilling, and a
/// commit in many places still writes little.
const ACTIVITY_PAGE_BYTES: u32 = 8_192;
/// WAL of the activity file before it is copied back: fewer, larger copies than SQLite's 1,000 pages.
const ACTIVITY_WAL_PAGES: u32 = 2_048;

/// What an operator may turn.
#[derive(Clone)]
pub struct SqliteOptions {
    /// Reading connections of each file.
    pub readers_max: u32,
    /// Page cache of the projector's connection, in KiB.
    pub writer_cache_kib: u32,
    /// Page cache of each other connection, in KiB.
    pub reader_cache_kib: u32,
    /// Where the store reads the time of changes.
    pub clock: Arc<dyn Clock>,
}

impl Default for SqliteOptions {
    fn default() -> Self {
        Self { readers_max: 3, writer_cache_kib: 16_384, reader_cache_kib: 2_048, clock: Arc::new(SystemClock) }
    }
}

impl std::fmt::Debug for SqliteOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SqliteOptions").field("readers_max", &self.readers_max).finish_non_exhaustive()
    }
}

/// See the head of this file.
pub struct SqliteStore {
    config_writer: SqlitePool,
    config_readers: SqlitePool,
    activity_writer: SqlitePool,
    activity_readers: SqlitePool,
    written: watch::Sender<u64>,
    clock: Arc<dyn Clock>,
}

impl SqliteStore {
    /// Opens both files in `directory`, which must exist, and brings their schemas up to date. New files are made.
    ///
    /// # Errors
    /// `SchemaNewer` when a newer program has been here; `Unavailable` when another process holds a lock for too long.
    pub async fn open(directory: &Path, options: SqliteOptions) -> StoreResult<Self> {
        let config = file(directory, "config.db").synchronous(SqliteSynchronous::Full);
        let activity = file(directory, "activity.db")
            .synchronous(SqliteSynchronous::Normal)
            .page_size(ACTIVITY_PAGE_BYTES)
            .pragma("wal_autocheckpoint", ACTIVITY_WAL_PAGES.to_string());
        let config_writer = pool(cached(&config, options.reader_cache_kib), 1, "config.db").await?;
        migrate::migrate(&config_writer, &migrate::CONFIG, "config.db").await?;
        let activity_writer = pool(cached(&activity, options.writer_cache_kib), 1, "activity.db").await?;
        migrate::migrate(&activity_writer, &migrate::ACTIVITY, "activity.db").await?;
        let reader = |file: &SqliteConnectOptions| cached(file, options.reader_cache_kib).read_only(true);
        let config_readers = pool(reader(&config), options.readers_max, "config.db").await?;
        let activity_readers = pool(reader(&activity), options.readers_max, "activity.db").await?;
        let revision = config::newest_revision(&config_readers).await?;
        Ok(Self {
            config_writer,
            config_readers,
            activity_writer,
            activity_readers,
            written: watch::Sender::new(revision),
            clock: options.clock,
        })
    }

    fn activity(&self) -> read::Rows<'_> {
        read::Rows(&self.activity_readers)
    }
}

fn file(directory: &Path, name: &str) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(directory.join(name))
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .busy_timeout(Duration::from_millis(BUSY_TIMEOUT_MS))
        .foreign_keys(false)
        .pragma("temp_store", "memory")
}

fn cached(file: &SqliteConnectOptions, cache_kib: u32) -> SqliteConnectOptions {
    // A negative size is in KiB, a positive one in pages.
    file.clone().pragma("cache_size", format!("-{cache_kib}"))
}

async fn pool(file: SqliteConnectOptions, connections_max: u32, name: &str) -> StoreResult<SqlitePool> {
    SqlitePoolOptions::new()
        .max_connections(connections_max)
        .min_connections(u32::from(connections_max == 1))
        .acquire_timeout(Duration::from_millis(ACQUIRE_TIMEOUT_MS))
        .test_before_acquire(false)
        .idle_timeout(None)
        .max_lifetime(None)
        .connect_with(file)
        .await
        .map_err(|error| error::database("open database", name, error))
}

#[async_trait]
impl Store for SqliteStore {
    async fn write(&self, account: &AccountId, writes: Vec<ResourceWrite>) -> StoreResult<Vec<ResourceRow>> {
        let rows =
            observe::timed("write", config::write(&self.config_writer, account, writes, self.clock.now())).await?;
        if let Some(newest) = rows.iter().map(|row| row.revision).max() {
            self.written.send_if_modified(|revision| {
                let newer = newest > *revision;
                *revision = newest.max(*revision);
                newer
            });
        }
        Ok(rows)
    }

    fn written(&self) -> Option<watch::Receiver<u64>> {
        Some(self.written.subscribe())
    }

    async fn resource(&self, reach: &Reach, kind: ResourceKind, id: &str) -> StoreResult<Option<ResourceRow>> {
        observe::timed("resource", config::resource(&self.config_readers, reach, kind, id)).await
    }

    async fn resources(&self, reach: &Reach, kind: ResourceKind, page: &PageRequest) -> StoreResult<Page<ResourceRow>> {
        observe::timed("resources", config::resources(&self.config_readers, reach, kind, page)).await
    }

    async fn changes(&self, after: u64, limit: u32) -> StoreResult<Vec<ResourceRow>> {
        observe::timed("changes", config::changes(&self.config_readers, after, limit)).await
    }

    async fn events(&self, reach: &Reach, filter: &EventFilter, page: &PageRequest) -> StoreResult<Page<EventView>> {
        observe::timed("events", event::list(&mut self.activity(), reach, filter, page)).await
    }

    async fn event(&self, reach: &Reach, id: &EventId) -> StoreResult<Option<EventView>> {
        observe::timed("event", event::one(&mut self.activity(), reach, id)).await
    }

    async fn executions(
        &self,
        reach: &Reach,
        filter: &ExecutionFilter,
        page: &PageRequest,
    ) -> StoreResult<Page<ExecutionView>> {
        observe::timed("executions", execution::list(&mut self.activity(), reach, filter, page)).await
    }

    async fn execution(&self, reach: &Reach, id: ExecutionId) -> StoreResult<Option<ExecutionView>> {
        observe::timed("execution", execution::one(&mut self.activity(), reach, id)).await
    }

    async fn replay_source(&self, reach: &Reach, id: ExecutionId) -> StoreResult<Option<ReplaySource>> {
        observe::timed("replay_source", execution::replay_source(&mut self.activity(), reach, id)).await
    }

    async fn execution_states(
        &self,
        reach: &Reach,
        ids: &[ExecutionId],
    ) -> StoreResult<Vec<(ExecutionId, ExecutionStatus)>> {
        observe::timed("execution_states", execution::states(&mut self.activity(), reach, ids)).await
    }

    async fn event_states(&self, reach: &Reach, ids: &[EventId]) -> StoreResult<Vec<EventState>> {
        observe::timed("event_states", event::states(&mut self.activity(), reach, ids)).await
    }

    async fn dead_letters(
        &self,
        reach: &Reach,
        status: Option<DeadLetterStatus>,
        workflow: Option<&str>,
        page: &PageRequest,
    ) -> StoreResult<Page<DeadLetterView>> {
        let mut activity = self.activity();
        let list = dead_letter::list(&mut activity, reach, status, workflow, page);
        observe::timed("dead_letters", list).await
    }

    async fn dead_letter(&self, reach: &Reach, id: ExecutionId) -> StoreResult<Option<DeadLetterView>> {
        observe::timed("dead_letter", dead_letter::one(&mut self.activity(), reach, id)).await
    }

    async fn stored_event(&self, reach: &Reach, id: &EventId) -> StoreResult<Option<StoredEvent>> {
        event::stored(&mut self.activity(), reach, id).await
    }

    async fn usage(&self, reach: &Reach, filter: &UsageFilter, page: &PageRequest) -> StoreResult<Page<UsageRow>> {
        read_usage::list(&mut self.activity(), reach, filter, page).await
    }

    async fn events_since(&self, reach: &Reach, since: Timestamp) -> StoreResult<u64> {
        read_usage::events_since(&mut self.activity(), reach, since).await
    }

    async fn count_api_calls(&self, account: &AccountId, counts: Vec<ApiCalls>) -> StoreResult<()> {
        usage::count_api_calls(&self.activity_writer, account, &counts).await
    }

    async fn waiting_on(
        &self,
        reach: &Reach,
        id: ExecutionId,
        now: Timestamp,
        concurrency: Option<u32>,
    ) -> StoreResult<Option<WaitingOn>> {
        read_usage::waiting_on(&mut self.activity(), reach, id, now, concurrency).await
    }

    async fn remember(
        &self,
        reach: &Reach,
        key: &str,
        answer: RememberedAnswer,
    ) -> StoreResult<Option<RememberedAnswer>> {
        let now = self.clock.now();
        observe::timed("remember", config::remember(&self.config_writer, reach, key, answer, now)).await
    }

    async fn recall(&self, reach: &Reach, key: &str) -> StoreResult<Option<RememberedAnswer>> {
        observe::timed("recall", config::recall(&self.config_readers, reach, key, self.clock.now())).await
    }

    async fn known_fires(&self, reach: &Reach, ids: &[EventId]) -> StoreResult<Vec<(CustomerId, EventId)>> {
        observe::timed("known_fires", schedule::known_fires(&mut self.activity(), reach, ids)).await
    }

    async fn schedule_runs(
        &self,
        reach: &Reach,
        trigger: &TriggerId,
        after: Timestamp,
        after_event: &str,
    ) -> StoreResult<ScheduleRuns> {
        observe::timed("schedule_runs", schedule::runs(&mut self.activity(), reach, trigger, after, after_event)).await
    }

    async fn failing_schedules(
        &self,
        account: &AccountId,
        since: Timestamp,
        limit: u32,
    ) -> StoreResult<Vec<TriggerId>> {
        let mut activity = self.activity();
        observe::timed("failing_schedules", schedule::failing(&mut activity, account, since, limit)).await
    }

    async fn mark(&self, name: &str) -> StoreResult<Option<Timestamp>> {
        observe::timed("mark", marks::mark(&self.config_readers, name)).await
    }

    async fn raise_mark(&self, name: &str, at: Timestamp) -> StoreResult<()> {
        observe::timed("raise_mark", marks::raise(&self.config_writer, name, at)).await
    }

    fn polls(self: Arc<Self>) -> Arc<dyn Polls> {
        self
    }

    async fn position(&self, partition: u32) -> StoreResult<Position> {
        observe::timed("position", project::position(&self.activity_readers, partition)).await
    }

    async fn project(&self, batch: ProjectionBatch) -> StoreResult<()> {
        observe::timed("project", project::project(&self.activity_writer, batch)).await
    }

    async fn prune(&self, before: Timestamp, rows_max: u32) -> StoreResult<u64> {
        observe::timed("prune", prune::prune(&self.activity_writer, before, rows_max, self.clock.now())).await
    }

    async fn prune_account(&self, account: &AccountId, before: Timestamp, rows_max: u32) -> StoreResult<u64> {
        let (pool, now) = (&self.activity_writer, self.clock.now());
        observe::timed("prune_account", privacy::prune_account(pool, account, before, rows_max, now)).await
    }

    async fn blank_payloads(
        &self,
        account: &AccountId,
        from: Timestamp,
        before: Timestamp,
        rows_max: u32,
    ) -> StoreResult<u64> {
        let pool = &self.activity_writer;
        observe::timed("blank_payloads", privacy::blank_payloads(pool, account, from, before, rows_max)).await
    }

    async fn erase_activity(&self, scope: &Scope, rows_max: u32) -> StoreResult<ErasedActivity> {
        observe::timed("erase_activity", privacy::erase_activity(&self.activity_writer, scope, rows_max)).await
    }

    async fn erase_configuration(
        &self,
        account: &AccountId,
        customer: Option<&CustomerId>,
        also: &[(ResourceKind, String)],
    ) -> StoreResult<ErasedConfiguration> {
        observe::timed(
            "erase_configuration",
            privacy::erase_configuration(&self.config_writer, account, customer, also),
        )
        .await
    }

    async fn compact(&self) -> StoreResult<bool> {
        observe::timed("compact", async {
            privacy::compact(&self.config_writer, "config.db").await?;
            privacy::compact(&self.activity_writer, "activity.db").await
        })
        .await?;
        Ok(true)
    }

    async fn reset_activity(&self) -> StoreResult<()> {
        observe::timed("reset_activity", project::reset(&self.activity_writer)).await
    }

    async fn alerts(&self, reach: &Reach, filter: &AlertFilter, page: &PageRequest) -> StoreResult<Page<AlertView>> {
        observe::timed("alerts", alert::list(&mut read::Rows(&self.config_readers), reach, filter, page)).await
    }

    async fn alert(&self, reach: &Reach, id: &str) -> StoreResult<Option<AlertView>> {
        observe::timed("alert", alert::one(&mut read::Rows(&self.config_readers), reach, id)).await
    }

    async fn pending_dead_letters(&self, reach: &Reach, workflow: Option<&str>) -> StoreResult<u64> {
        let mut activity = self.activity();
        observe::timed("pending_dead_letters", alert::pending_dead_letters(&mut activity, reach, workflow)).await
    }

    async fn alert_memory(&self) -> StoreResult<AlertMemory> {
        observe::timed("alert_memory", alerts::memory(&self.config_readers)).await
    }

    async fn save_alerts(&self, save: AlertSave) -> StoreResult<u64> {
        observe::timed("save_alerts", alerts::save(&self.config_writer, save)).await
    }

    async fn bookmark(&self, follower: &str, partition: u32) -> StoreResult<Position> {
        observe::timed("bookmark", alerts::bookmark(&self.config_readers, follower, partition)).await
    }

    async fn set_bookmark(&self, follower: &str, partition: u32, position: Position) -> StoreResult<()> {
        observe::timed("set_bookmark", alerts::set_bookmark(&self.config_writer, follower, partition, position)).await
    }

    async fn close(&self) {
        for pool in [&self.config_readers, &self.activity_readers, &self.config_writer, &self.activity_writer] {
            pool.close().await;
        }
    }
}
