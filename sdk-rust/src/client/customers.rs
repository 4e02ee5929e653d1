//! Customers, their limits and use, and the ends of both.

use bytes::Bytes;
use fastn_contract::privacy::{ErasureView, RetentionSettings};
use fastn_contract::quota::{CurrentUsage, CustomerTier, Plan, QuotaSettings, UsageRow};
use fastn_contract::resource::{Customer, Stored};
use futures_util::{Stream, StreamExt};
use reqwest::Method;

use super::Fastn;
use crate::error::{Error, ErrorKind};
use crate::page::Pager;

impl Fastn {
    /// Customers of the account.
    pub fn customers(&self) -> Pager<Stored<Customer>> {
        self.list(&["v1", "customers"])
    }

    /// Creates or changes a customer.
    pub async fn put_customer(&self, customer: &Customer) -> Result<Stored<Customer>, Error> {
        self.put(&["v1", "customers", &customer.id], customer).await
    }

    /// Deletes a customer.
    pub async fn delete_customer(&self, id: &str) -> Result<(), Error> {
        self.delete(&["v1", "customers", id]).await
    }

    /// Everything of one customer as JSON lines, in pieces of any length, as they come. Its last line has the type `end`.
    pub async fn export_customer(
        &self,
        id: &str,
    ) -> Result<impl Stream<Item = Result<Bytes, Error>> + Send + use<>, Error> {
        let response = self.transport.open(&self.call(Method::GET, &["v1", "customers", id, "export"])?).await?;
        Ok(response
            .bytes_stream()
            .map(|piece| piece.map_err(|error| Error::new(ErrorKind::Unknown, "export a customer", error.to_string()))))
    }

    /// Erases a customer, for good. The erasure goes on in the background.
    pub async fn erase_customer(&self, id: &str) -> Result<ErasureView, Error> {
        self.transport.decode(self.call(Method::POST, &["v1", "customers", id, "erase"])?).await
    }

    /// Erasures.
    pub fn erasures(&self) -> Pager<ErasureView> {
        self.list(&["v1", "erasures"])
    }

    /// One erasure: the proof.
    pub async fn erasure(&self, id: &str) -> Result<ErasureView, Error> {
        self.get(&["v1", "erasures", id]).await
    }

    /// How long activity is kept.
    pub async fn retention(&self) -> Result<RetentionSettings, Error> {
        self.get(&["v1", "settings", "retention"]).await
    }

    /// Sets how long activity is kept.
    pub async fn put_retention(&self, settings: &RetentionSettings) -> Result<RetentionSettings, Error> {
        self.put(&["v1", "settings", "retention"], settings).await
    }

    /// Plans that are configured; `free` and `unlimited` are built in.
    pub fn plans(&self) -> Pager<Stored<Plan>> {
        self.list(&["v1", "plans"])
    }

    /// Creates or changes a plan.
    pub async fn put_plan(&self, plan: &Plan) -> Result<Stored<Plan>, Error> {
        self.put(&["v1", "plans", &plan.id], plan).await
    }

    /// Tiers of customers.
    pub fn customer_tiers(&self) -> Pager<Stored<CustomerTier>> {
        self.list(&["v1", "customer-tiers"])
    }

    /// Creates or changes a tier of customers.
    pub async fn put_customer_tier(&self, tier: &CustomerTier) -> Result<Stored<CustomerTier>, Error> {
        self.put(&["v1", "customer-tiers", &tier.id], tier).await
    }

    /// Chooses the account's plan.
    pub async fn put_quota_settings(&self, settings: &QuotaSettings) -> Result<Stored<QuotaSettings>, Error> {
        self.put(&["v1", "quota-settings"], settings).await
    }

    /// What was used, by customer, day and measure, the newest day first. Filters: `measure`, `since`, `until`.
    pub fn usage(&self) -> Pager<UsageRow> {
        self.list(&["v1", "usage"])
    }

    /// Every limit of the customer, or of the account, and what is left of it.
    pub async fn current_usage(&self) -> Result<CurrentUsage, Error> {
        self.get(&["v1", "usage", "current"]).await
    }

    /// One customer.
    pub async fn get_customer(&self, id: &str) -> Result<Stored<Customer>, Error> {
        self.get(&["v1", "customers", id]).await
    }

    /// One plan of the account's own.
    pub async fn plan(&self, id: &str) -> Result<Stored<Plan>, Error> {
        self.get(&["v1", "plans", id]).await
    }

    /// Deletes a plan that nobody has.
    pub async fn delete_plan(&self, id: &str) -> Result<(), Error> {
        self.delete(&["v1", "plans", id]).await
    }

    /// One tier of customers.
    pub async fn customer_tier(&self, id: &str) -> Result<Stored<CustomerTier>, Error> {
        self.get(&["v1", "customer-tiers", id]).await
    }

    /// Deletes a tier that no customer has.
    pub async fn delete_customer_tier(&self, id: &str) -> Result<(), Error> {
        self.delete(&["v1", "customer-tiers", id]).await
    }

    /// Which plan the account has.
    pub async fn quota_settings(&self) -> Result<QuotaSettings, Error> {
        self.get(&["v1", "quota-settings"]).await
    }
}
