//! The records of the journal `executions[p]`: all that a processor must remember.
//!
//! One writer a partition. Every record carries the writer's epoch; readers ignore those below the newest [`Claim`]
//! before them. A record about an execution that the reader does not know is ignored too: it is a leftover before a
//! [`Snapshot`] that says it all again.

use fastn_contract::activity::{EventStatus, ExecutionError, ExecutionStatus, Origin};
use fastn_contract::quota::QuotaOutcome;
use fastn_contract::resource::Tier;
use serde::{Deserialize, Serialize};

use crate::event::{Header, ReplyTo};
use crate::ids::{EnvironmentId, EventId, ExecutionId, TriggerId, WorkflowId};
use crate::scope::Scope;
use crate::time::Timestamp;

mod flow;

pub use flow::{
    BatchPlan, BatchState, Batched, Count, CounterState, Debounced, Flow, FlowSnapshot, Gate, HeldBy, Started,
};

/// The number of a writer's turn at a partition. Each claim is above every one before it.
pub type Epoch = u64;

/// A record of the journal.
#[derive(Clone, Debug, PartialEq)]
pub enum JournalRecord {
    /// A new writer takes the partition.
    Claim(Claim),
    /// Events were admitted.
    Admitted(Admitted),
    /// An execution went on: results that it has seen, waits that it began.
    Progress(Progress),
    /// An execution ended.
    Finished(Finished),
    /// All that is known of one live execution; replaces what was known before.
    Snapshot(Box<Snapshot>),
    /// Part of the dedup window, said again.
    DedupSnapshot(DedupSnapshot),
    /// Part of `fastn.state`, said again.
    StateSnapshot(StateSnapshot),
    /// A batch became an execution.
    Started(Box<Started>),
    /// Counters and open batches, said again.
    FlowSnapshot(Box<FlowSnapshot>),
    /// Recovery may start later than before.
    Checkpoint(Checkpoint),
}

impl JournalRecord {
    /// The epoch of its writer.
    pub fn epoch(&self) -> Epoch {
        match self {
            Self::Claim(record) => record.epoch,
            Self::Admitted(record) => record.epoch,
            Self::Progress(record) => record.epoch,
            Self::Finished(record) => record.epoch,
            Self::Snapshot(record) => record.epoch,
            Self::DedupSnapshot(record) => record.epoch,
            Self::StateSnapshot(record) => record.epoch,
            Self::Started(record) => record.epoch,
            Self::FlowSnapshot(record) => record.epoch,
            Self::Checkpoint(record) => record.epoch,
        }
    }
}

/// A new writer takes the partition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// Above every epoch that the writer has seen in this partition.
    #[serde(with = "crate::long")]
    pub epoch: Epoch,
    /// The node, for people.
    pub node: String,
    /// When.
    pub at: Timestamp,
}

/// A run of events, in order, each with what became of it. Durable before any outside effect of its executions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Admitted {
    /// See [`Epoch`].
    #[serde(with = "crate::long")]
    pub epoch: Epoch,
    /// When.
    pub at: Timestamp,
    /// One for each event, in the order of the events log.
    pub events: Vec<AdmittedEvent>,
}

/// What became of one event.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AdmittedEvent {
    /// Its offset in `events[p]`: the processor never admits an offset twice.
    #[serde(with = "crate::long")]
    pub offset: u64,
    /// The customer.
    pub scope: Scope,
    /// What admission made of it.
    pub status: EventStatus,
    /// Why, where the status needs a reason.
    pub reason: Option<String>,
    /// Hashes that later events are compared with: of its id, and of its trigger's deduplication key.
    pub dedup: Vec<DedupHash>,
    /// The executions that it starts.
    pub executions: Vec<NewExecution>,
    /// The windows that it counts in.
    #[serde(default)]
    pub counted: Vec<Count>,
    /// What a quota did to it.
    #[serde(default)]
    pub quota: Option<QuotaOutcome>,
    /// The batches that it waits in.
    #[serde(default)]
    pub batches: Vec<Batched>,
}

/// 128 bits of a hash of scope and id, or of scope, trigger and deduplication key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DedupHash(pub u128);

impl Serialize for DedupHash {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0.to_be_bytes())
    }
}

impl<'de> Deserialize<'de> for DedupHash {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = DedupHash;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("16 bytes")
            }
            fn visit_bytes<E: serde::de::Error>(self, bytes: &[u8]) -> Result<DedupHash, E> {
                let bytes: [u8; 16] = bytes.try_into().map_err(|_| E::invalid_length(bytes.len(), &self))?;
                Ok(DedupHash(u128::from_be_bytes(bytes)))
            }
            fn visit_byte_buf<E: serde::de::Error>(self, bytes: Vec<u8>) -> Result<DedupHash, E> {
                self.visit_bytes(&bytes)
            }
        }
        deserializer.deserialize_bytes(Visitor)
    }
}

