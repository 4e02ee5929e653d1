//! Works on replays until they are over, on any node that serves the API.
//!
//! ```text
//!   counting ─▶ starting ─▶ settling ─▶ completed
//!                  page: look which are there already ─▶ append the others, at the rate ─▶ position is kept
//! ```
//!
//! What is appended has an id made of the replay and of what it repeats, and what is there already is not appended again.
//! So a node that dies within a page, and two nodes that work on the same replay, lose none and double none. The lease
//! only keeps them from doing the same work; the version of the resource tells who has lost it.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use fastn_contract::activity::{EventStatus, ExecutionStatus, Origin};
use fastn_contract::flow::Priority;
use fastn_contract::replay::{REPLAY_RATE_DEFAULT, ReplayStatus};
use fastn_domain::catalog::ResourceKind;
use fastn_domain::event::{COMMAND_TYPE, Command, EventRecord};
use fastn_domain::partition::partition_of;
use fastn_domain::time::parse_rfc3339;
use fastn_domain::{AccountId, CustomerId, EventId, ExecutionId, Reach, Timestamp};
use fastn_log::{LogError, Record, Topic, event_record_at};
use fastn_store::{EventState, Expect, ResourceWrite, StoreError, StoreErrorKind};
use tokio::time::Instant;

use super::build::{blocked_again, event_again, replay_of, request_of, version_to_run};
use super::select::{Item, Selection, What, reach_of};
use super::stored::{Lease, StoredReplay};
use crate::api::commands::SOURCE;
use crate::api::ports::Ports;
use crate::observe;

/// Behind what comes from outside meanwhile.
const PRIORITY: Priority = Priority::P3;
/// Items of one page: what is looked at again after a crash.
const PAGE_ROWS: u32 = 100;
/// Rows that may be projected after a replay has passed their place, and are not its own.
const LATE_ROWS_MAX: u64 = 1_000;
/// Rows of one read while only counting.
const COUNT_ROWS: u32 = 1_000;
/// How long others leave a replay to the node that last wrote it.
const LEASE: Duration = Duration::from_secs(10);
/// Longest time between two writes of the progress: far below the lease, and rare enough for the feed.
const SAVE_EVERY: Duration = Duration::from_secs(1);
/// Appends of one second at a rate that is higher.
const CHUNKS_PER_SECOND: u32 = 10;
/// How long a replay waits for the ends of what it has started.
const SETTLE_MAX: Duration = Duration::from_secs(24 * 3_600);
/// The wait between two looks at how they ended: at least the first, at most the second, and some times what a look took.
const LOOK_MIN: Duration = Duration::from_millis(500);
const LOOK_MAX: Duration = Duration::from_secs(60);
const LOOK_SHARE: u32 = 10;
/// The wait after a failure of log or store.
const AGAIN: Duration = Duration::from_millis(500);

