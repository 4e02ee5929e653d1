//! Quotas at admission: exact, because every count is in the record that admits its event, and one machine judges all
//! events of a customer in their order.
//!
//! An event counts in the minute and the day that hold its log time, once, unless it is a copy of another, a command, a
//! person's own run, or refused. With a limit that queues it counts in the first window that has room, and its executions
//! wait for that window. A refused event leaves nothing behind: it may be sent or replayed later and is judged anew.

use fastn_contract::activity::Origin;
use fastn_contract::error::ErrorCode;
use fastn_contract::quota::{Dimension, Enforcement, QuotaOutcome, QuotaSource};
use fastn_domain::event::EventRecord;
use fastn_domain::ids::ExecutionId;
use fastn_domain::journal::{Count, HeldBy};
use fastn_domain::quota::{DAY, Effective, MINUTE, Window};
use fastn_domain::time::Timestamp;

use super::Machine;
use super::finish::{End, code_error};
use crate::processor::observe;
use crate::runtime::OpRequest;

/// What the quotas of its customer make of an event.
#[derive(Debug, Default)]
pub(super) struct Charge {
    /// The windows to count it in, once it is clear that it counts.
    pub(super) counts: Vec<Count>,
    /// Set when it is beyond a limit.
    pub(super) outcome: Option<QuotaOutcome>,
    /// Why it is refused, or what people are to be told.
    pub(super) reason: Option<String>,
    /// When its executions may start, and which limit says so.
    pub(super) hold: Option<(Timestamp, HeldBy)>,
    /// Whether the next event must be judged after this one's executions are known.
    pub(super) looks_at_others: bool,
}

impl Charge {
    pub(super) fn is_blocked(&self) -> bool {
        self.outcome == Some(QuotaOutcome::Blocked)
    }

    /// Takes note of a limit that is passed. The gravest says what became of the event, and the first such why.
    fn pass(&mut self, limit: &Effective, outcome: QuotaOutcome, text: Option<String>) {
        observe::quota_passed(limit.dimension, limit.mode);
        let grave = |outcome: QuotaOutcome| match outcome {
            QuotaOutcome::Blocked => 3,
            QuotaOutcome::Over => 2,
            QuotaOutcome::Queued => 1,
            QuotaOutcome::Shadowed => 0,
        };
        if self.outcome.is_none_or(|before| grave(before) < grave(outcome)) {
            self.outcome = Some(outcome);
            self.reason = text.or(self.reason.take());
        }
    }
}

impl Machine {
    /// Judges an event by its customer's quotas. Counts nothing yet.
    pub(super) fn charge(&mut self, event: &EventRecord, received: Timestamp) -> Charge {
        let mut charge = Charge::default();
        if matches!(event.origin, Origin::Command | Origin::Manual) {
            return charge;
        }
        let Some(limits) = self.catalog.event_limits(&event.scope) else { return charge };
        let windows = [(limits.day, DAY), (limits.minute, MINUTE)];
        for (limit, length) in windows {
            let Some(limit) = limit.filter(|limit| limit.mode != Enforcement::Queue) else { continue };
            let name = limit.dimension.as_str();
            let present = Window::at(received, length);
            let (window, used) = self.flow.counters.used(&event.scope, name, received, length);
            // A counter that is ahead has filled the windows before.
            let full = used >= limit.limit || window.start > present.start;
            if full {
                let (outcome, text) = beyond(&limit, event, Some(window.end));
                charge.pass(&limit, outcome, text);
            }
            charge.counts.push(Count { counter: name.to_owned(), from: window.start, to: window.end });
        }
        if let Some(limit) = limits.concurrent {
            charge.looks_at_others = true;
            if self.queue.load(&event.scope) as u64 >= limit.limit {
                let (outcome, text) = beyond(&limit, event, None);
                charge.pass(&limit, outcome, text);
            }
        }
        if charge.is_blocked() {
            charge.counts.clear();
            return charge;
        }
        self.charge_queued(event, received, windows, &mut charge);
        charge
    }

