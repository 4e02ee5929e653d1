//! What is kept between two polls beside the snapshot.

use std::time::Duration;

use fastn_contract::poll::{PollOutcome, PollView};
use serde::{Deserialize, Serialize};

use crate::ids::{CustomerId, TriggerId};
use crate::time::Timestamp;

/// See the head of this file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PollProgress {
    /// What the snapshot was made with; another one makes it void.
    pub shape: String,
    /// Whether the first listing has come to its end.
    pub complete: bool,
    /// Chunks of the snapshot.
    pub chunks: u32,
    /// Records of the snapshot.
    pub records: u32,
    /// Where an incremental poll goes on.
    pub cursor: String,
    /// The interval as it has come out.
    pub interval_ms: u64,
    /// Polls in a row that did not come to an end.
    pub failures: u32,
    /// The last poll.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last: Option<LastPoll>,
    /// When the last poll began that came to its end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_success: Option<Timestamp>,
}

/// How a poll went.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LastPoll {
    /// When it began.
    pub at: Timestamp,
    /// How it ended.
    pub outcome: PollOutcome,
    /// What to know of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// Pages that it read.
    pub pages: u32,
    /// Records that it found to be new.
    pub created: u32,
    /// Records that it found changed.
    pub updated: u32,
    /// Records that it found gone.
    pub deleted: u32,
}

impl PollProgress {
    /// The interval as it has come out.
    pub fn interval(&self) -> Duration {
        Duration::from_millis(self.interval_ms)
    }

    /// As people see it.
    pub fn view(&self, trigger: &TriggerId, customer: &CustomerId, next: Timestamp, running: bool) -> PollView {
        let last = self.last.as_ref();
        PollView {
            trigger: trigger.to_string(),
            customer: customer.to_string(),
            running,
            records: self.records,
            interval_seconds: u32::try_from(self.interval_ms / 1_000).unwrap_or(u32::MAX),
            next_poll: next.to_string(),
            last_poll: last.map(|last| last.at.to_string()),
            last_outcome: last.map(|last| last.outcome),
            detail: last.and_then(|last| last.detail.clone()),
            pages: last.map_or(0, |last| last.pages),
            created: last.map_or(0, |last| last.created),
            updated: last.map_or(0, |last| last.updated),
            deleted: last.map_or(0, |last| last.deleted),
            failures: self.failures,
            last_success: self.last_success.map(|at| at.to_string()),
        }
    }
}
