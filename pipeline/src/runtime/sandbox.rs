//! One execution: what it asked for, what it was told, what it left behind.
//!
//! The JavaScript side lives in the engine while it runs and in an image while it waits; everything that must not be
//! reachable from JavaScript (marks, secrets, limits) is here. Results go in one at a time, in order, and the machine runs
//! to idle after each, so that a replay sees exactly what the first run saw.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use serde_json::json;

use super::compile::Program;
use super::engine::{Engine, Thrown};
use super::fault;
use super::heap::Image;
use super::host::{StepNote, thread_cpu_ns};
use super::marks::{Ending, Marks};
use super::op::{OpError, OpKind, OpRequest, OpResult};
use super::secrets::Secrets;
use super::turn::{ErrorKind, LogLevel, LogLine, RunContext, Slot, Start, Turn, TurnState, WorkflowError};

/// Longest log line.
pub const LOG_LINE_BYTES_MAX: usize = 8 << 10;
/// Log lines that one execution may write; later ones are dropped.
pub const LOG_LINES_MAX: u32 = 1_000;
/// Requests that one execution may make.
pub const OPS_MAX: usize = 10_000;

/// CPU time that executions may use.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CpuLimits {
    pub(crate) slice_ns: u64,
    pub(crate) execution_ns: u64,
}

enum End {
    Completed(String),
    Failed(WorkflowError),
}

/// What is known when a slice is over.
struct Stop<'a> {
    done: Option<(bool, String)>,
    interrupted: bool,
    panicked: bool,
    refused: bool,
    thrown: Option<&'a Thrown>,
}

struct Asked {
    secret: bool,
}

/// See the head of this file.
pub(crate) struct Sandbox {
    slot: Slot,
    program: Arc<Program>,
    seed: [u8; 32],
    now_ms: i64,
    cpu_ns: u64,
    log_seq: u32,
    ops_made: usize,
    asked: HashMap<String, Asked>,
    /// Results that came before their request.
    early: HashMap<String, OpResult>,
    marks: Marks,
    secrets: Secrets,
    limits: CpuLimits,
    /// The JavaScript side, while another sandbox uses the engine.
    pub(crate) image: Option<Image>,
    // Of the present turn:
    requested: Vec<OpRequest>,
    ready: VecDeque<OpResult>,
    logs: Vec<LogLine>,
    end: Option<End>,
}

impl Sandbox {
    /// Begins an execution in a freshly reset engine and delivers the results it comes with.
    pub(crate) fn begin(engine: &mut Engine, start: Start, limits: CpuLimits) -> (Self, Turn) {
        let Start { slot, program, context, results } = start;
        let mut sandbox = Self {
            slot,
            program,
            seed: context.seed,
            now_ms: context.started_at_ms,
            cpu_ns: 0,
            log_seq: 0,
            ops_made: 0,
            asked: HashMap::new(),
            early: HashMap::new(),
            marks: Marks::default(),
            secrets: Secrets::default(),
            limits,
            image: None,
            requested: Vec::new(),
            ready: VecDeque::new(),
            logs: Vec::new(),
            end: None,
        };
        sandbox
            .slice(engine, |engine, program| engine.begin(&context_text(&context), &context.input, program.bytecode()));
        let turn = sandbox.turn(engine, results);
        (sandbox, turn)
    }

    /// Continues with further results; the engine holds this sandbox.
    pub(crate) fn resume(&mut self, engine: &mut Engine, results: Vec<OpResult>) -> Turn {
        self.turn(engine, results)
    }

    fn turn(&mut self, engine: &mut Engine, results: Vec<OpResult>) -> Turn {
        for result in results {
            self.deliver(engine, result);
            while let Some(result) = self.ready.pop_front() {
                self.deliver(engine, result);
            }
        }
        if self.end.is_none() && self.asked.is_empty() {
            self.end = Some(End::Failed(self.nothing_left(engine)));
        }
        let asked = &self.asked;
        let mut ops = std::mem::take(&mut self.requested);
        ops.retain(|op| asked.contains_key(&op.key));
        let state = match self.end.take() {
            None => TurnState::Waiting,
            Some(End::Completed(output)) => TurnState::Completed { output, steps: self.marks.finish(&self.secrets) },
            Some(End::Failed(error)) => TurnState::Failed { error, steps: self.marks.finish(&self.secrets) },
        };
        Turn {
            slot: self.slot,
            state,
            ops,
            logs: std::mem::take(&mut self.logs),
            cpu_us: 0, // the worker knows
            memory_bytes: engine.memory_bytes() as u64,
        }
    }

