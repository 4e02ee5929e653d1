//! What admission makes of an event, before it is in the journal.

use std::cell::OnceCell;

use fastn_contract::activity::EventStatus;
use fastn_contract::error::ErrorCode;
use fastn_contract::quota::QuotaOutcome;
use fastn_domain::condition::Subject;
use fastn_domain::event::EventRecord;
use fastn_domain::journal::{Batched, Count, DedupHash, NewExecution};
use serde_json::Value;

use super::quota::Charge;

/// What admission made of an event, before it is in the journal.
pub(super) struct Verdict {
    pub(super) status: EventStatus,
    pub(super) reason: Option<String>,
    /// What the caller of an Instant run is told when nothing starts.
    pub(super) code: ErrorCode,
    pub(super) dedup: Vec<DedupHash>,
    pub(super) executions: Vec<NewExecution>,
    /// The windows that it counts in.
    pub(super) counted: Vec<Count>,
    pub(super) quota: Option<QuotaOutcome>,
    pub(super) batches: Vec<Batched>,
    /// Whether the next event must be judged after what this one starts is known.
    pub(super) looks_at_others: bool,
}

impl Verdict {
    pub(super) fn of(status: EventStatus, reason: Option<String>) -> Self {
        Self {
            status,
            reason,
            code: ErrorCode::WorkflowNotPublished,
            dedup: Vec::new(),
            executions: Vec::new(),
            counted: Vec::new(),
            quota: None,
            batches: Vec::new(),
            looks_at_others: false,
        }
    }

    pub(super) fn delivered(executions: Vec<NewExecution>) -> Self {
        Self { executions, ..Self::of(EventStatus::Delivered, None) }
    }

    pub(super) fn rejected(reason: impl Into<String>) -> Self {
        Self::of(EventStatus::Rejected, Some(reason.into()))
    }

    pub(super) fn refused(code: ErrorCode, reason: impl Into<String>) -> Self {
        Self { code, ..Self::rejected(reason) }
    }

    pub(super) fn duplicate(reason: &str) -> Self {
        Self::of(EventStatus::Duplicate, Some(reason.to_owned()))
    }

    /// Refused by a quota. It leaves no hash behind, so that it may come again.
    pub(super) fn blocked(charge: Charge) -> Self {
        let code = ErrorCode::QuotaExceeded;
        Self { code, quota: charge.outcome, ..Self::of(EventStatus::Rejected, charge.reason) }
    }
}

/// The payload, parsed when the first condition or path asks for it.
pub(super) struct LazyData<'e> {
    event: &'e EventRecord,
    data: OnceCell<Value>,
}

impl<'e> LazyData<'e> {
    pub(super) fn new(event: &'e EventRecord) -> Self {
        Self { event, data: OnceCell::new() }
    }

    pub(super) fn get(&self) -> &Value {
        self.data.get_or_init(|| serde_json::from_str(&self.event.data).unwrap_or(Value::Null))
    }

    pub(super) fn subject(&self) -> Subject<'_> {
        Subject {
            kind: &self.event.kind,
            source: &self.event.source,
            subject: self.event.subject.as_deref(),
            headers: &self.event.headers,
            data: self.get(),
        }
    }
}
