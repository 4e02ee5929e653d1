//! Drives workflows in tests: answers their requests from a closure until they end.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use fastn_pipeline::runtime::{
    Job, LogLine, OpError, OpRequest, OpResult, Pool, PoolConfig, Program, RunContext, Slot, Start, StepMark, Turn,
    TurnState, WorkflowError, compile,
};

/// Generous: only a hang reaches it.
const TURN_DEADLINE: Duration = Duration::from_secs(60);
pub(crate) const STARTED_MS: i64 = 1_790_000_000_000;

pub(crate) struct Driver {
    pub(crate) pool: Pool,
    turns: Receiver<Turn>,
}

/// How an execution went.
#[derive(Debug, Default)]
pub(crate) struct Run {
    pub(crate) output: Option<String>,
    pub(crate) error: Option<WorkflowError>,
    pub(crate) steps: Vec<StepMark>,
    pub(crate) ops: Vec<OpRequest>,
    pub(crate) delivered: Vec<OpResult>,
    pub(crate) logs: Vec<LogLine>,
    pub(crate) turns: usize,
}

impl Run {
    pub(crate) fn keys(&self) -> Vec<&str> {
        self.ops.iter().map(|op| op.key.as_str()).collect()
    }

    pub(crate) fn output(&self) -> &str {
        self.output.as_deref().unwrap_or_else(|| panic!("no output but {:?}", self.error))
    }

    pub(crate) fn error(&self) -> &WorkflowError {
        self.error.as_ref().unwrap_or_else(|| panic!("no error but {:?}", self.output))
    }
}

pub(crate) fn program(source: &str) -> Arc<Program> {
    Arc::new(compile(source, "flow.ts").unwrap_or_else(|error| panic!("{error}\n{}", error.snippet)))
}

pub(crate) fn context(input: &str) -> RunContext {
    RunContext {
        execution_id: "exec_1".into(),
        seed: [7; 32],
        started_at_ms: STARTED_MS,
        input: input.into(),
        headers: r#"{"x-id":"1"}"#.into(),
        execution: r#"{"attempt":1,"workflow":"flow","version":3,"environment":"live","tier":"standard"}"#.into(),
        customer: r#"{"id":"acme","account":"acc"}"#.into(),
        event: r#"{"id":"evt","type":"t","source":"s","time":"2026-11-24T00:00:00Z"}"#.into(),
    }
}

impl Driver {
    pub(crate) fn new() -> Self {
        Self::with(&PoolConfig { threads: 1, ..PoolConfig::default() })
    }

    pub(crate) fn with(config: &PoolConfig) -> Self {
        let (send, turns) = channel();
        let pool = Pool::start(config, move |turn| drop(send.send(turn))).unwrap();
        Self { pool, turns }
    }

    pub(crate) fn turn(&self) -> Turn {
        self.turns.recv_timeout(TURN_DEADLINE).expect("the pool answers every start and resume")
    }

    pub(crate) fn start(
        &self,
        slot: Slot,
        program: &Arc<Program>,
        context: RunContext,
        results: Vec<OpResult>,
    ) -> Turn {
        self.pool.submit(Job::Start(Box::new(Start { slot, program: Arc::clone(program), context, results })));
        self.turn()
    }

    /// Runs to the end; every request is answered, in order, `Ok` or `Err`, one second after the last.
    pub(crate) fn run(&self, source: &str, input: &str, answer: impl FnMut(&OpRequest) -> Answer) -> Run {
        self.run_program(&program(source), context(input), answer)
    }

    pub(crate) fn run_program(
        &self,
        program: &Arc<Program>,
        context: RunContext,
        mut answer: impl FnMut(&OpRequest) -> Answer,
    ) -> Run {
        let mut run = Run::default();
        let mut open: Vec<OpRequest> = Vec::new();
        let mut turn = self.start(1, program, context, Vec::new());
        loop {
            run.turns += 1;
            run.logs.append(&mut turn.logs);
            run.ops.extend(turn.ops.iter().cloned());
            open.append(&mut turn.ops);
            match turn.state {
                TurnState::Waiting => {}
                TurnState::Completed { output, steps } => {
                    run.output = Some(output);
                    run.steps = steps;
                    return run;
                }
                TurnState::Failed { error, steps } => {
                    run.error = Some(error);
                    run.steps = steps;
                    return run;
                }
                TurnState::Evicted => panic!("evicted"),
            }
            let op = open.remove(0);
            let at_ms = STARTED_MS + 1_000 * (run.delivered.len() as i64 + 1);
            let result = OpResult { key: op.key.clone(), at_ms, outcome: answer(&op) };
            run.delivered.push(result.clone());
            self.pool.submit(Job::Resume { slot: 1, results: vec![result] });
            turn = self.turn();
        }
    }
}

pub(crate) type Answer = Result<String, OpError>;

/// Answers every request with `null`.
pub(crate) fn null(_: &OpRequest) -> Answer {
    Ok("null".into())
}

/// The result of a fetch.
pub(crate) fn response(status: u16, body: &str) -> Answer {
    Ok(serde_json::json!({
        "status": status, "statusText": "", "headers": [["content-type", "application/json"]], "body": body, "url": "",
    })
    .to_string())
}

pub(crate) fn failure(retryable: bool) -> Answer {
    Err(OpError { name: "X".into(), message: "connection refused".into(), code: "ECONN".into(), retryable })
}
