//! The one way to a transaction: bound to whom it serves. Row-level security shows it nothing else.

use async_trait::async_trait;
use fastn_domain::ids::AccountId;
use fastn_domain::scope::Reach;
use sqlx::postgres::PgRow;
use sqlx::{PgPool, Postgres, Row as _, Transaction};

use super::error::{commit, database};
use super::text::clean;
use crate::read::{Cells, Reader, Select, Value};
use crate::seam::StoreResult;

/// Whom a transaction of the application role serves.
pub(super) enum Bound<'a> {
    /// A reader.
    Reach(&'a Reach),
    /// An account that writes its configuration.
    Account(&'a AccountId),
    /// The node itself: every account's resources, to read. For the feed only.
    Node,
}

/// A transaction that ends with [`Scoped::commit`] or changes nothing.
pub(super) struct Scoped(pub(super) Transaction<'static, Postgres>);

impl Scoped {
    /// Begins a transaction that sees what `bound` may see.
    pub(super) async fn begin(pool: &PgPool, bound: Bound<'_>, operation: &'static str) -> StoreResult<Self> {
        let failed = |error| database(operation, "in PostgreSQL", error);
        let mut tx = pool.begin().await.map_err(failed)?;
        let (role, account, customer) = match bound {
            Bound::Reach(Reach::Account(account)) | Bound::Account(account) => ("account", account.as_str(), ""),
            Bound::Reach(Reach::Customer(scope)) => ("customer", scope.account.as_str(), scope.customer.as_str()),
            Bound::Node => ("node", "", ""),
        };
        sqlx::query!(
            "SELECT set_config('app.role', $1, TRUE) AS role, set_config('app.account_id', $2, TRUE) AS account, \
             set_config('app.tenant_id', $3, TRUE) AS tenant",
            role,
            account,
            customer
        )
        .fetch_one(&mut *tx)
        .await
        .map_err(failed)?;
        Ok(Self(tx))
    }

    /// Ends it. A failure may leave it done.
    pub(super) async fn commit(self, operation: &'static str, context: &str) -> StoreResult<()> {
        self.0.commit().await.map_err(|error| commit(operation, context, error))
    }
}

#[async_trait]
impl Reader for Scoped {
    type Row = PgRow;

    async fn rows(&mut self, select: Select, operation: &'static str, context: &str) -> StoreResult<Vec<PgRow>> {
        let (text, values) = select.into_parts();
        let query = values.into_iter().fold(sqlx::query(text), |query, value| match value {
            Value::Text(text) => query.bind(clean(&text).into_owned()),
            Value::Number(number) => query.bind(number),
            Value::Bytes(bytes) => query.bind(bytes),
        });
        query.fetch_all(&mut *self.0).await.map_err(|error| database(operation, context, error))
    }
}

impl Cells for PgRow {
    fn text(&self, column: &str) -> Result<Option<&str>, sqlx::Error> {
        self.try_get(column)
    }

    fn number(&self, column: &str) -> Result<Option<i64>, sqlx::Error> {
        self.try_get(column)
    }

    fn bytes(&self, column: &str) -> Result<Option<&[u8]>, sqlx::Error> {
        self.try_get(column)
    }
}
