//! The processor, the workflow runtime, the projector and alerts: what turns events into executions, executions into rows,
//! and their ends into messages to those who are to know.

pub mod alerts;
mod follower;
pub mod otlp;
pub mod processor;
pub mod projector;
pub mod runtime;
pub mod sealing;

/// Waits until `clock` has come to `at`.
pub(crate) async fn until(clock: &dyn fastn_domain::Clock, at: fastn_domain::Timestamp) {
    match clock.alarm(at) {
        Some(alarm) => alarm.await,
        None => tokio::time::sleep(at.since(clock.now())).await,
    }
}
