//! Batch windows: events of a key wait together, and become one execution whose input is the array of their payloads.
//!
//! An event that waits is named by its offset in the journal and lies in the events log, so a batch costs no copy of its
//! payloads until it starts. The record `Started` then says them all as the execution's input, and nothing else depends on
//! the events any more. In memory the payloads are kept; after a crash they are read from the log once.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use fastn_contract::activity::Origin;
use fastn_contract::flow::Priority;
use fastn_domain::event::{EventRecord, Header};
use fastn_domain::ids::{EventId, ExecutionId};
use fastn_domain::journal::{
    BatchPlan, BatchState, Batched, Flow, HeldBy, Inline, JournalRecord, NewExecution, Started,
};
use fastn_domain::scope::Scope;
use fastn_domain::time::Timestamp;
use serde_json::Value;

use super::super::execution::Execution;
use super::super::load::Source;
use super::super::{LoggedEvent, Machine, Output, Payload};
use super::{Holder, gates};

/// Payload bytes of one batch; one that has more starts early. An execution's input is in one record of the journal.
const BATCH_BYTES_MAX: usize = 2 * 1024 * 1024;
/// Payload bytes of all open batches of a partition. Beyond it the batch that an event joins starts early.
const OPEN_BYTES_MAX: usize = 64 * 1024 * 1024;

/// An event that joined a batch, as admission knows it.
pub(in super::super) struct Joined {
    pub(in super::super) batched: Batched,
    pub(in super::super) logged: LoggedEvent,
}

/// The open batches of a partition.
#[derive(Debug, Default)]
pub(in super::super) struct Batches {
    open: HashMap<Arc<str>, Open>,
    /// Keys by the execution that each becomes, under which timers know it.
    by_execution: BTreeMap<ExecutionId, Arc<str>>,
    bytes: usize,
}

#[derive(Debug)]
struct Open {
    scope: Arc<Scope>,
    execution: ExecutionId,
    plan: BatchPlan,
    members: Vec<Member>,
    bytes: usize,
    /// The oldest journal record without which it can't be known.
    seq: u64,
    /// The number of the reading of its events that is under way.
    load: Option<u64>,
    /// Set when it is to start as soon as its events are read.
    due: bool,
}

#[derive(Debug)]
struct Member {
    offset: u64,
    event: Option<Arc<EventRecord>>,
}

impl Batches {
    /// The execution that the open batch of this key becomes.
    pub(in super::super) fn execution(&self, key: &str) -> Option<ExecutionId> {
        self.open.get(key).map(|open| open.execution)
    }

    /// The lowest event offset that an open batch needs.
    pub(in super::super) fn needed_from(&self) -> Option<u64> {
        self.open.values().filter_map(|open| open.members.first()).map(|member| member.offset).min()
    }

    /// How many are open.
    pub(in super::super) fn len(&self) -> usize {
        self.open.len()
    }

    /// Adds an event; `event` is absent when it must be read from the log. A batch that nobody opened is one that a record
    /// before the first we read had opened: what it says comes again.
    pub(in super::super) fn add(
        &mut self,
        scope: &Arc<Scope>,
        batched: &Batched,
        offset: u64,
        event: Option<Arc<EventRecord>>,
        seq: u64,
    ) {
        let key: Arc<str> = Arc::from(batched.key.as_str());
        if let Some(plan) = &batched.opens {
            let open = Open {
                scope: Arc::clone(scope),
                execution: batched.execution,
                plan: plan.clone(),
                members: Vec::new(),
                bytes: 0,
                seq,
                load: None,
                due: false,
            };
            self.remove(&key);
            self.by_execution.insert(batched.execution, Arc::clone(&key));
            self.open.insert(Arc::clone(&key), open);
        }
        let Some(open) = self.open.get_mut(&key).filter(|open| open.execution == batched.execution) else { return };
        if open.members.iter().any(|member| member.offset == offset) {
            return;
        }
        let bytes = event.as_ref().map_or(0, |event| event.data.len());
        (open.bytes, self.bytes) = (open.bytes + bytes, self.bytes + bytes);
        open.members.push(Member { offset, event });
    }

    /// Takes what a snapshot says. Events that later records added stay behind those that it names. One without events is
    /// forgotten.
    pub(in super::super) fn restore(&mut self, scope: &Arc<Scope>, state: BatchState, seq: u64) {
        if state.events.is_empty() {
            return self.started(&state.key, state.execution);
        }
        let key: Arc<str> = Arc::from(state.key.as_str());
        let known = self.open.get(&key).filter(|open| open.execution == state.execution);
        let mut offsets: Vec<u64> = state.events.iter().map(|offset| offset.cast_unsigned()).collect();
        offsets.extend(known.iter().flat_map(|open| open.members.iter().map(|member| member.offset)));
        offsets.sort_unstable();
        offsets.dedup();
        let members = offsets.into_iter().map(|offset| Member { offset, event: None }).collect();
        self.by_execution.insert(state.execution, Arc::clone(&key));
        let (execution, plan, scope) = (state.execution, state.plan, Arc::clone(scope));
        self.open.insert(key, Open { scope, execution, plan, members, bytes: 0, seq, load: None, due: false });
    }

