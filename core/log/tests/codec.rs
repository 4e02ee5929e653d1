//! The codec over every record, and over bytes that are none.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests too")]

use std::sync::Arc;

use fastn_contract::activity::{EventStatus, ExecutionError, ExecutionStatus, Origin};
use fastn_contract::quota::QuotaOutcome;
use fastn_contract::resource::Tier;
use fastn_domain::event::{EventRecord, Header, ReplyTo};
use fastn_domain::ids::{EnvironmentId, EventId, ExecutionId, TriggerId, WorkflowId};
use fastn_domain::journal::{
    Admitted, AdmittedEvent, BatchPlan, BatchState, Batched, Checkpoint, Claim, Count, CounterState, Debounced,
    DedupHash, DedupSnapshot, Finished, FinishedRun, Flow, FlowSnapshot, Gate, HeldBy, Inline, JournalRecord, LogLine,
    NewExecution, OpFailure, OpRecord, Parent, Progress, Retry, Snapshot, Started, StateSnapshot, StateWrite,
    StepRecord, Wait, WaitKind,
};
use fastn_domain::trace::Trace;
use fastn_domain::{Scope, Timestamp};
use fastn_log::codec::{self, CodecError};
use proptest::prelude::{Strategy, any, prop};
use proptest::test_runner::TestRunner;

/// Builds every record with every optional field and list filled, or with none.
#[derive(Clone, Copy)]
struct Build(bool);

impl Build {
    fn opt<T>(self, value: T) -> Option<T> {
        self.0.then_some(value)
    }

    fn some<T: Clone>(self, value: T) -> Vec<T> {
        if self.0 { vec![value.clone(), value] } else { Vec::new() }
    }

    fn text(self, text: &str) -> String {
        if self.0 { format!("{text} ü \u{1F600} \u{0}") } else { String::new() }
    }

    fn scope(self) -> Scope {
        Scope::parse("acc_demo", "cus_acme").unwrap()
    }

    fn headers(self) -> Vec<Header> {
        self.some(Header { name: "x-github-event".into(), value: self.text("push") })
    }

