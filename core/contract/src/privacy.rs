//! How long activity is kept, and how a customer is erased.

use serde::{Deserialize, Serialize};

/// Days that activity is kept when an account says nothing.
pub const RETENTION_DAYS_DEFAULT: u32 = 30;
/// Most days that an account may keep its activity.
pub const RETENTION_DAYS_MAX: u32 = 366;

/// How long the activity of an account is kept. Counted from the event's arrival and the execution's admission.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RetentionSettings {
    /// Days after which events, ended executions and their dead letters are deleted.
    #[serde(default = "activity_days_default")]
    #[cfg_attr(feature = "openapi", schema(minimum = 1, maximum = 366))]
    pub activity_days: u32,
    /// Days after which payloads are blanked: event data and headers, inputs, outputs, results, log lines. As long as the
    /// activity when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(minimum = 1, maximum = 366))]
    pub payload_days: Option<u32>,
}

const fn activity_days_default() -> u32 {
    RETENTION_DAYS_DEFAULT
}

impl Default for RetentionSettings {
    fn default() -> Self {
        Self { activity_days: RETENTION_DAYS_DEFAULT, payload_days: None }
    }
}

/// Where an erasure stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum ErasureStatus {
    /// The customer's events are refused; the steps below follow by themselves.
    Running,
    /// Nothing is left but what `log` says.
    Done,
}

/// The erasure of one customer: the proof of what was destroyed where. It holds no personal data: the customer is told by
/// a hash.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct ErasureView {
    /// `ers_…`
    pub id: String,
    /// SHA-256 of `<erasure id>/<customer id>`, in hex: who knows the customer's id can tell that it was this one.
    pub customer_hash: String,
    /// Where it stands.
    pub status: ErasureStatus,
    /// When it was asked for.
    pub requested_at: String,
    /// When it was done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<String>,
    /// What was done, in order. Only grows.
    pub steps: Vec<ErasureStep>,
    /// Rows deleted from the database, by table.
    pub rows: Vec<ErasedRows>,
    /// The data keys that were destroyed: what the log holds under them cannot be read by anybody.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<ErasedKey>,
    /// What remains in the log, and for how long.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub log: Vec<ErasedLog>,
}

/// A step of an erasure.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct ErasureStep {
    /// `refused`, `stopped`, `deleted`, `key_destroyed`, `forgotten`, `compacted`, `done`.
    pub step: String,
    /// When it was done.
    pub at: String,
}

/// Rows deleted from one table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct ErasedRows {
    /// The table.
    pub table: String,
    /// How many.
    pub rows: u64,
}

/// A data key that was destroyed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct ErasedKey {
    /// The key's id, which sealed records name.
    pub id: String,
    /// When it was made.
    pub created_at: String,
}

/// What of the customer remains in one partition of one topic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct ErasedLog {
    /// `events` or `executions`.
    pub topic: String,
    /// The partition that all of the customer's records lie in, beside those of others.
    pub partition: u32,
    /// The first offset that was there.
    pub from: u64,
    /// One past the last.
    pub to: u64,
    /// Whether the payloads of every record of the customer in this range are sealed under a destroyed key. Otherwise
    /// records from before `encryptLog` was switched on, if any, can be read until `gone_by`.
    pub unreadable: bool,
    /// When retention has removed the whole range, unless it lies in a backup of the log's own files.
    pub gone_by: String,
}
