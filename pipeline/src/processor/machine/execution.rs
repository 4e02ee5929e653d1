//! One live execution in memory.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use fastn_contract::activity::{ExecutionStatus, Origin};
use fastn_contract::resource::Tier;
use fastn_domain::event::{EventRecord, Header, ReplyTo};
use fastn_domain::ids::{EnvironmentId, EventId, ExecutionId, TriggerId, WorkflowId};
use fastn_domain::journal::{Flow, Inline, LogLine, NewExecution, OpRecord, Parent, Retry, Wait};
use fastn_domain::scope::Scope;
use fastn_domain::span::TRACESTATE_BYTES_MAX;
use fastn_domain::time::Timestamp;

use crate::runtime::{Slot, StepMark};

/// What an execution runs. Shared by all that run the same.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RunSpec {
    /// The workflow.
    pub workflow: WorkflowId,
    /// The version.
    pub version: u32,
    /// The environment.
    pub environment: EnvironmentId,
    /// The trigger, if one matched.
    pub trigger: Option<TriggerId>,
}

/// The event as its execution sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct Payload {
    /// `ctx.event.id`
    pub event_id: EventId,
    /// `ctx.event.type`
    pub kind: String,
    /// `ctx.event.source`
    pub source: String,
    /// `ctx.event.time`
    pub time: Timestamp,
    /// Where the execution's clock starts.
    pub clock: Timestamp,
    /// What caused it.
    pub triggered_by: Origin,
    /// `ctx.headers`
    pub headers: Vec<Header>,
    /// `ctx.input` as JSON text.
    pub input: Arc<str>,
    /// W3C trace context of the event's sender.
    pub traceparent: Option<String>,
}

impl Payload {
    /// Of an event that lies in the log since `clock`, with the headers of the route added.
    pub(super) fn of_event(event: &EventRecord, clock: Timestamp, route: &[Header]) -> Self {
        Self {
            event_id: event.id.clone(),
            kind: event.kind.clone(),
            source: event.source.clone(),
            time: event.time,
            clock,
            triggered_by: event.origin,
            headers: event.headers.iter().chain(route).cloned().collect(),
            input: Arc::clone(&event.data),
            traceparent: event.traceparent.clone(),
        }
    }

    /// Of an input that the journal holds.
    pub(super) fn of_inline(inline: &Inline) -> Self {
        Self {
            event_id: inline.event_id.clone(),
            kind: inline.event_kind.clone(),
            source: inline.event_source.clone(),
            time: inline.event_time,
            clock: inline.clock,
            triggered_by: inline.triggered_by,
            headers: inline.headers.clone(),
            input: Arc::from(inline.input.as_str()),
            traceparent: None,
        }
    }

    /// For the journal. `results` are those that a replay keeps.
    pub(super) fn to_inline(&self, results: Vec<OpRecord>) -> Inline {
        Inline {
            event_id: self.event_id.clone(),
            event_kind: self.kind.clone(),
            event_source: self.source.clone(),
            event_time: self.time,
            clock: self.clock,
            triggered_by: self.triggered_by,
            headers: self.headers.clone(),
            input: self.input.to_string(),
            results,
        }
    }

    pub(super) fn size(&self) -> usize {
        self.input.len() + self.headers.iter().map(|header| header.name.len() + header.value.len()).sum::<usize>() + 256
    }
}

/// W3C trace context of an event's sender.
#[derive(Debug)]
pub(super) struct SenderTrace {
    /// `traceparent`
    pub(super) parent: String,
    /// `tracestate`, which only goes with a parent.
    pub(super) state: Option<String>,
}

impl SenderTrace {
    /// Of an event as its execution sees it.
    pub(super) fn of(payload: &Payload) -> Option<Box<Self>> {
        let parent = payload.traceparent.clone()?;
        let state = payload.headers.iter().find(|header| matches!(&*header.name, "tracestate" | "ce-tracestate"));
        let state = state.map(|header| header.value.clone()).filter(|state| state.len() <= TRACESTATE_BYTES_MAX);
        Some(Box::new(Self { parent, state }))
    }
}