    /// Forgets the open batches of a customer, and gives what says so to a recovery.
    pub(in super::super) fn forget(&mut self, scope: &Scope) -> Vec<BatchState> {
        let own = |key: &&Arc<str>| self.open.get(*key).is_some_and(|open| *open.scope == *scope);
        let keys: Vec<Arc<str>> = self.by_execution.values().filter(own).cloned().collect();
        let open = keys.into_iter().filter_map(|key| Some((self.remove(&key)?, key)));
        open.map(|(Open { execution, plan, .. }, key)| {
            let plan = BatchPlan { headers: Vec::new(), flow: None, ..plan };
            BatchState { key: key.to_string(), execution, plan, events: Vec::new() }
        })
        .collect()
    }

    /// Forgets a batch that has started.
    pub(in super::super) fn started(&mut self, key: &str, execution: ExecutionId) {
        if self.execution(key) == Some(execution) {
            self.remove(key);
        }
    }

    fn remove(&mut self, key: &str) -> Option<Open> {
        let open = self.open.remove(key)?;
        self.by_execution.remove(&open.execution);
        self.bytes -= open.bytes;
        Some(open)
    }

    /// The batches that only records below `seq` tell in part, by customer, in a fixed order. They count as told by record
    /// `next` on, one record a batch.
    pub(in super::super) fn say_again(&mut self, seq: u64, next: u64) -> Vec<(Arc<Scope>, BatchState)> {
        let mut said = Vec::new();
        for key in self.by_execution.values() {
            let Some(open) = self.open.get_mut(key).filter(|open| open.seq < seq) else { continue };
            open.seq = next + said.len() as u64;
            let events = open.members.iter().map(|member| member.offset.cast_signed()).collect();
            let state = BatchState { key: key.to_string(), execution: open.execution, plan: open.plan.clone(), events };
            said.push((Arc::clone(&open.scope), state));
        }
        said
    }
}