/// Why the work on a replay ends.
#[derive(Debug, thiserror::Error)]
pub(super) enum Stop {
    /// It is over, was cancelled, or is another node's.
    #[error("the replay is not this node's to work on")]
    NotOurs,
    /// What is kept of it does not read, or is not valid.
    #[error("the replay does not read: {0}")]
    Unreadable(String),
    /// The store failed; it is tried again.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The log failed; it is tried again.
    #[error(transparent)]
    Log(#[from] LogError),
}

/// One replay that this node works on.
pub(super) struct Runner {
    ports: Ports,
    node: Arc<str>,
    account: AccountId,
    id: String,
    customer: Option<CustomerId>,
    version: u64,
    replay: StoredReplay,
    selection: Selection,
    saved: Instant,
    looked: Option<(Instant, Duration)>,
}

/// Works on the replay `id` until it is over or somebody else's.
pub(super) async fn run(ports: Ports, node: Arc<str>, account: AccountId, id: String) {
    loop {
        let stopped = match Runner::take(&ports, &node, &account, &id).await {
            Ok(mut runner) => {
                let stopped = runner.work().await;
                if let Err(Stop::NotOurs) = stopped {
                    runner.leave().await;
                }
                stopped
            }
            Err(stop) => Err(stop),
        };
        match stopped {
            Ok(()) | Err(Stop::NotOurs) => return,
            Err(stop @ Stop::Unreadable(_)) => return observe::replay_stopped(&id, &stop),
            Err(stop) => observe::replay_interrupted(&id, &stop),
        }
        tokio::time::sleep(AGAIN).await;
    }
}

impl Runner {
    /// Reads the replay and takes its lease.
    async fn take(ports: &Ports, node: &Arc<str>, account: &AccountId, id: &str) -> Result<Self, Stop> {
        let reach = Reach::Account(account.clone());
        let row = ports.store.resource(&reach, ResourceKind::Replay, id).await?.ok_or(Stop::NotOurs)?;
        let replay = StoredReplay::read(&row).map_err(|error| Stop::Unreadable(error.to_string()))?;
        let now = crate::clock::now();
        let others = replay.lease.as_ref().is_some_and(|lease| *lease.node != **node && lease.until > now);
        if replay.status.is_final() || others {
            return Err(Stop::NotOurs);
        }
        let reach = reach_of(account, row.customer.clone());
        let selection = Selection::of(id, reach, &replay.request, replay.created)
            .map_err(|problem| Stop::Unreadable(problem.0.detail.clone()))?;
        let mut runner = Self {
            ports: ports.clone(),
            node: Arc::clone(node),
            account: account.clone(),
            id: id.to_owned(),
            customer: row.customer,
            version: row.version,
            replay,
            selection,
            saved: Instant::now(),
            looked: None,
        };
        // What a node before this one did behind the position is found again by its ids.
        runner.replay.counts = runner.replay.passed;
        runner.save().await?;
        Ok(runner)
    }

    async fn work(&mut self) -> Result<(), Stop> {
        if self.replay.status == ReplayStatus::Counting {
            self.count().await?;
        }
        if self.replay.status == ReplayStatus::Starting {
            self.start().await?;
        }
        self.settle().await
    }

    async fn count(&mut self) -> Result<(), Stop> {
        let (mut total, mut cursor) = (0, None);
        loop {
            let page = self.selection.page(self.ports.store.as_ref(), cursor, COUNT_ROWS).await?;
            total = (total + page.items.len() as u64).min(self.selection.limit());
            self.save_if_due().await?;
            cursor = page.next;
            if cursor.is_none() || total == self.selection.limit() {
                break;
            }
        }
        self.replay.total = Some(total);
        self.replay.status = ReplayStatus::Starting;
        self.save().await
    }

    async fn start(&mut self) -> Result<(), Stop> {
        loop {
            let left = self.selection.limit().saturating_sub(self.replay.passed.all());
            let cursor = self.replay.cursor.clone();
            let mut page = self.selection.page(self.ports.store.as_ref(), cursor, PAGE_ROWS).await?;
            page.items.truncate(usize::try_from(left).unwrap_or(usize::MAX));
            self.start_page(page.items).await?;
            self.replay.passed = self.replay.counts;
            let over = page.next.is_none() || self.replay.passed.all() >= self.selection.limit();
            self.replay.cursor = page.next;
            if over {
                self.replay.status = ReplayStatus::Settling;
                // The count was a look ahead; this is what there was.
                self.replay.total = Some(self.replay.passed.all());
            }
            self.save().await?;
            if over {
                return Ok(());
            }
        }
    }

    async fn start_page(&mut self, items: Vec<Item>) -> Result<(), Stop> {
        let there = self.there_already(&items).await?;
        let rate = self.replay.request.rate_per_second.unwrap_or(REPLAY_RATE_DEFAULT);
        let chunk = rate.div_ceil(CHUNKS_PER_SECOND) as usize;
        let mut fresh = Vec::with_capacity(chunk);
        for item in items {
            match item.appended_as(&self.id) {
                Some(id) if there.contains(&id) => self.replay.counts.started += 1,
                _ => fresh.push(item),
            }
            if fresh.len() == chunk {
                self.start_some(std::mem::take(&mut fresh), rate).await?;
            }
        }
        if !fresh.is_empty() {
            self.start_some(fresh, rate).await?;
        }
        Ok(())
    }

