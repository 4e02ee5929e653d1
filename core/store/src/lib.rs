//! Seam 2: configuration and activity in SQL. `sqlx` lives here and nowhere else.

mod projection;
mod seam;

pub use projection::ProjectionBatch;
pub use seam::{
    EventFilter, ExecutionFilter, Expect, Outcome, PageRequest, RememberedAnswer, ReplaySource, ResourceWrite, Store,
    StoreError, StoreErrorKind, StoreResult,
};