/// Where an execution stands in this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// In the queue of its sequence behind another, or before a gate.
    Behind,
    /// It may not start before a time.
    Held,
    /// In its customer's queue.
    Queued,
    /// Its past is being read from the log, to run it.
    Loading,
    /// Its sandbox runs.
    Turn(Slot),
    /// Its sandbox waits for outside calls.
    Idle(Slot),
    /// It waits without a sandbox.
    Parked,
    /// It waits for its next attempt.
    Backoff,
}

/// Where an execution stands with its gates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum GatePlace {
    /// It has no room, and waits for none.
    #[default]
    Outside,
    /// In the line of one of them.
    Waiting,
    /// It has room in all of them.
    Inside,
}

/// A request of the workflow that has no result yet.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Pending {
    /// An outside call, held or under way.
    Call { key: String, started: Timestamp, kind: &'static str },
    /// Something that needs no sandbox.
    Wait(Wait),
}

impl Pending {
    pub(super) fn key(&self) -> &str {
        match self {
            Self::Call { key, .. } => key,
            Self::Wait(wait) => &wait.key,
        }
    }

    pub(super) fn started(&self) -> Timestamp {
        match self {
            Self::Call { started, .. } => *started,
            Self::Wait(wait) => wait.started,
        }
    }

    pub(super) fn is_call(&self) -> bool {
        matches!(self, Self::Call { .. })
    }
}

/// One live execution.
#[derive(Debug)]
pub(super) struct Execution {
    pub(super) id: ExecutionId,
    pub(super) scope: Arc<Scope>,
    pub(super) run: Arc<RunSpec>,
    pub(super) route_headers: Arc<[Header]>,
    pub(super) event_offset: Option<u64>,
    pub(super) reply_to: Option<Box<ReplyTo>>,
    pub(super) sequence: Option<Arc<str>>,
    /// What holds it back, and how others find it.
    pub(super) flow: Option<Arc<Flow>>,
    pub(super) gates: GatePlace,
    /// Whether a record says that it has begun.
    pub(super) begun: bool,
    pub(super) replay_of: Option<Box<ExecutionId>>,
    pub(super) parent: Option<Box<Parent>>,
    pub(super) triggered_by: Origin,
    pub(super) tier: Tier,
    pub(super) attempt: u32,
    pub(super) admitted: Timestamp,
    /// When its first sandbox started in this process.
    pub(super) started: Option<Timestamp>,
    /// Running time before `running_since`.
    pub(super) ran: Duration,
    pub(super) running_since: Option<Timestamp>,
    /// When it is looked at because its time may be up; zero for never.
    pub(super) deadline: Timestamp,
    pub(super) phase: Phase,
    /// Whether its present sandbox has answered once.
    pub(super) start_seen: bool,
    /// Whether it holds one of its customer's concurrency slots.
    pub(super) holds_slot: bool,
    /// W3C trace context of the event's sender; known once it has started here.
    pub(super) trace: Option<Box<SenderTrace>>,
    /// Event and input; absent when they must be read from the log.
    pub(super) payload: Option<Arc<Payload>>,
    /// Results that the sandbox has seen, in order: those not left in the log.
    pub(super) results: Vec<OpRecord>,
    /// How many of `results` are in the journal.
    pub(super) journaled: usize,
    /// How many of `results` a later effect may have seen: never computed again.
    pub(super) effect_mark: usize,
    /// Whether earlier results are only in the log.
    pub(super) results_in_log: bool,
    pub(super) pending: Vec<Pending>,
    /// Results that came while the sandbox ran or was away.
    pub(super) inbox: Vec<OpRecord>,
    pub(super) logs: Vec<LogLine>,
    /// The last record that its next effect depends on.
    pub(super) barrier: u64,
    /// The journal records that rebuild it, by sequence number, ascending.
    pub(super) records: Vec<u64>,
    pub(super) retry: Option<Box<Retry>>,
    /// Set when the workflow has returned and calls that it did not await are still under way.
    pub(super) ending: Option<Box<Ending>>,
    /// The number of the reading of its past that is to make it run.
    pub(super) load: u64,
}

