//! The threads that run workflows.
//!
//! A slot's jobs always go to the same thread, because a sandbox lives at the addresses of one thread's region. Submitting
//! never blocks: how much is in the air is the caller's affair, how much memory waits here is the pool's.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

use super::engine::{Engine, EngineError, THREAD_STACK_BYTES};
use super::sandbox::CpuLimits;
use super::turn::{Job, Slot, Turn};
use super::worker::{OnTurn, Share, Worker};

/// Smallest memory limit that a sandbox can live in.
const MEMORY_BYTES_MIN: usize = 4 << 20;

/// Limits of a pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolConfig {
    /// Threads, and so slices that run at once.
    pub threads: usize,
    /// Sandboxes that may wait, over all threads. Past it the longest-waiting ones are dropped.
    pub sandboxes_max: usize,
    /// Memory that the images of waiting sandboxes may take, over all threads. Past it likewise.
    pub image_bytes_max: usize,
    /// Memory of one execution.
    pub memory_bytes_max: usize,
    /// CPU time between two waits of one execution. No neighbour on the thread waits longer for it.
    pub slice_cpu_ms_max: u64,
    /// CPU time of one execution in all.
    pub execution_cpu_ms_max: u64,
}

impl Default for PoolConfig {
    fn default() -> Self {
        Self {
            threads: std::thread::available_parallelism().map_or(1, usize::from),
            sandboxes_max: 512,
            image_bytes_max: 256 << 20,
            memory_bytes_max: 512 << 20,
            slice_cpu_ms_max: 1_000,
            execution_cpu_ms_max: 10_000,
        }
    }
}

/// Why a pool could not be started.
#[derive(Debug, thiserror::Error)]
pub enum PoolError {
    /// No engine.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// No thread.
    #[error("starting a thread for workflows: {0}")]
    Thread(#[from] std::io::Error),
}

/// Runs workflows. Dropping it does what `close` does.
#[derive(Debug)]
pub struct Pool {
    threads: Vec<(Sender<Job>, JoinHandle<()>)>,
}

impl Pool {
    /// Starts the threads. `on_turn` is called on them, once for every `Start` and `Resume`, and should be quick.
    pub fn start(config: &PoolConfig, on_turn: impl Fn(Turn) + Send + Sync + 'static) -> Result<Self, PoolError> {
        let on_turn: OnTurn = Arc::new(on_turn);
        let count = config.threads.max(1);
        let memory = config.memory_bytes_max.max(MEMORY_BYTES_MIN);
        let share = Share {
            sandboxes_max: config.sandboxes_max.div_ceil(count).max(1),
            image_bytes_max: config.image_bytes_max / count,
            cpu: CpuLimits {
                slice_ns: config.slice_cpu_ms_max.saturating_mul(1_000_000),
                execution_ns: config.execution_cpu_ms_max.saturating_mul(1_000_000),
            },
        };
        let mut pool = Self { threads: Vec::with_capacity(count) };
        for index in 0..count {
            let (send, jobs) = channel();
            let (report, ready) = channel();
            let on_turn = Arc::clone(&on_turn);
            let thread = std::thread::Builder::new()
                .name(format!("fastn-workflow-{index}"))
                .stack_size(THREAD_STACK_BYTES)
                .spawn(move || run(&jobs, memory, share, on_turn, &report))?;
            pool.threads.push((send, thread));
            match ready.recv() {
                Ok(Ok(())) => {}
                Ok(Err(error)) => return Err(error.into()),
                Err(_) => return Err(std::io::Error::other("the thread ended at once").into()),
            }
        }
        Ok(pool)
    }

    /// Hands over a job. Never blocks; after `close` it does nothing.
    pub fn submit(&self, job: Job) {
        let slot = match &job {
            Job::Start(start) => start.slot,
            Job::Resume { slot, .. } | Job::Drop { slot } => *slot,
        };
        // A thread that is gone can only mean that the pool is being closed.
        let _ = self.threads[self.thread_of(slot)].0.send(job);
    }

    /// Lets the threads finish the jobs that they have and ends them.
    pub fn close(mut self) {
        self.end();
    }

    fn thread_of(&self, slot: Slot) -> usize {
        let mixed = slot.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        (mixed % self.threads.len() as u64) as usize
    }

    fn end(&mut self) {
        let threads = std::mem::take(&mut self.threads);
        let (senders, handles): (Vec<_>, Vec<_>) = threads.into_iter().unzip();
        drop(senders);
        for handle in handles {
            let _ = handle.join(); // a worker catches its own panics, and there is nobody left to tell
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.end();
    }
}

fn run(
    jobs: &Receiver<Job>,
    memory_bytes_max: usize,
    share: Share,
    on_turn: OnTurn,
    report: &Sender<Result<(), EngineError>>,
) {
    let engine = match Engine::new(memory_bytes_max) {
        Ok(engine) => engine,
        Err(error) => {
            let _ = report.send(Err(error)); // `start` waits for it
            return;
        }
    };
    let _ = report.send(Ok(()));
    let mut worker = Worker::new(engine, share, on_turn);
    while let Ok(job) = jobs.recv() {
        worker.work(job);
    }
}