    /// The ids of those that a node has appended before, and that are projected.
    async fn there_already(&self, items: &[Item]) -> Result<HashSet<EventId>, Stop> {
        let states = self.ports.store.event_states(&self.reach(), &self.own_ids(items)).await?;
        let mut there: HashSet<EventId> = states.into_iter().map(|state| state.id).collect();
        for item in items {
            if let What::Blocked(id) = &item.what
                && self.came_since(item, id).await?
            {
                there.insert(id.clone());
            }
        }
        Ok(there)
    }

    /// The ids that only this replay has given.
    fn own_ids(&self, items: &[Item]) -> Vec<EventId> {
        let own = items.iter().filter(|item| !matches!(item.what, What::Blocked(_)));
        own.filter_map(|item| item.appended_as(&self.id)).collect()
    }

    /// Whether an event came once more since the replay was asked for.
    async fn came_since(&self, item: &Item, id: &EventId) -> Result<bool, Stop> {
        let newest = self.ports.store.event(&Reach::Customer(item.scope.clone()), id).await?;
        let received = newest.and_then(|view| parse_rfc3339(&view.received_at));
        Ok(received.is_some_and(|received| received >= self.replay.created))
    }

    fn reach(&self) -> Reach {
        reach_of(&self.account, self.customer.clone())
    }

    /// What was started since it was last written down is told though the replay was cancelled meanwhile.
    async fn leave(&self) {
        let reach = Reach::Account(self.account.clone());
        let Ok(Some(row)) = self.ports.store.resource(&reach, ResourceKind::Replay, &self.id).await else { return };
        let Ok(mut replay) = StoredReplay::read(&row) else { return };
        if replay.status != ReplayStatus::Cancelled || replay.counts.started >= self.replay.counts.started {
            return;
        }
        replay.counts = self.replay.counts;
        let Ok(body) = serde_json::to_string(&replay) else { return };
        let (kind, id) = (ResourceKind::Replay, self.id.clone());
        let expect = Expect::Version(row.version);
        let write = ResourceWrite { kind, customer: self.customer.clone(), id, body: Some(body), expect };
        if let Err(error) = self.ports.store.write(&self.account, vec![write]).await {
            observe::replay_interrupted(&self.id, &error);
        }
    }

    async fn start_some(&mut self, items: Vec<Item>, rate: u32) -> Result<(), Stop> {
        let due = Instant::now() + Duration::from_secs_f64(items.len() as f64 / f64::from(rate));
        if !self.is_open() {
            return Err(Stop::NotOurs);
        }
        let catalog = self.ports.catalog.current();
        let mut records: HashMap<u32, Vec<Record>> = HashMap::new();
        for item in items {
            match self.record_of(&item).await? {
                Ok(event) => {
                    let partition = partition_of(&event.scope, self.ports.log.partitions());
                    records.entry(partition).or_default().push(event_record_at(&event, catalog.revision));
                    self.replay.counts.started += 1;
                }
                Err(reason) => self.replay.skip(&item.id, reason),
            }
        }
        for (partition, records) in records {
            // A lost answer may mean that they are there: their ids make the second time harmless.
            while let Err(error) = self.ports.log.append(Topic::Events, partition, records.clone()).await {
                observe::replay_interrupted(&self.id, &error);
                self.save_if_due().await?;
                tokio::time::sleep(AGAIN).await;
            }
        }
        self.replay.started_last = Some(self.ports.clock.now());
        self.look_if_due().await?;
        self.save_if_due().await?;
        tokio::time::sleep_until(due).await;
        Ok(())
    }

