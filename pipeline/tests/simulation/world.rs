//! The world of a run: logs, writers, network and time, all moved by one seed.
//!
//! There is one partition. One writer owns it; others may have lost it and not know it yet: zombies. Each writer has a
//! machine, appends under way, sandboxes, and inputs that wait to be handled. A step of the world does one thing that could
//! happen next.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use fastn_contract::activity::Origin;
use fastn_domain::Timestamp;
use fastn_domain::catalog::Catalog;
use fastn_domain::event::{COMMAND_TYPE, Command, EventRecord};
use fastn_domain::ids::{EventId, ExecutionId, TriggerId};
use fastn_domain::journal::{Checkpoint, Claim, JournalRecord, OpRecord};
use fastn_domain::scope::Scope;
use fastn_pipeline::processor::machine::{
    CallRequest, CallTarget, Input, Limits, LoggedEvent, Machine, Output, Recovery,
};
use fastn_pipeline::runtime::{Turn, TurnState};

use crate::random::Random;
use crate::script::{Sandbox, Statement, scripts};
use crate::sink::Sink;

/// The odds of a run, in percent of steps.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Odds {
    pub(crate) crash: u64,
    pub(crate) zombie: u64,
    pub(crate) lost_acknowledgement: u64,
    pub(crate) eviction: u64,
}

/// A process that owns the partition, or believes it does.
struct Writer {
    machine: Machine,
    /// Appends under way: the sequence number of the first record, and the records.
    appends: VecDeque<(u64, Vec<JournalRecord>)>,
    acknowledged: VecDeque<Input>,
    inputs: Vec<Input>,
    sandboxes: HashMap<u64, Sandbox>,
    calls: Vec<CallRequest>,
    epoch: u64,
    zombie: bool,
    /// It has seen that it lost the partition.
    lost: bool,
}

/// See the head of this file.
pub(crate) struct World {
    pub(crate) random: Random,
    pub(crate) now: Timestamp,
    pub(crate) events: Vec<(Timestamp, EventRecord)>,
    pub(crate) journal: Vec<JournalRecord>,
    control: Vec<JournalRecord>,
    writers: Vec<Writer>,
    pub(crate) sink: Sink,
    scripts: Vec<Vec<Statement>>,
    catalog: Arc<Catalog>,
    limits: Limits,
    odds: Odds,
    /// Whether it is told what happens.
    pub(crate) tracing: bool,
    sent: u64,
    /// Whether there are quotas, and events for triggers with flow control.
    pub(crate) limited: bool,
}

impl World {
    pub(crate) fn new(seed: u64, limits: Limits, odds: Odds, limited: bool) -> Self {
        let mut random = Random::new(seed);
        let scripts = scripts(&mut random);
        let mut world = Self {
            now: Timestamp::from_millis(1_000_000),
            events: Vec::new(),
            journal: Vec::new(),
            control: Vec::new(),
            writers: Vec::new(),
            sink: Sink::default(),
            catalog: Arc::new(crate::catalog::catalog(scripts.len(), limited)),
            scripts,
            limits,
            odds,
            tracing: false,
            sent: 0,
            limited,
            random,
        };
        world.claim();
        world
    }

    pub(crate) fn tell(&self, line: impl FnOnce() -> String) {
        if self.tracing {
            println!("{:>9} µs  {}", self.now.0 - 1_000_000_000, line());
        }
    }

