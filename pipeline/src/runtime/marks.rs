//! The record of an execution's steps and requests that people see: names, times, attempts, what went in and came out.
//!
//! Values are cut to a named size, and secrets are taken out at the very end, when all that the execution received are
//! known.

use std::collections::HashMap;

use serde_json::json;

use super::op::{FetchBody, JsonText, OpKind, OpRequest};
use super::secrets::Secrets;
use super::turn::{StepMark, StepStatus};

/// Longest input or output of a step that is kept whole.
pub const STEP_VALUE_BYTES_MAX: usize = 16 << 10;
/// Steps and requests of one execution that are recorded; later ones run unrecorded.
pub const STEP_MARKS_MAX: usize = 2_000;
/// Longest error message of a step.
const STEP_ERROR_CHARS_MAX: usize = 2_000;

/// The marks of one execution, in the order of their beginning.
#[derive(Default)]
pub(crate) struct Marks {
    marks: Vec<StepMark>,
    by_key: HashMap<String, usize>,
}

/// How a step or request ended.
pub(crate) struct Ending<'a> {
    pub(crate) at_ms: i64,
    pub(crate) attempts: u32,
    /// The output as JSON, or the error's message.
    pub(crate) outcome: Result<&'a str, &'a str>,
}

impl Marks {
    /// Notes that a `ctx.step` has begun.
    pub(crate) fn begin_step(&mut self, key: String, name: String, at_ms: i64) {
        self.push(key, name, "step", at_ms, 1, None);
    }

    /// Notes that a request was made.
    pub(crate) fn begin_op(&mut self, op: &OpRequest, at_ms: i64) {
        if self.marks.len() < STEP_MARKS_MAX {
            self.push(op.key.clone(), label(&op.kind), op.kind.name(), at_ms, op.attempt, input(&op.kind));
        }
    }

    fn push(&mut self, key: String, name: String, kind: &str, at_ms: i64, attempts: u32, input: Option<JsonText>) {
        if self.marks.len() >= STEP_MARKS_MAX {
            return;
        }
        self.by_key.insert(key.clone(), self.marks.len());
        self.marks.push(StepMark {
            name,
            key,
            kind: kind.to_owned(),
            started_ms: at_ms,
            ended_ms: None,
            attempts,
            status: StepStatus::Running,
            input,
            output: None,
            error: None,
        });
    }

    /// Notes how the step or request `key` ended.
    pub(crate) fn end(&mut self, key: &str, ending: &Ending<'_>) {
        let Some(mark) = self.by_key.get(key).and_then(|&index| self.marks.get_mut(index)) else { return };
        mark.ended_ms = Some(ending.at_ms);
        mark.attempts = ending.attempts.max(mark.attempts);
        match ending.outcome {
            Ok(_) if mark.kind == "secret_get" => {
                mark.status = StepStatus::Completed;
                mark.output = JsonText::new("\"***\"".into()).ok();
            }
            Ok(output) => {
                mark.status = StepStatus::Completed;
                mark.output = cut(output);
            }
            Err(message) => {
                mark.status = StepStatus::Failed;
                mark.error = Some(message.chars().take(STEP_ERROR_CHARS_MAX).collect());
            }
        }
    }

    /// The finished record, without secrets.
    pub(crate) fn finish(&mut self, secrets: &Secrets) -> Vec<StepMark> {
        self.by_key.clear();
        let mut marks = std::mem::take(&mut self.marks);
        if !secrets.is_empty() {
            for mark in &mut marks {
                mark.name = secrets.scrub(std::mem::take(&mut mark.name));
                mark.key = secrets.scrub(std::mem::take(&mut mark.key));
                mark.input = mark.input.take().map(|json| secrets.scrub_json(json));
                mark.output = mark.output.take().map(|json| secrets.scrub_json(json));
                mark.error = mark.error.take().map(|text| secrets.scrub(text));
            }
        }
        marks
    }
}

/// JSON text as it is if it is short, else its beginning and its length.
fn cut(text: &str) -> Option<JsonText> {
    if text.len() <= STEP_VALUE_BYTES_MAX {
        return JsonText::new(text.to_owned()).ok();
    }
    let end = text.floor_char_boundary(STEP_VALUE_BYTES_MAX);
    JsonText::new(json!({ "cut": &text[..end], "bytes": text.len() }).to_string()).ok()
}

/// What a person calls a request.
fn label(kind: &OpKind) -> String {
    match kind {
        OpKind::Fetch { method, url, .. } => {
            let place = url.split(['?', '#']).next().unwrap_or(url);
            format!("{method} {}", place.split_once("://").map_or(place, |(_, rest)| rest))
        }
        OpKind::Sleep { .. } => "sleep".into(),
        OpKind::WaitForEvent { .. } => "wait for event".into(),
        OpKind::Emit { .. } => "emit".into(),
        OpKind::Approval { .. } => "approval".into(),
        OpKind::Invoke { workflow, .. } => format!("invoke {workflow}"),
        OpKind::StateGet { key, .. } => format!("state get {key}"),
        OpKind::StateSet { key, .. } => format!("state set {key}"),
        OpKind::StateDelete { key, .. } => format!("state delete {key}"),
        OpKind::SecretGet { name } => format!("secret {name}"),
        OpKind::ConfigGet { key } => format!("config {key}"),
        OpKind::Connector { slug, action, .. } => format!("{slug}.{action}"),
    }
}

/// What went into a request. The headers of a fetch are left out: they carry credentials.
fn input(kind: &OpKind) -> Option<JsonText> {
    let value = match kind {
        OpKind::Fetch { method, url, body, .. } => match body {
            Some(FetchBody::Text(text)) => {
                let body = &text[..text.floor_char_boundary(STEP_VALUE_BYTES_MAX / 2)];
                json!({ "method": method, "url": url, "body": body })
            }
            Some(FetchBody::Base64(text)) => json!({ "method": method, "url": url, "bodyBytes": text.len() / 4 * 3 }),
            None => json!({ "method": method, "url": url }),
        },
        OpKind::Sleep { until_ms } => json!({ "untilMs": until_ms }),
        OpKind::WaitForEvent { filter, .. } => return cut(filter.as_str()),
        OpKind::Emit { event } => return cut(event.as_str()),
        OpKind::Approval { request, .. } => return cut(request.as_str()),
        OpKind::Invoke { input, .. } => return cut(input.as_str()),
        OpKind::StateSet { value, .. } => return cut(value.as_str()),
        OpKind::StateGet { key, .. } | OpKind::StateDelete { key, .. } | OpKind::ConfigGet { key } => {
            json!({ "key": key })
        }
        OpKind::SecretGet { name } => json!({ "name": name }),
        OpKind::Connector { args, .. } => return cut(args.as_str()),
    };
    cut(&value.to_string())
}
