//! The projector: makes rows in SQL of the journal, batch by batch.
//!
//! ```text
//!   executions[0] ─┐                                   ┌─ rows       ─┐
//!   executions[1] ─┼─▶ records that count ─▶ fold ─▶  │              ├─ one transaction ─▶ changes told
//!   executions[n] ─┘   (epochs)   ▲                    └─ positions  ─┘
//!                       events[p] ┘ payloads
//! ```
//!
//! One task serves all partitions of the node. Its position in each is written with the rows made from what lies before
//! it, and the store refuses a batch that does not start where the last one ended. So wherever the process dies, and
//! however many projectors there are, no row is lost or made twice. After any failure the task forgets what it holds and
//! starts again from the positions that are stored.
//!
//! At the tail it waits a moment before each batch: the records of a short execution then fold into one row.

mod change;
mod fold;
mod observe;
mod rebuild;
mod retention;
mod source;
mod status;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use fastn_domain::journal::JournalRecord;
use fastn_domain::time::Timestamp;
use fastn_log::{Log, LogResult, Membership, Offset, Partition, Topic};
use fastn_store::{Advance, Position, Store};
use futures_util::future::select_all;
use tokio::sync::{broadcast, watch};
use tokio::task::JoinHandle;

pub use self::change::{ActivityChange, EventChange, ExecutionChange};
pub use self::observe::ProjectError;
pub use self::rebuild::rebuild;
pub use self::retention::{Retention, RetentionOptions};

use self::change::Changes;
use self::fold::Fold;
use self::source::Source;

/// Changes that a watcher may be behind before it misses some.
const CHANGES_QUEUE_MAX: usize = 4_096;
/// Records folded before other tasks of the thread get a turn.
const TURN_RECORDS: usize = 32;
/// The longest wait after a failure; the first is a hundredth of it.
const RETRY_WAIT_MAX: Duration = Duration::from_secs(10);

/// How long a watcher goes on after its last reader has left.
const WATCHED_ON: Duration = Duration::from_secs(60);
/// How often a watcher looks whether a row is there, and how long before it tells the change without.
const ROWS_LOOK: Duration = Duration::from_millis(20);
const ROWS_WAIT_MAX: Duration = Duration::from_secs(2);

/// How batches are cut.
#[derive(Clone, Copy, Debug)]
pub struct ProjectorOptions {
    /// Rows after which a batch is written.
    pub batch_rows_max: usize,
    /// Bytes of records after which a batch is written.
    pub batch_bytes_max: usize,
    /// Wait at the tail before a batch, so that short executions fold into one row.
    pub delay: Duration,
    /// The same while there is much to do: fewer executions are cut in two, and nobody follows so many by eye.
    pub delay_busy: Duration,
    /// Rows of a batch from which on the next wait is the busy one.
    pub busy_rows: usize,
}

impl Default for ProjectorOptions {
    fn default() -> Self {
        Self {
            batch_rows_max: 4_096,
            batch_bytes_max: 8 << 20,
            delay: Duration::from_millis(25),
            delay_busy: Duration::from_millis(150),
            busy_rows: 50,
        }
    }
}

/// A running projector. Dropping it ends it at once, which is as safe as a kill.
pub struct Projector {
    log: Arc<dyn Log>,
    changes: broadcast::Sender<ActivityChange>,
    projected: watch::Receiver<BTreeMap<Partition, Offset>>,
    task: JoinHandle<()>,
    /// Keeps the membership of a watcher.
    _everything: Option<watch::Sender<Arc<[Partition]>>>,
}

impl Projector {
    /// Projects the partitions that `membership` owns, from where the store says on.
    pub fn start(
        log: Arc<dyn Log>,
        store: Arc<dyn Store>,
        membership: Membership,
        options: ProjectorOptions,
    ) -> Projector {
        let (changes, _) = broadcast::channel(CHANGES_QUEUE_MAX);
        let (sender, projected) = watch::channel(BTreeMap::new());
        let mut worker = Worker::new(Arc::clone(&log), store, options, changes.clone());
        worker.projected = sender;
        let task = tokio::spawn(async move { worker.run(membership).await });
        Projector { log, changes, projected, task, _everything: None }
    }

    /// Writes nothing, and tells the changes of every partition while there are `readers`: for a node that shows activity
    /// which others project. A change is told when it is in SQL, or after a while without that.
    pub fn watch(
        log: Arc<dyn Log>,
        store: Arc<dyn Store>,
        readers: watch::Receiver<usize>,
        options: ProjectorOptions,
    ) -> Projector {
        let (changes, _) = broadcast::channel(CHANGES_QUEUE_MAX);
        let mut worker = Worker::new(Arc::clone(&log), store, options, changes.clone());
        worker.writes = false;
        let projected = worker.projected.subscribe();
        let (everything, owned) = watch::channel((0..log.partitions()).collect());
        let task = tokio::spawn(async move { worker.run_for(readers, &Membership { owned }).await });
        Projector { log, changes, projected, task, _everything: Some(everything) }
    }

