//! The driver of one partition: it gives the machine what the log, the sandboxes, the network and the clock say, and does
//! what the machine asks.
//!
//! Any failed append of the journal ends the machine: what it has in memory may not be what the journal says. The partition
//! is then claimed again, and the new machine is made from the journal.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use fastn_domain::event::EventRecord;
use fastn_domain::ids::ExecutionId;
use fastn_domain::journal::{Epoch, JournalRecord, OpFailure, OpRecord};
use fastn_domain::partition::partition_of;
use fastn_domain::time::{Clock, Timestamp};
use fastn_domain::trace::Trace;
use fastn_log::{
    Appended, LogError, LogErrorKind, Offset, Outcome, Partition, Record, StoredRecord, Topic, codec, event_record,
    revision_of,
};
use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesOrdered, StreamExt};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tokio_util::sync::CancellationToken;

use super::calls::{CallContext, CallFacts};
use super::claim::{Claimed, Claiming, Control};
use super::intercept::CallBy;
use super::machine::{CallRequest, CallTarget, Input, LoggedEvent, Machine, Output, Source, StartRun};
use super::pipeline::Shared;
use super::{observe, sandboxes};
use crate::runtime::{ErrorKind, Job, Slot, Turn, TurnState, WorkflowError};

/// Inputs handled before the outputs of all of them are carried out.
const INPUTS_MAX: usize = 64;
/// Events read at once.
const EVENTS_MAX: usize = 256;
const EVENTS_BYTES_MAX: usize = 2 * 1024 * 1024;
/// Executions that may wait in a partition's queue before admission pauses.
const QUEUED_MAX: usize = 1_000_000;
/// The wait before a partition that failed is claimed again.
const CLAIM_AGAIN: Duration = Duration::from_millis(500);
/// Longest wait for a configuration that another node has already. The feed brings it within a second.
const CATALOG_WAIT_MAX: Duration = Duration::from_secs(3);
/// The wait before a record that could not be read is read again.
const READ_AGAIN: Duration = Duration::from_millis(200);
/// Records kept in `control[p]`: far more than one believed checkpoint, so that an intent of a slow claimer is seen.
const CONTROL_RECORDS_KEPT: u64 = 64;

/// Keeps `partition` running until `stop`, or until the log is closed.
pub(super) async fn run(
    shared: &Arc<Shared>,
    partition: Partition,
    sender: &mpsc::UnboundedSender<Input>,
    inputs: &mut mpsc::UnboundedReceiver<Input>,
    stop: &CancellationToken,
) {
    while !stop.is_cancelled() {
        // What is still on its way was asked for by a machine that is gone.
        while inputs.try_recv().is_ok() {}
        let outcome = serve(shared, partition, sender, inputs, stop).await;
        shared.set_ready(partition, false);
        match outcome {
            Ok(()) => return,
            Err(error) => observe::partition_failed(partition, &error),
        }
        tokio::select! {
            () = tokio::time::sleep(CLAIM_AGAIN) => {}
            () = stop.cancelled() => return,
        }
    }
}

async fn serve(
    shared: &Arc<Shared>,
    partition: Partition,
    sender: &mpsc::UnboundedSender<Input>,
    inputs: &mut mpsc::UnboundedReceiver<Input>,
    stop: &CancellationToken,
) -> Result<(), LogError> {
    let claiming = Claiming {
        log: &*shared.log,
        partition,
        node: &shared.node,
        limits: shared.limits.clone(),
        catalog: shared.catalog.borrow().clone(),
        now: shared.clock.now(),
    };
    let Claimed { machine, epoch, recover_from } = tokio::select! {
        claimed = claiming.run() => claimed?,
        () = stop.cancelled() => return Ok(()),
    };
    let mut driver = Driver {
        shared: Arc::clone(shared),
        partition,
        sender: sender.clone(),
        machine,
        appends: FuturesOrdered::new(),
        append_failed: CancellationToken::new(),
        calls: HashMap::new(),
        under_way: UnderWay::default(),
        out: Vec::new(),
        epoch,
        revision: 0,
        waited_for: 0,
        lost: CancellationToken::new(),
    };
    shared.set_floor(partition, driver.machine.events_needed_from(), recover_from);
    shared.set_ready(partition, true);
    let served = driver.serve(inputs, stop).await;
    driver.abandon();
    served
}

/// An append under way: the sequence numbers that it holds, and its outcome.
type Append = BoxFuture<'static, (u64, u64, Result<Appended, LogError>)>;

