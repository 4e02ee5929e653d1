//! Where an execution stands after one more record of the journal. Pure; the store keeps the same rule in SQL for
//! executions that an earlier batch wrote.

use fastn_contract::activity::ExecutionStatus;

/// What a record says of an execution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Said {
    /// It was admitted, or invoked.
    Started,
    /// It went on.
    WentOn(ExecutionStatus),
    /// It ended.
    Ended(ExecutionStatus),
    /// All that is known of it is said again.
    Again(ExecutionStatus),
}

/// The status after `said`; nothing when the record is to be ignored. `now` is absent when the batch has not met the
/// execution yet.
///
/// A start and a snapshot replace whatever was there. An end is final: nothing that follows, short of a new start,
/// changes it.
pub(crate) fn next_status(now: Option<ExecutionStatus>, said: Said) -> Option<ExecutionStatus> {
    let over = now.is_some_and(ExecutionStatus::is_final);
    match said {
        Said::Started => Some(ExecutionStatus::Queued),
        Said::Again(status) => Some(status),
        Said::WentOn(status) => (!over && !status.is_final()).then_some(status),
        Said::Ended(status) => (!over && status.is_final()).then_some(status),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fastn_contract::activity::ExecutionStatus::{Cancelled, Completed, Failed, Queued, Running, Timeout, Waiting};

    const ALL: [ExecutionStatus; 7] = [Queued, Running, Waiting, Completed, Failed, Timeout, Cancelled];

    /// Property: what has ended stays as it ended, whatever progress or second end is told of it.
    #[test]
    fn an_end_is_final() {
        for now in [Completed, Failed, Timeout, Cancelled] {
            for said in ALL {
                assert_eq!(next_status(Some(now), Said::WentOn(said)), None, "{now:?} {said:?}");
                assert_eq!(next_status(Some(now), Said::Ended(said)), None, "{now:?} {said:?}");
            }
        }
    }

    /// Property: only an end ends, and nothing else does.
    #[test]
    fn only_an_end_ends() {
        for now in [None, Some(Queued), Some(Running), Some(Waiting)] {
            for said in ALL {
                let (went, ended) = (next_status(now, Said::WentOn(said)), next_status(now, Said::Ended(said)));
                assert_eq!(went, (!said.is_final()).then_some(said));
                assert_eq!(ended, said.is_final().then_some(said));
            }
        }
    }

    /// Property: a start and a snapshot hold whatever was there before.
    #[test]
    fn a_start_begins_anew() {
        for now in ALL.into_iter().map(Some).chain([None]) {
            assert_eq!(next_status(now, Said::Started), Some(Queued));
            assert_eq!(next_status(now, Said::Again(Waiting)), Some(Waiting));
        }
    }
}