    /// The event that runs the item again, or why none does.
    async fn record_of(&self, item: &Item) -> Result<Result<EventRecord, String>, Stop> {
        let catalog = self.ports.catalog.current();
        let gone = || format!("customer {} does not exist any more", item.scope.customer);
        let reach = Reach::Customer(item.scope.clone());
        let of = match &item.what {
            What::Refused(reason) => return Ok(Err(reason.clone())),
            _ if catalog.customer(&item.scope).is_none() => return Ok(Err(gone())),
            What::Execution(of) => *of,
            What::Blocked(id) => return Ok(blocked_again(id, self.ports.store.stored_event(&reach, id).await?)),
            What::Event(of) => {
                let source = self.ports.store.stored_event(&reach, of).await?;
                let again = match (source, item.appended_as(&self.id)) {
                    (Some(source), Some(id)) => event_again(id, of.as_str(), source),
                    _ => Err("its payload is gone".to_owned()),
                };
                return Ok(again.map(|event| EventRecord { priority: Some(PRIORITY.number()), ..event }));
            }
        };
        let Some(source) = self.ports.store.replay_source(&reach, of).await? else {
            return Ok(Err("its input is gone".to_owned()));
        };
        let request = request_of(&self.id, of);
        let command = version_to_run(&catalog, &source, self.replay.request.version)
            .and_then(|version| replay_of(source, of, version, self.replay.request.from, &request));
        let command = match command {
            Ok(replay) => Command::Replay(Box::new(replay)),
            Err(problem) => return Ok(Err(problem.0.detail.clone())),
        };
        let data = serde_json::to_string(&command).map_err(|error| Stop::Unreadable(error.to_string()))?;
        let id = EventId::new(&request).map_err(|error| Stop::Unreadable(error.to_string()))?;
        Ok(Ok(EventRecord {
            id,
            source: SOURCE.to_owned(),
            kind: COMMAND_TYPE.to_owned(),
            subject: None,
            time: self.ports.clock.now(),
            scope: item.scope.clone(),
            origin: Origin::Command,
            trigger: None,
            workflow: None,
            environment: None,
            headers: Vec::new(),
            data: data.into(),
            reply_to: None,
            traceparent: None,
            priority: Some(PRIORITY.number()),
        }))
    }

    async fn settle(&mut self) -> Result<(), Stop> {
        loop {
            self.look().await?;
            let settled = self.replay.succeeded + self.replay.failed >= self.replay.counts.started;
            let now = self.ports.clock.now();
            let late = self.replay.started_last.is_some_and(|at| now.since(at) > SETTLE_MAX);
            if settled || late || self.replay.counts.started == 0 {
                self.replay.end(ReplayStatus::Completed, now);
                return self.save().await;
            }
            if !self.is_open() {
                return Err(Stop::NotOurs);
            }
            self.save_if_due().await?;
            let wait = self.look_wait();
            let until = Instant::now() + wait;
            while Instant::now() < until {
                tokio::time::sleep(SAVE_EVERY.min(until - Instant::now())).await;
                if Instant::now() >= self.saved + LEASE / 3 {
                    self.save().await?;
                }
            }
        }
    }

    fn look_wait(&self) -> Duration {
        let took = self.looked.map_or(Duration::ZERO, |(_, took)| took);
        (took * LOOK_SHARE).clamp(LOOK_MIN, LOOK_MAX)
    }

    async fn look_if_due(&mut self) -> Result<(), Stop> {
        let due = self.looked.is_none_or(|(at, _)| at.elapsed() >= 2 * self.look_wait());
        if due { self.look().await } else { Ok(()) }
    }