/// What was asked for and has not come back.
#[derive(Clone, Copy, Default)]
struct UnderWay {
    turns: usize,
    loads: usize,
    calls: usize,
}

struct Driver {
    shared: Arc<Shared>,
    partition: Partition,
    sender: mpsc::UnboundedSender<Input>,
    machine: Machine,
    appends: FuturesOrdered<Append>,
    /// Set by the first append that failed. Until it is seen here the log itself takes no more.
    append_failed: CancellationToken,
    /// By the op's key.
    calls: HashMap<ExecutionId, Vec<(String, AbortHandle)>>,
    under_way: UnderWay,
    out: Vec<Output>,
    epoch: Epoch,
    /// The configuration that the machine has, and the newest one that was waited for.
    revision: u64,
    waited_for: u64,
    /// Set when another process has claimed the partition, and when this driver ends.
    lost: CancellationToken,
}

impl Driver {
    async fn serve(
        &mut self,
        inputs: &mut mpsc::UnboundedReceiver<Input>,
        stop: &CancellationToken,
    ) -> Result<(), LogError> {
        let mut tail = self.shared.log.tail(Topic::Events, self.partition);
        let mut catalog = self.shared.catalog.clone();
        let mut depth = tokio::time::interval(Duration::from_secs(1));
        let mut batch = Vec::with_capacity(INPUTS_MAX);
        self.handle(Input::Tick);
        self.carry_out();
        loop {
            let end = *tail.borrow_and_update();
            if self.machine.events_next() < end && self.machine.queued() < QUEUED_MAX {
                self.admit().await?;
                self.carry_out();
            }
            let more = self.machine.events_next() < *tail.borrow() && self.machine.queued() < QUEUED_MAX;
            let timer = self.machine.next_timer();
            self.tell_rest(more, timer);
            tokio::select! {
                count = inputs.recv_many(&mut batch, INPUTS_MAX) => {
                    if count == 0 {
                        return Ok(());
                    }
                    for input in batch.drain(..) {
                        self.handle(input);
                    }
                }
                Some((first, through, outcome)) = self.appends.next(), if !self.appends.is_empty() => {
                    let appended = outcome?;
                    self.handle(Input::Durable { first, through, offset: appended.first });
                }
                changed = tail.changed(), if !more => {
                    if changed.is_err() {
                        return Ok(());
                    }
                }
                () = std::future::ready(()), if more => {}
                () = until(&*self.shared.clock, timer), if timer.is_some() => self.handle(Input::Tick),
                changed = catalog.changed() => {
                    if changed.is_err() {
                        return Ok(());
                    }
                    catalog.mark_unchanged();
                    self.renew_catalog();
                }
                _ = depth.tick() => self.tell_depth(*tail.borrow()),
                () = self.lost.cancelled() => return Err(claimed_away(self.partition)),
                () = stop.cancelled() => return self.settle().await,
            }
            self.carry_out();
        }
    }

    fn handle(&mut self, input: Input) {
        match &input {
            Input::Turn(_) => self.under_way.turns = self.under_way.turns.saturating_sub(1),
            Input::Loaded { .. } => self.under_way.loads = self.under_way.loads.saturating_sub(1),
            Input::CallDone { execution, key, .. } => self.call_done(*execution, key),
            _ => {}
        }
        let now = self.shared.clock.now();
        self.machine.handle(input, now, &mut self.out);
    }

    fn call_done(&mut self, execution: ExecutionId, key: &str) {
        // One that was given up is not there any more.
        let Some(calls) = self.calls.get_mut(&execution) else { return };
        if let Some(at) = calls.iter().position(|(of, _)| of == key) {
            calls.swap_remove(at);
            self.under_way.calls -= 1;
        }
        if calls.is_empty() {
            self.calls.remove(&execution);
        }
    }

    /// Tells whoever moves the clock whether anything but time, calls and new events goes on here. What was asked for comes
    /// back as an input, and nothing else makes the machine move.
    fn tell_rest(&self, more: bool, timer: Option<Timestamp>) {
        let UnderWay { turns, loads, calls } = self.under_way;
        let rests = !more && turns + loads == 0 && self.appends.is_empty();
        let admitted = self.machine.events_next();
        self.shared.tell_rest(self.partition, rests.then_some((timer, self.revision)), admitted, calls);
    }

    /// Gives the machine the newest configuration, if it does not have it.
    fn renew_catalog(&mut self) {
        let newest = self.shared.catalog.borrow().clone();
        if newest.revision > self.revision {
            self.revision = newest.revision;
            self.handle(Input::Catalog(newest));
        }
    }

