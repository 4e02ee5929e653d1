//! A [`Log`] that rolls two dice for every append: did it happen, and was it heard.
//!
//! | happened | heard | the caller gets |
//! |---|---|---|
//! | yes | yes | the offsets |
//! | yes | no | `Io`, outcome unknown |
//! | no | yes | `Busy`, not done |
//! | no | no | `Io`, outcome unknown |
//!
//! The dice are seeded, so one thread that makes the same calls gets the same faults.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use fastn_log::{
    Appended, Bounds, Log, LogError, LogErrorKind, LogResult, Membership, Offset, Outcome, Partition, Record,
    StoredRecord, Topic,
};
use futures_util::future::{BoxFuture, FutureExt, ready};
use tokio::sync::watch;

/// How often an append fails, each of 1,000.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Odds {
    /// It does not happen.
    pub not_done: u32,
    /// Whatever happened, the caller does not learn it.
    pub not_heard: u32,
}

/// See the module's comment.
pub struct FaultyLog {
    inner: Arc<dyn Log>,
    dice: Mutex<Dice>,
}

struct Dice {
    odds: Odds,
    state: u64,
}

impl Dice {
    /// SplitMix64.
    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn hits(&mut self, of_1000: u32) -> bool {
        self.next() % 1_000 < u64::from(of_1000)
    }
}

impl std::fmt::Debug for FaultyLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FaultyLog").finish_non_exhaustive()
    }
}

impl FaultyLog {
    /// Wraps `inner` with dice of this seed.
    pub fn new(inner: Arc<dyn Log>, seed: u64, odds: Odds) -> Self {
        Self { inner, dice: Mutex::new(Dice { odds, state: seed }) }
    }

    /// Changes the odds, e.g. to none when a simulation lets the system come to rest.
    pub fn set_odds(&self, odds: Odds) {
        self.dice.lock().unwrap_or_else(PoisonError::into_inner).odds = odds;
    }

    fn roll(&self) -> (bool, bool) {
        let mut dice = self.dice.lock().unwrap_or_else(PoisonError::into_inner);
        let odds = dice.odds;
        (!dice.hits(odds.not_done), !dice.hits(odds.not_heard))
    }
}

#[async_trait]
impl Log for FaultyLog {
    fn partitions(&self) -> u32 {
        self.inner.partitions()
    }

    fn append(
        &self,
        topic: Topic,
        partition: Partition,
        records: Vec<Record>,
    ) -> BoxFuture<'static, LogResult<Appended>> {
        let (happens, heard) = self.roll();
        let error = move |kind, outcome, message: &str| {
            let context = format!("{topic}[{partition}]");
            Err(LogError { kind, outcome, operation: "append to", context, message: message.into() })
        };
        let unheard = move || error(LogErrorKind::Io, Outcome::Unknown, "injected: the acknowledgement was lost");
        match (happens, heard) {
            (true, true) => self.inner.append(topic, partition, records),
            (true, false) => {
                let append = self.inner.append(topic, partition, records);
                async move { append.await.and_then(|_| unheard()) }.boxed()
            }
            (false, true) => ready(error(LogErrorKind::Busy, Outcome::NotDone, "injected: refused")).boxed(),
            (false, false) => ready(unheard()).boxed(),
        }
    }

    async fn read(
        &self,
        topic: Topic,
        partition: Partition,
        from: Offset,
        records_max: usize,
        bytes_max: usize,
    ) -> LogResult<Vec<StoredRecord>> {
        self.inner.read(topic, partition, from, records_max, bytes_max).await
    }

    fn tail(&self, topic: Topic, partition: Partition) -> watch::Receiver<Offset> {
        self.inner.tail(topic, partition)
    }

    async fn bounds(&self, topic: Topic, partition: Partition) -> LogResult<Bounds> {
        self.inner.bounds(topic, partition).await
    }

    async fn trim(&self, topic: Topic, partition: Partition, before: Offset) -> LogResult<()> {
        self.inner.trim(topic, partition, before).await
    }

    async fn join(&self, node: &str) -> LogResult<Membership> {
        self.inner.join(node).await
    }

    fn disk_bytes(&self) -> u64 {
        self.inner.disk_bytes()
    }

    async fn close(&self) -> LogResult<()> {
        self.inner.close().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MemoryLog;

    async fn outcomes(seed: u64) -> (Vec<&'static str>, usize) {
        let inner = Arc::new(MemoryLog::new(1));
        let log = FaultyLog::new(Arc::clone(&inner) as Arc<dyn Log>, seed, Odds { not_done: 300, not_heard: 300 });
        let mut seen = Vec::new();
        for n in 0..200u32 {
            let answer = log.append(Topic::Events, 0, vec![Record::new("k", n.to_be_bytes().to_vec())]).await;
            seen.push(match answer {
                Ok(_) => "heard",
                Err(error) if error.outcome == Outcome::NotDone => "not done",
                Err(_) => "unknown",
            });
        }
        (seen, inner.records(Topic::Events, 0).len())
    }

    /// Property: what was heard happened, what was refused did not, of the unknown some did; and a seed repeats itself.
    #[tokio::test]
    async fn dice_are_honest_and_seeded() {
        let (seen, records) = outcomes(7).await;
        let count = |what| seen.iter().filter(|outcome| **outcome == what).count();
        assert!(count("heard") > 0 && count("not done") > 0 && count("unknown") > 0, "{seen:?}");
        assert!(records > count("heard") && records < count("heard") + count("unknown"));
        assert_eq!(outcomes(7).await, (seen.clone(), records));
        assert_ne!(outcomes(8).await.0, seen);
    }
}
