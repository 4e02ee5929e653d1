#![doc = include_str!("../README.md")]
//!
//! # How it is built
//!
//! It owns authentication, retries, idempotency keys, timeouts, paging, live updates and the decoding of errors; the clients
//! for Python and Node only convert. It knows the wire types of [`contract`] and nothing else of the server.

mod batch;
mod client;
mod config;
mod error;
mod follow;
mod page;
mod transport;
pub mod webhook;

pub use batch::{BatchOptions, Batcher, FailedEvent, Flushed};
pub use client::{CustomerClient, Fastn, Request};
pub use config::{Builder, FileConfig};
pub use error::{Error, ErrorKind};
pub use fastn_contract as contract;
pub use follow::{Follow, RawUpdate, Update};
pub use page::Pager;

/// An event of a type with a payload, with no id of its own.
pub fn event(kind: impl Into<String>, data: serde_json::Value) -> contract::command::SendEvent {
    contract::command::SendEvent {
        id: None,
        kind: kind.into(),
        source: None,
        subject: None,
        time: None,
        priority: None,
        data,
    }
}
