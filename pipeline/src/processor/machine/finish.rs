//! Ends: completed, failed, timed out, cancelled; and the failed attempt that is followed by another.

use std::sync::Arc;
use std::time::Duration;

use fastn_contract::activity::{ExecutionError, ExecutionStatus};
use fastn_contract::error::ErrorCode;
use fastn_contract::resource::Tier;
use fastn_domain::Timestamp;
use fastn_domain::ids::ExecutionId;
use fastn_domain::journal::{Finished, JournalRecord, OpFailure, OpRecord, Retry, StepRecord};
use fastn_domain::retry::Schedule;

use super::execution::{Execution, Phase};
use super::ops::{Addition, Held};
use super::{Answer, Machine, Output};
use crate::processor::observe;
use crate::runtime::{ErrorKind, StepMark, StepStatus, WorkflowError};

/// Longest running time of each tier.
const INSTANT: Duration = Duration::from_secs(60);
const STANDARD: Duration = Duration::from_secs(15 * 60);
const LONG: Duration = Duration::from_secs(6 * 3_600);

/// How an execution ends.
pub(super) enum End {
    Completed { output: String },
    Failed(ExecutionError),
    Timeout(ExecutionError),
    Cancelled,
}

impl Machine {
    /// The running time that an execution may use.
    pub(super) fn run_limit(&self, execution: &Execution) -> Duration {
        let tier = match execution.tier {
            Tier::Instant => INSTANT,
            Tier::Standard => STANDARD,
            Tier::Long => LONG,
        };
        let account = self.catalog.account(&execution.scope.account);
        let own = account.and_then(|account| account.workflows.get(&execution.run.workflow)?.spec.timeout_ms);
        own.map_or(tier, |ms| Duration::from_millis(ms).min(tier))
    }

    pub(super) fn finish(&mut self, id: ExecutionId, end: End, steps: Vec<StepMark>) {
        let steps = steps.into_iter().map(|mark| step_record(mark, self.now)).collect();
        self.end_with(id, end, steps);
    }

    /// Ends an execution: one record, its caller's answer once that is durable, its parent's result, its successor's turn.
    pub(super) fn end_with(&mut self, id: ExecutionId, end: End, steps: Vec<StepRecord>) {
        self.drop_sandbox(id);
        self.release_slot(id);
        self.clear_deadline(id);
        let Some(mut execution) = self.executions.remove(&id) else { return };
        if execution.started.is_none()
            && let Some(payload) = &execution.payload
        {
            self.queued_payload_bytes = self.queued_payload_bytes.saturating_sub(payload.size());
        }
        self.parked -= usize::from(execution.phase == Phase::Parked);
        if execution.phase == Phase::Queued {
            self.queue.remove(&execution.scope, id);
        }
        if !execution.pending.is_empty() {
            self.out.push(Output::Abort { execution: id });
        }
        self.unwatch(id, &execution.scope);
        self.overlap_ends(&execution);
        let scope = Arc::clone(&execution.scope);
        self.state.drop_space(&scope, &format!("execution/{id}"));

        let (status, output, error) = match end {
            End::Completed { output } => (ExecutionStatus::Completed, Some(output), None),
            End::Failed(error) => (ExecutionStatus::Failed, None, Some(error)),
            End::Timeout(error) => (ExecutionStatus::Timeout, None, Some(error)),
            End::Cancelled => (ExecutionStatus::Cancelled, None, None),
        };
        observe::execution_finished(status, self.now.since(execution.admitted));
        let parent = execution.parent.as_deref().cloned();
        let journaled = execution.journaled;
        let finished = Finished {
            epoch: self.epoch,
            at: self.now,
            execution: id,
            scope: (*scope).clone(),
            parent: parent.clone(),
            status,
            attempt: execution.attempt,
            tier: execution.tier,
            results: execution.results.split_off(journaled),
            steps,
            logs: std::mem::take(&mut execution.logs),
            output,
            error,
        };
        let waits = parent.as_ref().is_some_and(|parent| parent.waits);
        let result = waits.then(|| parent_result(&finished)).flatten();
        let answer = execution.reply_to.take().map(|to| {
            let (output, error) = (finished.output.clone(), finished.error.clone());
            Held::Answer { to: *to, answer: Box::new(Answer::Finished { execution: id, status, output, error }) }
        });
        let seq = self.append(JournalRecord::Finished(finished));
        if let Some(answer) = answer {
            self.hold(seq, answer);
        }
        if let (Some(parent), Some(result)) = (parent, result) {
            self.give_parent(parent.execution, result, seq);
        }
        if let Some(sequence) = &execution.sequence
            && let Some(next) = self.sequences.leave(sequence, id)
        {
            self.admit_successor(next, seq);
        }
    }

