//! The sealing layer over a log in memory: what is in the log, what reads through it, and what is left without the key.

#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

use std::sync::Arc;
use std::time::Duration;

use fastn_contract::activity::{EventStatus, ExecutionError, ExecutionStatus, Origin};
use fastn_contract::resource::Tier;
use fastn_domain::catalog::{Catalog, LogKey, ResourceKind, ResourceRow};
use fastn_domain::event::{COMMAND_TYPE, Command, EventRecord, Header};
use fastn_domain::journal::{
    Admitted, AdmittedEvent, BatchPlan, BatchState, Batched, Claim, Count, CounterState, Finished, Flow, FlowSnapshot,
    Inline, JournalRecord, LogLine, NewExecution, OpRecord, Progress, Retry, Snapshot, Started, StateSnapshot,
    StateWrite, StepRecord, Wait, WaitKind,
};
use fastn_domain::{EnvironmentId, EventId, ExecutionId, Scope, Timestamp, TriggerId, WorkflowId};
use fastn_log::codec::{decode_event, decode_journal, encode_journal};
use fastn_log::{Log, LogErrorKind, Record, StoredRecord, Topic, event_record_at};
use fastn_pipeline::sealing::SealedLog;
use fastn_store::{MasterKey, Vault, new_log_key};
use fastn_testkit::MemoryLog;
use tokio::sync::watch;

const MARK: &str = "MARK-42";
const KEY: &str = "lk_1";

fn scope(customer: &str) -> Scope {
    Scope::parse("acc", customer).unwrap()
}

fn vault() -> Arc<Vault> {
    let key = MasterKey::from_base64("AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=", "a test").unwrap();
    Arc::new(Vault::new(&key))
}

/// The row of the customer's key; deleted ones hold nothing of it.
fn key_row(vault: &Vault, customer: &str, id: &str, revision: u64, deleted: bool) -> ResourceRow {
    let own = scope(customer);
    let sealed = vault.seal(&own.account, Some(&own.customer), id, 1, &new_log_key()).unwrap();
    let key = LogKey { id: id.to_owned(), sealed, active: true, created: Timestamp(0), since_the_start: true };
    ResourceRow {
        kind: ResourceKind::LogKey,
        account: own.account,
        customer: Some(own.customer),
        id: id.to_owned(),
        revision,
        version: 1,
        created: Timestamp(0),
        updated: Timestamp(0),
        deleted,
        body: if deleted { "{}".to_owned() } else { serde_json::to_string(&key).unwrap() },
    }
}

/// A log in which the customer `c` seals, the log behind it, and the way to a newer configuration.
struct Rig {
    sealed: SealedLog,
    bare: Arc<dyn Log>,
    catalog: watch::Sender<Arc<Catalog>>,
    rows: Vec<ResourceRow>,
}

impl Rig {
    fn new() -> Self {
        let vault = vault();
        let rows = vec![key_row(&vault, "c", KEY, 5, false)];
        let bare: Arc<dyn Log> = Arc::new(MemoryLog::new(1));
        let (catalog, receiver) = watch::channel(Arc::new(Catalog::default().with(&rows).0));
        Self { sealed: SealedLog::new(bare.clone(), receiver, vault), bare, catalog, rows }
    }

    /// A node over the same log that knows this configuration.
    fn node(&self, rows: &[ResourceRow]) -> (SealedLog, watch::Sender<Arc<Catalog>>) {
        let (sender, receiver) = watch::channel(Arc::new(Catalog::default().with(rows).0));
        (SealedLog::new(self.bare.clone(), receiver, vault()), sender)
    }

    fn destroy(&self) {
        let mut gone = self.rows[0].clone();
        (gone.deleted, gone.revision, gone.body) = (true, 9, "{}".to_owned());
        let catalog = self.catalog.borrow().with(&[gone]).0;
        self.catalog.send_replace(Arc::new(catalog));
    }
}

async fn read(log: &dyn Log, topic: Topic) -> Vec<StoredRecord> {
    log.read(topic, 0, 0, 100, 1 << 20).await.unwrap()
}

fn holds(records: &[StoredRecord], needle: &str) -> bool {
    let inside = |bytes: &[u8]| bytes.windows(needle.len()).any(|part| part == needle.as_bytes());
    records.iter().any(|record| inside(&record.value) || record.headers.iter().any(|(_, value)| inside(value)))
}

