//! Durable calls: what a workflow asked for in a turn, and how each kind is answered.

use std::sync::Arc;
use std::time::Duration;

use fastn_contract::activity::{ExecutionStatus, Origin};
use fastn_contract::resource::Tier;
use fastn_domain::event::EventRecord;
use fastn_domain::ids::{EventId, ExecutionId, WorkflowId};
use fastn_domain::journal::{
    Inline, JournalRecord, NewExecution, OpFailure, OpRecord, Parent, Progress, Retry, StateWrite, Wait, WaitKind,
};
use fastn_domain::route;
use fastn_domain::scope::Scope;
use fastn_domain::span::{TraceContext, step_span};
use serde::Deserialize;

use super::execution::{Execution, Pending, SenderTrace};
use super::judge::runnable;
use super::{Answer, Machine, Output, waits};
use crate::runtime::{OpKind, OpRequest, StateScope};

/// An outside call to make.
#[derive(Debug)]
pub struct CallRequest {
    /// Whose.
    pub execution: ExecutionId,
    /// The customer.
    pub scope: Arc<Scope>,
    /// The op's key, for the answer.
    pub key: String,
    /// The same on every retry, replay and late copy of the call.
    pub idempotency_key: String,
    /// The workflow and the attempt that ask, for the trace.
    pub workflow: WorkflowId,
    /// See `workflow`.
    pub attempt: u32,
    /// What to do.
    pub target: CallTarget,
}

/// What an outside call does.
#[derive(Debug)]
pub enum CallTarget {
    /// An HTTP request: always an [`OpKind::Fetch`].
    Http {
        /// The request.
        request: OpKind,
        /// W3C trace context to pass on: the span of this call, in the sender's trace or the execution's own.
        traceparent: String,
        /// The sender's `tracestate`.
        tracestate: Option<String>,
    },
    /// An event to append to the events log of the same customer. Its id makes it the same however often it is appended.
    Emit(Box<EventRecord>),
}

/// Something held back until the journal is durable through its barrier.
#[derive(Debug)]
pub(super) enum Held {
    Call(Box<CallRequest>),
    Answer { to: fastn_domain::event::ReplyTo, answer: Box<Answer> },
    Checkpoint(u64),
    Load(ExecutionId, u64),
}

/// What a `Progress` record says beside results.
#[derive(Debug, Default)]
pub(super) struct Addition {
    pub(super) waits: Vec<Wait>,
    pub(super) invoked: Vec<NewExecution>,
    pub(super) state: Vec<StateWrite>,
    pub(super) retry: Option<Retry>,
    pub(super) status: Option<ExecutionStatus>,
}

impl Addition {
    fn is_empty(&self) -> bool {
        self.waits.is_empty() && self.invoked.is_empty() && self.state.is_empty() && self.retry.is_none()
    }
}

/// An event as a workflow emits it.
#[derive(Deserialize)]
struct Emitted {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    data: serde_json::Value,
    #[serde(default)]
    id: Option<String>,
    #[serde(default)]
    source: Option<String>,
    #[serde(default)]
    subject: Option<String>,
}

/// How one request is answered.
enum Reply {
    Now(Result<String, OpFailure>),
    Wait(Wait),
    Call(CallTarget, &'static str),
}

impl Machine {
    /// Appends what is not in the journal yet. Nothing new, no record.
    pub(super) fn flush(&mut self, id: ExecutionId, addition: Addition) {
        let (epoch, at) = (self.epoch, self.now);
        let Some(execution) = self.executions.get_mut(&id) else { return };
        let results = execution.results[execution.journaled..].to_vec();
        if results.is_empty() && addition.is_empty() {
            return;
        }
        execution.journaled = execution.results.len();
        let children = !addition.invoked.is_empty();
        let progress = Progress {
            epoch,
            at,
            execution: id,
            scope: (*execution.scope).clone(),
            status: addition.status.unwrap_or(ExecutionStatus::Running),
            attempt: execution.attempt,
            tier: execution.tier,
            results,
            waits: addition.waits,
            invoked: addition.invoked.clone(),
            state: addition.state.clone(),
            retry: addition.retry,
        };
        let scope = Arc::clone(&execution.scope);
        let seq = self.append(JournalRecord::Progress(progress));
        if let Some(execution) = self.executions.get_mut(&id) {
            execution.barrier = seq;
            execution.records.push(seq);
        }
        for write in &addition.state {
            self.state.apply(&scope, write, seq);
        }
        if children {
            self.begin_invoked(&scope, addition.invoked, seq);
        }
    }

