//! The state machine of one partition: inputs in, outputs out, no I/O, no clock.
//!
//! Invariants
//! - An event's offset is admitted by exactly one durable `Admitted` record; nothing else says how far admission came.
//! - **The effect rule.** Every effect waits for a *barrier*: the sequence number of the last journal record that it
//!   depends on, its own admission included. It goes out once the journal is durable through the barrier. Before an effect
//!   is asked for, every result that its execution has seen is in the journal. So a result once seen by a later effect is
//!   never computed again, and an effect that goes out again after a crash carries the same idempotency key.
//! - Journal records are in order and one writer's, so a durable record means that every record before it is durable too.
//!   State that another execution may read changes only together with the appending of the record that says so.
//! - Results seen since the last record are *lazy*: they are written with the next effect, wait or end. If the process dies
//!   before, they are computed again, and nobody outside can have seen them.
//!
//! ```text
//!   Events ─ admit ─▶ queue ─ dispatch ─▶ Start ─▶ Turn ─┬─ effects, held to their barrier ─▶ Call ─▶ CallDone ─▶ Resume ─▶ Turn …
//!                       ▲                                ├─ only waits left ─▶ parked ─ timer, event, decision ─▶ queue
//!                       └── retry after backoff ◀────────┴─ end ─▶ Finished
//! ```

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use fastn_contract::error::ErrorCode;
use fastn_domain::catalog::Catalog;
use fastn_domain::event::{EventRecord, ReplyTo};
use fastn_domain::ids::ExecutionId;
use fastn_domain::journal::{Epoch, JournalRecord, OpRecord};
use fastn_domain::scope::Scope;
use fastn_domain::time::Timestamp;

use crate::runtime::{Slot, Turn};

mod admit;
mod cleaner;
mod command;
mod dedup;
mod erase;
mod execution;
mod finish;
mod flow;
mod judge;
mod load;
mod ops;
mod overlap;
mod queue;
mod quota;
mod records;
mod recover;
mod sequence;
mod state;
mod timers;
mod turn;
mod verdict;
mod waits;

pub use execution::Payload;
pub use load::Source;
pub use ops::{CallRequest, CallTarget};
pub use recover::Recovery;

use dedup::Dedup;
use execution::Execution;
use flow::FlowState;
use ops::Held;
use queue::FairQueue;
use records::RecordOffsets;
use sequence::Sequences;
use state::StateSpace;
use timers::Timers;

/// The named limits of a partition's processor.
#[derive(Clone, Debug)]
pub struct Limits {
    /// How long an event id or deduplication key is remembered.
    pub dedup_window: Duration,
    /// Most hashes remembered in a partition; beyond it the oldest leave early.
    pub dedup_hashes_max: usize,
    /// Executions of one customer that run at once, unless the customer says otherwise.
    pub customer_concurrency_default: u32,
    /// Sandboxes of this partition that are being started at once. Small, so that the fair queue decides the order and not
    /// the sandbox pool.
    pub starts_in_flight_max: usize,
    /// Payload bytes of queued executions kept in memory; beyond it they are read again from the log when their turn comes.
    pub queued_payload_bytes_max: usize,
    /// Sandboxes of this partition beside which the input of an execution that runs stays in memory. With more of them it
    /// is read again from the log if its sandbox is dropped.
    pub running_payloads_max: usize,
    /// Events in one `Admitted` record.
    pub admitted_events_max: usize,
    /// Records in the journal since the last checkpoint before the cleaner starts another, at least.
    pub clean_records_min: u64,
    /// Executions that the cleaner says again at once.
    pub clean_batch_max: usize,
    /// Bytes of `fastn.state` that one customer may hold in a partition.
    pub state_bytes_max: usize,
    /// Deepest chain of `fastn.flow.invoke`.
    pub invoke_depth_max: u32,
    /// Results that one execution may collect.
    pub results_max: usize,
    /// A rule to break.
    #[cfg(feature = "sabotage")]
    pub sabotage: Option<Sabotage>,
}

