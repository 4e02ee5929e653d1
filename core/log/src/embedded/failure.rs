//! What went wrong below the seam, sorted into the seam's kinds.

use std::any::Any;
use std::io;

use crate::embedded::frame::Malformed;
use crate::seam::{LogError, LogErrorKind, Outcome};

/// A failure of the engine, before it is known which operation on what it spoiled.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    pub(crate) kind: LogErrorKind,
    pub(crate) message: String,
    /// The engine stopped itself before it touched what it was asked to write; opening it anew may help.
    pub(crate) stopped: bool,
}

impl Failure {
    fn new(kind: LogErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), stopped: false }
    }

    pub(crate) fn corrupt(what: String) -> Self {
        let advice = "restore the directory from a backup, or move it away to start with an empty log";
        Self::new(LogErrorKind::Corrupt, format!("{what}; {advice}"))
    }

    pub(crate) fn from_panic(panic: &(dyn Any + Send)) -> Self {
        let text = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
        Self::corrupt(format!("the storage engine gave up ({})", text.unwrap_or("no reason given")))
    }

    pub(crate) fn locked() -> Self {
        let message = "another process has this log open; stop it, or choose another data directory";
        Self::new(LogErrorKind::Locked, message)
    }

    pub(crate) fn full(detail: &str) -> Self {
        let message = format!("no space left on the device ({detail}); free some, appends go on by themselves");
        Self::new(LogErrorKind::Full, message)
    }

    pub(crate) fn closed() -> Self {
        Self::new(LogErrorKind::Closed, "the log is closed")
    }

    pub(crate) fn error(&self, outcome: Outcome, operation: &'static str, context: String) -> LogError {
        LogError { kind: self.kind, outcome, operation, context, message: self.message.clone() }
    }
}

impl From<Malformed> for Failure {
    fn from(malformed: Malformed) -> Self {
        Self::corrupt(format!("a stored frame does not read back: {}", malformed.0))
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
        match error.kind() {
            StorageFull | QuotaExceeded | FileTooLarge => Self::full(&error.to_string()),
            _ => Self::new(LogErrorKind::Io, format!("{error}; check the device, then restart")),
        }
    }
}

impl From<fjall::Error> for Failure {
    fn from(error: fjall::Error) -> Self {
        match error {
            fjall::Error::Io(error) | fjall::Error::Storage(fjall::LsmError::Io(error)) => error.into(),
            fjall::Error::Locked => Self::locked(),
            fjall::Error::Poisoned => Self {
                stopped: true,
                ..Self::new(LogErrorKind::Io, "the storage engine stopped after a failed background write")
            },
            other => Self::corrupt(format!("the storage engine reports {other:?}")),
        }
    }
}