    fn begin_invoked(&mut self, scope: &Arc<Scope>, invoked: Vec<NewExecution>, seq: u64) {
        for start in invoked {
            let mut child = Execution::new(&start, Arc::clone(scope), &mut self.interned, self.now, None, seq);
            child.payload = start.origin.as_ref().map(|inline| Arc::new(super::Payload::of_inline(inline)));
            self.queued_payload_bytes += child.payload.as_deref().map_or(0, super::Payload::size);
            self.enqueue_new(child);
        }
    }

    /// Answers or starts everything that a turn asked for. Returns the results that are there at once, in order: the
    /// sandbox has not seen them yet.
    pub(super) fn take_requests(&mut self, id: ExecutionId, requests: Vec<OpRequest>) -> Vec<OpRecord> {
        let mut immediate = Vec::new();
        let mut calls = Vec::new();
        let mut addition = Addition::default();
        if self.stopped_by_steps(id, &requests) {
            return immediate;
        }
        for request in requests {
            let Some(execution) = self.executions.get(&id) else { return immediate };
            // A sandbox that was started again asks again for what it still waits for. A call that was under way when the
            // process died is not pending any more, so it goes out again, with the same idempotency key.
            let asked_before = execution.pending.iter().any(|pending| pending.key() == request.key);
            if asked_before || execution.results.iter().any(|result| result.key == request.key) {
                continue;
            }
            let kind = request.kind.name();
            match self.reply_to(id, &request, &mut addition) {
                Reply::Now(outcome) => {
                    let record = self.record_now(&request.key, kind, outcome);
                    if let Some(execution) = self.executions.get_mut(&id) {
                        execution.results.push(record.clone());
                    }
                    immediate.push(record);
                }
                Reply::Wait(wait) => {
                    self.add_pending(id, Pending::Wait(wait.clone()));
                    addition.waits.push(wait);
                }
                Reply::Call(target, kind) => {
                    let (key, started) = (request.key.clone(), self.now);
                    self.add_pending(id, Pending::Call { key, started, kind });
                    calls.push((request.key, request.idempotency_step, target));
                }
            }
        }
        self.commit_requests(id, calls, addition, immediate.is_empty());
        immediate
    }

    /// The effect rule: what the execution has seen is appended before its calls are asked for, and the calls are held
    /// until it is durable.
    fn commit_requests(
        &mut self,
        id: ExecutionId,
        calls: Vec<(String, String, CallTarget)>,
        mut addition: Addition,
        nothing_at_once: bool,
    ) {
        let waits = addition.waits.clone();
        // The record that begins the wait says that nothing else is left to do: recovery need not run it to find out.
        let execution = self.executions.get(&id);
        let parks = execution.is_some_and(|execution| execution.only_waits() && execution.inbox.is_empty());
        if nothing_at_once && parks {
            addition.status = Some(ExecutionStatus::Waiting);
        }
        #[cfg(feature = "sabotage")]
        let lazy = self.limits.sabotage == Some(super::Sabotage::LazyEffects);
        #[cfg(not(feature = "sabotage"))]
        let lazy = false;
        if (!calls.is_empty() && !lazy) || !addition.is_empty() {
            self.flush(id, addition);
        }
        let Some(execution) = self.executions.get_mut(&id) else { return };
        let (scope, barrier) = (Arc::clone(&execution.scope), execution.barrier);
        let (run, attempt) = (Arc::clone(&execution.run), execution.attempt);
        if !calls.is_empty() {
            execution.effect_mark = execution.results.len();
        }
        for wait in &waits {
            self.watch(id, &scope, wait);
        }
        for (key, step, target) in calls {
            let idempotency_key = format!("{id}/{step}");
            let scope = Arc::clone(&scope);
            let workflow = run.workflow.clone();
            let call = CallRequest { execution: id, scope, key, idempotency_key, workflow, attempt, target };
            let call = Box::new(call);
            self.hold(barrier, Held::Call(call));
        }
    }

