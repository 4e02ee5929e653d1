//! Journal records folded into the rows of one batch. No I/O.
//!
//! An execution has one entry: whole if the batch saw it start, else a patch of what an earlier batch wrote. So a short
//! execution whose records fall into one batch costs one insert, however many records it has.

use std::collections::HashMap;

use fastn_contract::activity::{EventStatus, ExecutionStatus, Origin};
use fastn_contract::quota::{Measure, QuotaOutcome};
use fastn_contract::resource::Tier;
use fastn_domain::event::{COMMAND_TYPE, EventRecord};
use fastn_domain::ids::ExecutionId;
use fastn_domain::journal::{
    Admitted, AdmittedEvent, Finished, Inline, JournalRecord, NewExecution, Progress, Snapshot,
};
use fastn_domain::scope::Scope;
use fastn_domain::time::Timestamp;
use fastn_store::{
    EventRow, EventSeq, ExecutionEnd, ExecutionPatch, ExecutionRow, ExecutionState, InputRow, ProjectionBatch,
    UsageDelta,
};

use super::status::{Said, next_status};

/// The length of a day of UTC.
const DAY_US: i64 = 86_400_000_000;

/// An admitted event as the events log holds it.
pub(crate) struct ReadEvent {
    pub(crate) record: EventRecord,
    pub(crate) received: Timestamp,
}

/// What a batch knows of one execution.
#[expect(clippy::large_enum_variant, reason = "a batch has at most some thousands, and most of them are patches")]
pub(crate) enum Entry {
    Whole(Box<ExecutionRow>),
    Patch { patch: ExecutionPatch, scope: Scope },
}

impl Entry {
    fn state(&mut self) -> &mut ExecutionState {
        match self {
            Self::Whole(row) => &mut row.state,
            Self::Patch { patch, .. } => &mut patch.state,
        }
    }
}

/// The rows of a batch as they grow.
#[derive(Default)]
pub(crate) struct Fold {
    pub(crate) events: Vec<EventRow>,
    pub(crate) entries: Vec<(Entry, Timestamp)>,
    index: HashMap<ExecutionId, usize>,
    usage: HashMap<(Scope, i64, Measure), u64>,
    /// Whether customers that were erased are erased again: while everything is made anew. Otherwise the erasure itself
    /// deletes their rows, and counts them.
    erases: bool,
    erased: Vec<Scope>,
}

impl Fold {
    /// Without anything yet.
    pub(crate) fn new(erases: bool) -> Self {
        Self { erases, ..Self::default() }
    }

    /// How many rows it would write.
    pub(crate) fn rows(&self) -> usize {
        self.events.len() + self.entries.len()
    }

    /// Whether `record` starts an execution that the batch has met already, as when an event is sent again long after.
    /// The batch must be written first: what the first run left behind (a dead letter) would be folded away. So must one
    /// that erases: what comes behind is of a customer of the same name that was made anew.
    pub(crate) fn must_be_written_before(&self, record: &JournalRecord) -> bool {
        if !self.erased.is_empty() {
            return true;
        }
        let met = |start: &NewExecution| self.index.contains_key(&start.id);
        match record {
            JournalRecord::Admitted(record) => record.events.iter().flat_map(|event| &event.executions).any(met),
            JournalRecord::Progress(record) => record.invoked.iter().any(met),
            JournalRecord::Started(record) => met(&record.start),
            _ => false,
        }
    }

    /// Takes the events of an `Admitted` record, which `read` holds in its order: nothing where the log has no more.
    pub(crate) fn admit(&mut self, partition: u32, record: Admitted, read: Vec<Option<ReadEvent>>) {
        for (event, read) in record.events.into_iter().zip(read) {
            // Without the event not even its customer is known.
            let Some(read) = read else { continue };
            self.admit_one(partition, record.at, event, read);
        }
    }

    fn admit_one(&mut self, partition: u32, at: Timestamp, event: AdmittedEvent, read: ReadEvent) {
        if self.erases && read.record.is_erasure() {
            self.erased.push(read.record.scope.clone());
        }
        let seq = EventSeq::new(partition, event.offset);
        let started = event.executions.iter().map(|start| start.id);
        let executions = started.chain(event.batches.iter().map(|batched| batched.execution)).collect();
        self.count_event(&read, event.status, event.quota);
        for start in event.executions {
            self.start(start, &read.record.scope, at, Some((&read.record, seq)));
        }
        let what = What { status: event.status, reason: event.reason, quota: event.quota, executions };
        self.events.push(event_row(read, seq, what));
    }

