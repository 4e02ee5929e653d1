//! What must hold when the faults are over: read from the journal alone, as any other reader of it would.

use std::collections::{BTreeMap, HashMap, HashSet};

use fastn_contract::activity::{EventStatus, ExecutionStatus};
use fastn_contract::quota::QuotaOutcome;
use fastn_domain::Timestamp;
use fastn_domain::journal::{AdmittedEvent, Finished, JournalRecord, NewExecution, Started};
use fastn_domain::scope::Scope;

use crate::world::{Id, World};

/// The journal as its readers believe it.
pub(crate) struct Believed<'w> {
    pub(crate) admitted: BTreeMap<u64, &'w AdmittedEvent>,
    /// When each offset was admitted.
    pub(crate) admitted_at: BTreeMap<u64, Timestamp>,
    pub(crate) batches: HashMap<Id, &'w Started>,
    /// Batches that were open when their customer was erased: they never start.
    pub(crate) erased: HashSet<Id>,
    started: HashMap<Id, &'w NewExecution>,
    pub(crate) finished: HashMap<Id, &'w Finished>,
    sequence: Vec<(String, Id)>,
}

fn believed(world: &World) -> Believed<'_> {
    let mut claimed = 0;
    let mut scopes: HashMap<Id, &Scope> = HashMap::new();
    let mut opened: HashMap<Id, &Scope> = HashMap::new();
    let mut journal = Believed {
        admitted: BTreeMap::new(),
        admitted_at: BTreeMap::new(),
        batches: HashMap::new(),
        erased: HashSet::new(),
        started: HashMap::new(),
        finished: HashMap::new(),
        sequence: Vec::new(),
    };
    for record in &world.journal {
        if record.epoch() < claimed {
            continue;
        }
        match record {
            JournalRecord::Claim(claim) => claimed = claim.epoch,
            JournalRecord::Admitted(admitted) => {
                for event in &admitted.events {
                    if is_erasure(world, event.offset) {
                        let mut own = scopes.iter().filter(|(_, scope)| ***scope == event.scope);
                        let survivor = own.find(|(id, _)| !journal.finished.contains_key(*id));
                        assert_eq!(survivor, None, "an execution outlived the erasure at {}", event.offset);
                        journal.erased.extend(opened.extract_if(|_, scope| **scope == event.scope).map(|(id, _)| id));
                    }
                    opened.extend(event.batches.iter().map(|batched| (batched.execution, &event.scope)));
                    scopes.extend(event.executions.iter().map(|start| (start.id, &event.scope)));
                    for start in &event.executions {
                        let before = journal.started.insert(start.id, start);
                        assert!(before.is_none(), "execution {} was started twice", start.id);
                        journal.sequence.extend(start.sequence.clone().map(|sequence| (sequence, start.id)));
                    }
                    journal.admitted_at.insert(event.offset, admitted.at);
                    let before = journal.admitted.insert(event.offset, event);
                    assert!(before.is_none(), "event at {} was admitted twice", event.offset);
                }
            }
            JournalRecord::Started(started) => {
                assert!(!journal.erased.contains(&started.start.id), "batch {} outlived an erasure", started.start.id);
                opened.remove(&started.start.id);
                scopes.insert(started.start.id, &started.scope);
                let before = journal.batches.insert(started.start.id, started);
                assert!(before.is_none(), "batch {} was started twice", started.start.id);
                let before = journal.started.insert(started.start.id, &started.start);
                assert!(before.is_none(), "execution {} was started twice", started.start.id);
            }
            JournalRecord::Progress(progress) => {
                scopes.extend(progress.invoked.iter().map(|start| (start.id, &progress.scope)));
                journal.started.extend(progress.invoked.iter().map(|start| (start.id, start)));
            }
            JournalRecord::Finished(finished) => {
                let before = journal.finished.insert(finished.execution, finished);
                assert!(before.is_none(), "execution {} ended twice", finished.execution);
            }
            _ => {}
        }
    }
    journal
}

pub(crate) fn is_erasure(world: &World, offset: u64) -> bool {
    world.events[offset as usize].1.is_erasure()
}