fn event(customer: &str) -> EventRecord {
    EventRecord {
        id: EventId::new("evt-1").unwrap(),
        source: "test".to_owned(),
        kind: "order.created".to_owned(),
        subject: Some(MARK.to_owned()),
        time: Timestamp(7),
        scope: scope(customer),
        origin: Origin::Api,
        trigger: None,
        workflow: None,
        environment: None,
        headers: ["x-note", "ce-region"].map(|name| Header { name: name.to_owned(), value: MARK.to_owned() }).into(),
        data: format!("{{\"text\":\"{MARK}\"}}").into(),
        reply_to: None,
        traceparent: None,
        priority: None,
    }
}

fn start(id: u128) -> NewExecution {
    NewExecution {
        id: ExecutionId(id),
        workflow: WorkflowId::new("w").unwrap(),
        version: 1,
        environment: EnvironmentId::new("test").unwrap(),
        tier: Tier::Standard,
        trigger: None,
        sequence: Some(format!("acc/c/t/{MARK}")),
        headers: Vec::new(),
        replay_of: None,
        parent: None,
        origin: Some(Inline {
            event_id: EventId::new("evt-0").unwrap(),
            event_kind: "k".to_owned(),
            event_source: "s".to_owned(),
            event_time: Timestamp(1),
            clock: Timestamp(2),
            triggered_by: Origin::Command,
            headers: vec![Header { name: "h".to_owned(), value: MARK.to_owned() }],
            input: format!("\"{MARK}\""),
            results: vec![result()],
        }),
        flow: Some(Box::new(flow())),
    }
}

/// Keys of flow control hold values of payloads.
fn flow() -> Flow {
    Flow { singletons: vec![MARK.to_owned()], ..Flow::default() }
}

fn plan() -> BatchPlan {
    BatchPlan {
        until: Timestamp(9),
        size_max: 3,
        workflow: WorkflowId::new("w").unwrap(),
        version: 1,
        environment: EnvironmentId::new("test").unwrap(),
        tier: Tier::Standard,
        trigger: TriggerId::new("t").unwrap(),
        headers: vec![Header { name: "h".to_owned(), value: MARK.to_owned() }],
        flow: Some(flow()),
    }
}

fn result() -> OpRecord {
    OpRecord {
        key: "fetch#1".to_owned(),
        kind: "fetch".to_owned(),
        started: Timestamp(1),
        at: Timestamp(2),
        attempts: 1,
        ok: Some(format!("\"{MARK}\"")),
        error: None,
    }
}

fn failure() -> ExecutionError {
    ExecutionError {
        code: "WF-EXEC-FAILED".to_owned(),
        category: "code".to_owned(),
        name: "TypeError".to_owned(),
        message: MARK.to_owned(),
        step: None,
        file: None,
        line: None,
        column: None,
        source_line: Some(MARK.to_owned()),
        stack: Some(MARK.to_owned()),
    }
}

/// A record of each kind that tells of payloads, with the mark in every text that may hold one.
fn journal(customer: &str) -> Vec<JournalRecord> {
    let (own, text) = (scope(customer), Some(format!("\"{MARK}\"")));
    let write = StateWrite { space: "s".to_owned(), key: MARK.to_owned(), value: text.clone(), expires: None };
    let wait =
        Wait { key: "w#1".to_owned(), kind: WaitKind::Event, started: Timestamp(1), until: None, detail: text.clone() };
    let retry = Retry { error: failure(), next: Timestamp(9) };
    let step = StepRecord {
        key: "fetch#1".to_owned(),
        name: "fetch".to_owned(),
        kind: "fetch".to_owned(),
        completed: true,
        attempts: 1,
        started: Timestamp(1),
        ended: Timestamp(2),
        input: text.clone(),
        output: text.clone(),
        error: Some(MARK.to_owned()),
    };
    let line = LogLine { at: Timestamp(1), level: "info".to_owned(), message: MARK.to_owned() };
    let admitted = |scope: Scope, id| AdmittedEvent {
        offset: 0,
        scope,
        status: EventStatus::Delivered,
        reason: Some(MARK.to_owned()),
        dedup: Vec::new(),
        executions: vec![start(id)],
        counted: vec![Count { counter: MARK.to_owned(), from: Timestamp(0), to: Timestamp(9) }],
        quota: None,
        batches: vec![Batched { key: MARK.to_owned(), execution: ExecutionId(3), opens: Some(plan()) }],
    };
    vec![
        JournalRecord::Claim(Claim { epoch: 1, node: "n".to_owned(), at: Timestamp(1) }),
        JournalRecord::Admitted(Admitted { epoch: 1, at: Timestamp(1), events: vec![admitted(own.clone(), 1)] }),
        JournalRecord::Progress(Progress {
            epoch: 1,
            at: Timestamp(1),
            execution: ExecutionId(1),
            scope: own.clone(),
            status: ExecutionStatus::Running,
            attempt: 1,
            tier: Tier::Standard,
            results: vec![result()],
            waits: vec![wait.clone()],
            invoked: vec![start(2)],
            state: vec![write.clone()],
            retry: Some(retry.clone()),
        }),
        JournalRecord::Snapshot(Box::new(Snapshot {
            epoch: 1,
            at: Timestamp(1),
            scope: own.clone(),
            start: start(1),
            event_offset: None,
            admitted: Timestamp(1),
            status: ExecutionStatus::Running,
            attempt: 1,
            tier: Tier::Standard,
            ran_ms: 5,
            results: vec![result()],
            waits: vec![wait],
            retry: Some(retry),
            reply_to: None,
        })),
        JournalRecord::StateSnapshot(StateSnapshot {
            epoch: 1,
            at: Timestamp(1),
            scope: own.clone(),
            entries: vec![write],
        }),
        JournalRecord::Started(Box::new(Started {
            epoch: 1,
            at: Timestamp(1),
            scope: own.clone(),
            batch: MARK.to_owned(),
            start: start(3),
        })),
        JournalRecord::FlowSnapshot(Box::new(FlowSnapshot {
            epoch: 1,
            at: Timestamp(1),
            scope: own.clone(),
            counters: vec![CounterState { counter: MARK.to_owned(), from: Timestamp(0), to: Timestamp(9), used: 1 }],
            batches: vec![BatchState {
                key: MARK.to_owned(),
                execution: ExecutionId(4),
                plan: plan(),
                events: vec![0],
            }],
        })),
        JournalRecord::Finished(Finished {
            epoch: 1,
            at: Timestamp(1),
            execution: ExecutionId(1),
            scope: own,
            parent: None,
            status: ExecutionStatus::Failed,
            attempt: 1,
            tier: Tier::Standard,
            results: vec![result()],
            steps: vec![step],
            logs: vec![line],
            output: text,
            error: Some(failure()),
            run: None,
        }),
    ]
}