    /// Waits until this node has the configuration that accepted these events: under an older one it would reject what was
    /// answered with 202. Once for each configuration, so that a node that cannot learn goes on with what it knows.
    async fn catch_up(&mut self, read: &[StoredRecord]) {
        let wanted = read.iter().filter_map(revision_of).max().unwrap_or_default();
        if wanted > self.waited_for {
            self.waited_for = wanted;
            let mut newest = self.shared.catalog.clone();
            let learned = newest.wait_for(|catalog| catalog.revision >= wanted);
            if !matches!(tokio::time::timeout(CATALOG_WAIT_MAX, learned).await, Ok(Ok(_))) {
                observe::catalog_behind(self.partition, wanted);
            }
        }
        self.renew_catalog();
    }

    async fn admit(&mut self) -> Result<(), LogError> {
        let from = self.machine.events_next();
        let read = self.shared.log.read(Topic::Events, self.partition, from, EVENTS_MAX, EVENTS_BYTES_MAX).await?;
        self.catch_up(&read).await;
        let events = read
            .iter()
            .map(|stored| LoggedEvent {
                offset: stored.offset,
                timestamp: stored.timestamp,
                event: self.decode_event(stored.offset, &stored.value).map(Arc::new),
            })
            .collect();
        self.handle(Input::Events(events));
        Ok(())
    }

    fn decode_event(&self, offset: Offset, value: &[u8]) -> Option<EventRecord> {
        let decoded = codec::decode_event(value);
        decoded.map_err(|error| observe::undecodable("events", self.partition, offset, &error)).ok()
    }

    /// Does what the machine asked for. All records go out as one append, in order.
    fn carry_out(&mut self) {
        let mut records = Vec::new();
        let mut restart = Vec::new();
        for output in std::mem::take(&mut self.out) {
            match output {
                Output::Append(record) => {
                    self.shared.count_started(&record);
                    records.push(journal_record(&record));
                }
                Output::Start(run) => {
                    self.under_way.turns += 1;
                    restart.extend(self.start(*run));
                }
                Output::Resume { slot, results, scope } => {
                    let catalog = self.shared.catalog.borrow().clone();
                    let reveal = |record: &OpRecord| sandboxes::result(record, &scope, &catalog, &self.shared.vault);
                    let results = results.iter().map(reveal).collect();
                    self.under_way.turns += 1;
                    self.shared.pool.submit(Job::Resume { slot, results });
                }
                Output::Drop { slot } => self.shared.pool.submit(Job::Drop { slot }),
                Output::Call(call) => self.call(*call),
                Output::Abort { execution } => self.abort(execution),
                Output::Load { execution, load, sources } => {
                    self.under_way.loads += 1;
                    self.load(execution, load, sources);
                }
                Output::Answer { to, answer } => self.shared.answers.give(&to, answer),
                Output::Checkpointed(checkpoint) => self.checkpoint(checkpoint),
            }
        }
        // After a failed append the machine is over, though those before it may still be answered first.
        if !records.is_empty() && !self.append_failed.is_cancelled() {
            let through = self.machine.next_seq();
            let first = through - records.len() as u64;
            let append = self.shared.log.append(Topic::Executions, self.partition, records);
            let failed = self.append_failed.clone();
            self.appends.push_back(Box::pin(async move {
                let outcome = append.await;
                if outcome.is_err() {
                    failed.cancel();
                }
                (first, through, outcome)
            }));
        }
        for failed in restart {
            let _closed = self.sender.send(Input::Turn(failed));
        }
    }

    /// Starts a sandbox, or tells why there is nothing to run.
    fn start(&self, run: StartRun) -> Option<Turn> {
        let catalog = self.shared.catalog.borrow().clone();
        let spec = &run.run;
        match self.shared.programs.get(&catalog, &run.scope.account, &spec.workflow, spec.version) {
            Ok(program) => {
                let start = sandboxes::start(&run, program, &self.shared.seed_key, &catalog, &self.shared.vault);
                self.shared.pool.submit(Job::Start(Box::new(start)));
                None
            }
            Err(message) => Some(no_program(run.slot, message)),
        }
    }

