//! Failed appends whose callers have not heard of it.
//!
//! A writer has several appends under way. If one fails and the next, made before the failure was heard, comes through, the
//! log has a hole that no reader can see. So a journal takes nothing more from the failure on until its caller has the
//! answer in hand or has dropped it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::seam::{Appended, LogError, LogResult};

/// What an append's caller gets. While a failure is on its way it counts as unheard.
pub(crate) type Answer = Result<Appended, (LogError, Unheard)>;

/// The caller has it in hand.
pub(crate) fn heard(answer: Answer) -> LogResult<Appended> {
    answer.map_err(|(error, _unheard)| error)
}

/// The failures of one partition.
#[derive(Default)]
pub(crate) struct Failures(Arc<AtomicUsize>);

impl Failures {
    /// Marks one, as long as what is returned lives.
    pub(crate) fn unheard(&self) -> Unheard {
        self.0.fetch_add(1, Ordering::AcqRel);
        Unheard(Arc::clone(&self.0))
    }

    /// Whether a writer goes on that does not know yet that one of its appends has failed.
    pub(crate) fn any(&self) -> bool {
        self.0.load(Ordering::Acquire) > 0
    }
}

/// Lives in the answer to a failed append until its caller has taken it or has lost interest.
pub(crate) struct Unheard(Arc<AtomicUsize>);

impl Drop for Unheard {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}
