//! Waits: sleep, `waitForEvent`, approvals, and invoked workflows. They need no sandbox.

use std::collections::HashMap;
use std::sync::Arc;

use fastn_contract::activity::ExecutionStatus;
use fastn_contract::condition::Condition;
use fastn_domain::condition::Matcher;
use fastn_domain::event::EventRecord;
use fastn_domain::ids::ExecutionId;
use fastn_domain::journal::{OpFailure, OpRecord, Wait, WaitKind};
use fastn_domain::scope::Scope;
use serde::Deserialize;

use super::Machine;
use super::execution::{Pending, Phase};
use super::finish::End;
use super::ops::Addition;
use super::verdict::LazyData;

/// The filter of `ctx.waitForEvent`, as a workflow writes it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct EventFilter {
    /// The type; `*` at the end stands for any rest.
    #[serde(rename = "type")]
    kind: Option<String>,
    /// The source.
    source: Option<String>,
    /// A condition on the event.
    #[serde(rename = "where")]
    condition: Option<Condition>,
}

#[derive(Debug)]
struct CompiledFilter {
    kind: Option<String>,
    source: Option<String>,
    condition: Option<Matcher>,
}

/// Checks a filter. A text alone is a type.
fn compile(text: &str) -> Result<CompiledFilter, String> {
    if let Ok(kind) = serde_json::from_str::<String>(text) {
        return Ok(CompiledFilter { kind: Some(kind), source: None, condition: None });
    }
    let filter: EventFilter = serde_json::from_str(text).map_err(|error| error.to_string())?;
    if filter.kind.is_none() && filter.source.is_none() && filter.condition.is_none() {
        return Err("a filter needs at least one of type, source and where".to_owned());
    }
    let condition = filter.condition.as_ref().map(Matcher::compile).transpose().map_err(|error| error.to_string())?;
    Ok(CompiledFilter { kind: filter.kind, source: filter.source, condition })
}

impl CompiledFilter {
    fn matches(&self, event: &EventRecord, data: &LazyData<'_>) -> bool {
        let kind = self.kind.as_deref().is_none_or(|kind| match kind.strip_suffix('*') {
            Some(prefix) => event.kind.starts_with(prefix),
            None => event.kind == kind,
        });
        kind && self.source.as_deref().is_none_or(|source| event.source == source)
            && self.condition.as_ref().is_none_or(|condition| condition.matches(&data.subject()))
    }
}

/// The executions of each customer that wait for an event, in the order in which they began to.
#[derive(Debug, Default)]
pub(super) struct Waiters {
    customers: HashMap<Arc<Scope>, Vec<Waiter>>,
}

#[derive(Debug)]
struct Waiter {
    execution: ExecutionId,
    key: String,
    filter: CompiledFilter,
}

impl Waiters {
    fn remove(&mut self, scope: &Arc<Scope>, execution: ExecutionId, key: Option<&str>) {
        let Some(waiters) = self.customers.get_mut(scope) else { return };
        waiters.retain(|waiter| waiter.execution != execution || key.is_some_and(|key| waiter.key != key));
        if waiters.is_empty() {
            self.customers.remove(scope);
        }
    }
}

/// Whether `filter` is one that an execution can wait with.
pub(super) fn check_filter(filter: &str) -> Result<(), String> {
    compile(filter).map(|_| ())
}

impl Machine {
    /// Takes note of a wait that its execution has just begun, or had begun before a crash.
    pub(super) fn watch(&mut self, id: ExecutionId, scope: &Arc<Scope>, wait: &Wait) {
        if let Some(until) = wait.until {
            self.timers.set(until, id);
        }
        if wait.kind != WaitKind::Event {
            return;
        }
        // A filter was checked when it was first written; one that an older version took and this one does not never fires.
        if let Ok(filter) = compile(wait.detail.as_deref().unwrap_or("{}")) {
            let waiter = Waiter { execution: id, key: wait.key.clone(), filter };
            self.waiters.customers.entry(Arc::clone(scope)).or_default().push(waiter);
        }
    }

