//! The processors of a node: one driver for each partition that it owns, on shared sandboxes, calls and programs.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use fastn_domain::catalog::Catalog;
use fastn_domain::time::Clock;
use fastn_log::{Log, LogError, Offset, Partition};
use fastn_store::Vault;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::answers::Answers;
use super::calls::Calls;
use super::driver;
use super::machine::{Input, Limits};
use super::programs::Programs;
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
    /// Root of the random numbers that executions see. Secret, and the same on every node and after every start.
    pub seed_key: [u8; 32],
}

impl Default for PipelineConfig {
    fn default() -> Self {
        Self {
            node: "local".to_owned(),
            pool: PoolConfig::default(),
            limits: Limits::default(),
            allow_private_addresses: false,
            seed_key: [0; 32],
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
    pub(super) answers: Arc<Answers>,
    partitions: Vec<PartitionState>,
}

#[derive(Default)]
struct PartitionState {
    owned: AtomicBool,
    ready: AtomicBool,
    events_floor: AtomicU64,
    journal_floor: AtomicU64,
}

impl Shared {
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
    drivers: Mutex<Vec<JoinHandle<()>>>,
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
        config: PipelineConfig,
    ) -> Result<Pipeline, PipelineError> {
        let membership = log.join("pipeline").await?;
        let owned = membership.owned.borrow().clone();
        let count = log.partitions();
        let senders: Arc<OnceLock<Vec<Option<mpsc::UnboundedSender<Input>>>>> = Arc::default();
        let routes = Arc::clone(&senders);
        let pool = Pool::start(&config.pool, move |turn| {
            let partition = (turn.slot % u64::from(count)) as usize;
            if let Some(sender) = routes.get().and_then(|senders| senders.get(partition)?.as_ref()) {
                let _stopped = sender.send(Input::Turn(turn));
            }
        })?;
        let shared = Arc::new(Shared {
            calls: Calls::new(config.allow_private_addresses)?,
            answers: Answers::new(&config.node),
            log,
            catalog,
            vault,
            clock,
            node: config.node,
            limits: config.limits,
            seed_key: config.seed_key,
            pool,
            programs: Programs::default(),
            partitions: (0..count).map(|_| PartitionState::default()).collect(),
        });
        let stop = CancellationToken::new();
        let mut routes = vec![None; count as usize];
        let mut drivers = Vec::with_capacity(owned.len());
        for &partition in owned.iter() {
            let (sender, inputs) = mpsc::unbounded_channel();
            routes[partition as usize] = Some(sender.clone());
            shared.partitions[partition as usize].owned.store(true, Ordering::Release);
            let driver = driver::run(Arc::clone(&shared), partition, sender, inputs, stop.clone());
            drivers.push(tokio::spawn(driver));
        }
        let _once = senders.set(routes);
        Ok(Pipeline { shared, stop, drivers: Mutex::new(drivers) })
    }

    /// Where callers of Instant runs wait.
    pub fn answers(&self) -> Arc<Answers> {
        Arc::clone(&self.shared.answers)
    }

    /// Whether every owned partition has recovered and admits events.
    pub fn ready(&self) -> bool {
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

    /// Stops taking events, waits for the records under way, and ends the sandboxes. What was running goes on at the next
    /// start from what the journal says.
    pub async fn stop(&self) {
        self.stop.cancel();
        let drivers = std::mem::take(&mut *self.drivers.lock().unwrap_or_else(PoisonError::into_inner));
        for driver in drivers {
            let _ended = driver.await;
        }
    }
}
