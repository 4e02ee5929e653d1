//! Schedules: what fires a trigger by the clock, what is shown of it, and what may be asked of it.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::activity::ExecutionStatus;
use crate::resource::Switch;

/// Changes of status that are kept of a schedule.
pub const STATUS_CHANGES_MAX: usize = 20;
/// Most events that one backfill makes.
pub const BACKFILL_EVENTS_MAX: usize = 1_000;

/// When a trigger fires by the clock, and how its runs are treated. All times of day are read in `timezone`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Schedule {
    /// When it fires.
    pub when: When,
    /// An IANA time zone, e.g. `Europe/Berlin`.
    pub timezone: String,
    /// RFC 3339; it does not fire before. An interval is counted from here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub starts_at: Option<String>,
    /// RFC 3339; it does not fire at this instant or later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ends_at: Option<String>,
    /// Each fire is put off by up to so many seconds, always the same for the same fire: 0 to 3,600.
    #[serde(default)]
    pub jitter_seconds: u32,
    /// Each fire is put off by so many minutes: 0 to 1,440.
    #[serde(default)]
    pub delay_minutes: u32,
    /// Becomes `ctx.input`; an empty object when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload: Option<Value>,
    /// Fire once when the trigger is created, beside the times of `when`.
    #[serde(default)]
    pub run_immediately: bool,
    /// What becomes of fires that no node was there to make.
    #[serde(default)]
    pub catch_up: CatchUp,
    /// What becomes of a fire while a run of an earlier one has not ended.
    #[serde(default)]
    pub overlap: Overlap,
    /// When failures switch it off.
    #[serde(default)]
    pub auto_disable: AutoDisable,
}

/// When a schedule fires.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", tag = "mode", deny_unknown_fields)]
pub enum When {
    /// Again and again after the same time.
    Interval {
        /// How many units: at least 1, and at most 366 days in all.
        every: u32,
        /// Of what.
        unit: Unit,
    },
    /// Every day.
    Daily {
        /// The time of day, `HH:MM`.
        at: String,
    },
    /// On some days of each week.
    Weekly {
        /// At least one.
        days: Vec<Weekday>,
        /// The time of day, `HH:MM`.
        at: String,
    },
    /// On one day of each month.
    Monthly {
        /// 1 to 31; in a month that has no such day, its last.
        day: u32,
        /// The time of day, `HH:MM`.
        at: String,
    },
    /// As a cron expression says.
    Cron {
        /// Five fields: minute, hour, day of month, month, day of week.
        expression: String,
    },
}

/// What an interval counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// 60 seconds.
    Minutes,
    /// 60 minutes.
    Hours,
    /// Days of the calendar: the same time of day, however long the day was.
    Days,
}

/// A day of the week.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Weekday {
    /// Sunday
    Sun,
    /// Monday
    Mon,
    /// Tuesday
    Tue,
    /// Wednesday
    Wed,
    /// Thursday
    Thu,
    /// Friday
    Fri,
    /// Saturday
    Sat,
}

/// What becomes of fires that were missed: no node with the role was there for more than a minute.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", tag = "policy", deny_unknown_fields)]
pub enum CatchUp {
    /// They are left out.
    #[default]
    None,
    /// The last of them is made up for, however many there were.
    Last,
    /// All of them are, as far as they are not older than the window.
    #[serde(rename_all = "camelCase")]
    All {
        /// 1 to 1,380 minutes (23 hours).
        #[serde(default = "window_minutes_default")]
        window_minutes: u32,
    },
}

fn window_minutes_default() -> u32 {
    60
}

/// What becomes of a fire while a run of an earlier one has not ended. Each customer by itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Overlap {
    /// It runs beside it.
    #[default]
    Allow,
    /// It is left out; its event says so.
    Skip,
    /// It waits its turn.
    Queue,
    /// The earlier run is cancelled.
    CancelOlder,
}

/// When failures in a row switch a schedule off.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct AutoDisable {
    /// Failed fires in a row, 1 to 1,000; 0 never switches it off.
    pub failures: u32,
    /// After so many minutes it is switched on again, and off again by the next failure; 0 leaves it to a person. At most
    /// 43,200 (30 days).
    pub cooldown_minutes: u32,
}

impl Default for AutoDisable {
    fn default() -> Self {
        Self { failures: 10, cooldown_minutes: 60 }
    }
}

/// A change of a schedule's status.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct StatusChange {
    /// When.
    pub at: String,
    /// The status since then.
    pub status: Switch,
    /// Whether the platform made it, and not a person or program.
    pub automatic: bool,
    /// Why.
    pub reason: String,
}

/// A trigger that fires by the clock, and how it stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct ScheduleView {
    /// The trigger's id.
    pub id: String,
    /// The trigger's name.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// The one customer it belongs to; absent for one that fires for every customer of the account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customer: Option<String>,
    /// Whether it fires.
    pub status: Switch,
    /// When it fires.
    pub when: When,
    /// The same as a cron expression, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cron: Option<String>,
    /// The time zone.
    pub timezone: String,
    /// When it fires next, delay and jitter included; absent if it never does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_run: Option<String>,
    /// When its last run that activity still shows was admitted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_run: Option<String>,
    /// How that one stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_status: Option<ExecutionStatus>,
    /// Failed fires in a row.
    pub failures: u32,
    /// When it is switched on again after failures.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disabled_until: Option<String>,
    /// The next scheduled times; only when a single schedule is read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub upcoming: Vec<String>,
    /// The last changes of its status, newest first; only when a single schedule is read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<StatusChange>,
}

/// Why a schedule is paused or resumed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ChangeStatus {
    /// For the status history; at most 500 characters.
    #[serde(default)]
    pub reason: String,
}

/// Which scheduled times to make up for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BackfillSchedule {
    /// RFC 3339; the first instant.
    pub from: String,
    /// RFC 3339; the first instant after them, not in the future.
    pub to: String,
    /// Only say what would be done.
    #[serde(default)]
    pub dry_run: bool,
}

/// What a run by hand or a backfill made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct ScheduleFired {
    /// The ids of the events, one for each scheduled time; every customer that it fires for has one of its own.
    pub event_ids: Vec<String>,
    /// Events that were made, over all customers; with `dryRun`, that would be.
    pub events: u32,
    /// Events that are there already, from the clock or from a backfill before.
    pub already_there: u32,
}