    fn add_pending(&mut self, id: ExecutionId, pending: Pending) {
        if let Some(execution) = self.executions.get_mut(&id) {
            execution.add_pending(pending);
        }
    }

    fn record_now(&self, key: &str, kind: &str, outcome: Result<String, OpFailure>) -> OpRecord {
        let (ok, error) = match outcome {
            Ok(value) => (Some(value), None),
            Err(failure) => (None, Some(failure)),
        };
        let (started, at) = (self.now, self.now);
        OpRecord { key: key.to_owned(), kind: kind.to_owned(), started, at, attempts: 1, ok, error }
    }

    fn reply_to(&mut self, id: ExecutionId, request: &OpRequest, addition: &mut Addition) -> Reply {
        let now = self.now;
        let wait = |kind, timeout_ms: Option<u64>, detail: Option<&str>| Wait {
            key: request.key.clone(),
            kind,
            started: now,
            until: timeout_ms.map(|ms| now.plus(Duration::from_millis(ms))),
            detail: detail.map(str::to_owned),
        };
        match &request.kind {
            OpKind::Fetch { .. } => {
                let sender = self.executions.get(&id).and_then(|execution| execution.trace.as_deref());
                let traceparent = call_trace(id, &request.key, sender);
                let tracestate = sender.and_then(|sender| sender.state.clone());
                Reply::Call(CallTarget::Http { request: request.kind.clone(), traceparent, tracestate }, "fetch")
            }
            OpKind::Sleep { until_ms } => {
                let until = fastn_domain::Timestamp::from_millis(*until_ms);
                Reply::Wait(Wait { until: Some(until), ..wait(WaitKind::Sleep, None, None) })
            }
            OpKind::WaitForEvent { filter, timeout_ms } => match waits::check_filter(filter.as_str()) {
                Ok(()) => Reply::Wait(wait(WaitKind::Event, *timeout_ms, Some(filter.as_str()))),
                Err(reason) => Reply::Now(Err(refusal(format!("waitForEvent: {reason}")))),
            },
            OpKind::Approval { request, timeout_ms } => {
                Reply::Wait(wait(WaitKind::Approval, *timeout_ms, Some(request.as_str())))
            }
            OpKind::Emit { event } => match self.emitted(id, request, event.as_str()) {
                Ok(event) => Reply::Call(CallTarget::Emit(Box::new(event)), "emit"),
                Err(reason) => Reply::Now(Err(refusal(format!("ctx.emit: {reason}")))),
            },
            OpKind::Invoke { workflow, input, wait: waits } => {
                match self.invocation(id, request, workflow, input.as_str(), *waits) {
                    Ok(child) => {
                        let child_id = child.id;
                        addition.invoked.push(child);
                        if *waits {
                            return Reply::Wait(wait(WaitKind::Invoke, None, Some(&child_id.to_string())));
                        }
                        Reply::Now(Ok(format!("{{\"executionId\":\"{child_id}\"}}")))
                    }
                    Err(reason) => Reply::Now(Err(refusal(format!("fastn.flow: {reason}")))),
                }
            }
            OpKind::StateGet { scope, key } => {
                let value = self
                    .executions
                    .get(&id)
                    .and_then(|execution| self.state.get(&execution.scope, &space(execution, *scope), key, now));
                Reply::Now(Ok(value.map_or_else(|| "null".to_owned(), |value| value.to_string())))
            }
            OpKind::StateSet { scope, key, value, ttl_ms } => {
                let expires = ttl_ms.map(|ms| now.plus(Duration::from_millis(ms)));
                self.write_state(id, *scope, key, Some(value.as_str()), expires, addition)
            }
            OpKind::StateDelete { scope, key } => self.write_state(id, *scope, key, None, None, addition),
            OpKind::SecretGet { name } => Reply::Now(Ok(self.secret_reference(id, name))),
            OpKind::ConfigGet { key } => Reply::Now(Ok(self.config_value(id, key))),
            OpKind::Connector { slug, .. } => {
                Reply::Now(Err(refusal(format!("there is no connector {slug:?}: this version has no connectors yet"))))
            }
        }
    }

