//! Admission: each event once, in order. It decides what an event starts, wakes or changes.

use std::sync::Arc;

use fastn_contract::activity::EventStatus;
use fastn_domain::event::EventRecord;
use fastn_domain::journal::{Admitted, AdmittedEvent, Batched, JournalRecord, NewExecution};
use fastn_domain::route;

use super::execution::{Execution, Payload, Phase};
use super::flow::Joined;
use super::judge::environment_of;
use super::verdict::Verdict;
use super::{Answer, LoggedEvent, Machine, Output};

impl Machine {
    /// Admits a run of events with as few records as the limit allows. What an event does to waiting executions is
    /// appended before the record that says it was admitted: a crash between the two admits the event again, and finds
    /// nobody waiting.
    pub(super) fn admit(&mut self, events: Vec<LoggedEvent>) {
        let mut batch = Vec::new();
        let mut begun = Begun::default();
        let mut looks_at_others = false;
        // Events of this batch are not in the window until their record is appended, so they are compared here too.
        for logged in events {
            if logged.offset < self.events_next {
                continue;
            }
            // An erasure ends what the events before it began, so these must have begun.
            let waits =
                |event: &Arc<EventRecord>| event.is_erasure() || self.overlap_waits_for(event, &begun.executions);
            if !batch.is_empty() && logged.event.as_ref().is_some_and(waits) {
                self.commit_admitted(std::mem::take(&mut batch), std::mem::take(&mut begun));
            }
            self.events_next = logged.offset + 1;
            self.log_time = self.log_time.max(logged.timestamp);
            self.dedup.expire(logged.timestamp, self.limits.dedup_window, self.limits.dedup_hashes_max);
            if std::mem::take(&mut looks_at_others) && !batch.is_empty() {
                self.commit_admitted(std::mem::take(&mut batch), std::mem::take(&mut begun));
            }
            let verdict = match &logged.event {
                Some(event) => self.judge(event, &logged),
                // The driver has told; nobody can be told whose event it was.
                None => continue,
            };
            // The sequence number that the record of this batch will have, unless wake-ups are appended before it: an
            // earlier number only makes the cleaner say these hashes again a little early.
            for hash in &verdict.dedup {
                self.dedup.insert(*hash, logged.timestamp, self.next_seq);
            }
            crate::processor::observe::event_admitted(verdict.status);
            if let Some(event) = &logged.event {
                self.answer_unstarted(event, &verdict);
                begun.executions.extend(verdict.executions.iter().map(|start| (start.clone(), logged.clone())));
                let joined = |batched: &Batched| Joined { batched: batched.clone(), logged: logged.clone() };
                begun.joined.extend(verdict.batches.iter().map(joined));
            }
            let Some(scope) = logged.event.as_ref().map(|event| event.scope.clone()) else { continue };
            looks_at_others = verdict.looks_at_others;
            let Verdict { status, reason, dedup, executions, counted, quota, batches, .. } = verdict;
            let offset = logged.offset;
            batch.push(AdmittedEvent { offset, scope, status, reason, dedup, executions, counted, quota, batches });
            if batch.len() >= self.limits.admitted_events_max {
                self.commit_admitted(std::mem::take(&mut batch), std::mem::take(&mut begun));
            }
        }
        if !batch.is_empty() {
            self.commit_admitted(batch, begun);
        }
    }

    fn commit_admitted(&mut self, events: Vec<AdmittedEvent>, begun: Begun) {
        let record = Admitted { epoch: self.epoch, at: self.now, events };
        let seq = self.append(JournalRecord::Admitted(record));
        for (start, logged) in begun.executions {
            if let Some(event) = &logged.event {
                self.begin(&start, event, &logged, seq);
            }
        }
        self.join_batches(begun.joined, seq);
    }

    fn begin(&mut self, start: &NewExecution, event: &Arc<EventRecord>, logged: &LoggedEvent, seq: u64) {
        let scope = self.interned.scope(&event.scope);
        let mut execution = Execution::new(start, scope, &mut self.interned, self.now, Some(logged.offset), seq);
        let payload = match &start.origin {
            Some(inline) => Payload::of_inline(inline),
            None => {
                execution.triggered_by = event.origin;
                Payload::of_event(event, logged.timestamp, &start.headers)
            }
        };
        if let Some(inline) = &start.origin {
            execution.results = inline.results.clone();
            execution.journaled = inline.results.len();
            execution.effect_mark = inline.results.len();
        }
        execution.reply_to = event.reply_to.clone().map(Box::new);
        if self.queued_payload_bytes + payload.size() <= self.limits.queued_payload_bytes_max {
            self.queued_payload_bytes += payload.size();
            execution.payload = Some(Arc::new(payload));
        } else {
            execution.forget_payload();
        }
        self.enqueue_new(execution);
    }

    /// Puts a new execution where it waits for its turn.
    pub(super) fn enqueue_new(&mut self, mut execution: Execution) {
        let id = execution.id;
        let may_run = match &execution.sequence {
            Some(sequence) => self.sequences.join(sequence, id),
            None => true,
        };
        self.overlap_begins(&execution);
        if let Some(flow) = execution.flow.clone() {
            execution.phase = Phase::Behind;
            self.executions.insert(id, Box::new(execution));
            self.flow_begins(id, &flow);
            if may_run {
                self.advance(id);
            }
            return;
        }
        execution.phase = if may_run { Phase::Queued } else { Phase::Behind };
        if may_run {
            self.queue.push(&execution.scope, super::queue::Lane::of(execution.triggered_by), id);
        }
        self.executions.insert(id, Box::new(execution));
    }

    /// Tells a caller that waits for an Instant run when there is nothing to wait for.
    fn answer_unstarted(&mut self, event: &EventRecord, verdict: &Verdict) {
        let (Some(to), true) = (&event.reply_to, verdict.executions.is_empty()) else { return };
        let answer = match verdict.status {
            EventStatus::Duplicate => {
                let again = event.workflow.as_ref().and_then(|workflow| {
                    let environment = environment_of(event)?;
                    let id = route::direct_execution(&event.scope, &event.source, &event.id, workflow, &environment);
                    self.executions.get_mut(&id)
                });
                if let Some(execution) = again {
                    execution.reply_to = Some(Box::new(to.clone()));
                    return;
                }
                Answer::Seen
            }
            _ => Answer::Rejected { code: verdict.code, reason: verdict.reason.clone().unwrap_or_default() },
        };
        self.out.push(Output::Answer { to: to.clone(), answer });
    }
}

/// What a run of events starts, once its record is appended.
#[derive(Default)]
struct Begun {
    executions: Vec<(NewExecution, LoggedEvent)>,
    joined: Vec<Joined>,
}
