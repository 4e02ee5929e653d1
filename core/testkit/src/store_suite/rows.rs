//! Short ways to make the rows that the projector writes.

use fastn_contract::activity::{EventStatus, ExecutionError, ExecutionStatus, Origin};
use fastn_contract::alert::{AlertComparison, AlertMetric, AlertState, AlertView};
use fastn_contract::quota::Measure;
use fastn_contract::resource::Tier;
use fastn_domain::event::Header;
use fastn_domain::ids::{EnvironmentId, EventId, ExecutionId, WorkflowId};
use fastn_domain::journal::{LogLine, StepRecord};
use fastn_domain::scope::Scope;
use fastn_domain::time::Timestamp;
use fastn_store::{
    Advance, AlertRow, EventRow, EventSeq, ExecutionEnd, ExecutionPatch, ExecutionRow, ExecutionState, InputRow,
    Position, ProjectionBatch, UsageDelta,
};

/// A customer by short names.
pub fn scope(account: &str, customer: &str) -> Scope {
    Scope::parse(account, customer).expect("plain names")
}

/// Event number `n` of a customer, delivered at second `n`.
pub fn event(scope: &Scope, n: u64) -> EventRow {
    EventRow {
        seq: EventSeq::new(0, n),
        scope: scope.clone(),
        id: EventId::new(&format!("evt_{n}")).expect("plain"),
        source: "/test".to_owned(),
        kind: "order.created".to_owned(),
        subject: Some("s".to_owned()),
        time: Timestamp::from_millis(n as i64 * 1_000 - 5),
        received: Timestamp::from_millis(n as i64 * 1_000),
        origin: Origin::Api,
        trigger: None,
        status: EventStatus::Delivered,
        reason: None,
        quota: None,
        priority: (n % 2 == 1).then_some(3),
        executions: vec![ExecutionId(u128::from(n))],
        headers: vec![Header { name: "a".to_owned(), value: "event".to_owned() }],
        data: Some(format!(r#"{{"n":{n}}}"#).into()),
    }
}

/// Execution number `n` of a customer, started by [`event`] number `n` and queued.
pub fn execution(scope: &Scope, n: u64) -> ExecutionRow {
    ExecutionRow {
        id: ExecutionId(u128::from(n)),
        scope: scope.clone(),
        created: Timestamp::from_millis(n as i64 * 1_000 + 1),
        workflow: WorkflowId::new("triage").expect("plain"),
        version: 3,
        environment: EnvironmentId::new("test").expect("plain"),
        origin: Origin::Api,
        trigger: None,
        event_id: EventId::new(&format!("evt_{n}")).expect("plain"),
        replay_of: None,
        parent: None,
        headers: vec![Header { name: "a".to_owned(), value: "route".to_owned() }],
        input: InputRow::Event(EventSeq::new(0, n)),
        flow: None,
        state: state(ExecutionStatus::Queued),
    }
}

/// A state with nothing in it.
pub fn state(status: ExecutionStatus) -> ExecutionState {
    ExecutionState {
        status,
        attempt: 1,
        tier: Tier::Standard,
        error: None,
        results: Vec::new(),
        waits: Vec::new(),
        end: None,
    }
}

/// The end of execution number `n`, one step and half a second after its start.
pub fn end(status: ExecutionStatus, n: u64) -> ExecutionState {
    let at = Timestamp::from_millis(n as i64 * 1_000 + 501);
    let failed = status != ExecutionStatus::Completed;
    let step = StepRecord {
        key: "call#1".to_owned(),
        name: "call".to_owned(),
        kind: "fetch".to_owned(),
        completed: !failed,
        attempts: 1,
        started: Timestamp::from_millis(n as i64 * 1_000 + 100),
        ended: at,
        input: Some(r#"{"a":1}"#.to_owned()),
        output: Some("{\"cut".to_owned()),
        error: failed.then(|| "boom".to_owned()),
    };
    let line = LogLine { at, level: "info".to_owned(), message: "hello".to_owned() };
    ExecutionState {
        error: failed.then(failure),
        end: Some(ExecutionEnd {
            at,
            steps: vec![step],
            logs: vec![line],
            output: (!failed).then(|| r#"{"ok":true}"#.to_owned()),
        }),
        ..state(status)
    }
}

/// So much used by a customer on day 0.
pub fn used(scope: &Scope, measure: Measure, used: u64) -> UsageDelta {
    UsageDelta { scope: scope.clone(), day: 0, measure, used }
}

/// An error as executions end with.
pub fn failure() -> ExecutionError {
    ExecutionError {
        code: "WF-EXEC-FAILED".to_owned(),
        category: "code".to_owned(),
        name: "TypeError".to_owned(),
        message: "x is not a function".to_owned(),
        step: Some("call".to_owned()),
        file: None,
        line: Some(7),
        column: None,
        source_line: None,
        stack: None,
    }
}

/// A change of execution number `n`.
pub fn patch(n: u64, state: ExecutionState) -> ExecutionPatch {
    ExecutionPatch { id: ExecutionId(u128::from(n)), state }
}

/// A batch that moves partition 0 from `from` to `to`, in epoch 1 after the start.
pub fn batch(from: u64, to: u64) -> ProjectionBatch {
    let epoch = |next| u64::from(next > 0);
    let advance = Advance {
        partition: 0,
        from: Position { next: from, epoch: epoch(from) },
        to: Position { next: to, epoch: epoch(to) },
    };
    ProjectionBatch { advances: vec![advance], ..ProjectionBatch::default() }
}

/// The `n`th alert about a customer, firing.
pub fn alert(scope: &Scope, n: u64) -> AlertRow {
    let fired = Timestamp(i64::try_from(n).unwrap_or(i64::MAX));
    let view = AlertView {
        id: format!("alert_{n}"),
        rule: "errors".to_owned(),
        name: "Errors".to_owned(),
        customer: Some(scope.customer.to_string()),
        state: AlertState::Firing,
        metric: AlertMetric::ErrorRate,
        dimension: None,
        value_of: None,
        comparison: AlertComparison::Above,
        threshold: 5.0,
        value: 12.5,
        fired_at: fired.to_string(),
        resolved_at: None,
        resolved_by: None,
        notifications: Vec::new(),
    };
    AlertRow { account: scope.account.clone(), customer: Some(scope.customer.clone()), fired, view }
}
