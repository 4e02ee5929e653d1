//! The priority of an event, through the machine: which execution starts first, and after a crash.

#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

use std::sync::Arc;

use fastn_contract::activity::Origin;
use fastn_contract::resource::WorkflowVersion;
use fastn_domain::catalog::{Catalog, ResourceKind, ResourceRow};
use fastn_domain::event::{COMMAND_TYPE, Command, EventRecord, Replay};
use fastn_domain::ids::{EventId, ExecutionId};
use fastn_domain::journal::JournalRecord;
use fastn_domain::scope::Scope;
use fastn_domain::time::Timestamp;
use fastn_pipeline::processor::machine::{Input, Limits, LoggedEvent, Machine, Output, Recovery};
use serde_json::{Value, json};

const NOW: Timestamp = Timestamp(1_000_000);

fn row(kind: ResourceKind, id: &str, body: &Value) -> ResourceRow {
    ResourceRow {
        kind,
        account: "acc".parse().unwrap(),
        customer: None,
        id: id.to_owned(),
        revision: 1,
        version: 1,
        created: Timestamp(0),
        updated: Timestamp(0),
        deleted: false,
        body: body.to_string(),
    }
}

/// One customer, one workflow of priority P3, and triggers: `plain` and `urgent`, which says P2.
fn catalog() -> Arc<Catalog> {
    let version = WorkflowVersion {
        workflow: "w".to_owned(),
        version: 1,
        source: String::new(),
        file: String::new(),
        source_hash: String::new(),
    };
    let trigger = |id: &str, flow: Value| {
        let source = json!({"type": "event", "types": [id]});
        let body = json!({"id": id, "source": source, "routes": [{"workflow": "w"}], "flow": flow});
        row(ResourceKind::Trigger, id, &body)
    };
    let rows = [
        row(ResourceKind::Customer, "c", &json!({"id": "c"})),
        row(ResourceKind::Workflow, "w", &json!({"id": "w", "flow": {"priority": "P3"}})),
        row(ResourceKind::WorkflowVersion, "w@1", &json!(version)),
        row(ResourceKind::Workflow, "one", &json!({"id": "one", "flow": {"concurrency": {"limit": 1}}})),
        row(ResourceKind::WorkflowVersion, "one@1", &json!(WorkflowVersion { workflow: "one".to_owned(), ..version })),
        trigger("plain", Value::Null),
        trigger("urgent", json!({"priority": "P2"})),
        trigger("batched", json!({"batch": {"maxSize": 2, "maxWaitMs": 1_000}})),
    ];
    let (catalog, errors) = Catalog::default().with(&rows);
    assert!(errors.is_empty(), "{errors:?}");
    Arc::new(catalog)
}

fn event(offset: u64, id: &str, kind: &str, priority: Option<u32>) -> LoggedEvent {
    let event = EventRecord {
        id: EventId::new(id).unwrap(),
        source: "test".to_owned(),
        kind: kind.to_owned(),
        subject: None,
        time: NOW,
        scope: Scope::parse("acc", "c").unwrap(),
        origin: Origin::Api,
        trigger: None,
        workflow: None,
        environment: None,
        headers: Vec::new(),
        data: "{}".into(),
        reply_to: None,
        traceparent: None,
        priority,
    };
    LoggedEvent { offset, timestamp: NOW, event: Some(Arc::new(event)) }
}

/// The records that the machine appended, and the events whose executions it started, in order.
fn handle(machine: &mut Machine, input: Input) -> (Vec<JournalRecord>, Vec<String>) {
    let (mut out, mut records, mut started) = (Vec::new(), Vec::new(), Vec::new());
    machine.handle(input, NOW, &mut out);
    for output in out {
        match output {
            Output::Append(record) => records.push(record),
            Output::Start(run) => started.push(run.payload.event_id.to_string()),
            _ => {}
        }
    }
    (records, started)
}

