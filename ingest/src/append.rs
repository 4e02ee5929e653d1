//! Into the log: the way in which the edge's events get there.

use fastn_contract::error::{ErrorCode, Problem};
use fastn_domain::event::EventRecord;
use fastn_domain::partition::partition_of;
use fastn_log::{Appended, Log, LogError, LogErrorKind, Outcome, Topic, event_record_at};
use futures_util::future::BoxFuture;

use crate::observe;
use crate::problem::retry_after;

/// Appends events of one customer that were accepted under the configuration of `revision`, in order. At least one. Resolves
/// once they are durable.
///
/// # Errors
/// As [`Log::append`]; [`append_problem`] makes the answer of it.
pub(crate) fn append_events(
    log: &dyn Log,
    events: &[EventRecord],
    revision: u64,
) -> BoxFuture<'static, Result<Appended, LogError>> {
    debug_assert!(events.iter().all(|event| event.scope == events[0].scope), "a batch is of one customer");
    let partition = partition_of(&events[0].scope, log.partitions());
    let records = events.iter().map(|event| event_record_at(event, revision)).collect();
    log.append(Topic::Events, partition, records)
}

/// The answer to a failed append. `id` is the (first) event's id: with it the sender can safely send again.
pub(crate) fn append_problem(error: &LogError, id: &str) -> Problem {
    observe::append_failed(error);
    if error.outcome == Outcome::Unknown {
        let detail = format!(
            "Whether event {id} was stored is not known: the log's acknowledgement was lost. Send it again with the same \
             id; it is admitted once."
        );
        return retry_after(Problem::new(ErrorCode::ServiceUnavailable, detail), 1);
    }
    let (code, detail, seconds) = match error.kind {
        LogErrorKind::Busy => {
            (ErrorCode::ServiceUnavailable, "The log is busy. Nothing was taken; send it again in a moment.", 1)
        }
        LogErrorKind::Full => (
            ErrorCode::ServiceUnavailable,
            "The log's disk is full. Nothing was taken; its operator must free space.",
            60,
        ),
        LogErrorKind::TooLarge => {
            let detail = "The event is larger than the log takes. Nothing was taken.";
            return Problem::new(ErrorCode::PayloadTooLarge, detail);
        }
        LogErrorKind::Closed => {
            (ErrorCode::ServiceUnavailable, "The server is stopping. Nothing was taken; send it again.", 2)
        }
        LogErrorKind::Trimmed | LogErrorKind::Locked | LogErrorKind::Corrupt | LogErrorKind::Io => (
            ErrorCode::ServiceUnavailable,
            "The log cannot take events now. Nothing was taken; send it again later.",
            10,
        ),
    };
    retry_after(Problem::new(code, detail), seconds)
}
