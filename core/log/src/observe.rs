//! What the log tells its operators: metrics and log lines, one function a thing that happens.
//!
//! Metrics (offsets and customers are no labels):
//! - `fastn_log_append_seconds`: from the call to the durable answer
//! - `fastn_log_commit_seconds`: writing and syncing one group commit
//! - `fastn_log_commit_records`, `fastn_log_commit_bytes`: what one group commit holds
//! - `fastn_log_queue_bytes`, `fastn_log_disk_bytes`: now
//! - `fastn_log_errors_total{kind}`
//! - `fastn_registry_lookups_total{outcome}`: schemas of other versions, `found` or `failed`
//!
//! On Kafka there are no commits and disk bytes of ours, and beside the others:
//! - `fastn_log_lag_records{topic, partition}`: records of a followed partition that no reader of this process has taken
//! - `fastn_log_producers_replaced_total{lane}`: producers given up because acknowledgements did not come
//! - `fastn_log_clock_skew_seconds`: how far the brokers' clock is ahead of ours

use std::path::Path;
use std::time::Instant;

use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};

use crate::seam::LogErrorKind;

/// The handles of the hot path, looked up once. A recorder installed after the log was opened does not see them.
pub(crate) struct Meters {
    append_seconds: Histogram,
    commit_seconds: Histogram,
    commit_records: Histogram,
    commit_bytes: Histogram,
    queue_bytes: Gauge,
    disk_bytes: Gauge,
}

impl Meters {
    pub(crate) fn new() -> Self {
        Self {
            append_seconds: histogram!("fastn_log_append_seconds"),
            commit_seconds: histogram!("fastn_log_commit_seconds"),
            commit_records: histogram!("fastn_log_commit_records"),
            commit_bytes: histogram!("fastn_log_commit_bytes"),
            queue_bytes: gauge!("fastn_log_queue_bytes"),
            disk_bytes: gauge!("fastn_log_disk_bytes"),
        }
    }
}

/// An append became durable.
pub(crate) fn appended(meters: &Meters, since: Instant) {
    meters.append_seconds.record(since.elapsed());
}

/// A group commit became durable.
pub(crate) fn commit(meters: &Meters, records: u64, bytes: usize, since: Instant) {
    meters.commit_seconds.record(since.elapsed());
    meters.commit_records.record(records as f64);
    meters.commit_bytes.record(bytes as f64);
}

/// Bytes that wait for their commit.
pub(crate) fn queue(meters: &Meters, bytes: usize) {
    meters.queue_bytes.set(bytes as f64);
}

/// Bytes on the disk.
pub(crate) fn disk(meters: &Meters, bytes: u64) {
    meters.disk_bytes.set(bytes as f64);
}

/// An operation failed; whoever called it logs it.
pub(crate) fn failed(kind: LogErrorKind) {
    let kind = match kind {
        LogErrorKind::Busy => "busy",
        LogErrorKind::Full => "full",
        LogErrorKind::TooLarge => "too_large",
        LogErrorKind::Trimmed => "trimmed",
        LogErrorKind::Locked => "locked",
        LogErrorKind::Corrupt => "corrupt",
        LogErrorKind::Closed => "closed",
        LogErrorKind::Io => "io",
    };
    let errors: Counter = counter!("fastn_log_errors_total", "kind" => kind);
    errors.increment(1);
}

/// The log is open.
pub(crate) fn opened(dir: &Path, partitions: u32, since: Instant) {
    let ms = since.elapsed().as_millis();
    tracing::info!(dir = %dir.display(), partitions, ms, "log opened in {ms} ms: {}", dir.display());
}

/// A batch that nobody was told about was cut off the journal.
pub(crate) fn torn_tail_cut(dir: &Path, bytes: u64) {
    tracing::warn!(dir = %dir.display(), bytes, "cut {bytes} bytes of an unfinished commit off the journal, as after a crash");
}

/// No more appends until the log is opened anew.
pub(crate) fn log_failed(reason: &str) {
    tracing::error!(
        reason,
        "a commit failed and may or may not be on the disk; the log takes no more appends: {reason}"
    );
}

/// There is space again.
pub(crate) fn engine_reopened() {
    tracing::info!("the log's storage engine was opened anew; appends go on");
}

/// Background work failed and is tried again.
pub(crate) fn background_failed(operation: &'static str, reason: &str) {
    tracing::warn!(operation, reason, "could not {operation}: {reason}; it is tried again");
}

