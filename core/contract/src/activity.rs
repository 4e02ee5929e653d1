//! What happened: events, executions, steps and dead letters as the API shows them.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::resource::Tier;

/// Where an event came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// A request to a webhook trigger.
    Webhook,
    /// The events API or an SDK.
    Api,
    /// A person or program that ran a workflow.
    Manual,
    /// A schedule that fired.
    Schedule,
    /// A polled change.
    Polling,
    /// A workflow (`ctx.emit`, `fastn.flow`).
    Workflow,
    /// A command to the processor: cancel, replay, decide.
    Command,
}

/// What admission made of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum EventStatus {
    /// It started at least one execution, or woke one that waited for it.
    Delivered,
    /// Its id or deduplication key was seen within the window.
    Duplicate,
    /// No trigger and no waiting execution matched.
    Unmatched,
    /// A route matched but nothing can run: no version is deployed, the workflow or customer is switched off, or a
    /// schedule's earlier run has not ended and its overlap policy is to skip.
    Rejected,
}

/// An event.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct EventView {
    /// The id that the sender chose, or ours.
    pub id: String,
    /// The customer; empty for an app's event that went to none.
    pub customer: String,
    /// CloudEvents `source`.
    pub source: String,
    /// CloudEvents `type`.
    #[serde(rename = "type")]
    pub kind: String,
    /// CloudEvents `subject`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// Where it came from.
    pub origin: Origin,
    /// The webhook trigger it arrived at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trigger: Option<String>,
    /// When it happened, as its sender says; else when it arrived.
    pub time: String,
    /// When it became durable.
    pub received_at: String,
    /// What admission made of it.
    pub status: EventStatus,
    /// Why, where the status needs a reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What a quota did to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quota: Option<crate::quota::QuotaOutcome>,
    /// The priority that it was sent with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<crate::flow::Priority>,
    /// The executions that it started.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub executions: Vec<String>,
    /// The payload; only when a single event is read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<Value>,
}

/// Where an execution stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum ExecutionStatus {
    /// Admitted; waits for its turn.
    Queued,
    /// Runs, or waits for an outside call.
    Running,
    /// Asleep, or waits for an event, an approval or its next attempt.
    Waiting,
    /// Ended with a result.
    Completed,
    /// Ended with an error.
    Failed,
    /// Took longer than its limit.
    Timeout,
    /// Was cancelled.
    Cancelled,
}

impl ExecutionStatus {
    /// Whether it will not change any more.
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Timeout | Self::Cancelled)
    }
}

/// Why an execution failed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct ExecutionError {
    /// The public code, e.g. `WF-EXEC-FAILED`.
    pub code: String,
    /// `code`, `transient`, `memory`, `cpu`, `output`, `non_retryable`, `limit`, `timeout`, `cancelled` or `lost`.
    pub category: String,
    /// The error's class, e.g. `TypeError`.
    pub name: String,
    /// The error's message.
    pub message: String,
    /// The step in which it was thrown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    /// The TypeScript file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// The line of the TypeScript, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    /// The column, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<u32>,
    /// That line's text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_line: Option<String>,
    /// The stack, in TypeScript positions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stack: Option<String>,
}

/// One step of an execution: a `ctx.step`, an outside call, a sleep …
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct StepView {
    /// Its key within the execution: name and occurrence.
    pub key: String,
    /// Its name.
    pub name: String,
    /// `step`, `fetch`, `sleep`, `wait_for_event`, `emit`, `approval`, `invoke`, `state_get`, `state_set`, `state_delete`,
    /// `secret_get`, `config_get`, `connector`.
    pub kind: String,
    /// `completed`, `failed` or `waiting`.
    pub status: String,
    /// Attempts so far.
    pub attempts: u32,
    /// When it began.
    pub started_at: String,
    /// Milliseconds it took.
    pub duration_ms: u64,
    /// What went in; secrets masked, cut at a limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<Value>,
    /// What came out; secrets masked, cut at a limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<Value>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// A line that a workflow logged.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct LogLineView {
    /// When, on the execution's own clock.
    pub at: String,
    /// `debug`, `info`, `warn` or `error`.
    pub level: String,
    /// The text.
    pub message: String,
}