    /// Sends an event, or one that was sent before, or a command.
    pub(crate) fn send(&mut self) {
        self.sent += 1;
        let (sent, at) = (self.sent, self.now);
        if self.random.chance(12) && !self.events.is_empty() {
            let again = self.random.pick(&self.events).1.clone();
            self.tell(|| format!("event {} is sent again", again.id));
            self.events.push((at, again));
            return;
        }
        let customer = *self.random.pick(&["c1", "c2", "c3"]);
        let (trigger, kind) = match self.random.below(16) {
            0..=5 if self.limited => (Some(*self.random.pick(&crate::catalog::FLOWS)), "go"),
            0..=3 => (Some("parallel"), "go"),
            4..=6 => (Some("sequential"), "go"),
            7..=8 => (Some("skip"), "go"),
            9..=10 => (Some("queue"), "go"),
            11..=12 => (Some("cancel_older"), "go"),
            13 => (None, "paid"),
            14 => (None, "made"),
            _ => (None, "other"),
        };
        let data = format!("{{\"w\":{}}}", self.random.below(4));
        let mut event = event(&format!("e{sent}"), customer, trigger, kind, Origin::Webhook, &data);
        if kind == "made" {
            // All three customers listen to this account; the edge has made an event for each, and this is one of them.
            (event.source, event.subject) = ("app/app".to_owned(), Some("shared".to_owned()));
        }
        if self.limited && self.random.chance(25) {
            event.priority = Some(1 + u32::try_from(self.random.below(4)).expect("below 4"));
        }
        self.tell(|| format!("event e{sent} {kind} of {customer} to {trigger:?}: {data}"));
        self.events.push((at, event));
    }

    /// Asks for the end of an execution, whichever it is.
    fn send_cancel(&mut self) {
        let started = self.journal.iter().rev().find_map(|record| match record {
            JournalRecord::Admitted(admitted) => admitted
                .events
                .iter()
                .find_map(|event| event.executions.first().map(|start| (event.scope.clone(), start.id))),
            _ => None,
        });
        let Some((scope, execution)) = started else { return };
        self.sent += 1;
        let data = serde_json::to_string(&Command::Cancel { execution }).expect("a command is JSON");
        let id = format!("cancel{}", self.sent);
        let command = event(&id, scope.customer.as_str(), None, COMMAND_TYPE, Origin::Command, &data);
        self.tell(|| format!("cancel {execution}"));
        self.events.push((self.now, command));
    }

    /// Erases a customer.
    fn send_erase(&mut self) {
        let customer = *self.random.pick(&["c1", "c2", "c3"]);
        self.sent += 1;
        let data = serde_json::to_string(&Command::Erase).expect("a command is JSON");
        let command = event(&format!("erase{}", self.sent), customer, None, COMMAND_TYPE, Origin::Command, &data);
        self.tell(|| format!("erase {customer}"));
        self.events.push((self.now, command));
    }

    /// One thing that could happen next.
    pub(crate) fn step(&mut self, faults: bool) {
        self.now = Timestamp(self.now.0 + 1 + self.random.below(2_000) as i64);
        if faults && self.random.chance(self.odds.crash) {
            return self.crash();
        }
        if faults && self.random.chance(self.odds.zombie) {
            self.tell(|| "the partition is given to another process; the old one does not know".to_owned());
            self.writers[0].zombie = true;
            return self.claim();
        }
        if faults && self.random.chance(1) {
            return if self.random.chance(25) { self.send_erase() } else { self.send_cancel() };
        }
        let zombies = self.writers.len() as u64 - 1;
        let who = if zombies > 0 && self.random.chance(40) { 1 + self.random.below(zombies) as usize } else { 0 };
        if who > 0 && (self.writers[who].lost || self.random.chance(4)) {
            self.tell(|| "a zombie ends".to_owned());
            self.writers.remove(who);
            return;
        }
        self.step_of(who, faults);
    }

    fn step_of(&mut self, who: usize, faults: bool) {
        match self.random.below(12) {
            0..=2 => self.land(who, faults),
            3..=4 => self.acknowledge(who),
            5..=6 => self.admit(who),
            7..=8 => self.call(who),
            9 => {
                let due = self.writers[who].machine.next_timer();
                // When nothing else moves, time jumps to the next timer.
                if let Some(at) = due.filter(|_| !faults || self.random.chance(30)) {
                    let far = Timestamp(self.now.0 + 3_600_000_000);
                    self.now = self.now.max(at.min(far));
                }
                self.handle(who, Input::Tick);
            }
            _ => self.input(who),
        }
    }

