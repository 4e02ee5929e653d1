//! An event on its way through the log, and the commands that travel beside events.

use std::sync::Arc;

use fastn_contract::activity::Origin;
use serde::{Deserialize, Serialize};

use crate::ids::{EnvironmentId, EventId, ExecutionId, TriggerId, WorkflowId};
use crate::journal::OpRecord;
use crate::scope::Scope;
use crate::time::Timestamp;

/// The type of an event that carries a [`Command`].
pub const COMMAND_TYPE: &str = "fastn.command";

/// The one header of a record whose payload is sealed, as those see it who have no key; its value is the key's id. Whoever
/// reads through the sealing layer meets it only where the key was destroyed.
pub const SEALED_HEADER: &str = "fastn-sealed";

/// Types that start so are the system's own.
pub const TYPE_PREFIX_RESERVED: &str = "fastn.";

/// Largest payload of one event, after decompression.
pub const EVENT_DATA_BYTES_MAX: usize = 1024 * 1024;

/// One header that came with an event. Credentials are stripped before it gets here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// Lower-case name.
    pub name: String,
    /// Value.
    pub value: String,
}

/// Where the answer of an Instant run is awaited.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplyTo {
    /// The internal address of the node whose caller waits.
    pub node: String,
    /// That node's id of the request.
    #[serde(with = "crate::long")]
    pub request: u64,
}

/// An event as it lies in `events[p]`. The scope is the record's key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EventRecord {
    /// CloudEvents `id`.
    pub id: EventId,
    /// CloudEvents `source`.
    pub source: String,
    /// CloudEvents `type`.
    pub kind: String,
    /// CloudEvents `subject`.
    pub subject: Option<String>,
    /// CloudEvents `time`: when it happened, as its sender says; else when it arrived.
    pub time: Timestamp,
    /// The account and the customer.
    pub scope: Scope,
    /// Where it came from.
    pub origin: Origin,
    /// The webhook trigger it arrived at: only this trigger's routes are tried.
    pub trigger: Option<TriggerId>,
    /// The workflow that it runs directly, without any trigger.
    pub workflow: Option<WorkflowId>,
    /// The environment of a direct run.
    pub environment: Option<EnvironmentId>,
    /// Headers that the workflow sees as `ctx.headers`.
    pub headers: Vec<Header>,
    /// The payload as JSON text. A payload that is no JSON is a JSON string.
    pub data: Arc<str>,
    /// Set when a caller waits for the result of an Instant run.
    pub reply_to: Option<ReplyTo>,
    /// W3C trace context of the sender.
    pub traceparent: Option<String>,
    /// The lane of its executions, 1 to 4, where the sender says one: before what a trigger or a workflow says.
    #[serde(default)]
    pub priority: Option<u32>,
}

impl EventRecord {
    /// Whether its payload was sealed under a key that is destroyed: nobody can say any more what it was.
    pub fn is_erased(&self) -> bool {
        self.headers.first().is_some_and(|header| header.name == SEALED_HEADER)
    }
}

/// Longest text of [`Command::Erase`].
const ERASE_BYTES_MAX: usize = 64;

impl EventRecord {
    /// Whether it is the command to erase its customer. It says nothing of anybody, so it is never sealed.
    pub fn is_erasure(&self) -> bool {
        self.origin == Origin::Command
            && self.kind == COMMAND_TYPE
            && self.data.len() <= ERASE_BYTES_MAX
            && matches!(serde_json::from_str(&self.data), Ok(Command::Erase))
    }
}

/// What is asked of the processor that owns a customer. It travels as an event, so that it is durable, ordered with the
/// customer's events, and admitted once. Its JSON is the event's data.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "command")]
pub enum Command {
    /// End an execution that is not final yet.
    Cancel {
        /// Which.
        execution: ExecutionId,
    },
    /// Run a finished execution again, as a new one.
    Replay(Box<Replay>),
    /// Answer an approval.
    Decide {
        /// The execution that waits.
        execution: ExecutionId,
        /// The key of its approval op.
        key: String,
        /// The result that its promise resolves to, as JSON text.
        answer: String,
    },
    /// The customer is erased: end its executions and forget its state.
    Erase,
}

/// A replay with all that it needs, so that it works however far the log has been trimmed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Replay {
    /// The execution that is replayed.
    pub of: ExecutionId,
    /// The id of the request, part of the new execution's id.
    pub request: String,
    /// The new execution's id.
    pub execution: ExecutionId,
    /// The workflow.
    pub workflow: WorkflowId,
    /// The version to run.
    pub version: u32,
    /// The environment.
    pub environment: EnvironmentId,
    /// The trigger, for its retry policy.
    pub trigger: Option<TriggerId>,
    /// The event that started the first one.
    pub event_id: EventId,
    /// Its type, source and time, for `ctx.event`.
    pub event_kind: String,
    /// See `event_kind`.
    pub event_source: String,
    /// See `event_kind`.
    pub event_time: Timestamp,
    /// The headers.
    pub headers: Vec<Header>,
    /// The input as JSON text.
    pub input: String,
    /// Results to keep: empty for a replay from the start.
    pub results: Vec<OpRecord>,
}