/// A rule of the processor that a simulation breaks, to see that it notices.
#[cfg(feature = "sabotage")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sabotage {
    /// Effects go out before what they depend on is durable.
    NoBarrier,
    /// Effects go out while results that they depend on are not even appended.
    LazyEffects,
    /// Recovery believes writers that had lost the partition.
    NoEpochs,
    /// Events are not compared with those admitted before.
    NoDedup,
    /// The cleaner forgets what it should say again.
    ForgetfulCleaner,
    /// The cleaner forgets counters and open batches.
    ForgetfulCounters,
    /// An erasure lets one execution live.
    HalfErasure,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            dedup_window: Duration::from_secs(24 * 3_600),
            dedup_hashes_max: 250_000,
            customer_concurrency_default: 1_000,
            starts_in_flight_max: 8,
            queued_payload_bytes_max: 2 * 1024 * 1024,
            running_payloads_max: 256,
            admitted_events_max: 256,
            clean_records_min: 50_000,
            clean_batch_max: 256,
            state_bytes_max: 4 * 1024 * 1024,
            invoke_depth_max: 5,
            results_max: 10_000,
            #[cfg(feature = "sabotage")]
            sabotage: None,
        }
    }
}

/// What happened outside.
#[derive(Debug)]
pub enum Input {
    /// Durable records of `events[p]`, in order.
    Events(Vec<LoggedEvent>),
    /// The journal is durable up to, not including, the sequence number `through`; the records from `first` on lie at
    /// `offset` and after it, without gaps.
    Durable {
        /// The sequence number of the first record of the append.
        first: u64,
        /// One past the last.
        through: u64,
        /// Where the first one lies.
        offset: u64,
    },
    /// A sandbox has run as far as it can.
    Turn(Turn),
    /// An outside call was answered, or failed for good.
    CallDone {
        /// Whose.
        execution: ExecutionId,
        /// The op's key.
        key: String,
        /// Times that it went out.
        attempts: u32,
        /// The result as JSON text, or the error.
        outcome: Result<String, fastn_domain::journal::OpFailure>,
    },
    /// What [`Output::Load`] asked for.
    Loaded {
        /// For which execution.
        execution: ExecutionId,
        /// The number of the question.
        load: u64,
        /// The event that started it, with its log time; absent when it was not asked for.
        event: Option<(Timestamp, EventRecord)>,
        /// The journal records, in the order asked for.
        records: Vec<JournalRecord>,
        /// The events of a batch, with their offsets.
        batch: Vec<(u64, EventRecord)>,
    },
    /// A newer configuration.
    Catalog(Arc<Catalog>),
    /// Time has passed.
    Tick,
}

/// A record of `events[p]`.
#[derive(Clone, Debug)]
pub struct LoggedEvent {
    /// Its offset.
    pub offset: u64,
    /// Its log time.
    pub timestamp: Timestamp,
    /// The event; absent when it does not decode, so that its offset is passed and told.
    pub event: Option<Arc<EventRecord>>,
}

/// What the machine asks for. Order matters among [`Output::Append`]s only.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "records are most of it; a box each would be an allocation each")]
pub enum Output {
    /// Append to the journal. The n-th since the machine was made has sequence number n.
    Append(JournalRecord),
    /// Start, or start again, a sandbox.
    Start(Box<StartRun>),
    /// Deliver results to a sandbox.
    Resume {
        /// Which.
        slot: Slot,
        /// In order.
        results: Vec<OpRecord>,
        /// Whose: secrets are looked up in its scope.
        scope: Arc<Scope>,
    },
    /// Forget a sandbox.
    Drop {
        /// Which.
        slot: Slot,
    },
    /// Make an outside call; answered by [`Input::CallDone`].
    Call(Box<CallRequest>),
    /// Give up the outside calls of an execution that ended.
    Abort {
        /// Whose.
        execution: ExecutionId,
    },
    /// Read an execution's past from the log; answered by [`Input::Loaded`].
    Load {
        /// Whose.
        execution: ExecutionId,
        /// The number of the question, for the answer.
        load: u64,
        /// From where.
        sources: Source,
    },
    /// Tell the caller of an Instant run.
    Answer {
        /// Where the caller waits.
        to: ReplyTo,
        /// What to tell.
        answer: Answer,
    },
    /// A checkpoint is durable in the journal: append it to `control[p]`, then the journal may be trimmed before it.
    Checkpointed(fastn_domain::journal::Checkpoint),
}

