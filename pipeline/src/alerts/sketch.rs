//! A sketch of a distribution from which quantiles are read, and which two of are one by adding: DDSketch.
//!
//! A value falls into the bucket `⌈log_γ value⌉`; whatever a bucket holds is told as one value that is at most
//! [`RELATIVE_ERROR`] of it away. So every quantile of positive values is off by at most that share of itself, however the
//! values are spread and in however many parts they were counted. Milliseconds from 1 to six hours take at most 850 buckets.
//!
//! Masson, Rim, Lee: DDSketch, VLDB 2019, <https://www.vldb.org/pvldb/vol12/p2195-masson.pdf>.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// How far a quantile may be from the true one, as a share of it.
pub const RELATIVE_ERROR: f64 = 0.01;
/// Values below count as it: no latency is told in fractions of a millisecond.
const VALUE_MIN: f64 = 1.0;
/// Values above count as it: a year in milliseconds.
const VALUE_MAX: f64 = 31_536_000_000.0;

/// See the head of this file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Sketch {
    buckets: BTreeMap<i32, u32>,
}

fn gamma() -> f64 {
    (1.0 + RELATIVE_ERROR) / (1.0 - RELATIVE_ERROR)
}

impl Sketch {
    /// Counts a value.
    pub(crate) fn add(&mut self, value: f64) {
        let value = value.clamp(VALUE_MIN, VALUE_MAX);
        // The range of values keeps the index within some thousands.
        let bucket = (value.ln() / gamma().ln()).ceil() as i32;
        let count = self.buckets.entry(bucket).or_default();
        *count = count.saturating_add(1);
    }

    /// Adds all that `other` counted.
    pub(crate) fn merge(&mut self, other: &Sketch) {
        for (bucket, more) in &other.buckets {
            let count = self.buckets.entry(*bucket).or_default();
            *count = count.saturating_add(*more);
        }
    }

    /// The value that the share `q` of those counted does not exceed; nothing when none was counted.
    pub(crate) fn quantile(&self, q: f64) -> Option<f64> {
        let total: u64 = self.buckets.values().map(|count| u64::from(*count)).sum();
        let rank = (q * total as f64).ceil().max(1.0) as u64;
        let mut seen = 0;
        let bucket = self.buckets.iter().find(|(_, count)| {
            seen += u64::from(**count);
            seen >= rank
        });
        bucket.map(|(bucket, _)| 2.0 * gamma().powi(*bucket) / (gamma() + 1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A spread that a seed decides: many small values, few large ones.
    fn values(seed: u64, count: usize) -> Vec<f64> {
        let mut state = seed;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 11) as f64 / (1_u64 << 53) as f64
        };
        (0..count).map(|_| 1.0 + 21_600_000.0 * next().powi(12)).collect()
    }

    /// Property: a quantile of values counted in parts is within the stated error of the true one.
    #[test]
    fn quantiles_are_within_the_stated_error() {
        for seed in 0..20 {
            let mut all = values(seed, 5_000);
            let mut whole = Sketch::default();
            for part in all.chunks(377) {
                let mut sketch = Sketch::default();
                part.iter().for_each(|value| sketch.add(*value));
                let text = serde_json::to_string(&sketch).unwrap();
                whole.merge(&serde_json::from_str(&text).unwrap());
            }
            all.sort_by(f64::total_cmp);
            for q in [0.5, 0.9, 0.95, 0.99, 0.999, 1.0] {
                let exact = all[((q * all.len() as f64).ceil() as usize).max(1) - 1];
                let told = whole.quantile(q).unwrap();
                let off = (told - exact).abs() / exact;
                assert!(off <= RELATIVE_ERROR + 1e-9, "seed {seed}, q {q}: {told} for {exact}, off by {off}");
            }
        }
    }

    /// Property: nothing counted has no quantile, and no value is out of range.
    #[test]
    fn every_value_has_a_bucket() {
        assert_eq!(Sketch::default().quantile(0.5), None);
        let mut sketch = Sketch::default();
        [0.0, -1.0, f64::INFINITY, f64::NEG_INFINITY].into_iter().for_each(|value| sketch.add(value));
        assert!(sketch.quantile(1.0).unwrap() <= VALUE_MAX * 1.02 && sketch.quantile(0.0).unwrap() >= 0.98);
    }
}
