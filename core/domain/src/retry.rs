//! When the next attempt starts.

use std::time::Duration;

use fastn_contract::resource::{Backoff, RetryPolicy, Trigger};

/// Fewest and most attempts, the first included.
pub const ATTEMPTS: std::ops::RangeInclusive<u32> = 1..=10;

/// How often and how soon an execution whose failure is transient is tried again.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Schedule {
    /// Attempts, the first included.
    pub attempts_max: u32,
    shape: Shape,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Shape {
    Power { initial_ms: u64, coefficient: f64, interval_ms_max: u64 },
    Linear { step_ms: u64 },
}

impl Schedule {
    /// One attempt only.
    pub const ONCE: Schedule = Schedule { attempts_max: 1, shape: Shape::Linear { step_ms: 0 } };

    /// A workflow's own policy, else its trigger's attempts, else one attempt.
    pub fn of(workflow: Option<&RetryPolicy>, trigger: Option<&Trigger>) -> Self {
        match (workflow, trigger) {
            (Some(policy), _) => Self {
                attempts_max: policy.max_attempts,
                shape: Shape::Power {
                    initial_ms: policy.initial_interval,
                    coefficient: policy.backoff_coefficient,
                    interval_ms_max: policy.max_interval,
                },
            },
            (None, Some(trigger)) => Self {
                attempts_max: trigger.max_attempts,
                shape: match trigger.backoff {
                    Backoff::Exponential => {
                        Shape::Power { initial_ms: 1_000, coefficient: 2.0, interval_ms_max: 60_000 }
                    }
                    Backoff::Linear => Shape::Linear { step_ms: 1_000 },
                    Backoff::Fixed => Shape::Power { initial_ms: 1_000, coefficient: 1.0, interval_ms_max: 1_000 },
                },
            },
            (None, None) => Self::ONCE,
        }
    }

    /// The wait after `attempts` failed ones, or `None` when there is no next. A wait that the failure itself asks for
    /// (`Retry-After`) counts when it is longer.
    pub fn delay_after(&self, attempts: u32, asked: Option<Duration>) -> Option<Duration> {
        if attempts >= self.attempts_max {
            return None;
        }
        let own = match self.shape {
            Shape::Linear { step_ms } => step_ms.saturating_mul(u64::from(attempts)),
            Shape::Power { initial_ms, coefficient, interval_ms_max } => {
                let exponent = i32::try_from(attempts.saturating_sub(1)).unwrap_or(i32::MAX);
                let ms = initial_ms as f64 * coefficient.powi(exponent);
                ms.clamp(0.0, interval_ms_max as f64) as u64
            }
        };
        Some(Duration::from_millis(own).max(asked.unwrap_or_default()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waits(schedule: Schedule) -> Vec<u64> {
        (1..).map_while(|n| schedule.delay_after(n, None)).map(|wait| wait.as_millis() as u64).collect()
    }

    fn trigger(backoff: Backoff, max_attempts: u32) -> Trigger {
        let mut trigger: Trigger =
            serde_json::from_value(serde_json::json!({"id": "t", "source": {"type": "webhook"}, "routes": []}))
                .unwrap();
        trigger.backoff = backoff;
        trigger.max_attempts = max_attempts;
        trigger
    }

    /// Property: the waits are those of the inventory: 1 2 4, 1 2 3, 1 1 1 seconds; 5 10 20 … 60 for a workflow's policy.
    #[test]
    fn waits_follow_the_inventory() {
        assert_eq!(waits(Schedule::of(None, Some(&trigger(Backoff::Exponential, 4)))), [1_000, 2_000, 4_000]);
        assert_eq!(waits(Schedule::of(None, Some(&trigger(Backoff::Linear, 4)))), [1_000, 2_000, 3_000]);
        assert_eq!(waits(Schedule::of(None, Some(&trigger(Backoff::Fixed, 4)))), [1_000, 1_000, 1_000]);
        let policy = RetryPolicy { max_attempts: 6, ..RetryPolicy::default() };
        assert_eq!(waits(Schedule::of(Some(&policy), None)), [5_000, 10_000, 20_000, 40_000, 60_000]);
        assert!(waits(Schedule::ONCE).is_empty());
    }

    /// Property: a longer wait asked for by the failure wins, a shorter one does not.
    #[test]
    fn retry_after_only_lengthens() {
        let schedule = Schedule::of(None, Some(&trigger(Backoff::Fixed, 3)));
        assert_eq!(schedule.delay_after(1, Some(Duration::from_secs(9))), Some(Duration::from_secs(9)));
        assert_eq!(schedule.delay_after(1, Some(Duration::from_millis(9))), Some(Duration::from_secs(1)));
    }
}
