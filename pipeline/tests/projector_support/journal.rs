//! Journals for the projector's tests: written by hand, or made at random from a seed.

use std::collections::VecDeque;

use fastn_contract::activity::{EventStatus, ExecutionError, ExecutionStatus, Origin};
use fastn_contract::resource::Tier;
use fastn_domain::event::{EventRecord, Header};
use fastn_domain::ids::{EnvironmentId, EventId, ExecutionId, WorkflowId};
use fastn_domain::journal::{
    Admitted, AdmittedEvent, Claim, Finished, Inline, JournalRecord, LogLine, NewExecution, OpRecord, Progress,
    Snapshot, StepRecord, Wait, WaitKind,
};
use fastn_domain::scope::Scope;
use fastn_domain::time::Timestamp;
use fastn_log::codec::{encode_event, encode_journal};
use fastn_log::{Log, Record, Topic};

pub fn scope(customer: u64) -> Scope {
    Scope::parse("acc", &format!("cus_{customer}")).unwrap()
}

pub fn execution_id(n: u64) -> ExecutionId {
    ExecutionId::derive("test", &n.to_string(), "route", None)
}

pub async fn append(log: &dyn Log, topic: Topic, partition: u32, value: bytes::Bytes) -> u64 {
    log.append(topic, partition, vec![Record::new("acc/cus", value)]).await.unwrap().first
}

pub async fn say(log: &dyn Log, partition: u32, record: JournalRecord) {
    append(log, Topic::Executions, partition, encode_journal(&record)).await;
}

pub fn event(scope: &Scope, id: &str, data: &str) -> EventRecord {
    EventRecord {
        id: EventId::new(id).unwrap(),
        source: "/test".to_owned(),
        kind: "order.created".to_owned(),
        subject: None,
        time: Timestamp(1_000),
        scope: scope.clone(),
        origin: Origin::Webhook,
        trigger: None,
        workflow: None,
        environment: None,
        headers: vec![Header { name: "x-a".to_owned(), value: "1".to_owned() }],
        data: data.into(),
        reply_to: None,
        traceparent: None,
        priority: None,
    }
}

pub fn start(id: ExecutionId) -> NewExecution {
    NewExecution {
        id,
        workflow: WorkflowId::new("triage").unwrap(),
        version: 1,
        environment: EnvironmentId::new("test").unwrap(),
        tier: Tier::Standard,
        trigger: None,
        sequence: None,
        headers: Vec::new(),
        replay_of: None,
        parent: None,
        origin: None,
        flow: None,
    }
}

pub fn claim(epoch: u64) -> JournalRecord {
    JournalRecord::Claim(Claim { epoch, node: "n".to_owned(), at: Timestamp(0) })
}

pub fn admitted(epoch: u64, at: i64, offset: u64, executions: Vec<NewExecution>) -> JournalRecord {
    let event = AdmittedEvent {
        offset,
        scope: scope(0),
        status: EventStatus::Delivered,
        reason: None,
        dedup: Vec::new(),
        executions,
        counted: Vec::new(),
        quota: None,
        batches: Vec::new(),
    };
    JournalRecord::Admitted(Admitted { epoch, at: Timestamp(at), events: vec![event] })
}

pub fn result(n: u64) -> OpRecord {
    OpRecord {
        key: format!("call#{n}"),
        kind: "fetch".to_owned(),
        started: Timestamp(1),
        at: Timestamp(2),
        attempts: 1,
        ok: Some(format!("{{\"n\":{n}}}")),
        error: None,
    }
}

pub fn progress(epoch: u64, at: i64, scope: &Scope, execution: ExecutionId, results: Vec<OpRecord>) -> Progress {
    Progress {
        epoch,
        at: Timestamp(at),
        execution,
        scope: scope.clone(),
        status: ExecutionStatus::Running,
        attempt: 1,
        tier: Tier::Standard,
        results,
        waits: Vec::new(),
        invoked: Vec::new(),
        state: Vec::new(),
        retry: None,
    }
}

pub fn failure(message: &str) -> ExecutionError {
    ExecutionError {
        code: "WF-EXEC-FAILED".to_owned(),
        category: "code".to_owned(),
        name: "Error".to_owned(),
        message: message.to_owned(),
        step: None,
        file: None,
        line: None,
        column: None,
        source_line: None,
        stack: None,
    }
}

pub fn finished(epoch: u64, at: i64, scope: &Scope, execution: ExecutionId, status: ExecutionStatus) -> Finished {
    let step = StepRecord {
        key: "call#1".to_owned(),
        name: "call".to_owned(),
        kind: "fetch".to_owned(),
        completed: true,
        attempts: 1,
        started: Timestamp(at - 5),
        ended: Timestamp(at),
        input: Some("{}".to_owned()),
        output: Some("[1,2]".to_owned()),
        error: None,
    };
    let completed = status == ExecutionStatus::Completed;
    Finished {
        epoch,
        at: Timestamp(at),
        execution,
        scope: scope.clone(),
        parent: None,
        status,
        attempt: 1,
        tier: Tier::Standard,
        results: vec![result(9)],
        steps: vec![step],
        logs: vec![LogLine { at: Timestamp(at), level: "info".to_owned(), message: "done".to_owned() }],
        output: completed.then(|| "42".to_owned()),
        error: (!completed).then(|| failure("boom")),
        run: None,
    }
}

