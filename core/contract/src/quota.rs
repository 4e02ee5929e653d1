//! Quotas: how much a customer may use, where that is configured, and how much is used.

use serde::{Deserialize, Serialize};

/// What is limited.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub enum Dimension {
    /// Events admitted in a day of UTC.
    EventsPerDay,
    /// Events admitted in a minute.
    EventsPerMinute,
    /// Requests to the API in a day of UTC.
    ApiCallsPerDay,
    /// Requests to the API in a minute.
    ApiCallsPerMinute,
    /// Executions that run at once.
    ConcurrentExecutions,
    /// Durable calls of one execution.
    StepsPerExecution,
    /// Bytes of the payload of one event or run.
    PayloadBytes,
    /// Workflows that the customer's triggers name.
    Workflows,
    /// Triggers that belong to the customer.
    Triggers,
}

impl Dimension {
    /// Every dimension.
    pub const ALL: [Dimension; 9] = [
        Self::EventsPerDay,
        Self::EventsPerMinute,
        Self::ApiCallsPerDay,
        Self::ApiCallsPerMinute,
        Self::ConcurrentExecutions,
        Self::StepsPerExecution,
        Self::PayloadBytes,
        Self::Workflows,
        Self::Triggers,
    ];

    /// The name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::EventsPerDay => "eventsPerDay",
            Self::EventsPerMinute => "eventsPerMinute",
            Self::ApiCallsPerDay => "apiCallsPerDay",
            Self::ApiCallsPerMinute => "apiCallsPerMinute",
            Self::ConcurrentExecutions => "concurrentExecutions",
            Self::StepsPerExecution => "stepsPerExecution",
            Self::PayloadBytes => "payloadBytes",
            Self::Workflows => "workflows",
            Self::Triggers => "triggers",
        }
    }

    /// The dimension in words.
    pub const fn words(self) -> &'static str {
        match self {
            Self::EventsPerDay => "events per day",
            Self::EventsPerMinute => "events per minute",
            Self::ApiCallsPerDay => "API calls per day",
            Self::ApiCallsPerMinute => "API calls per minute",
            Self::ConcurrentExecutions => "concurrent executions",
            Self::StepsPerExecution => "steps per execution",
            Self::PayloadBytes => "payload bytes",
            Self::Workflows => "workflows",
            Self::Triggers => "triggers",
        }
    }

    /// The modes that it can be enforced by.
    pub const fn modes(self) -> &'static [Enforcement] {
        match self {
            Self::EventsPerDay | Self::EventsPerMinute | Self::ConcurrentExecutions => {
                &[Enforcement::Hard, Enforcement::Soft, Enforcement::Queue, Enforcement::Shadow]
            }
            _ => &[Enforcement::Hard, Enforcement::Soft, Enforcement::Shadow],
        }
    }
}

/// What happens beyond a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Enforcement {
    /// It is refused.
    Hard,
    /// It is let through, and told.
    Soft,
    /// It is taken, and waits until there is room.
    Queue,
    /// It is only counted.
    Shadow,
}

impl Enforcement {
    /// The name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hard => "hard",
            Self::Soft => "soft",
            Self::Queue => "queue",
            Self::Shadow => "shadow",
        }
    }
}

/// A limit of one dimension.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Limit {
    /// The most that is within the limit.
    pub limit: u64,
    /// What happens beyond it; hard when absent, and for concurrent executions queue.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<Enforcement>,
}

/// Limits by dimension. What is absent is not limited here; a wider source may limit it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Quotas {
    /// Events admitted in a day of UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub events_per_day: Option<Limit>,
    /// Events admitted in a minute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub events_per_minute: Option<Limit>,
    /// Requests to the API in a day of UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_calls_per_day: Option<Limit>,
    /// Requests to the API in a minute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_calls_per_minute: Option<Limit>,
    /// Executions that run at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrent_executions: Option<Limit>,
    /// Durable calls of one execution.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub steps_per_execution: Option<Limit>,
    /// Bytes of the payload of one event or run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload_bytes: Option<Limit>,
    /// Workflows that the customer's triggers name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workflows: Option<Limit>,
    /// Triggers that belong to the customer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub triggers: Option<Limit>,
}

