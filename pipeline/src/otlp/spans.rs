//! The spans of an execution that ended: one for itself, one for each step and each call.
//!
//! No payload, no header, no path and no query: any of those may be a secret, and the collector is another system.

use fastn_contract::activity::ExecutionStatus;
use fastn_domain::ids::ExecutionId;
use fastn_domain::journal::{Finished, FinishedRun, StepRecord};
use fastn_domain::span::{TraceContext, execution_span, step_span};
use fastn_domain::time::Timestamp;
use serde::Deserialize;

use super::protobuf::Message;

/// The name of the service in the collector.
const SERVICE: &str = "fastn";

// Fields of `Span`.
const TRACE_ID: u32 = 1;
const SPAN_ID: u32 = 2;
const PARENT_SPAN_ID: u32 = 4;
const NAME: u32 = 5;
const KIND: u32 = 6;
const START: u32 = 7;
const END: u32 = 8;
const ATTRIBUTES: u32 = 9;
const STATUS: u32 = 15;
const FLAGS: u32 = 16;

// Values of `SpanKind` and `StatusCode`.
const INTERNAL: u64 = 1;
const CLIENT: u64 = 3;
const PRODUCER: u64 = 4;
const CONSUMER: u64 = 5;
const OK: u64 = 1;
const ERROR: u64 = 2;

/// Field `spans` of `ScopeSpans`.
const SPANS: u32 = 2;

/// What is told of a span.
struct Span<'a> {
    id: [u8; 8],
    parent: Option<[u8; 8]>,
    name: &'a str,
    kind: u64,
    started: Timestamp,
    ended: Timestamp,
    /// A word for what failed.
    failure: Option<&'a str>,
}

/// Appends the spans of an execution, and tells how many there are. None of one that an older program ended.
pub(crate) fn append(record: &Finished, to: &mut Message) -> usize {
    let Some(run) = &record.run else { return 0 };
    let context = TraceContext::of(record.execution, run.traceparent.as_deref());
    append_execution(record, run, &context, to);
    for step in &record.steps {
        append_step(record.execution, &record.steps, step, &context, to);
    }
    1 + record.steps.len()
}

fn append_execution(record: &Finished, run: &FinishedRun, context: &TraceContext, to: &mut Message) {
    let failure = match record.status {
        ExecutionStatus::Completed => None,
        ExecutionStatus::Cancelled => Some("cancelled"),
        _ => Some(record.error.as_ref().map_or("failed", |error| error.name.as_str())),
    };
    // An execution's own clock starts when the log took its event, a moment before it was admitted.
    let started = record.steps.iter().map(|step| step.started).fold(run.admitted, Timestamp::min);
    let span = Span {
        id: execution_span(record.execution),
        parent: context.parent,
        name: run.workflow.as_str(),
        kind: CONSUMER,
        started,
        ended: record.at,
        failure,
    };
    let mut message = begin(&span, context);
    let execution = record.execution.to_string();
    for (key, value) in [
        ("fastn.account", record.scope.account.as_str()),
        ("fastn.customer", record.scope.customer.as_str()),
        ("fastn.execution", &execution),
        ("fastn.workflow", run.workflow.as_str()),
        ("fastn.environment", run.environment.as_str()),
    ] {
        message.attribute(ATTRIBUTES, key, value);
    }
    if let Some(trigger) = &run.trigger {
        message.attribute(ATTRIBUTES, "fastn.trigger", trigger.as_str());
    }
    message.attribute_number(ATTRIBUTES, "fastn.workflow.version", run.version.into());
    message.attribute_number(ATTRIBUTES, "fastn.attempt", record.attempt.into());
    if let Some(parent) = &record.parent {
        message.attribute(ATTRIBUTES, "fastn.invoked_by", &parent.execution.to_string());
    }
    to.message(SPANS, &message);
}

