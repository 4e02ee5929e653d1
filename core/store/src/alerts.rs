//! What the evaluator of alerts keeps, and how far followers of the journal have come.
//!
//! The evaluator keeps two things: its memory, which only it reads, as texts under keys; and the alerts, which people read.
//! Both change in one transaction that names the revision of the memory it was made from. So of two evaluators, such as one
//! that does not know yet that another took over, only one changes anything.

use fastn_contract::alert::{AlertState, AlertView};
use fastn_domain::ids::{AccountId, CustomerId};
use fastn_domain::time::Timestamp;

/// The evaluator's memory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AlertMemory {
    /// Grows with each save; zero when nothing was ever saved.
    pub revision: u64,
    /// Texts by key, in the order of the keys.
    pub entries: Vec<(String, String)>,
}

/// One change of memory and alerts.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AlertSave {
    /// The revision that it was made from.
    pub from: u64,
    /// Texts to write under their keys.
    pub puts: Vec<(String, String)>,
    /// Keys to forget.
    pub deletes: Vec<String>,
    /// Alerts as they stand now.
    pub alerts: Vec<AlertRow>,
    /// Resolved alerts that fired before it are forgotten.
    pub forget_before: Option<Timestamp>,
}

/// An alert as it is kept.
#[derive(Clone, Debug, PartialEq)]
pub struct AlertRow {
    /// Whose.
    pub account: AccountId,
    /// The one customer that it is about.
    pub customer: Option<CustomerId>,
    /// When it fired.
    pub fired: Timestamp,
    /// As people see it.
    pub view: AlertView,
}

/// Which alerts a list shows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AlertFilter {
    /// By where they stand.
    pub state: Option<AlertState>,
    /// By rule.
    pub rule: Option<String>,
}

/// The view as the table keeps it.
pub(crate) fn body(view: &AlertView) -> String {
    serde_json::to_string(view).expect("a view is plain data, and no key of it is other than a text")
}
