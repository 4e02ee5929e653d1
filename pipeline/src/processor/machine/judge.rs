//! What an event starts, by the triggers, the quotas and the flow control as they are now. Nothing is appended here but what
//! ends older executions.

use std::sync::Arc;

use fastn_contract::activity::{EventStatus, Origin};
use fastn_contract::error::ErrorCode;
use fastn_contract::resource::{ExecutionMode, Switch};
use fastn_domain::catalog::{AccountCatalog, CompiledRoute, CompiledTrigger, app_of_source};
use fastn_domain::event::{COMMAND_TYPE, EventRecord};
use fastn_domain::ids::{EnvironmentId, ExecutionId, WorkflowId};
use fastn_domain::journal::{Batched, Count, DedupHash, HeldBy, NewExecution};
use fastn_domain::time::Timestamp;
use fastn_domain::{catalog::ENVIRONMENT_TEST, route};
use serde_json::Value;

use super::flow::{FlowVerdict, Holder};
use super::verdict::{LazyData, Verdict};
use super::{LoggedEvent, Machine};

impl Machine {
    pub(super) fn judge(&mut self, event: &Arc<EventRecord>, logged: &LoggedEvent) -> Verdict {
        if event.is_erased() {
            return Verdict::rejected("its payload was erased with its customer");
        }
        // Only the API makes commands; the edge and `ctx.emit` cannot give an event this origin.
        if event.kind == COMMAND_TYPE && event.origin == Origin::Command {
            return self.on_command(event, logged);
        }
        let own_hash = match event.origin {
            Origin::Schedule => route::fire_hash(&event.scope, &event.id),
            _ => route::event_hash(&event.scope, &event.source, &event.id),
        };
        #[cfg(feature = "sabotage")]
        let compare = self.limits.sabotage != Some(super::Sabotage::NoDedup);
        #[cfg(not(feature = "sabotage"))]
        let compare = true;
        if compare && self.dedup.contains(own_hash) {
            return Verdict::duplicate("an event with this source and id was admitted before");
        }
        let charge = self.charge(event, logged.timestamp);
        if charge.is_blocked() {
            return Verdict::blocked(charge);
        }
        let mut verdict = self.route(event, logged.timestamp, charge.hold.as_ref());
        self.overlap_settles(event, &mut verdict);
        if verdict.status != EventStatus::Duplicate {
            self.count(event, &charge.counts);
            verdict.counted.extend(charge.counts);
            verdict.quota = charge.outcome;
            verdict.reason = verdict.reason.or(charge.reason);
        }
        verdict.looks_at_others |= charge.looks_at_others;
        verdict.dedup.push(own_hash);
        let data = LazyData::new(event);
        if self.wake_waiters(event, &data) > 0 && verdict.status != EventStatus::Delivered {
            verdict.status = EventStatus::Delivered;
            verdict.reason = Some("it woke an execution that waited for it".to_owned());
        }
        verdict
    }

    fn route(&mut self, event: &EventRecord, received: Timestamp, hold: Option<&(Timestamp, HeldBy)>) -> Verdict {
        if event.scope.is_of_account() {
            return Verdict::rejected(self.unroutable(event));
        }
        if !self.catalog.is_active(&event.scope) {
            return Verdict::refused(ErrorCode::Forbidden, "the customer does not exist or is suspended");
        }
        let Some(account) = self.catalog.account(&event.scope.account).cloned() else {
            return Verdict::refused(ErrorCode::NotFound, "the account does not exist");
        };
        if let Some(workflow) = &event.workflow {
            return self.direct(&account, event, workflow, received);
        }
        let coming = Coming { event, data: LazyData::new(event), received, hold };
        let mut found = Routed::default();
        match &event.trigger {
            Some(id) => {
                if let Some(trigger) = account.triggers.get(id) {
                    self.try_trigger(&account, trigger, &coming, &mut found);
                }
            }
            None => {
                let mut listening: Vec<&Arc<CompiledTrigger>> = match app_of_source(&event.source) {
                    Some(app) => account.app_triggers(&app, event.subject.as_deref(), &event.kind),
                    None => account.triggers.values().filter(|trigger| trigger.listens_to(&event.kind)).collect(),
                };
                listening.retain(|trigger| trigger.serves(&event.scope.customer));
                listening.sort_by(|a, b| a.id.cmp(&b.id));
                for trigger in listening {
                    self.try_trigger(&account, trigger, &coming, &mut found);
                }
            }
        }
        found.verdict()
    }