    fn deliver(&mut self, engine: &mut Engine, result: OpResult) {
        if self.end.is_some() {
            return;
        }
        let Some(asked) = self.asked.remove(&result.key) else {
            self.early.insert(result.key.clone(), result);
            return;
        };
        self.now_ms = self.now_ms.max(result.at_ms);
        let failed;
        let (ok, text) = match &result.outcome {
            Ok(text) => {
                if asked.secret {
                    self.secrets.learn(text);
                }
                (true, text)
            }
            Err(error) => {
                failed = error_text(error);
                (false, &failed)
            }
        };
        let outcome = result.outcome.as_deref().map_err(|error| error.message.as_str());
        self.marks.end(&result.key, &Ending { at_ms: self.now_ms, attempts: 1, outcome });
        let now_ms = self.now_ms;
        self.slice(engine, |engine, _| engine.deliver(&result.key, now_ms, ok, text));
    }

    /// Lets something happen in the machine and runs it to idle, under the CPU limits.
    fn slice(&mut self, engine: &mut Engine, action: impl FnOnce(&mut Engine, &Program) -> Result<(), Thrown>) {
        let left = self.limits.execution_ns.saturating_sub(self.cpu_ns).min(self.limits.slice_ns);
        let began = engine.limit_cpu(left);
        engine.host().seed = self.seed;
        let program = Arc::clone(&self.program);
        let mut thrown = action(engine, &program).err();
        loop {
            let stopped = engine.run_jobs();
            thrown = thrown.or(stopped);
            if thrown.is_some() || engine.host().interrupted || engine.host().done.is_some() {
                break;
            }
            match engine.next_step() {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => thrown = Some(error),
            }
        }
        self.cpu_ns += thread_cpu_ns() - began;
        self.collect(engine, thrown.as_ref());
    }

    fn collect(&mut self, engine: &mut Engine, thrown: Option<&Thrown>) {
        let host = engine.host();
        let (ops, logs, steps) =
            (std::mem::take(&mut host.ops), std::mem::take(&mut host.logs), std::mem::take(&mut host.steps));
        let unheard = std::mem::take(&mut host.unheard);
        let done = host.done.take();
        let (interrupted, panicked) = (host.interrupted, host.panicked);
        self.note_steps(steps);
        for (level, text) in logs {
            self.log(&level, text);
        }
        for (_, text) in unheard {
            self.log("warn", format!("a promise was rejected and nothing handles it: {text}"));
        }
        for op in ops {
            self.request(&op);
        }
        if self.end.is_none() {
            let refused = engine.refused();
            self.end = self.judge(&Stop { done, interrupted, panicked, refused, thrown });
        }
    }

    /// Whether the slice was the last one, and how it ended.
    fn judge(&self, stop: &Stop<'_>) -> Option<End> {
        let (program, secrets) = (&self.program, &self.secrets);
        let stack = stop.thrown.map(|thrown| thrown.stack.as_str());
        let failure = stop.done.as_ref().filter(|(completed, _)| !completed).map(|(_, json)| json.as_str());
        let error = if stop.panicked {
            let message = "the runtime failed while it ran this workflow".to_owned();
            fault::of_limit(ErrorKind::Code, message, None, None, program)
        } else if stop.interrupted {
            fault::of_limit(ErrorKind::Cpu, self.cpu_message(), failure, stack, program)
        } else if let Some((true, output)) = &stop.done {
            return Some(End::Completed(output.clone()));
        } else if let Some(json) = failure {
            fault::of_failure(json, program, secrets)
        } else {
            fault::of_thrown(stop.thrown?, program, secrets)
        };
        // An engine without memory for an error throws null.
        let out_of_memory = error.kind == ErrorKind::Memory || (stop.refused && error.message == "null");
        if out_of_memory { Some(End::Failed(memory(error))) } else { Some(End::Failed(error)) }
    }

