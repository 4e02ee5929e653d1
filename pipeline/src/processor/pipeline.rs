//! The processors of a node: one driver for each partition that it owns, on shared sandboxes, calls and programs.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use fastn_domain::catalog::Catalog;
use fastn_domain::journal::JournalRecord;
use fastn_domain::time::{Agenda, Clock, Timestamp};
use fastn_log::{Log, LogError, Offset, Partition, Topic};
use fastn_store::Vault;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::answers::Answers;
use super::calls::Calls;
use super::driver;
use super::intercept::Intercept;
use super::machine::{Input, Limits};
use super::observe;
use super::programs::Programs;
use super::traces::Traces;
use crate::runtime::{Pool, PoolConfig, PoolError};

/// How a node runs its processors.
#[derive(Clone, Debug)]
pub struct PipelineConfig {
    /// The node's internal address, unique in its cell.
    pub node: String,
    /// Sandboxes.
    pub pool: PoolConfig,
    /// Limits of each partition.
    pub limits: Limits,
    /// Whether workflows may call addresses that are not public.
    pub allow_private_addresses: bool,
    /// Whether outside calls are told in the topic `traces`.
    pub traces: bool,
    /// Root of the random numbers that executions see. Secret, and the same on every node and after every start.
    pub seed_key: [u8; 32],
    /// Asked before each outside call.
    pub intercept: Option<Intercept>,
}

impl Default for PipelineConfig {
    fn default() -> Self {
        Self {
            node: "local".to_owned(),
            pool: PoolConfig::default(),
            limits: Limits::default(),
            allow_private_addresses: false,
            traces: false,
            seed_key: [0; 32],
            intercept: None,
        }
    }
}

/// Why the processors could not be started.
#[derive(Debug, thiserror::Error)]
pub enum PipelineError {
    /// The log.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The sandboxes.
    #[error("start the sandboxes: {0}")]
    Pool(#[from] PoolError),
    /// The HTTP client.
    #[error("start the HTTP client: {0}")]
    Http(#[from] reqwest::Error),
}

/// What the drivers of a node share.
pub(super) struct Shared {
    pub(super) log: Arc<dyn Log>,
    pub(super) catalog: watch::Receiver<Arc<Catalog>>,
    pub(super) vault: Arc<Vault>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) node: String,
    pub(super) limits: Limits,
    pub(super) seed_key: [u8; 32],
    pub(super) pool: Pool,
    pub(super) programs: Programs,
    pub(super) calls: Calls,
    pub(super) traces: Traces,
    pub(super) answers: Arc<Answers>,
    /// Executions that were started here.
    started: AtomicU64,
    partitions: Vec<PartitionState>,
}

#[derive(Default)]
struct PartitionState {
    owned: AtomicBool,
    ready: AtomicBool,
    events_floor: AtomicU64,
    journal_floor: AtomicU64,
    agenda: Agenda,
    /// The offset up to which events were taken, as the agenda knew.
    taken: AtomicU64,
    /// Outside calls under way, as the agenda knew. Those that a clock holds up are no work.
    calls: AtomicUsize,
}

impl Shared {
    fn set_owned(&self, partition: Partition, owned: bool) {
        if let Some(state) = self.partitions.get(partition as usize) {
            state.owned.store(owned, Ordering::Release);
        }
    }

    pub(super) fn set_ready(&self, partition: Partition, ready: bool) {
        if let Some(state) = self.partitions.get(partition as usize) {
            state.ready.store(ready, Ordering::Release);
        }
    }

    pub(super) fn set_floor(&self, partition: Partition, events: Offset, journal: Offset) {
        if let Some(state) = self.partitions.get(partition as usize) {
            state.events_floor.store(events, Ordering::Release);
            state.journal_floor.store(journal, Ordering::Release);
        }
    }
}

impl Shared {
    pub(super) fn count_started(&self, record: &JournalRecord) {
        if let JournalRecord::Admitted(admitted) = record {
            let started: usize = admitted.events.iter().map(|event| event.executions.len()).sum();
            self.started.fetch_add(started as u64, Ordering::Relaxed);
        }
    }