    /// Follows what changes in SQL.
    pub fn changes(&self) -> broadcast::Receiver<ActivityChange> {
        self.changes.subscribe()
    }

    /// A sender to hand to whoever subscribes later.
    pub fn change_sender(&self) -> broadcast::Sender<ActivityChange> {
        self.changes.clone()
    }

    /// Whether everything that the journal of the owned partitions holds is in SQL.
    pub fn is_caught_up(&self) -> bool {
        let projected = self.projected.borrow();
        let mut partitions = projected.iter();
        !projected.is_empty()
            && partitions.all(|(partition, next)| *next >= *self.log.tail(Topic::Executions, *partition).borrow())
    }

    /// Waits until everything that the journal of the owned partitions holds now is in SQL. False when `deadline` passes.
    pub async fn caught_up(&self, deadline: Duration) -> bool {
        let mut projected = self.projected.clone();
        let ends: Vec<_> = (0..self.log.partitions())
            .map(|partition| (partition, *self.log.tail(Topic::Executions, partition).borrow()))
            .collect();
        let reached = projected.wait_for(|projected| {
            !projected.is_empty()
                && ends.iter().all(|(partition, end)| projected.get(partition).is_none_or(|next| next >= end))
        });
        matches!(tokio::time::timeout(deadline, reached).await, Ok(Ok(_)))
    }
}

impl std::fmt::Debug for Projector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Projector").field("projected", &*self.projected.borrow()).finish_non_exhaustive()
    }
}

impl Drop for Projector {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The state of the task.
pub(crate) struct Worker {
    log: Arc<dyn Log>,
    store: Arc<dyn Store>,
    options: ProjectorOptions,
    sources: Vec<Source>,
    /// Whether rows are written, or only what changed is told.
    writes: bool,
    /// See [`Fold::erases`].
    erases: bool,
    /// The source that the next batch begins with, so that a busy partition does not starve the others.
    first: usize,
    known: Changes,
    changes: broadcast::Sender<ActivityChange>,
    projected: watch::Sender<BTreeMap<Partition, Offset>>,
}

/// A batch that was read and not written yet.
struct Gathered {
    fold: Fold,
    records: usize,
    /// Whether more can be read right away.
    more: bool,
}

impl Worker {
    fn new(
        log: Arc<dyn Log>,
        store: Arc<dyn Store>,
        options: ProjectorOptions,
        changes: broadcast::Sender<ActivityChange>,
    ) -> Self {
        let projected = watch::Sender::new(BTreeMap::new());
        Self {
            log,
            store,
            options,
            sources: Vec::new(),
            writes: true,
            erases: false,
            first: 0,
            known: Changes::default(),
            changes,
            projected,
        }
    }

    /// Runs while there are readers, and a while longer: one that lost its connection comes back and goes on where it was.
    async fn run_for(&mut self, mut readers: watch::Receiver<usize>, membership: &Membership) {
        while readers.wait_for(|readers| *readers > 0).await.is_ok() {
            let mut left = readers.clone();
            let alone = async {
                while left.wait_for(|readers| *readers == 0).await.is_ok() {
                    let back = left.wait_for(|readers| *readers > 0);
                    if tokio::time::timeout(WATCHED_ON, back).await.is_err() {
                        return;
                    }
                }
            };
            tokio::select! {
                () = self.run(membership.clone()) => return,
                () = alone => {}
            }
            self.sources.clear();
            self.known.clear();
        }
    }

    async fn run(&mut self, mut membership: Membership) {
        let mut failures = 0u32;
        loop {
            let Err(error) = self.follow(&mut membership).await else { return };
            failures = failures.saturating_add(1);
            let wait = (RETRY_WAIT_MAX / 100 * failures.min(100)).min(RETRY_WAIT_MAX);
            observe::failed(&error, failures, wait);
            self.known.clear();
            tokio::time::sleep(wait).await;
            let owned = membership.owned.borrow_and_update().clone();
            if self.own(&owned).await.is_ok() && self.step().await.is_ok() {
                observe::recovered(failures);
                failures = 0;
            }
        }
    }

    /// Projects until something fails or the log is closed.
    async fn follow(&mut self, membership: &mut Membership) -> Result<(), ProjectError> {
        let owned = membership.owned.borrow_and_update().clone();
        self.own(&owned).await?;
        loop {
            let (rows, more) = self.step().await?;
            if more {
                continue;
            }
            let tails = self.sources.iter_mut().map(|source| Box::pin(source.tail.changed()));
            let tails: Vec<_> = tails.collect();
            tokio::select! {
                changed = any(tails) => if changed.is_err() { return Ok(()) },
                changed = membership.owned.changed() => {
                    if changed.is_err() { return Ok(()) }
                    let owned = membership.owned.borrow_and_update().clone();
                    self.own(&owned).await?;
                    continue;
                }
            }
            let busy = rows >= self.options.busy_rows;
            tokio::time::sleep(if busy { self.options.delay_busy } else { self.options.delay }).await;
        }
    }

