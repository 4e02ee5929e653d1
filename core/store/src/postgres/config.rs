//! Resources, their change feed, and remembered answers.

use fastn_contract::page::Page;
use fastn_domain::catalog::{ResourceKind, ResourceRow};
use fastn_domain::ids::AccountId;
use fastn_domain::scope::Reach;
use fastn_domain::time::Timestamp;
use sqlx::{PgConnection, PgPool};

use super::error::database;
use super::listen::CHANNEL;
use super::scoped::{Bound, Scoped};
use crate::cursor;
use crate::read::page_limit;
use crate::read::row::{customer, read_label_error};
use crate::resource::{CHANGES_MAX, IDEMPOTENCY_TTL_US, changed, name, owner};
use crate::seam::{PageRequest, RememberedAnswer, ResourceWrite, StoreError, StoreResult};

/// The columns of a resource as they are stored.
struct Stored {
    kind: String,
    account: String,
    customer: Option<String>,
    id: String,
    revision: i64,
    version: i64,
    created: i64,
    updated: i64,
    deleted: bool,
    body: String,
}

impl Stored {
    fn row(self) -> StoreResult<ResourceRow> {
        Ok(ResourceRow {
            kind: ResourceKind::parse(&self.kind).ok_or_else(|| unreadable("kind", &self.kind))?,
            account: AccountId::new(&self.account).map_err(|_| unreadable("account", &self.account))?,
            customer: customer(self.customer.as_deref())?,
            id: self.id,
            revision: self.revision.cast_unsigned(),
            version: self.version.cast_unsigned(),
            created: Timestamp(self.created),
            updated: Timestamp(self.updated),
            deleted: self.deleted,
            body: self.body,
        })
    }
}

fn unreadable(column: &'static str, text: &str) -> StoreError {
    read_label_error("resources", column, text)
}

/// The revision is drawn from one row that is locked until the commit, so that the feed shows revisions in their order.
pub(super) async fn write(
    pool: &PgPool,
    account: &AccountId,
    writes: Vec<ResourceWrite>,
    now: Timestamp,
) -> StoreResult<Vec<ResourceRow>> {
    let operation = "write resources of";
    let failed = |error| database(operation, account.as_str(), error);
    let mut tx = Scoped::begin(pool, Bound::Account(account), operation).await?;
    let newest =
        sqlx::query_scalar!("SELECT revision FROM feed FOR UPDATE").fetch_one(&mut *tx.0).await.map_err(failed)?;
    let mut revision = newest.cast_unsigned();
    let mut rows = Vec::with_capacity(writes.len());
    for write in writes {
        let found = current(&mut tx.0, account, &write).await?;
        let row = changed(account, found, write, revision + 1, now)?;
        if row.revision > revision {
            put(&mut tx.0, &row).await?;
            revision = row.revision;
        }
        rows.push(row);
    }
    if revision.cast_signed() > newest {
        let newest = revision.cast_signed();
        sqlx::query!("UPDATE feed SET revision = $1", newest).execute(&mut *tx.0).await.map_err(failed)?;
        // Heard by others once this is committed, and not before.
        sqlx::query!("SELECT pg_notify($1, $2) AS sent", CHANNEL, newest.to_string())
            .execute(&mut *tx.0)
            .await
            .map_err(failed)?;
    }
    tx.commit(operation, account.as_str()).await?;
    Ok(rows)
}

async fn current(
    tx: &mut PgConnection,
    account: &AccountId,
    write: &ResourceWrite,
) -> StoreResult<Option<ResourceRow>> {
    let row = sqlx::query_as!(
        Stored,
        "SELECT kind, account, customer, id, revision, version, created, updated, deleted, body \
         FROM resources WHERE kind = $1 AND account = $2 AND id = $3",
        write.kind.as_str(),
        account.as_str(),
        write.id
    )
    .fetch_optional(tx)
    .await
    .map_err(|error| database("read", name(write.kind, &write.id), error))?;
    row.map(Stored::row).transpose()
}

async fn put(tx: &mut PgConnection, row: &ResourceRow) -> StoreResult<()> {
    let failed = |error| database("write", name(row.kind, &row.id), error);
    let customer = row.customer.as_ref().map(|customer| customer.as_str());
    let (revision, version) = (row.revision.cast_signed(), row.version.cast_signed());
    sqlx::query!(
        "INSERT INTO resources (kind, account, customer, id, revision, version, created, updated, deleted, body) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT (kind, account, id) DO UPDATE SET \
         customer = excluded.customer, revision = excluded.revision, version = excluded.version, \
         created = excluded.created, updated = excluded.updated, deleted = excluded.deleted, body = excluded.body",
        row.kind.as_str(),
        row.account.as_str(),
        customer,
        row.id,
        revision,
        version,
        row.created.0,
        row.updated.0,
        row.deleted,
        row.body
    )
    .execute(&mut *tx)
    .await
    .map_err(failed)?;
    let body = (!row.kind.is_secret()).then_some(row.body.as_str());
    sqlx::query!(
        "INSERT INTO resource_changes (revision, kind, account, customer, id, version, at, deleted, body) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        revision,
        row.kind.as_str(),
        row.account.as_str(),
        customer,
        row.id,
        version,
        row.updated.0,
        row.deleted,
        body
    )
    .execute(&mut *tx)
    .await
    .map_err(failed)?;
    Ok(())
}