fn record(record: &JournalRecord) -> Record {
    let key = match record {
        JournalRecord::Progress(record) => record.scope.key(),
        JournalRecord::Snapshot(record) => record.scope.key(),
        JournalRecord::StateSnapshot(record) => record.scope.key(),
        JournalRecord::Started(record) => record.scope.key(),
        JournalRecord::FlowSnapshot(record) => record.scope.key(),
        JournalRecord::Finished(record) => record.scope.key(),
        _ => String::new(),
    };
    Record::new(key, encode_journal(record))
}

/// Property: what a sealing customer's records hold is nowhere in the log, reads back as it was, and is a valid record
/// without payloads to who reads beside; a customer that does not seal is stored as ever.
#[tokio::test]
async fn payloads_are_nowhere_in_the_log() {
    let rig = Rig::new();
    let events = [event("c")].map(|event| event_record_at(&event, 5));
    rig.sealed.append(Topic::Events, 0, events.into()).await.unwrap();
    let said = journal("c");
    rig.sealed.append(Topic::Executions, 0, said.iter().map(record).collect()).await.unwrap();
    for topic in [Topic::Events, Topic::Executions] {
        assert!(!holds(&read(rig.bare.as_ref(), topic).await, MARK), "{topic}");
        assert!(holds(&read(&rig.sealed, topic).await, MARK), "{topic}");
    }
    let opened = read(&rig.sealed, Topic::Events).await;
    assert_eq!(decode_event(&opened[0].value).unwrap(), event("c"));
    let opened: Vec<_> = read(&rig.sealed, Topic::Executions).await;
    assert_eq!(opened.iter().map(|one| decode_journal(&one.value).unwrap()).collect::<Vec<_>>(), said);
    let stripped = decode_event(&read(rig.bare.as_ref(), Topic::Events).await[0].value).unwrap();
    assert_eq!((stripped.kind.as_str(), &*stripped.data, stripped.is_erased()), ("order.created", "null", true));

    let plain = Rig::new();
    plain.sealed.append(Topic::Events, 0, vec![event_record_at(&event("d"), 5)]).await.unwrap();
    plain.sealed.append(Topic::Executions, 0, journal("d").iter().map(record).collect()).await.unwrap();
    assert_eq!(decode_event(&read(plain.bare.as_ref(), Topic::Events).await[0].value).unwrap(), event("d"));
    let stored = read(plain.bare.as_ref(), Topic::Executions).await;
    assert!(stored.iter().all(|record| record.headers.is_empty()) && holds(&stored, MARK));
}

