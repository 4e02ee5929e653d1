//! Seam 1: the tenant-partitioned log, its back ends, and the codec of its records.
//!
//! `fjall` and `rdkafka` live here and nowhere else. Everything above speaks [`Log`] and the typed records of the codec.

mod cloudevents;
pub mod codec;
mod embedded;
mod kafka;
mod observe;
pub mod registry;
mod seam;
mod unheard;

pub use cloudevents::{event_record, event_record_at, revision_of, with_revision};
pub use embedded::{EmbeddedLog, EmbeddedOptions};
pub use kafka::{Finding, KafkaLog, KafkaOptions, Sasl, Security, Severity, Tls, bare_producer};
pub use seam::{
    Appended, Bounds, Log, LogError, LogErrorKind, LogResult, Membership, Offset, Outcome, Partition, Record,
    StoredRecord, Topic,
};
