//! Where journal records lie: sequence numbers count what this writer appended, offsets are the log's.

use std::collections::BTreeMap;

/// Maps sequence numbers to offsets. In a log without gaps it is one entry however long the journal is.
#[derive(Debug, Default)]
pub(super) struct RecordOffsets {
    /// From this sequence number on, offset − sequence number.
    shifts: BTreeMap<u64, u64>,
}

impl RecordOffsets {
    /// The record `seq` and those after it lie at `offset` and after it.
    pub(super) fn learn(&mut self, seq: u64, offset: u64) {
        debug_assert!(offset >= seq, "offsets never fall behind sequence numbers");
        let shift = offset - seq;
        if self.shifts.range(..=seq).next_back().map(|(_, &known)| known) != Some(shift) {
            self.shifts.insert(seq, shift);
        }
    }

    /// The offset of `seq`. Right only for durable records.
    pub(super) fn offset(&self, seq: u64) -> u64 {
        let shift = self.shifts.range(..=seq).next_back().map_or(0, |(_, &shift)| shift);
        seq + shift
    }

    /// Forgets what is only needed below `seq`.
    pub(super) fn forget_before(&mut self, seq: u64) {
        if let Some((&start, _)) = self.shifts.range(..=seq).next_back() {
            self.shifts = self.shifts.split_off(&start);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Property: gaps in offsets shift only the records after them, and forgetting keeps what is still asked for.
    #[test]
    fn offsets_follow_gaps() {
        let mut offsets = RecordOffsets::default();
        offsets.learn(0, 0);
        offsets.learn(5, 5);
        offsets.learn(8, 10);
        assert_eq!((offsets.offset(7), offsets.offset(8), offsets.offset(20)), (7, 10, 22));
        offsets.forget_before(9);
        assert_eq!(offsets.offset(9), 11);
        assert_eq!(offsets.shifts.len(), 1);
    }
}
