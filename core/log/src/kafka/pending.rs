//! An append that waits for its acknowledgements, one for each record.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::oneshot;

use crate::kafka::failure;
use crate::kafka::slot::Slot;
use crate::seam::{Appended, LogErrorKind, Offset, Outcome, Topic};
use crate::unheard::Answer;

/// See the head comment.
pub(crate) struct Pending {
    pub(crate) id: u64,
    pub(crate) slot: Arc<Slot>,
    /// What it takes of the queue.
    pub(crate) bytes: usize,
    pub(crate) since: Instant,
    records: u64,
    progress: Mutex<Progress>,
}

struct Progress {
    first: Offset,
    /// Where the next record is expected.
    next: Offset,
    delivered: u64,
    /// Records of somebody else lie between ours.
    parted: bool,
    done: Option<oneshot::Sender<Answer>>,
}

impl Pending {
    pub(crate) fn new(id: u64, slot: Arc<Slot>, records: usize, bytes: usize, done: oneshot::Sender<Answer>) -> Self {
        let progress = Progress { first: 0, next: 0, delivered: 0, parted: false, done: Some(done) };
        Self { id, slot, bytes, since: Instant::now(), records: records as u64, progress: Mutex::new(progress) }
    }

    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next record of the append is durable at `offset`. True when it was the last.
    pub(crate) fn delivered(&self, offset: Offset) -> bool {
        let mut progress = self.progress();
        if progress.delivered == 0 {
            progress.first = offset;
        } else if offset != progress.next {
            progress.parted = true;
        }
        progress.next = offset + 1;
        progress.delivered += 1;
        progress.delivered == self.records
    }

    /// All is durable: shows it to readers and answers.
    ///
    /// The writer of a journal counts from the first offset. If a record of a replaced writer got between, it would count
    /// wrong, and it is about to lose the partition or has just taken it: it must read what is there.
    pub(crate) fn answer(&self) {
        let mut progress = self.progress();
        self.slot.reaches(progress.next);
        let counted_on = matches!(self.slot.topic, Topic::Executions | Topic::Control);
        let answer = if progress.parted && counted_on {
            let message = "another writer's record lies between these; read what is there";
            let context = self.slot.context();
            let error = failure::error(LogErrorKind::Io, Outcome::Unknown, "append to", context, message);
            Err((error, self.slot.failures.unheard()))
        } else {
            Ok(Appended { first: progress.first, count: self.records })
        };
        if let Some(done) = progress.done.take() {
            // A caller that does not wait any more has lost interest, not its record.
            let _ = done.send(answer);
        }
    }

    /// Nobody knows what became of it.
    pub(crate) fn fail(&self, reason: &str) {
        let message = format!("{reason}; the records may be in the log or not");
        let context = self.slot.context();
        let error = failure::error(LogErrorKind::Io, Outcome::Unknown, "append to", context, message);
        if let Some(done) = self.progress().done.take() {
            let _ = done.send(Err((error, self.slot.failures.unheard())));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kafka::options::KafkaOptions;

    fn pending(topic: Topic) -> (Pending, oneshot::Receiver<Answer>) {
        let options = KafkaOptions::default();
        let slot = Slot::new(&options, &options.topic(topic).into(), topic, 0);
        let (done, answer) = oneshot::channel();
        (Pending::new(0, Arc::new(slot), 2, 10, done), answer)
    }

    /// Property: an append whose records are parted by a stranger's fails as unknown where its writer counts from the first
    /// offset, and passes where records of many producers mix anyway.
    #[test]
    fn parted_records_fail_only_where_they_are_counted() {
        for (topic, second, passes) in [
            (Topic::Executions, 8, true),
            (Topic::Executions, 9, false),
            (Topic::Control, 9, false),
            (Topic::Events, 9, true),
        ] {
            let (pending, mut answer) = pending(topic);
            assert!(!pending.delivered(7));
            assert!(pending.delivered(second));
            pending.answer();
            match answer.try_recv().expect("answered") {
                Ok(appended) => {
                    assert!(passes, "{topic} {second}");
                    assert_eq!(appended, Appended { first: 7, count: 2 });
                }
                Err((error, _)) => {
                    assert!(!passes, "{topic} {second}");
                    assert_eq!((error.kind, error.outcome), (LogErrorKind::Io, Outcome::Unknown));
                }
            }
            assert_eq!(pending.slot.end(), second + 1);
        }
    }

    /// Property: a failed append counts as unheard until its caller takes the answer or drops it.
    #[test]
    fn failure_is_unheard_until_taken_or_dropped() {
        let (heard, mut answer) = pending(Topic::Executions);
        heard.fail("gone");
        assert!(heard.slot.failures.any());
        drop(answer.try_recv().expect("answered"));
        assert!(!heard.slot.failures.any());
        let (dropped, answer) = pending(Topic::Executions);
        dropped.fail("gone");
        assert!(dropped.slot.failures.any());
        drop(answer);
        assert!(!dropped.slot.failures.any());
    }
}
