//! Quotas: which limit holds for a customer, and how much of a window is used. Pure.
//!
//! Windows are minutes and days of UTC that begin where the calendar says. An event belongs to the window that holds its
//! log time, so that everybody who counts it counts it in the same one.

mod counter;
mod edge;
mod effective;
mod held;

pub use counter::{Counter, Counters, Named, Window};
pub use edge::Told;
pub use effective::{Effective, EventLimits, PLAN_FREE, PLAN_UNLIMITED, built_in_plan, default_mode};

/// The length of the window of events and API calls per minute.
pub const MINUTE: std::time::Duration = std::time::Duration::from_secs(60);
/// The length of the window of events and API calls per day.
pub const DAY: std::time::Duration = std::time::Duration::from_secs(86_400);
