//! Suites and fakes that the tests of every crate share.

pub mod append_bench;
pub mod faulty_log;
pub mod faulty_store;
pub mod log_suite;
pub mod memory_log;
pub mod services;
pub mod store_suite;

pub use faulty_log::{FaultyLog, Odds};
pub use faulty_store::FaultyStore;
pub use memory_log::MemoryLog;
