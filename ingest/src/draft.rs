//! An event as its sender described it, checked, on its way to becoming a record. The plain form and every CloudEvents
//! mode meet here, so the rules on attributes stand in one place.

use std::borrow::Cow;
use std::sync::Arc;

use fastn_contract::activity::Origin;
use fastn_contract::flow::Priority;
use fastn_domain::event::{EventRecord, Header, TYPE_PREFIX_RESERVED};
use fastn_domain::time::parse_rfc3339;
use fastn_domain::{EventId, Scope, Timestamp, TriggerId};

use crate::fields::Complaints;
use crate::kept_headers::is_traceparent;

/// Longest event type.
pub(crate) const TYPE_BYTES_MAX: usize = 256;
/// Longest source and longest subject.
pub(crate) const ATTRIBUTE_BYTES_MAX: usize = 1_024;

/// A checked description of an event.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Draft {
    /// The sender's id, if it gave one.
    pub(crate) id: Option<EventId>,
    /// The type.
    pub(crate) kind: String,
    /// Where it comes from.
    pub(crate) source: String,
    /// What it is about.
    pub(crate) subject: Option<String>,
    /// When it happened.
    pub(crate) time: Option<Timestamp>,
    /// CloudEvents extension attributes as `ce-<name>`, whatever mode they came in.
    pub(crate) extensions: Vec<Header>,
    /// The lane of its executions, if the sender says one.
    pub(crate) priority: Option<Priority>,
    /// The payload as JSON text.
    pub(crate) data: Arc<str>,
}

/// What the records of one request have in common.
#[derive(Clone, Debug)]
pub(crate) struct Envelope {
    /// Whose they are.
    pub(crate) scope: Scope,
    /// How they came.
    pub(crate) origin: Origin,
    /// The webhook trigger that they came to.
    pub(crate) trigger: Option<TriggerId>,
    /// When they came.
    pub(crate) now: Timestamp,
    /// The sender's trace context, unless an event brings its own.
    pub(crate) traceparent: Option<String>,
    /// What goes with it, where it is not among the headers that are kept anyway.
    pub(crate) tracestate: Option<String>,
}

impl Draft {
    /// The record, with `id` where the sender gave none.
    pub(crate) fn into_record(mut self, envelope: &Envelope, id: impl FnOnce() -> EventId) -> EventRecord {
        // The extension for distributed tracing: the event may have a longer way behind it than the request.
        let own = self.extensions.iter().find(|header| header.name == "ce-traceparent");
        let own = own.map(|header| header.value.clone()).filter(|text| is_traceparent(text));
        if own.is_none() {
            let state = envelope.tracestate.clone();
            self.extensions.extend(state.map(|value| Header { name: "tracestate".to_owned(), value }));
        }
        EventRecord {
            id: self.id.unwrap_or_else(id),
            source: self.source,
            kind: self.kind,
            subject: self.subject,
            time: self.time.unwrap_or(envelope.now),
            scope: envelope.scope.clone(),
            origin: envelope.origin,
            trigger: envelope.trigger.clone(),
            workflow: None,
            environment: None,
            headers: self.extensions,
            data: self.data,
            reply_to: None,
            traceparent: own.or_else(|| envelope.traceparent.clone()),
            priority: self.priority.map(Priority::number),
        }
    }
}

/// The id that a sender gave.
pub(crate) fn id(text: Option<Cow<'_, str>>, complaints: &mut Complaints) -> Option<EventId> {
    EventId::new(&text?).map_err(|error| complaints.add("id", error.to_string())).ok()
}

/// The type, which is required.
pub(crate) fn kind(text: Option<Cow<'_, str>>, complaints: &mut Complaints) -> String {
    let kind = required("type", text, TYPE_BYTES_MAX, complaints);
    if kind.starts_with(TYPE_PREFIX_RESERVED) {
        complaints.add("type", format!("starts with {TYPE_PREFIX_RESERVED}, which is reserved"));
    }
    kind
}

/// A required text attribute. Empty after a complaint.
pub(crate) fn required(
    name: &'static str,
    text: Option<Cow<'_, str>>,
    bytes_max: usize,
    complaints: &mut Complaints,
) -> String {
    if text.is_none() && !complaints.has(name) {
        complaints.add(name, "is required");
    }
    optional(name, text, bytes_max, complaints).unwrap_or_default()
}

/// An optional text attribute, which may not be empty.
pub(crate) fn optional(
    name: &'static str,
    text: Option<Cow<'_, str>>,
    bytes_max: usize,
    complaints: &mut Complaints,
) -> Option<String> {
    let text = text?;
    if text.is_empty() || text.len() > bytes_max || text.chars().any(char::is_control) {
        complaints.add(name, format!("must be 1 to {bytes_max} bytes without control characters"));
        return None;
    }
    Some(text.into_owned())
}

/// The lane of its executions.
pub(crate) fn priority(
    name: &'static str,
    text: Option<Cow<'_, str>>,
    complaints: &mut Complaints,
) -> Option<Priority> {
    let priority = Priority::parse(&text?);
    if priority.is_none() {
        complaints.add(name, "must be P1, P2, P3 or P4");
    }
    priority
}

/// When it happened.
pub(crate) fn time(text: Option<Cow<'_, str>>, complaints: &mut Complaints) -> Option<Timestamp> {
    let time = parse_rfc3339(&text?);
    if time.is_none() {
        complaints.add("time", "must be RFC 3339 with a time zone, e.g. 2026-11-24T13:34:42Z");
    }
    time
}
