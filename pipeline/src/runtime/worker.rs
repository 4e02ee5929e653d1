//! One thread of the pool: its engine, its waiting sandboxes, and who of them gives way when there are too many.

use std::collections::{BTreeMap, HashMap};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::engine::Engine;
use super::host::thread_cpu_ns;
use super::observe;
use super::op::OpResult;
use super::sandbox::{CpuLimits, Sandbox};
use super::turn::{ErrorKind, Job, Slot, Start, Turn, TurnState, WorkflowError};

/// Where finished turns go.
pub(crate) type OnTurn = Arc<dyn Fn(Turn) + Send + Sync>;

/// This thread's share of the pool's limits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Share {
    pub(crate) sandboxes_max: usize,
    pub(crate) image_bytes_max: usize,
    pub(crate) cpu: CpuLimits,
}

struct Held {
    sandbox: Sandbox,
    /// Its place in `waiting`.
    since: u64,
}

/// See the head of this file.
pub(crate) struct Worker {
    engine: Engine,
    held: HashMap<Slot, Held>,
    /// Held sandboxes, the longest waiting first.
    waiting: BTreeMap<u64, Slot>,
    turns: u64,
    /// Whose sandbox is in the engine.
    resident: Option<Slot>,
    image_bytes: usize,
    share: Share,
    on_turn: OnTurn,
}

impl Worker {
    pub(crate) fn new(engine: Engine, share: Share, on_turn: OnTurn) -> Self {
        Self {
            engine,
            held: HashMap::new(),
            waiting: BTreeMap::new(),
            turns: 0,
            resident: None,
            image_bytes: 0,
            share,
            on_turn,
        }
    }

    /// Does one job. A failure of the runtime costs the one sandbox it happened in.
    pub(crate) fn work(&mut self, job: Job) {
        let slot = match &job {
            Job::Start(start) => start.slot,
            Job::Resume { slot, .. } | Job::Drop { slot } => *slot,
        };
        let began = thread_cpu_ns();
        let done = catch_unwind(AssertUnwindSafe(|| match job {
            Job::Start(start) => Some(self.start(*start)),
            Job::Resume { slot, results } => Some(self.resume(slot, results)),
            Job::Drop { slot } => {
                self.forget(slot);
                None
            }
        }));
        match done {
            Ok(Some(mut turn)) => {
                let cpu_ns = thread_cpu_ns() - began;
                turn.cpu_us = cpu_ns / 1_000;
                observe::turn(cpu_ns, &turn.state);
                (self.on_turn)(turn);
            }
            Ok(None) => {}
            Err(_) => {
                observe::panicked(slot);
                self.resident = None;
                self.forget(slot);
                (self.on_turn)(broken(slot));
            }
        }
    }

    fn start(&mut self, start: Start) -> Turn {
        let slot = start.slot;
        observe::started(start.results.len());
        self.forget(slot);
        self.park();
        self.engine.reset();
        let (sandbox, turn) = Sandbox::begin(&mut self.engine, start, self.share.cpu);
        if matches!(turn.state, TurnState::Waiting) {
            observe::live(1, 0);
            self.hold(slot, sandbox);
        }
        turn
    }

    fn resume(&mut self, slot: Slot, results: Vec<OpResult>) -> Turn {
        let Some(mut held) = self.held.remove(&slot) else { return evicted(slot) };
        self.waiting.remove(&held.since);
        if self.resident != Some(slot) {
            let image = held.sandbox.image.take();
            let image = image.expect("a held sandbox that is not in the engine has an image");
            self.count_image(-(image.len() as i64));
            self.park();
            self.engine.load(&image);
        }
        self.resident = None;
        let turn = held.sandbox.resume(&mut self.engine, results);
        if matches!(turn.state, TurnState::Waiting) {
            self.hold(slot, held.sandbox);
        } else {
            observe::live(-1, 0);
        }
        turn
    }

    /// Keeps a sandbox that waits, in the engine for now, and drops others if there are too many.
    fn hold(&mut self, slot: Slot, sandbox: Sandbox) {
        self.turns += 1;
        self.waiting.insert(self.turns, slot);
        self.held.insert(slot, Held { sandbox, since: self.turns });
        self.resident = Some(slot);
        self.make_room();
    }

    /// Moves the sandbox in the engine, if there is one, into an image.
    fn park(&mut self) {
        let Some(slot) = self.resident.take() else { return };
        if let Some(held) = self.held.get_mut(&slot) {
            let image = self.engine.save();
            let bytes = image.len();
            held.sandbox.image = Some(image);
            self.count_image(bytes as i64);
            self.make_room();
        }
    }

    fn make_room(&mut self) {
        while self.held.len() > self.share.sandboxes_max || self.image_bytes > self.share.image_bytes_max {
            let Some((_, &slot)) = self.waiting.first_key_value() else { return };
            self.forget(slot);
            observe::evicted();
        }
    }

    fn forget(&mut self, slot: Slot) {
        let Some(held) = self.held.remove(&slot) else { return };
        self.waiting.remove(&held.since);
        if self.resident == Some(slot) {
            self.resident = None;
        }
        if let Some(image) = &held.sandbox.image {
            self.count_image(-(image.len() as i64));
        }
        observe::live(-1, 0);
    }

    fn count_image(&mut self, bytes: i64) {
        self.image_bytes = self.image_bytes.saturating_add_signed(bytes as isize);
        observe::live(0, bytes);
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        observe::live(-(self.held.len() as i64), -(self.image_bytes as i64));
    }
}

fn bare(slot: Slot, state: TurnState) -> Turn {
    Turn { slot, state, ops: Vec::new(), logs: Vec::new(), cpu_us: 0, memory_bytes: 0 }
}

fn evicted(slot: Slot) -> Turn {
    bare(slot, TurnState::Evicted)
}

fn broken(slot: Slot) -> Turn {
    let error = WorkflowError {
        kind: ErrorKind::Code,
        name: "Error".into(),
        message: "the runtime failed while it ran this workflow".into(),
        code: None,
        line: None,
        column: None,
        source_line: None,
        stack: String::new(),
        step: None,
        retry_after_ms: None,
    };
    bare(slot, TurnState::Failed { error, steps: Vec::new() })
}
