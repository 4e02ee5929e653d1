//! `fastn bench`: measures the main job on this machine.

/// Arguments of the bench.
#[derive(Debug, clap::Args)]
pub(crate) struct Bench {}

/// Runs it.
pub(crate) async fn run(_bench: Bench) -> anyhow::Result<()> {
    anyhow::bail!("the bench is not built into this program yet; use `make bench`")
}
