//! Measures the client against the server that `FASTN_URL`, `FASTN_ACCESS_KEY` and `FASTN_ACCOUNT_ID` name, and prints a line of
//! JSON: events of 1 KiB by the batcher, and the client's CPU for each. `make bench-sdks` runs it beside Python and Node.

use std::time::Instant;

use anyhow::{Context as _, ensure};
use fastn_sdk::Fastn;
use serde_json::json;

const CUSTOMER: &str = "cus_bench";

/// Ticks of the scheduler's clock in a second (`sysconf(_SC_CLK_TCK)` on Linux).
const TICKS: f64 = 100.0;

/// Seconds of CPU that this process took.
fn cpu() -> anyhow::Result<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let fields = stat.rsplit_once(')').context("read /proc/self/stat")?.1;
    let ticks = fields.split_whitespace().skip(11).take(2).map(str::parse::<f64>);
    Ok(ticks.sum::<Result<f64, _>>()? / TICKS)
}

async fn send(fastn: &Fastn, events: usize) -> anyhow::Result<()> {
    let batcher = fastn.batcher();
    for n in 0..events {
        batcher.send(CUSTOMER, fastn_sdk::event("bench.sent", json!({"n": n, "text": "x".repeat(960)}))).await?;
    }
    let flushed = batcher.close().await;
    ensure!(flushed.sent == events as u64, "{} events failed: {:?}", flushed.failed.len(), flushed.failed.first());
    Ok(())
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> anyhow::Result<()> {
    let events = std::env::var("BENCH_EVENTS").map_or(Ok(100_000), |text| text.parse())?;
    let fastn = Fastn::builder().build()?;
    fastn.put_customer(&serde_json::from_value(json!({"id": CUSTOMER}))?).await?;
    send(&fastn, events.min(5_000)).await?;
    let (began, before) = (Instant::now(), cpu()?);
    send(&fastn, events).await?;
    let (seconds, took) = (began.elapsed().as_secs_f64(), cpu()? - before);
    let batcher = json!({
        "events": events, "seconds": seconds,
        "eventsPerSecond": events as f64 / seconds, "cpuMicrosPerEvent": took * 1e6 / events as f64,
    });
    println!("{}", json!({"sdk": "rust", "batcher": batcher}));
    Ok(())
}
