//! Admission: each event once, in order. It decides what an event starts, wakes or changes.

use std::cell::OnceCell;
use std::sync::Arc;

use fastn_contract::activity::{EventStatus, Origin};
use fastn_contract::error::ErrorCode;
use fastn_contract::quota::QuotaOutcome;
use fastn_contract::resource::{ExecutionMode, Switch};
use fastn_domain::catalog::{AccountCatalog, CompiledRoute, CompiledTrigger, app_of_source};
use fastn_domain::condition::Subject;
use fastn_domain::event::{COMMAND_TYPE, EventRecord};
use fastn_domain::ids::{EnvironmentId, ExecutionId, WorkflowId};
use fastn_domain::journal::{Admitted, AdmittedEvent, Batched, Count, DedupHash, HeldBy, JournalRecord, NewExecution};
use fastn_domain::time::Timestamp;
use fastn_domain::{catalog::ENVIRONMENT_TEST, route};
use serde_json::Value;

use super::execution::{Execution, Payload, Phase};
use super::flow::{FlowVerdict, Holder, Joined};
use super::quota::Charge;
use super::{Answer, LoggedEvent, Machine, Output};

/// What admission made of an event, before it is in the journal.
pub(super) struct Verdict {
    pub(super) status: EventStatus,
    pub(super) reason: Option<String>,
    /// What the caller of an Instant run is told when nothing starts.
    code: ErrorCode,
    pub(super) dedup: Vec<DedupHash>,
    pub(super) executions: Vec<NewExecution>,
    /// The windows that it counts in.
    counted: Vec<Count>,
    quota: Option<QuotaOutcome>,
    batches: Vec<Batched>,
    /// Whether the next event must be judged after what this one starts is known.
    looks_at_others: bool,
}

impl Verdict {
    fn of(status: EventStatus, reason: Option<String>) -> Self {
        Self {
            status,
            reason,
            code: ErrorCode::WorkflowNotPublished,
            dedup: Vec::new(),
            executions: Vec::new(),
            counted: Vec::new(),
            quota: None,
            batches: Vec::new(),
            looks_at_others: false,
        }
    }

    pub(super) fn delivered(executions: Vec<NewExecution>) -> Self {
        Self { executions, ..Self::of(EventStatus::Delivered, None) }
    }

    pub(super) fn rejected(reason: impl Into<String>) -> Self {
        Self::of(EventStatus::Rejected, Some(reason.into()))
    }

    fn refused(code: ErrorCode, reason: impl Into<String>) -> Self {
        Self { code, ..Self::rejected(reason) }
    }

    fn duplicate(reason: &str) -> Self {
        Self::of(EventStatus::Duplicate, Some(reason.to_owned()))
    }

    /// Refused by a quota. It leaves no hash behind, so that it may come again.
    fn blocked(charge: Charge) -> Self {
        let code = ErrorCode::QuotaExceeded;
        Self { code, quota: charge.outcome, ..Self::of(EventStatus::Rejected, charge.reason) }
    }
}

/// The payload, parsed when the first condition or path asks for it.
pub(super) struct LazyData<'e> {
    event: &'e EventRecord,
    data: OnceCell<Value>,
}

impl<'e> LazyData<'e> {
    pub(super) fn new(event: &'e EventRecord) -> Self {
        Self { event, data: OnceCell::new() }
    }

    pub(super) fn get(&self) -> &Value {
        self.data.get_or_init(|| serde_json::from_str(&self.event.data).unwrap_or(Value::Null))
    }

    pub(super) fn subject(&self) -> Subject<'_> {
        Subject {
            kind: &self.event.kind,
            source: &self.event.source,
            subject: self.event.subject.as_deref(),
            headers: &self.event.headers,
            data: self.get(),
        }
    }
}

