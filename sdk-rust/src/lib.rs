//! The fastn client for Rust, and the core of every other SDK.