    /// Takes what a driver tells of its partition: with when its timer is due and what it follows if it rests but for calls.
    pub(super) fn tell_rest(
        &self,
        partition: Partition,
        rests: Option<(Option<Timestamp>, u64)>,
        taken: Offset,
        calls: usize,
    ) {
        let Some(state) = self.partitions.get(partition as usize) else { return };
        state.taken.store(taken, Ordering::Release);
        match rests {
            Some((next, revision)) => state.agenda.rests(next, revision),
            None => state.agenda.works(),
        }
        // Last: whoever sees that a call is over sees what came of it.
        state.calls.store(calls, Ordering::Release);
    }
}

/// What must not be trimmed, because a recovery would need it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TrimFloor {
    /// The first offset of `events[p]` that is needed.
    pub events: Offset,
    /// The first offset of `executions[p]` that is needed.
    pub journal: Offset,
}

/// The running processors of a node.
pub struct Pipeline {
    shared: Arc<Shared>,
    stop: CancellationToken,
    joined: Joined,
    keepers: Mutex<Vec<JoinHandle<()>>>,
}

impl Pipeline {
    /// Starts a driver for every partition that `log` gives this node. Each becomes ready when it has recovered.
    ///
    /// # Errors
    /// The sandboxes or the HTTP client do not start, or the log cannot be joined.
    pub async fn start(
        log: Arc<dyn Log>,
        catalog: watch::Receiver<Arc<Catalog>>,
        vault: Arc<Vault>,
        clock: Arc<dyn Clock>,
        answers: Arc<Answers>,
        config: PipelineConfig,
    ) -> Result<Pipeline, PipelineError> {
        let membership = log.join("pipeline").await?;
        let count = log.partitions();
        let senders: Arc<OnceLock<Vec<mpsc::UnboundedSender<Input>>>> = Arc::default();
        let routes = Arc::clone(&senders);
        let pool = Pool::start(&config.pool, move |turn| {
            let partition = (turn.slot % u64::from(count)) as usize;
            if let Some(sender) = routes.get().and_then(|senders| senders.get(partition)) {
                let _stopped = sender.send(Input::Turn(turn));
            }
        })?;
        let shared = Arc::new(Shared {
            calls: Calls::new(config.allow_private_addresses, config.intercept)?,
            answers,
            traces: Traces::start(&log, config.traces),
            log,
            catalog,
            vault,
            clock,
            node: config.node,
            limits: config.limits,
            seed_key: config.seed_key,
            pool,
            programs: Programs::default(),
            started: AtomicU64::new(0),
            partitions: (0..count).map(|_| PartitionState::default()).collect(),
        });
        let stop = CancellationToken::new();
        let (senders_of, keepers): (Vec<_>, Vec<_>) = (0..count)
            .map(|partition| {
                let (sender, inputs) = mpsc::unbounded_channel();
                let keeper = Keeper {
                    shared: Arc::clone(&shared),
                    partition,
                    sender: sender.clone(),
                    inputs,
                    owned: membership.owned.clone(),
                    stop: stop.clone(),
                };
                (sender, keeper)
            })
            .unzip();
        let _once = senders.set(senders_of);
        let keepers = keepers.into_iter().map(|keeper| tokio::spawn(keeper.run())).collect();
        let joined = Joined::of(membership.owned.clone());
        Ok(Pipeline { shared, stop, joined, keepers: Mutex::new(keepers) })
    }

    /// Whether the partitions are shared out, and every one of this node's has recovered and admits events.
    pub fn ready(&self) -> bool {
        if !self.joined.yet() {
            return false;
        }
        let owned = self.shared.partitions.iter().filter(|state| state.owned.load(Ordering::Acquire));
        owned.into_iter().all(|state| state.ready.load(Ordering::Acquire))
    }

