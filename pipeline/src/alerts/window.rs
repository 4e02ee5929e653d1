//! What a rule counts: the window in buckets of time, so that it moves without forgetting what is still in it.
//!
//! ```text
//!   window 24h, 60 buckets of 24 min:   │▓▓│▓▓│▓▓│ … │▓▓│▒ │      evaluated: the newest 60, and the one that fills
//!                                                       now
//! ```
//!
//! So a window is counted as up to a sixtieth longer than it is said to be.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use fastn_domain::time::Timestamp;
use serde::{Deserialize, Serialize};

use super::sketch::Sketch;

/// Buckets of a window.
const BUCKETS: u64 = 60;

/// One end, of an execution or a call.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Sample {
    /// When it ended.
    pub(crate) at: Timestamp,
    /// How long it took, in milliseconds.
    pub(crate) ms: f64,
    /// Whether it failed or timed out.
    pub(crate) failed: bool,
}

/// Sums over some time.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Counts {
    /// How many ended.
    pub(crate) ended: u64,
    /// How many of them failed.
    pub(crate) failed: u64,
    /// Milliseconds of all together.
    pub(crate) ms: f64,
    /// Their spread.
    pub(crate) sketch: Sketch,
}

impl Counts {
    fn add(&mut self, sample: &Sample) {
        self.ended += 1;
        self.failed += u64::from(sample.failed);
        self.ms += sample.ms;
        self.sketch.add(sample.ms);
    }

    fn merge(&mut self, other: &Counts) {
        self.ended += other.ended;
        self.failed += other.failed;
        self.ms += other.ms;
        self.sketch.merge(&other.sketch);
    }
}

/// See the head of this file.
#[derive(Clone, Debug)]
pub(crate) struct Window {
    bucket_us: i64,
    buckets: BTreeMap<i64, Counts>,
    /// Buckets that changed since they were last taken to be saved.
    changed: BTreeSet<i64>,
    /// Buckets that were saved and are no longer counted.
    gone: Vec<i64>,
}

impl Window {
    /// An empty one of this length.
    pub(crate) fn new(length: Duration) -> Self {
        let bucket_us = i64::try_from(length.as_micros()).unwrap_or(i64::MAX) / BUCKETS.cast_signed();
        Self { bucket_us: bucket_us.max(1), buckets: BTreeMap::new(), changed: BTreeSet::new(), gone: Vec::new() }
    }

    /// The length of a bucket.
    pub(crate) fn bucket(&self) -> Duration {
        Duration::from_micros(self.bucket_us.unsigned_abs())
    }

    /// Puts a saved bucket back.
    pub(crate) fn restore(&mut self, start: i64, counts: Counts) {
        self.buckets.insert(start, counts);
    }

    pub(crate) fn add(&mut self, sample: &Sample) {
        let start = self.start_of(sample.at);
        self.buckets.entry(start).or_default().add(sample);
        self.changed.insert(start);
    }

    /// The sums of the window that ends at `now`. What lies before it is forgotten.
    pub(crate) fn total(&mut self, now: Timestamp) -> Counts {
        let oldest = self.start_of(now) - self.bucket_us * BUCKETS.cast_signed();
        let kept = self.buckets.split_off(&oldest);
        let old = std::mem::replace(&mut self.buckets, kept);
        for start in old.into_keys() {
            self.changed.remove(&start);
            self.gone.push(start);
        }
        let mut total = Counts::default();
        self.buckets.values().for_each(|counts| total.merge(counts));
        total
    }

    /// What changed since the last time: buckets to write, and those to forget.
    pub(crate) fn take_changes(&mut self) -> (Vec<(i64, Counts)>, Vec<i64>) {
        let changed = std::mem::take(&mut self.changed);
        let puts = changed.into_iter().filter_map(|start| Some((start, self.buckets.get(&start)?.clone()))).collect();
        (puts, std::mem::take(&mut self.gone))
    }

    /// The starts of all buckets that may have been saved.
    pub(crate) fn starts(&self) -> impl Iterator<Item = i64> {
        self.buckets.keys().chain(&self.gone).copied()
    }

    fn start_of(&self, at: Timestamp) -> i64 {
        at.0.div_euclid(self.bucket_us) * self.bucket_us
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(at_s: i64, ms: f64) -> Sample {
        Sample { at: Timestamp::from_millis(at_s * 1_000), ms, failed: ms > 100.0 }
    }

    /// Property: a sample counts from its time until the window has passed it, and at most a sixtieth longer.
    #[test]
    fn a_sample_counts_for_as_long_as_the_window() {
        let mut window = Window::new(Duration::from_secs(60));
        window.add(&sample(1_000, 200.0));
        for (now, ended) in [(1_000, 1), (1_059, 1), (1_060, 1), (1_061, 0)] {
            let total = window.clone().total(Timestamp::from_millis(now * 1_000));
            assert_eq!((total.ended, total.failed), (ended, ended), "at {now}");
        }
    }

    /// Property: a window put back from what was saved counts like the one that saved it, bucket by bucket.
    #[test]
    fn a_window_is_rebuilt_from_its_changes() {
        let (mut window, mut saved) = (Window::new(Duration::from_secs(600)), BTreeMap::new());
        for at in 0..5_000 {
            window.add(&sample(at, f64::from(at as i32 % 300)));
            if at % 37 == 0 {
                let now = Timestamp::from_millis(at * 1_000);
                let total = window.total(now);
                let (puts, gone) = window.take_changes();
                saved.extend(puts);
                gone.iter().for_each(|start| drop(saved.remove(start)));
                let mut again = Window::new(Duration::from_secs(600));
                saved.iter().for_each(|(start, counts)| again.restore(*start, counts.clone()));
                assert_eq!(again.total(now), total, "at {at}");
                assert!(saved.len() <= 62, "{}", saved.len());
            }
        }
    }
}
