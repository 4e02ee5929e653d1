//! What the kernel says of a process.

use std::time::Duration;

use anyhow::Context;

/// Ticks of `/proc/<pid>/stat` in a second: 100 on every Linux that Rust runs on.
const TICKS_PER_SECOND: f64 = 100.0;

/// CPU time and memory of a process.
pub(super) struct Usage {
    cpu: f64,
    pub(super) resident_mib: f64,
}

impl Usage {
    /// Reads `/proc`.
    pub(super) fn of(pid: u32) -> anyhow::Result<Self> {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).context("read the server's CPU time")?;
        let fields = stat.rsplit_once(')').map(|(_, rest)| rest.split_whitespace().collect::<Vec<_>>());
        let fields = fields.context("read the server's CPU time")?;
        let tick = |at: usize| fields.get(at).and_then(|field| field.parse::<f64>().ok()).unwrap_or_default();
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).context("read the server's memory")?;
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = resident.and_then(|text| text.split_whitespace().next()?.parse::<f64>().ok()).unwrap_or_default();
        Ok(Self { cpu: (tick(11) + tick(12)) / TICKS_PER_SECOND, resident_mib: kib / 1_024.0 })
    }

    /// CPU time spent since `before`.
    pub(super) fn since(&self, before: &Self) -> Duration {
        Duration::from_secs_f64((self.cpu - before.cpu).max(0.0))
    }
}