/// What a workflow returned.
#[derive(Debug)]
pub(super) struct Ending {
    pub(super) output: String,
    pub(super) steps: Vec<StepMark>,
}

impl Execution {
    /// As `start` says, known since the journal record `seq`.
    pub(super) fn new(
        start: &NewExecution,
        scope: Arc<Scope>,
        interner: &mut Interner,
        admitted: Timestamp,
        event_offset: Option<u64>,
        seq: u64,
    ) -> Self {
        Self {
            id: start.id,
            scope,
            run: interner.run(start),
            route_headers: interner.headers(&start.headers),
            event_offset: if start.origin.is_some() { None } else { event_offset },
            reply_to: None,
            sequence: start.sequence.as_deref().map(Arc::from),
            flow: start.flow.as_deref().cloned().map(Arc::new),
            gates: GatePlace::Outside,
            begun: false,
            replay_of: start.replay_of.map(Box::new),
            parent: start.parent.clone().map(Box::new),
            triggered_by: start.origin.as_ref().map_or(Origin::Webhook, |inline| inline.triggered_by),
            tier: start.tier,
            attempt: 1,
            admitted,
            started: None,
            ran: Duration::ZERO,
            running_since: None,
            deadline: Timestamp::default(),
            phase: Phase::Queued,
            start_seen: false,
            holds_slot: false,
            trace: None,
            payload: None,
            results: Vec::new(),
            journaled: 0,
            effect_mark: 0,
            results_in_log: false,
            pending: Vec::new(),
            inbox: Vec::new(),
            logs: Vec::new(),
            barrier: seq,
            records: vec![seq],
            retry: None,
            ending: None,
            load: 0,
        }
    }

    /// Whether an outside call of it is held or under way.
    pub(super) fn has_calls(&self) -> bool {
        self.pending.iter().any(|pending| pending.is_call())
    }

    pub(super) fn add_pending(&mut self, pending: Pending) {
        // Most wait for one thing at a time, and many may wait.
        if self.pending.is_empty() {
            self.pending.reserve_exact(1);
        }
        self.pending.push(pending);
    }

    /// Leaves event and input to the log.
    pub(super) fn forget_payload(&mut self) {
        self.payload = None;
    }

    /// Leaves to the log all that the log can tell, and keeps no room that it does not need: a million may wait.
    pub(super) fn leave_to_log(&mut self) {
        self.payload = None;
        self.logs = Vec::new();
        self.inbox = Vec::new();
        self.shrink();
        if !self.results.is_empty() && self.journaled == self.results.len() {
            self.results = Vec::new();
            self.journaled = 0;
            self.effect_mark = 0;
            self.results_in_log = true;
        }
    }

    /// A growing `Vec` starts with room for four.
    pub(super) fn shrink(&mut self) {
        self.pending.shrink_to_fit();
        self.records.shrink_to_fit();
    }

    /// Whether its sandbox was asked for and has not answered.
    pub(super) fn is_starting(&self) -> bool {
        !self.start_seen && matches!(self.phase, Phase::Loading | Phase::Turn(_))
    }

    /// The newest record that rebuilds it.
    pub(super) fn last_record(&self) -> u64 {
        self.records.last().copied().unwrap_or_default()
    }

    pub(super) fn slot(&self) -> Option<Slot> {
        match self.phase {
            Phase::Turn(slot) | Phase::Idle(slot) => Some(slot),
            _ => None,
        }
    }

    pub(super) fn is_running(&self) -> bool {
        matches!(self.phase, Phase::Loading | Phase::Turn(_) | Phase::Idle(_))
    }