    fn event(self) -> EventRecord {
        EventRecord {
            id: EventId::new("72d3162e-cc78-11e3-81ab-4c9367dc0958").unwrap(),
            source: self.text("github"),
            kind: "github.push".into(),
            subject: self.opt(self.text("refs/heads/main")),
            time: Timestamp(i64::MAX),
            scope: self.scope(),
            origin: Origin::Command,
            trigger: self.opt(TriggerId::new("trg_github").unwrap()),
            workflow: self.opt(WorkflowId::new("wf_triage").unwrap()),
            environment: self.opt(EnvironmentId::new("live").unwrap()),
            headers: self.headers(),
            data: Arc::from(r#"{"ref":"refs/heads/main"}"#),
            reply_to: self.opt(ReplyTo { node: "127.0.0.1:1".into(), request: u64::MAX }),
            traceparent: self.opt("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".into()),
            priority: self.opt(4),
        }
    }

    fn run(self) -> FinishedRun {
        FinishedRun {
            workflow: WorkflowId::new("wf_triage").unwrap(),
            version: u32::MAX,
            environment: EnvironmentId::new("live").unwrap(),
            trigger: self.opt(TriggerId::new("trg_github").unwrap()),
            admitted: Timestamp(2),
            traceparent: self.opt("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".into()),
        }
    }

    fn op(self) -> OpRecord {
        let error = OpFailure {
            name: "FetchError".into(),
            message: self.text("no"),
            code: "ECONNREFUSED".into(),
            retryable: self.0,
        };
        OpRecord {
            key: "fetch#1".into(),
            kind: "fetch".into(),
            started: Timestamp(-1),
            at: Timestamp(1_700_000_000_000_000),
            attempts: u32::MAX,
            ok: self.opt(r#"{"status":200}"#.into()),
            error: self.opt(error),
        }
    }

    fn parent(self) -> Parent {
        Parent { execution: ExecutionId(7), key: "invoke#1".into(), waits: self.0, depth: 3 }
    }

    fn start(self) -> NewExecution {
        let origin = Inline {
            event_id: EventId::new("evt 1").unwrap(),
            event_kind: "a".into(),
            event_source: "b".into(),
            event_time: Timestamp(1),
            clock: Timestamp(2),
            triggered_by: Origin::Workflow,
            headers: self.headers(),
            input: self.text("null"),
            results: self.some(self.op()),
        };
        NewExecution {
            id: ExecutionId(u128::MAX),
            workflow: WorkflowId::new("wf_triage").unwrap(),
            version: u32::MAX,
            environment: EnvironmentId::new("test").unwrap(),
            tier: Tier::Long,
            trigger: self.opt(TriggerId::new("trg_github").unwrap()),
            sequence: self.opt("repo/1".into()),
            headers: self.headers(),
            replay_of: self.opt(ExecutionId(1)),
            parent: self.opt(self.parent()),
            origin: self.opt(origin),
            flow: self.opt(Box::new(self.flow())),
        }
    }

    fn flow(self) -> Flow {
        let gate = Gate { key: self.text("k"), limit: u32::MAX, name: "concurrency".into(), of: "trigger t".into() };
        Flow {
            not_before: self.opt(Timestamp(7)),
            limit: self.opt(HeldBy { limit: "rate".into(), of: "trigger t".into() }),
            gates: self.some(gate),
            singletons: self.some(self.text("s")),
            debounce: self.opt(Debounced { key: self.text("d"), first: Timestamp(8) }),
            priority: self.opt(4),
        }
    }

    fn plan(self) -> BatchPlan {
        BatchPlan {
            until: Timestamp(9),
            size_max: 1_000,
            workflow: WorkflowId::new("wf_triage").unwrap(),
            version: 3,
            environment: EnvironmentId::new("test").unwrap(),
            tier: Tier::Standard,
            trigger: TriggerId::new("trg_github").unwrap(),
            headers: self.headers(),
            flow: self.opt(self.flow()),
        }
    }

    fn wait(self) -> Wait {
        Wait {
            key: "sleep#1".into(),
            kind: WaitKind::Invoke,
            started: Timestamp(5),
            until: self.opt(Timestamp(6)),
            detail: self.opt("{}".into()),
        }
    }

    fn write(self) -> StateWrite {
        StateWrite {
            space: "workflow/a".into(),
            key: "k".into(),
            value: self.opt("1".into()),
            expires: self.opt(Timestamp(9)),
        }
    }

    fn error(self) -> ExecutionError {
        ExecutionError {
            code: "WF-EXEC-FAILED".into(),
            category: "code".into(),
            name: "TypeError".into(),
            message: self.text("x is undefined"),
            step: self.opt("notify".into()),
            file: self.opt("triage.ts".into()),
            line: self.opt(3),
            column: self.opt(4),
            source_line: self.opt("x.y".into()),
            stack: self.opt("at triage.ts:3:4".into()),
        }
    }

    fn retry(self) -> Retry {
        Retry { error: self.error(), next: Timestamp(11) }
    }

    fn trace(self) -> Trace {
        Trace {
            epoch: u64::MAX,
            started: Timestamp(4),
            duration_ms: u64::MAX,
            execution: ExecutionId(42),
            attempt: 2,
            scope: self.scope(),
            workflow: WorkflowId::new("wf_triage").unwrap(),
            step: self.text("fetch#1"),
            via: "http".into(),
            method: "POST".into(),
            origin: self.text("https://api.example.com"),
            status: self.opt(201),
            error: self.opt("ETIMEDOUT".into()),
            request_bytes: 1 << 40,
            response_bytes: 0,
        }
    }

    fn journal(self) -> Vec<JournalRecord> {
        let (epoch, at, scope, execution) = (u64::MAX, Timestamp(3), self.scope(), ExecutionId(42));
        let admitted = AdmittedEvent {
            offset: 1 << 40,
            scope: self.scope(),
            status: EventStatus::Rejected,
            reason: self.opt("off".into()),
            dedup: self.some(DedupHash(u128::MAX - 1)),
            executions: self.some(self.start()),
            counted: self.some(Count { counter: "eventsPerDay".into(), from: Timestamp(0), to: Timestamp(i64::MAX) }),
            quota: self.opt(QuotaOutcome::Queued),
            batches: self.some(Batched {
                key: self.text("b"),
                execution: ExecutionId(5),
                opens: self.opt(self.plan()),
            }),
        };
        let batch = BatchState {
            key: self.text("b"),
            execution: ExecutionId(5),
            plan: self.plan(),
            events: self.some(i64::MAX),
        };
        let counter =
            CounterState { counter: "eventsPerDay".into(), from: Timestamp(0), to: Timestamp(1), used: u64::MAX };
        let step = StepRecord {
            key: "notify#1".into(),
            name: "notify".into(),
            kind: "step".into(),
            completed: self.0,
            attempts: 2,
            started: Timestamp(1),
            ended: Timestamp(2),
            input: self.opt("1".into()),
            output: self.opt("2".into()),
            error: self.opt("3".into()),
        };
        let line = LogLine { at: Timestamp(1), level: "info".into(), message: self.text("hello") };
        vec![
            JournalRecord::Claim(Claim { epoch, node: "node-1".into(), at }),
            JournalRecord::Admitted(Admitted { epoch, at, events: self.some(admitted) }),
            JournalRecord::Progress(Progress {
                epoch,
                at,
                execution,
                scope: scope.clone(),
                status: ExecutionStatus::Waiting,
                attempt: 2,
                tier: Tier::Standard,
                results: self.some(self.op()),
                waits: self.some(self.wait()),
                invoked: self.some(self.start()),
                state: self.some(self.write()),
                retry: self.opt(self.retry()),
            }),
            JournalRecord::Finished(Finished {
                epoch,
                at,
                execution,
                scope: scope.clone(),
                parent: self.opt(self.parent()),
                status: ExecutionStatus::Cancelled,
                attempt: 1,
                tier: Tier::Instant,
                results: self.some(self.op()),
                steps: self.some(step),
                logs: self.some(line),
                output: self.opt("null".into()),
                error: self.opt(self.error()),
                run: self.opt(self.run()),
            }),
            JournalRecord::Snapshot(Box::new(Snapshot {
                epoch,
                at,
                scope: scope.clone(),
                start: self.start(),
                event_offset: self.opt(u64::MAX),
                admitted: Timestamp(1),
                status: ExecutionStatus::Queued,
                attempt: 1,
                tier: Tier::Long,
                ran_ms: 1 << 33,
                results: self.some(self.op()),
                waits: self.some(self.wait()),
                retry: self.opt(self.retry()),
                reply_to: self.opt(ReplyTo { node: "n".into(), request: 0 }),
            })),
            JournalRecord::DedupSnapshot(DedupSnapshot {
                epoch,
                at,
                admitted: Timestamp(8),
                hashes: self.some(DedupHash(0)),
            }),
            JournalRecord::StateSnapshot(StateSnapshot {
                epoch,
                at,
                scope: scope.clone(),
                entries: self.some(self.write()),
            }),
            JournalRecord::Checkpoint(Checkpoint {
                epoch,
                at,
                events_next: 1,
                recover_epoch: 3,
                recover_from: 2,
                journal_offset: self.opt(3),
            }),
            JournalRecord::Started(Box::new(Started {
                epoch,
                at,
                scope: scope.clone(),
                batch: self.text("b"),
                start: self.start(),
            })),
            JournalRecord::FlowSnapshot(Box::new(FlowSnapshot {
                epoch,
                at,
                scope,
                counters: self.some(counter),
                batches: self.some(batch),
            })),
        ]
    }
}

/// Property: every record decodes to what was encoded, with every optional field set and with none, and its first five
/// bytes are the Confluent prefix.
#[test]
fn records_round_trip() {
    for build in [Build(true), Build(false)] {
        let event = build.event();
        let bytes = codec::encode_event(&event);
        // The newest version of each record is written.
        assert_eq!(bytes[..5], [0, 0xFA, 0x57, 0, 17]);
        assert_eq!(codec::decode_event(&bytes), Ok(event));
        for (record, id) in build.journal().into_iter().zip([2, 11, 12, 16, 13, 7, 8, 9, 14, 15]) {
            let bytes = codec::encode_journal(&record);
            assert_eq!(bytes[..5], [0, 0xFA, 0x57, 0, id]);
            assert_eq!(codec::decode_journal(&bytes), Ok(record));
        }
        let trace = build.trace();
        let bytes = codec::encode_trace(&trace);
        assert_eq!(bytes[..5], [0, 0xFA, 0x57, 0, 10]);
        assert_eq!(codec::decode_trace(&bytes), Ok(trace));
    }
}

/// Property: a record in the wrong topic, an unknown schema and unframed bytes are told apart.
#[test]
fn errors_say_what_is_wrong() {
    let event = codec::encode_event(&Build(true).event());
    let claim = codec::encode_journal(&Build(true).journal()[0]);
    assert_eq!(codec::decode_event(&claim), Err(CodecError::WrongRecord("Claim")));
    let trace = codec::encode_trace(&Build(true).trace());
    assert_eq!(codec::decode_journal(&trace), Err(CodecError::WrongRecord("Trace")));
    assert_eq!(codec::decode_trace(&claim), Err(CodecError::WrongRecord("Claim")));
    assert_eq!(codec::decode_journal(&event), Err(CodecError::WrongRecord("EventRecord")));
    assert_eq!(codec::decode_event(&[0, 0, 1, 0, 0, 7]), Err(CodecError::UnknownSchema(65_536)));
    assert_eq!(codec::decode_event(b"{}"), Err(CodecError::NotFramed(2)));
    assert_eq!(codec::decode_event(&[1, 0, 0, 0, 1]), Err(CodecError::NotFramed(5)));
    let mut longer = claim.to_vec();
    longer.push(0);
    assert_eq!(codec::decode_journal(&longer), Err(CodecError::Undecodable { record: "Claim", schema: 0xFA57_0002 }));
}

/// Property: no prefix of a record is a record.
#[test]
fn truncated_records_are_errors() {
    let mut encoded: Vec<_> = Build(true).journal().iter().map(codec::encode_journal).collect();
    encoded.push(codec::encode_event(&Build(true).event()));
    for bytes in encoded {
        for cut in 0..bytes.len() {
            assert!(codec::decode_journal(&bytes[..cut]).is_err() && codec::decode_event(&bytes[..cut]).is_err());
        }
    }
}

/// Property: neither random bytes behind any schema id nor flipped bits make the decoder panic, and whatever it does
/// accept encodes again.
#[test]
fn no_bytes_panic() {
    let caught = std::panic::take_hook();
    let panics = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let counter = Arc::clone(&panics);
    std::panic::set_hook(Box::new(move |_| {
        counter.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    }));
    let encoded: Vec<_> = Build(true).journal().iter().map(codec::encode_journal).collect();
    let random = (1..=17u8, prop::collection::vec(any::<u8>(), 0..200)).prop_map(|(id, mut datum)| {
        datum.splice(0..0, [0, 0xFA, 0x57, 0, id]);
        datum
    });
    let flipped = (0..encoded.len(), prop::collection::vec(any::<prop::sample::Index>(), 1..4)).prop_map(
        move |(which, flips)| {
            let mut bytes = encoded[which].to_vec();
            for flip in flips {
                let bit = flip.index(bytes.len() * 8);
                bytes[bit / 8] ^= 1 << (bit % 8);
            }
            bytes
        },
    );
    let mut runner = TestRunner::new(proptest::test_runner::Config {
        cases: 4_000,
        failure_persistence: None,
        ..Default::default()
    });
    let result = runner.run(&proptest::prop_oneof![random, flipped], |bytes| {
        if let Ok(record) = codec::decode_journal(&bytes) {
            codec::encode_journal(&record);
        }
        if let Ok(trace) = codec::decode_trace(&bytes) {
            codec::encode_trace(&trace);
        }
        if let Ok(event) = codec::decode_event(&bytes) {
            codec::encode_event(&event);
        }
        Ok(())
    });
    std::panic::set_hook(caught);
    assert_eq!(result.map_err(|error| error.to_string()), Ok(()));
    assert_eq!(panics.load(std::sync::atomic::Ordering::Relaxed), 0, "the guard had to catch a panic");
}
