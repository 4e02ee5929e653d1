//! Workflows of the simulation: short programs, interpreted with the semantics of the real sandbox. Each request's key is
//! its place; its body names every result that the program has used so far, so that whoever sees a call knows what it
//! depends on.

use fastn_domain::journal::OpRecord;
use fastn_pipeline::runtime::{
    ErrorKind, FetchBody, JsonText, OpKind, OpRequest, Redirect, StateScope, StepMark, Turn, TurnState, WorkflowError,
};

use crate::random::Random;

/// One statement.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Statement {
    /// Await a call. An error ends the attempt, as one that may pass.
    Call,
    /// Await a call and go on whatever comes.
    TryCall,
    /// Await two calls at once.
    Both,
    /// Await the first of two calls.
    First,
    /// Make a call and do not await it.
    Forget,
    /// Sleep so many milliseconds.
    Sleep(u64),
    /// Wait for an event `paid`, for so many milliseconds at most.
    WaitEvent(u64),
    /// Write a value of its own to its own state, read it back, and fail for good if it is another.
    State,
    /// Emit an event that starts nothing.
    Emit,
    /// Invoke the child workflow, and wait for it or not.
    Invoke(bool),
    /// Fail for good.
    Throw,
}

/// The workflows: `w0` … and the child.
pub(crate) fn scripts(random: &mut Random) -> Vec<Vec<Statement>> {
    let mut scripts: Vec<Vec<Statement>> = (0..4)
        .map(|_| {
            let length = 1 + random.below(5);
            (0..length).map(|_| statement(random)).collect()
        })
        .collect();
    scripts.push(vec![Statement::Call, Statement::Sleep(5), Statement::TryCall]);
    scripts
}

/// The number of the child among the scripts.
pub(crate) const CHILD: usize = 4;

fn statement(random: &mut Random) -> Statement {
    match random.below(20) {
        0..=5 => Statement::Call,
        6..=7 => Statement::TryCall,
        8 => Statement::Both,
        9 => Statement::First,
        10 => Statement::Forget,
        11..=12 => Statement::Sleep(1 + random.below(200)),
        13..=14 => Statement::WaitEvent(20 + random.below(300)),
        15 => Statement::State,
        16 => Statement::Emit,
        17 => Statement::Invoke(true),
        18 => Statement::Invoke(random.chance(50)),
        _ => Statement::Throw,
    }
}

/// One sandbox.
#[derive(Debug)]
pub(crate) struct Sandbox {
    pub(crate) script: Vec<Statement>,
    pub(crate) execution: String,
    /// In the order of delivery.
    delivered: Vec<OpRecord>,
    asked: Vec<String>,
}

/// How far a program gets with the results it has.
struct Progress {
    requests: Vec<OpRequest>,
    state: Reached,
}

enum Reached {
    Waiting,
    Returned(String),
    Threw(ErrorKind, String),
}

impl Sandbox {
    pub(crate) fn new(script: Vec<Statement>, execution: String) -> Self {
        Self { script, execution, delivered: Vec::new(), asked: Vec::new() }
    }

    /// Delivers results one at a time and runs as far as it goes.
    pub(crate) fn turn(&mut self, slot: u64, results: Vec<OpRecord>) -> Turn {
        self.delivered.extend(results);
        let Progress { requests, state } = self.run();
        let fresh: Vec<OpRequest> = requests
            .into_iter()
            .filter(|request| !self.asked.contains(&request.key))
            .filter(|request| !self.delivered.iter().any(|result| result.key == request.key))
            .collect();
        self.asked.extend(fresh.iter().map(|request| request.key.clone()));
        let steps: Vec<StepMark> = Vec::new();
        let state = match state {
            Reached::Waiting => TurnState::Waiting,
            Reached::Returned(output) => TurnState::Completed { output, steps },
            Reached::Threw(kind, message) => TurnState::Failed { error: error(kind, message), steps },
        };
        Turn { slot, state, ops: fresh, logs: Vec::new(), cpu_us: 1, memory_bytes: 1 }
    }

    fn result(&self, key: &str) -> Option<&OpRecord> {
        self.delivered.iter().find(|result| result.key == key)
    }

