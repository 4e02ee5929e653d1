//! Seam 2: configuration and activity in SQL. `sqlx` lives here and nowhere else.
//!
//! Beside the seam and its implementations on SQLite and PostgreSQL: the vault that seals secrets, access keys, and the feed that keeps
//! the configuration in memory.

mod activity_view;
mod alerts;
mod clock;
mod cursor;
mod ended;
mod error;
mod feed;
mod key;
mod label;
mod observe;
mod polls;
mod postgres;
mod projection;
mod read;
mod resource;
mod seam;
mod sqlite;
mod vault;

pub use alerts::{AlertFilter, AlertMemory, AlertRow, AlertSave};
pub use feed::{CatalogFeed, FeedOptions};
pub use key::{hash_access_key, new_access_key};
pub use polls::{LeasedPoll, PollRow, PollSave, Polls};
pub use postgres::{Finding, MigrateOptions, Migrated, PostgresOptions, PostgresStore, examine, migrate};
pub use projection::{
    Advance, EventRow, EventSeq, ExecutionEnd, ExecutionPatch, ExecutionRow, ExecutionState, InputRow, Position,
    ProjectionBatch, UsageDelta,
};
pub use seam::{
    ApiCalls, ErasedActivity, ErasedConfiguration, EventFilter, EventState, ExecutionFilter, Expect, Outcome,
    PageRequest, RememberedAnswer, ReplaySource, ResourceWrite, ScheduleRuns, Store, StoreError, StoreErrorKind,
    StoreResult, StoredEvent, UsageFilter,
};
pub use sqlite::{SqliteOptions, SqliteStore};
pub use vault::{LogCipher, MasterKey, SecretText, Vault, VaultError, new_log_key};
