//! The processor: one per partition. It admits events exactly once, runs executions fairly, and remembers through the
//! journal.
//!
//! [`machine`] is the whole of its logic, without I/O and without a clock, so that a seed decides everything about a
//! simulated run. The driver gives it what the log, the sandboxes, the network and the clock say, and does what it asks.

mod answers;
pub(crate) mod calls;
pub(crate) mod claim;
mod driver;
pub(crate) mod intercept;
pub mod machine;
mod observe;
mod outbound;
mod pipeline;
mod programs;
mod sandboxes;
mod state_of;
mod traces;

pub use answers::{Answers, Forward, Ticket};
pub use calls::{CALL_RESPONSE_BYTES_MAX, CALL_TIMEOUT_MS_MAX, CALLS_PER_ORIGIN_MAX};
pub use intercept::{CallBy, Decide, Instead, Intercept, OutsideCall};
pub use outbound::{Outbound, OutboundAnswer, OutboundLimits, OutboundRequest};
pub use pipeline::{Pipeline, PipelineConfig, PipelineError, TrimFloor};
pub use state_of::state_of;
