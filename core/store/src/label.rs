//! The texts that SQL holds for the enums of the contract: the same as on the wire.

use fastn_contract::activity::{DeadLetterStatus, EventStatus, ExecutionStatus, Origin};
use fastn_contract::alert::AlertState;
use fastn_contract::quota::{Measure, QuotaOutcome};
use fastn_contract::resource::Tier;

/// An enum that SQL holds as text.
pub(crate) trait Label: Copy + Sized + 'static {
    /// Every value with its text.
    const ALL: &'static [(Self, &'static str)];

    /// The text of this value.
    fn label(self) -> &'static str;

    /// The value of a text.
    fn from_label(text: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, label)| *label == text).map(|(value, _)| *value)
    }
}

macro_rules! labels {
    ($name:ident { $($value:ident = $text:literal),* $(,)? }) => {
        impl Label for $name {
            const ALL: &'static [(Self, &'static str)] = &[$(($name::$value, $text)),*];
            fn label(self) -> &'static str {
                match self { $($name::$value => $text),* }
            }
        }
    };
}

labels!(Origin {
    Webhook = "webhook",
    Api = "api",
    Manual = "manual",
    Schedule = "schedule",
    Polling = "polling",
    Workflow = "workflow",
    Command = "command",
});
labels!(EventStatus {
    Delivered = "delivered",
    Duplicate = "duplicate",
    Unmatched = "unmatched",
    Rejected = "rejected"
});
labels!(ExecutionStatus {
    Queued = "queued",
    Running = "running",
    Waiting = "waiting",
    Completed = "completed",
    Failed = "failed",
    Timeout = "timeout",
    Cancelled = "cancelled",
});
labels!(DeadLetterStatus { Pending = "pending", Replayed = "replayed", Expired = "expired" });
labels!(QuotaOutcome { Blocked = "blocked", Over = "over", Queued = "queued", Shadowed = "shadowed" });
labels!(Measure {
    Events = "events",
    EventsBlocked = "events_blocked",
    EventsOver = "events_over",
    Executions = "executions",
    Steps = "steps",
    ApiCalls = "api_calls",
});
labels!(Tier { Instant = "instant", Standard = "standard", Long = "long" });

labels!(AlertState { Firing = "firing", Silenced = "silenced", Resolved = "resolved" });

#[cfg(test)]
mod tests {
    use super::*;

    fn check<T: Label + PartialEq + std::fmt::Debug + serde::Serialize>() {
        for (value, label) in T::ALL {
            assert_eq!(serde_json::to_value(value).unwrap(), *label);
            assert_eq!(T::from_label(label), Some(*value));
        }
    }

    /// Property: SQL holds the words of the wire, and each reads back as itself.
    #[test]
    fn labels_are_those_of_the_wire() {
        check::<Origin>();
        check::<EventStatus>();
        check::<ExecutionStatus>();
        check::<DeadLetterStatus>();
        check::<Tier>();
        check::<AlertState>();
        check::<QuotaOutcome>();
        check::<Measure>();
    }
}
