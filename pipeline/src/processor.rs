//! The processor: one per partition. It admits events exactly once, runs executions fairly, and remembers through the
//! journal.
//!
//! [`machine`] is the whole of its logic, without I/O and without a clock, so that a seed decides everything about a
//! simulated run. The driver gives it what the log, the sandboxes, the network and the clock say, and does what it asks.

pub mod machine;
mod observe;
