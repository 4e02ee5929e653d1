//! How PostgreSQL's errors become the store's.

use crate::seam::{Outcome, StoreError, StoreErrorKind};

/// The error of a read, or of a write whose transaction cannot have been committed.
pub(super) fn database(operation: &'static str, context: impl Into<String>, error: sqlx::Error) -> StoreError {
    let kind = kind_of(&error);
    let message = match kind {
        StoreErrorKind::Conflict => "the row exists already".to_owned(),
        StoreErrorKind::Unavailable => "PostgreSQL is away or busy; try again".to_owned(),
        StoreErrorKind::Full => "PostgreSQL has no space left; free some and try again".to_owned(),
        StoreErrorKind::Corrupt => "what is stored does not read back; restore it or run `fastn rebuild`".to_owned(),
        _ => explain(&error),
    };
    let outcome = Outcome::NotDone;
    StoreError { kind, outcome, operation, context: context.into(), message, source: Some(Box::new(error)) }
}

/// The error of a commit: without PostgreSQL's refusal it may have happened.
pub(super) fn commit(operation: &'static str, context: impl Into<String>, error: sqlx::Error) -> StoreError {
    // A session that is ended while it commits does not say whether it had.
    let refused = matches!(&error, sqlx::Error::Database(answer) if !class(answer.as_ref()).starts_with("57"));
    let outcome = if refused { Outcome::NotDone } else { Outcome::Unknown };
    StoreError { outcome, ..database(operation, context, error) }
}

/// An operation that did not answer in time.
pub(super) fn late(operation: &'static str, outcome: Outcome) -> StoreError {
    StoreError {
        kind: StoreErrorKind::Unavailable,
        outcome,
        operation,
        context: "in PostgreSQL".to_owned(),
        message: "it did not answer in time; try again".to_owned(),
        source: None,
    }
}

fn explain(error: &sqlx::Error) -> String {
    match error {
        sqlx::Error::Database(answer) => match class(answer.as_ref()).as_str() {
            "28000" | "28P01" => "PostgreSQL refused the role or its password; see `fastn doctor`".to_owned(),
            "42501" => "the role lacks a right; run `fastn migrate`, which grants them".to_owned(),
            "42P01" | "42703" | "42883" => "the schema is not that of this program; run `fastn migrate`".to_owned(),
            code => format!("PostgreSQL refused (SQLSTATE {code})"),
        },
        sqlx::Error::Configuration(_) => "its URL can't be used".to_owned(),
        _ => "PostgreSQL refused".to_owned(),
    }
}

/// The five characters of SQLSTATE; see <https://www.postgresql.org/docs/15/errcodes-appendix.html>.
fn class(answer: &dyn sqlx::error::DatabaseError) -> String {
    answer.code().map(|code| code.into_owned()).unwrap_or_default()
}

fn kind_of(error: &sqlx::Error) -> StoreErrorKind {
    match error {
        sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed
        | sqlx::Error::Io(_)
        | sqlx::Error::Protocol(_)
        | sqlx::Error::BeginFailed => StoreErrorKind::Unavailable,
        sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) | sqlx::Error::ColumnNotFound(_) => {
            StoreErrorKind::Corrupt
        }
        sqlx::Error::Database(answer) => match class(answer.as_ref()).as_str() {
            "23505" => StoreErrorKind::Conflict,
            "53100" => StoreErrorKind::Full,
            "XX001" | "XX002" => StoreErrorKind::Corrupt,
            // Serialisation, deadlock, lock timeout, read-only standby, too idle in a transaction.
            "40001" | "40P01" | "55P03" | "25006" | "25P03" => StoreErrorKind::Unavailable,
            // Lost connections, lack of memory or connections, interventions of an operator and timeouts.
            code if ["08", "53", "57", "58"].iter().any(|class| code.starts_with(class)) => StoreErrorKind::Unavailable,
            _ => StoreErrorKind::Database,
        },
        _ => StoreErrorKind::Database,
    }
}