/// Property: once the key is destroyed, records read without their payloads and without an error, an event says that it
/// is erased, and the command that erases is still read.
#[tokio::test]
async fn erased_records_read_without_payloads() {
    let rig = Rig::new();
    let data = serde_json::to_string(&Command::Erase).unwrap();
    let erase = EventRecord {
        kind: COMMAND_TYPE.to_owned(),
        origin: Origin::Command,
        data: data.into(),
        subject: None,
        headers: Vec::new(),
        ..event("c")
    };
    let events = [event("c"), erase].map(|event| event_record_at(&event, 5));
    rig.sealed.append(Topic::Events, 0, events.into()).await.unwrap();
    rig.sealed.append(Topic::Executions, 0, journal("c").iter().map(record).collect()).await.unwrap();
    assert!(holds(&read(&rig.sealed, Topic::Events).await, MARK));
    rig.destroy();
    let events = read(&rig.sealed, Topic::Events).await;
    let journal = read(&rig.sealed, Topic::Executions).await;
    assert!(!holds(&events, MARK) && !holds(&journal, MARK));
    assert!(decode_event(&events[0].value).unwrap().is_erased());
    assert!(decode_event(&events[1].value).unwrap().is_erasure());
    let JournalRecord::Finished(end) = decode_journal(&journal.last().unwrap().value).unwrap() else {
        panic!("the last one")
    };
    assert_eq!((end.status, end.execution, end.output), (ExecutionStatus::Failed, ExecutionId(1), None));
    assert_eq!(end.error.unwrap().name, "TypeError");
}

/// Property: a node that has not heard of the key does not take what is fresh for erased: it waits, and reads it once it
/// has heard; one that never hears fails, and does not read it as erased.
#[tokio::test]
async fn what_is_not_known_yet_is_not_erased() {
    let rig = Rig::new();
    rig.sealed.append(Topic::Events, 0, vec![event_record_at(&event("c"), 5)]).await.unwrap();
    let (late, learns) = rig.node(&[]);
    let learned = Arc::new(Catalog::default().with(&rig.rows).0);
    let told = async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        learns.send_replace(learned);
    };
    let (records, ()) = tokio::join!(read(&late, Topic::Events), told);
    assert_eq!(decode_event(&records[0].value).unwrap(), event("c"));
    let (deaf, _never) = rig.node(&[]);
    let error = deaf.read(Topic::Events, 0, 0, 10, 1 << 20).await.unwrap_err();
    assert_eq!(error.kind, LogErrorKind::Io);
}

/// Property: what is sealed opens at its own place only: moved to another record, or changed by a byte, it is an error and
/// never another value.
#[tokio::test]
async fn sealed_bytes_cannot_be_moved_or_changed() {
    let rig = Rig::new();
    let other = EventRecord { id: EventId::new("evt-2").unwrap(), ..event("c") };
    let events = [event("c"), other].map(|event| event_record_at(&event, 5));
    rig.sealed.append(Topic::Events, 0, events.into()).await.unwrap();
    let stored = read(rig.bare.as_ref(), Topic::Events).await;
    let moved =
        Record { key: stored[1].key.clone(), headers: stored[0].headers.clone(), value: stored[1].value.clone() };
    let mut changed = Record { value: stored[0].value.clone(), ..moved.clone() };
    for (name, value) in &mut changed.headers {
        if name == "fastn_sealed" {
            let mut bytes = value.to_vec();
            *bytes.last_mut().unwrap() ^= 1;
            *value = bytes.into();
        }
    }
    let end = rig.bare.append(Topic::Events, 0, vec![moved, changed]).await.unwrap().first;
    for offset in [end, end + 1] {
        let error = rig.sealed.read(Topic::Events, 0, offset, 1, 1 << 20).await.unwrap_err();
        assert_eq!(error.kind, LogErrorKind::Corrupt, "{offset}");
    }
}

/// How much a sealed append and read cost beside a plain one, for people. Run with `--ignored --nocapture`.
#[tokio::test]
#[ignore = "a measurement"]
async fn measure() {
    const ROUNDS: u32 = 20_000;
    let rig = Rig::new();
    let data = format!("{{\"text\":\"{}\"}}", "x".repeat(1_000));
    for customer in ["d", "c"] {
        let event = EventRecord { data: data.as_str().into(), ..event(customer) };
        let record = event_record_at(&event, 5);
        let began = std::time::Instant::now();
        for _ in 0..ROUNDS {
            rig.sealed.append(Topic::Events, 0, vec![record.clone()]).await.unwrap();
        }
        let end = rig.bare.bounds(Topic::Events, 0).await.unwrap().end;
        let appended = began.elapsed() / ROUNDS;
        let began = std::time::Instant::now();
        rig.sealed.read(Topic::Events, 0, end - u64::from(ROUNDS), ROUNDS as usize, usize::MAX).await.unwrap();
        println!("{customer}: append {appended:?}, read {:?} a record", began.elapsed() / ROUNDS);
    }
}
