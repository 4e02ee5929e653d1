//! Replays in bulk: which of the past runs again, how fast, at which version, and how far that has come.

use serde::{Deserialize, Serialize};

use crate::activity::{DeadLetterStatus, EventStatus, ExecutionStatus};
use crate::command::ReplayFrom;
use crate::quota::QuotaOutcome;

/// Executions or events that one second starts when the request names no rate.
pub const REPLAY_RATE_DEFAULT: u32 = 10;
/// Most of them a second.
pub const REPLAY_RATE_MAX: u32 = 1_000;
/// Most executions or events of one replay.
pub const REPLAY_ITEMS_MAX: u64 = 1_000_000;
/// Most ids that a selection names.
pub const REPLAY_IDS_MAX: usize = 1_000;
/// Rows of the sample in a preview.
pub const REPLAY_SAMPLE_MAX: usize = 10;
/// Rows that a preview counts at most; beyond it the count is a lower bound.
pub const REPLAY_PREVIEW_COUNT_MAX: u64 = 10_000;

/// What is replayed: everything that every field that is there lets through.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case", tag = "of", deny_unknown_fields)]
pub enum ReplaySelection {
    /// Executions that have ended.
    #[serde(rename_all = "camelCase")]
    Executions {
        /// These.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "openapi", schema(max_items = 1000))]
        ids: Option<Vec<String>>,
        /// Only of this customer.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        customer: Option<String>,
        /// Only those that ended so.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        status: Option<ExecutionStatus>,
        /// Only of this workflow.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        workflow: Option<String>,
        /// Only those that ran this version.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        version: Option<u32>,
        /// Only of this trigger.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        trigger: Option<String>,
        /// Admitted at or after, RFC 3339.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        since: Option<String>,
        /// Admitted before, RFC 3339.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until: Option<String>,
        /// Only those whose error has this class, e.g. `TypeError`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        error_name: Option<String>,
        /// Only those whose error has this code.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        error_code: Option<String>,
        /// Only those that failed in this step.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        error_step: Option<String>,
    },
    /// Dead letters.
    #[serde(rename_all = "camelCase")]
    DeadLetters {
        /// These.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "openapi", schema(max_items = 1000))]
        ids: Option<Vec<String>>,
        /// Only of this customer.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        customer: Option<String>,
        /// Only those that stand here; those that are pending when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        status: Option<DeadLetterStatus>,
        /// Only of this workflow.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        workflow: Option<String>,
        /// Put there at or after, RFC 3339.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        since: Option<String>,
        /// Put there before, RFC 3339.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until: Option<String>,
        /// Only those whose error has this class, e.g. `TypeError`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        error_name: Option<String>,
        /// Only those whose error has this code.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        error_code: Option<String>,
        /// Only those that failed in this step.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        error_step: Option<String>,
    },
    /// Events, as if they came again under today's triggers.
    #[serde(rename_all = "camelCase")]
    Events {
        /// These.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "openapi", schema(max_items = 1000))]
        ids: Option<Vec<String>>,
        /// Only of this customer.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        customer: Option<String>,
        /// Only those of which admission made this; those rejected or unmatched when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        status: Option<EventStatus>,
        /// Only of this CloudEvents type.
        #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
        kind: Option<String>,
        /// Only of this webhook trigger.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        trigger: Option<String>,
        /// Only those that a quota did this to: `blocked` once the limit is raised.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        quota: Option<QuotaOutcome>,
        /// Received at or after, RFC 3339.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        since: Option<String>,
        /// Received before, RFC 3339.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until: Option<String>,
    },
}

/// A replay to preview or to start.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StartReplay {
    /// What.
    pub select: ReplaySelection,
    /// From where; events always run from the start.
    #[serde(default)]
    pub from: ReplayFrom,
    /// The version to run; each one's own when absent, the latest with 0. Events run what is deployed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u32>,
    /// How many are started a second; 10 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(minimum = 1, maximum = 1000))]
    pub rate_per_second: Option<u32>,
    /// At most so many, newest first; 1,000,000 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(minimum = 1, maximum = 1000000))]
    pub limit: Option<u64>,
}

/// What a replay would do. Nothing is started.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct ReplayPreview {
    /// How many would run.
    pub total: u64,
    /// Whether there are more than `total`: counting stops at 10,000.
    pub more: bool,
    /// Seconds that it takes to start them at the rate asked for.
    pub seconds: u64,
    /// The first few, newest first.
    pub sample: Vec<ReplayPreviewItem>,
}

/// What a replay would do with one execution or event.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct ReplayPreviewItem {
    /// The execution or event.
    pub id: String,
    /// Its customer.
    pub customer: String,
    /// The workflow that would run; absent of an event, which today's triggers route.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workflow: Option<String>,
    /// The version that would run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u32>,
    /// Steps whose results would be kept.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kept: Vec<String>,
    /// Steps with calls to the outside that would go out again, as far as the last run made them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub calls_again: Vec<String>,
    /// Why it would be left out, if so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skipped: Option<String>,
}

/// Where a replay stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum ReplayStatus {
    /// It counts what it will start.
    Counting,
    /// It starts one after the other.
    Starting,
    /// All are started; some have not ended.
    Settling,
    /// All have ended, or a day has passed since the last was started.
    Completed,
    /// Somebody stopped it. What was started goes on.
    Cancelled,
}

impl ReplayStatus {
    /// Whether it will not change any more.
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Completed | Self::Cancelled)
    }
}

/// A replay under way or over.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct ReplayView {
    /// `rpl_…`
    pub id: String,
    /// The one customer that it is bound to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customer: Option<String>,
    /// Where it stands.
    pub status: ReplayStatus,
    /// What was asked for.
    pub request: StartReplay,
    /// How many it will start; absent until they are counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total: Option<u64>,
    /// Started so far.
    pub started: u64,
    /// Left out so far, for the reasons in `skips`.
    pub skipped: u64,
    /// Of those started, how many ended well.
    pub succeeded: u64,
    /// Of those started, how many ended otherwise.
    pub failed: u64,
    /// The first few that were left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub skips: Vec<ReplaySkip>,
    /// When it was asked for.
    pub created_at: String,
    /// When it was over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<String>,
}

/// One that was left out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct ReplaySkip {
    /// The execution or event.
    pub id: String,
    /// Why.
    pub reason: String,
}
