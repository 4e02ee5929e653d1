//! Polling: what is compared, what was there before, what changed, and when to look again. Pure: answers and instants in,
//! changes out. docs/POLLING.md says the rules to users, docs/adr/0009 why snapshots live in the store.

mod event;
mod fields;
mod links;
mod pace;
mod progress;
mod snapshot;
mod spec;

pub use event::{Change, Told, event, source_of};
pub use fields::{FIELD_DEPTH_MAX, FIELDS_OF_RECORD_MAX, View};
pub use links::next_link;
pub use pace::{Pace, RateLimit, WAIT_MAX, rate_limit};
pub use progress::{LastPoll, PollProgress};
pub use snapshot::{Chunk, ChunkError, Observed, Snapshot};
pub use spec::{Greatest, NextPage, Poll};

/// Most records that are remembered of one trigger and customer.
pub const RECORDS_MAX: usize = 200_000;
/// Longest key of a record.
pub const KEY_BYTES_MAX: usize = 512;