    /// Why an app's event belongs to no customer. The edge found none; this tells what it found instead.
    fn unroutable(&self, event: &EventRecord) -> String {
        let account = self.catalog.account(&event.scope.account);
        let app = app_of_source(&event.source).and_then(|app| account?.apps.get(&app));
        let data = LazyData::new(event);
        let why = app.map(|app| app.nowhere(&event.kind, event.subject.as_deref(), data.get()));
        format!("unroutable: {}", why.unwrap_or_else(|| "the app does not exist any more".to_owned()))
    }

    fn try_trigger(
        &mut self,
        account: &AccountCatalog,
        trigger: &CompiledTrigger,
        coming: &Coming<'_>,
        found: &mut Routed,
    ) {
        let Coming { event, data, .. } = coming;
        if trigger.spec.status == Switch::Disabled {
            found.refused.get_or_insert_with(|| format!("trigger {} is disabled", trigger.id));
            return;
        }
        let key = trigger.deduplication_key.as_ref().and_then(|path| path.find(data.get()));
        let hash = key.map(|value| route::trigger_hash(&event.scope, &trigger.id, &value.to_string()));
        if hash.is_some_and(|hash| self.dedup.contains(hash)) {
            found.duplicate = true;
            return;
        }
        let before = found.taken();
        for (at, way) in trigger.routes.iter().enumerate() {
            if way.filter.as_ref().is_some_and(|filter| !filter.matches(&data.subject())) {
                continue;
            }
            match runnable(account, &way.workflow, &way.environment) {
                Ok(version) => {
                    let id = route::routed_execution(&event.scope, &event.source, &event.id, &trigger.id, at);
                    let start = new_execution(id, version, way, trigger, event, data);
                    self.start_or_hold(account, trigger, at, start, coming, found);
                }
                Err(reason) => {
                    found.refused.get_or_insert(reason);
                }
            }
        }
        // An event that no route took must not make a later one with the same key, which a route would take, a duplicate.
        if found.taken() > before {
            found.dedup.extend(hash);
        }
    }

    /// An execution that a route starts, as flow control and quotas let it.
    fn start_or_hold(
        &mut self,
        account: &AccountCatalog,
        trigger: &CompiledTrigger,
        at: usize,
        mut start: NewExecution,
        coming: &Coming<'_>,
        found: &mut Routed,
    ) {
        let event = coming.event;
        // Before flow control takes note of it: what starts nothing takes no place in a rate and ends nothing.
        if let Some(reason) = self.overlap_skips(event, trigger) {
            found.refused.get_or_insert(reason);
            return;
        }
        let own = Holder::of_route(event, trigger, at);
        let workflows = Holder::of_workflow(event, account, &start.workflow);
        let hold = coming.hold.cloned();
        if own.is_none() && workflows.is_none() && hold.is_none() && event.priority.is_none() {
            found.executions.push(start);
            return;
        }
        let holders: Vec<Holder<'_>> = own.into_iter().chain(workflows).collect();
        found.looks_at_others |= holders.iter().any(|holder| holder.flow.looks_at_others());
        // A path of a key is looked for in the payload; without any the payload need not be parsed.
        let data = if holders.is_empty() { &Value::Null } else { coming.data.get() };
        if let Some(batched) = self.open_batch(&holders, data, &start, coming.received, coming.hold, event.priority) {
            return found.batches.push(batched);
        }
        match self.flow_of(event, data, &holders, hold, coming.received) {
            FlowVerdict::Start(flow, counts) => {
                start.flow = flow;
                found.counted.extend(counts);
                found.executions.push(start);
            }
            FlowVerdict::Skip(reason) => {
                found.refused.get_or_insert(reason);
            }
        }
    }

