//! Flow control: what holds an execution back before its turn, and how executions find each other.
//!
//! ```text
//!   admitted ─▶ behind its sequence ─▶ held until a time ─▶ gates with room ─▶ the customer's queue
//!                  (sequence.rs)        rate, debounce,      concurrency,         (queue.rs)
//!                                       quota that queues    singleton that queues
//! ```
//!
//! Everything here is made again of the executions that live ([`Flow`] travels with each) and of counters and open batches,
//! which the journal says with each event and the cleaner says again. What is decided about an event is in its `Admitted`
//! record: it is never decided twice.

use std::collections::HashMap;
use std::sync::Arc;

use fastn_domain::catalog::{AccountCatalog, CompiledTrigger};
use fastn_domain::event::EventRecord;
use fastn_domain::flow::CompiledFlow;
use fastn_domain::ids::ExecutionId;
use fastn_domain::journal::{Count, Flow, HeldBy};
use fastn_domain::quota::Counters;
use fastn_domain::time::Timestamp;
use serde_json::Value;

use super::Machine;
use super::execution::{Execution, GatePlace, Phase};
use super::queue::Lane;

mod batch;
mod debounce;
mod gates;
mod rate;
mod singleton;

pub(super) use batch::{Batches, Joined};
pub(super) use gates::Gates;

/// The state of flow control in a partition.
#[derive(Debug, Default)]
pub(super) struct FlowState {
    /// Windows of quotas and rates.
    pub(super) counters: Counters,
    /// Concurrency, and singletons that queue.
    pub(super) gates: Gates,
    /// Live executions of singletons, by key.
    pub(super) singletons: HashMap<Arc<str>, Vec<ExecutionId>>,
    /// The execution of each debounce that has not started.
    pub(super) debounces: HashMap<Arc<str>, ExecutionId>,
    /// Events that wait for their batch.
    pub(super) batches: Batches,
}

/// Whose flow control decides: a route of a trigger, or a workflow.
pub(super) struct Holder<'c> {
    /// The beginning of its keys, which no other customer's or holder's have.
    pub(super) name: String,
    /// Its name for people.
    pub(super) of: String,
    pub(super) flow: &'c CompiledFlow,
}

impl<'c> Holder<'c> {
    pub(super) fn of_route(event: &EventRecord, trigger: &'c CompiledTrigger, at: usize) -> Option<Self> {
        let flow = trigger.flow.as_ref()?;
        let name = format!("{}/trigger/{}/{at}", event.scope.key(), trigger.id);
        Some(Self { name, of: format!("trigger {}", trigger.id), flow })
    }

    pub(super) fn of_workflow(
        event: &EventRecord,
        account: &'c AccountCatalog,
        workflow: &fastn_domain::ids::WorkflowId,
    ) -> Option<Self> {
        let flow = account.workflows.get(workflow)?.flow.as_deref()?;
        let name = format!("{}/workflow/{workflow}", event.scope.key());
        Some(Self { name, of: format!("workflow {workflow}"), flow })
    }

    /// What holds an execution back that no event starts: room in the concurrency, and nothing that is about events.
    pub(super) fn room_of(&self, data: &Value, flow: &mut Flow) {
        gates::concurrency_of(self, data, flow);
    }

    fn key(&self, kind: &str, key: &fastn_domain::flow::Key, data: &Value) -> String {
        format!("{kind}/{}/{}", self.name, key.of(data))
    }
}

/// What flow control makes of an event for one route.
pub(super) enum FlowVerdict {
    /// It starts an execution, held back so far.
    Start(Option<Box<Flow>>, Vec<Count>),
    /// It starts nothing, and why.
    Skip(String),
}

