//! `fastn bench`: measures the main job on this machine.

use crate::bench::{self, Plan};

/// Arguments of the bench.
#[derive(Debug, clap::Args)]
pub(crate) struct Bench {
    /// Executions of the throughput run
    #[arg(long, default_value_t = 40_000)]
    executions: u64,
    /// Events in the air during it
    #[arg(long, default_value_t = 64)]
    in_air: usize,
    /// Also measure 50,000 waiting executions and a million sleepers: takes minutes and 3 GiB of disk
    #[arg(long)]
    full: bool,
    /// Sleepers of that part
    #[arg(long, default_value_t = 1_000_000)]
    sleepers: u64,
    /// Only these parts: limits, throughput, latency, fairness, waiting, sleepers
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Machine-readable output
    #[arg(long)]
    json: bool,
    /// What a process of the bench does
    #[command(subcommand)]
    part: Option<bench::Part>,
}

/// Runs it.
pub(crate) async fn run(bench: Bench) -> anyhow::Result<()> {
    match bench.part {
        Some(part) => part.run().await,
        None => {
            let Bench { executions, in_air, full, sleepers, only, json, .. } = bench;
            bench::run(Plan { executions, in_air, full, sleepers, only, json }).await
        }
    }
}