/// How a sandbox is started.
#[derive(Debug)]
pub struct StartRun {
    /// Its number.
    pub slot: Slot,
    /// The execution.
    pub execution: ExecutionId,
    /// The customer.
    pub scope: Arc<Scope>,
    /// What runs.
    pub run: Arc<execution::RunSpec>,
    /// The tier now.
    pub tier: fastn_contract::resource::Tier,
    /// The attempt.
    pub attempt: u32,
    /// Event, headers, input.
    pub payload: Arc<Payload>,
    /// Results to replay, in order.
    pub results: Vec<OpRecord>,
}

pub use execution::RunSpec;

/// The answer to the caller of an Instant run.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(clippy::large_enum_variant, reason = "one is made for each Instant run and sent on at once")]
pub enum Answer {
    /// It ended, durably so.
    Finished {
        /// Which.
        execution: ExecutionId,
        /// How.
        status: fastn_contract::activity::ExecutionStatus,
        /// The result as JSON text.
        output: Option<String>,
        /// Why it failed.
        error: Option<fastn_contract::activity::ExecutionError>,
    },
    /// It goes on one tier up: ask for the execution later.
    Escalated {
        /// Which.
        execution: ExecutionId,
    },
    /// The event was seen before and its execution is over: ask for it.
    Seen,
    /// Nothing could be started.
    Rejected {
        /// Why, as the caller is told. A node of the release before this one does not say it.
        #[serde(default = "not_runnable")]
        code: ErrorCode,
        /// Why, in words.
        reason: String,
    },
}

fn not_runnable() -> ErrorCode {
    ErrorCode::WorkflowNotPublished
}

/// The processor of one partition.
pub struct Machine {
    partition: u32,
    partitions: u32,
    epoch: Epoch,
    limits: Limits,
    catalog: Arc<Catalog>,
    now: Timestamp,
    /// The sequence number of the next journal record.
    next_seq: u64,
    /// Records below this sequence number are durable.
    durable: u64,
    offsets: RecordOffsets,
    events_next: u64,
    /// The newest log time of an event that was admitted here.
    log_time: Timestamp,
    executions: HashMap<ExecutionId, Box<Execution>>,
    slots: HashMap<Slot, ExecutionId>,
    next_slot: u64,
    next_load: u64,
    starts_in_flight: usize,
    queued_payload_bytes: usize,
    /// Executions in [`execution::Phase::Parked`].
    parked: usize,
    interned: execution::Interner,
    queue: FairQueue,
    sequences: Sequences,
    flow: FlowState,
    overlaps: overlap::Overlaps,
    timers: Timers,
    waiters: waits::Waiters,
    dedup: Dedup,
    state: StateSpace,
    cleaner: cleaner::Cleaner,
    /// The claims since the last checkpoint, by offset, and the epoch in force before them.
    claims: Vec<(u64, Epoch)>,
    held: BTreeMap<u64, Vec<Held>>,
    out: Vec<Output>,
}

impl Machine {
    /// Takes one input at `now` and appends what it asks for to `out`. `now` never goes back: an earlier one counts as the
    /// one before.
    pub fn handle(&mut self, input: Input, now: Timestamp, out: &mut Vec<Output>) {
        self.now = self.now.max(now);
        match input {
            Input::Events(events) => self.admit(events),
            Input::Durable { first, through, offset } => self.on_durable(first, through, offset),
            Input::Turn(turn) => self.on_turn(turn),
            Input::CallDone { execution, key, attempts, outcome } => {
                self.on_call_done(execution, &key, attempts, outcome)
            }
            Input::Loaded { execution, load, event, records, batch } => {
                if !self.batch_loaded(execution, load, batch) {
                    self.on_loaded(execution, load, event, records);
                }
            }
            Input::Catalog(catalog) => {
                self.catalog = catalog;
                self.queue.limits_changed();
            }
            Input::Tick => {}
        }
        self.fire_timers();
        self.dispatch();
        self.clean();
        out.append(&mut self.out);
    }

    /// When the machine wants the next [`Input::Tick`], if nothing happens before.
    pub fn next_timer(&self) -> Option<Timestamp> {
        self.timers.next()
    }

    /// The offset of `events[p]` from which it wants events.
    pub fn events_next(&self) -> u64 {
        self.events_next
    }

    /// The sequence number of the next journal record.
    pub fn next_seq(&self) -> u64 {
        self.next_seq
    }

    /// Executions that are not final.
    pub fn live(&self) -> usize {
        self.executions.len()
    }

    /// Executions that wait without a sandbox.
    pub fn parked(&self) -> usize {
        self.parked
    }

