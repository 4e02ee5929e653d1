//! What a caller asks for: send events, run, cancel, replay, decide.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::activity::ExecutionStatus;

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
