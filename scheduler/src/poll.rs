//! Polls sources and makes events of what has changed there since.
//!
//! ```text
//!   store: due ─▶ lease ─▶ outbox? ─▶ events[p] ─▶ fetch pages ─▶ compare with the snapshot
//!                               ▲                                      │ some changes
//!                               └── save: snapshot, outbox, g + 1 ◀────┘
//! ```
//!
//! A save puts the changed chunks of the snapshot and the events that tell of them into one transaction, and only then do
//! the events go to the log. A process that dies before it leaves everything as it was; one that dies after it leaves the
//! events in the outbox, and whoever polls next appends the same ones, which the processor admits once (docs/adr/0009).
//! Any number of schedulers may poll: a lease keeps them apart, and where it fails to, the save compares the generation.

mod delivery;
mod fill;
mod held;
mod listing;
mod poller;

use std::sync::Arc;

use futures_util::future::BoxFuture;

pub use poller::{Poller, PollerConfig, PollerParts, Polling};

/// A request to a source. It may hold secrets, so it does not show itself.
#[derive(Clone)]
pub struct FetchRequest {
    /// The method.
    pub method: String,
    /// The URL.
    pub url: String,
    /// The headers.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Option<String>,
}

/// A source's answer, whatever its status.
#[derive(Clone)]
pub struct FetchAnswer {
    /// The HTTP status.
    pub status: u16,
    /// The headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

/// Makes a request to a source once, within a time and a size. The error says why there is no answer, without anything of
/// the request.
pub type Fetch = Arc<dyn Fn(FetchRequest) -> BoxFuture<'static, Result<FetchAnswer, String>> + Send + Sync>;