    /// Whether nothing is left to do but what the time brings.
    pub(crate) fn is_idle(&self) -> bool {
        let writer = &self.writers[0];
        writer.appends.is_empty()
            && writer.acknowledged.is_empty()
            && writer.inputs.is_empty()
            && writer.calls.is_empty()
            && writer.machine.events_next() == self.events.len() as u64
    }

    pub(crate) fn machine(&self) -> &Machine {
        &self.writers[0].machine
    }

    pub(crate) fn end_zombies(&mut self) {
        self.writers.truncate(1);
    }

    /// The owner dies. Of its appends, some at the front may still land.
    fn crash(&mut self) {
        let mut owner = self.writers.remove(0);
        let lands = self.random.below(owner.appends.len() as u64 + 1);
        for _ in 0..lands {
            if let Some((_, records)) = owner.appends.pop_front() {
                let offset = self.journal.len();
                self.tell(|| format!("at {offset} land {}", records.iter().map(shown).collect::<Vec<_>>().join("; ")));
                self.journal.extend(records);
            }
        }
        self.tell(|| format!("the owner dies; {lands} of its appends land"));
        self.claim();
    }

    /// A new owner: intent, journal, claim, as the driver does it.
    fn claim(&mut self) {
        let (epoch_max, believed) = control_says(&self.control);
        let mut recovery = Recovery::new(0, 1, self.limits.clone(), Arc::clone(&self.catalog));
        let start = believed.as_ref().map_or(0, |checkpoint| checkpoint.recover_from);
        if let Some(checkpoint) = &believed {
            recovery = recovery.starting_in(checkpoint.recover_epoch);
        }
        let epoch = epoch_max + 1;
        let at = self.journal.len() as u64;
        let claim = JournalRecord::Claim(Claim { epoch, node: "n".to_owned(), at: self.now });
        self.control.push(claim.clone());
        self.journal.push(claim);
        for (offset, record) in self.journal.iter().enumerate().skip(start as usize) {
            recovery.apply(offset as u64, record.clone());
        }
        assert_eq!(recovery.claimed(), epoch, "an epoch was given twice");
        let machine = recovery.finish(epoch, at, start, self.now);
        self.tell(|| format!("claim {epoch} at {at}, read from {start}: {} live", machine.live()));
        let writer = Writer {
            machine,
            epoch,
            appends: VecDeque::new(),
            acknowledged: VecDeque::new(),
            inputs: Vec::new(),
            sandboxes: HashMap::new(),
            calls: Vec::new(),
            zombie: false,
            lost: false,
        };
        self.writers.insert(0, writer);
        self.handle(0, Input::Tick);
    }

    /// The oldest append of a writer becomes durable. Its writer may not hear of it, and then claims anew, as the driver does.
    fn land(&mut self, who: usize, faults: bool) {
        let Some((first, records)) = self.writers[who].appends.pop_front() else { return };
        let (offset, through) = (self.journal.len() as u64, first + records.len() as u64);
        self.tell(|| format!("at {offset} land {}", records.iter().map(shown).collect::<Vec<_>>().join("; ")));
        self.journal.extend(records);
        if faults && who == 0 && self.random.chance(self.odds.lost_acknowledgement) {
            self.tell(|| format!("the acknowledgement of records {first}..{through} is lost"));
            self.writers.remove(0);
            return self.claim();
        }
        self.writers[who].acknowledged.push_back(Input::Durable { first, through, offset });
    }

    fn acknowledge(&mut self, who: usize) {
        if let Some(input) = self.writers[who].acknowledged.pop_front() {
            self.handle(who, input);
        }
    }

