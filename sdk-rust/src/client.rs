//! The client: one method for each operation of the API.

use fastn_contract::activity::Health;
use reqwest::Method;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::batch::{BatchOptions, Batcher};
use crate::config::Builder;
use crate::error::Error;
use crate::page::Pager;
use crate::transport::{Call, Transport};

mod alerts;
mod customers;
mod events;
mod executions;
mod replays;
mod triggers;
mod workflows;

/// A client of one server, bound to an account and maybe to one customer. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Fastn {
    transport: Transport,
    customer: Option<String>,
}

impl Fastn {
    /// Settings for a client.
    pub fn builder() -> Builder {
        Builder::default()
    }

    pub(crate) fn over(transport: Transport, customer: Option<String>) -> Self {
        Self { transport, customer }
    }

    /// The same client, bound to one customer.
    pub fn customer(&self, customer: impl Into<String>) -> Self {
        Self { transport: self.transport.clone(), customer: Some(customer.into()) }
    }

    /// The same client, bound to the account as a whole.
    pub fn account(&self) -> Self {
        Self { transport: self.transport.clone(), customer: None }
    }

    /// The server.
    pub fn url(&self) -> &str {
        self.transport.url().as_str()
    }

    /// Sends events in the background, many in a request. Must be called within a Tokio runtime.
    pub fn batcher(&self) -> Batcher {
        Batcher::new(self, BatchOptions::default())
    }

    pub(crate) fn parts(&self) -> (Transport, Option<String>) {
        (self.transport.clone(), self.customer.clone())
    }

    fn call(&self, method: Method, path: &[&str]) -> Call {
        Call::new(method, path).for_customer(self.customer.as_deref())
    }

    async fn get<T: DeserializeOwned>(&self, path: &[&str]) -> Result<T, Error> {
        self.transport.decode(self.call(Method::GET, path)).await
    }

    async fn put<T: DeserializeOwned>(&self, path: &[&str], body: &impl Serialize) -> Result<T, Error> {
        self.transport.decode(self.call(Method::PUT, path).json(body)?).await
    }

    async fn post<T: DeserializeOwned>(&self, path: &[&str], body: &impl Serialize) -> Result<T, Error> {
        self.transport.decode(self.call(Method::POST, path).json(body)?).await
    }

    async fn delete(&self, path: &[&str]) -> Result<(), Error> {
        self.transport.bytes(self.call(Method::DELETE, path)).await.map(drop)
    }

    fn list<T: DeserializeOwned>(&self, path: &[&str]) -> Pager<T> {
        Pager::new(self.transport.clone(), path, self.customer.clone())
    }

    /// What the server says of itself.
    pub async fn health(&self) -> Result<Health, Error> {
        self.get(&["readyz"]).await
    }
}
