//! What goes into the pool and what comes out of it.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::compile::Program;
use super::op::{JsonText, OpRequest, OpResult};

/// A live execution attempt, numbered by the caller.
pub type Slot = u64;

/// Work for the pool. Jobs of one slot are done in the order in which they were submitted.
#[derive(Debug)]
pub enum Job {
    /// Begin, or begin again with the results known so far.
    Start(Box<Start>),
    /// Continue with further results, one after the other.
    Resume {
        /// Which execution.
        slot: Slot,
        /// In the order in which they are to be delivered.
        results: Vec<OpResult>,
    },
    /// Forget the sandbox. No turn answers.
    Drop {
        /// Which execution.
        slot: Slot,
    },
}

/// How an execution begins.
#[derive(Debug)]
pub struct Start {
    /// Which execution.
    pub slot: Slot,
    /// What it runs.
    pub program: Arc<Program>,
    /// What it sees.
    pub context: RunContext,
    /// Results to replay, in the order in which they were first delivered.
    pub results: Vec<OpResult>,
}

/// What an execution sees from its first line on.
#[derive(Clone, Debug)]
pub struct RunContext {
    /// The execution's id.
    pub execution_id: String,
    /// Root of its random numbers. Derive it from the id with a key, or its random tokens can be guessed.
    pub seed: [u8; 32],
    /// Where its clock starts, in milliseconds since the epoch.
    pub started_at_ms: i64,
    /// `ctx.input`, as JSON text.
    pub input: Arc<str>,
    /// `ctx.headers`: a JSON object, credentials already stripped.
    pub headers: Arc<str>,
    /// Further members of `ctx.execution`, as a JSON object: `attempt`, `workflow`, `version`, `environment`, `tier`.
    pub execution: Arc<str>,
    /// `ctx.customer`, as a JSON object: `id`, `account`.
    pub customer: Arc<str>,
    /// `ctx.event`, as a JSON object: `id`, `type`, `source`, `time`.
    pub event: Arc<str>,
}

/// The answer to a `Start` or `Resume`.
#[derive(Debug)]
pub struct Turn {
    /// Which execution.
    pub slot: Slot,
    /// Where it stands.
    pub state: TurnState,
    /// Requested in this turn and without a result so far, in the order of the requests. A completed workflow may leave
    /// requests here that it did not wait for.
    pub ops: Vec<OpRequest>,
    /// Written in this turn. A replay writes the same lines with the same numbers again.
    pub logs: Vec<LogLine>,
    /// CPU time of this turn, copying sandboxes in and out included.
    pub cpu_us: u64,
    /// Memory that the sandbox occupies.
    pub memory_bytes: u64,
}

/// Where an execution stands after a turn.
#[derive(Debug)]
pub enum TurnState {
    /// It waits for results.
    Waiting,
    /// It returned.
    Completed {
        /// What it returned, as JSON text.
        output: String,
        /// Every step and request, in the order of their beginning.
        steps: Vec<StepMark>,
    },
    /// It threw, or passed a limit.
    Failed {
        /// Why.
        error: WorkflowError,
        /// As in `Completed`.
        steps: Vec<StepMark>,
    },
    /// The sandbox was dropped to stay under a limit: submit a `Start` with all results so far.
    Evicted,
}

/// One line of `fastn.log` or `console`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LogLine {
    /// Its number in the execution, from 0; a replay gives a line the same number.
    pub seq: u32,
    /// Milliseconds since the epoch, on the execution's clock.
    pub at_ms: i64,
    /// How grave.
    pub level: LogLevel,
    /// The text, cut to `LOG_LINE_BYTES_MAX`, without secrets.
    pub message: String,
}

/// How grave a log line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// `fastn.log.debug`
    Debug,
    /// `fastn.log.info`
    Info,
    /// `fastn.log.warn`
    Warn,
    /// `fastn.log.error`
    Error,
}

/// What is known of one step or request at the end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StepMark {
    /// For people.
    pub name: String,
    /// As in `OpRequest`; for a step, without the attempt.
    pub key: String,
    /// `step`, or the name of an `OpKind`.
    pub kind: String,
    /// Milliseconds since the epoch, on the execution's clock.
    pub started_ms: i64,
    /// None if it never ended.
    pub ended_ms: Option<i64>,
    /// How often it was tried.
    pub attempts: u32,
    /// How it ended.
    pub status: StepStatus,
    /// What went in, without secrets; `{"cut": …, "bytes": …}` when longer than `STEP_VALUE_BYTES_MAX`.
    pub input: Option<JsonText>,
    /// What came out, likewise.
    pub output: Option<JsonText>,
    /// The message of its error, without secrets.
    pub error: Option<String>,
}

/// How a step ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StepStatus {
    /// It has not.
    Running,
    /// With a result.
    Completed,
    /// With an error.
    Failed,
}

/// Why an execution failed, in terms of the TypeScript that its author wrote.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WorkflowError {
    /// What sort of failure, for the decision about a retry.
    pub kind: ErrorKind,
    /// The error's `name`.
    pub name: String,
    /// The error's `message`, without secrets.
    pub message: String,
    /// The error's `code`, if it has one.
    pub code: Option<String>,
    /// Line in the TypeScript, from 1.
    pub line: Option<u32>,
    /// Column in the TypeScript, from 1.
    pub column: Option<u32>,
    /// The text of that line.
    pub source_line: Option<String>,
    /// The calls that led there, one a line, in TypeScript positions.
    pub stack: String,
    /// The innermost `ctx.step` that it came out of.
    pub step: Option<String>,
    /// How long a retry should wait at least.
    pub retry_after_ms: Option<u64>,
}

/// The sort of a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorKind {
    /// The code threw; another run would throw again.
    Code,
    /// The outside failed in a way that may pass: a network error, or a `RetryableError`.
    Transient,
    /// The sandbox passed its memory limit.
    Memory,
    /// A slice or the execution passed its CPU limit.
    Cpu,
    /// A `NonRetryableError`.
    NonRetryable,
    /// The returned value cannot be written as JSON.
    Output,
}