    /// What the API shows.
    pub(super) fn status(&self) -> ExecutionStatus {
        match self.phase {
            Phase::Behind | Phase::Held | Phase::Queued => ExecutionStatus::Queued,
            Phase::Loading | Phase::Turn(_) | Phase::Idle(_) => ExecutionStatus::Running,
            Phase::Parked | Phase::Backoff => ExecutionStatus::Waiting,
        }
    }

    /// Whether all that it waits for needs no sandbox, and at least one such thing is left.
    pub(super) fn only_waits(&self) -> bool {
        !self.pending.is_empty() && !self.has_calls()
    }

    pub(super) fn waits(&self) -> impl Iterator<Item = &Wait> {
        self.pending.iter().filter_map(|pending| match pending {
            Pending::Wait(wait) => Some(wait),
            Pending::Call { .. } => None,
        })
    }

    /// Takes the pending request `key` out.
    pub(super) fn take_pending(&mut self, key: &str) -> Option<Pending> {
        let at = self.pending.iter().position(|pending| pending.key() == key)?;
        Some(self.pending.remove(at))
    }

    /// Running time until `now`.
    pub(super) fn ran_until(&self, now: Timestamp) -> Duration {
        self.ran + self.running_since.map_or(Duration::ZERO, |since| now.since(since))
    }

    /// Stops the running clock.
    pub(super) fn pause(&mut self, now: Timestamp) {
        self.ran = self.ran_until(now);
        self.running_since = None;
    }

    /// For the journal; `origin` says the input again when the event's record will not be there.
    pub(super) fn to_start(&self, origin: Option<Inline>) -> NewExecution {
        NewExecution {
            id: self.id,
            workflow: self.run.workflow.clone(),
            version: self.run.version,
            environment: self.run.environment.clone(),
            tier: self.tier,
            trigger: self.run.trigger.clone(),
            sequence: self.sequence.as_deref().map(str::to_owned),
            headers: self.route_headers.to_vec(),
            replay_of: self.replay_of.as_deref().copied(),
            parent: self.parent.as_deref().cloned(),
            origin,
            flow: self.flow.as_deref().cloned().map(Box::new),
        }
    }
}

/// Shares equal scopes and run specs, so that a million sleepers do not hold a million copies.
#[derive(Debug, Default)]
pub(super) struct Interner {
    runs: HashSet<Arc<RunSpec>>,
    scopes: HashSet<Arc<Scope>>,
    no_headers: Arc<[Header]>,
}

/// Beyond this many entries, those that nobody holds are dropped.
const INTERNED_MAX: usize = 65_536;

impl Interner {
    pub(super) fn run(&mut self, start: &NewExecution) -> Arc<RunSpec> {
        let run = RunSpec {
            workflow: start.workflow.clone(),
            version: start.version,
            environment: start.environment.clone(),
            trigger: start.trigger.clone(),
        };
        if let Some(known) = self.runs.get(&run) {
            return Arc::clone(known);
        }
        if self.runs.len() >= INTERNED_MAX {
            self.runs.retain(|run| Arc::strong_count(run) > 1);
        }
        let run = Arc::new(run);
        self.runs.insert(Arc::clone(&run));
        run
    }

    /// Most routes add none.
    pub(super) fn headers(&self, headers: &[Header]) -> Arc<[Header]> {
        if headers.is_empty() { Arc::clone(&self.no_headers) } else { Arc::from(headers) }
    }

    pub(super) fn scope(&mut self, scope: &Scope) -> Arc<Scope> {
        if let Some(known) = self.scopes.get(scope) {
            return Arc::clone(known);
        }
        if self.scopes.len() >= INTERNED_MAX {
            self.scopes.retain(|scope| Arc::strong_count(scope) > 1);
        }
        let scope = Arc::new(scope.clone());
        self.scopes.insert(Arc::clone(&scope));
        scope
    }
}
