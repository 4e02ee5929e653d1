//! The workflow runtime from outside: what workflows can do, and what they cannot.

#[path = "runtime_api/calls.rs"]
mod calls;
#[path = "runtime_api/driver.rs"]
mod driver;
