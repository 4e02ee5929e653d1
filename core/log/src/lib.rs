//! Seam 1: the tenant-partitioned log, its back ends, and the codec of its records.
//!
//! `fjall` and `rdkafka` live here and nowhere else. Everything above speaks [`Log`] and the typed records of the codec.

pub mod codec;
mod embedded;
mod kafka;
mod observe;
mod seam;
mod unheard;

pub use embedded::{EmbeddedLog, EmbeddedOptions};
pub use kafka::{Finding, KafkaLog, KafkaOptions, Sasl, Security, Severity, Tls};
pub use seam::{
    Appended, Bounds, Log, LogError, LogErrorKind, LogResult, Membership, Offset, Outcome, Partition, Record,
    StoredRecord, Topic,
};
