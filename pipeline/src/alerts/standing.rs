//! Where a rule stands, and how a value moves it. Pure.
//!
//! ```text
//!            bad for `hold`                 good for `resolve_after`
//!     quiet ───────────────▶ firing ───────────────────────────────▶ quiet
//!       ▲ bad, but not for so long: nothing      ▲ good, but not for so long: still firing
//! ```
//!
//! Bad is beyond the threshold; good is on the good side of the threshold for resolving. In between a firing rule goes on
//! firing and a quiet one stays quiet, so a value that moves around one of the two changes nothing. No value at all, as of
//! an error rate when nothing ended, is good.

use fastn_contract::alert::{AlertComparison, AlertMetric};
use fastn_domain::catalog::CompiledAlert;
use fastn_domain::time::Timestamp;
use serde::{Deserialize, Serialize};

use super::window::Counts;

/// See the head of this file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Standing {
    /// What the rule counts: another counts anew.
    pub(crate) counts: String,
    /// Since when it counts without a hole.
    pub(crate) since: Timestamp,
    /// Since when it is bad, while it does not fire.
    pub(crate) bad_since: Option<Timestamp>,
    /// Since when it is good, while it fires.
    pub(crate) good_since: Option<Timestamp>,
    /// The alert that fires.
    pub(crate) firing: Option<Firing>,
}

/// An alert that fires.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Firing {
    /// Its id.
    pub(crate) alert: String,
    /// Whether the channels were told.
    pub(crate) told: bool,
}

/// What a value changes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Turn {
    /// Nothing.
    None,
    /// It fires from now on, with this value.
    Fires(f64),
    /// It is over.
    Resolved,
}

impl Standing {
    /// Of a rule that counts from `now` on.
    pub(crate) fn new(rule: &CompiledAlert, now: Timestamp) -> Self {
        Self { counts: counted_by(rule), since: now, bad_since: None, good_since: None, firing: None }
    }

    /// Whether the window is filled: a rule for too little would fire on what was not counted yet.
    pub(crate) fn is_filled(&self, rule: &CompiledAlert, now: Timestamp) -> bool {
        let window = if is_gauge(rule.spec.metric) { std::time::Duration::ZERO } else { rule.window };
        rule.spec.comparison == AlertComparison::Above || now.since(self.since) >= window
    }

    /// Takes the value at `now`.
    pub(crate) fn take(&mut self, rule: &CompiledAlert, value: Option<f64>, now: Timestamp) -> Turn {
        if self.firing.is_none() {
            let Some(value) = value.filter(|value| is_bad(rule, *value)) else {
                self.bad_since = None;
                return Turn::None;
            };
            let since = *self.bad_since.get_or_insert(now);
            return if now.since(since) >= rule.hold { Turn::Fires(value) } else { Turn::None };
        }
        if value.is_some_and(|value| !is_good(rule, value)) {
            self.good_since = None;
            return Turn::None;
        }
        let since = *self.good_since.get_or_insert(now);
        if now.since(since) >= rule.resolve_after { Turn::Resolved } else { Turn::None }
    }
}

/// What decides what a rule counts, as a text.
pub(crate) fn counted_by(rule: &CompiledAlert) -> String {
    let spec = &rule.spec;
    let (metric, window) = (spec.metric, rule.window.as_secs());
    let counts = format!("{metric:?} {:?} {:?} {:?} {window}", spec.customer, spec.workflow, spec.connector);
    match spec.dimension {
        Some(dimension) => format!("{counts} {}", dimension.as_str()),
        None => counts,
    }
}

/// Whether a metric is as it is now, whatever the window.
pub(crate) const fn is_gauge(metric: AlertMetric) -> bool {
    matches!(metric, AlertMetric::DeadLetterDepth | AlertMetric::Lag | AlertMetric::QuotaUse)
}

/// The value of a metric that is counted over the window.
pub(crate) fn value(rule: &CompiledAlert, counts: &Counts) -> Option<f64> {
    let enough = counts.ended > 0 && counts.ended >= u64::from(rule.spec.min_samples);
    let of_enough = |value: Option<f64>| value.filter(|_| enough);
    match rule.spec.metric {
        AlertMetric::ErrorRate => of_enough(Some(100.0 * counts.failed as f64 / counts.ended as f64)),
        AlertMetric::LatencyP99 => of_enough(counts.sketch.quantile(0.99)),
        AlertMetric::LatencyP95 => of_enough(counts.sketch.quantile(0.95)),
        AlertMetric::LatencyAvg => of_enough(Some(counts.ms / counts.ended as f64)),
        AlertMetric::Throughput => Some(counts.ended as f64),
        AlertMetric::FailureCount => Some(counts.failed as f64),
        AlertMetric::DeadLetterDepth | AlertMetric::Lag | AlertMetric::QuotaUse => None,
    }
}