    fn run(&self) -> Progress {
        let mut used: Vec<String> = Vec::new();
        let mut requests = Vec::new();
        for (at, statement) in self.script.iter().enumerate() {
            let keys = keys_of(statement, at);
            for (nth, key) in keys.iter().enumerate() {
                // The second request of a state statement is made when the first has its result.
                let is_late = *statement == Statement::State && nth > 0;
                if is_late && self.result(&keys[nth - 1]).is_none() {
                    break;
                }
                requests.push(request(statement, nth, key, &self.execution, &used));
            }
            let here: Vec<Option<&OpRecord>> = keys.iter().map(|key| self.result(key)).collect();
            let enough = match statement {
                Statement::Forget | Statement::Throw => true,
                Statement::First => here.iter().any(Option::is_some),
                _ => here.iter().all(Option::is_some),
            };
            if !enough {
                return Progress { requests, state: Reached::Waiting };
            }
            match statement {
                Statement::Forget => {}
                Statement::Throw => {
                    return Progress { requests, state: Reached::Threw(ErrorKind::Code, "thrown".to_owned()) };
                }
                Statement::First => {
                    let first = self.delivered.iter().find(|result| keys.contains(&result.key));
                    used.extend(first.map(shown));
                }
                _ => used.extend(here.iter().flatten().map(|result| shown(result))),
            }
            if let Some(state) = self.fails(statement, &here) {
                return Progress { requests, state };
            }
        }
        let output = serde_json::Value::from(used.join(",")).to_string();
        Progress { requests, state: Reached::Returned(output) }
    }

    fn fails(&self, statement: &Statement, here: &[Option<&OpRecord>]) -> Option<Reached> {
        let failed = here.iter().flatten().any(|result| result.error.is_some());
        match statement {
            Statement::Call | Statement::Both if failed => {
                Some(Reached::Threw(ErrorKind::Transient, "a call failed".to_owned()))
            }
            Statement::Invoke(true) if failed => Some(Reached::Threw(ErrorKind::Code, "the child failed".to_owned())),
            Statement::State => {
                let read = here[1].and_then(|result| result.ok.clone()).unwrap_or_default();
                let written = serde_json::Value::from(self.execution.as_str()).to_string();
                (read != written).then(|| panic!("{} wrote its state and read {read}", self.execution))
            }
            _ => None,
        }
    }
}

fn keys_of(statement: &Statement, at: usize) -> Vec<String> {
    match statement {
        Statement::Both | Statement::First | Statement::State => vec![format!("s{at}a"), format!("s{at}b")],
        Statement::Throw => Vec::new(),
        _ => vec![format!("s{at}")],
    }
}

/// A result as bodies show it: its key and what came.
fn shown(result: &OpRecord) -> String {
    match (&result.ok, &result.error) {
        (Some(value), _) => format!("{}={}", result.key, value.replace([',', '"'], "'")),
        (None, Some(error)) => format!("{}!{}", result.key, error.code),
        (None, None) => format!("{}?", result.key),
    }
}

fn request(statement: &Statement, nth: usize, key: &str, execution: &str, used: &[String]) -> OpRequest {
    let text = |value: serde_json::Value| JsonText::new(value.to_string()).expect("serde_json writes JSON");
    let kind = match statement {
        Statement::Sleep(ms) => OpKind::Sleep { until_ms: i64::try_from(*ms).unwrap_or(1) },
        Statement::WaitEvent(ms) => {
            OpKind::WaitForEvent { filter: text(serde_json::json!({"type": "paid"})), timeout_ms: Some(*ms) }
        }
        Statement::State if nth == 0 => OpKind::StateSet {
            scope: StateScope::Invocation,
            key: "own".to_owned(),
            value: text(execution.into()),
            ttl_ms: None,
        },
        Statement::State => OpKind::StateGet { scope: StateScope::Invocation, key: "own".to_owned() },
        Statement::Emit => OpKind::Emit { event: text(serde_json::json!({"type": "emitted"})) },
        Statement::Invoke(wait) => OpKind::Invoke { workflow: format!("w{CHILD}"), input: text(1.into()), wait: *wait },
        _ => OpKind::Fetch {
            method: "POST".to_owned(),
            url: format!("http://sink/{execution}/{key}"),
            headers: Vec::new(),
            body: Some(FetchBody::Text(used.join(","))),
            timeout_ms: 1_000,
            redirect: Redirect::Follow,
        },
    };
    OpRequest { key: key.to_owned(), idempotency_step: key.to_owned(), step: key.to_owned(), attempt: 1, kind }
}

fn error(kind: ErrorKind, message: String) -> WorkflowError {
    WorkflowError {
        kind,
        name: "Error".to_owned(),
        message,
        code: None,
        line: None,
        column: None,
        source_line: None,
        stack: String::new(),
        step: None,
        retry_after_ms: None,
    }
}