/// An execution.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct ExecutionView {
    /// `exec_…`
    pub id: String,
    /// The customer.
    pub customer: String,
    /// The workflow.
    pub workflow: String,
    /// The version that runs.
    pub version: u32,
    /// The environment.
    pub environment: String,
    /// How it answers and how long it may take.
    pub tier: Tier,
    /// Where it stands.
    pub status: ExecutionStatus,
    /// What caused it.
    pub triggered_by: Origin,
    /// The trigger, if one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trigger: Option<String>,
    /// The event that started it.
    pub event_id: String,
    /// The execution of which this is a replay.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replay_of: Option<String>,
    /// The execution that invoked this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
    /// The current attempt, from 1.
    pub attempt: u32,
    /// When it was admitted.
    pub created_at: String,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<String>,
    /// Milliseconds from admission to the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u64>,
    /// How many steps it took.
    pub step_count: u32,
    /// What it waits for before it starts, if a limit holds it back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting_on: Option<crate::flow::WaitingOn>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<ExecutionError>,
    /// The input; only when a single execution is read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<Value>,
    /// The result; only when a single execution is read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<Value>,
    /// The steps, in order; only when a single execution is read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub steps: Option<Vec<StepView>>,
    /// What it logged; only when a single execution is read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logs: Option<Vec<LogLineView>>,
}

/// What became of a dead letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum DeadLetterStatus {
    /// It waits for somebody.
    Pending,
    /// It was replayed.
    Replayed,
    /// Its time of keeping ran out.
    Expired,
}

/// An execution that failed for good.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct DeadLetterView {
    /// The execution's id, which is the dead letter's id too.
    pub id: String,
    /// The customer.
    pub customer: String,
    /// The workflow.
    pub workflow: String,
    /// The event that started it.
    pub event_id: String,
    /// What became of it.
    pub status: DeadLetterStatus,
    /// Attempts made.
    pub attempts: u32,
    /// When it was put here.
    pub created_at: String,
    /// Why.
    pub error: ExecutionError,
    /// The replays made of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub replays: Vec<String>,
}

/// What the server knows of its own state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Health {
    /// `ok` or `failing`.
    pub status: String,
    /// The program's version.
    pub version: String,
    /// Each part that was looked at, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub checks: Vec<HealthCheck>,
}

/// One part of the server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct HealthCheck {
    /// `log`, `store`, `catalog` …
    pub name: String,
    /// Whether it works.
    pub ok: bool,
    /// Why it does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Where an execution stands now: what live updates carry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct ExecutionUpdate {
    /// `exec_…`
    pub id: String,
    /// The customer.
    pub customer: String,
    /// The workflow, unless it is not known any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workflow: Option<String>,
    /// The trigger, if one matched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trigger: Option<String>,
    /// Where it stands.
    pub status: ExecutionStatus,
    /// The attempt, from 1.
    pub attempt: u32,
    /// When it came to stand there.
    pub at: String,
    /// Milliseconds from admission to the end; absent before the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u64>,
    /// Steps taken; absent before the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step_count: Option<u32>,
    /// One line of why the last attempt failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl From<ExecutionView> for ExecutionUpdate {
    fn from(view: ExecutionView) -> Self {
        Self {
            at: view.finished_at.unwrap_or(view.created_at),
            error: view.error.map(|error| format!("{}: {}", error.name, error.message)),
            id: view.id,
            customer: view.customer,
            workflow: Some(view.workflow),
            trigger: view.trigger,
            status: view.status,
            attempt: view.attempt,
            duration_ms: view.duration_ms,
            step_count: Some(view.step_count),
        }
    }
}