impl Machine {
    /// The batch that an event waits in, if its trigger batches. It starts under the concurrency and the priority of its
    /// first event; singletons that skip or cancel, and rates, are for single events. Events that a quota holds back wait in
    /// a batch of the window that they wait for.
    pub(in super::super) fn open_batch(
        &self,
        holders: &[Holder<'_>],
        data: &Value,
        start: &NewExecution,
        received: Timestamp,
        hold: Option<&(Timestamp, HeldBy)>,
        priority: Option<u32>,
    ) -> Option<Batched> {
        let trigger = start.trigger.clone()?;
        let (holder, (size_max, wait, key)) =
            holders.iter().find_map(|holder| Some((holder, holder.flow.batch.as_ref()?)))?;
        let mut key = holder.key("batch", key, data);
        let mut until = received.plus(*wait);
        if let Some((window, _)) = hold {
            key.push_str(&format!("/{window}"));
            until = until.max(*window);
        }
        if let Some(execution) = self.flow.batches.execution(&key) {
            return Some(Batched { key, execution, opens: None });
        }
        let mut flow = Flow { priority, ..Flow::default() };
        for holder in holders {
            gates::concurrency_of(holder, data, &mut flow);
            flow.priority = flow.priority.or(holder.flow.priority.map(Priority::number));
        }
        let plan = BatchPlan {
            until,
            size_max: *size_max,
            workflow: start.workflow.clone(),
            version: start.version,
            environment: start.environment.clone(),
            tier: start.tier,
            trigger,
            headers: start.headers.clone(),
            flow: (flow != Flow::default()).then_some(flow),
        };
        Some(Batched { key, execution: start.id, opens: Some(plan) })
    }

    /// Events joined their batches with the record `seq`; those that are full start.
    pub(in super::super) fn join_batches(&mut self, joined: Vec<Joined>, seq: u64) {
        for Joined { batched, logged } in joined {
            let Some(event) = &logged.event else { continue };
            let scope = self.interned.scope(&event.scope);
            self.flow.batches.add(&scope, &batched, logged.offset, Some(Arc::clone(event)), seq);
            if let Some(plan) = &batched.opens {
                self.timers.set(plan.until, batched.execution);
            }
            let crowded = self.flow.batches.bytes > OPEN_BYTES_MAX;
            let full = |open: &Open| open.members.len() >= open.plan.size_max as usize || open.bytes > BATCH_BYTES_MAX;
            if self.flow.batches.open.get(batched.key.as_str()).is_some_and(|open| crowded || full(open)) {
                self.start_batch(&batched.key);
            }
        }
    }

    /// The time of a batch may be up.
    pub(in super::super) fn look_at_batch(&mut self, execution: ExecutionId) {
        let Some(key) = self.flow.batches.by_execution.get(&execution).cloned() else { return };
        if self.flow.batches.open.get(&key).is_some_and(|open| open.plan.until <= self.now) {
            self.start_batch(&key);
        }
    }

    /// Puts every open batch that was read from the journal to its time, and asks for its events.
    pub(in super::super) fn place_batches(&mut self) {
        let all: Vec<(ExecutionId, Arc<str>)> =
            self.flow.batches.by_execution.iter().map(|(id, key)| (*id, Arc::clone(key))).collect();
        for (execution, key) in all {
            let Some(open) = self.flow.batches.open.get_mut(&key) else { continue };
            self.next_load += 1;
            let load = self.next_load;
            open.load = Some(load);
            open.due = open.members.len() >= open.plan.size_max as usize;
            let batch = open.members.iter().map(|member| member.offset).collect();
            self.timers.set(open.plan.until, execution);
            let sources = Source { event: None, journal: Vec::new(), batch };
            self.out.push(Output::Load { execution, load, sources });
        }
    }

    /// The events of a batch were read; true if it was the one that asked.
    pub(in super::super) fn batch_loaded(
        &mut self,
        execution: ExecutionId,
        load: u64,
        events: Vec<(u64, EventRecord)>,
    ) -> bool {
        let Some(key) = self.flow.batches.by_execution.get(&execution).cloned() else { return false };
        let batches = &mut self.flow.batches;
        let Some(open) = batches.open.get_mut(&key).filter(|open| open.load == Some(load)) else { return false };
        open.load = None;
        for (offset, event) in events {
            if let Some(member) =
                open.members.iter_mut().find(|member| member.offset == offset && member.event.is_none())
            {
                let bytes = event.data.len();
                (open.bytes, batches.bytes) = (open.bytes + bytes, batches.bytes + bytes);
                member.event = Some(Arc::new(event));
            }
        }
        let full = open.due || open.members.len() >= open.plan.size_max as usize;
        if full || open.plan.until <= self.now {
            self.start_batch(&key);
        }
        true
    }

    /// Ends a batch: one record that starts its execution. One whose events are being read waits for them.
    fn start_batch(&mut self, key: &str) {
        let batches = &mut self.flow.batches;
        if let Some(open) = batches.open.get_mut(key).filter(|open| open.load.is_some()) {
            open.due = true;
            return;
        }
        let Some(open) = batches.remove(key) else { return };
        let start = new_execution(&open, self.now);
        let (epoch, at, scope) = (self.epoch, self.now, Arc::clone(&open.scope));
        let record = Started { epoch, at, scope: (*scope).clone(), batch: key.to_owned(), start: start.clone() };
        let seq = self.append(JournalRecord::Started(Box::new(record)));
        let mut execution = Execution::new(&start, scope, &mut self.interned, self.now, None, seq);
        let payload = start.origin.as_ref().map(|inline| Arc::new(Payload::of_inline(inline)));
        self.queued_payload_bytes += payload.as_deref().map_or(0, Payload::size);
        execution.payload = payload;
        self.enqueue_new(execution);
    }
}

/// The execution that a batch becomes. What it tells of its event is the first one's.
fn new_execution(open: &Open, now: Timestamp) -> NewExecution {
    let events: Vec<&EventRecord> = open.members.iter().filter_map(|member| member.event.as_deref()).collect();
    let mut input = String::with_capacity(open.bytes + events.len() + 2);
    input.push('[');
    for (at, event) in events.iter().enumerate() {
        if at > 0 {
            input.push(',');
        }
        input.push_str(&event.data);
    }
    input.push(']');
    let first = events.first();
    let unknown = || EventId::new("unknown").expect("a plain id");
    let headers: Vec<Header> = first.map_or_else(Vec::new, |event| event.headers.clone());
    let origin = Inline {
        event_id: first.map_or_else(unknown, |event| event.id.clone()),
        event_kind: first.map_or_else(String::new, |event| event.kind.clone()),
        event_source: first.map_or_else(String::new, |event| event.source.clone()),
        event_time: first.map_or(now, |event| event.time),
        clock: now,
        triggered_by: first.map_or(Origin::Api, |event| event.origin),
        headers: headers.into_iter().chain(open.plan.headers.iter().cloned()).collect(),
        input,
        results: Vec::new(),
    };
    let plan = &open.plan;
    NewExecution {
        id: open.execution,
        workflow: plan.workflow.clone(),
        version: plan.version,
        environment: plan.environment.clone(),
        tier: plan.tier,
        trigger: Some(plan.trigger.clone()),
        sequence: None,
        headers: Vec::new(),
        replay_of: None,
        parent: None,
        origin: Some(origin),
        flow: plan.flow.clone().map(Box::new),
    }
}