    fn call(&mut self, call: CallRequest) {
        let CallRequest { execution, scope, key, idempotency_key, workflow, attempt, target } = call;
        let (shared, sender) = (Arc::clone(&self.shared), self.sender.clone());
        let (partition, epoch) = (self.partition, self.epoch);
        let known_by = key.clone();
        let task = tokio::spawn(async move {
            let outcome = match target {
                CallTarget::Http { request, traceparent, tracestate } => {
                    let (started, mut facts) = (shared.clock.now(), CallFacts::default());
                    let by = CallBy::Workflow {
                        execution,
                        workflow: workflow.clone(),
                        key: key.clone(),
                        scope: scope.clone(),
                    };
                    let context = CallContext { idempotency_key, traceparent, tracestate, by };
                    let outcome = shared.calls.fetch(request, context, &mut facts).await;
                    shared.traces.tell(partition, || Trace {
                        epoch,
                        started,
                        duration_ms: shared.clock.now().since(started).as_millis() as u64,
                        execution,
                        attempt,
                        scope: (*scope).clone(),
                        workflow,
                        step: key.clone(),
                        via: "http".to_owned(),
                        method: facts.method,
                        origin: facts.origin,
                        status: facts.status,
                        error: outcome.as_ref().err().map(|failure| failure.code.clone()),
                        request_bytes: facts.request_bytes,
                        response_bytes: facts.response_bytes,
                    });
                    outcome
                }
                CallTarget::Emit(event) => emit(&shared, *event).await,
            };
            let _closed = sender.send(Input::CallDone { execution, key, attempts: 1, outcome });
        });
        self.under_way.calls += 1;
        self.calls.entry(execution).or_default().push((known_by, task.abort_handle()));
    }

    fn abort(&mut self, execution: ExecutionId) {
        for (_, call) in self.calls.remove(&execution).into_iter().flatten() {
            self.under_way.calls -= 1;
            call.abort();
        }
    }

    fn load(&self, execution: ExecutionId, load: u64, sources: Source) {
        let (shared, sender, partition) = (Arc::clone(&self.shared), self.sender.clone(), self.partition);
        let gone = self.lost.clone();
        let read = async move {
            let event = match sources.event {
                Some(offset) => read_event(&shared, partition, offset).await,
                None => None,
            };
            let mut records = Vec::with_capacity(sources.journal.len());
            for offset in sources.journal {
                records.extend(read_journal(&shared, partition, offset).await);
            }
            let mut batch = Vec::with_capacity(sources.batch.len());
            for offset in sources.batch {
                let event = read_event(&shared, partition, offset).await;
                batch.extend(event.map(|(_, event)| (offset, event)));
            }
            let _closed = sender.send(Input::Loaded { execution, load, event, records, batch });
        };
        tokio::spawn(async move {
            tokio::select! {
                () = read => {}
                () = gone.cancelled() => {}
            }
        });
    }

    /// Puts a checkpoint where recovery finds it. Once it is known to be believed, the log may be trimmed before it; if it
    /// is not, another process has claimed the partition, and this one stops.
    fn checkpoint(&mut self, checkpoint: fastn_domain::journal::Checkpoint) {
        let (shared, partition, epoch) = (Arc::clone(&self.shared), self.partition, self.epoch);
        let lost = self.lost.clone();
        let recover_from = checkpoint.recover_from;
        let events = self.machine.events_needed_from();
        let value = codec::encode_journal(&JournalRecord::Checkpoint(checkpoint));
        tokio::spawn(async move {
            let append = shared.log.append(Topic::Control, partition, vec![Record::new(Bytes::new(), value)]);
            // Not heard: recovery starts at the checkpoint before, which is only slower.
            let Ok(appended) = append.await else { return };
            match Control::read(&*shared.log, partition, Some(appended.first)).await {
                Ok(control) if control.epoch_max > epoch => lost.cancel(),
                Ok(_) => {
                    shared.set_floor(partition, events, recover_from);
                    let keep_from = appended.first.saturating_sub(CONTROL_RECORDS_KEPT);
                    let _next_time = shared.log.trim(Topic::Control, partition, keep_from).await;
                }
                Err(_) => {}
            }
        });
    }

    fn tell_depth(&self, end: Offset) {
        let lag = end.saturating_sub(self.machine.events_next());
        observe::partition_depth(
            self.partition,
            self.machine.live(),
            self.machine.queued(),
            self.machine.parked(),
            lag,
        );
    }

