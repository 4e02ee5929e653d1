//! What the journal says of limits: counts, what holds a new execution back, events that wait for their batch.

use fastn_contract::resource::Tier;
use serde::{Deserialize, Serialize};

use crate::event::Header;
use crate::ids::{EnvironmentId, ExecutionId, TriggerId, WorkflowId};
use crate::journal::{Epoch, NewExecution};
use crate::scope::Scope;
use crate::time::Timestamp;

/// One that was counted in a window.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Count {
    /// The counter: a quota's dimension, or a rate with its key.
    pub counter: String,
    /// Where the window begins.
    pub from: Timestamp,
    /// Where it ends.
    pub to: Timestamp,
}

/// What holds an execution back, and how others find it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flow {
    /// It may not start before.
    pub not_before: Option<Timestamp>,
    /// The limit that says so.
    pub limit: Option<HeldBy>,
    /// It starts when each of these has room, and takes room until its end.
    pub gates: Vec<Gate>,
    /// Keys by which singletons find it until its end.
    pub singletons: Vec<String>,
    /// Its debounce, until it starts.
    pub debounce: Option<Debounced>,
    /// Its lane, 1 to 4, if it is not that of its origin.
    pub priority: Option<u32>,
}

/// A limit and whose it is, for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldBy {
    /// The limit, e.g. `eventsPerMinute`, `rate`.
    pub limit: String,
    /// Whose, e.g. `customer acme`, `trigger on_order`.
    pub of: String,
}

/// A place that has room for so many executions at once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gate {
    /// Which.
    pub key: String,
    /// So many: the newest execution's word holds for all.
    pub limit: u32,
    /// The limit's name, e.g. `concurrency`, `singleton`.
    pub name: String,
    /// Whose, e.g. `trigger on_order`.
    pub of: String,
}

/// A debounce that an execution waits for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Debounced {
    /// Newer ones of this key take its place.
    pub key: String,
    /// When the first of them came.
    pub first: Timestamp,
}

/// An event that waits for its batch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Batched {
    /// The batch.
    pub key: String,
    /// The execution that it becomes.
    pub execution: ExecutionId,
    /// Set by the first event: what the batch becomes, and when.
    pub opens: Option<BatchPlan>,
}

/// What a batch becomes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BatchPlan {
    /// When it starts, however few there are.
    pub until: Timestamp,
    /// With so many it starts at once.
    pub size_max: u32,
    /// The workflow.
    pub workflow: WorkflowId,
    /// The version.
    pub version: u32,
    /// The environment.
    pub environment: EnvironmentId,
    /// The tier.
    pub tier: Tier,
    /// The trigger.
    pub trigger: TriggerId,
    /// Headers of the route.
    pub headers: Vec<Header>,
    /// What holds the execution back once it starts.
    pub flow: Option<Flow>,
}

/// An execution that begins by time, and not with an event of its own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Started {
    /// See [`Epoch`].
    #[serde(with = "crate::long")]
    pub epoch: Epoch,
    /// When.
    pub at: Timestamp,
    /// The customer.
    pub scope: Scope,
    /// The batch that it ends.
    pub batch: String,
    /// The execution.
    pub start: NewExecution,
}

/// Counters and open batches of one customer, said again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FlowSnapshot {
    /// See [`Epoch`].
    #[serde(with = "crate::long")]
    pub epoch: Epoch,
    /// When.
    pub at: Timestamp,
    /// The customer.
    pub scope: Scope,
    /// Its counters.
    pub counters: Vec<CounterState>,
    /// Its open batches.
    pub batches: Vec<BatchState>,
}

/// One counter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CounterState {
    /// Which.
    pub counter: String,
    /// Where its window begins.
    pub from: Timestamp,
    /// Where it ends.
    pub to: Timestamp,
    /// How much is used; nothing when the counter is forgotten.
    #[serde(with = "crate::long")]
    pub used: u64,
}

/// One open batch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BatchState {
    /// Which.
    pub key: String,
    /// The execution that it becomes.
    pub execution: ExecutionId,
    /// What it becomes.
    pub plan: BatchPlan,
    /// Offsets of its events in `events[p]`, in order; none when the batch is forgotten, and will not start.
    pub events: Vec<i64>,
}