    /// Starts anew at the stored positions of these partitions, or at their ends for one that only watches.
    pub(crate) async fn own(&mut self, partitions: &[Partition]) -> Result<(), ProjectError> {
        self.sources.clear();
        for &partition in partitions {
            let stored = if self.writes {
                self.store.position(partition).await?
            } else {
                // Records of a replaced writer may be shown until the next claim; rows never come of them.
                let next = self.log.bounds(Topic::Executions, partition).await?.end;
                Position { next, ..Position::default() }
            };
            self.sources.push(Source::new(self.log.as_ref(), partition, stored));
        }
        self.tell_positions();
        Ok(())
    }

    /// Reads, folds and writes one batch. Tells its rows, and whether more can be read right away.
    pub(crate) async fn step(&mut self) -> Result<(usize, bool), ProjectError> {
        let Gathered { fold, records, more } = self.gather().await?;
        let advances: Vec<_> = self.sources.iter().filter_map(Source::advance).collect();
        let rows = fold.rows();
        if !advances.is_empty() {
            let started = Instant::now();
            let watched = self.changes.receiver_count() > 0;
            let mut changes = self.known.of(&fold, watched);
            let mut batch = fold.into_batch();
            batch.advances = advances;
            if self.writes {
                self.store.project(batch).await?;
            } else {
                self.await_rows(&batch.advances).await;
            }
            self.sources.iter_mut().for_each(Source::written);
            observe::committed(records, rows, started.elapsed());
            self.tell_positions();
            Changes::complete(self.store.as_ref(), &mut changes).await;
            for change in changes {
                // Nobody listens any more, which is no failure.
                let _ = self.changes.send(change);
            }
        }
        self.tell_lag();
        Ok((rows, more))
    }

    /// Waits until another projector has written what lies before these positions.
    async fn await_rows(&self, advances: &[Advance]) {
        let written = async {
            for advance in advances {
                while self.store.position(advance.partition).await.is_ok_and(|stored| stored.next < advance.to.next) {
                    tokio::time::sleep(ROWS_LOOK).await;
                }
            }
        };
        let _shown_without = tokio::time::timeout(ROWS_WAIT_MAX, written).await;
    }

    async fn gather(&mut self) -> LogResult<Gathered> {
        let mut gathered = Gathered { fold: Fold::new(self.erases), records: 0, more: false };
        let mut bytes = 0;
        let count = self.sources.len();
        self.first = if count == 0 { 0 } else { (self.first + 1) % count };
        for at in 0..count {
            let source = &mut self.sources[(self.first + at) % count];
            while let Some(next) = source.peek(self.log.as_ref()).await? {
                let full = gathered.fold.rows() >= self.options.batch_rows_max || bytes >= self.options.batch_bytes_max;
                if full || gathered.fold.must_be_written_before(&next.record) {
                    gathered.more = true;
                    return Ok(gathered);
                }
                bytes += next.bytes;
                match next.record {
                    JournalRecord::Admitted(record) => {
                        let events = source.events_of(self.log.as_ref(), &record).await?;
                        let payloads = events.iter().flatten().map(|event| event.record.data.len());
                        bytes += payloads.sum::<usize>();
                        gathered.fold.admit(source.partition, record, events);
                    }
                    JournalRecord::Snapshot(record) => {
                        let event = match (&record.start.origin, record.event_offset) {
                            (None, Some(offset)) => source.event_at(self.log.as_ref(), offset).await?,
                            _ => None,
                        };
                        gathered.fold.snapshot(source.partition, *record, event);
                    }
                    record => gathered.fold.record(record),
                }
                source.take();
                gathered.records += 1;
                if gathered.records.is_multiple_of(TURN_RECORDS) {
                    tokio::task::yield_now().await;
                }
            }
        }
        Ok(gathered)
    }

    fn tell_positions(&self) {
        let positions = self.sources.iter().map(|source| (source.partition, source.projected())).collect();
        self.projected.send_replace(positions);
    }

    fn tell_lag(&self) {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        let now = Timestamp(i64::try_from(now.as_micros()).unwrap_or(i64::MAX));
        let behind = self.sources.iter().map(Source::behind).filter(|(offsets, _)| *offsets > 0);
        let (offsets, age) = behind.fold((0, Duration::ZERO), |(offsets, age), (more, taken_at)| {
            let reached = if taken_at == Timestamp::default() { Duration::ZERO } else { now.since(taken_at) };
            (offsets + more, age.max(reached))
        });
        observe::lag(offsets, age);
    }
}

/// Waits for the first of `tails` to move; for ever when there is none.
async fn any<F>(tails: Vec<F>) -> Result<(), watch::error::RecvError>
where
    F: Future<Output = Result<(), watch::error::RecvError>> + Unpin,
{
    if tails.is_empty() {
        return std::future::pending().await;
    }
    select_all(tails).await.0
}
