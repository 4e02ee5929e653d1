//! What must hold of quotas and flow control when the faults are over, read from the journal.

use std::collections::HashMap;

use fastn_contract::activity::{EventStatus, Origin};
use fastn_contract::quota::QuotaOutcome;
use fastn_domain::Timestamp;
use fastn_domain::journal::Count;
use fastn_domain::quota::{MINUTE, Window};

use crate::catalog::{HARD_LIMIT, QUEUE_LIMIT, RATE_LIMIT};
use crate::oracle::{Believed, is_erasure};
use crate::world::{Id, World};

pub(crate) fn check(world: &World, journal: &Believed<'_>) {
    check_counts(world, journal);
    check_rates(world, journal);
    check_batches(world, journal);
    check_debounces(world, journal);
    if world.limited {
        check_exact(world, journal);
    }
}

/// No window holds more than its limit. A customer that was erased counts from nothing.
fn check_counts(world: &World, journal: &Believed<'_>) {
    let mut windows: HashMap<(String, &str, Timestamp), u64> = HashMap::new();
    for (offset, event) in &journal.admitted {
        let scope = event.scope.key();
        if is_erasure(world, *offset) {
            windows.retain(|(own, _, _), _| *own != scope);
        }
        for count in &event.counted {
            let used = windows.entry((scope.clone(), &count.counter, count.from)).or_default();
            *used += 1;
            let limit = match (scope.as_str(), count.counter.as_str()) {
                (_, counter) if counter.starts_with("rate/") => RATE_LIMIT,
                ("acc/c1", _) => HARD_LIMIT,
                _ => QUEUE_LIMIT,
            };
            let Count { counter, from, .. } = count;
            assert!(*used <= limit, "{used} of {limit} in the window of {counter} of {scope} from {from}");
        }
    }
}

/// A rate counts what starts and nothing else: what starts nothing is in no window, and nothing waits for a window while the
/// journal shows room in one before. A quota that queues gives out windows ahead, so its customer is left out.
fn check_rates(world: &World, journal: &Believed<'_>) {
    let mut windows: HashMap<(String, &str, Timestamp), u64> = HashMap::new();
    for (offset, event) in &journal.admitted {
        if is_erasure(world, *offset) {
            let erased = event.scope.key();
            windows.retain(|(own, _, _), _| *own != erased);
        }
        let queues = world.limited && event.scope.customer.as_str() == "c2";
        for count in event.counted.iter().filter(|count| !queues && count.counter.starts_with("rate/")) {
            assert!(!event.executions.is_empty(), "event at {offset} starts nothing and counts in {}", count.counter);
            let mut window = Window { start: count.from, end: count.to };
            let length = std::time::Duration::from_micros((count.to.0 - count.from.0).unsigned_abs());
            let of = |start| (event.scope.key(), count.counter.as_str(), start);
            *windows.entry(of(window.start)).or_default() += 1;
            let first = Window::at(journal.admitted_at[offset], length);
            while window.start > first.start {
                window = Window::at(Timestamp(window.start.0 - 1), length);
                let used = windows.get(&of(window.start)).copied().unwrap_or_default();
                assert_eq!(used, RATE_LIMIT, "event at {offset} waits while {} has room", count.counter);
            }
        }
    }
}

/// Of the customer with a hard limit, exactly the limit is admitted in a minute of the log, and only then one is refused.
fn check_exact(world: &World, journal: &Believed<'_>) {
    let mut minutes: HashMap<Timestamp, u64> = HashMap::new();
    for (offset, admitted) in &journal.admitted {
        let (at, event) = &world.events[*offset as usize];
        if event.scope.customer.as_str() == "c1" && is_erasure(world, *offset) {
            minutes.clear();
        }
        let counts = admitted.status != EventStatus::Duplicate && event.origin != Origin::Command;
        if event.scope.customer.as_str() != "c1" || !counts {
            continue;
        }
        let used = minutes.entry(Window::at(*at, MINUTE).start).or_default();
        if admitted.quota == Some(QuotaOutcome::Blocked) {
            assert_eq!(*used, HARD_LIMIT, "event {} was refused while there was room", event.id);
        } else {
            *used += 1;
            assert!(*used <= HARD_LIMIT, "event {} was admitted beyond the limit", event.id);
        }
    }
}

/// Every event of a batch is in the input of its execution once, in order.
fn check_batches(world: &World, journal: &Believed<'_>) {
    let mut members: HashMap<Id, Vec<&str>> = HashMap::new();
    for (offset, admitted) in &journal.admitted {
        for batched in &admitted.batches {
            members.entry(batched.execution).or_default().push(&world.events[*offset as usize].1.data);
        }
    }
    members.retain(|id, _| !journal.erased.contains(id));
    assert_eq!(members.len(), journal.batches.len(), "batches were opened and not started, or the other way round");
    for (id, data) in members {
        let started = journal.batches.get(&id).unwrap_or_else(|| panic!("batch {id} never started"));
        let input = started.start.origin.as_ref().map(|origin| origin.input.clone()).unwrap_or_default();
        assert_eq!(input, format!("[{}]", data.join(",")), "batch {id}");
    }
}

/// Of a debounce, the newest event is never the one whose place another took.
fn check_debounces(world: &World, journal: &Believed<'_>) {
    let mut newest: HashMap<String, Id> = HashMap::new();
    for (offset, admitted) in &journal.admitted {
        let event = &world.events[*offset as usize].1;
        if event.trigger.as_ref().is_none_or(|trigger| trigger.as_str() != "debounced") {
            continue;
        }
        if let Some(start) = admitted.executions.first() {
            newest.insert(format!("{} {}", admitted.scope.key(), event.data), start.id);
        }
    }
    for id in newest.values() {
        let error = journal.finished[id].error.as_ref().map(|error| error.name.as_str());
        assert_ne!(error, Some("Superseded"), "{id} was the newest of its debounce");
    }
}
