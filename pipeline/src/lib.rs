//! The processor, the workflow runtime and the projector: what turns events into executions, and executions into rows.

pub mod processor;
pub mod projector;
pub mod runtime;
pub mod sealing;