    fn admit(&mut self, who: usize) {
        let next = self.writers[who].machine.events_next() as usize;
        let count = 1 + self.random.below(4) as usize;
        let read: Vec<LoggedEvent> = self
            .events
            .iter()
            .enumerate()
            .skip(next)
            .take(count)
            .map(|(offset, (timestamp, event))| LoggedEvent {
                offset: offset as u64,
                timestamp: *timestamp,
                event: Some(Arc::new(event.clone())),
            })
            .collect();
        if !read.is_empty() {
            self.handle(who, Input::Events(read));
        }
    }

    /// A call that is under way arrives and is answered.
    fn call(&mut self, who: usize) {
        if self.writers[who].calls.is_empty() {
            return;
        }
        let at = self.random.below(self.writers[who].calls.len() as u64) as usize;
        let call = self.writers[who].calls.swap_remove(at);
        let zombie = self.writers[who].zombie;
        let outcome = match &call.target {
            CallTarget::Emit(event) => {
                self.events.push((self.now, (**event).clone()));
                Ok("{}".to_owned())
            }
            CallTarget::Http { .. } => self.sink.call(&call, zombie, &mut self.random),
        };
        self.tell(|| format!("{} {} → {outcome:?}{}", call.execution, call.key, if zombie { " (zombie)" } else { "" }));
        let done = Input::CallDone { execution: call.execution, key: call.key, attempts: 1, outcome };
        self.writers[who].inputs.push(done);
    }

    fn input(&mut self, who: usize) {
        if self.writers[who].inputs.is_empty() {
            return;
        }
        let at = self.random.below(self.writers[who].inputs.len() as u64) as usize;
        let input = self.writers[who].inputs.swap_remove(at);
        self.handle(who, input);
    }

    fn handle(&mut self, who: usize, input: Input) {
        let mut out = Vec::new();
        let writer = &mut self.writers[who];
        let first = writer.machine.next_seq();
        writer.machine.handle(input, self.now, &mut out);
        let mut records = Vec::new();
        for output in out {
            self.carry_out(who, output, &mut records);
        }
        if !records.is_empty() {
            self.writers[who].appends.push_back((first, records));
        }
        if let Err(wrong) = self.writers[who].machine.audit() {
            panic!("the machine's counters: {wrong}");
        }
    }

    fn carry_out(&mut self, who: usize, output: Output, records: &mut Vec<JournalRecord>) {
        match output {
            Output::Append(record) => records.push(record),
            Output::Start(run) => {
                let name = run.run.workflow.as_str().trim_start_matches('w');
                let script = self.scripts[name.parse::<usize>().unwrap_or_default()].clone();
                let mut sandbox = Sandbox::new(script, run.execution.to_string());
                let turn = sandbox.turn(run.slot, run.results);
                self.writers[who].sandboxes.insert(run.slot, sandbox);
                self.writers[who].inputs.push(Input::Turn(turn));
            }
            Output::Resume { slot, results, .. } => {
                let evicted = self.random.chance(self.odds.eviction);
                let writer = &mut self.writers[who];
                let sandbox = if evicted { None } else { writer.sandboxes.get_mut(&slot) };
                let turn = match sandbox {
                    Some(sandbox) => sandbox.turn(slot, results),
                    None => evicted_turn(slot),
                };
                writer.inputs.push(Input::Turn(turn));
            }
            Output::Drop { slot } => {
                self.writers[who].sandboxes.remove(&slot);
            }
            Output::Call(call) => self.writers[who].calls.push(*call),
            Output::Abort { execution } => self.writers[who].calls.retain(|call| call.execution != execution),
            Output::Load { execution, load, sources } => {
                let event = sources.event.and_then(|offset| self.events.get(offset as usize).cloned());
                let read = |offset: &u64| self.journal.get(*offset as usize).cloned();
                let found = sources.journal.iter().filter_map(read).collect();
                let of_batch = |offset: &u64| Some((*offset, self.events.get(*offset as usize)?.1.clone()));
                let batch = sources.batch.iter().filter_map(of_batch).collect();
                self.writers[who].inputs.push(Input::Loaded { execution, load, event, records: found, batch });
            }
            Output::Answer { .. } => {}
            Output::Checkpointed(checkpoint) => {
                self.tell(|| format!("checkpoint {checkpoint:?}"));
                let (epoch_max, _) = control_says(&self.control);
                self.control.push(JournalRecord::Checkpoint(checkpoint));
                let writer = &mut self.writers[who];
                writer.lost = epoch_max > writer.epoch;
                assert!(writer.zombie || !writer.lost, "the owner was told that it is none");
            }
        }
    }
}