/// Checks everything; panics with what is wrong.
pub(crate) fn check(world: &World) {
    let journal = believed(world);
    let mut first: HashMap<(&str, &str), u64> = HashMap::new();
    for (offset, (_, event)) in world.events.iter().enumerate() {
        let offset = offset as u64;
        let admitted = journal.admitted.get(&offset).unwrap_or_else(|| panic!("event {offset} was lost"));
        // A refused event leaves nothing behind: a copy of it is judged anew.
        if admitted.quota == Some(QuotaOutcome::Blocked) {
            assert!(admitted.executions.is_empty() && admitted.batches.is_empty(), "a refused event started something");
            continue;
        }
        let key = (event.scope.customer.as_str(), event.id.as_str());
        let is_first = *first.entry(key).or_insert(offset) == offset;
        if event.trigger.is_some() || event.source.starts_with("app/") {
            let expected = usize::from(is_first);
            let taken = admitted.executions.len() + admitted.batches.len();
            let may_skip =
                event.trigger.as_ref().is_some_and(|trigger| matches!(trigger.as_str(), "skip" | "flow_skip"));
            let skipped = may_skip && admitted.status == EventStatus::Rejected && taken == 0;
            assert!(taken == expected || skipped, "event {} at {offset}: {:?}", event.id, admitted.status);
        }
        for start in admitted.executions.iter().filter(|_| event.source.starts_with("app/")) {
            let own = format!("app-{}", event.scope.customer);
            assert_eq!(start.trigger.as_ref().map(|trigger| trigger.as_str()), Some(own.as_str()), "a customer's own");
        }
    }
    for id in journal.started.keys() {
        assert!(journal.finished.contains_key(id), "execution {id} never ended");
    }
    check_sequences(world, &journal);
    check_children(&journal);
    crate::limits::check(world, &journal);
    check_overlap(world);
    check_ends(&journal);
}

/// Of a schedule that skips or cancels, no run is admitted while another of the same customer lives, and nothing is skipped
/// while none does. Of one that queues, all are of one sequence.
fn check_overlap(world: &World) {
    let mut claimed = 0;
    let mut live: HashMap<(String, &str), Id> = HashMap::new();
    // What a cancellation ends is in the journal before the record of the events around it.
    let mut just_ended: HashSet<(String, &str)> = HashSet::new();
    for record in &world.journal {
        if record.epoch() < claimed {
            continue;
        }
        match record {
            JournalRecord::Claim(claim) => claimed = claim.epoch,
            JournalRecord::Finished(finished) => {
                just_ended.extend(live.extract_if(|_, id| *id == finished.execution).map(|(line, _)| line));
            }
            JournalRecord::Admitted(admitted) => {
                for event in &admitted.events {
                    let sent = &world.events[event.offset as usize].1;
                    let Some(trigger) = sent.trigger.as_ref().map(|trigger| trigger.as_str()) else { continue };
                    let line = (event.scope.key(), trigger);
                    if trigger == "queue" {
                        assert!(event.executions.iter().all(|start| start.sequence.is_some()));
                    }
                    if trigger == "skip" && event.status == EventStatus::Rejected && event.quota.is_none() {
                        let lived = live.contains_key(&line) || just_ended.contains(&line);
                        assert!(lived, "event at {} was skipped for nothing", event.offset);
                    }
                    if trigger == "skip" || trigger == "cancel_older" {
                        for start in &event.executions {
                            let before = live.insert(line.clone(), start.id);
                            assert_eq!(before, None, "a run of {line:?} was admitted beside another");
                        }
                    }
                }
                just_ended.clear();
            }
            _ => {}
        }
    }
}

/// An end says of itself what its start had said, so that a reader of ends needs no other record.
fn check_ends(journal: &Believed<'_>) {
    for (id, end) in &journal.finished {
        let (start, run) = (journal.started[id], end.run.as_ref().unwrap_or_else(|| panic!("{id} says not what ran")));
        assert_eq!(
            (&run.workflow, run.version, &run.trigger),
            (&start.workflow, start.version, &start.trigger),
            "{id}"
        );
        assert!(run.admitted <= end.at, "{id} ended before it was admitted");
    }
}

/// Of the executions of one sequence, calls come in the order of arrival, whole executions at a time.
fn check_sequences(world: &World, journal: &Believed<'_>) {
    let mut lines: HashMap<&str, Vec<Id>> = HashMap::new();
    for (sequence, id) in &journal.sequence {
        lines.entry(sequence).or_default().push(*id);
    }
    for line in lines.values() {
        let members: HashSet<&Id> = line.iter().collect();
        let called: Vec<&Id> = world.sink.order.iter().filter(|id| members.contains(id)).collect();
        let expected: Vec<&Id> = line.iter().filter(|id| called.contains(id)).collect();
        assert_eq!(called, expected, "a sequence ran out of order");
    }
}

/// A parent that awaited its child has seen what the child's own record says.
fn check_children(journal: &Believed<'_>) {
    for (id, start) in &journal.started {
        let Some(parent) = start.parent.as_ref().filter(|parent| parent.waits) else { continue };
        let (child, parent_end) = (journal.finished[id], journal.finished.get(&parent.execution));
        let Some(output) = parent_end.filter(|end| end.status == ExecutionStatus::Completed) else { continue };
        let shown = format!("{}={}", parent.key, child.output.clone().unwrap_or_default().replace([',', '"'], "'"));
        let seen = output.output.clone().unwrap_or_default();
        assert!(seen.contains(&shown), "{} saw {seen}, its child {id} gave {shown}", parent.execution);
    }
}