    /// An event counts on the day of its log time, as admission counts it.
    fn count_event(&mut self, read: &ReadEvent, status: EventStatus, quota: Option<QuotaOutcome>) {
        // What went to no customer was used by none.
        let of_none = read.record.scope.is_of_account();
        if of_none || status == EventStatus::Duplicate || matches!(read.record.origin, Origin::Command | Origin::Manual)
        {
            return;
        }
        let blocked = quota == Some(QuotaOutcome::Blocked);
        let measure = if blocked { Measure::EventsBlocked } else { Measure::Events };
        self.count(&read.record.scope, read.received, measure, 1);
        if matches!(quota, Some(QuotaOutcome::Over | QuotaOutcome::Shadowed)) {
            self.count(&read.record.scope, read.received, Measure::EventsOver, 1);
        }
    }

    fn count(&mut self, scope: &Scope, at: Timestamp, measure: Measure, used: u64) {
        if used > 0 {
            let day = at.0.div_euclid(DAY_US);
            *self.usage.entry((scope.clone(), day, measure)).or_default() += used;
        }
    }

    /// Takes any other record.
    pub(crate) fn record(&mut self, record: JournalRecord) {
        match record {
            JournalRecord::Progress(record) => self.progress(record),
            JournalRecord::Finished(record) => self.finished(record),
            JournalRecord::Started(record) => {
                let (scope, at) = (record.scope, record.at);
                self.start(record.start, &scope, at, None);
            }
            // Events come with `admit` and `snapshot`; the rest is state of the processor, not activity.
            JournalRecord::Admitted(_)
            | JournalRecord::Snapshot(_)
            | JournalRecord::Claim(_)
            | JournalRecord::DedupSnapshot(_)
            | JournalRecord::StateSnapshot(_)
            | JournalRecord::FlowSnapshot(_)
            | JournalRecord::Checkpoint(_) => {}
        }
    }

    fn start(&mut self, start: NewExecution, scope: &Scope, at: Timestamp, event: Option<(&EventRecord, EventSeq)>) {
        let Some(status) = next_status(None, Said::Started) else { return };
        let state = empty(status, 1, start.tier);
        let Some(row) = whole(start, scope.clone(), at, event, state) else { return };
        self.count(scope, at, Measure::Executions, 1);
        self.put(Entry::Whole(Box::new(row)), at);
    }

    fn put(&mut self, entry: Entry, at: Timestamp) {
        let id = match &entry {
            Entry::Whole(row) => row.id,
            Entry::Patch { patch, .. } => patch.id,
        };
        match self.index.get(&id) {
            Some(&known) => self.entries[known] = (entry, at),
            None => {
                self.index.insert(id, self.entries.len());
                self.entries.push((entry, at));
            }
        }
    }

    /// The state to change, if the record counts.
    fn state(
        &mut self,
        id: ExecutionId,
        scope: &Scope,
        at: Timestamp,
        said: Said,
        attempt: u32,
        tier: Tier,
    ) -> Option<&mut ExecutionState> {
        let known = self.index.get(&id).copied();
        let now = known.map(|known| self.entries[known].0.state().status);
        let status = next_status(now, said)?;
        if known.is_none() {
            let patch = ExecutionPatch { id, state: empty(status, attempt, tier) };
            self.put(Entry::Patch { patch, scope: scope.clone() }, at);
        }
        let at_entry = known.unwrap_or(self.entries.len() - 1);
        let (entry, entry_at) = &mut self.entries[at_entry];
        *entry_at = at;
        let state = entry.state();
        (state.status, state.attempt, state.tier) = (status, attempt, tier);
        Some(state)
    }

    fn progress(&mut self, record: Progress) {
        let said = Said::WentOn(record.status);
        let state = self.state(record.execution, &record.scope, record.at, said, record.attempt, record.tier);
        if let Some(state) = state {
            state.results.extend(record.results);
            state.waits.extend(record.waits);
            if let Some(retry) = record.retry {
                state.error = Some(retry.error);
            }
        }
        for start in record.invoked {
            self.start(start, &record.scope, record.at, None);
        }
    }

    fn finished(&mut self, record: Finished) {
        let said = Said::Ended(record.status);
        let state = self.state(record.execution, &record.scope, record.at, said, record.attempt, record.tier);
        let Some(state) = state else { return };
        state.results.extend(record.results);
        state.error = record.error;
        let steps = record.steps.len() as u64;
        state.end = Some(ExecutionEnd { at: record.at, steps: record.steps, logs: record.logs, output: record.output });
        self.count(&record.scope, record.at, Measure::Steps, steps);
    }

