//! What is kept of polls: when each is due, who polls, how far it has come, and what its source listed last.
//!
//! ```text
//!   begin ─▶ due ─▶ lease ─▶ save … save ─▶ due …
//!                     generation, holder: compared by each save
//! ```
//!
//! A poll belongs to one trigger and one customer. A save says in one transaction what the snapshot became and which events
//! tell it; the events stay in the poll's outbox until a later save that names none. So whoever leases the poll after a
//! crash finds the events that may not have reached the log, and no change is told twice or not at all.

use async_trait::async_trait;
use fastn_contract::page::Page;
use fastn_domain::ids::{AccountId, CustomerId, TriggerId};
use fastn_domain::scope::{Reach, Scope};
use fastn_domain::time::Timestamp;

use crate::error::refused;
use crate::seam::{PageRequest, StoreError, StoreErrorKind, StoreResult};

/// A poll that was leased.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeasedPoll {
    /// Grows with each save. It starts with the milliseconds of its beginning, so that one that was forgotten and begun
    /// again has no generation that it had before.
    pub generation: u64,
    /// As it was saved; empty at first.
    pub body: String,
    /// Events that a save told and that may not have reached the log.
    pub outbox: Option<Vec<u8>>,
}

/// What a save makes of a poll.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PollSave {
    /// The generation that it expects to find. It leaves the next one behind.
    pub generation: u64,
    /// What to keep.
    pub body: String,
    /// When it is due next.
    pub next_at: Timestamp,
    /// Until when the holder keeps it; nothing ends the lease.
    pub lease_until: Option<Timestamp>,
    /// The events that have to reach the log; nothing if the last ones have.
    pub outbox: Option<Vec<u8>>,
    /// Whether `chunks` take the place of all that are stored.
    pub anew: bool,
    /// Chunks of the snapshot that have changed; nothing deletes one.
    pub chunks: Vec<(u32, Option<Vec<u8>>)>,
}

/// A poll as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PollRow {
    /// Whose.
    pub customer: CustomerId,
    /// As it was saved; empty at first.
    pub body: String,
    /// When it is due.
    pub next_at: Timestamp,
    /// Until when somebody polls.
    pub lease_until: Timestamp,
}

/// See the head of this file.
#[async_trait]
pub trait Polls: Send + Sync + 'static {
    /// Makes a poll that is due at `at`, unless it is there. Twice is once.
    async fn begin(&self, scope: &Scope, trigger: &TriggerId, at: Timestamp) -> StoreResult<()>;

    /// For the node itself: polls of any account that are due at `now` and that nobody holds, those due longest first.
    async fn due(&self, now: Timestamp, limit: u32) -> StoreResult<Vec<(Scope, TriggerId)>>;

    /// Gives a poll to `holder` until `until`, if it is there, due at `now`, and nobody holds it. One lost answer keeps it
    /// from everybody for as long as the lease.
    async fn lease(
        &self,
        scope: &Scope,
        trigger: &TriggerId,
        holder: &str,
        now: Timestamp,
        until: Timestamp,
    ) -> StoreResult<Option<LeasedPoll>>;

    /// The chunks of its snapshot that hold something, in order.
    async fn chunks(&self, scope: &Scope, trigger: &TriggerId) -> StoreResult<Vec<(u32, Vec<u8>)>>;

    /// Saves a poll in one transaction. `Conflict` when another save, a reset or another holder came in between, or when it
    /// is gone: then nothing has changed.
    async fn save(&self, scope: &Scope, trigger: &TriggerId, holder: &str, save: PollSave) -> StoreResult<()>;

    /// The polls of a trigger within reach, by customer.
    async fn list(&self, reach: &Reach, trigger: &TriggerId, page: &PageRequest) -> StoreResult<Page<PollRow>>;

    /// Makes the polls of a trigger within reach due at `at`, if they are not due before. How many there are.
    async fn hasten(&self, reach: &Reach, trigger: &TriggerId, at: Timestamp) -> StoreResult<u32>;

    /// Makes the polls of a trigger within reach start from nothing at `at`, but for events that have to reach the log; ends
    /// leases. How many there are.
    async fn reset(&self, reach: &Reach, trigger: &TriggerId, at: Timestamp) -> StoreResult<u32>;

    /// Deletes everything that is kept of a trigger's polls.
    async fn forget(&self, account: &AccountId, trigger: &TriggerId) -> StoreResult<()>;
}

/// The name of the list in cursors.
pub(crate) const LIST: &str = "polls";

/// What a save meets that comes too late.
pub(crate) fn overtaken(trigger: &TriggerId) -> StoreError {
    let message = "another save, a reset or another holder came in between";
    refused(StoreErrorKind::Conflict, "save poll of", trigger.as_str(), message.to_owned())
}