/// An execution as it starts. Its input is the event's data unless `input` says otherwise.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NewExecution {
    /// A hash of event and route.
    pub id: ExecutionId,
    /// The workflow.
    pub workflow: WorkflowId,
    /// The version: it stays on it.
    pub version: u32,
    /// The environment.
    pub environment: EnvironmentId,
    /// The tier at its start.
    pub tier: Tier,
    /// The trigger, if one matched.
    pub trigger: Option<TriggerId>,
    /// Queue of a sequential trigger: one of its executions at a time, in order.
    pub sequence: Option<String>,
    /// Headers of the route, added to the event's.
    pub headers: Vec<Header>,
    /// The execution that this one replays.
    pub replay_of: Option<ExecutionId>,
    /// The execution and op that invoked this one.
    pub parent: Option<Parent>,
    /// Set when the input is not the event's data: an invoked or a replayed execution, or a batch.
    pub origin: Option<Inline>,
    /// What holds it back.
    #[serde(default)]
    pub flow: Option<Box<Flow>>,
}

/// The execution and op that invoked another, and wait for it or not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parent {
    /// The execution.
    pub execution: ExecutionId,
    /// The key of its op.
    pub key: String,
    /// Whether it waits for the result.
    pub waits: bool,
    /// Invocations above this one, itself included.
    pub depth: u32,
}

/// Input that is not an event's data.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Inline {
    /// `ctx.event.id`
    pub event_id: EventId,
    /// `ctx.event.type`
    pub event_kind: String,
    /// `ctx.event.source`
    pub event_source: String,
    /// `ctx.event.time`
    pub event_time: Timestamp,
    /// Where the execution's clock starts.
    pub clock: Timestamp,
    /// What caused it.
    pub triggered_by: Origin,
    /// Headers.
    pub headers: Vec<Header>,
    /// The input as JSON text.
    pub input: String,
    /// Results that a replay from the failed step keeps.
    pub results: Vec<OpRecord>,
}

/// The result of one durable call, in the order in which the sandbox saw it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OpRecord {
    /// The op's key within the execution.
    pub key: String,
    /// `fetch`, `sleep`, … as in the API's steps.
    pub kind: String,
    /// When it was requested.
    pub started: Timestamp,
    /// When the sandbox saw the result: its clock moves to this instant.
    pub at: Timestamp,
    /// Times that the call went out, as far as known.
    pub attempts: u32,
    /// The result as JSON text; of a secret, a reference to its version instead.
    pub ok: Option<String>,
    /// The error, when there is no result.
    pub error: Option<OpFailure>,
}

/// The error that a durable call rejects with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpFailure {
    /// The error's class, e.g. `FetchError`.
    pub name: String,
    /// The message.
    pub message: String,
    /// A code for programs, e.g. `ECONNREFUSED`.
    pub code: String,
    /// Whether another attempt may succeed.
    pub retryable: bool,
}

/// Something that an execution waits for without a sandbox.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Wait {
    /// The op's key.
    pub key: String,
    /// For what.
    pub kind: WaitKind,
    /// When it was requested.
    pub started: Timestamp,
    /// When it ends by itself, if it does.
    pub until: Option<Timestamp>,
    /// The filter of `waitForEvent`, or the request of an approval, as JSON text.
    pub detail: Option<String>,
}

/// What an execution waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WaitKind {
    /// The time.
    Sleep,
    /// An event that matches a filter.
    Event,
    /// A decision.
    Approval,
    /// The end of an execution that it invoked.
    Invoke,
}

/// One write to `fastn.state`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StateWrite {
    /// `workflow/<id>` for scope ORG, `execution/<id>` for INVOCATION.
    pub space: String,
    /// The key.
    pub key: String,
    /// The value as JSON text; absent deletes.
    pub value: Option<String>,
    /// When it expires.
    pub expires: Option<Timestamp>,
}

/// An execution went on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// See [`Epoch`].
    #[serde(with = "crate::long")]
    pub epoch: Epoch,
    /// When.
    pub at: Timestamp,
    /// Which.
    pub execution: ExecutionId,
    /// The customer, so that a reader that joins late knows where state writes go.
    pub scope: Scope,
    /// Where it stands now: running or waiting.
    pub status: ExecutionStatus,
    /// The attempt, from 1. A higher one than before drops failed results: see `retry`.
    pub attempt: u32,
    /// The tier, which escalation raises.
    pub tier: Tier,
    /// Results seen since the last record.
    pub results: Vec<OpRecord>,
    /// Waits begun since the last record.
    pub waits: Vec<Wait>,
    /// Executions that it invoked.
    pub invoked: Vec<NewExecution>,
    /// State that it wrote.
    pub state: Vec<StateWrite>,
    /// Set when an attempt failed and another follows.
    pub retry: Option<Retry>,
}

/// A failed attempt that is followed by another.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Retry {
    /// Why it failed.
    pub error: ExecutionError,
    /// When the next attempt starts.
    pub next: Timestamp,
}