    /// Takes a snapshot, with the event that started its execution unless it has the input itself. The event's own row is
    /// made again too: what said so first may have been trimmed. A row that is there already stays as it is.
    pub(crate) fn snapshot(&mut self, partition: u32, record: Snapshot, event: Option<ReadEvent>) {
        let Some(status) = next_status(None, Said::Again(record.status)) else { return };
        let state = ExecutionState {
            error: record.retry.map(|retry| retry.error),
            results: record.results,
            waits: record.waits,
            ..empty(status, record.attempt, record.tier)
        };
        let event = event.zip(record.event_offset.map(|offset| EventSeq::new(partition, offset)));
        let id = record.start.id;
        let started_by = event.as_ref().map(|(event, seq)| (&event.record, *seq));
        if let Some(row) = whole(record.start, record.scope, record.admitted, started_by, state) {
            self.put(Entry::Whole(Box::new(row)), record.at);
        }
        if let Some((event, seq)) = event {
            let what = What { status: EventStatus::Delivered, reason: None, quota: None, executions: vec![id] };
            self.events.push(event_row(event, seq, what));
        }
    }

    /// The rows to write.
    pub(crate) fn into_batch(self) -> ProjectionBatch {
        let delta = |((scope, day, measure), used)| UsageDelta { scope, day, measure, used };
        let mut usage: Vec<UsageDelta> = self.usage.into_iter().map(delta).collect();
        usage.sort_by(|a, b| (&a.scope, a.day, a.measure).cmp(&(&b.scope, b.day, b.measure)));
        let (events, erased) = (self.events, self.erased);
        let mut batch = ProjectionBatch { events, usage, erased, ..ProjectionBatch::default() };
        for (entry, _) in self.entries {
            match entry {
                Entry::Whole(row) => batch.executions.push(*row),
                Entry::Patch { patch, .. } => batch.patches.push(patch),
            }
        }
        batch
    }
}

/// What became of an event.
struct What {
    status: EventStatus,
    reason: Option<String>,
    quota: Option<QuotaOutcome>,
    executions: Vec<ExecutionId>,
}

fn event_row(event: ReadEvent, seq: EventSeq, what: What) -> EventRow {
    let What { status, reason, quota, executions } = what;
    let ReadEvent { record, received } = event;
    let erased = record.is_erased();
    // What a command carries is shown by the executions that it starts or ends.
    let data = (record.kind != COMMAND_TYPE && !erased).then_some(record.data);
    let headers = if erased { Vec::new() } else { record.headers };
    EventRow {
        seq,
        scope: record.scope,
        id: record.id,
        source: record.source,
        kind: record.kind,
        subject: record.subject,
        time: record.time,
        received,
        origin: record.origin,
        trigger: record.trigger,
        status,
        reason,
        quota,
        priority: record.priority,
        executions,
        headers,
        data,
    }
}

fn empty(status: ExecutionStatus, attempt: u32, tier: Tier) -> ExecutionState {
    ExecutionState { status, attempt, tier, error: None, results: Vec::new(), waits: Vec::new(), end: None }
}

/// The row of an execution; nothing when neither it nor an event has its input.
fn whole(
    start: NewExecution,
    scope: Scope,
    created: Timestamp,
    event: Option<(&EventRecord, EventSeq)>,
    mut state: ExecutionState,
) -> Option<ExecutionRow> {
    let mut headers = start.headers;
    let (origin, event_id, input) = match (start.origin, event) {
        (Some(inline), _) => {
            let Inline { event_id, event_kind, event_source, event_time, triggered_by, input, .. } = inline;
            headers.splice(0..0, inline.headers);
            // A replay from the failed step begins with what it keeps.
            if state.results.is_empty() {
                state.results = inline.results;
            }
            (triggered_by, event_id, InputRow::Inline { event_kind, event_source, event_time, input })
        }
        (None, Some((event, seq))) => (event.origin, event.id.clone(), InputRow::Event(seq)),
        (None, None) => return None,
    };
    Some(ExecutionRow {
        id: start.id,
        scope,
        created,
        workflow: start.workflow,
        version: start.version,
        environment: start.environment,
        origin,
        trigger: start.trigger,
        event_id,
        replay_of: start.replay_of,
        parent: start.parent.map(|parent| parent.execution),
        headers,
        input,
        flow: start.flow,
        state,
    })
}
