//! Errors that the store finds by itself, whatever the database.

use crate::seam::{Outcome, StoreError, StoreErrorKind};

/// An error that the store finds by itself.
pub(crate) fn refused(
    kind: StoreErrorKind,
    operation: &'static str,
    context: impl Into<String>,
    message: impl Into<String>,
) -> StoreError {
    StoreError {
        kind,
        outcome: Outcome::NotDone,
        operation,
        context: context.into(),
        message: message.into(),
        source: None,
    }
}
