//! What the edge needs of limits of requests. Pure.

use crate::time::Timestamp;

/// A limit as an answer tells it: RateLimit fields of draft-ietf-httpapi-ratelimit-headers-10.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Told {
    /// The policy's name.
    pub name: &'static str,
    /// Its quota.
    pub limit: u64,
    /// Seconds of its window.
    pub window_s: u64,
    /// What is left of it.
    pub left: u64,
    /// When the window ends.
    pub resets: Timestamp,
}

impl Told {
    /// Seconds until the window ends, at least 1.
    pub fn reset_s(&self, now: Timestamp) -> u64 {
        self.resets.since(now).as_millis().div_ceil(1_000).max(1).try_into().unwrap_or(u64::MAX)
    }

    /// The item of `RateLimit-Policy`: quota, window, and whose it is.
    pub fn policy(&self) -> String {
        format!("\"{}\";q={};w={}", self.name, self.limit, self.window_s)
    }

    /// The item of `RateLimit`: what is left, and seconds until more comes.
    pub fn rate(&self, now: Timestamp) -> String {
        format!("\"{}\";r={};t={}", self.name, self.left, self.reset_s(now))
    }
}
