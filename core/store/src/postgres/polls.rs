//! Polls. Row-level security shows a transaction those of its customer or account, and the node which are due.

use async_trait::async_trait;
use fastn_contract::page::Page;
use fastn_domain::ids::{AccountId, CustomerId, TriggerId};
use fastn_domain::scope::{Reach, Scope};
use fastn_domain::time::Timestamp;

use super::PostgresStore;
use super::error::database;
use super::scoped::{Bound, Scoped};
use crate::cursor;
use crate::polls::{LIST, LeasedPoll, PollRow, PollSave, Polls, overtaken};
use crate::read::page_limit;
use crate::read::row::read_label_error;
use crate::seam::{Outcome, PageRequest, StoreError, StoreResult};

fn failed(operation: &'static str, trigger: &TriggerId) -> impl Fn(sqlx::Error) -> StoreError {
    move |error| database(operation, trigger.as_str(), error)
}

fn unreadable(column: &'static str, text: &str) -> StoreError {
    read_label_error("polls", column, text)
}

impl PostgresStore {
    async fn bound(&self, bound: Bound<'_>, operation: &'static str) -> StoreResult<Scoped> {
        Scoped::begin(self.application.ready().await?, bound, operation).await
    }

    async fn save_now(&self, scope: &Scope, trigger: &TriggerId, holder: &str, save: PollSave) -> StoreResult<()> {
        let operation = "save poll of";
        let failed = failed(operation, trigger);
        let (account, customer, trigger_id) = (scope.account.as_str(), scope.customer.as_str(), trigger.as_str());
        let reach = Reach::Customer(scope.clone());
        let mut tx = self.bound(Bound::Reach(&reach), operation).await?;
        let saved = sqlx::query!(
            "UPDATE polls SET generation = generation + 1, next_at = $4, lease_until = $5, body = $6, outbox = $7 \
             WHERE account = $1 AND customer = $2 AND trigger_id = $3 AND generation = $8 AND lease_holder = $9",
            account,
            customer,
            trigger_id,
            save.next_at.0,
            save.lease_until.unwrap_or_default().0,
            save.body,
            save.outbox,
            save.generation.cast_signed(),
            holder
        )
        .execute(&mut *tx.0)
        .await
        .map_err(&failed)?;
        if saved.rows_affected() == 0 {
            return Err(overtaken(trigger));
        }
        if save.anew {
            sqlx::query!(
                "DELETE FROM poll_chunks WHERE account = $1 AND customer = $2 AND trigger_id = $3",
                account,
                customer,
                trigger_id
            )
            .execute(&mut *tx.0)
            .await
            .map_err(&failed)?;
        }
        let (mut gone, mut places, mut bodies) = (Vec::new(), Vec::new(), Vec::new());
        for (at, bytes) in save.chunks {
            match bytes {
                Some(bytes) => {
                    places.push(i64::from(at));
                    bodies.push(bytes);
                }
                None => gone.push(i64::from(at)),
            }
        }
        if !gone.is_empty() {
            sqlx::query!(
                "DELETE FROM poll_chunks WHERE account = $1 AND customer = $2 AND trigger_id = $3 AND chunk = ANY($4)",
                account,
                customer,
                trigger_id,
                &gone
            )
            .execute(&mut *tx.0)
            .await
            .map_err(&failed)?;
        }
        if !places.is_empty() {
            sqlx::query!(
                "INSERT INTO poll_chunks (account, customer, trigger_id, chunk, body) \
                 SELECT $1, $2, $3, given.chunk, given.body FROM UNNEST($4::BIGINT[], $5::BYTEA[]) AS given (chunk, body) \
                 ON CONFLICT (account, trigger_id, customer, chunk) DO UPDATE SET body = excluded.body",
                account,
                customer,
                trigger_id,
                &places,
                &bodies
            )
            .execute(&mut *tx.0)
            .await
            .map_err(&failed)?;
        }
        tx.commit(operation, trigger_id).await
    }
}