    fn direct(
        &mut self,
        account: &AccountCatalog,
        event: &EventRecord,
        workflow: &WorkflowId,
        received: Timestamp,
    ) -> Verdict {
        let Some(environment) = environment_of(event) else {
            return Verdict::refused(ErrorCode::ValidationError, "the environment is not valid");
        };
        let (version, tier) = match runnable(account, workflow, &environment) {
            Ok(version) => version,
            Err(reason) => return Verdict::rejected(reason),
        };
        let mut start = NewExecution {
            id: route::direct_execution(&event.scope, &event.source, &event.id, workflow, &environment),
            workflow: workflow.clone(),
            version,
            environment,
            tier,
            trigger: None,
            sequence: None,
            headers: Vec::new(),
            replay_of: None,
            parent: None,
            origin: None,
            flow: None,
        };
        let Some(holder) = Holder::of_workflow(event, account, workflow) else {
            return Verdict::delivered(vec![start]);
        };
        let data = LazyData::new(event);
        let looks_at_others = holder.flow.looks_at_others();
        match self.flow_of(event, data.get(), &[holder], None, received) {
            FlowVerdict::Start(flow, counted) => {
                start.flow = flow;
                Verdict { counted, looks_at_others, ..Verdict::delivered(vec![start]) }
            }
            FlowVerdict::Skip(reason) => Verdict::refused(ErrorCode::Conflict, reason),
        }
    }
}

/// An event on its way through the triggers.
struct Coming<'e> {
    event: &'e EventRecord,
    data: LazyData<'e>,
    /// Its log time.
    received: Timestamp,
    /// When a quota lets its executions start.
    hold: Option<&'e (Timestamp, HeldBy)>,
}

/// What the triggers made of an event so far.
#[derive(Default)]
struct Routed {
    executions: Vec<NewExecution>,
    batches: Vec<Batched>,
    counted: Vec<Count>,
    looks_at_others: bool,
    dedup: Vec<DedupHash>,
    duplicate: bool,
    refused: Option<String>,
}

impl Routed {
    /// How many routes took the event.
    fn taken(&self) -> usize {
        self.executions.len() + self.batches.len()
    }

    fn verdict(self) -> Verdict {
        let Self { executions, batches, counted, looks_at_others, dedup, duplicate, refused } = self;
        let mut verdict = if !executions.is_empty() || !batches.is_empty() {
            Verdict::delivered(executions)
        } else if let Some(reason) = refused {
            Verdict::rejected(reason)
        } else if duplicate {
            Verdict::duplicate("an event with this deduplication key was admitted before")
        } else {
            Verdict::of(EventStatus::Unmatched, None)
        };
        verdict.dedup = dedup;
        (verdict.batches, verdict.counted, verdict.looks_at_others) = (batches, counted, looks_at_others);
        verdict
    }
}

pub(super) fn environment_of(event: &EventRecord) -> Option<EnvironmentId> {
    event.environment.clone().or_else(|| EnvironmentId::new(ENVIRONMENT_TEST).ok())
}

/// The version and tier that run, or why none does.
pub(super) fn runnable(
    account: &AccountCatalog,
    workflow: &WorkflowId,
    environment: &EnvironmentId,
) -> Result<(u32, fastn_contract::resource::Tier), String> {
    let entry = account.workflows.get(workflow).ok_or_else(|| format!("workflow {workflow} does not exist"))?;
    if entry.spec.status == Switch::Disabled {
        return Err(format!("workflow {workflow} is disabled"));
    }
    let version = entry.version_in(environment);
    let version = version.ok_or_else(|| format!("workflow {workflow} has no published version in {environment}"))?;
    Ok((version.version, entry.spec.tier))
}

fn new_execution(
    id: ExecutionId,
    (version, tier): (u32, fastn_contract::resource::Tier),
    way: &CompiledRoute,
    trigger: &CompiledTrigger,
    event: &EventRecord,
    data: &LazyData<'_>,
) -> NewExecution {
    let sequence = (trigger.spec.mode == ExecutionMode::Sequential).then(|| {
        let key = trigger.sequence_key.as_ref().and_then(|path| path.find(data.get()));
        format!("{}/{}/{}", event.scope.key(), trigger.id, key.map(Value::to_string).unwrap_or_default())
    });
    NewExecution {
        id,
        workflow: way.workflow.clone(),
        version,
        environment: way.environment.clone(),
        tier,
        trigger: Some(trigger.id.clone()),
        sequence,
        headers: way.headers.clone(),
        replay_of: None,
        parent: None,
        origin: None,
        flow: None,
    }
}