    /// The child's own record is the parent's result too: until the parent writes it again, that record rebuilds it.
    fn give_parent(&mut self, parent: ExecutionId, mut result: OpRecord, seq: u64) {
        let Some(execution) = self.executions.get_mut(&parent) else { return };
        let Some(pending) = execution.take_pending(&result.key) else { return };
        result.started = pending.started();
        execution.records.push(seq);
        execution.barrier = execution.barrier.max(seq);
        self.deliver(parent, result, false);
    }

    /// The next of a sequence. Its effects wait until the end before it is durable: else a crash could let that one run
    /// again after this one's calls went out.
    fn admit_successor(&mut self, id: ExecutionId, seq: u64) {
        let Some(execution) = self.executions.get_mut(&id) else { return };
        execution.barrier = execution.barrier.max(seq);
        execution.phase = Phase::Queued;
        let (scope, lane) = (Arc::clone(&execution.scope), super::queue::Lane::of(execution.triggered_by));
        self.queue.push(&scope, lane, id);
    }

    /// An attempt failed. Another follows if the failure may pass and attempts are left.
    pub(super) fn fail(&mut self, id: ExecutionId, error: WorkflowError, steps: Vec<StepMark>) {
        let Some(execution) = self.executions.get(&id) else { return };
        let asked = error.retry_after_ms.map(Duration::from_millis);
        let delay = if error.kind == ErrorKind::Transient {
            self.retry_schedule(execution).delay_after(execution.attempt, asked)
        } else {
            None
        };
        let described = self.describe(execution, error);
        match delay {
            None => self.finish(id, End::Failed(described), steps),
            Some(delay) => self.retry_later(id, described, delay),
        }
    }

    fn retry_schedule(&self, execution: &Execution) -> Schedule {
        let account = self.catalog.account(&execution.scope.account);
        let workflow = account.and_then(|account| account.workflows.get(&execution.run.workflow));
        let trigger = account.and_then(|account| account.triggers.get(execution.run.trigger.as_ref()?));
        Schedule::of(workflow.and_then(|entry| entry.spec.retry.as_ref()), trigger.map(|trigger| &trigger.spec))
    }

    /// Keeps what a later effect has seen and what is good, drops the failures that nothing followed, and waits.
    fn retry_later(&mut self, id: ExecutionId, error: ExecutionError, delay: Duration) {
        self.drop_sandbox(id);
        self.release_slot(id);
        self.clear_deadline(id);
        let now = self.now;
        let next = now.plus(delay);
        observe::execution_retried();
        let Some(execution) = self.executions.get_mut(&id) else { return };
        execution.pause(now);
        let mark = execution.effect_mark.max(execution.journaled);
        let tail = execution.results.split_off(mark.min(execution.results.len()));
        execution.results.extend(tail.into_iter().filter(|result| result.error.is_none()));
        execution.inbox.clear();
        execution.pending.retain(|pending| !pending.is_call());
        execution.attempt += 1;
        execution.phase = Phase::Backoff;
        let retry = Retry { error, next };
        execution.retry = Some(Box::new(retry.clone()));
        self.out.push(Output::Abort { execution: id });
        self.flush(id, Addition { retry: Some(retry), status: Some(ExecutionStatus::Waiting), ..Addition::default() });
        if let Some(execution) = self.executions.get_mut(&id) {
            execution.leave_to_log();
        }
        self.timers.set(next, id);
    }

    pub(super) fn next_attempt(&mut self, id: ExecutionId) {
        if let Some(execution) = self.executions.get_mut(&id) {
            execution.retry = None;
        }
        self.requeue(id);
    }

    pub(super) fn cancel(&mut self, id: ExecutionId) {
        self.end_with(id, End::Cancelled, Vec::new());
    }