#[async_trait]
impl Polls for PostgresStore {
    async fn begin(&self, scope: &Scope, trigger: &TriggerId, at: Timestamp) -> StoreResult<()> {
        let operation = "begin poll of";
        let work = async {
            let reach = Reach::Customer(scope.clone());
            let mut tx = self.bound(Bound::Reach(&reach), operation).await?;
            sqlx::query!(
                "INSERT INTO polls (account, customer, trigger_id, generation, next_at, lease_holder, lease_until, body) \
                 VALUES ($1, $2, $3, $4, $5, '', 0, '') ON CONFLICT (account, trigger_id, customer) DO NOTHING",
                scope.account.as_str(),
                scope.customer.as_str(),
                trigger.as_str(),
                at.as_millis(),
                at.0
            )
            .execute(&mut *tx.0)
            .await
            .map_err(failed(operation, trigger))?;
            tx.commit(operation, trigger.as_str()).await
        };
        self.run("begin_poll", Outcome::Unknown, work).await
    }

    async fn due(&self, now: Timestamp, limit: u32) -> StoreResult<Vec<(Scope, TriggerId)>> {
        let work = async {
            let mut tx = self.bound(Bound::Node, "list due").await?;
            let rows = sqlx::query!(
                "SELECT account, customer, trigger_id FROM polls WHERE next_at <= $1 AND lease_until <= $1 \
                 ORDER BY next_at LIMIT $2",
                now.0,
                i64::from(limit)
            )
            .fetch_all(&mut *tx.0)
            .await
            .map_err(|error| database("list due", "polls", error))?;
            let row = |(account, customer, trigger): (&str, &str, &str)| {
                let scope = Scope::parse(account, customer).map_err(|_| unreadable("customer", customer))?;
                Ok((scope, TriggerId::new(trigger).map_err(|_| unreadable("trigger_id", trigger))?))
            };
            rows.iter().map(|found| row((&found.account, &found.customer, &found.trigger_id))).collect()
        };
        self.run("due_polls", Outcome::NotDone, work).await
    }

    async fn lease(
        &self,
        scope: &Scope,
        trigger: &TriggerId,
        holder: &str,
        now: Timestamp,
        until: Timestamp,
    ) -> StoreResult<Option<LeasedPoll>> {
        let operation = "lease poll of";
        let work = async {
            let reach = Reach::Customer(scope.clone());
            let mut tx = self.bound(Bound::Reach(&reach), operation).await?;
            let row = sqlx::query!(
                "UPDATE polls SET lease_holder = $4, lease_until = $6 \
                 WHERE account = $1 AND customer = $2 AND trigger_id = $3 AND next_at <= $5 AND lease_until <= $5 \
                 RETURNING generation, body, outbox",
                scope.account.as_str(),
                scope.customer.as_str(),
                trigger.as_str(),
                holder,
                now.0,
                until.0
            )
            .fetch_optional(&mut *tx.0)
            .await
            .map_err(failed(operation, trigger))?;
            tx.commit(operation, trigger.as_str()).await?;
            Ok(row.map(|row| LeasedPoll {
                generation: row.generation.cast_unsigned(),
                body: row.body,
                outbox: row.outbox,
            }))
        };
        self.run("lease_poll", Outcome::Unknown, work).await
    }

    async fn chunks(&self, scope: &Scope, trigger: &TriggerId) -> StoreResult<Vec<(u32, Vec<u8>)>> {
        let operation = "read snapshot of";
        let work = async {
            let reach = Reach::Customer(scope.clone());
            let mut tx = self.bound(Bound::Reach(&reach), operation).await?;
            let rows = sqlx::query!(
                "SELECT chunk, body FROM poll_chunks WHERE account = $1 AND customer = $2 AND trigger_id = $3 \
                 ORDER BY chunk",
                scope.account.as_str(),
                scope.customer.as_str(),
                trigger.as_str()
            )
            .fetch_all(&mut *tx.0)
            .await
            .map_err(failed(operation, trigger))?;
            let at = |chunk: i64| u32::try_from(chunk).map_err(|_| unreadable("chunk", &chunk.to_string()));
            rows.into_iter().map(|row| Ok((at(row.chunk)?, row.body))).collect()
        };
        self.run("poll_chunks", Outcome::NotDone, work).await
    }

    async fn save(&self, scope: &Scope, trigger: &TriggerId, holder: &str, save: PollSave) -> StoreResult<()> {
        self.run("save_poll", Outcome::Unknown, self.save_now(scope, trigger, holder, save)).await
    }