fn append_step(
    execution: ExecutionId,
    steps: &[StepRecord],
    step: &StepRecord,
    context: &TraceContext,
    to: &mut Message,
) {
    let asked: Option<Asked> = step.input.as_deref().filter(|_| step.kind == "fetch").and_then(read);
    let kind = match step.kind.as_str() {
        "fetch" | "connector" => CLIENT,
        "emit" => PRODUCER,
        _ => INTERNAL,
    };
    let span = Span {
        id: step_span(execution, &step.key),
        parent: Some(parent_of(execution, steps, &step.key)),
        // The name of a call shows its path.
        name: asked.as_ref().map_or(&step.name, |asked| &asked.method),
        kind,
        started: step.started,
        ended: step.ended,
        failure: (!step.completed).then_some("failed"),
    };
    let mut message = begin(&span, context);
    message.attribute(ATTRIBUTES, "fastn.step.kind", &step.kind);
    message.attribute_number(ATTRIBUTES, "fastn.step.attempts", step.attempts.into());
    if let Some(asked) = asked {
        message.attribute(ATTRIBUTES, "http.request.method", &asked.method);
        if let Some(host) = url::Url::parse(&asked.url).ok().as_ref().and_then(url::Url::host_str) {
            message.attribute(ATTRIBUTES, "server.address", host);
        }
        if let Some(Answered { status }) = step.output.as_deref().and_then(read) {
            message.attribute_number(ATTRIBUTES, "http.response.status_code", status);
        }
    }
    to.message(SPANS, &message);
}

/// A step within a step has its key behind the other's and a slash; names have none.
fn parent_of(execution: ExecutionId, steps: &[StepRecord], key: &str) -> [u8; 8] {
    let outer = key.rsplit_once('/').map(|(outer, _)| outer);
    match outer.filter(|outer| steps.iter().any(|step| step.key == *outer)) {
        Some(outer) => step_span(execution, outer),
        None => execution_span(execution),
    }
}

#[derive(Deserialize)]
struct Asked {
    method: String,
    url: String,
}

#[derive(Deserialize)]
struct Answered {
    status: u64,
}

fn read<T: serde::de::DeserializeOwned>(json: &str) -> Option<T> {
    serde_json::from_str(json).ok()
}

fn begin(span: &Span<'_>, context: &TraceContext) -> Message {
    let mut message = Message::default();
    message.bytes(TRACE_ID, &context.trace_id);
    message.bytes(SPAN_ID, &span.id);
    message.bytes(PARENT_SPAN_ID, span.parent.as_ref().map_or(&[], |parent| parent.as_slice()));
    message.text(NAME, span.name);
    message.number(KIND, span.kind);
    message.fixed64(START, nanoseconds(span.started));
    message.fixed64(END, nanoseconds(span.ended.max(span.started)));
    let mut status = Message::default();
    match span.failure {
        Some(failure) => {
            status.text(2, failure);
            status.number(3, ERROR);
        }
        None => status.number(3, OK),
    }
    message.message(STATUS, &status);
    message.fixed32(FLAGS, context.flags.into());
    message
}

fn nanoseconds(at: Timestamp) -> u64 {
    u64::try_from(at.as_micros()).unwrap_or(0).saturating_mul(1_000)
}

/// `ExportTraceServiceRequest` with these spans.
pub(crate) fn request(node: &str, spans: &Message) -> Vec<u8> {
    let mut resource = Message::default();
    resource.attribute(1, "service.name", SERVICE);
    resource.attribute(1, "service.version", env!("CARGO_PKG_VERSION"));
    if !node.is_empty() {
        resource.attribute(1, "service.instance.id", node);
    }
    let mut scope = Message::default();
    scope.text(1, "fastn.workflows");
    let mut scope_spans = Message::default();
    scope_spans.message(1, &scope);
    scope_spans.append(spans);
    let mut resource_spans = Message::default();
    resource_spans.message(1, &resource);
    resource_spans.message(2, &scope_spans);
    let mut request = Message::default();
    request.message(1, &resource_spans);
    request.into_bytes()
}