fn machine(limits: Limits) -> Machine {
    Recovery::new(0, 1, limits, catalog()).finish(1, 0, 0, NOW)
}

/// Property: an event's own priority goes before its trigger's, and that before the workflow's, whatever came first; of a
/// batch the first event's counts.
#[test]
fn the_events_own_priority_goes_first() {
    let limits = Limits { starts_in_flight_max: 100, ..Limits::default() };
    let sent = [
        event(0, "workflow", "plain", None),
        event(1, "last", "urgent", Some(4)),
        event(2, "trigger", "urgent", None),
        event(3, "batch-1", "batched", Some(4)),
        event(4, "batch-2", "batched", Some(1)),
        event(5, "first", "plain", Some(1)),
    ];
    let (_, started) = handle(&mut machine(limits), Input::Events(sent.to_vec()));
    assert_eq!(started, ["first", "trigger", "workflow", "last", "batch-1"]);
}

fn replay(offset: u64, n: u128, priority: Option<u32>) -> LoggedEvent {
    let command = Command::Replay(Box::new(Replay {
        of: ExecutionId(n),
        request: format!("r{n}"),
        execution: ExecutionId(100 + n),
        workflow: "one".parse().unwrap(),
        version: 1,
        environment: "test".parse().unwrap(),
        trigger: None,
        event_id: EventId::new(&format!("again-{n}")).unwrap(),
        event_kind: "k".to_owned(),
        event_source: "s".to_owned(),
        event_time: NOW,
        headers: Vec::new(),
        input: "{}".to_owned(),
        results: Vec::new(),
    }));
    let mut logged = event(offset, &format!("r{n}"), COMMAND_TYPE, priority);
    let event = Arc::make_mut(logged.event.as_mut().unwrap());
    (event.origin, event.data) = (Origin::Command, serde_json::to_string(&command).unwrap().into());
    logged
}

/// Property: a replay goes as its command says, as a run by hand if it says nothing, and takes its room in the concurrency
/// of its workflow as any other execution.
#[test]
fn replays_have_their_lane_and_take_room() {
    let limits = Limits { starts_in_flight_max: 100, ..Limits::default() };
    let sent = [replay(0, 1, Some(3)), event(1, "trigger", "urgent", None), replay(2, 2, None)];
    let mut machine = machine(limits);
    let (records, started) = handle(&mut machine, Input::Events(sent.to_vec()));
    assert_eq!(started, ["trigger", "again-1"], "the second replay waits for the end of the first");
    let gates = |record: &JournalRecord| match record {
        JournalRecord::Admitted(record) => {
            record.events.iter().flat_map(|event| &event.executions).filter(|start| start.replay_of.is_some()).count()
        }
        _ => 0,
    };
    assert_eq!(records.iter().map(gates).sum::<usize>(), 2);
}

/// Property: a new owner of the partition starts in the same order, from the journal alone.
#[test]
fn the_order_is_in_the_journal() {
    let held = Limits { starts_in_flight_max: 0, ..Limits::default() };
    let sent =
        [event(0, "low", "plain", Some(4)), event(1, "middle", "plain", None), event(2, "high", "plain", Some(1))];
    let (records, started) = handle(&mut machine(held), Input::Events(sent.to_vec()));
    assert_eq!(started, Vec::<String>::new());
    let limits = Limits { starts_in_flight_max: 100, ..Limits::default() };
    let mut recovery = Recovery::new(0, 1, limits, catalog());
    for (offset, record) in (0..).zip(records) {
        recovery.apply(offset, record);
    }
    let mut machine = recovery.finish(2, 9, 0, NOW);
    let mut out = Vec::new();
    machine.handle(Input::Tick, NOW, &mut out);
    let asked: Vec<u64> = out
        .iter()
        .filter_map(|output| match output {
            Output::Load { sources, .. } => sources.event,
            _ => None,
        })
        .collect();
    assert_eq!(asked, [2, 1, 0], "payloads are read in the order of the turns");
}