    /// Its time is up: one tier up if the workflow says so, else the end.
    pub(super) fn on_deadline(&mut self, id: ExecutionId) {
        let Some(execution) = self.executions.get(&id) else { return };
        let limit = self.run_limit(execution);
        let account = self.catalog.account(&execution.scope.account);
        let escalates = account
            .and_then(|account| account.workflows.get(&execution.run.workflow))
            .is_some_and(|entry| entry.spec.escalate_on_timeout);
        let higher = match execution.tier {
            Tier::Instant if escalates => Some(Tier::Standard),
            Tier::Standard if escalates => Some(Tier::Long),
            _ => None,
        };
        let Some(tier) = higher else {
            let message = format!(
                "the execution did not finish within {} s; make it shorter, raise the timeout, or choose a higher tier",
                limit.as_secs_f64()
            );
            let mut error = code_error("timeout", "TimeoutError", message);
            error.code = ErrorCode::WorkflowTimeout.as_str().to_owned();
            return self.end_with(id, End::Timeout(error), Vec::new());
        };
        if let Some(execution) = self.executions.get_mut(&id) {
            execution.tier = tier;
            if let Some(to) = execution.reply_to.take() {
                self.out.push(Output::Answer { to: *to, answer: Answer::Escalated { execution: id } });
            }
        }
        self.set_deadline(id);
    }

    fn describe(&self, execution: &Execution, error: WorkflowError) -> ExecutionError {
        let account = self.catalog.account(&execution.scope.account);
        let version = account
            .and_then(|account| account.workflows.get(&execution.run.workflow)?.versions.get(&execution.run.version));
        let category = match error.kind {
            ErrorKind::Code => "code",
            ErrorKind::Transient => "transient",
            ErrorKind::Memory => "memory",
            ErrorKind::Cpu => "cpu",
            ErrorKind::NonRetryable => "non_retryable",
            ErrorKind::Output => "output",
        };
        ExecutionError {
            code: ErrorCode::WorkflowFailed.as_str().to_owned(),
            category: category.to_owned(),
            name: error.name,
            message: error.message,
            step: error.step,
            file: version.map(|version| version.file.clone()),
            line: error.line,
            column: error.column,
            source_line: error.source_line,
            stack: (!error.stack.is_empty()).then_some(error.stack),
        }
    }
}

/// A failure that is not the code's own throw.
pub(super) fn code_error(category: &str, name: &str, message: String) -> ExecutionError {
    ExecutionError {
        code: ErrorCode::WorkflowFailed.as_str().to_owned(),
        category: category.to_owned(),
        name: name.to_owned(),
        message,
        step: None,
        file: None,
        line: None,
        column: None,
        source_line: None,
        stack: None,
    }
}

/// What the end of an invoked execution means to the one that waits for it.
pub(super) fn parent_result(finished: &Finished) -> Option<OpRecord> {
    let parent = finished.parent.as_ref().filter(|parent| parent.waits)?;
    let error = (finished.status != ExecutionStatus::Completed).then(|| OpFailure {
        name: "InvokeError".to_owned(),
        message: match &finished.error {
            Some(error) => format!("the invoked workflow failed: {}: {}", error.name, error.message),
            None => "the invoked workflow was cancelled".to_owned(),
        },
        code: finished.error.as_ref().map_or("WF-CANCELLED", |error| error.code.as_str()).to_owned(),
        retryable: false,
    });
    Some(OpRecord {
        key: parent.key.clone(),
        kind: "invoke".to_owned(),
        started: finished.at,
        at: finished.at,
        attempts: 1,
        ok: if error.is_none() { finished.output.clone() } else { None },
        error,
    })
}

fn step_record(mark: StepMark, now: Timestamp) -> StepRecord {
    StepRecord {
        key: mark.key,
        name: mark.name,
        kind: mark.kind,
        completed: mark.status == StepStatus::Completed,
        attempts: mark.attempts,
        started: Timestamp::from_millis(mark.started_ms),
        ended: mark.ended_ms.map_or(now, Timestamp::from_millis),
        input: mark.input.map(|json| json.as_str().to_owned()),
        output: mark.output.map(|json| json.as_str().to_owned()),
        error: mark.error,
    }
}