    /// A write to state is appended with this turn's record. It is applied there, so that whoever reads it later appends
    /// later. A read in the same turn is ordered by what the sandbox awaits.
    fn write_state(
        &mut self,
        id: ExecutionId,
        scope: StateScope,
        key: &str,
        value: Option<&str>,
        expires: Option<fastn_domain::Timestamp>,
        addition: &mut Addition,
    ) -> Reply {
        let Some(execution) = self.executions.get(&id) else { return Reply::Now(Ok("null".to_owned())) };
        let write = StateWrite {
            space: space(execution, scope),
            key: key.to_owned(),
            value: value.map(str::to_owned),
            expires,
        };
        if self.state.bytes_after(&execution.scope, &write) > self.limits.state_bytes_max {
            let limit = self.limits.state_bytes_max;
            return Reply::Now(Err(refusal(format!(
                "fastn.state is full: a customer may hold {limit} bytes; delete some keys"
            ))));
        }
        addition.state.push(write);
        Reply::Now(Ok("null".to_owned()))
    }

    /// The journal keeps which version was seen, never the value: `{"name", "version", "own"}`, or `null`.
    fn secret_reference(&self, id: ExecutionId, name: &str) -> String {
        let found = self.executions.get(&id).and_then(|execution| {
            let account = self.catalog.account(&execution.scope.account)?;
            let own = account.secrets.contains_key(&(Some(execution.scope.customer.clone()), name.to_owned()));
            let secret = account.secret(&execution.scope.customer, name)?;
            let (version, _) = secret.versions.last_key_value()?;
            Some(serde_json::json!({"name": name, "version": version, "own": own}).to_string())
        });
        found.unwrap_or_else(|| "null".to_owned())
    }

    fn config_value(&self, id: ExecutionId, key: &str) -> String {
        let found = self.executions.get(&id).and_then(|execution| {
            let account = self.catalog.account(&execution.scope.account)?;
            account.env_config.get(&(execution.run.environment.clone(), key.to_owned()))
        });
        found.map_or_else(|| "null".to_owned(), |value| value.to_string())
    }

    fn emitted(&self, id: ExecutionId, request: &OpRequest, event: &str) -> Result<EventRecord, String> {
        let execution = self.executions.get(&id).ok_or("the execution is over")?;
        let emitted: Emitted = serde_json::from_str(event).map_err(|error| error.to_string())?;
        let event_id = emitted.id.unwrap_or_else(|| format!("{id}/{}", request.idempotency_step));
        Ok(EventRecord {
            id: EventId::new(&event_id).map_err(|error| error.to_string())?,
            source: emitted.source.unwrap_or_else(|| format!("workflow/{}", execution.run.workflow)),
            kind: emitted.kind,
            subject: emitted.subject,
            time: self.now,
            scope: (*execution.scope).clone(),
            origin: Origin::Workflow,
            trigger: None,
            workflow: None,
            environment: None,
            headers: Vec::new(),
            data: Arc::from(emitted.data.to_string()),
            reply_to: None,
            traceparent: Some(call_trace(id, &request.key, execution.trace.as_deref())),
            priority: None,
        })
    }

