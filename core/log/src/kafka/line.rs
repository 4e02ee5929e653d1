//! What waits at one partition: a batch is under way, and the next gathers meanwhile.
//!
//! librdkafka would queue it as well. But while an idempotent partition has a few records under way and more of them queued,
//! its broker thread takes the queue for ready, finds that it may not send, and looks again without a pause until the
//! answer comes: a fifth of a node's CPU time. What it is given here it can send at once.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::kafka::pending::Pending;
use crate::seam::Record;

/// Records and bytes of one batch: what librdkafka puts into one request.
const BATCH_RECORDS_MAX: usize = 10_000;
const BATCH_BYTES_MAX: usize = 900 << 10;

/// An append on its way.
pub(crate) struct Queued {
    pub(crate) records: Vec<Record>,
    pub(crate) pending: Arc<Pending>,
}

/// See the head comment.
#[derive(Default)]
pub(crate) struct Line {
    /// Records that are not acknowledged yet.
    under_way: usize,
    waiting: VecDeque<Queued>,
}

impl Line {
    /// Puts an append at the end. What must be sent now, if nothing is under way.
    #[must_use]
    pub(crate) fn push(&mut self, queued: Queued) -> Vec<Queued> {
        self.waiting.push_back(queued);
        self.next()
    }

    /// A record was acknowledged. What must be sent now, if it was the last of its batch.
    #[must_use]
    pub(crate) fn landed(&mut self) -> Vec<Queued> {
        self.under_way = self.under_way.saturating_sub(1);
        self.next()
    }

    fn next(&mut self) -> Vec<Queued> {
        let mut batch = Vec::new();
        if self.under_way > 0 {
            return batch;
        }
        let mut bytes = 0;
        while let Some(first) = self.waiting.front() {
            let (records, more) = (self.under_way + first.records.len(), bytes + first.pending.bytes);
            if !batch.is_empty() && (records > BATCH_RECORDS_MAX || more > BATCH_BYTES_MAX) {
                break;
            }
            (self.under_way, bytes) = (records, more);
            batch.extend(self.waiting.pop_front());
        }
        batch
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;
    use crate::kafka::options::KafkaOptions;
    use crate::kafka::slot::Slot;
    use crate::seam::Topic;

    fn queued(id: u64, records: usize, bytes: usize) -> Queued {
        let options = KafkaOptions::default();
        let slot = Arc::new(Slot::new(&options, &options.topic(Topic::Events).into(), Topic::Events, 0));
        let pending = Arc::new(Pending::new(id, slot, records, bytes, oneshot::channel().0));
        Queued { records: vec![Record::default(); records], pending }
    }

    fn ids(batch: &[Queued]) -> Vec<u64> {
        batch.iter().map(|queued| queued.pending.id).collect()
    }

    /// Property: one batch is under way at a time; the next holds all that gathered, in order, as far as it fits; an append
    /// larger than a batch goes alone.
    #[test]
    fn one_batch_at_a_time() {
        let mut line = Line::default();
        assert_eq!(ids(&line.push(queued(1, 2, 10))), [1]);
        for (id, bytes) in [(2, 10), (3, BATCH_BYTES_MAX - 10), (4, BATCH_BYTES_MAX + 1), (5, 1)] {
            assert!(line.push(queued(id, 1, bytes)).is_empty());
        }
        assert!(line.landed().is_empty());
        assert_eq!(ids(&line.landed()), [2, 3]);
        assert!(line.landed().is_empty());
        assert_eq!(ids(&line.landed()), [4]);
        assert_eq!(ids(&line.landed()), [5]);
        assert!(line.landed().is_empty());
        assert_eq!(ids(&line.push(queued(6, 1, 1))), [6]);
    }
}
