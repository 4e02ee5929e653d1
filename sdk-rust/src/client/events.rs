//! Events: sending them, and what became of them.

use bytes::Bytes;
use fastn_contract::activity::EventView;
use fastn_contract::app::{AppAccepted, SendAppEvent};
use fastn_contract::command::{Accepted, SendEvent};
use reqwest::Method;
use serde_json::Value;

use super::{CustomerClient, Fastn};
use crate::error::Error;
use crate::page::Pager;

impl CustomerClient {
    /// Sends one event. It is durable when this returns.
    ///
    /// ```no_run
    /// # async fn demo(fastn: fastn_sdk::Fastn) -> Result<(), fastn_sdk::Error> {
    /// let event = fastn_sdk::event("user.signed_up", serde_json::json!({"email": "ada@example.com"}));
    /// let accepted = fastn.customer("cus_acme").send(&event).await?;
    /// # Ok(()) }
    /// ```
    pub async fn send(&self, event: &SendEvent) -> Result<Accepted, Error> {
        self.post(&["v1", "events"], event).await
    }

    /// Sends events of one customer in one request, all or none.
    pub async fn send_many(&self, events: &[SendEvent]) -> Result<Accepted, Error> {
        self.post(&["v1", "events"], &events).await
    }
}

impl Fastn {
    /// Sends a body to a webhook trigger as its provider would, with the headers given.
    pub async fn send_webhook(
        &self,
        trigger: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Result<Accepted, Error> {
        // No idempotency key: providers send none, and their own delivery id must stay the event's.
        let call = self.call(Method::POST, &["v1", "webhooks", trigger])?.without_key();
        let mut call = call.raw("application/json", body.into());
        for (name, value) in headers {
            call = call.header(name, value);
        }
        self.transport.decode(call).await
    }

    /// Sends an event of a connector app in the app's place. It is durable when this returns.
    pub async fn send_app_event(&self, event: &SendAppEvent) -> Result<AppAccepted, Error> {
        self.post(&["v1", "app-events"], event).await
    }

    /// Events, newest first. Filters: `status`, `origin`, `type`, `trigger`, `since`, `until`.
    pub fn events(&self) -> Pager<EventView> {
        self.list(&["v1", "events"])
    }

    /// One event with its payload.
    pub async fn event(&self, id: &str) -> Result<EventView, Error> {
        self.get(&["v1", "events", id]).await
    }

    /// Takes an event that a quota refused once more.
    pub async fn replay_event(&self, id: &str) -> Result<Accepted, Error> {
        self.post(&["v1", "events", id, "replay"], &Value::Object(Default::default())).await
    }
}
