//! The native part of `@fastn/sdk`, the client for Node.js: it hands calls to `fastn-sdk`, which does everything, and their
//! ends back to JavaScript. `lib/*.cjs` is its only caller and turns what it tells into promises, iterators and errors.
//!
//! ```text
//!   JavaScript ── request(call, …) ─▶ a task on the client's runtime ─▶ fastn-sdk
//!       ▲                                        │
//!       └── drain() ◀── wake ◀── [completions] ◀─┘     many calls end in one wake-up
//! ```
//!
//! A call has a number that JavaScript chose. Text crosses as text: JSON is written and read by V8 itself.

// Built as a test, nothing is given out to JavaScript.
#![cfg_attr(test, allow(dead_code))]

mod batcher;
mod client;
mod completions;
mod stream;
mod told;
mod view;
mod webhook;
