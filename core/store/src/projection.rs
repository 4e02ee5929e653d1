//! What the projector writes: rows made from the journal, and the positions they were made from.
//!
//! An execution is in a batch at most once: whole ([`ExecutionRow`]) if the batch saw it start or saw it said again, else
//! as what changed ([`ExecutionPatch`]). Patches never touch an execution that has ended, nor one that is not there.

use std::sync::Arc;

use fastn_contract::activity::{EventStatus, ExecutionError, ExecutionStatus, Origin};
use fastn_contract::quota::{Measure, QuotaOutcome};
use fastn_contract::resource::Tier;
use fastn_domain::event::Header;
use fastn_domain::ids::{EnvironmentId, EventId, ExecutionId, TriggerId, WorkflowId};
use fastn_domain::journal::{Epoch, Flow, LogLine, OpRecord, StepRecord, Wait};
use fastn_domain::scope::Scope;
use fastn_domain::time::Timestamp;

/// How far one partition of the journal is projected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Position {
    /// The journal offset from which the partition is not projected yet.
    pub next: u64,
    /// The newest claim before it; records of older epochs are ignored.
    pub epoch: Epoch,
}

/// The step of one partition that a batch makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Advance {
    /// The partition.
    pub partition: u32,
    /// What must be stored before.
    pub from: Position,
    /// What is stored after.
    pub to: Position,
}

/// Rows and positions that belong together. They are written in one transaction.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ProjectionBatch {
    /// One for each partition touched.
    pub advances: Vec<Advance>,
    /// Events that were admitted.
    pub events: Vec<EventRow>,
    /// Executions that started, or that were said again in full.
    pub executions: Vec<ExecutionRow>,
    /// Changes of executions that started before this batch.
    pub patches: Vec<ExecutionPatch>,
    /// What customers used: added to what is there, one of a kind for each customer and day.
    pub usage: Vec<UsageDelta>,
    /// Customers of whom nothing is left when the batch is written, the rows of this batch included.
    pub erased: Vec<Scope>,
}

/// What a customer used on a day, beside what is known already.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsageDelta {
    /// Whose.
    pub scope: Scope,
    /// Days since 1970-01-01, UTC.
    pub day: i64,
    /// What was counted.
    pub measure: Measure,
    /// How much.
    pub used: u64,
}

impl ProjectionBatch {
    /// How many rows it writes, positions left out.
    pub fn rows(&self) -> usize {
        self.events.len() + self.executions.len() + self.patches.len()
    }
}

/// The place of an event in the events log as one number: unique, stable over a rebuild, ascending along a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventSeq(i64);

/// Bits of an [`EventSeq`] that hold the offset: 17 million million events a partition.
const OFFSET_BITS: u32 = 44;

impl EventSeq {
    /// The place `offset` of `partition`.
    pub fn new(partition: u32, offset: u64) -> Self {
        let offset = offset & ((1 << OFFSET_BITS) - 1);
        // A partition number is far below 2^19: the topics have at most thousands.
        Self(((i64::from(partition)) << OFFSET_BITS) | offset.cast_signed())
    }

    /// The number that SQL holds.
    pub fn as_i64(self) -> i64 {
        self.0
    }
}

/// An admitted event.
#[derive(Clone, Debug, PartialEq)]
pub struct EventRow {
    /// Its place in the log.
    pub seq: EventSeq,
    /// Whose.
    pub scope: Scope,
    /// CloudEvents `id`.
    pub id: EventId,
    /// CloudEvents `source`.
    pub source: String,
    /// CloudEvents `type`.
    pub kind: String,
    /// CloudEvents `subject`.
    pub subject: Option<String>,
    /// CloudEvents `time`.
    pub time: Timestamp,
    /// When the log took it.
    pub received: Timestamp,
    /// Where it came from.
    pub origin: Origin,
    /// The webhook trigger that it arrived at.
    pub trigger: Option<TriggerId>,
    /// What admission made of it.
    pub status: EventStatus,
    /// Why.
    pub reason: Option<String>,
    /// What a quota did to it.
    pub quota: Option<QuotaOutcome>,
    /// The priority that it was sent with, 1 to 4.
    pub priority: Option<u32>,
    /// The executions that it started.
    pub executions: Vec<ExecutionId>,
    /// Its headers.
    pub headers: Vec<Header>,
    /// The payload as JSON text; absent for commands.
    pub data: Option<Arc<str>>,
}

/// An execution, whole.
#[derive(Clone, Debug, PartialEq)]
pub struct ExecutionRow {
    /// Its id.
    pub id: ExecutionId,
    /// Whose.
    pub scope: Scope,
    /// When it was admitted.
    pub created: Timestamp,
    /// The workflow.
    pub workflow: WorkflowId,
    /// The version.
    pub version: u32,
    /// The environment.
    pub environment: EnvironmentId,
    /// What caused it.
    pub origin: Origin,
    /// The trigger, if one matched.
    pub trigger: Option<TriggerId>,
    /// The event that started it.
    pub event_id: EventId,
    /// The execution that it replays.
    pub replay_of: Option<ExecutionId>,
    /// The execution that invoked it.
    pub parent: Option<ExecutionId>,
    /// Headers beside the event's.
    pub headers: Vec<Header>,
    /// Where its input is.
    pub input: InputRow,
    /// What holds it back before it starts.
    pub flow: Option<Box<Flow>>,
    /// Where it stands.
    pub state: ExecutionState,
}

/// Where an execution's input is kept. Never twice.
#[derive(Clone, Debug, PartialEq)]
pub enum InputRow {
    /// It is the data of this event.
    Event(EventSeq),
    /// It is here.
    Inline {
        /// The event's type, for `ctx.event`.
        event_kind: String,
        /// The event's source.
        event_source: String,
        /// The event's time.
        event_time: Timestamp,
        /// JSON text.
        input: String,
    },
}

/// Where an execution stands, with all that it has seen.
#[derive(Clone, Debug, PartialEq)]
pub struct ExecutionState {
    /// Its status.
    pub status: ExecutionStatus,
    /// The attempt.
    pub attempt: u32,
    /// The tier.
    pub tier: Tier,
    /// The error of the last attempt that failed.
    pub error: Option<ExecutionError>,
    /// Results of durable calls.
    pub results: Vec<OpRecord>,
    /// Waits begun.
    pub waits: Vec<Wait>,
    /// Set once it has ended.
    pub end: Option<ExecutionEnd>,
}

/// What an execution leaves behind when it ends.
#[derive(Clone, Debug, PartialEq)]
pub struct ExecutionEnd {
    /// When.
    pub at: Timestamp,
    /// Its steps, in order.
    pub steps: Vec<StepRecord>,
    /// What it logged.
    pub logs: Vec<LogLine>,
    /// The result as JSON text.
    pub output: Option<String>,
}

/// What changed of an execution since the batch before. Results and waits are those added; an absent error keeps the one
/// that is there unless the execution ended.
#[derive(Clone, Debug, PartialEq)]
pub struct ExecutionPatch {
    /// Which.
    pub id: ExecutionId,
    /// Its state now, with only what was added to it.
    pub state: ExecutionState,
}