/// SplitMix64.
pub struct Random(pub u64);

impl Random {
    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit
    }
}

struct Live {
    id: ExecutionId,
    scope: Scope,
    admitted: i64,
    results: Vec<OpRecord>,
    waits: Vec<Wait>,
    ended: bool,
    replay_of: Option<ExecutionId>,
    event: u64,
}

/// Writes `records` journal records over all partitions: admissions, progress, ends, snapshots, replays, changes of
/// owner, and records of owners that lost their partition.
pub async fn random_journal(log: &dyn Log, seed: u64, records: usize) {
    let mut random = Random(seed);
    let partitions = u64::from(log.partitions());
    let mut epochs = vec![0u64; partitions as usize];
    let mut all: Vec<VecDeque<Live>> = (0..partitions).map(|_| VecDeque::new()).collect();
    let (mut at, mut made) = (1_000_000, 0);
    for _ in 0..records {
        at += 1_000;
        let partition = random.below(partitions) as u32;
        let epoch = &mut epochs[partition as usize];
        let live = &mut all[partition as usize];
        if *epoch == 0 || random.below(40) == 0 {
            *epoch += 1 + random.below(3);
            say(log, partition, claim(*epoch)).await;
            continue;
        }
        let stale = *epoch > 1 && random.below(15) == 0;
        let by = if stale { *epoch - 1 } else { *epoch };
        let pick = random.below(live.len().max(1) as u64) as usize;
        match (random.below(10), live.get_mut(pick)) {
            (0..=3, _) | (_, None) => {
                made += 1;
                let scope = scope(random.below(3));
                let data = format!("{{\"n\":{made}}}");
                let offset =
                    append(log, Topic::Events, partition, encode_event(&event(&scope, &format!("e{made}"), &data)))
                        .await;
                let mut new = start(execution_id(made));
                new.replay_of = live.front().filter(|first| first.ended).map(|first| first.id);
                let replay_of = new.replay_of;
                say(log, partition, admitted(by, at, offset, vec![new])).await;
                if !stale {
                    let (id, admitted) = (execution_id(made), at);
                    let (results, waits) = (vec![], vec![]);
                    live.push_back(Live {
                        id,
                        scope,
                        admitted,
                        results,
                        waits,
                        ended: false,
                        replay_of,
                        event: offset,
                    });
                    if live.len() > 6 {
                        live.pop_front();
                    }
                }
            }
            (4..=5, Some(one)) => {
                let new = result(random.below(50));
                let wait = Wait {
                    key: format!("nap#{at}"),
                    kind: WaitKind::Sleep,
                    started: Timestamp(at),
                    until: None,
                    detail: None,
                };
                let mut record = progress(by, at, &one.scope, one.id, vec![new.clone()]);
                record.status = ExecutionStatus::Waiting;
                record.waits = vec![wait.clone()];
                say(log, partition, JournalRecord::Progress(record)).await;
                if !stale && !one.ended {
                    one.results.push(new);
                    one.waits.push(wait);
                }
            }
            (6, Some(one)) if !one.ended && !stale => {
                say(log, partition, JournalRecord::Snapshot(Box::new(snapshot(by, at, one)))).await;
            }
            (_, Some(one)) => {
                let all = [ExecutionStatus::Completed, ExecutionStatus::Failed, ExecutionStatus::Cancelled];
                let status = all[random.below(3) as usize];
                say(log, partition, JournalRecord::Finished(finished(by, at, &one.scope, one.id, status))).await;
                one.ended |= !stale;
            }
        }
    }
}

fn snapshot(epoch: u64, at: i64, one: &Live) -> Snapshot {
    let mut start = start(one.id);
    // As the cleaner does: the input is said again, or its event is pointed at.
    let event_offset = one.event.is_multiple_of(2).then_some(one.event);
    start.origin = event_offset.is_none().then(|| inline("{\"said\":\"again\"}"));
    start.replay_of = one.replay_of;
    Snapshot {
        epoch,
        at: Timestamp(at),
        scope: one.scope.clone(),
        start,
        event_offset,
        admitted: Timestamp(one.admitted),
        status: ExecutionStatus::Waiting,
        attempt: 1,
        tier: Tier::Standard,
        ran_ms: 0,
        results: one.results.clone(),
        waits: one.waits.clone(),
        retry: None,
        reply_to: None,
    }
}

pub fn inline(input: &str) -> Inline {
    Inline {
        event_id: EventId::new("inline").unwrap(),
        event_kind: "order.created".to_owned(),
        event_source: "/test".to_owned(),
        event_time: Timestamp(1),
        clock: Timestamp(1),
        triggered_by: Origin::Workflow,
        headers: Vec::new(),
        input: input.to_owned(),
        results: Vec::new(),
    }
}