    /// Waits for the records under way, so that a clean stop loses no work.
    async fn settle(&mut self) -> Result<(), LogError> {
        while let Some((first, through, outcome)) = self.appends.next().await {
            let appended = outcome?;
            self.handle(Input::Durable { first, through, offset: appended.first });
            // Answers may go; nothing new is begun.
            for output in std::mem::take(&mut self.out) {
                if let Output::Answer { to, answer } = output {
                    self.shared.answers.give(&to, answer);
                }
            }
        }
        Ok(())
    }

    fn abandon(&mut self) {
        self.lost.cancel();
        for (_, call) in self.calls.drain().flat_map(|(_, calls)| calls) {
            call.abort();
        }
        for slot in self.machine.live_slots() {
            self.shared.pool.submit(Job::Drop { slot });
        }
    }
}

async fn until(clock: &dyn Clock, at: Option<Timestamp>) {
    if let Some(at) = at {
        crate::until(clock, at).await;
    }
}

fn claimed_away(partition: Partition) -> LogError {
    LogError {
        kind: LogErrorKind::Closed,
        outcome: Outcome::NotDone,
        operation: "own",
        context: format!("partition {partition}"),
        message: "another process has claimed it".to_owned(),
    }
}

fn journal_record(record: &JournalRecord) -> Record {
    let key = match record {
        JournalRecord::Progress(progress) => progress.scope.key(),
        JournalRecord::Finished(finished) => finished.scope.key(),
        JournalRecord::Snapshot(snapshot) => snapshot.scope.key(),
        JournalRecord::StateSnapshot(snapshot) => snapshot.scope.key(),
        JournalRecord::Started(started) => started.scope.key(),
        JournalRecord::FlowSnapshot(snapshot) => snapshot.scope.key(),
        _ => String::new(),
    };
    Record::new(key, codec::encode_journal(record))
}

fn no_program(slot: Slot, message: String) -> Turn {
    let error = WorkflowError {
        kind: ErrorKind::Code,
        name: "ProgramError".to_owned(),
        message,
        code: None,
        line: None,
        column: None,
        source_line: None,
        stack: String::new(),
        step: None,
        retry_after_ms: None,
    };
    let state = TurnState::Failed { error, steps: Vec::new() };
    Turn { slot, state, ops: Vec::new(), logs: Vec::new(), cpu_us: 0, memory_bytes: 0 }
}

/// Appends an emitted event, until it is durable. Twice is once: its id is made of the execution and the step.
async fn emit(shared: &Shared, event: EventRecord) -> Result<String, OpFailure> {
    let partition = partition_of(&event.scope, shared.log.partitions());
    let answer = serde_json::json!({"id": event.id.as_str()}).to_string();
    let record = event_record(&event);
    let mut wait = Duration::from_millis(10);
    loop {
        match shared.log.append(Topic::Events, partition, vec![record.clone()]).await {
            Ok(_) => return Ok(answer),
            Err(error) if error.kind == LogErrorKind::TooLarge => {
                let message = format!("ctx.emit: {error}");
                return Err(OpFailure {
                    name: "Error".to_owned(),
                    message,
                    code: "EMSGSIZE".to_owned(),
                    retryable: false,
                });
            }
            Err(_) => {
                tokio::time::sleep(wait).await;
                wait = (wait * 2).min(Duration::from_secs(5));
            }
        }
    }
}

async fn read_event(shared: &Shared, partition: Partition, offset: Offset) -> Option<(Timestamp, EventRecord)> {
    let stored = read_one(shared, Topic::Events, partition, offset).await?;
    // One whose payload was erased is as good as gone.
    codec::decode_event(&stored.value).ok().filter(|event| !event.is_erased()).map(|event| (stored.timestamp, event))
}

async fn read_journal(shared: &Shared, partition: Partition, offset: Offset) -> Option<JournalRecord> {
    let stored = read_one(shared, Topic::Executions, partition, offset).await?;
    codec::decode_journal(&stored.value).ok()
}

/// The record at `offset`; nothing if it is not there any more. A log that is away is waited for: its record is not lost,
/// and an execution that went on without it would be.
async fn read_one(shared: &Shared, topic: Topic, partition: Partition, offset: Offset) -> Option<StoredRecord> {
    loop {
        match shared.log.read(topic, partition, offset, 1, 1).await {
            Ok(records) => return records.into_iter().next().filter(|stored| stored.offset == offset),
            Err(error)
                if matches!(error.kind, LogErrorKind::Trimmed | LogErrorKind::Corrupt | LogErrorKind::Closed) =>
            {
                observe::record_missing(topic, partition, offset, &error);
                return None;
            }
            Err(_) => tokio::time::sleep(READ_AGAIN).await,
        }
    }
}
