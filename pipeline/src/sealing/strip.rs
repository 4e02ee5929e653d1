//! A journal record without its payloads: what stands in the log for those who have no key, and for everybody once the
//! key is destroyed.

use fastn_contract::activity::ExecutionError;
use fastn_domain::journal::{AdmittedEvent, Batched, Count, JournalRecord, NewExecution};
use serde::{Deserialize, Serialize};

/// Takes every payload out of a record that tells of one customer.
pub(super) fn journal(record: &mut JournalRecord) {
    match record {
        JournalRecord::Progress(progress) => {
            progress.results.clear();
            progress.waits.clear();
            progress.invoked.clear();
            progress.state.clear();
            progress.retry.iter_mut().for_each(|retry| error(&mut retry.error));
        }
        JournalRecord::Finished(finished) => {
            finished.results.clear();
            finished.steps.clear();
            finished.logs.clear();
            finished.output = None;
            finished.error.iter_mut().for_each(error);
        }
        JournalRecord::Snapshot(snapshot) => {
            let _sealed_with_the_record = start(&mut snapshot.start);
            snapshot.results.clear();
            snapshot.waits.clear();
            snapshot.retry.iter_mut().for_each(|retry| error(&mut retry.error));
        }
        JournalRecord::StateSnapshot(snapshot) => snapshot.entries.clear(),
        JournalRecord::Started(started) => {
            started.batch.clear();
            let _sealed_with_the_record = start(&mut started.start);
        }
        JournalRecord::FlowSnapshot(snapshot) => {
            snapshot.counters.clear();
            snapshot.batches.clear();
        }
        JournalRecord::Claim(_)
        | JournalRecord::Admitted(_)
        | JournalRecord::DedupSnapshot(_)
        | JournalRecord::Checkpoint(_) => {}
    }
}

/// Takes the payloads out of the start of an execution, and gives the whole as JSON; nothing if it has none.
pub(super) fn start(start: &mut NewExecution) -> Option<String> {
    if start.sequence.is_none() && start.headers.is_empty() && start.origin.is_none() && start.flow.is_none() {
        return None;
    }
    let whole = text(start);
    start.sequence = None;
    start.flow = None;
    start.headers.clear();
    if let Some(inline) = &mut start.origin {
        inline.headers.clear();
        inline.results.clear();
        "null".clone_into(&mut inline.input);
    }
    Some(whole)
}

/// What an admission tells of an event beside its executions: keys of flow control hold values of payloads.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Admission {
    reason: Option<String>,
    counted: Vec<Count>,
    batches: Vec<Batched>,
}

impl Admission {
    /// Takes it out of an event, and gives it as JSON; nothing if there is none.
    pub(super) fn take(event: &mut AdmittedEvent) -> Option<String> {
        let AdmittedEvent { reason, counted, batches, .. } = event;
        let none = reason.is_none() && counted.is_empty() && batches.is_empty();
        let (reason, counted, batches) = (std::mem::take(reason), std::mem::take(counted), std::mem::take(batches));
        (!none).then(|| text(&Self { reason, counted, batches }))
    }

    /// Puts it back.
    pub(super) fn put(self, event: &mut AdmittedEvent) {
        (event.reason, event.counted, event.batches) = (self.reason, self.counted, self.batches);
    }
}

fn text(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("journal types have string keys and no failing serialisers")
}

/// What failed may be said, but not with which values.
fn error(error: &mut ExecutionError) {
    error.message.clear();
    error.stack = None;
    error.source_line = None;
}
