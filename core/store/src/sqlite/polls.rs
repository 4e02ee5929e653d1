//! Polls, in `config.db`: a snapshot cannot be made anew from the log.

use async_trait::async_trait;
use fastn_contract::page::Page;
use fastn_domain::ids::{AccountId, CustomerId, TriggerId};
use fastn_domain::scope::{Reach, Scope};
use fastn_domain::time::Timestamp;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row as _, Sqlite, Transaction};

use super::SqliteStore;
use super::error::database;
use crate::cursor;
use crate::observe;
use crate::polls::{LIST, LeasedPoll, PollRow, PollSave, Polls, overtaken};
use crate::read::page_limit;
use crate::read::row::read_label_error;
use crate::seam::{PageRequest, StoreError, StoreResult};

const BEGIN: &str = "INSERT INTO polls \
    (account, customer, trigger_id, generation, next_at, lease_holder, lease_until, body) \
    VALUES ($1, $2, $3, $4, $5, '', 0, '') ON CONFLICT (account, trigger_id, customer) DO NOTHING";

const DUE: &str = "SELECT account, customer, trigger_id FROM polls \
    WHERE next_at <= $1 AND lease_until <= $1 ORDER BY next_at LIMIT $2";

const LEASE: &str = "UPDATE polls SET lease_holder = $4, lease_until = $6 \
    WHERE account = $1 AND customer = $2 AND trigger_id = $3 AND next_at <= $5 AND lease_until <= $5 \
    RETURNING generation, body, outbox";

const CHUNKS: &str = "SELECT chunk, body FROM poll_chunks \
    WHERE account = $1 AND customer = $2 AND trigger_id = $3 ORDER BY chunk";

const SAVE: &str = "UPDATE polls SET generation = generation + 1, next_at = $4, lease_until = $5, body = $6, outbox = $7 \
    WHERE account = $1 AND customer = $2 AND trigger_id = $3 AND generation = $8 AND lease_holder = $9";

const DELETE_CHUNKS: &str = "DELETE FROM poll_chunks WHERE account = $1 AND customer = $2 AND trigger_id = $3";

const DELETE_CHUNK: &str =
    "DELETE FROM poll_chunks WHERE account = $1 AND customer = $2 AND trigger_id = $3 AND chunk = $4";

const PUT_CHUNK: &str = "INSERT INTO poll_chunks (account, customer, trigger_id, chunk, body) VALUES ($1, $2, $3, $4, $5) \
    ON CONFLICT (account, trigger_id, customer, chunk) DO UPDATE SET body = excluded.body";

const ROWS: &str = "SELECT customer, body, next_at, lease_until FROM polls WHERE account = $1 AND trigger_id = $2 \
    AND ($3 IS NULL OR customer = $3) AND customer > $4 ORDER BY customer LIMIT $5";

const HASTEN: &str = "UPDATE polls SET next_at = MIN(next_at, $4) \
    WHERE account = $1 AND trigger_id = $2 AND ($3 IS NULL OR customer = $3)";

const RESET: &str = "UPDATE polls SET generation = generation + 1, next_at = $4, lease_holder = '', lease_until = 0, \
    body = '' WHERE account = $1 AND trigger_id = $2 AND ($3 IS NULL OR customer = $3)";

const RESET_CHUNKS: &str =
    "DELETE FROM poll_chunks WHERE account = $1 AND trigger_id = $2 AND ($3 IS NULL OR customer = $3)";

fn failed(operation: &'static str, trigger: &TriggerId) -> impl Fn(sqlx::Error) -> StoreError {
    move |error| database(operation, trigger.as_str(), error)
}

fn unreadable(column: &'static str, text: &str) -> StoreError {
    read_label_error("polls", column, text)
}

#[async_trait]
impl Polls for SqliteStore {
    async fn begin(&self, scope: &Scope, trigger: &TriggerId, at: Timestamp) -> StoreResult<()> {
        let query = sqlx::query(BEGIN)
            .bind(scope.account.as_str())
            .bind(scope.customer.as_str())
            .bind(trigger.as_str())
            .bind(at.as_millis())
            .bind(at.0);
        let failed = failed("begin poll of", trigger);
        observe::timed("begin_poll", async { query.execute(&self.config_writer).await.map(drop).map_err(failed) }).await
    }