    fn invocation(
        &self,
        id: ExecutionId,
        request: &OpRequest,
        workflow: &str,
        input: &str,
        waits: bool,
    ) -> Result<NewExecution, String> {
        let execution = self.executions.get(&id).ok_or("the execution is over")?;
        let workflow = WorkflowId::new(workflow).map_err(|error| error.to_string())?;
        let depth = execution.parent.as_deref().map_or(1, |parent| parent.depth + 1);
        if depth > self.limits.invoke_depth_max {
            return Err(format!("workflows invoke each other at most {} levels deep", self.limits.invoke_depth_max));
        }
        if waits && self.would_cycle(execution, &workflow) {
            return Err(format!("workflow {workflow} is already among the callers of this one: that is a cycle"));
        }
        let account = self.catalog.account(&execution.scope.account).ok_or("the account does not exist")?;
        let (version, _) = runnable(account, &workflow, &execution.run.environment)?;
        let origin = Inline {
            event_id: EventId::new(&id.to_string()).map_err(|error| error.to_string())?,
            event_kind: "fastn.flow.invoke".to_owned(),
            event_source: format!("workflow/{}", execution.run.workflow),
            event_time: self.now,
            clock: self.now,
            triggered_by: Origin::Workflow,
            headers: Vec::new(),
            input: input.to_owned(),
            results: Vec::new(),
        };
        Ok(NewExecution {
            id: route::invoked_execution(&execution.scope, id, &request.idempotency_step),
            workflow,
            version,
            environment: execution.run.environment.clone(),
            tier: Tier::Standard,
            trigger: None,
            sequence: None,
            headers: Vec::new(),
            replay_of: None,
            parent: Some(Parent { execution: id, key: request.key.clone(), waits, depth }),
            origin: Some(origin),
            flow: None,
        })
    }

    fn would_cycle(&self, execution: &Execution, workflow: &WorkflowId) -> bool {
        let mut caller = Some(execution);
        while let Some(execution) = caller {
            if execution.run.workflow == *workflow {
                return true;
            }
            caller =
                execution.parent.as_deref().and_then(|parent| self.executions.get(&parent.execution)).map(Box::as_ref);
        }
        false
    }

    /// Lets a held effect go, unless what asked for it is over.
    pub(super) fn release(&mut self, held: Held) {
        match held {
            Held::Call(call) => {
                let wanted = self
                    .executions
                    .get(&call.execution)
                    .is_some_and(|execution| execution.pending.iter().any(|pending| pending.key() == call.key));
                if wanted {
                    self.out.push(Output::Call(call));
                }
            }
            Held::Answer { to, answer } => self.out.push(Output::Answer { to, answer: *answer }),
            Held::Checkpoint(seq) => self.checkpoint_durable(seq),
            Held::Load(id, load) => self.load_now(id, load),
        }
    }

    pub(super) fn on_call_done(
        &mut self,
        id: ExecutionId,
        key: &str,
        attempts: u32,
        outcome: Result<String, OpFailure>,
    ) {
        let Some(execution) = self.executions.get_mut(&id) else { return };
        if !execution.pending.iter().any(|pending| pending.key() == key && pending.is_call()) {
            return;
        }
        let Some(Pending::Call { started, kind, .. }) = execution.take_pending(key) else { return };
        let mut record = self.record_now(key, kind, outcome);
        record.started = started;
        record.attempts = attempts;
        self.deliver(id, record, false);
    }
}

fn space(execution: &Execution, scope: StateScope) -> String {
    match scope {
        StateScope::Org => format!("workflow/{}", execution.run.workflow),
        StateScope::Invocation => format!("execution/{}", execution.id),
    }
}

fn refusal(message: String) -> OpFailure {
    OpFailure { name: "Error".to_owned(), message, code: "REFUSED".to_owned(), retryable: false }
}

/// `traceparent` of what the op `key` sends out.
fn call_trace(id: ExecutionId, key: &str, sender: Option<&SenderTrace>) -> String {
    TraceContext::of(id, sender.map(|sender| sender.parent.as_str())).header(step_span(id, key))
}