impl Machine {
    /// Admits a run of events with as few records as the limit allows. What an event does to waiting executions is
    /// appended before the record that says it was admitted: a crash between the two admits the event again, and finds
    /// nobody waiting.
    pub(super) fn admit(&mut self, events: Vec<LoggedEvent>) {
        let mut batch = Vec::new();
        let mut begun = Begun::default();
        let mut looks_at_others = false;
        // Events of this batch are not in the window until their record is appended, so they are compared here too.
        for logged in events {
            if logged.offset < self.events_next {
                continue;
            }
            // An erasure ends what the events before it began, so these must have begun.
            let waits =
                |event: &Arc<EventRecord>| event.is_erasure() || self.overlap_waits_for(event, &begun.executions);
            if !batch.is_empty() && logged.event.as_ref().is_some_and(waits) {
                self.commit_admitted(std::mem::take(&mut batch), std::mem::take(&mut begun));
            }
            self.events_next = logged.offset + 1;
            self.log_time = self.log_time.max(logged.timestamp);
            self.dedup.expire(logged.timestamp, self.limits.dedup_window, self.limits.dedup_hashes_max);
            if std::mem::take(&mut looks_at_others) && !batch.is_empty() {
                self.commit_admitted(std::mem::take(&mut batch), std::mem::take(&mut begun));
            }
            let verdict = match &logged.event {
                Some(event) => self.judge(event, &logged),
                // The driver has told; nobody can be told whose event it was.
                None => continue,
            };
            // The sequence number that the record of this batch will have, unless wake-ups are appended before it: an
            // earlier number only makes the cleaner say these hashes again a little early.
            for hash in &verdict.dedup {
                self.dedup.insert(*hash, logged.timestamp, self.next_seq);
            }
            crate::processor::observe::event_admitted(verdict.status);
            if let Some(event) = &logged.event {
                self.answer_unstarted(event, &verdict);
                begun.executions.extend(verdict.executions.iter().map(|start| (start.clone(), logged.clone())));
                let joined = |batched: &Batched| Joined { batched: batched.clone(), logged: logged.clone() };
                begun.joined.extend(verdict.batches.iter().map(joined));
            }
            let Some(scope) = logged.event.as_ref().map(|event| event.scope.clone()) else { continue };
            looks_at_others = verdict.looks_at_others;
            let Verdict { status, reason, dedup, executions, counted, quota, batches, .. } = verdict;
            let offset = logged.offset;
            batch.push(AdmittedEvent { offset, scope, status, reason, dedup, executions, counted, quota, batches });
            if batch.len() >= self.limits.admitted_events_max {
                self.commit_admitted(std::mem::take(&mut batch), std::mem::take(&mut begun));
            }
        }
        if !batch.is_empty() {
            self.commit_admitted(batch, begun);
        }
    }

    fn commit_admitted(&mut self, events: Vec<AdmittedEvent>, begun: Begun) {
        let record = Admitted { epoch: self.epoch, at: self.now, events };
        let seq = self.append(JournalRecord::Admitted(record));
        for (start, logged) in begun.executions {
            if let Some(event) = &logged.event {
                self.begin(&start, event, &logged, seq);
            }
        }
        self.join_batches(begun.joined, seq);
    }

    fn begin(&mut self, start: &NewExecution, event: &Arc<EventRecord>, logged: &LoggedEvent, seq: u64) {
        let scope = self.interned.scope(&event.scope);
        let mut execution = Execution::new(start, scope, &mut self.interned, self.now, Some(logged.offset), seq);
        let payload = match &start.origin {
            Some(inline) => Payload::of_inline(inline),
            None => {
                execution.triggered_by = event.origin;
                Payload::of_event(event, logged.timestamp, &start.headers)
            }
        };
        if let Some(inline) = &start.origin {
            execution.results = inline.results.clone();
            execution.journaled = inline.results.len();
            execution.effect_mark = inline.results.len();
        }
        execution.reply_to = event.reply_to.clone().map(Box::new);
        if self.queued_payload_bytes + payload.size() <= self.limits.queued_payload_bytes_max {
            self.queued_payload_bytes += payload.size();
            execution.payload = Some(Arc::new(payload));
        } else {
            execution.forget_payload();
        }
        self.enqueue_new(execution);
    }

    /// Puts a new execution where it waits for its turn.
    pub(super) fn enqueue_new(&mut self, mut execution: Execution) {
        let id = execution.id;
        let may_run = match &execution.sequence {
            Some(sequence) => self.sequences.join(sequence, id),
            None => true,
        };
        self.overlap_begins(&execution);
        if let Some(flow) = execution.flow.clone() {
            execution.phase = Phase::Behind;
            self.executions.insert(id, Box::new(execution));
            self.flow_begins(id, &flow);
            if may_run {
                self.advance(id);
            }
            return;
        }
        execution.phase = if may_run { Phase::Queued } else { Phase::Behind };
        if may_run {
            self.queue.push(&execution.scope, super::queue::Lane::of(execution.triggered_by), id);
        }
        self.executions.insert(id, Box::new(execution));
    }

    fn judge(&mut self, event: &Arc<EventRecord>, logged: &LoggedEvent) -> Verdict {
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

    /// Tells a caller that waits for an Instant run when there is nothing to wait for.
    fn answer_unstarted(&mut self, event: &EventRecord, verdict: &Verdict) {
        let (Some(to), true) = (&event.reply_to, verdict.executions.is_empty()) else { return };
        let answer = match verdict.status {
            EventStatus::Duplicate => {
                let again = event.workflow.as_ref().and_then(|workflow| {
                    let environment = environment_of(event)?;
                    let id = route::direct_execution(&event.scope, &event.source, &event.id, workflow, &environment);
                    self.executions.get_mut(&id)
                });
                if let Some(execution) = again {
                    execution.reply_to = Some(Box::new(to.clone()));
                    return;
                }
                Answer::Seen
            }
            _ => Answer::Rejected { code: verdict.code, reason: verdict.reason.clone().unwrap_or_default() },
        };
        self.out.push(Output::Answer { to: to.clone(), answer });
    }
}

/// What a run of events starts, once its record is appended.
#[derive(Default)]
struct Begun {
    executions: Vec<(NewExecution, LoggedEvent)>,
    joined: Vec<Joined>,
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

fn environment_of(event: &EventRecord) -> Option<EnvironmentId> {
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
