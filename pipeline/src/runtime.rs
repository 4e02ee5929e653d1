//! The workflow runtime: a pure machine without network, clock or disk, driven by the processor.
//!
//! A workflow is a TypeScript module, `export default async function (ctx) { … }`. `compile` turns it into a `Program`; a
//! `Pool` runs programs in QuickJS sandboxes. Whatever a workflow wants from the outside it asks for by an `OpRequest`,
//! and goes on when the `OpResult` with the same key is delivered:
//!
//! ```text
//! Start{program, context, results} ──▶ Turn{Waiting, ops}        the processor does the ops, journals the results
//! Resume{results}                  ──▶ Turn{Waiting, ops} …
//! Resume{results}                  ──▶ Turn{Completed | Failed}   or Evicted: Start again with all results
//! ```
//!
//! The same program with the same context and the same results in the same order asks for the same keys in the same order:
//! time stands still but for the results' own times, chance comes from a seed, and nothing else gets in. So a sandbox can be
//! thrown away at any moment and made again by replay.
//!
//! | file | what it owns |
//! |---|---|
//! | `compile`, `source_map` | TypeScript to bytecode, and positions back |
//! | `heap`, `engine`, `bytecode` | the memory a machine lives in, the QuickJS machine, its compiler: all the unsafe code, with `host` |
//! | `host`, `web`, `prelude/` | what JavaScript can reach, and the API built on it |
//! | `sandbox`, `marks`, `secrets`, `fault` | one execution: results in, requests, record and errors out |
//! | `pool`, `worker` | threads, and who gives way when memory is short |

mod bytecode;
mod compile;
mod engine;
mod fault;
mod heap;
mod host;
mod marks;
mod observe;
mod op;
mod pool;
mod sandbox;
mod secrets;
mod source_map;
mod turn;
mod web;
mod worker;

pub use compile::{CompileError, Program, SOURCE_BYTES_MAX, compile};
pub use engine::EngineError;
pub use marks::{STEP_MARKS_MAX, STEP_VALUE_BYTES_MAX};
pub use op::{FetchBody, JsonText, OpError, OpKind, OpRequest, OpResult, Redirect, StateScope};
pub use pool::{Pool, PoolConfig, PoolError};
pub use sandbox::{LOG_LINE_BYTES_MAX, LOG_LINES_MAX, OPS_MAX};
pub use secrets::SECRET_CHARS_MIN;
pub use turn::{
    ErrorKind, Job, LogLevel, LogLine, RunContext, Slot, Start, StepMark, StepStatus, Turn, TurnState, WorkflowError,
};

/// Type declarations of the runtime API, to be written into users' projects.
pub const TYPES: &str = include_str!("../types/fastn.d.ts");