impl Machine {
    /// Decides what `holders` make of an event. Singletons that cancel, and debounces, end the older execution here: the
    /// record that says so comes before the one that admits the event, so that a crash between the two judges it again.
    pub(super) fn flow_of(
        &mut self,
        event: &EventRecord,
        data: &Value,
        holders: &[Holder<'_>],
        hold: Option<(Timestamp, HeldBy)>,
        received: Timestamp,
    ) -> FlowVerdict {
        for holder in holders {
            if let Some(reason) = self.singleton_skips(holder, data) {
                return FlowVerdict::Skip(reason);
            }
        }
        let mut flow = Flow { priority: event.priority, ..Flow::default() };
        if let Some((at, by)) = hold {
            (flow.not_before, flow.limit) = (Some(at), Some(by));
        }
        let mut counts = Vec::new();
        for holder in holders {
            self.singleton_of(holder, data, &mut flow);
            gates::concurrency_of(holder, data, &mut flow);
            self.debounce_of(holder, data, received, &mut flow);
            if let Some(priority) = holder.flow.priority {
                flow.priority = flow.priority.or(Some(priority.number()));
            }
        }
        for holder in holders {
            self.rate_of(holder, data, event, &mut flow, &mut counts);
        }
        let flow = (flow != Flow::default()).then(|| Box::new(flow));
        FlowVerdict::Start(flow, counts)
    }

    /// Lets others find an execution that lives now.
    pub(super) fn flow_begins(&mut self, id: ExecutionId, flow: &Flow) {
        for key in &flow.singletons {
            self.flow.singletons.entry(Arc::from(key.as_str())).or_default().push(id);
        }
        if let Some(debounce) = &flow.debounce {
            self.flow.debounces.insert(Arc::from(debounce.key.as_str()), id);
        }
    }

    /// Puts an execution that has not begun where it waits next.
    pub(super) fn advance(&mut self, id: ExecutionId) {
        self.advance_from(id, None);
    }

    /// As [`Machine::advance`], of one whose turn at the gate `turn` has come.
    fn advance_from(&mut self, id: ExecutionId, turn: Option<&str>) {
        let now = self.now;
        let Some(execution) = self.executions.get_mut(&id) else { return };
        if let Some(flow) = execution.flow.clone() {
            if let Some(at) = flow.not_before.filter(|at| *at > now) {
                execution.phase = Phase::Held;
                self.timers.set(at, id);
                return;
            }
            if let Some(debounce) = &flow.debounce
                && self.flow.debounces.get(debounce.key.as_str()) == Some(&id)
            {
                self.flow.debounces.remove(debounce.key.as_str());
            }
            if execution.gates == GatePlace::Outside && !flow.gates.is_empty() {
                let Some(freed) = self.flow.gates.enter(&flow.gates, id, turn) else {
                    execution.gates = GatePlace::Waiting;
                    execution.phase = Phase::Behind;
                    return;
                };
                execution.gates = GatePlace::Inside;
                execution.barrier = execution.barrier.max(freed);
            }
        }
        execution.phase = Phase::Queued;
        let (scope, lane) = (Arc::clone(&execution.scope), Lane::of_execution(execution));
        self.queue.push(&scope, lane, id);
    }

    /// An execution has ended with the record `seq`: nobody finds it any more, and others may take its room. Their effects
    /// wait for that record, else a crash could let this one run again beside them.
    pub(super) fn flow_ends(&mut self, execution: &Execution, seq: u64) {
        let Some(flow) = &execution.flow else { return };
        let id = execution.id;
        for key in &flow.singletons {
            if let Some(live) = self.flow.singletons.get_mut(key.as_str()) {
                live.retain(|other| *other != id);
                if live.is_empty() {
                    self.flow.singletons.remove(key.as_str());
                }
            }
        }
        if let Some(debounce) = &flow.debounce
            && self.flow.debounces.get(debounce.key.as_str()) == Some(&id)
        {
            self.flow.debounces.remove(debounce.key.as_str());
        }
        match execution.gates {
            GatePlace::Outside => {}
            GatePlace::Waiting => self.flow.gates.give_up(&flow.gates, id),
            GatePlace::Inside => {
                self.flow.gates.leave(&flow.gates, id, seq);
                for gate in &flow.gates {
                    while let Some(next) = self.flow.gates.next_of(&gate.key) {
                        if let Some(waiting) = self.executions.get_mut(&next) {
                            waiting.gates = GatePlace::Outside;
                        }
                        self.advance_from(next, Some(&gate.key));
                    }
                }
            }
        }
    }
}