/// A record in a few words.
fn shown(record: &JournalRecord) -> String {
    let keys = |results: &[OpRecord]| results.iter().map(|result| result.key.clone()).collect::<Vec<_>>().join(" ");
    match record {
        JournalRecord::Admitted(admitted) => {
            let starts = admitted.events.iter().flat_map(|event| &event.executions).map(|start| start.id.to_string());
            let offsets: Vec<u64> = admitted.events.iter().map(|event| event.offset).collect();
            format!("admitted {offsets:?}: {}", starts.collect::<Vec<_>>().join(" "))
        }
        JournalRecord::Progress(progress) => {
            let waits: Vec<&str> = progress.waits.iter().map(|wait| wait.key.as_str()).collect();
            let (id, results) = (progress.execution, keys(&progress.results));
            let invoked: Vec<String> = progress.invoked.iter().map(|start| start.id.to_string()).collect();
            let retry = progress.retry.is_some();
            format!("progress {id} [{results}] waits {waits:?} invokes {invoked:?} {:?} retry {retry}", progress.status)
        }
        JournalRecord::Finished(end) => format!("end {} {:?} [{}]", end.execution, end.status, keys(&end.results)),
        JournalRecord::Snapshot(one) => {
            format!("snapshot {} {:?} [{}] {} waits", one.start.id, one.status, keys(&one.results), one.waits.len())
        }
        JournalRecord::Started(one) => format!("batch {} starts {}", one.batch, one.start.id),
        JournalRecord::FlowSnapshot(one) => format!("{} counters, {} batches", one.counters.len(), one.batches.len()),
        JournalRecord::DedupSnapshot(_) => "dedup".to_owned(),
        JournalRecord::StateSnapshot(_) => "state".to_owned(),
        JournalRecord::Claim(claim) => format!("claim {}", claim.epoch),
        JournalRecord::Checkpoint(one) => format!("checkpoint from {}", one.recover_from),
    }
}

/// The highest epoch of an intent, and the newest believed checkpoint, as the driver reads them.
fn control_says(control: &[JournalRecord]) -> (u64, Option<Checkpoint>) {
    let (mut epoch_max, mut believed) = (0, None);
    for record in control {
        match record {
            JournalRecord::Claim(intent) => epoch_max = epoch_max.max(intent.epoch),
            JournalRecord::Checkpoint(checkpoint) if checkpoint.epoch >= epoch_max => {
                believed = Some(checkpoint.clone())
            }
            _ => {}
        }
    }
    (epoch_max, believed)
}

fn evicted_turn(slot: u64) -> Turn {
    Turn { slot, state: TurnState::Evicted, ops: Vec::new(), logs: Vec::new(), cpu_us: 0, memory_bytes: 0 }
}

fn event(id: &str, customer: &str, trigger: Option<&str>, kind: &str, origin: Origin, data: &str) -> EventRecord {
    EventRecord {
        id: EventId::new(id).expect("a plain id"),
        source: "world".to_owned(),
        kind: kind.to_owned(),
        subject: None,
        time: Timestamp(1),
        scope: Scope::parse("acc", customer).expect("plain ids"),
        origin,
        trigger: trigger.map(|trigger| TriggerId::new(trigger).expect("a plain id")),
        workflow: None,
        environment: None,
        headers: Vec::new(),
        data: Arc::from(data),
        reply_to: None,
        traceparent: None,
        priority: None,
    }
}

/// The id of an execution, for oracles.
pub(crate) type Id = ExecutionId;
