//! What the runtime tells the operator: one function per thing that happens.

use metrics::{counter, gauge, histogram};

use super::turn::{ErrorKind, TurnState};

/// A turn ended after `cpu_ns`, copying the sandbox in and out included.
pub(crate) fn turn(cpu_ns: u64, state: &TurnState) {
    let end = match state {
        TurnState::Waiting => "waiting",
        TurnState::Completed { .. } => "completed",
        TurnState::Failed { .. } => "failed",
        TurnState::Evicted => "evicted",
    };
    histogram!("fastn_sandbox_turn_cpu_seconds", "end" => end).record(cpu_ns as f64 / 1e9);
    if let TurnState::Failed { error, .. } = state {
        failure(error.kind);
    }
}

fn failure(kind: ErrorKind) {
    let kind = match kind {
        ErrorKind::Code => "code",
        ErrorKind::Transient => "transient",
        ErrorKind::Memory => "memory",
        ErrorKind::Cpu => "cpu",
        ErrorKind::NonRetryable => "non_retryable",
        ErrorKind::Output => "output",
    };
    counter!("fastn_sandbox_failures_total", "kind" => kind).increment(1);
}

/// A sandbox began, or began again with `replayed` results.
pub(crate) fn started(replayed: usize) {
    counter!("fastn_sandbox_starts_total", "replay" => if replayed > 0 { "yes" } else { "no" }).increment(1);
}

/// A waiting sandbox was dropped to stay under a limit.
pub(crate) fn evicted() {
    counter!("fastn_sandbox_evictions_total").increment(1);
}

/// A thread's sandboxes changed by so many, and their images by so many bytes.
pub(crate) fn live(sandboxes: i64, bytes: i64) {
    gauge!("fastn_sandbox_live").increment(sandboxes as f64);
    gauge!("fastn_sandbox_image_bytes").increment(bytes as f64);
}

/// The runtime itself failed on a job; its sandbox is lost, the thread goes on.
pub(crate) fn panicked(slot: u64) {
    counter!("fastn_sandbox_panics_total").increment(1);
    tracing::error!(slot, "the workflow runtime failed on slot {slot}; the execution fails, the thread goes on");
}
