//! What went wrong in a workflow, told in terms of its TypeScript.

use serde::Deserialize;

use super::compile::Program;
use super::engine::Thrown;
use super::secrets::Secrets;
use super::turn::{ErrorKind, WorkflowError};

/// Longest message that an error carries.
const MESSAGE_CHARS_MAX: usize = 4_000;

/// An error as the prelude describes it.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Failure {
    #[serde(default)]
    hint: Option<String>,
    name: String,
    #[serde(default)]
    message: String,
    #[serde(default)]
    stack: Option<String>,
    #[serde(default)]
    code: Option<serde_json::Value>,
    #[serde(default)]
    retryable: Option<bool>,
    #[serde(default)]
    retry_after: Option<f64>,
    #[serde(default)]
    step: Option<String>,
}

impl Failure {
    fn kind(&self) -> ErrorKind {
        if self.name == "InternalError" && ["out of memory", "string too long"].contains(&self.message.as_str()) {
            return ErrorKind::Memory;
        }
        match (self.hint.as_deref(), self.retryable) {
            (Some("output"), _) => ErrorKind::Output,
            (Some(_), _) | (None, Some(false)) => ErrorKind::NonRetryable,
            (None, Some(true)) => ErrorKind::Transient,
            (None, None) => ErrorKind::Code,
        }
    }
}

/// The error of a workflow that ended itself with `json`, the prelude's description.
pub(crate) fn of_failure(json: &str, program: &Program, secrets: &Secrets) -> WorkflowError {
    let failure = serde_json::from_str::<Failure>(json).unwrap_or_else(|error| Failure {
        name: "Error".into(),
        message: format!("the error cannot be shown: {error}"),
        ..Failure::default()
    });
    let kind = failure.kind();
    let code = failure.code.as_ref().map(|code| code.as_str().map_or_else(|| code.to_string(), str::to_owned));
    let stack = failure.stack.unwrap_or_default();
    let mut error = located(kind, failure.name, failure.message, &stack, program, secrets);
    error.code = code.map(|code| secrets.scrub(code));
    error.step = failure.step.map(|step| secrets.scrub(step));
    error.retry_after_ms = failure.retry_after.filter(|ms| *ms >= 0.0).map(|ms| ms as u64);
    error
}

/// The error of a workflow that left the machine by an exception.
pub(crate) fn of_thrown(thrown: &Thrown, program: &Program, secrets: &Secrets) -> WorkflowError {
    let (name, message) = thrown.message.split_once(": ").unwrap_or(("Error", &thrown.message));
    let kind = if message.contains("out of memory") || thrown.message.is_empty() || thrown.message == "null" {
        ErrorKind::Memory
    } else {
        ErrorKind::Code
    };
    located(kind, name.to_owned(), message.to_owned(), &thrown.stack, program, secrets)
}

/// An error that the machine itself raises. Its position is found in `stack`, or in `json` if the workflow got to describe
/// what happened.
pub(crate) fn of_limit(
    kind: ErrorKind,
    message: String,
    json: Option<&str>,
    stack: Option<&str>,
    program: &Program,
) -> WorkflowError {
    let told = json.and_then(|json| serde_json::from_str::<Failure>(json).ok()).and_then(|f| f.stack);
    let stack = told.as_deref().or(stack).unwrap_or_default();
    let name = if kind == ErrorKind::Cpu { "CpuLimitError" } else { "Error" };
    located(kind, name.into(), message, stack, program, &Secrets::default())
}

fn located(
    kind: ErrorKind,
    name: String,
    message: String,
    stack: &str,
    program: &Program,
    secrets: &Secrets,
) -> WorkflowError {
    let frames = program.positions().frames(stack, program.name());
    let at = frames.first().map(|frame| frame.at);
    let lines = frames.iter().map(|frame| {
        let function = if frame.function.is_empty() { "(anonymous)" } else { &frame.function };
        format!("at {function} ({}:{}:{})", program.name(), frame.at.line, frame.at.column)
    });
    WorkflowError {
        kind,
        name: secrets.scrub(name),
        message: secrets.scrub(message.chars().take(MESSAGE_CHARS_MAX).collect()),
        code: None,
        line: at.map(|at| at.line),
        column: at.map(|at| at.column),
        source_line: at.and_then(|at| program.line(at.line)).map(|line| secrets.scrub(line)),
        stack: lines.collect::<Vec<_>>().join("\n"),
        step: None,
        retry_after_ms: None,
    }
}
