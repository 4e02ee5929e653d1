//! Running: from the fair queue into a sandbox, from turn to turn, and out again into a wait.

use std::sync::Arc;

use fastn_contract::activity::ExecutionStatus;
use fastn_contract::resource::Tier;
use fastn_domain::Timestamp;
use fastn_domain::ids::ExecutionId;
use fastn_domain::journal::{LogLine, OpRecord, WaitKind};

use super::execution::{Ending, Execution, Phase, SenderTrace};
use super::finish::{End, code_error};
use super::ops::Addition;
use super::queue::Lane;
use super::{Machine, Output, StartRun};
use crate::runtime::{LogLevel, Slot, Turn, TurnState};

/// Log lines kept of one execution.
const LOG_LINES_MAX: usize = 1_000;

impl Machine {
    /// Starts queued executions while there is room for starts.
    pub(super) fn dispatch(&mut self) {
        while self.starts_in_flight < self.limits.starts_in_flight_max {
            let Some((scope, id)) = self.queue.pop(&self.catalog) else { return };
            let Some(execution) = self.executions.get_mut(&id).filter(|execution| execution.phase == Phase::Queued)
            else {
                self.queue.release(&scope);
                continue;
            };
            execution.holds_slot = true;
            self.starts_in_flight += 1;
            self.start_or_load(id);
        }
    }

    /// Starts a sandbox, after a look into the log if the past is not in memory. The execution holds a slot of its
    /// customer and one of the starts.
    fn start_or_load(&mut self, id: ExecutionId) {
        let Some(execution) = self.executions.get_mut(&id) else { return };
        execution.start_seen = false;
        if execution.payload.is_some() && !execution.results_in_log {
            return self.start_sandbox(id);
        }
        execution.phase = Phase::Loading;
        let load = self.load(id);
        if let Some(execution) = self.executions.get_mut(&id) {
            execution.load = load;
        }
    }

    /// Starts a sandbox with all results so far.
    pub(super) fn start_sandbox(&mut self, id: ExecutionId) {
        let slot = self.next_slot * u64::from(self.partitions) + u64::from(self.partition);
        self.next_slot += 1;
        let now = self.now;
        let Some(execution) = self.executions.get_mut(&id) else { return };
        let Some(payload) = execution.payload.clone() else { return };
        if execution.started.is_none() {
            self.queued_payload_bytes = self.queued_payload_bytes.saturating_sub(payload.size());
        }
        execution.started.get_or_insert(now);
        execution.running_since.get_or_insert(now);
        execution.phase = Phase::Turn(slot);
        execution.inbox.clear();
        execution.logs.clear();
        self.slots.insert(slot, id);
        execution.trace = SenderTrace::of(&payload);
        if self.slots.len() > self.limits.running_payloads_max {
            execution.forget_payload();
        }
        let start = StartRun {
            slot,
            execution: id,
            scope: Arc::clone(&execution.scope),
            run: Arc::clone(&execution.run),
            tier: execution.tier,
            attempt: execution.attempt,
            payload,
            results: execution.results.clone(),
        };
        self.out.push(Output::Start(Box::new(start)));
        self.set_deadline(id);
    }

    /// Delivers results to a sandbox that waits.
    pub(super) fn resume(&mut self, id: ExecutionId, results: Vec<OpRecord>) {
        let Some(execution) = self.executions.get_mut(&id) else { return };
        let Some(slot) = execution.slot() else { return };
        execution.phase = Phase::Turn(slot);
        let scope = Arc::clone(&execution.scope);
        self.out.push(Output::Resume { slot, results, scope });
    }

    pub(super) fn on_turn(&mut self, turn: Turn) {
        let Some(id) = self.slots.get(&turn.slot).copied() else { return };
        let Some(execution) = self.executions.get_mut(&id) else { return };
        if execution.phase != Phase::Turn(turn.slot) {
            return;
        }
        let Turn { slot, state, ops, logs, cpu_us: _, memory_bytes: _ } = turn;
        if execution.is_starting() {
            execution.start_seen = true;
            self.starts_in_flight -= 1;
        }
        execution.logs.extend(logs.into_iter().map(log_line));
        execution.logs.truncate(LOG_LINES_MAX);
        match state {
            TurnState::Waiting => self.go_on(id, slot, ops),
            TurnState::Completed { output, steps } => self.on_returned(id, slot, Ending { output, steps }, ops),
            TurnState::Failed { error, steps } => self.fail(id, error, steps),
            TurnState::Evicted => {
                self.slots.remove(&slot);
                self.starts_in_flight += 1;
                self.start_or_load(id);
            }
        }
    }

    /// The workflow returned. What it asked for and did not await still happens: an effect asked for is an effect promised.
    /// The execution ends once its calls are answered. If the process dies before, it runs again and asks again.
    fn on_returned(&mut self, id: ExecutionId, slot: Slot, ending: Ending, ops: Vec<crate::runtime::OpRequest>) {
        let _nobody_awaits = self.take_requests(id, ops);
        match self.executions.get_mut(&id) {
            Some(execution) if execution.has_calls() => {
                execution.inbox.clear();
                execution.phase = Phase::Idle(slot);
                execution.ending = Some(Box::new(ending));
            }
            _ => self.finish(id, End::Completed { output: ending.output }, ending.steps),
        }
    }