/// One step as activity shows it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StepRecord {
    /// Its key within the execution.
    pub key: String,
    /// Its name.
    pub name: String,
    /// As in the API's steps.
    pub kind: String,
    /// Whether it completed; otherwise it failed, or was cut off by the end.
    pub completed: bool,
    /// Attempts.
    pub attempts: u32,
    /// When it began.
    pub started: Timestamp,
    /// When it ended.
    pub ended: Timestamp,
    /// What went in, as JSON text, masked and cut.
    pub input: Option<String>,
    /// What came out, as JSON text, masked and cut.
    pub output: Option<String>,
    /// Why it failed.
    pub error: Option<String>,
}

/// A line that a workflow logged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// On the execution's clock.
    pub at: Timestamp,
    /// `debug`, `info`, `warn`, `error`.
    pub level: String,
    /// The text.
    pub message: String,
}

/// An execution ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Finished {
    /// See [`Epoch`].
    #[serde(with = "crate::long")]
    pub epoch: Epoch,
    /// When.
    pub at: Timestamp,
    /// Which.
    pub execution: ExecutionId,
    /// The customer.
    pub scope: Scope,
    /// The execution that invoked it. If that one waits, this record is its result: nothing else need be written.
    pub parent: Option<Parent>,
    /// Completed, failed, timeout or cancelled.
    pub status: ExecutionStatus,
    /// Attempts made.
    pub attempt: u32,
    /// The tier at its end.
    pub tier: Tier,
    /// Results seen since the last record: kept for a replay from the failed step.
    pub results: Vec<OpRecord>,
    /// The steps, in order.
    pub steps: Vec<StepRecord>,
    /// What it logged.
    pub logs: Vec<LogLine>,
    /// The result as JSON text.
    pub output: Option<String>,
    /// Why it failed.
    pub error: Option<ExecutionError>,
    /// What ran, so that a reader of ends needs no other record; absent in records of older programs.
    #[serde(default)]
    pub run: Option<FinishedRun>,
}

/// What an execution that ended had run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FinishedRun {
    /// The workflow.
    pub workflow: WorkflowId,
    /// The version.
    pub version: u32,
    /// The environment.
    pub environment: EnvironmentId,
    /// The trigger, if one matched.
    pub trigger: Option<TriggerId>,
    /// When it was admitted.
    pub admitted: Timestamp,
    /// W3C trace context of the event's sender.
    pub traceparent: Option<String>,
}

/// All that is known of one live execution.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// See [`Epoch`].
    #[serde(with = "crate::long")]
    pub epoch: Epoch,
    /// When.
    pub at: Timestamp,
    /// The customer.
    pub scope: Scope,
    /// How it started. Its input is the data of the event at `event_offset`, unless `start.origin` says it again.
    pub start: NewExecution,
    /// The event that started it; it orders the executions of a sequential trigger.
    #[serde(with = "crate::long::option")]
    pub event_offset: Option<u64>,
    /// When it was admitted.
    pub admitted: Timestamp,
    /// Where it stands.
    pub status: ExecutionStatus,
    /// The attempt.
    pub attempt: u32,
    /// The tier.
    pub tier: Tier,
    /// Milliseconds of running spent, against the tier's limit.
    #[serde(with = "crate::long")]
    pub ran_ms: u64,
    /// Every result, in order.
    pub results: Vec<OpRecord>,
    /// What it waits for.
    pub waits: Vec<Wait>,
    /// The next attempt, if the last one failed.
    pub retry: Option<Retry>,
    /// Where the answer of an Instant run is awaited.
    pub reply_to: Option<ReplyTo>,
}

/// Part of the dedup window, said again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DedupSnapshot {
    /// See [`Epoch`].
    #[serde(with = "crate::long")]
    pub epoch: Epoch,
    /// When.
    pub at: Timestamp,
    /// When the youngest of these was admitted: they leave the window together.
    pub admitted: Timestamp,
    /// The hashes.
    pub hashes: Vec<DedupHash>,
}

/// Part of `fastn.state`, said again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StateSnapshot {
    /// See [`Epoch`].
    #[serde(with = "crate::long")]
    pub epoch: Epoch,
    /// When.
    pub at: Timestamp,
    /// The customer.
    pub scope: Scope,
    /// Its entries.
    pub entries: Vec<StateWrite>,
}

/// Everything live was said again since `recover_from`: recovery may start there.
///
/// It is appended to the journal, and once durable there, to `control[p]` with `journal_offset` set, where recovery finds
/// it. A reader that meets a newer claim between `recover_from` and `journal_offset` holds a zombie's checkpoint, and takes
/// the one before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// See [`Epoch`].
    #[serde(with = "crate::long")]
    pub epoch: Epoch,
    /// When.
    pub at: Timestamp,
    /// The first offset of `events[p]` that was not admitted yet.
    #[serde(with = "crate::long")]
    pub events_next: u64,
    /// The journal offset from which reading rebuilds all that is live.
    #[serde(with = "crate::long")]
    pub recover_from: u64,
    /// The epoch in force at `recover_from`: that of the last claim before it.
    #[serde(with = "crate::long")]
    pub recover_epoch: Epoch,
    /// The offset of this record in the journal; set in `control[p]` only.
    #[serde(with = "crate::long::option")]
    pub journal_offset: Option<u64>,
}
