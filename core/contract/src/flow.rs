//! Flow control: how many executions of a trigger or a workflow may start, when, and in which order.

use serde::{Deserialize, Serialize};

/// Most milliseconds of a period or a wait: a day.
pub const FLOW_MS_MAX: u64 = 86_400_000;
/// Most events of one batch.
pub const FLOW_BATCH_SIZE_MAX: u32 = 1_000;
/// Greatest limit of a concurrency or a rate.
pub const FLOW_LIMIT_MAX: u32 = 1_000_000;

/// What holds executions back. Everything that is set holds. Each part may have a `key`: the path of a value in the payload,
/// e.g. `order.customer`; then it holds for each value by itself. A customer never waits for another.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FlowControl {
    /// One execution at a time, and what becomes of another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub singleton: Option<Singleton>,
    /// Most executions at once; the others wait.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<Concurrency>,
    /// Most starts in a period; the others wait for a later period.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<Rate>,
    /// Wait until the events pause, and run the newest only. Of triggers only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub debounce: Option<Debounce>,
    /// One execution for many events. Of triggers only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch: Option<BatchWindow>,
    /// The place in the customer's queue; by what started it when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<Priority>,
}

/// One execution at a time, from its admission to its end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Singleton {
    /// What becomes of an event while one has not ended.
    pub mode: SingletonMode,
    /// One for each value of this path; one for all when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

/// What becomes of an event while a singleton's execution has not ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum SingletonMode {
    /// The event starts nothing.
    Skip,
    /// The older execution is cancelled.
    Cancel,
    /// The newer one waits for the end of the older.
    Queue,
}

/// Most executions between their start and their end, waits included.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Concurrency {
    /// Most at once, at least 1.
    pub limit: u32,
    /// So many for each value of this path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

/// Most starts in a period. Periods are counted from 1970-01-01 UTC.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Rate {
    /// Most starts in one period, at least 1.
    pub limit: u32,
    /// Milliseconds of the period, at most a day.
    pub period_ms: u64,
    /// So many for each value of this path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

/// The newest event wins: its execution starts once no other came for a period.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Debounce {
    /// Milliseconds without another event, at most a day.
    pub period_ms: u64,
    /// Most milliseconds since the first event, however many follow; no end when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_wait_ms: Option<u64>,
    /// By each value of this path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

/// One execution for many events: its input is the array of their payloads, in order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BatchWindow {
    /// It starts with so many events, 1 to 1,000.
    pub max_size: u32,
    /// Or so many milliseconds after the first, at most a day.
    pub max_wait_ms: u64,
    /// A batch for each value of this path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

/// The lanes of a customer's queue. What has begun goes before them all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Priority {
    /// Before all others: as a person's own run.
    P1,
    /// As webhooks and events.
    P2,
    /// As schedules.
    P3,
    /// After all others: as polling.
    P4,
}

impl Priority {
    /// Its number, 1 to 4, as records and rows have it.
    pub const fn number(self) -> u32 {
        match self {
            Self::P1 => 1,
            Self::P2 => 2,
            Self::P3 => 3,
            Self::P4 => 4,
        }
    }

    /// The priority of this number.
    pub const fn from_number(number: u32) -> Option<Self> {
        match number {
            1 => Some(Self::P1),
            2 => Some(Self::P2),
            3 => Some(Self::P3),
            4 => Some(Self::P4),
            _ => None,
        }
    }

    /// The priority of this name.
    pub fn parse(name: &str) -> Option<Self> {
        [Self::P1, Self::P2, Self::P3, Self::P4].into_iter().find(|priority| priority.as_str() == name)
    }

    /// The name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::P1 => "P1",
            Self::P2 => "P2",
            Self::P3 => "P3",
            Self::P4 => "P4",
        }
    }
}

/// What an execution that has not started waits for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct WaitingOn {
    /// The limit, e.g. `eventsPerMinute`, `rate`, `concurrency`, `concurrentExecutions`.
    pub limit: String,
    /// Whose limit it is, e.g. `customer acme`, `trigger on_order`.
    pub of: String,
    /// When the wait ends, if the time alone ends it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
    /// The whole in words.
    pub text: String,
}