pub(super) async fn resource(
    pool: &PgPool,
    reach: &Reach,
    kind: ResourceKind,
    id: &str,
) -> StoreResult<Option<ResourceRow>> {
    let mut tx = Scoped::begin(pool, Bound::Reach(reach), "read").await?;
    let row = sqlx::query_as!(
        Stored,
        "SELECT kind, account, customer, id, revision, version, created, updated, deleted, body \
         FROM resources WHERE kind = $1 AND account = $2 AND id = $3 AND deleted = FALSE \
         AND ($4::TEXT IS NULL OR customer IS NULL OR customer = $4)",
        kind.as_str(),
        reach.account().as_str(),
        id,
        reach.customer().map(|customer| customer.as_str())
    )
    .fetch_optional(&mut *tx.0)
    .await
    .map_err(|error| database("read", name(kind, id), error))?;
    tx.commit("read", kind.as_str()).await?;
    row.map(Stored::row).transpose()
}

pub(super) async fn resources(
    pool: &PgPool,
    reach: &Reach,
    kind: ResourceKind,
    page: &PageRequest,
) -> StoreResult<Page<ResourceRow>> {
    let operation = "list resources of kind";
    let list = kind.as_str();
    let after = page.cursor.as_deref().map(|text| cursor::decode_id(list, text)).transpose()?;
    let limit = page_limit(page);
    let mut tx = Scoped::begin(pool, Bound::Reach(reach), operation).await?;
    let rows = sqlx::query_as!(
        Stored,
        "SELECT kind, account, customer, id, revision, version, created, updated, deleted, body \
         FROM resources WHERE kind = $1 AND account = $2 AND id > $3 AND deleted = FALSE \
         AND ($4::TEXT IS NULL OR customer IS NULL OR customer = $4) ORDER BY id LIMIT $5",
        list,
        reach.account().as_str(),
        after.unwrap_or_default(),
        reach.customer().map(|customer| customer.as_str()),
        limit + 1
    )
    .fetch_all(&mut *tx.0)
    .await
    .map_err(|error| database(operation, list, error))?;
    tx.commit(operation, list).await?;
    let more = rows.len() as i64 > limit;
    let items: Vec<_> = rows.into_iter().take(limit as usize).map(Stored::row).collect::<StoreResult<_>>()?;
    let next_cursor = items.last().filter(|_| more).map(|row| cursor::encode_id(list, &row.id));
    Ok(Page { items, next_cursor })
}

pub(super) async fn changes(pool: &PgPool, after: u64, limit: u32) -> StoreResult<Vec<ResourceRow>> {
    let operation = "read changes after";
    let mut tx = Scoped::begin(pool, Bound::Node, operation).await?;
    let rows = sqlx::query_as!(
        Stored,
        "SELECT kind, account, customer, id, revision, version, created, updated, deleted, body \
         FROM resources WHERE revision > $1 ORDER BY revision LIMIT $2",
        after.cast_signed(),
        i64::from(limit.min(CHANGES_MAX))
    )
    .fetch_all(&mut *tx.0)
    .await
    .map_err(|error| database(operation, after.to_string(), error))?;
    tx.commit(operation, "the feed").await?;
    rows.into_iter().map(Stored::row).collect()
}

pub(super) async fn remember(
    pool: &PgPool,
    reach: &Reach,
    key: &str,
    answer: RememberedAnswer,
    now: Timestamp,
) -> StoreResult<Option<RememberedAnswer>> {
    let operation = "remember the answer of";
    let context = "an idempotency key";
    let mut tx = Scoped::begin(pool, Bound::Reach(reach), operation).await?;
    // One that is too old counts as not there.
    let kept = sqlx::query!(
        "INSERT INTO idempotency (account, customer, key, fingerprint, status, body, created) \
         VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (account, customer, key) DO UPDATE SET \
         fingerprint = excluded.fingerprint, status = excluded.status, body = excluded.body, \
         created = excluded.created WHERE idempotency.created <= $8",
        reach.account().as_str(),
        owner(reach),
        key,
        answer.fingerprint,
        i64::from(answer.status),
        answer.body,
        now.0,
        now.0 - IDEMPOTENCY_TTL_US
    )
    .execute(&mut *tx.0)
    .await
    .map_err(|error| database(operation, context, error))?;
    let there = if kept.rows_affected() == 0 { answer_of(&mut tx.0, reach, key, now).await? } else { None };
    tx.commit(operation, context).await?;
    Ok(there)
}

pub(super) async fn recall(
    pool: &PgPool,
    reach: &Reach,
    key: &str,
    now: Timestamp,
) -> StoreResult<Option<RememberedAnswer>> {
    let mut tx = Scoped::begin(pool, Bound::Reach(reach), "recall the answer of").await?;
    let answer = answer_of(&mut tx.0, reach, key, now).await?;
    tx.commit("recall the answer of", "an idempotency key").await?;
    Ok(answer)
}

async fn answer_of(
    tx: &mut PgConnection,
    reach: &Reach,
    key: &str,
    now: Timestamp,
) -> StoreResult<Option<RememberedAnswer>> {
    let row = sqlx::query!(
        "SELECT fingerprint, status, body FROM idempotency \
         WHERE account = $1 AND customer = $2 AND key = $3 AND created > $4",
        reach.account().as_str(),
        owner(reach),
        key,
        now.0 - IDEMPOTENCY_TTL_US
    )
    .fetch_optional(tx)
    .await
    .map_err(|error| database("recall the answer of", "an idempotency key", error))?;
    let Some(row) = row else { return Ok(None) };
    Ok(Some(RememberedAnswer {
        fingerprint: row.fingerprint,
        status: u16::try_from(row.status).map_err(|_| unreadable("status", &row.status.to_string()))?,
        body: row.body,
    }))
}

/// The newest revision of any account.
pub(super) async fn newest_revision(pool: &PgPool) -> StoreResult<u64> {
    let newest = sqlx::query_scalar!("SELECT revision FROM feed").fetch_one(pool).await;
    newest.map(i64::cast_unsigned).map_err(|error| database("read revision of", "resources", error))
}
