//! Resources, their change feed, and remembered answers, in `config.db`.

use fastn_contract::page::Page;
use fastn_domain::catalog::{ResourceKind, ResourceRow};
use fastn_domain::ids::AccountId;
use fastn_domain::scope::Reach;
use fastn_domain::time::Timestamp;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row as _, Sqlite, SqlitePool, Transaction};

use super::error::database;
use crate::cursor;
use crate::read::page_limit;
use crate::read::row::{customer, read_label_error};
use crate::resource::{CHANGES_MAX, IDEMPOTENCY_TTL_US, changed, name, owner};
use crate::seam::{PageRequest, RememberedAnswer, ResourceWrite, StoreError, StoreResult};

const ONE: &str = "SELECT kind, account, customer, id, revision, version, created, updated, deleted, body \
    FROM resources WHERE kind = $1 AND account = $2 AND id = $3";

const ONE_WITHIN: &str = "SELECT kind, account, customer, id, revision, version, created, updated, deleted, body \
    FROM resources WHERE kind = $1 AND account = $2 AND id = $3 AND deleted = FALSE \
    AND ($4 IS NULL OR customer IS NULL OR customer = $4)";

const LIST: &str = "SELECT kind, account, customer, id, revision, version, created, updated, deleted, body \
    FROM resources WHERE kind = $1 AND account = $2 AND id > $3 AND deleted = FALSE \
    AND ($4 IS NULL OR customer IS NULL OR customer = $4) ORDER BY id LIMIT $5";

const CHANGES: &str = "SELECT kind, account, customer, id, revision, version, created, updated, deleted, body \
    FROM resources WHERE revision > $1 ORDER BY revision LIMIT $2";

const PUT: &str = "INSERT INTO resources \
    (kind, account, customer, id, revision, version, created, updated, deleted, body) \
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT (kind, account, id) DO UPDATE SET \
    customer = excluded.customer, revision = excluded.revision, version = excluded.version, \
    created = excluded.created, updated = excluded.updated, deleted = excluded.deleted, body = excluded.body";

const PUT_CHANGE: &str = "INSERT INTO resource_changes \
    (revision, kind, account, customer, id, version, at, deleted, body) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";

pub(super) async fn newest_revision(pool: &SqlitePool) -> StoreResult<u64> {
    let newest: i64 = sqlx::query_scalar("SELECT COALESCE(MAX(revision), 0) FROM resources")
        .fetch_one(pool)
        .await
        .map_err(|error| database("read revision of", "resources", error))?;
    Ok(newest.cast_unsigned())
}

pub(super) async fn write(
    pool: &SqlitePool,
    account: &AccountId,
    writes: Vec<ResourceWrite>,
    now: Timestamp,
) -> StoreResult<Vec<ResourceRow>> {
    let failed = |error| database("write resources of", account.as_str(), error);
    let mut tx = pool.begin_with("BEGIN IMMEDIATE").await.map_err(failed)?;
    let newest: i64 = sqlx::query_scalar("SELECT COALESCE(MAX(revision), 0) FROM resources")
        .fetch_one(&mut *tx)
        .await
        .map_err(failed)?;
    let mut revision = newest.cast_unsigned();
    let mut rows = Vec::with_capacity(writes.len());
    for write in writes {
        let found = current(&mut tx, account, &write).await?;
        let row = changed(account, found, write, revision + 1, now)?;
        if row.revision > revision {
            put(&mut tx, &row).await?;
            revision = row.revision;
        }
        rows.push(row);
    }
    tx.commit().await.map_err(failed)?;
    Ok(rows)
}

async fn current(
    tx: &mut Transaction<'static, Sqlite>,
    account: &AccountId,
    write: &ResourceWrite,
) -> StoreResult<Option<ResourceRow>> {
    let row = sqlx::query(ONE)
        .bind(write.kind.as_str())
        .bind(account.as_str())
        .bind(&write.id)
        .fetch_optional(&mut **tx)
        .await
        .map_err(|error| database("read", name(write.kind, &write.id), error))?;
    row.map(|row| resource_row(&row)).transpose()
}

async fn put(tx: &mut Transaction<'static, Sqlite>, row: &ResourceRow) -> StoreResult<()> {
    let failed = |error| database("write", name(row.kind, &row.id), error);
    let customer = row.customer.as_ref().map(|customer| customer.as_str());
    let (revision, version) = (row.revision.cast_signed(), row.version.cast_signed());
    sqlx::query(PUT)
        .bind(row.kind.as_str())
        .bind(row.account.as_str())
        .bind(customer)
        .bind(&row.id)
        .bind(revision)
        .bind(version)
        .bind(row.created.0)
        .bind(row.updated.0)
        .bind(row.deleted)
        .bind(&row.body)
        .execute(&mut **tx)
        .await
        .map_err(failed)?;
    sqlx::query(PUT_CHANGE)
        .bind(revision)
        .bind(row.kind.as_str())
        .bind(row.account.as_str())
        .bind(customer)
        .bind(&row.id)
        .bind(version)
        .bind(row.updated.0)
        .bind(row.deleted)
        .bind((!row.kind.is_secret()).then_some(&row.body))
        .execute(&mut **tx)
        .await
        .map_err(failed)?;
    Ok(())
}

