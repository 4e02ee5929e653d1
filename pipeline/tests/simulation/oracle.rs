//! What must hold when the faults are over: read from the journal alone, as any other reader of it would.

use std::collections::{HashMap, HashSet};

use fastn_contract::activity::{EventStatus, ExecutionStatus};
use fastn_domain::journal::{Finished, JournalRecord, NewExecution};
use fastn_domain::scope::Scope;

use crate::world::{Id, World};

/// The journal as its readers believe it.
struct Believed<'w> {
    admitted: HashMap<u64, (EventStatus, Vec<&'w NewExecution>)>,
    started: HashMap<Id, &'w NewExecution>,
    finished: HashMap<Id, &'w Finished>,
    sequence: Vec<(String, Id)>,
}

fn believed(world: &World) -> Believed<'_> {
    let mut claimed = 0;
    let mut scopes: HashMap<Id, &Scope> = HashMap::new();
    let mut journal =
        Believed { admitted: HashMap::new(), started: HashMap::new(), finished: HashMap::new(), sequence: Vec::new() };
    for record in &world.journal {
        if record.epoch() < claimed {
            continue;
        }
        match record {
            JournalRecord::Claim(claim) => claimed = claim.epoch,
            JournalRecord::Admitted(admitted) => {
                for event in &admitted.events {
                    let executions: Vec<&NewExecution> = event.executions.iter().collect();
                    if is_erasure(world, event.offset) {
                        let mut own = scopes.iter().filter(|(_, scope)| ***scope == event.scope);
                        let survivor = own.find(|(id, _)| !journal.finished.contains_key(*id));
                        assert_eq!(survivor, None, "an execution outlived the erasure at {}", event.offset);
                    }
                    scopes.extend(executions.iter().map(|start| (start.id, &event.scope)));
                    for start in &executions {
                        let before = journal.started.insert(start.id, start);
                        assert!(before.is_none(), "execution {} was started twice", start.id);
                        journal.sequence.extend(start.sequence.clone().map(|sequence| (sequence, start.id)));
                    }
                    let before = journal.admitted.insert(event.offset, (event.status, executions));
                    assert!(before.is_none(), "event at {} was admitted twice", event.offset);
                }
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

fn is_erasure(world: &World, offset: u64) -> bool {
    world.events[offset as usize].1.is_erasure()
}

/// Checks everything; panics with what is wrong.
pub(crate) fn check(world: &World) {
    let journal = believed(world);
    let mut first: HashMap<(&str, &str), u64> = HashMap::new();
    for (offset, (_, event)) in world.events.iter().enumerate() {
        let offset = offset as u64;
        let (status, executions) = journal.admitted.get(&offset).unwrap_or_else(|| panic!("event {offset} was lost"));
        let key = (event.scope.customer.as_str(), event.id.as_str());
        let is_first = *first.entry(key).or_insert(offset) == offset;
        if event.trigger.is_some() || event.source.starts_with("app/") {
            let expected = usize::from(is_first);
            let may_skip = event.trigger.as_ref().is_some_and(|trigger| trigger.as_str() == "skip");
            let skipped = may_skip && *status == EventStatus::Rejected && executions.is_empty();
            assert!(executions.len() == expected || skipped, "event {} at {offset}: {status:?}", event.id);
        }
        for start in executions.iter().filter(|_| event.source.starts_with("app/")) {
            let own = format!("app-{}", event.scope.customer);
            assert_eq!(start.trigger.as_ref().map(|trigger| trigger.as_str()), Some(own.as_str()), "a customer's own");
        }
    }
    for id in journal.started.keys() {
        assert!(journal.finished.contains_key(id), "execution {id} never ended");
    }
    check_sequences(world, &journal);
    check_children(&journal);
    check_overlap(world);
}

/// Of a schedule that skips or cancels, no run is admitted while another of the same customer lives, and nothing is skipped
/// while none does. Of one that queues, all are of one sequence.
fn check_overlap(world: &World) {
    let mut claimed = 0;
    let mut live: HashMap<(String, &str), Id> = HashMap::new();
    for record in &world.journal {
        if record.epoch() < claimed {
            continue;
        }
        match record {
            JournalRecord::Claim(claim) => claimed = claim.epoch,
            JournalRecord::Finished(finished) => live.retain(|_, id| *id != finished.execution),
            JournalRecord::Admitted(admitted) => {
                for event in &admitted.events {
                    let sent = &world.events[event.offset as usize].1;
                    let Some(trigger) = sent.trigger.as_ref().map(|trigger| trigger.as_str()) else { continue };
                    let line = (event.scope.key(), trigger);
                    if trigger == "queue" {
                        assert!(event.executions.iter().all(|start| start.sequence.is_some()));
                    }
                    if trigger == "skip" && event.status == EventStatus::Rejected {
                        assert!(live.contains_key(&line), "event at {} was skipped for nothing", event.offset);
                    }
                    if trigger == "skip" || trigger == "cancel_older" {
                        for start in &event.executions {
                            let before = live.insert(line.clone(), start.id);
                            assert_eq!(before, None, "a run of {line:?} was admitted beside another");
                        }
                    }
                }
            }
            _ => {}
        }
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
