//! The client: one method for each operation of the API.

use fastn_contract::activity::Health;
use reqwest::Method;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::batch::{BatchOptions, Batcher};
use crate::config::Builder;
use crate::error::{Error, ErrorKind};
use crate::page::Pager;
use crate::transport::{Call, Transport};

mod alerts;
mod customers;
mod events;
mod executions;
mod raw;
mod replays;
mod triggers;
mod workflows;

pub use raw::Request;

/// A client of one server, bound to an account. Cheap to clone.
///
/// What happens for a customer, such as an event that is sent, is asked of a [`CustomerClient`], so that none can be forgotten.
/// Dropping a call's future cancels the call: whether the server took it is then not known.
#[derive(Clone, Debug)]
pub struct Fastn {
    transport: Transport,
    customer: Option<String>,
    idempotency_key: Option<String>,
}

impl Fastn {
    /// Settings for a client.
    pub fn builder() -> Builder {
        Builder::default()
    }

    pub(crate) fn over(transport: Transport, customer: Option<String>) -> Self {
        Self { transport, customer, idempotency_key: None }
    }

    /// The same client, bound to one customer.
    pub fn customer(&self, customer: impl Into<String>) -> CustomerClient {
        CustomerClient(Self { customer: Some(customer.into()), ..self.clone() })
    }

    /// The same client, bound to the customer that the configuration names.
    ///
    /// # Errors
    /// `Config` when it names none.
    pub fn configured_customer(&self) -> Result<CustomerClient, Error> {
        let detail = "no customer is configured: name one, or set FASTN_TENANT_ID";
        let none = || Error::new(ErrorKind::Config, "act for the configured customer", detail);
        self.customer.clone().map(|customer| self.customer(customer)).ok_or_else(none)
    }

    /// The same client, bound to the account as a whole.
    pub fn account(&self) -> Self {
        Self { customer: None, ..self.clone() }
    }

    /// The same client with connections of its own, on the runtime that uses it first: for a process that was forked, which
    /// must not touch those of its parent.
    ///
    /// # Errors
    /// `Config` when what it was made of has ceased to work, such as a file of certificates of the machine.
    pub fn reconnected(&self) -> Result<Self, Error> {
        Ok(Self { transport: self.transport.reconnected()?, ..self.clone() })
    }

    /// The same client for one write, which carries this idempotency key instead of one by chance: the same key again within
    /// a day is the same request, and is answered as the first was.
    pub fn with_idempotency_key(&self, key: impl Into<String>) -> Self {
        Self { idempotency_key: Some(key.into()), ..self.clone() }
    }

    /// The server.
    pub fn url(&self) -> &str {
        self.transport.url().as_str()
    }

    /// Sends events of any customer in the background, many in a request. Must be called within a Tokio runtime.
    pub fn batcher(&self) -> Batcher {
        Batcher::new(self, BatchOptions::default())
    }

    pub(crate) fn transport(&self) -> &Transport {
        &self.transport
    }

    fn call(&self, method: Method, path: &[&str]) -> Result<Call, Error> {
        Call::new(method, path).for_customer(self.customer.as_deref()).with_key(self.idempotency_key.as_deref())
    }

    async fn get<T: DeserializeOwned>(&self, path: &[&str]) -> Result<T, Error> {
        self.transport.decode(self.call(Method::GET, path)?).await
    }

    async fn put<T: DeserializeOwned>(&self, path: &[&str], body: &impl Serialize) -> Result<T, Error> {
        self.transport.decode(self.call(Method::PUT, path)?.json(body)?).await
    }

    async fn post<T: DeserializeOwned>(&self, path: &[&str], body: &impl Serialize) -> Result<T, Error> {
        self.transport.decode(self.call(Method::POST, path)?.json(body)?).await
    }

    async fn delete(&self, path: &[&str]) -> Result<(), Error> {
        self.transport.bytes(self.call(Method::DELETE, path)?).await.map(drop)
    }

    fn list<T: DeserializeOwned>(&self, path: &[&str]) -> Pager<T> {
        Pager::new(self.transport.clone(), path, self.customer.clone())
    }

    /// What the server says of itself.
    pub async fn health(&self) -> Result<Health, Error> {
        self.get(&["readyz"]).await
    }
}

/// A client bound to one customer of the account: what it reads, writes and sends is this customer's.
#[derive(Clone, Debug)]
pub struct CustomerClient(Fastn);

impl CustomerClient {
    /// The customer's id.
    pub fn id(&self) -> &str {
        self.0.customer.as_deref().unwrap_or_default()
    }

    /// See [`Fastn::with_idempotency_key`].
    pub fn with_idempotency_key(&self, key: impl Into<String>) -> Self {
        Self(self.0.with_idempotency_key(key))
    }
}

impl std::ops::Deref for CustomerClient {
    type Target = Fastn;

    fn deref(&self) -> &Fastn {
        &self.0
    }
}