    async fn due(&self, now: Timestamp, limit: u32) -> StoreResult<Vec<(Scope, TriggerId)>> {
        observe::timed("due_polls", async {
            let failed = |error| database("list due", "polls", error);
            let query = sqlx::query(DUE).bind(now.0).bind(i64::from(limit));
            let rows = query.fetch_all(&self.config_readers).await.map_err(failed)?;
            rows.iter().map(due_row).collect()
        })
        .await
    }

    async fn lease(
        &self,
        scope: &Scope,
        trigger: &TriggerId,
        holder: &str,
        now: Timestamp,
        until: Timestamp,
    ) -> StoreResult<Option<LeasedPoll>> {
        observe::timed("lease_poll", async {
            let failed = failed("lease poll of", trigger);
            let row = sqlx::query(LEASE)
                .bind(scope.account.as_str())
                .bind(scope.customer.as_str())
                .bind(trigger.as_str())
                .bind(holder)
                .bind(now.0)
                .bind(until.0)
                .fetch_optional(&self.config_writer)
                .await
                .map_err(&failed)?;
            let Some(row) = row else { return Ok(None) };
            Ok(Some(LeasedPoll {
                generation: row.try_get::<i64, _>(0).map_err(&failed)?.cast_unsigned(),
                body: row.try_get(1).map_err(&failed)?,
                outbox: row.try_get(2).map_err(&failed)?,
            }))
        })
        .await
    }

    async fn chunks(&self, scope: &Scope, trigger: &TriggerId) -> StoreResult<Vec<(u32, Vec<u8>)>> {
        observe::timed("poll_chunks", async {
            let failed = failed("read snapshot of", trigger);
            let rows = sqlx::query(CHUNKS)
                .bind(scope.account.as_str())
                .bind(scope.customer.as_str())
                .bind(trigger.as_str())
                .fetch_all(&self.config_readers)
                .await
                .map_err(&failed)?;
            let chunk = |row: &SqliteRow| {
                let at: i64 = row.try_get(0).map_err(&failed)?;
                let at = u32::try_from(at).map_err(|_| unreadable("chunk", &at.to_string()))?;
                Ok((at, row.try_get(1).map_err(&failed)?))
            };
            rows.iter().map(chunk).collect()
        })
        .await
    }

    async fn save(&self, scope: &Scope, trigger: &TriggerId, holder: &str, save: PollSave) -> StoreResult<()> {
        observe::timed("save_poll", async {
            let failed = failed("save poll of", trigger);
            let mut tx = self.config_writer.begin_with("BEGIN IMMEDIATE").await.map_err(&failed)?;
            let saved = sqlx::query(SAVE)
                .bind(scope.account.as_str())
                .bind(scope.customer.as_str())
                .bind(trigger.as_str())
                .bind(save.next_at.0)
                .bind(save.lease_until.unwrap_or_default().0)
                .bind(&save.body)
                .bind(&save.outbox)
                .bind(save.generation.cast_signed())
                .bind(holder)
                .execute(&mut *tx)
                .await
                .map_err(&failed)?;
            if saved.rows_affected() == 0 {
                return Err(overtaken(trigger));
            }
            put_chunks(&mut tx, scope, trigger, &save).await.map_err(&failed)?;
            tx.commit().await.map_err(&failed)
        })
        .await
    }

    async fn list(&self, reach: &Reach, trigger: &TriggerId, page: &PageRequest) -> StoreResult<Page<PollRow>> {
        observe::timed("polls", async {
            let failed = failed("list polls of", trigger);
            let after = page.cursor.as_deref().map(|text| cursor::decode_id(LIST, text)).transpose()?;
            let limit = page_limit(page);
            let rows = sqlx::query(ROWS)
                .bind(reach.account().as_str())
                .bind(trigger.as_str())
                .bind(reach.customer().map(|customer| customer.as_str()))
                .bind(after.unwrap_or_default())
                .bind(limit + 1)
                .fetch_all(&self.config_readers)
                .await
                .map_err(&failed)?;
            let more = rows.len() as i64 > limit;
            let row = |row: &SqliteRow| {
                let customer: &str = row.try_get(0).map_err(&failed)?;
                Ok(PollRow {
                    customer: CustomerId::new(customer).map_err(|_| unreadable("customer", customer))?,
                    body: row.try_get(1).map_err(&failed)?,
                    next_at: Timestamp(row.try_get(2).map_err(&failed)?),
                    lease_until: Timestamp(row.try_get(3).map_err(&failed)?),
                })
            };
            let items: Vec<PollRow> = rows.iter().take(limit as usize).map(row).collect::<StoreResult<_>>()?;
            let next_cursor = items.last().filter(|_| more).map(|row| cursor::encode_id(LIST, row.customer.as_str()));
            Ok(Page { items, next_cursor })
        })
        .await
    }

