//! Wire types and error codes shared by the server and every SDK. serde only: no I/O, no rules.
//!
//! Field names on the wire are camelCase, times are RFC 3339 UTC, ids are opaque text.

pub mod activity;
pub mod alert;
pub mod app;
pub mod command;
pub mod condition;
pub mod error;
pub mod flow;
pub mod page;
pub mod poll;
pub mod privacy;
pub mod quota;
pub mod replay;
pub mod resource;
pub mod schedule;
pub mod verification;

/// Header that carries the access key, e.g. `fsk_test_…`. `Authorization: Bearer` is accepted too.
pub const HEADER_ACCESS_KEY: &str = "x-fastn-access-key";
/// Header that names the account.
pub const HEADER_ACCOUNT: &str = "x-fastn-account-id";
/// Header that names the customer (tenant) of the account.
pub const HEADER_CUSTOMER: &str = "x-fastn-account-tenant-id";
/// Header that makes a write safe to repeat.
pub const HEADER_IDEMPOTENCY_KEY: &str = "idempotency-key";
/// Header that names the request: sent along or made by the server, on every answer.
pub const HEADER_REQUEST_ID: &str = "x-request-id";