/// A line of the Kafka client.
pub(crate) fn kafka_client_said(level: u8, facility: &str, message: &str) {
    // Levels are syslog's: up to 3 is an error, 4 a warning. None of them ends anything by itself. What it thinks of the
    // settings is for us and not for operators.
    if level <= 4 && facility != "CONFWARN" {
        tracing::warn!(facility, "Kafka client: {message}");
    } else {
        tracing::debug!(facility, "Kafka client: {message}");
    }
}

/// Connections to brokers fail.
pub(crate) fn kafka_trouble(reason: &str) {
    tracing::warn!(reason, "trouble with Kafka: {reason}");
}

/// A producer did not get its records through and is replaced by a new one.
pub(crate) fn producer_replaced(lane: &'static str, waiting: usize, reason: &str) {
    counter!("fastn_log_producers_replaced_total", "lane" => lane).increment(1);
    tracing::error!(
        lane,
        waiting,
        reason,
        "the producer of {lane} is replaced: {reason}; {waiting} appends have an unknown outcome"
    );
}

/// Records of a followed partition that no reader of this process has taken yet.
pub(crate) fn lag(topic: &'static str, partition: u32, records: u64) {
    gauge!("fastn_log_lag_records", "topic" => topic, "partition" => partition.to_string()).set(records as f64);
}

/// A followed partition is not where it was.
pub(crate) fn follower_reset(partition: &str, next: u64, start: u64, end: u64) {
    if next > end {
        tracing::error!(
            partition,
            next,
            end,
            "{partition} ends at {end}, before {next} that was read: acknowledged records are lost, or the topic was made anew"
        );
    } else {
        tracing::warn!(partition, next, start, "{partition} was trimmed to {start}, past {next} where it was followed");
    }
}

/// This process owns partitions that it did not own before.
pub(crate) fn assigned(group: &str, partitions: &[u32]) {
    tracing::info!(group, ?partitions, "{group}: given partitions {partitions:?}");
}

/// This process owns partitions no more.
pub(crate) fn revoked(group: &str, partitions: &[u32], lost: bool) {
    let how = if lost { "lost" } else { "handed over" };
    tracing::info!(group, ?partitions, lost, "{group}: {how} partitions {partitions:?}");
}

/// Another process has the name of this one.
pub(crate) fn shut_out(group: &str, reason: &str) {
    tracing::error!(
        group,
        reason,
        "{group}: this process is out of the group for good: {reason}. Two processes must not have the same node name; \
         give each its own and restart this one"
    );
}

/// The log is open on Kafka.
pub(crate) fn kafka_opened(brokers: &str, partitions: u32, since: Instant) {
    let ms = since.elapsed().as_millis();
    tracing::info!(brokers, partitions, ms, "log opened in {ms} ms on Kafka: {brokers}");
}

/// The cluster is not as safe as it could be.
pub(crate) fn kafka_finding(finding: &str) {
    tracing::warn!(finding, "Kafka: {finding}");
}

/// Every schema has its id of the registry.
pub(crate) fn schemas_registered(registry: &str, schemas: usize, since: Instant) {
    let ms = since.elapsed().as_millis();
    tracing::info!(registry, schemas, ms, "{schemas} schemas are registered at {registry}");
}

/// The registry is away; the ids are known from before.
pub(crate) fn registry_away_at_start(registry: &str, reason: &str) {
    tracing::warn!(
        registry,
        reason,
        "the schema registry {registry} does not answer; started with the ids known from before"
    );
}

/// A schema of another version of fastn was looked up.
pub(crate) fn schema_learned(id: u32) {
    counter!("fastn_registry_lookups_total", "outcome" => "found").increment(1);
    tracing::info!(id, "learned schema {id}, which another version of fastn registered");
}

/// A schema could not be looked up; the read is tried again.
pub(crate) fn lookup_failed(id: u32, reason: &dyn std::fmt::Display) {
    counter!("fastn_registry_lookups_total", "outcome" => "failed").increment(1);
    tracing::warn!(id, %reason, "could not look up schema {id}: {reason}; records written with it wait");
}

/// What was learned could not be kept.
pub(crate) fn ids_not_kept(path: &Path, error: &std::io::Error) {
    tracing::warn!(path = %path.display(), %error, "could not keep the registry's ids in {}: {error}", path.display());
}

/// Our clock and the brokers', compared.
pub(crate) fn clock_skew(skew_ms: i64, tell: bool) {
    gauge!("fastn_log_clock_skew_seconds").set(skew_ms as f64 / 1_000.0);
    if tell {
        tracing::warn!(skew_ms, "the brokers' clock differs from ours by {skew_ms} ms; set both by NTP");
    }
}