    fn go_on(&mut self, id: ExecutionId, slot: Slot, ops: Vec<crate::runtime::OpRequest>) {
        let immediate = self.take_requests(id, ops);
        let results_max = self.limits.results_max;
        let Some(execution) = self.executions.get_mut(&id) else { return };
        let mut results = std::mem::take(&mut execution.inbox);
        results.extend(immediate);
        execution.phase = Phase::Idle(slot);
        if execution.results.len() > results_max {
            let message =
                format!("the workflow made more than {results_max} durable calls; split it, or use fastn.flow.invoke");
            self.end_with(id, End::Failed(code_error("limit", "LimitError", message)), Vec::new());
        } else if !results.is_empty() {
            self.resume(id, results);
        } else if execution.pending.is_empty() {
            let message = "the workflow awaits a promise that nothing can settle".to_owned();
            self.end_with(id, End::Failed(code_error("code", "DeadlockError", message)), Vec::new());
        } else if execution.only_waits() {
            self.park(id);
        }
    }

    /// Everything it waits for needs no sandbox: keep only what the journal cannot tell.
    fn park(&mut self, id: ExecutionId) {
        self.flush(id, Addition { status: Some(ExecutionStatus::Waiting), ..Addition::default() });
        let now = self.now;
        let Some(execution) = self.executions.get_mut(&id) else { return };
        execution.pause(now);
        // The clock of a Long one stops; that of another goes on while it waits.
        if execution.tier == Tier::Long {
            self.clear_deadline(id);
        }
        self.drop_sandbox(id);
        self.release_slot(id);
        let Some(execution) = self.executions.get_mut(&id) else { return };
        execution.phase = Phase::Parked;
        execution.leave_to_log();
        self.parked += 1;
    }

    /// Puts an execution that waited, or begins another attempt, into the queue.
    pub(super) fn requeue(&mut self, id: ExecutionId) {
        let Some(execution) = self.executions.get_mut(&id) else { return };
        self.parked -= usize::from(execution.phase == Phase::Parked);
        execution.phase = Phase::Queued;
        let scope = Arc::clone(&execution.scope);
        self.queue.push(&scope, Lane::Resumed, id);
    }

    pub(super) fn drop_sandbox(&mut self, id: ExecutionId) {
        let Some(execution) = self.executions.get_mut(&id) else { return };
        let starting = execution.is_starting();
        if let Some(slot) = execution.slot() {
            self.slots.remove(&slot);
            self.out.push(Output::Drop { slot });
        }
        if starting {
            self.starts_in_flight -= 1;
        }
        if let Some(execution) = self.executions.get_mut(&id) {
            execution.start_seen = false;
        }
    }

    pub(super) fn release_slot(&mut self, id: ExecutionId) {
        let Some(execution) = self.executions.get_mut(&id) else { return };
        if std::mem::take(&mut execution.holds_slot) {
            let scope = Arc::clone(&execution.scope);
            self.queue.release(&scope);
        }
    }

    /// Looks at every execution whose time has come.
    pub(super) fn fire_timers(&mut self) {
        while let Some(id) = self.timers.pop_due(self.now) {
            self.look_at(id);
        }
    }

    fn look_at(&mut self, id: ExecutionId) {
        let now = self.now;
        let Some(execution) = self.executions.get(&id) else { return self.look_at_batch(id) };
        if execution.phase == Phase::Held {
            return self.advance(id);
        }
        if execution.is_running() && deadline(execution, self.run_limit(execution)).is_some_and(|at| at <= now) {
            return self.on_deadline(id);
        }
        if matches!(execution.phase, Phase::Parked | Phase::Queued)
            && execution.tier != Tier::Long
            && execution.started.is_some_and(|started| started.plus(self.run_limit(execution)) <= now)
        {
            return self.on_deadline(id);
        }
        if execution.phase == Phase::Backoff && execution.retry.as_ref().is_none_or(|retry| retry.next <= now) {
            return self.next_attempt(id);
        }
        let due: Vec<(String, WaitKind)> = execution
            .waits()
            .filter(|wait| wait.until.is_some_and(|until| until <= now))
            .map(|wait| (wait.key.clone(), wait.kind))
            .collect();
        for (key, kind) in due {
            let answer = match kind {
                WaitKind::Approval => r#"{"approved":false,"timedOut":true}"#,
                WaitKind::Sleep | WaitKind::Event | WaitKind::Invoke => "null",
            };
            self.end_wait(id, &key, Ok(answer.to_owned()));
        }
    }

    pub(super) fn set_deadline(&mut self, id: ExecutionId) {
        self.clear_deadline(id);
        let Some(execution) = self.executions.get(&id) else { return };
        let Some(at) = deadline(execution, self.run_limit(execution)) else { return };
        self.timers.set_deadline(at, id);
        if let Some(execution) = self.executions.get_mut(&id) {
            execution.deadline = at;
        }
    }

    pub(super) fn clear_deadline(&mut self, id: ExecutionId) {
        let Some(execution) = self.executions.get_mut(&id) else { return };
        let at = std::mem::take(&mut execution.deadline);
        if at != Timestamp::default() {
            self.timers.clear_deadline(at, id);
        }
    }
}

/// When an execution that runs has used up its time. The clock of a Long one stops while it waits.
fn deadline(execution: &Execution, limit: std::time::Duration) -> Option<Timestamp> {
    if execution.tier == Tier::Long {
        return execution.running_since.map(|since| since.plus(limit.saturating_sub(execution.ran)));
    }
    execution.started.map(|started| started.plus(limit))
}

fn log_line(line: crate::runtime::LogLine) -> LogLine {
    let level = match line.level {
        LogLevel::Debug => "debug",
        LogLevel::Info => "info",
        LogLevel::Warn => "warn",
        LogLevel::Error => "error",
    };
    LogLine { at: Timestamp::from_millis(line.at_ms), level: level.to_owned(), message: line.message }
}
