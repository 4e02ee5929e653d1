//! What a caller asks for: send events, run, cancel, replay, decide.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::activity::ExecutionStatus;
use crate::flow::Priority;

/// Most events in one batch.
pub const BATCH_EVENTS_MAX: usize = 1_000;

/// An event to send.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SendEvent {
    /// Unique per source; the same id within the window is admitted once. Ours when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The type, e.g. `order.created`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Where it comes from; `api` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// What it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// When it happened, RFC 3339; now when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<String>,
    /// The place of its executions in the customer's queue, before what the trigger or the workflow says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<Priority>,
    /// The payload.
    #[serde(default)]
    pub data: Value,
}

/// The answer to events that were taken: durable, not yet processed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Accepted {
    /// The event's id, the first one's of a batch.
    pub event_id: String,
    /// All ids of a batch, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub event_ids: Vec<String>,
}

/// A run of a workflow.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RunWorkflow {
    /// Becomes `ctx.input`.
    #[serde(default)]
    pub input: Value,
    /// The environment; `test` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
}

/// The answer to a run: the result of an Instant workflow, else the id to ask for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct RunAnswer {
    /// `exec_…`
    pub execution_id: String,
    /// Where it stands.
    pub status: ExecutionStatus,
    /// The result of an Instant workflow that completed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<Value>,
}

/// From where an execution is replayed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum ReplayFrom {
    /// From the beginning; every step runs again.
    #[default]
    Start,
    /// From the step that failed; results of the steps before it are kept.
    FailedStep,
}

/// A replay of one finished execution, as a new execution.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ReplayExecution {
    /// From where.
    #[serde(default)]
    pub from: ReplayFrom,
    /// The version to run; the same one when absent, the latest with 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u32>,
}

/// A decision on an approval that an execution waits for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Decision {
    /// The key of the approval step, e.g. `approval`.
    pub step: String,
    /// Whether it is granted.
    pub approved: bool,
    /// A remark for the workflow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// Who decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
}

/// The code of a workflow, to be published as its next version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PublishVersion {
    /// The TypeScript.
    pub source: String,
    /// The file that errors name, e.g. `workflows/triage.ts`; `<workflow>.ts` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
}

/// Which version is to run in an environment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DeployVersion {
    /// A published version.
    #[cfg_attr(feature = "openapi", schema(minimum = 1))]
    pub version: u32,
}

/// Most dead letters that one request replays.
pub const DEAD_LETTER_REPLAYS_MAX: u32 = 1_000;

/// A replay of many dead letters: those named, or those that wait, newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ReplayDeadLetters {
    /// These; without it, all that are pending.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(max_items = 1000))]
    pub ids: Option<Vec<String>>,
    /// Only those of this workflow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workflow: Option<String>,
    /// At most so many; 100 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(minimum = 1, maximum = 1000))]
    pub limit: Option<u32>,
    /// From where.
    #[serde(default)]
    pub from: ReplayFrom,
    /// The version to run; each one's own when absent, the latest with 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u32>,
}

/// What a replay of many dead letters started.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct DeadLettersReplayed {
    /// How many were started.
    pub count: u32,
    /// Each with its new execution.
    pub replays: Vec<DeadLetterReplay>,
    /// Those named that were not there, or cannot be replayed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub skipped: Vec<String>,
}

/// One replayed dead letter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct DeadLetterReplay {
    /// The dead letter.
    pub dead_letter: String,
    /// The execution that runs it again.
    pub execution_id: String,
}
