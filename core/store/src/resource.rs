//! What a write makes of a resource, whatever the database, and the limits of configuration.

use fastn_domain::catalog::{ResourceKind, ResourceRow};
use fastn_domain::ids::AccountId;
use fastn_domain::scope::Reach;
use fastn_domain::time::Timestamp;

use crate::error::refused;
use crate::seam::{Expect, ResourceWrite, StoreErrorKind, StoreResult};

/// How long an answer is remembered.
pub(crate) const IDEMPOTENCY_TTL_US: i64 = 24 * 3_600 * 1_000_000;
/// Most rows of one read of the feed.
pub(crate) const CHANGES_MAX: u32 = 10_000;

pub(crate) fn name(kind: ResourceKind, id: &str) -> String {
    format!("{} {id}", kind.as_str())
}

/// The row as the write makes it; with its old revision when the write changes nothing.
pub(crate) fn changed(
    account: &AccountId,
    found: Option<ResourceRow>,
    write: ResourceWrite,
    revision: u64,
    now: Timestamp,
) -> StoreResult<ResourceRow> {
    let operation = if write.body.is_some() { "write" } else { "delete" };
    let refuse = |kind, message: String| Err(refused(kind, operation, name(write.kind, &write.id), message));
    let live = found.as_ref().filter(|row| !row.deleted);
    match (write.expect, live) {
        (Expect::New, Some(row)) => {
            return refuse(StoreErrorKind::Conflict, format!("it exists already, at version {}", row.version));
        }
        (Expect::Version(expected), None) => {
            return refuse(StoreErrorKind::NotFound, format!("it does not exist; version {expected} was expected"));
        }
        (Expect::Version(expected), Some(row)) if row.version != expected => {
            let message = format!("it has version {}, not {expected}; read it again", row.version);
            return refuse(StoreErrorKind::Conflict, message);
        }
        _ => {}
    }
    if let Some(row) = live {
        if row.customer != write.customer {
            return refuse(StoreErrorKind::Conflict, "it exists already, and belongs to another customer".to_owned());
        }
        if write.body.as_deref() == Some(row.body.as_str()) {
            return Ok(row.clone());
        }
    }
    let body = match (&write.body, live) {
        (Some(body), _) => body.clone(),
        (None, None) => return refuse(StoreErrorKind::NotFound, "it does not exist".to_owned()),
        // Nothing of a secret is kept; of the others the catalog reads which one it was.
        (None, Some(_)) if write.kind.is_secret() => "{}".to_owned(),
        (None, Some(row)) => row.body.clone(),
    };
    Ok(ResourceRow {
        kind: write.kind,
        account: account.clone(),
        customer: write.customer,
        revision,
        version: found.as_ref().map_or(1, |row| row.version + 1),
        created: live.map_or(now, |row| row.created),
        updated: now,
        deleted: write.body.is_none(),
        id: write.id,
        body,
    })
}

/// Whose an idempotency key is: the customer, or nobody for the account itself.
pub(crate) fn owner(reach: &Reach) -> &str {
    reach.customer().map_or("", |customer| customer.as_str())
}