    /// Counts how those ended that are started so far.
    async fn look(&mut self) -> Result<(), Stop> {
        let began = Instant::now();
        let (mut cursor, mut rows, mut known) = (None, 0, 0);
        let (mut succeeded, mut failed) = (0, 0);
        // Rows that were projected after the start are among them, so that the last one started may lie further on.
        while known < self.replay.counts.started && rows < self.replay.counts.all() + LATE_ROWS_MAX {
            let page = self.selection.page(self.ports.store.as_ref(), cursor, PAGE_ROWS).await?;
            rows += page.items.len() as u64;
            for outcome in self.outcomes(&page.items).await? {
                known += 1;
                match outcome {
                    Some(true) => succeeded += 1,
                    Some(false) => failed += 1,
                    None => {}
                }
            }
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
            self.save_if_due().await?;
        }
        (self.replay.succeeded, self.replay.failed) = (succeeded, failed);
        self.looked = Some((Instant::now(), began.elapsed()));
        Ok(())
    }

    /// Of those that were started and are projected, whether they ended well, once they ended.
    async fn outcomes(&self, items: &[Item]) -> Result<Vec<Option<bool>>, Stop> {
        let reach = self.reach();
        let mut ids = self.own_ids(items);
        for item in items {
            if let What::Blocked(id) = &item.what
                && self.came_since(item, id).await?
            {
                ids.push(id.clone());
            }
        }
        let mut events: HashMap<EventId, EventState> = HashMap::new();
        for state in self.ports.store.event_states(&reach, &ids).await? {
            // One that was appended twice is a duplicate of itself.
            let known = events.get(&state.id).is_some_and(|known| known.status == EventStatus::Delivered);
            if !known {
                events.insert(state.id.clone(), state);
            }
        }
        let started: Vec<ExecutionId> = events.values().flat_map(|event| event.executions.clone()).collect();
        let executions = self.ports.store.execution_states(&reach, &started).await?;
        let executions: HashMap<ExecutionId, ExecutionStatus> = executions.into_iter().collect();
        let outcome = |event: &EventState| {
            if event.status != EventStatus::Delivered {
                return Some(false);
            }
            let ends: Vec<_> = event.executions.iter().map(|id| executions.get(id).copied()).collect();
            let ended = ends.iter().all(|status| status.is_some_and(ExecutionStatus::is_final));
            ended.then(|| ends.iter().all(|status| *status == Some(ExecutionStatus::Completed)))
        };
        Ok(events.values().map(outcome).collect())
    }

    /// Whether it is still to be worked on, as far as this node knows.
    fn is_open(&self) -> bool {
        let catalog = self.ports.catalog.current();
        let open = catalog.account(&self.account).is_some_and(|account| account.replays.contains(&self.id));
        open && !self.ports.stopping.is_cancelled()
    }

    async fn save_if_due(&mut self) -> Result<(), Stop> {
        if self.saved.elapsed() >= SAVE_EVERY { self.save().await } else { Ok(()) }
    }

    /// Writes where it stands and renews the lease.
    async fn save(&mut self) -> Result<(), Stop> {
        if !self.replay.status.is_final() {
            let until = crate::clock::now().as_micros() + LEASE.as_micros() as i64;
            self.replay.lease = Some(Lease { node: self.node.to_string(), until: Timestamp(until) });
        }
        let body = serde_json::to_string(&self.replay).map_err(|error| Stop::Unreadable(error.to_string()))?;
        let write = ResourceWrite {
            kind: ResourceKind::Replay,
            customer: self.customer.clone(),
            id: self.id.clone(),
            body: Some(body),
            expect: Expect::Version(self.version),
        };
        let written = self.ports.store.write(&self.account, vec![write]).await;
        match written {
            Ok(rows) => {
                self.version = rows.first().map_or(self.version, |row| row.version);
                self.saved = Instant::now();
                Ok(())
            }
            // Cancelled, or taken by another node; or by this one, whose answer was lost: then it is taken again.
            Err(error) if matches!(error.kind, StoreErrorKind::Conflict | StoreErrorKind::NotFound) => {
                Err(Stop::NotOurs)
            }
            Err(error) => Err(error.into()),
        }
    }
}