    /// The windows with room of the limits that queue: the day's first, then the minute's, whose window may lie in a later
    /// day. Both only move forward, so this ends.
    fn charge_queued(
        &self,
        event: &EventRecord,
        received: Timestamp,
        limits: [(Option<Effective>, std::time::Duration); 2],
        charge: &mut Charge,
    ) {
        let queued = limits.map(|(limit, length)| (limit.filter(|one| one.mode == Enforcement::Queue), length));
        let mut at = received;
        loop {
            let before = at;
            for (limit, length) in &queued {
                let Some(limit) = limit else { continue };
                let room =
                    self.flow.counters.room(&event.scope, limit.dimension.as_str(), at, *length, limit.limit.max(1));
                at = at.max(room.start);
            }
            if at == before {
                break;
            }
        }
        for (limit, length) in &queued {
            let Some(limit) = limit else { continue };
            let window =
                self.flow.counters.room(&event.scope, limit.dimension.as_str(), at, *length, limit.limit.max(1));
            charge.counts.push(Count {
                counter: limit.dimension.as_str().to_owned(),
                from: window.start,
                to: window.end,
            });
            if window.start > received {
                let text = format!("waits for room: {} of {}", told(limit), whose(limit, event));
                charge.pass(limit, QuotaOutcome::Queued, Some(text));
                let later = charge.hold.as_ref().is_none_or(|(start, _)| *start < window.start);
                if later {
                    let by = HeldBy { limit: limit.dimension.as_str().to_owned(), of: whose(limit, event) };
                    charge.hold = Some((window.start, by));
                }
            }
        }
    }

    /// Counts an event that is admitted.
    pub(super) fn count(&mut self, event: &EventRecord, counts: &[Count]) {
        if counts.is_empty() {
            return;
        }
        let scope = self.interned.scope(&event.scope);
        for count in counts {
            let window = Window { start: count.from, end: count.to };
            self.flow.counters.count(&scope, &count.counter, window, self.next_seq);
        }
    }

    /// Ends an execution that asks for more steps than it may take, before any of them is taken.
    pub(super) fn stopped_by_steps(&mut self, id: ExecutionId, requests: &[OpRequest]) -> bool {
        let Some(execution) = self.executions.get(&id) else { return false };
        let Some(limit) = self.catalog.limit(&execution.scope, Dimension::StepsPerExecution) else { return false };
        let known = |key: &str| {
            execution.pending.iter().any(|pending| pending.key() == key)
                || execution.results.iter().any(|result| result.key == key)
        };
        let asked = requests.iter().filter(|request| !known(&request.key)).count();
        let steps = (execution.results.len() + execution.pending.len() + asked) as u64;
        if steps <= limit.limit {
            return false;
        }
        observe::quota_passed(limit.dimension, limit.mode);
        if limit.mode != Enforcement::Hard {
            return false;
        }
        let customer = execution.scope.customer.clone();
        let message = format!(
            "step {steps} is beyond the limit of {} of customer {customer}; make fewer durable calls, or raise the limit",
            told(&limit)
        );
        let mut error = code_error("limit", "QuotaError", message);
        error.code = ErrorCode::QuotaExceeded.as_str().to_owned();
        self.end_with(id, End::Failed(error), Vec::new());
        true
    }
}

/// What becomes of an event beyond this limit, and what is told of it.
fn beyond(limit: &Effective, event: &EventRecord, until: Option<Timestamp>) -> (QuotaOutcome, Option<String>) {
    let (limited, of) = (told(limit), whose(limit, event));
    match limit.mode {
        Enforcement::Shadow | Enforcement::Queue => (QuotaOutcome::Shadowed, None),
        Enforcement::Soft => (QuotaOutcome::Over, Some(format!("over the limit of {limited} of {of}; let through"))),
        Enforcement::Hard => {
            let advice = match until {
                Some(until) => format!("replay it after {until}, or once the limit is raised"),
                None => "replay it once some have ended, or the limit is raised".to_owned(),
            };
            let text =
                format!("{}: the limit of {limited} of {of} is used up; {advice}", ErrorCode::QuotaExceeded.as_str());
            (QuotaOutcome::Blocked, Some(text))
        }
    }
}

fn told(limit: &Effective) -> String {
    format!("{} {}", limit.limit, limit.dimension.words())
}

fn whose(limit: &Effective, event: &EventRecord) -> String {
    let from = match limit.source {
        QuotaSource::Customer => "",
        QuotaSource::Tier => " (by its tier)",
        QuotaSource::Plan => " (by the plan)",
    };
    format!("customer {}{from}", event.scope.customer)
}