    fn note_steps(&mut self, steps: Vec<StepNote>) {
        for note in steps {
            match note {
                StepNote::Begin { key, name } => self.marks.begin_step(key, name, self.now_ms),
                StepNote::End { key, completed, attempts, text } => {
                    let outcome = if completed { Ok(text.as_str()) } else { Err(text.as_str()) };
                    self.marks.end(&key, &Ending { at_ms: self.now_ms, attempts, outcome });
                }
            }
        }
    }

    fn request(&mut self, json: &str) {
        let op: OpRequest = match serde_json::from_str(json) {
            Ok(op) => op,
            Err(error) => {
                let message = format!("a request cannot be read: {error}");
                self.end = Some(End::Failed(fault::of_limit(ErrorKind::Code, message, None, None, &self.program)));
                return;
            }
        };
        self.ops_made += 1;
        if self.ops_made > OPS_MAX {
            let message = format!("the workflow made more than {OPS_MAX} requests; split it with fastn.flow.invoke");
            self.end = Some(End::Failed(fault::of_limit(ErrorKind::Code, message, None, None, &self.program)));
            return;
        }
        self.marks.begin_op(&op, self.now_ms);
        self.asked.insert(op.key.clone(), Asked { secret: matches!(op.kind, OpKind::SecretGet { .. }) });
        if let Some(result) = self.early.remove(&op.key) {
            self.ready.push_back(result);
        }
        self.requested.push(op);
    }

    fn log(&mut self, level: &str, text: String) {
        if self.log_seq >= LOG_LINES_MAX {
            return;
        }
        let level = match level {
            "debug" => LogLevel::Debug,
            "warn" => LogLevel::Warn,
            "error" => LogLevel::Error,
            _ => LogLevel::Info,
        };
        let mut message = self.secrets.scrub(text);
        message.truncate(message.floor_char_boundary(LOG_LINE_BYTES_MAX));
        self.logs.push(LogLine { seq: self.log_seq, at_ms: self.now_ms, level, message });
        self.log_seq += 1;
    }

    fn cpu_message(&self) -> String {
        let whole = self.cpu_ns >= self.limits.execution_ns;
        let (what, ns) = if whole {
            ("execution", self.limits.execution_ns)
        } else {
            ("stretch between two waits", self.limits.slice_ns)
        };
        format!("one {what} may use {} ms of CPU time", ns / 1_000_000)
    }

    /// Why a workflow that has not ended waits for nothing.
    fn nothing_left(&self, engine: &Engine) -> WorkflowError {
        if engine.refused() {
            return memory(fault::of_limit(ErrorKind::Memory, String::new(), None, None, &self.program));
        }
        let message = "the workflow waits for a promise that nothing can settle any more".to_owned();
        fault::of_limit(ErrorKind::Code, message, None, None, &self.program)
    }
}

fn memory(error: WorkflowError) -> WorkflowError {
    let message = "the workflow needs more memory than it may have".into();
    WorkflowError { kind: ErrorKind::Memory, name: "MemoryLimitError".into(), message, ..error }
}

fn error_text(error: &OpError) -> String {
    json!({ "name": error.name, "message": error.message, "code": error.code, "retryable": error.retryable })
        .to_string()
}

/// What the prelude's `setup` reads. The parts are JSON already and are put together as text.
fn context_text(context: &RunContext) -> String {
    let words: Vec<u32> = blake3::derive_key("fastn 2026-11 workflow Math.random", &context.seed)
        .chunks_exact(4)
        .take(4)
        .map(|word| u32::from_le_bytes([word[0], word[1], word[2], word[3]]))
        .collect();
    let id = json!(context.execution_id);
    let rest = context.execution.trim().strip_prefix('{').unwrap_or("}");
    let comma = if rest.trim_start().starts_with('}') { "" } else { "," };
    format!(
        r#"{{"at":{at},"seed":{words:?},"headers":{headers},"execution":{{"id":{id}{comma}{rest},"customer":{customer},"event":{event}}}"#,
        at = context.started_at_ms,
        headers = context.headers,
        customer = context.customer,
        event = context.event,
    )
}
