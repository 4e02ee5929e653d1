//! A connector app's webhook: one shared URL for all customers, the events that it sends, and how to subscribe to them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::flow::Priority;
use crate::resource::Switch;
use crate::verification::{Challenge, Verification};

/// Most app events that one request may carry.
pub const APP_EVENTS_MAX: usize = 1_000;

/// A connector app that sends the events of all its accounts to one URL, `/v1/apps/<endpoint>/events`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct App {
    /// Stable id, by which triggers name it, e.g. `hubspot`.
    pub id: String,
    /// Name for people.
    #[serde(default)]
    pub name: String,
    /// What it is.
    #[serde(default)]
    pub description: String,
    /// The part of the public URL that stands for it. A new random one when it is absent and the app is new; it stays as
    /// it is when it is absent later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// How the app proves itself. Its secrets are the account's own.
    #[serde(default)]
    pub verification: Verification,
    /// A handshake that the app asks for, beside the one of its scheme.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub challenge: Option<Challenge>,
    /// Path of the event's id in a payload, e.g. `subscriptionType`. A payload that is an array holds one event in each
    /// element. Without it, every trigger of the app hears every payload.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_key: Option<String>,
    /// The events that it sends. A payload that names another one starts nothing.
    #[serde(default)]
    pub events: Vec<AppEvent>,
    /// Path in a payload of the account that it is about, e.g. `portalId`: it goes to the triggers with this `accountId`,
    /// and a payload without it goes nowhere. Without `mappedTo` a payload goes to the triggers of all accounts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mapped_to: Option<String>,
    /// How a trigger of this app is made known to the app; not at all when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subscription: Option<Subscription>,
    /// Whether its URL takes anything.
    #[serde(default)]
    pub status: Switch,
}

/// An event that an app sends.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AppEvent {
    /// As the payload names it, e.g. `contact.creation`.
    pub id: String,
    /// Name for people.
    #[serde(default)]
    pub label: String,
    /// What it tells.
    #[serde(default)]
    pub description: String,
    /// JSON Schema of its payload, for people and editors; payloads are not checked against it.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub payload_schema: Value,
}

/// The requests that make a trigger known to its app.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Subscription {
    /// Made when a trigger is created or its event or account is changed.
    pub subscribe: RequestTemplate,
    /// Made before a trigger is deleted, and for the old event or account before a change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unsubscribe: Option<RequestTemplate>,
    /// Path in the answer to `subscribe` of the subscription's id, for `{{subscriptionId}}` in `unsubscribe`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id_path: Option<String>,
}

/// An HTTP request with places to fill: `{{app}}`, `{{event}}`, `{{accountId}}`, `{{customer}}`, `{{trigger}}`,
/// `{{webhookUrl}}`, `{{subscriptionId}}` and `{{secret.NAME}}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RequestTemplate {
    /// The method.
    #[serde(default = "method_default")]
    pub method: String,
    /// The URL. What is filled in is percent-encoded.
    pub url: String,
    /// The headers.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// The body: JSON, in whose texts places are filled. A text alone is sent as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<Value>,
}

fn method_default() -> String {
    "POST".to_owned()
}

/// Whether the app knows of a trigger.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum SubscriptionState {
    /// The app took the subscription.
    Subscribed,
    /// It did not; see the detail.
    Failed,
    /// Nobody has asked it, or the asking was cut off before its end.
    #[default]
    NotSubscribed,
}

/// The subscription of one app-event trigger, apart from the trigger's own status.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct SubscriptionView {
    /// The trigger.
    pub trigger: String,
    /// Where it stands.
    pub state: SubscriptionState,
    /// What the app answered, or why it could not be asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// How often the app was asked to subscribe.
    #[serde(default)]
    pub attempts: u32,
    /// When it was asked last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked_at: Option<String>,
    /// The app's own id of the subscription.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subscription_id: Option<String>,
    /// The event that it is for.
    #[serde(default)]
    pub event: String,
    /// The account that it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account_id: Option<String>,
}

/// An app event that a SaaS backend sends in the app's place.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SendAppEvent {
    /// The same id within the window is admitted once. Made of the idempotency key when absent, else new.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The app.
    pub app: String,
    /// One of its events.
    pub event: String,
    /// The customer that it is for; the one of the customer header or the key when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customer: Option<String>,
    /// The account at the app that it is about: it goes to the triggers with this `accountId`, whosever they are unless a
    /// customer is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account_id: Option<String>,
    /// When it happened, RFC 3339; now when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<String>,
    /// The place of its executions in the customer's queue, before what the trigger or the workflow says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<Priority>,
    /// The payload; becomes `ctx.input`.
    #[serde(default)]
    pub data: Value,
}

/// The answer to app events: what was dispatched is durable.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct AppAccepted {
    /// Events in the request.
    pub received: u32,
    /// Events stored, one for each customer that listens.
    pub dispatched: u32,
    /// Events of accounts that no trigger has, or that do not say whose they are. They start nothing, and are shown among the
    /// account's events with the reason.
    pub unroutable: u32,
    /// The ids of what was stored; an event that went to several customers has the same id with each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub event_ids: Vec<String>,
}
