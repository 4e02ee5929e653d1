//! Sequential triggers: one execution at a time for each key, in order of arrival.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use fastn_domain::ids::ExecutionId;

/// The executions of each sequence, the one that may run in front.
#[derive(Debug, Default)]
pub(super) struct Sequences {
    lines: HashMap<Arc<str>, VecDeque<ExecutionId>>,
}

impl Sequences {
    /// Puts `execution` at the end of its line and says whether it may run.
    pub(super) fn join(&mut self, sequence: &Arc<str>, execution: ExecutionId) -> bool {
        let line = self.lines.entry(Arc::clone(sequence)).or_default();
        line.push_back(execution);
        line.len() == 1
    }

    /// Takes `execution` out, and returns the one that may run now if it was the first.
    pub(super) fn leave(&mut self, sequence: &Arc<str>, execution: ExecutionId) -> Option<ExecutionId> {
        let line = self.lines.get_mut(sequence)?;
        let was_first = line.front() == Some(&execution);
        line.retain(|other| *other != execution);
        if line.is_empty() {
            self.lines.remove(sequence);
            return None;
        }
        was_first.then(|| line.front().copied())?
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Property: whoever leaves, only the first of the line may run, and each gets its turn once.
    #[test]
    fn one_at_a_time_in_order() {
        let mut sequences = Sequences::default();
        let key: Arc<str> = Arc::from("k");
        let [a, b, c] = [1, 2, 3].map(ExecutionId);
        assert!(sequences.join(&key, a));
        assert!(!sequences.join(&key, b) && !sequences.join(&key, c));
        assert_eq!(sequences.leave(&key, b), None);
        assert_eq!(sequences.leave(&key, a), Some(c));
        assert_eq!(sequences.leave(&key, c), None);
        assert!(sequences.lines.is_empty());
    }
}
