//! What the platform remembers of a schedule beside its trigger: failures in a row, and how its status changed.
//!
//! It is a resource of its own (`schedule_state`, id = the trigger's), written together with the trigger whose status it
//! changes. Losing it loses the history and counts failures from zero.

use fastn_contract::resource::Switch;
use fastn_contract::schedule::{STATUS_CHANGES_MAX, StatusChange};
use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

/// See the head of this file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ScheduleState {
    /// Failed fires in a row.
    pub failures: u32,
    /// When the newest run was admitted that `failures` has counted, or failures were set to zero.
    pub counted: Timestamp,
    /// The id of the newest event that `failures` has counted.
    pub counted_event: String,
    /// When it is switched on again after failures.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// Changes of status, newest first, at most [`STATUS_CHANGES_MAX`].
    pub history: Vec<StatusChange>,
}

impl ScheduleState {
    /// This state after a person or program has switched the schedule: failures are counted anew.
    pub fn switched(&self, status: Switch, reason: &str, now: Timestamp) -> Self {
        self.with(status, false, reason, now, Self { counted: now, ..Self::default() })
    }

    /// This state with what was found of its runs since.
    pub fn counting(&self, failures: u32, newest: Option<(Timestamp, String)>) -> Self {
        let (counted, counted_event) = newest.unwrap_or((self.counted, self.counted_event.clone()));
        Self { failures, counted, counted_event, ..self.clone() }
    }

    /// This state after failures have switched the schedule off, until the cooldown ends if there is one.
    pub fn disabled(&self, failures: u32, until: Option<Timestamp>, now: Timestamp) -> Self {
        let reason = format!("{failures} fires in a row failed");
        self.with(Switch::Disabled, true, &reason, now, Self { failures, until, ..self.clone() })
    }

    /// This state after the cooldown: one more failure switches it off again.
    pub fn on_probation(&self, now: Timestamp) -> Self {
        self.with(Switch::Enabled, true, "the cooldown has ended", now, Self { until: None, ..self.clone() })
    }

    fn with(&self, status: Switch, automatic: bool, reason: &str, now: Timestamp, next: Self) -> Self {
        let change = StatusChange { at: now.to_string(), status, automatic, reason: reason.to_owned() };
        let history = std::iter::once(change).chain(self.history.iter().cloned()).take(STATUS_CHANGES_MAX).collect();
        Self { history, ..next }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Property: the history keeps the last twenty changes, newest first, with automatic ones marked; a person's change
    /// clears the count of failures, and the end of a cooldown does not.
    #[test]
    fn the_history_keeps_the_last_changes() {
        let mut state = ScheduleState::default();
        for n in 0..15 {
            state = state.disabled(3, Some(Timestamp(9)), Timestamp::from_millis(n));
            state = state.on_probation(Timestamp::from_millis(n));
            assert_eq!((state.failures, state.until), (3, None));
        }
        state = state.switched(Switch::Disabled, "enough", Timestamp::from_millis(99));
        assert_eq!((state.failures, state.history.len()), (0, STATUS_CHANGES_MAX));
        let newest = &state.history[0];
        assert_eq!((newest.automatic, newest.reason.as_str()), (false, "enough"));
        assert!(state.history[1..].iter().all(|change| change.automatic));
    }
}
