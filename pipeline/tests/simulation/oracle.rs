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
        if event.trigger.is_some() {
            let expected = usize::from(is_first);
            assert_eq!(executions.len(), expected, "event {} at {offset}: {status:?}", event.id);
        }
    }
    for id in journal.started.keys() {
        assert!(journal.finished.contains_key(id), "execution {id} never ended");
    }
    check_sequences(world, &journal);
    check_children(&journal);
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