    /// What a recovery of `partition` would need from the log.
    pub fn trim_floor(&self, partition: Partition) -> Option<TrimFloor> {
        let state = self.shared.partitions.get(partition as usize)?;
        state.ready.load(Ordering::Acquire).then(|| TrimFloor {
            events: state.events_floor.load(Ordering::Acquire),
            journal: state.journal_floor.load(Ordering::Acquire),
        })
    }

    /// Outside calls under way, if nothing else goes on at `now` under the configuration `revision`: every event was taken,
    /// no sandbox runs, no timer is due. Else the partition that is at work.
    ///
    /// # Errors
    /// That partition.
    pub fn calls_at_rest(&self, now: Timestamp, revision: u64) -> Result<usize, Partition> {
        let mut calls = 0;
        for (partition, state) in (0..).zip(&self.shared.partitions) {
            calls += state.calls.load(Ordering::Acquire);
            let end = *self.shared.log.tail(Topic::Events, partition).borrow();
            if !state.agenda.is_resting(now, revision) || state.taken.load(Ordering::Acquire) < end {
                return Err(partition);
            }
        }
        Ok(calls)
    }

    /// When the first timer is due.
    pub fn next_due(&self) -> Timestamp {
        self.shared.partitions.iter().map(|state| state.agenda.next()).min().unwrap_or(Timestamp(i64::MAX))
    }

    /// Executions that this node has started since it runs.
    pub fn started(&self) -> u64 {
        self.shared.started.load(Ordering::Relaxed)
    }

    /// Stops taking events, waits for the records under way, and ends the sandboxes. What was running goes on from what the
    /// journal says, at the next start or at the node that owns its partition next.
    pub async fn stop(&self) {
        self.stop.cancel();
        let keepers = std::mem::take(&mut *self.keepers.lock().unwrap_or_else(PoisonError::into_inner));
        for keeper in keepers {
            let _ended = keeper.await;
        }
    }
}

/// Runs a driver for one partition whenever this node owns it.
struct Keeper {
    shared: Arc<Shared>,
    partition: Partition,
    sender: mpsc::UnboundedSender<Input>,
    inputs: mpsc::UnboundedReceiver<Input>,
    owned: watch::Receiver<Arc<[Partition]>>,
    stop: CancellationToken,
}

impl Keeper {
    async fn run(mut self) {
        let partition = self.partition;
        let holds = move |owned: &Arc<[Partition]>| owned.binary_search(&partition).is_ok();
        loop {
            tokio::select! {
                given = becomes(&mut self.owned, holds) => if !given { return },
                () = self.stop.cancelled() => return,
            }
            self.shared.set_owned(partition, true);
            observe::partition_taken(partition);
            let tenure = self.stop.child_token();
            let mut owned = self.owned.clone();
            let taken_away = async {
                let _or_the_membership_is_over = becomes(&mut owned, |owned| !holds(owned)).await;
                tenure.cancel();
                std::future::pending::<()>().await
            };
            tokio::select! {
                () = driver::run(&self.shared, partition, &self.sender, &mut self.inputs, &tenure) => {}
                () = taken_away => {}
            }
            self.shared.set_owned(partition, false);
            observe::partition_given_up(partition);
            if !tenure.is_cancelled() {
                // The log is closed.
                return;
            }
        }
    }
}

/// Waits until ownership is as wanted; false when the membership is over.
async fn becomes(owned: &mut watch::Receiver<Arc<[Partition]>>, wanted: impl FnMut(&Arc<[Partition]>) -> bool) -> bool {
    owned.wait_for(wanted).await.is_ok()
}

/// Whether the group has shared out its partitions since this node joined: also if none fell to it.
struct Joined {
    owned: Mutex<watch::Receiver<Arc<[Partition]>>>,
}

impl Joined {
    fn of(owned: watch::Receiver<Arc<[Partition]>>) -> Self {
        Self { owned: Mutex::new(owned) }
    }

    fn yet(&self) -> bool {
        let owned = self.owned.lock().unwrap_or_else(PoisonError::into_inner);
        // Never marked as seen: the first change stays one.
        owned.has_changed().unwrap_or(true) || !owned.borrow().is_empty()
    }
}