    /// Holds the counters against what they count. For simulations: it looks at everything.
    ///
    /// # Errors
    /// What does not agree.
    pub fn audit(&self) -> Result<(), String> {
        let count = |what: &dyn Fn(&Execution) -> bool| self.executions.values().filter(|one| what(one)).count();
        let mut wrong = Vec::new();
        let mut compare = |name: &str, counted: usize, held: usize| {
            if counted != held {
                wrong.push(format!("{name}: counted {counted}, held {held}"));
            }
        };
        compare("starts in flight", count(&Execution::is_starting), self.starts_in_flight);
        compare("parked", count(&|one| one.phase == execution::Phase::Parked), self.parked);
        compare("sandboxes", count(&|one| one.slot().is_some()), self.slots.len());
        compare("queued", count(&|one| one.phase == execution::Phase::Queued), self.queue.len());
        compare("slots of customers", count(&|one| one.holds_slot), self.queue.running());
        compare("running", count(&Execution::is_running), count(&|one| one.holds_slot));
        let gates = |place: execution::GatePlace| {
            let of = |one: &Execution| one.flow.as_ref().map_or(0, |flow| flow.gates.len());
            self.executions.values().filter(|one| one.gates == place).map(|one| of(one)).sum::<usize>()
        };
        compare("inside gates", gates(execution::GatePlace::Inside), self.flow.gates.inside());
        let waiting = count(&|one| one.gates == execution::GatePlace::Waiting);
        compare("before gates", waiting, self.flow.gates.waiting());
        let singletons = |one: &Execution| one.flow.as_ref().map_or(0, |flow| flow.singletons.len());
        let found: usize = self.flow.singletons.values().map(Vec::len).sum();
        compare("overfull gates", 0, self.flow.gates.overfull());
        compare("singletons", self.executions.values().map(|one| singletons(one)).sum(), found);
        if wrong.is_empty() { Ok(()) } else { Err(wrong.join("; ")) }
    }

    /// A line for each live execution, for people who look at a simulation.
    pub fn live_lines(&self) -> Vec<String> {
        let line = |one: &Execution| {
            let pending: Vec<&str> = one.pending.iter().map(execution::Pending::key).collect();
            let (journaled, results, in_log) = (one.journaled, one.results.len(), one.results_in_log);
            format!(
                "{} {:?} pending {pending:?}, {journaled} of {results} results journaled, more in the log: {in_log}, records {:?}",
                one.id, one.phase, one.records
            )
        };
        self.executions.values().map(|one| line(one)).collect()
    }

    /// The sandboxes that it has.
    pub fn live_slots(&self) -> Vec<Slot> {
        self.slots.keys().copied().collect()
    }

    /// Batches that wait for more events, or for their time.
    pub fn open_batches(&self) -> usize {
        self.flow.batches.len()
    }

    /// Executions that wait in the fair queue.
    pub fn queued(&self) -> usize {
        self.queue.len()
    }

    /// The lowest event offset that a live execution still needs from the log.
    pub fn events_needed_from(&self) -> u64 {
        let needed = self.executions.values().filter_map(|execution| execution.event_offset).min();
        let batched = self.flow.batches.needed_from().unwrap_or(self.events_next);
        needed.unwrap_or(self.events_next).min(batched).min(self.events_next)
    }

    /// Appends a record and returns its sequence number.
    fn append(&mut self, record: JournalRecord) -> u64 {
        let seq = self.next_seq;
        self.next_seq += 1;
        self.out.push(Output::Append(record));
        seq
    }

    fn on_durable(&mut self, first: u64, through: u64, offset: u64) {
        self.offsets.learn(first, offset);
        self.durable = self.durable.max(through);
        while let Some(entry) = self.held.first_entry() {
            if *entry.key() >= self.durable {
                break;
            }
            for held in entry.remove() {
                self.release(held);
            }
        }
    }

    /// Does `held` now if the journal is durable through record `barrier`, else as soon as it is.
    fn hold(&mut self, barrier: u64, held: Held) {
        #[cfg(feature = "sabotage")]
        if self.limits.sabotage == Some(Sabotage::NoBarrier) && matches!(held, Held::Call(_)) {
            return self.release(held);
        }
        if barrier < self.durable {
            self.release(held);
        } else {
            self.held.entry(barrier).or_default().push(held);
        }
    }
}
