//! A replay as it is kept: one resource, whose version is the lock between the nodes that could work on it.

use fastn_contract::replay::{ReplaySkip, ReplayStatus, ReplayView, StartReplay};
use fastn_domain::Timestamp;
use fastn_domain::catalog::ResourceRow;
use serde::{Deserialize, Serialize};

/// Items that were left out and are told one by one.
const SKIPS_MAX: usize = 20;

/// See the head of this file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct StoredReplay {
    pub(super) status: ReplayStatus,
    pub(super) request: StartReplay,
    #[serde(default)]
    pub(super) customer: Option<String>,
    /// Nothing that came later is selected.
    pub(super) created: Timestamp,
    #[serde(default)]
    pub(super) finished: Option<Timestamp>,
    #[serde(default)]
    pub(super) total: Option<u64>,
    /// What lies before `cursor` is started. What comes behind it may be, too: its ids tell.
    #[serde(default)]
    pub(super) cursor: Option<String>,
    /// Of what lies before `cursor`.
    #[serde(default)]
    pub(super) passed: Counts,
    /// Of everything.
    #[serde(default)]
    pub(super) counts: Counts,
    #[serde(default)]
    pub(super) succeeded: u64,
    #[serde(default)]
    pub(super) failed: u64,
    #[serde(default)]
    pub(super) skips: Vec<ReplaySkip>,
    /// When the last one was started.
    #[serde(default)]
    pub(super) started_last: Option<Timestamp>,
    /// Who works on it. Not exclusive: two that do so append the same ids.
    #[serde(default)]
    pub(super) lease: Option<Lease>,
}

/// How many were dealt with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Counts {
    pub(super) started: u64,
    pub(super) skipped: u64,
}

impl Counts {
    pub(super) fn all(self) -> u64 {
        self.started + self.skipped
    }
}

/// Who works on a replay, and until when others leave it to them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Lease {
    pub(super) node: String,
    pub(super) until: Timestamp,
}

impl StoredReplay {
    pub(super) fn new(request: StartReplay, customer: Option<String>, created: Timestamp) -> Self {
        Self {
            status: ReplayStatus::Counting,
            request,
            customer,
            created,
            finished: None,
            total: None,
            cursor: None,
            passed: Counts::default(),
            counts: Counts::default(),
            succeeded: 0,
            failed: 0,
            skips: Vec::new(),
            started_last: None,
            lease: None,
        }
    }

    pub(super) fn read(row: &ResourceRow) -> Result<Self, serde_json::Error> {
        serde_json::from_str(&row.body)
    }

    pub(super) fn view(self, id: String) -> ReplayView {
        ReplayView {
            id,
            customer: self.customer,
            status: self.status,
            request: self.request,
            total: self.total,
            started: self.counts.started,
            skipped: self.counts.skipped,
            succeeded: self.succeeded,
            failed: self.failed,
            skips: self.skips,
            created_at: self.created.to_string(),
            finished_at: self.finished.map(|at| at.to_string()),
        }
    }

    pub(super) fn skip(&mut self, id: &str, reason: String) {
        self.counts.skipped += 1;
        let known = self.skips.iter().any(|skip| skip.id == id);
        if !known && self.skips.len() < SKIPS_MAX {
            self.skips.push(ReplaySkip { id: id.to_owned(), reason });
        }
    }

    pub(super) fn end(&mut self, status: ReplayStatus, at: Timestamp) {
        self.status = status;
        self.finished = Some(at);
        self.lease = None;
    }
}