    /// Forgets every wait of an execution that ended.
    pub(super) fn unwatch(&mut self, id: ExecutionId, scope: &Arc<Scope>) {
        self.waiters.remove(scope, id, None);
    }

    /// Ends the waits that `event` matches; returns how many.
    pub(super) fn wake_waiters(&mut self, event: &EventRecord, data: &LazyData<'_>) -> usize {
        let Some(waiters) = self.waiters.customers.get(&event.scope) else { return 0 };
        let woken: Vec<(ExecutionId, String)> = waiters
            .iter()
            .filter(|waiter| waiter.filter.matches(event, data))
            .map(|waiter| (waiter.execution, waiter.key.clone()))
            .collect();
        let answer = if woken.is_empty() { String::new() } else { event_as_seen(event) };
        for (execution, key) in &woken {
            self.end_wait(*execution, key, Ok(answer.clone()));
        }
        woken.len()
    }

    /// The wait `key` is over. The record that says so is appended at once: its reason, an event or a decision, will not
    /// come again.
    pub(super) fn end_wait(&mut self, id: ExecutionId, key: &str, outcome: Result<String, OpFailure>) {
        let now = self.now;
        let Some(execution) = self.executions.get_mut(&id) else { return };
        let Some(pending) = execution.take_pending(key) else { return };
        let Pending::Wait(wait) = &pending else {
            execution.pending.push(pending);
            return;
        };
        let (ok, error) = split(outcome);
        let kind = kind_name(wait.kind).to_owned();
        let record = OpRecord { key: key.to_owned(), kind, started: wait.started, at: now, attempts: 1, ok, error };
        if wait.kind == WaitKind::Event {
            let scope = Arc::clone(&execution.scope);
            self.waiters.remove(&scope, id, Some(key));
        }
        self.deliver(id, record, true);
    }

    /// Gives an execution a result: now if its sandbox waits, else when it can take it. With `write`, the journal says so
    /// before anything else happens.
    pub(super) fn deliver(&mut self, id: ExecutionId, record: OpRecord, write: bool) {
        let Some(execution) = self.executions.get_mut(&id) else { return };
        let phase = execution.phase;
        // While the sandbox runs, results queue up behind those that it has, and are journaled in the order in which it
        // will see them. A sandbox that is yet to start gets them all.
        if matches!(phase, Phase::Turn(_)) {
            execution.inbox.push(record.clone());
        }
        let fresh = matches!(phase, Phase::Idle(_)).then(|| record.clone());
        execution.results.push(record);
        if let Some(ending) = execution.ending.take() {
            if execution.has_calls() {
                execution.ending = Some(ending);
            } else {
                self.finish(id, End::Completed { output: ending.output }, ending.steps);
            }
            return;
        }
        if write {
            // A record without it would tell recovery that no attempt is awaited any more.
            let retry = execution.retry.as_deref().cloned();
            let status = retry.is_some().then_some(ExecutionStatus::Waiting);
            self.flush(id, Addition { retry, status, ..Addition::default() });
        }
        match (phase, fresh) {
            (Phase::Idle(_), Some(record)) => self.resume(id, vec![record]),
            (Phase::Parked, _) => self.requeue(id),
            _ => {}
        }
    }
}

fn split(outcome: Result<String, OpFailure>) -> (Option<String>, Option<OpFailure>) {
    match outcome {
        Ok(value) => (Some(value), None),
        Err(failure) => (None, Some(failure)),
    }
}

fn kind_name(kind: WaitKind) -> &'static str {
    match kind {
        WaitKind::Sleep => "sleep",
        WaitKind::Event => "wait_for_event",
        WaitKind::Approval => "approval",
        WaitKind::Invoke => "invoke",
    }
}

/// What `ctx.waitForEvent` resolves to.
fn event_as_seen(event: &EventRecord) -> String {
    let data: serde_json::Value = serde_json::from_str(&event.data).unwrap_or_default();
    let seen = serde_json::json!({
        "id": event.id.as_str(),
        "type": event.kind,
        "source": event.source,
        "subject": event.subject,
        "time": event.time.to_string(),
        "data": data,
    });
    seen.to_string()
}