    async fn list(&self, reach: &Reach, trigger: &TriggerId, page: &PageRequest) -> StoreResult<Page<PollRow>> {
        let operation = "list polls of";
        let work = async {
            let after = page.cursor.as_deref().map(|text| cursor::decode_id(LIST, text)).transpose()?;
            let limit = page_limit(page);
            let mut tx = self.bound(Bound::Reach(reach), operation).await?;
            let rows = sqlx::query!(
                "SELECT customer, body, next_at, lease_until FROM polls WHERE account = $1 AND trigger_id = $2 \
                 AND ($3::TEXT IS NULL OR customer = $3) AND customer > $4 ORDER BY customer LIMIT $5",
                reach.account().as_str(),
                trigger.as_str(),
                reach.customer().map(|customer| customer.as_str()),
                after.unwrap_or_default(),
                limit + 1
            )
            .fetch_all(&mut *tx.0)
            .await
            .map_err(failed(operation, trigger))?;
            let more = rows.len() as i64 > limit;
            let mut items = Vec::with_capacity(rows.len());
            for row in rows.into_iter().take(limit as usize) {
                let customer = CustomerId::new(&row.customer).map_err(|_| unreadable("customer", &row.customer))?;
                let (next_at, lease_until) = (Timestamp(row.next_at), Timestamp(row.lease_until));
                items.push(PollRow { customer, body: row.body, next_at, lease_until });
            }
            let last = items.last().filter(|_| more);
            let next_cursor = last.map(|row| cursor::encode_id(LIST, row.customer.as_str()));
            Ok(Page { items, next_cursor })
        };
        self.run("polls", Outcome::NotDone, work).await
    }

    async fn hasten(&self, reach: &Reach, trigger: &TriggerId, at: Timestamp) -> StoreResult<u32> {
        let operation = "hasten polls of";
        let work = async {
            let mut tx = self.bound(Bound::Reach(reach), operation).await?;
            let done = sqlx::query!(
                "UPDATE polls SET next_at = LEAST(next_at, $4) WHERE account = $1 AND trigger_id = $2 \
                 AND ($3::TEXT IS NULL OR customer = $3)",
                reach.account().as_str(),
                trigger.as_str(),
                reach.customer().map(|customer| customer.as_str()),
                at.0
            )
            .execute(&mut *tx.0)
            .await
            .map_err(failed(operation, trigger))?;
            tx.commit(operation, trigger.as_str()).await?;
            Ok(u32::try_from(done.rows_affected()).unwrap_or(u32::MAX))
        };
        self.run("hasten_polls", Outcome::Unknown, work).await
    }

    async fn reset(&self, reach: &Reach, trigger: &TriggerId, at: Timestamp) -> StoreResult<u32> {
        let operation = "reset polls of";
        let work = async {
            let failed = failed(operation, trigger);
            let (account, customer) = (reach.account().as_str(), reach.customer().map(|customer| customer.as_str()));
            let mut tx = self.bound(Bound::Reach(reach), operation).await?;
            let done = sqlx::query!(
                "UPDATE polls SET generation = generation + 1, next_at = $4, lease_holder = '', lease_until = 0, body = '' \
                 WHERE account = $1 AND trigger_id = $2 AND ($3::TEXT IS NULL OR customer = $3)",
                account,
                trigger.as_str(),
                customer,
                at.0
            )
            .execute(&mut *tx.0)
            .await
            .map_err(&failed)?;
            sqlx::query!(
                "DELETE FROM poll_chunks WHERE account = $1 AND trigger_id = $2 AND ($3::TEXT IS NULL OR customer = $3)",
                account,
                trigger.as_str(),
                customer
            )
            .execute(&mut *tx.0)
            .await
            .map_err(&failed)?;
            tx.commit(operation, trigger.as_str()).await?;
            Ok(u32::try_from(done.rows_affected()).unwrap_or(u32::MAX))
        };
        self.run("reset_polls", Outcome::Unknown, work).await
    }

    async fn forget(&self, account: &AccountId, trigger: &TriggerId) -> StoreResult<()> {
        let operation = "forget polls of";
        let work = async {
            let failed = failed(operation, trigger);
            let mut tx = self.bound(Bound::Account(account), operation).await?;
            sqlx::query!(
                "DELETE FROM polls WHERE account = $1 AND trigger_id = $2",
                account.as_str(),
                trigger.as_str()
            )
            .execute(&mut *tx.0)
            .await
            .map_err(&failed)?;
            sqlx::query!(
                "DELETE FROM poll_chunks WHERE account = $1 AND trigger_id = $2",
                account.as_str(),
                trigger.as_str()
            )
            .execute(&mut *tx.0)
            .await
            .map_err(&failed)?;
            tx.commit(operation, trigger.as_str()).await
        };
        self.run("forget_polls", Outcome::Unknown, work).await
    }
}
