//! Polling: the source that a trigger reads again and again, and how its polls stand.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A list of records at an HTTP source. What changes between two looks at it becomes events of the types
/// `<entity>.created`, `<entity>.updated` and `<entity>.deleted`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Poll {
    /// What a record is, e.g. `contact`; the first part of the events' types.
    pub entity: String,
    /// The request for a page of records.
    pub request: PollRequest,
    /// Path in an answer of the array of records, e.g. `data.items`; the answer itself when empty.
    #[serde(default)]
    pub records: String,
    /// Path in a record of what tells it from others, e.g. `id`: a text or a number.
    pub key: String,
    /// How the next page is asked for.
    #[serde(default)]
    pub paging: Paging,
    /// Ask only for what is newer than the poll before. Then deletions are not seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incremental: Option<Incremental>,
    /// What of a record is compared.
    #[serde(default)]
    pub compare: Compare,
    /// Whether a record that a complete listing no longer has was deleted.
    #[serde(default = "yes")]
    pub detect_deletes: bool,
    /// What the first listing does.
    #[serde(default)]
    pub initial: Initial,
    /// How often.
    #[serde(default)]
    pub interval: PollInterval,
}

fn yes() -> bool {
    true
}

/// An HTTP request with places to fill: `{{page}}`, `{{cursor}}`, `{{customer}}`, `{{trigger}}` and `{{secret.NAME}}`. A
/// secret of the customer goes before one of the account.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PollRequest {
    /// The method.
    #[serde(default = "method_default")]
    pub method: String,
    /// The URL. What is filled in is percent-encoded; a parameter of the query that is filled with nothing is left out.
    pub url: String,
    /// The headers.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// The body: JSON, in whose texts places are filled. A text alone is sent as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<Value>,
}

fn method_default() -> String {
    "GET".to_owned()
}

/// How the next page of a listing is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", tag = "mode", deny_unknown_fields)]
pub enum Paging {
    /// One answer holds everything.
    #[default]
    None,
    /// `{{page}}` is a number that grows until a page has no records: a page's number, or an offset.
    Page {
        /// The first.
        #[serde(default = "one")]
        first: u32,
        /// What is added for each next page: 1 for numbers of pages, the size of a page for offsets.
        #[serde(default = "one")]
        step: u32,
    },
    /// `{{page}}` is what the answer before says; empty for the first page. The listing ends when an answer says nothing.
    Cursor {
        /// Path in an answer of what stands for the next page.
        path: String,
    },
    /// An answer says the URL of the next page, at the same host.
    Link {
        /// Path in an answer of that URL; the header `Link` with `rel="next"` when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        path: Option<String>,
    },
}

fn one() -> u32 {
    1
}

/// Where the value for `{{cursor}}` comes from that makes a poll go on where the one before ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Incremental {
    /// Path of the value: of records the greatest is kept, of answers that of the last page.
    pub path: String,
    /// In what the path is.
    #[serde(default)]
    pub of: CursorOf,
    /// The value for the first poll; empty when absent.
    #[serde(default)]
    pub start: String,
}

/// In what a cursor's path is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum CursorOf {
    /// A record, e.g. when it was changed.
    #[default]
    Records,
    /// An answer, e.g. a token for what comes later.
    Answer,
}

/// What of a record is compared. Paths are dotted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", tag = "what", deny_unknown_fields)]
pub enum Compare {
    /// All of it.
    #[default]
    Record,
    /// Only these fields.
    Fields {
        /// 1 to 100 paths.
        fields: Vec<String>,
    },
    /// All but these fields.
    Except {
        /// 1 to 100 paths.
        fields: Vec<String>,
    },
}

/// What the first listing does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Initial {
    /// It is remembered, and nothing is told.
    #[default]
    Baseline,
    /// Each of its records is told as created.
    Emit,
}

/// How often a source is polled: the interval grows while nothing changes, and shrinks when something does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct PollInterval {
    /// The shortest, in seconds: 5 to 86,400.
    pub min_seconds: u32,
    /// The longest, in seconds: not below the shortest, and at most 86,400.
    pub max_seconds: u32,
}

impl Default for PollInterval {
    fn default() -> Self {
        Self { min_seconds: 60, max_seconds: 900 }
    }
}

/// How a poll ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum PollOutcome {
    /// The first listing was remembered.
    Baseline,
    /// Nothing had changed.
    Unchanged,
    /// Something had, and events were made of it.
    Changed,
    /// The source asked to wait.
    RateLimited,
    /// It did not work; see the detail.
    Failed,
}

/// The polls of one trigger for one customer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct PollView {
    /// The trigger.
    pub trigger: String,
    /// The customer.
    pub customer: String,
    /// Whether a node polls right now.
    pub running: bool,
    /// Records that are remembered.
    pub records: u32,
    /// The interval as it has come out, in seconds.
    pub interval_seconds: u32,
    /// When it polls next.
    pub next_poll: String,
    /// When the last poll began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_poll: Option<String>,
    /// How it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_outcome: Option<PollOutcome>,
    /// What to know of it: why it failed, or what was left out. Nothing of the request or of an answer.
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
    /// Polls in a row that did not come to an end.
    pub failures: u32,
    /// When the last poll began that did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_success: Option<String>,
}

/// What was asked to poll at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct PollsAsked {
    /// Customers whose polls begin within a second or two, if no node polls for them already.
    pub polls: u32,
}
