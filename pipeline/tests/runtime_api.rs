//! The workflow runtime from outside: what workflows can do, and what they cannot.

#![allow(clippy::unwrap_used)] // helpers of tests are tests

#[path = "runtime_api/calls.rs"]
mod calls;
#[path = "runtime_api/driver.rs"]
mod driver;
#[path = "runtime_api/errors.rs"]
mod errors;
#[path = "runtime_api/limits.rs"]
mod limits;
#[path = "runtime_api/replay.rs"]
mod replay;
#[path = "runtime_api/steps.rs"]
mod steps;
#[path = "runtime_api/web.rs"]
mod web;
