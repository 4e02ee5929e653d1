//! The fastn binary: command line, roles, HTTP API and wiring.

pub mod api;
mod bench;
mod cli;
pub mod clock;
pub mod compat;
mod config;
mod dev;
mod observe;
mod project;
mod suite;
pub mod testing;
mod wiring;

pub use cli::run;
