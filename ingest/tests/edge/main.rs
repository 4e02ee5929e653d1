//! The edge as its senders see it: requests against the router, over a log and a catalog made for the test.

#![allow(clippy::unwrap_used, reason = "a helper of tests fails the test by panicking")]

mod any_body;
mod any_request;
mod apps;
mod batches;
mod cloud_events;
mod customers_and_keys;
mod handshakes;
mod limits;
mod log_failures;
mod schemes;
mod support;
mod webhooks;
