//! Commands: cancel, replay, decide. They come as events, so they are durable and admitted once; and each is harmless
//! when it is carried out twice.

use std::sync::Arc;

use fastn_domain::event::{Command, EventRecord, Replay};
use fastn_domain::ids::ExecutionId;
use fastn_domain::journal::{Flow, Inline, NewExecution};
use fastn_domain::replay::kept_results;

use super::flow::Holder;
use super::verdict::Verdict;
use super::{LoggedEvent, Machine};

impl Machine {
    pub(super) fn on_command(&mut self, event: &Arc<EventRecord>, logged: &LoggedEvent) -> Verdict {
        match serde_json::from_str::<Command>(&event.data) {
            Ok(Command::Cancel { execution }) => {
                if self.owned_by(execution, event) {
                    self.cancel(execution);
                }
                Verdict::delivered(Vec::new())
            }
            Ok(Command::Decide { execution, key, answer }) => {
                if self.owned_by(execution, event) && self.waits_for_decision(execution, &key) {
                    self.end_wait(execution, &key, Ok(answer));
                    Verdict::delivered(Vec::new())
                } else {
                    Verdict::rejected(format!("{execution} waits for no approval {key}"))
                }
            }
            Ok(Command::Replay(replay)) => self.on_replay(*replay, event, logged),
            Ok(Command::Erase) => self.erase(&event.scope),
            Err(error) => Verdict::rejected(format!("the command does not read: {error}")),
        }
    }

    fn owned_by(&self, execution: ExecutionId, event: &EventRecord) -> bool {
        self.executions.get(&execution).is_some_and(|execution| *execution.scope == event.scope)
    }

    fn waits_for_decision(&self, execution: ExecutionId, key: &str) -> bool {
        self.executions.get(&execution).is_some_and(|execution| {
            execution.waits().any(|wait| wait.key == key && wait.kind == fastn_domain::journal::WaitKind::Approval)
        })
    }

    fn on_replay(&mut self, replay: Replay, event: &EventRecord, logged: &LoggedEvent) -> Verdict {
        if self.executions.contains_key(&replay.execution) {
            return Verdict::rejected("this replay was started before");
        }
        let hash = fastn_domain::route::event_hash(&event.scope, &event.source, &event.id);
        if self.dedup.contains(hash) {
            return Verdict::rejected("this replay was started before");
        }
        let Some(account) = self.catalog.account(&event.scope.account) else {
            return Verdict::rejected("the account does not exist");
        };
        let Some(entry) = account.workflows.get(&replay.workflow) else {
            return Verdict::rejected(format!("workflow {} does not exist", replay.workflow));
        };
        if !entry.versions.contains_key(&replay.version) {
            return Verdict::rejected(format!("workflow {} has no version {}", replay.workflow, replay.version));
        }
        let tier = entry.spec.tier;
        let mut flow = Flow { priority: event.priority, ..Flow::default() };
        if let Some(holder) = Holder::of_workflow(event, account, &replay.workflow) {
            holder.room_of(&serde_json::from_str(&replay.input).unwrap_or_default(), &mut flow);
        }
        let origin = Inline {
            event_id: replay.event_id,
            event_kind: replay.event_kind,
            event_source: replay.event_source,
            event_time: replay.event_time,
            clock: logged.timestamp,
            triggered_by: event.origin,
            headers: replay.headers,
            input: replay.input,
            results: kept_results(replay.results),
        };
        let mut verdict = Verdict::delivered(vec![NewExecution {
            id: replay.execution,
            workflow: replay.workflow,
            version: replay.version,
            environment: replay.environment,
            tier,
            trigger: replay.trigger,
            sequence: None,
            headers: Vec::new(),
            replay_of: Some(replay.of),
            parent: None,
            origin: Some(origin),
            flow: (flow != Flow::default()).then(|| Box::new(flow)),
        }]);
        verdict.dedup.push(hash);
        verdict
    }
}
