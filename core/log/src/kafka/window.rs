//! The newest records of a followed partition in memory, so that the processor and the projector, which read right behind
//! the head, do not each fetch them again.
//!
//! A window is without holes: it has every record from `from` to `until`. Only the follower adds, in order.

use std::collections::VecDeque;

use crate::seam::{Offset, StoredRecord};

/// What a record costs beside its bytes.
const RECORD_OVERHEAD_BYTES: usize = 160;

/// See the head comment.
#[derive(Default)]
pub(crate) struct Window {
    /// Whether the follower feeds it.
    live: bool,
    from: Offset,
    until: Offset,
    records: VecDeque<StoredRecord>,
}

/// What a window has to say about an offset.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    /// At least one record.
    Records(Vec<StoredRecord>),
    /// It has all records before this offset, and they were asked for what comes after.
    Ahead,
    /// It does not go so far back, or is not fed.
    No,
}

impl Window {
    /// Empty, fed from `next` on.
    pub(crate) fn open(&mut self, next: Offset) {
        *self = Self { live: true, from: next, until: next, records: VecDeque::new() };
    }

    /// Not fed any more. Returns the bytes that it held.
    pub(crate) fn close(&mut self) -> usize {
        let held = self.records.iter().map(cost).sum();
        *self = Self::default();
        held
    }

    /// Where the follower goes on, if it does.
    pub(crate) fn next(&self) -> Option<Offset> {
        self.live.then_some(self.until)
    }

    /// Takes the next record; returns its bytes, or nothing when it is one that the window has already.
    pub(crate) fn push(&mut self, record: StoredRecord) -> usize {
        if !self.live || record.offset < self.until {
            return 0;
        }
        let bytes = cost(&record);
        self.until = record.offset + 1;
        self.records.push_back(record);
        bytes
    }

    /// Forgets the oldest record; returns its bytes.
    pub(crate) fn evict(&mut self) -> usize {
        let Some(oldest) = self.records.pop_front() else { return 0 };
        self.from = oldest.offset + 1;
        cost(&oldest)
    }

    /// Reads at `from`.
    pub(crate) fn read(&self, from: Offset, budget: Budget) -> Seen {
        if !self.live || from < self.from {
            return Seen::No;
        }
        if from >= self.until {
            return Seen::Ahead;
        }
        let at = self.records.partition_point(|record| record.offset < from);
        let mut budget = budget;
        let records = self.records.range(at..).take_while(|record| budget.take(bytes(record)));
        Seen::Records(records.cloned().collect())
    }
}

/// What one read may still take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Budget {
    records: usize,
    bytes: usize,
    first: bool,
}

impl Budget {
    pub(crate) fn new(records_max: usize, bytes_max: usize) -> Self {
        Self { records: records_max, bytes: bytes_max, first: true }
    }

    /// Takes a record of `bytes`, unless that would pass a limit. The first record always fits the bytes.
    pub(crate) fn take(&mut self, bytes: usize) -> bool {
        if self.records == 0 || (bytes > self.bytes && !self.first) {
            return false;
        }
        self.first = false;
        self.records -= 1;
        self.bytes = self.bytes.saturating_sub(bytes);
        true
    }

    pub(crate) fn is_spent(&self) -> bool {
        self.records == 0 || (self.bytes == 0 && !self.first)
    }
}

/// Bytes that count against the limits of a read.
pub(crate) fn bytes(record: &StoredRecord) -> usize {
    let headers: usize = record.headers.iter().map(|(name, value)| name.len() + value.len()).sum();
    record.key.len() + record.value.len() + headers
}

fn cost(record: &StoredRecord) -> usize {
    bytes(record) + RECORD_OVERHEAD_BYTES
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use fastn_domain::time::Timestamp;

    use super::*;

    fn record(offset: Offset) -> StoredRecord {
        let value = Bytes::from(vec![b'x'; 100]);
        StoredRecord { offset, timestamp: Timestamp(0), key: Bytes::new(), headers: Vec::new(), value }
    }

    fn offsets(seen: Seen) -> Vec<Offset> {
        match seen {
            Seen::Records(records) => records.iter().map(|record| record.offset).collect(),
            other => panic!("{other:?}"),
        }
    }

    /// Property: a window answers for exactly the offsets that it has without a hole, within the budget, and says when it
    /// does not know.
    #[test]
    fn answers_for_what_it_has() {
        let all = Budget::new(10, 10_000);
        let mut window = Window::default();
        assert_eq!(window.read(0, all), Seen::No, "not fed");
        window.open(5);
        assert_eq!((window.read(4, all), window.read(5, all)), (Seen::No, Seen::Ahead));
        for offset in [5, 6, 9, 10] {
            assert!(window.push(record(offset)) > 0);
        }
        assert_eq!(window.push(record(9)), 0, "twice is once");
        assert_eq!(offsets(window.read(5, all)), [5, 6, 9, 10]);
        assert_eq!(offsets(window.read(7, all)), [9, 10]);
        assert_eq!(offsets(window.read(5, Budget::new(10, 200))), [5, 6]);
        assert_eq!(offsets(window.read(5, Budget::new(10, 0))), [5]);
        assert_eq!(window.read(11, all), Seen::Ahead);
        window.evict();
        assert_eq!(window.read(5, all), Seen::No);
        assert_eq!(offsets(window.read(6, all)), [6, 9, 10]);
        window.close();
        assert_eq!(window.read(6, all), Seen::No);
    }
}
