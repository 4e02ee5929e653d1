//! What a replay from the failed step keeps.

use crate::journal::OpRecord;

/// The results that another attempt keeps: all that a later request was made after, and of the rest the good ones. An
/// error that nothing followed is what failed: its call is made again.
pub fn kept_results(results: Vec<OpRecord>) -> Vec<OpRecord> {
    let last_request = results.iter().map(|result| result.started).max();
    let keep = |result: &OpRecord| result.error.is_none() || last_request.is_some_and(|last| last > result.at);
    results.into_iter().filter(keep).collect()
}
