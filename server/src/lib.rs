//! The fastn binary: command line, roles, HTTP API and wiring.

pub mod api;
pub mod clock;
mod observe;
