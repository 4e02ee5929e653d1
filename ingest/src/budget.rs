//! The bytes of request bodies that this process holds at once. What does not fit is refused at once, never queued.

use std::sync::Arc;

use fastn_contract::error::{ErrorCode, Problem};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::observe;
use crate::problem::retry_after;

/// A fixed number of bytes that requests share.
#[derive(Clone, Debug)]
pub(crate) struct Budget {
    free: Arc<Semaphore>,
}

impl Budget {
    /// A budget of `bytes_max`.
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self { free: Arc::new(Semaphore::new(bytes_max.min(Semaphore::MAX_PERMITS))) }
    }

    /// An empty share, to be grown as bytes arrive. Dropping it gives the bytes back.
    pub(crate) fn share(&self) -> Share {
        Share { budget: self.clone(), permit: None, bytes: 0 }
    }
}

/// What one request holds of the budget.
#[derive(Debug)]
pub(crate) struct Share {
    budget: Budget,
    permit: Option<OwnedSemaphorePermit>,
    bytes: usize,
}

impl Share {
    /// Takes `bytes` more, now or not at all.
    ///
    /// # Errors
    /// `SERVICE_UNAVAILABLE` when the budget is used up.
    pub(crate) fn grow(&mut self, bytes: usize) -> Result<(), Problem> {
        let more =
            u32::try_from(bytes).ok().and_then(|count| self.budget.free.clone().try_acquire_many_owned(count).ok());
        let Some(more) = more else {
            let detail = "Too many request bodies are in the air. Nothing was taken; send it again in a moment.";
            return Err(retry_after(Problem::new(ErrorCode::ServiceUnavailable, detail), 1));
        };
        match &mut self.permit {
            Some(permit) => permit.merge(more),
            empty => *empty = Some(more),
        }
        self.bytes += bytes;
        observe::in_flight_grew(bytes);
        Ok(())
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        observe::in_flight_shrank(self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Property: shares never exceed the budget together, and what one gives back another can take.
    #[test]
    fn shares_stay_within_the_budget() {
        let budget = Budget::new(100);
        let (mut one, mut two) = (budget.share(), budget.share());
        one.grow(60).unwrap();
        one.grow(10).unwrap();
        assert_eq!(two.grow(31).unwrap_err().retry_after, Some(1));
        two.grow(30).unwrap();
        drop(one);
        two.grow(70).unwrap();
        assert!(two.grow(1).is_err());
    }
}