impl Quotas {
    /// The limit of one dimension.
    pub const fn get(&self, dimension: Dimension) -> Option<Limit> {
        match dimension {
            Dimension::EventsPerDay => self.events_per_day,
            Dimension::EventsPerMinute => self.events_per_minute,
            Dimension::ApiCallsPerDay => self.api_calls_per_day,
            Dimension::ApiCallsPerMinute => self.api_calls_per_minute,
            Dimension::ConcurrentExecutions => self.concurrent_executions,
            Dimension::StepsPerExecution => self.steps_per_execution,
            Dimension::PayloadBytes => self.payload_bytes,
            Dimension::Workflows => self.workflows,
            Dimension::Triggers => self.triggers,
        }
    }

    /// Whether nothing is limited.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A plan: what holds for every customer of an account that has it. `free` and `unlimited` are there from the start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Plan {
    /// Stable id.
    pub id: String,
    /// Name for people.
    #[serde(default)]
    pub name: String,
    /// Its limits.
    #[serde(default)]
    pub quotas: Quotas,
}

/// A tier of customers: limits that go before the plan's, and a share in the fair queue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CustomerTier {
    /// Stable id.
    pub id: String,
    /// Name for people.
    #[serde(default)]
    pub name: String,
    /// Its limits.
    #[serde(default)]
    pub quotas: Quotas,
    /// Share in the fair queue of a customer that names none itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<u32>,
}

/// Which plan the account has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct QuotaSettings {
    /// The plan's id; `unlimited` until somebody chooses another.
    pub plan: String,
}

/// What a quota did to an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum QuotaOutcome {
    /// It was refused: `QUOTA_EXCEEDED`.
    Blocked,
    /// It was let through beyond a soft limit.
    Over,
    /// Its executions wait for a window with room.
    Queued,
    /// It was beyond a limit that is only counted.
    Shadowed,
}

/// Where a limit comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum QuotaSource {
    /// The customer's own setting.
    Customer,
    /// The customer's tier.
    Tier,
    /// The account's plan.
    Plan,
}

/// One dimension: its limit, and what is left of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct QuotaView {
    /// Which.
    pub dimension: Dimension,
    /// The limit; absent when there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
    /// What happens beyond it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<Enforcement>,
    /// Where it comes from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<QuotaSource>,
    /// How much is used in the present window; absent for what is enforced and not measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used: Option<u64>,
    /// What is left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left: Option<u64>,
    /// When the present window ends, of dimensions that have one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resets_at: Option<String>,
}

/// Every dimension of one customer, or of the account itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct CurrentUsage {
    /// The customer; absent for the account itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customer: Option<String>,
    /// The account's plan.
    pub plan: String,
    /// The customer's tier.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tier: Option<String>,
    /// One for each dimension.
    pub quotas: Vec<QuotaView>,
}

/// What is counted for each customer and day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// Events admitted, those beyond a limit included.
    Events,
    /// Events that a hard limit refused.
    EventsBlocked,
    /// Events beyond a soft or a shadow limit.
    EventsOver,
    /// Executions started.
    Executions,
    /// Steps of executions that ended.
    Steps,
    /// Requests to the API.
    ApiCalls,
}

impl Measure {
    /// Every measure.
    pub const ALL: [Measure; 6] =
        [Self::Events, Self::EventsBlocked, Self::EventsOver, Self::Executions, Self::Steps, Self::ApiCalls];

    /// The name on the wire and in the tables.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Events => "events",
            Self::EventsBlocked => "events_blocked",
            Self::EventsOver => "events_over",
            Self::Executions => "executions",
            Self::Steps => "steps",
            Self::ApiCalls => "api_calls",
        }
    }
}

/// What one customer used on one day.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct UsageRow {
    /// The day, `2026-11-24`, in UTC.
    pub day: String,
    /// The customer; empty for requests of the account itself.
    pub customer: String,
    /// What was counted.
    pub measure: Measure,
    /// How much.
    pub used: u64,
}
