//! The fastn client for Rust, and the core of every other SDK.
//!
//! ```no_run
//! # async fn demo() -> Result<(), fastn_sdk::Error> {
//! let fastn = fastn_sdk::Fastn::builder().access_key("fsk_test_…").account("acc_demo").build()?;
//! let acme = fastn.customer("cus_acme");
//! let answer = acme.run("triage", serde_json::json!({"issue": 7})).await?;
//! println!("{}", answer.execution_id);
//! # Ok(()) }
//! ```
//!
//! It owns authentication, retries, idempotency keys, timeouts, paging and the decoding of errors. It knows the wire types
//! of `fastn-contract` and nothing else of the server.

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