fn is_bad(rule: &CompiledAlert, value: f64) -> bool {
    match rule.spec.comparison {
        AlertComparison::Above => value > rule.spec.threshold,
        AlertComparison::Below => value < rule.spec.threshold,
    }
}

fn is_good(rule: &CompiledAlert, value: f64) -> bool {
    let limit = rule.spec.resolve_threshold.unwrap_or(rule.spec.threshold);
    match rule.spec.comparison {
        AlertComparison::Above => value <= limit,
        AlertComparison::Below => value >= limit,
    }
}

#[cfg(test)]
mod tests {
    use fastn_domain::catalog::compile_alert;
    use serde_json::json;

    use super::*;

    fn rule(more: serde_json::Value) -> CompiledAlert {
        let mut body = json!({"id": "r", "threshold": 10, "resolveThreshold": 5, "hold": "30s", "resolveAfter": "60s"});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        compile_alert(serde_json::from_value(body).unwrap()).unwrap()
    }

    /// Takes a value a second and tells when the rule fired and was resolved.
    fn turns(rule: &CompiledAlert, values: impl IntoIterator<Item = Option<f64>>) -> Vec<(i64, bool)> {
        let mut standing = Standing::new(rule, Timestamp(0));
        let mut turns = Vec::new();
        for (at, value) in (0..).zip(values) {
            match standing.take(rule, value, Timestamp::from_millis(at * 1_000)) {
                Turn::None => {}
                Turn::Fires(_) => {
                    standing.firing = Some(Firing { alert: "a".to_owned(), told: true });
                    standing.bad_since = None;
                    turns.push((at, true));
                }
                Turn::Resolved => {
                    (standing.firing, standing.good_since) = (None, None);
                    turns.push((at, false));
                }
            }
        }
        turns
    }

    fn seconds(count: usize, value: f64) -> impl Iterator<Item = Option<f64>> {
        std::iter::repeat_n(Some(value), count)
    }

    /// Property: a rule fires once it was bad for `hold`, and is over once it was good for `resolveAfter`, each without a
    /// break.
    #[test]
    fn holds_before_it_fires_and_before_it_is_over() {
        let rule = rule(json!({}));
        let values = seconds(29, 11.0).chain(seconds(1, 9.0)).chain(seconds(40, 11.0)).chain(seconds(59, 4.0));
        let values = values.chain(seconds(1, 6.0)).chain(seconds(100, 4.0));
        assert_eq!(turns(&rule, values), [(60, true), (190, false)]);
    }

    /// Property: a value that moves around the threshold, or between the two thresholds, fires once and is not resolved.
    #[test]
    fn a_value_around_the_threshold_does_not_flap() {
        let rule = rule(json!({"hold": "0s", "resolveAfter": "0s"}));
        let values = (0..1_000).map(|at| Some(if at % 2 == 0 { 10.1 } else { 9.9 }));
        assert_eq!(turns(&rule, values.chain(seconds(5, 5.0))), [(0, true), (1_000, false)]);
    }

    /// Property: without a value a rule does not fire, and one that fires is over; fewer than `minSamples` give none.
    #[test]
    fn no_value_is_good() {
        let rule = rule(json!({"minSamples": 10, "hold": "0s"}));
        let of = |ended, failed| value(&rule, &Counts { ended, failed, ..Counts::default() });
        assert_eq!((of(0, 0), of(9, 9), of(10, 5)), (None, None, Some(50.0)));
        let values = [None, Some(50.0)].into_iter().chain(std::iter::repeat_n(None, 70));
        assert_eq!(turns(&rule, values), [(1, true), (62, false)]);
    }

    /// Property: a rule for too little waits until its window was counted in full.
    #[test]
    fn too_little_needs_a_full_window() {
        let rule =
            rule(json!({"metric": "throughput", "comparison": "below", "resolveThreshold": 20, "window": "10m"}));
        let standing = Standing::new(&rule, Timestamp(0));
        let filled = |seconds: i64| standing.is_filled(&rule, Timestamp::from_millis(seconds * 1_000));
        assert_eq!((filled(0), filled(599), filled(600)), (false, false, true));
    }
}