    async fn hasten(&self, reach: &Reach, trigger: &TriggerId, at: Timestamp) -> StoreResult<u32> {
        observe::timed("hasten_polls", async {
            let query = sqlx::query(HASTEN)
                .bind(reach.account().as_str())
                .bind(trigger.as_str())
                .bind(reach.customer().map(|customer| customer.as_str()))
                .bind(at.0);
            let done = query.execute(&self.config_writer).await.map_err(failed("hasten polls of", trigger))?;
            Ok(u32::try_from(done.rows_affected()).unwrap_or(u32::MAX))
        })
        .await
    }

    async fn reset(&self, reach: &Reach, trigger: &TriggerId, at: Timestamp) -> StoreResult<u32> {
        observe::timed("reset_polls", async {
            let failed = failed("reset polls of", trigger);
            let (account, customer) = (reach.account().as_str(), reach.customer().map(|customer| customer.as_str()));
            let mut tx = self.config_writer.begin_with("BEGIN IMMEDIATE").await.map_err(&failed)?;
            let query = sqlx::query(RESET).bind(account).bind(trigger.as_str()).bind(customer).bind(at.0);
            let done = query.execute(&mut *tx).await.map_err(&failed)?;
            let query = sqlx::query(RESET_CHUNKS).bind(account).bind(trigger.as_str()).bind(customer);
            query.execute(&mut *tx).await.map_err(&failed)?;
            tx.commit().await.map_err(&failed)?;
            Ok(u32::try_from(done.rows_affected()).unwrap_or(u32::MAX))
        })
        .await
    }

    async fn forget(&self, account: &AccountId, trigger: &TriggerId) -> StoreResult<()> {
        observe::timed("forget_polls", async {
            let failed = failed("forget polls of", trigger);
            let mut tx = self.config_writer.begin_with("BEGIN IMMEDIATE").await.map_err(&failed)?;
            for delete in [
                "DELETE FROM polls WHERE account = $1 AND trigger_id = $2",
                "DELETE FROM poll_chunks WHERE account = $1 AND trigger_id = $2",
            ] {
                let query = sqlx::query(delete).bind(account.as_str()).bind(trigger.as_str());
                query.execute(&mut *tx).await.map_err(&failed)?;
            }
            tx.commit().await.map_err(&failed)
        })
        .await
    }
}

fn due_row(row: &SqliteRow) -> StoreResult<(Scope, TriggerId)> {
    let failed = |error| database("list due", "polls", error);
    let text = |at: usize| row.try_get::<&str, _>(at).map_err(failed);
    let (account, customer, trigger) = (text(0)?, text(1)?, text(2)?);
    let scope = Scope::parse(account, customer).map_err(|_| unreadable("customer", customer))?;
    Ok((scope, TriggerId::new(trigger).map_err(|_| unreadable("trigger_id", trigger))?))
}

async fn put_chunks(
    tx: &mut Transaction<'static, Sqlite>,
    scope: &Scope,
    trigger: &TriggerId,
    save: &PollSave,
) -> Result<(), sqlx::Error> {
    let own = |text: &'static str| {
        sqlx::query(text).bind(scope.account.as_str()).bind(scope.customer.as_str()).bind(trigger.as_str())
    };
    if save.anew {
        own(DELETE_CHUNKS).execute(&mut **tx).await?;
    }
    for (at, bytes) in &save.chunks {
        let at = i64::from(*at);
        match bytes {
            Some(bytes) => own(PUT_CHUNK).bind(at).bind(bytes).execute(&mut **tx).await?,
            None => own(DELETE_CHUNK).bind(at).execute(&mut **tx).await?,
        };
    }
    Ok(())
}
