//! Suites and fakes that the tests of every crate share.

pub mod store_suite;
