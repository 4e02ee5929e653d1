//! What the store tells about itself: one function for each thing that happens.

use std::time::Instant;

use crate::seam::{StoreErrorKind, StoreResult};

/// Runs an operation and records how long it took and how it ended. Operations are the methods of the seam.
pub(crate) async fn timed<T>(operation: &'static str, run: impl Future<Output = StoreResult<T>>) -> StoreResult<T> {
    let started = Instant::now();
    let result = run.await;
    metrics::histogram!("fastn_store_operation_seconds", "operation" => operation)
        .record(started.elapsed().as_secs_f64());
    if let Err(error) = &result {
        metrics::counter!("fastn_store_errors_total", "operation" => operation, "kind" => kind_label(error.kind))
            .increment(1);
    }
    result
}

fn kind_label(kind: StoreErrorKind) -> &'static str {
    match kind {
        StoreErrorKind::NotFound => "not_found",
        StoreErrorKind::Conflict => "conflict",
        StoreErrorKind::BadCursor => "bad_cursor",
        StoreErrorKind::Unavailable => "unavailable",
        StoreErrorKind::Full => "full",
        StoreErrorKind::SchemaNewer => "schema_newer",
        StoreErrorKind::Corrupt => "corrupt",
        StoreErrorKind::Database => "database",
    }
}

/// The catalog in memory is at `revision` now.
pub(crate) fn catalog_followed(revision: u64, rows: usize) {
    metrics::gauge!("fastn_catalog_revision").set(revision as f64);
    metrics::counter!("fastn_catalog_rows_total").increment(rows as u64);
}

/// The feed could not be read; the last catalog stays.
pub(crate) fn catalog_stale(error: &crate::StoreError, failures: u32) {
    metrics::counter!("fastn_catalog_feed_errors_total").increment(1);
    if failures == 1 {
        tracing::warn!(%error, "configuration changes cannot be read; the last known configuration stays in force");
    }
}

/// The feed can be read again.
pub(crate) fn catalog_fresh_again() {
    tracing::info!("configuration changes can be read again");
}

/// A row of the configuration that cannot be used. Told once for each change of it.
pub(crate) fn catalog_row_unusable(error: &fastn_domain::catalog::CatalogError) {
    metrics::counter!("fastn_catalog_unusable_rows_total").increment(1);
    tracing::warn!(%error, "a resource cannot be used until it is changed; everything else stands");
}

/// The partition of a day was looked for: it is there, or its rows stay in the default partition.
pub(crate) fn day_made(table: &'static str, made: bool) {
    let result = if made { "there" } else { "default" };
    metrics::counter!("fastn_store_days_total", "table" => table, "result" => result).increment(1);
}

/// The partition of a day was dropped.
pub(crate) fn day_dropped(table: &'static str, rows: u64) {
    metrics::counter!("fastn_store_days_dropped_total", "table" => table).increment(1);
    tracing::info!(table, rows, "dropped a day of activity that is older than it is kept");
}

/// PostgreSQL does not tell of changes any more; the feed polls.
pub(crate) fn listener_lost(error: &sqlx::Error) {
    metrics::counter!("fastn_store_listener_losses_total").increment(1);
    tracing::warn!(%error, "PostgreSQL can't tell of configuration changes; they are looked for until it can");
}

/// The store was opened while its server is away.
pub(crate) fn server_away(error: &crate::StoreError) {
    tracing::warn!(%error, "PostgreSQL is away; this node starts without it and tries again");
}

/// The store is away at start, and what was last known is in force.
pub(crate) fn catalog_last_known(error: &crate::StoreError, revision: u64, rows: usize) {
    metrics::gauge!("fastn_catalog_revision").set(revision as f64);
    tracing::warn!(%error, revision, rows, "the store is away; this node starts with the configuration it last knew");
}

/// The file of what was last known can't be used.
pub(crate) fn last_known_unreadable(error: &std::io::Error) {
    tracing::warn!(%error, "the file of the last known configuration can't be used");
}

/// The file of what was last known can't be written.
pub(crate) fn last_known_unwritable(error: &std::io::Error) {
    metrics::counter!("fastn_catalog_last_known_errors_total").increment(1);
    tracing::warn!(%error, "the last known configuration can't be written; this node could not start without its store");
}