pub(super) async fn resource(
    pool: &SqlitePool,
    reach: &Reach,
    kind: ResourceKind,
    id: &str,
) -> StoreResult<Option<ResourceRow>> {
    let row = sqlx::query(ONE_WITHIN)
        .bind(kind.as_str())
        .bind(reach.account().as_str())
        .bind(id)
        .bind(reach.customer().map(|customer| customer.as_str()))
        .fetch_optional(pool)
        .await
        .map_err(|error| database("read", name(kind, id), error))?;
    row.map(|row| resource_row(&row)).transpose()
}

pub(super) async fn resources(
    pool: &SqlitePool,
    reach: &Reach,
    kind: ResourceKind,
    page: &PageRequest,
) -> StoreResult<Page<ResourceRow>> {
    let list = kind.as_str();
    let after = page.cursor.as_deref().map(|text| cursor::decode_id(list, text)).transpose()?;
    let limit = page_limit(page);
    let rows = sqlx::query(LIST)
        .bind(list)
        .bind(reach.account().as_str())
        .bind(after.unwrap_or_default())
        .bind(reach.customer().map(|customer| customer.as_str()))
        .bind(limit + 1)
        .fetch_all(pool)
        .await
        .map_err(|error| database("list resources of kind", list, error))?;
    let more = rows.len() as i64 > limit;
    let items: Vec<_> = rows.iter().take(limit as usize).map(resource_row).collect::<StoreResult<_>>()?;
    let next_cursor = items.last().filter(|_| more).map(|row| cursor::encode_id(list, &row.id));
    Ok(Page { items, next_cursor })
}

pub(super) async fn changes(pool: &SqlitePool, after: u64, limit: u32) -> StoreResult<Vec<ResourceRow>> {
    let rows = sqlx::query(CHANGES)
        .bind(after.cast_signed())
        .bind(i64::from(limit.min(CHANGES_MAX)))
        .fetch_all(pool)
        .await
        .map_err(|error| database("read changes after", after.to_string(), error))?;
    rows.iter().map(resource_row).collect()
}

fn resource_row(row: &SqliteRow) -> StoreResult<ResourceRow> {
    let read = |error| database("read a row of", "resources", error);
    let kind: &str = row.try_get(0).map_err(read)?;
    let account: &str = row.try_get(1).map_err(read)?;
    let number = |column: usize| row.try_get::<i64, _>(column).map_err(read);
    Ok(ResourceRow {
        kind: ResourceKind::parse(kind).ok_or_else(|| unreadable("kind", kind))?,
        account: AccountId::new(account).map_err(|_| unreadable("account", account))?,
        customer: customer(row.try_get(2).map_err(read)?)?,
        id: row.try_get(3).map_err(read)?,
        revision: number(4)?.cast_unsigned(),
        version: number(5)?.cast_unsigned(),
        created: Timestamp(number(6)?),
        updated: Timestamp(number(7)?),
        deleted: row.try_get(8).map_err(read)?,
        body: row.try_get(9).map_err(read)?,
    })
}

fn unreadable(column: &'static str, text: &str) -> StoreError {
    read_label_error("resources", column, text)
}

pub(super) async fn remember(
    pool: &SqlitePool,
    reach: &Reach,
    key: &str,
    answer: RememberedAnswer,
    now: Timestamp,
) -> StoreResult<Option<RememberedAnswer>> {
    let failed = |error| database("remember the answer of", "an idempotency key", error);
    let mut tx = pool.begin_with("BEGIN IMMEDIATE").await.map_err(failed)?;
    sqlx::query("DELETE FROM idempotency WHERE created <= $1")
        .bind(now.0 - IDEMPOTENCY_TTL_US)
        .execute(&mut *tx)
        .await
        .map_err(failed)?;
    let kept = sqlx::query(
        "INSERT INTO idempotency (account, customer, key, fingerprint, status, body, created) \
         VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (account, customer, key) DO NOTHING",
    )
    .bind(reach.account().as_str())
    .bind(owner(reach))
    .bind(key)
    .bind(answer.fingerprint)
    .bind(i64::from(answer.status))
    .bind(answer.body)
    .bind(now.0)
    .execute(&mut *tx)
    .await
    .map_err(failed)?;
    let there = if kept.rows_affected() == 0 { answer_of(&mut *tx, reach, key, now).await? } else { None };
    tx.commit().await.map_err(failed)?;
    Ok(there)
}

pub(super) async fn recall(
    pool: &SqlitePool,
    reach: &Reach,
    key: &str,
    now: Timestamp,
) -> StoreResult<Option<RememberedAnswer>> {
    answer_of(pool, reach, key, now).await
}

async fn answer_of<'e>(
    from: impl sqlx::Executor<'e, Database = Sqlite>,
    reach: &Reach,
    key: &str,
    now: Timestamp,
) -> StoreResult<Option<RememberedAnswer>> {
    let failed = |error| database("recall the answer of", "an idempotency key", error);
    let row = sqlx::query(
        "SELECT fingerprint, status, body FROM idempotency \
         WHERE account = $1 AND customer = $2 AND key = $3 AND created > $4",
    )
    .bind(reach.account().as_str())
    .bind(owner(reach))
    .bind(key)
    .bind(now.0 - IDEMPOTENCY_TTL_US)
    .fetch_optional(from)
    .await
    .map_err(failed)?;
    let Some(row) = row else { return Ok(None) };
    let status: i64 = row.try_get(1).map_err(failed)?;
    Ok(Some(RememberedAnswer {
        fingerprint: row.try_get(0).map_err(failed)?,
        status: u16::try_from(status).map_err(|_| unreadable("status", &status.to_string()))?,
        body: row.try_get(2).map_err(failed)?,
    }))
}
