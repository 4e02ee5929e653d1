//! Reading an execution's past from the log, when it is not in memory: a sleeper that wakes, a queued one whose turn
//! comes, one that the cleaner says again.

use std::sync::Arc;

use fastn_domain::Timestamp;
use fastn_domain::event::EventRecord;
use fastn_domain::ids::ExecutionId;
use fastn_domain::journal::{JournalRecord, NewExecution, OpRecord};

use super::execution::{Payload, Phase};
use super::finish::{End, code_error, parent_result};
use super::{Machine, Output};

/// Where an execution's past lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// The event that started it, in `events[p]`; absent when the journal has its input, or memory does.
    pub event: Option<u64>,
    /// Its records in `executions[p]`, in order.
    pub journal: Vec<u64>,
    /// The events of an open batch, in `events[p]`.
    pub batch: Vec<u64>,
}

impl Machine {
    /// Asks for the past of an execution, and returns the number by which the answer is known: the cleaner and the
    /// dispatcher may both have asked, and only the answer to the newest question is the whole past.
    pub(super) fn load(&mut self, id: ExecutionId) -> u64 {
        self.next_load += 1;
        let load = self.next_load;
        let Some(execution) = self.executions.get(&id) else { return load };
        // Its last record may be on its way still; then the reading waits for it.
        let last = execution.last_record();
        self.hold(last, super::ops::Held::Load(id, load));
        load
    }

    pub(super) fn load_now(&mut self, id: ExecutionId, load: u64) {
        let Some(execution) = self.executions.get(&id) else { return };
        let event = if execution.payload.is_none() { execution.event_offset } else { None };
        let needs_journal = execution.results_in_log || (execution.payload.is_none() && event.is_none());
        let journal = if needs_journal {
            execution.records.iter().map(|seq| self.offsets.offset(*seq)).collect()
        } else {
            Vec::new()
        };
        self.out.push(Output::Load { execution: id, load, sources: Source { event, journal, batch: Vec::new() } });
    }

    pub(super) fn on_loaded(
        &mut self,
        id: ExecutionId,
        load: u64,
        event: Option<(Timestamp, EventRecord)>,
        records: Vec<JournalRecord>,
    ) {
        if self.cleaner.expects(id, load) {
            self.on_loaded_for_cleaning(id, event, records);
            return;
        }
        if !self
            .executions
            .get(&id)
            .is_some_and(|execution| execution.phase == Phase::Loading && execution.load == load)
        {
            return;
        }
        self.take_in(id, event, records);
        if self.executions.get(&id).is_some_and(|execution| execution.payload.is_some()) {
            self.start_sandbox(id);
            return;
        }
        let message = "its input is no longer in the log: the retention of the log is shorter than the wait".to_owned();
        self.end_with(id, End::Failed(code_error("lost", "RetentionError", message)), Vec::new());
    }

    /// Puts what the log says in front of what memory has.
    pub(super) fn take_in(
        &mut self,
        id: ExecutionId,
        event: Option<(Timestamp, EventRecord)>,
        records: Vec<JournalRecord>,
    ) {
        let (start, loaded) = past_of(id, records);
        let Some(execution) = self.executions.get_mut(&id) else { return };
        if let Some((_, event)) = &event {
            execution.triggered_by = event.origin;
            execution.reply_to = execution.reply_to.take().or_else(|| event.reply_to.clone().map(Box::new));
        }
        if execution.payload.is_none() {
            let of_event = event.map(|(at, event)| Payload::of_event(&event, at, &execution.route_headers));
            let of_start = start.and_then(|start| start.origin).map(|inline| Payload::of_inline(&inline));
            execution.payload = of_event.or(of_start).map(Arc::new);
            // What is loaded was not counted as queued.
            let size = execution.payload.as_deref().map_or(0, Payload::size);
            if execution.started.is_none() {
                self.queued_payload_bytes += size;
            }
        }
        if std::mem::take(&mut execution.results_in_log) {
            let mut results = loaded;
            let known: Vec<String> = results.iter().map(|result| result.key.clone()).collect();
            let count = results.len();
            let fresh = std::mem::take(&mut execution.results);
            let journaled_fresh = execution.journaled;
            let mut kept = 0;
            for (at, result) in fresh.into_iter().enumerate() {
                if !known.contains(&result.key) {
                    kept += usize::from(at < journaled_fresh);
                    results.push(result);
                }
            }
            execution.results = results;
            execution.journaled = count + kept;
            execution.effect_mark = execution.effect_mark.max(execution.journaled);
        }
    }
}

/// How `id` started, and its results in order, each key once, as its records tell.
fn past_of(id: ExecutionId, records: Vec<JournalRecord>) -> (Option<NewExecution>, Vec<OpRecord>) {
    let mut start: Option<NewExecution> = None;
    let mut results: Vec<OpRecord> = Vec::new();
    let add = |results: &mut Vec<OpRecord>, more: Vec<OpRecord>| {
        for result in more {
            if !results.iter().any(|known| known.key == result.key) {
                results.push(result);
            }
        }
    };
    let begin = |found: NewExecution, start: &mut Option<NewExecution>, results: &mut Vec<OpRecord>| {
        if let Some(inline) = &found.origin {
            *results = inline.results.clone();
        }
        *start = Some(found);
    };
    for record in records {
        match record {
            JournalRecord::Admitted(admitted) => {
                let mut executions = admitted.events.into_iter().flat_map(|event| event.executions);
                if let Some(found) = executions.find(|start| start.id == id) {
                    begin(found, &mut start, &mut results);
                }
            }
            JournalRecord::Progress(progress) if progress.execution == id => add(&mut results, progress.results),
            JournalRecord::Progress(progress) => {
                if let Some(found) = progress.invoked.into_iter().find(|start| start.id == id) {
                    begin(found, &mut start, &mut results);
                }
            }
            JournalRecord::Started(started) if started.start.id == id => begin(started.start, &mut start, &mut results),
            JournalRecord::Finished(finished) => add(&mut results, parent_result(&finished).into_iter().collect()),
            JournalRecord::Snapshot(snapshot) if snapshot.start.id == id => {
                results = snapshot.results;
                start = Some(snapshot.start);
            }
            _ => {}
        }
    }
    (start, results)
}
