//! How SQLite's errors become the store's.

use crate::seam::{Outcome, StoreError, StoreErrorKind};

/// Result codes of SQLite that decisions depend on; see <https://www.sqlite.org/rescode.html>.
const SQLITE_BUSY: u32 = 5;
const SQLITE_LOCKED: u32 = 6;
const SQLITE_CORRUPT: u32 = 11;
const SQLITE_FULL: u32 = 13;
const SQLITE_NOTADB: u32 = 26;

/// The error of a read, of a write that was rolled back, or of a commit that SQLite refused.
pub(crate) fn database(operation: &'static str, context: impl Into<String>, error: sqlx::Error) -> StoreError {
    let kind = kind_of(&error);
    let message = match kind {
        StoreErrorKind::Conflict => "the row exists already".to_owned(),
        StoreErrorKind::Unavailable => "the database is busy or closed; try again".to_owned(),
        StoreErrorKind::Full => "no space is left on the device; free some and try again".to_owned(),
        StoreErrorKind::Corrupt => "what is stored does not read back; restore it or run `fastn rebuild`".to_owned(),
        _ => "the database refused".to_owned(),
    };
    // A broken connection to the worker says nothing about a commit under way; an answer of SQLite does.
    let outcome = if error.as_database_error().is_some() { Outcome::NotDone } else { outcome_of(&error) };
    StoreError { kind, outcome, operation, context: context.into(), message, source: Some(Box::new(error)) }
}

fn outcome_of(error: &sqlx::Error) -> Outcome {
    match error {
        sqlx::Error::Io(_) | sqlx::Error::WorkerCrashed | sqlx::Error::Protocol(_) => Outcome::Unknown,
        _ => Outcome::NotDone,
    }
}

fn kind_of(error: &sqlx::Error) -> StoreErrorKind {
    match error {
        sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed | sqlx::Error::WorkerCrashed | sqlx::Error::Io(_) => {
            StoreErrorKind::Unavailable
        }
        sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) | sqlx::Error::ColumnNotFound(_) => {
            StoreErrorKind::Corrupt
        }
        sqlx::Error::Database(answer) if answer.is_unique_violation() => StoreErrorKind::Conflict,
        sqlx::Error::Database(answer) => {
            let code = answer.code().and_then(|code| code.parse::<u32>().ok()).unwrap_or(0);
            // The low byte is the primary code; the rest only refines it.
            match code & 0xff {
                SQLITE_BUSY | SQLITE_LOCKED => StoreErrorKind::Unavailable,
                SQLITE_FULL => StoreErrorKind::Full,
                SQLITE_CORRUPT | SQLITE_NOTADB => StoreErrorKind::Corrupt,
                _ => StoreErrorKind::Database,
            }
        }
        _ => StoreErrorKind::Database,
    }
}
