//! The HTTP edge that turns webhooks and events into durable log records.
//!
//! It owns the routes of webhooks, apps and events, their limits, and who may send what. It answers 202 only once the log has made the events durable,
//! and 503 with `Retry-After` rather than holding more than it has room for. It does not decide what an event starts: that
//! is the processor's. The API crate shares its authentication ([`auth`]) and its errors ([`problem`]).

mod app;
mod app_send;
mod append;
pub mod auth;
mod body;
mod budget;
mod cloudevents;
mod delivery;
mod draft;
mod edge;
mod event_id;
mod events;
mod fields;
mod handshake;
mod hex;
mod json;
mod kept_headers;
mod observe;
mod payload;
mod plain;
pub mod problem;
mod prove;
mod verify;
mod webhook;

pub use app::{AppEvents, Recipients, parse_app_events};
pub use app_send::parse_sent_app_events;
pub use edge::{Ingest, IngestConfig, KeepSecret, NewSecret, OpenSecret, SecretAt, router};
pub use event_id::new_event_id;
pub use events::parse_events;
pub use json::{JSON_DEPTH_MAX, JsonError, check as check_json};
pub use kept_headers::{KEPT_HEADER_BYTES_MAX, KEPT_HEADERS_MAX};
pub use webhook::parse_webhook;
