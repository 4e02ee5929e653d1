//! A quiet customer alone, and beside one with 100,000 queued events: the time from sending to the sink's receipt.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::Context;
use fastn_sdk::CustomerClient;
use fastn_sdk::contract::command::SendEvent;
use fastn_sdk::contract::resource::{Customer, Trigger};
use serde_json::json;

use super::server::Server;
use super::wire::Wire;
use super::{Report, WORKFLOW, sink};

const QUIET_EVENTS: usize = 500;
const NOISY_EVENTS: usize = 100_000;
/// The endpoint's own time: the noisy customer's concurrency then bounds what it may use, as in life.
const SINK_MS: u64 = 20;
const CONCURRENCY: u32 = 8;

pub(super) async fn measure(report: &mut Report) -> anyhow::Result<()> {
    let sink = sink::start(SINK_MS).await?;
    let mut server = Server::start(&sink.url, WORKFLOW, CONCURRENCY).await?;
    let fastn = server.client()?;
    for id in ["quiet", "noisy"] {
        let customer: Customer = serde_json::from_value(json!({"id": id, "concurrency": CONCURRENCY}))?;
        fastn.put_customer(&customer).await?;
    }
    let trigger: Trigger = serde_json::from_value(json!({
        "id": "fair", "source": {"type": "event", "types": ["fair"]}, "routes": [{"workflow": "bench"}],
    }))?;
    fastn.put_trigger(&trigger).await?;
    let mut receipts = Wire::connect(&sink.url).await?;
    receipts.write(b"GET /receipts HTTP/1.1\r\n\r\n").await?;
    receipts.line().await?;

    let (quiet, noisy) = (fastn.customer("quiet"), fastn.customer("noisy"));
    times(&quiet, &mut receipts, "warm").await?;
    let alone = times(&quiet, &mut receipts, "alone").await?;
    for batch in 0..NOISY_EVENTS / 1_000 {
        let events: Vec<SendEvent> =
            (0..1_000).map(|n| event(&format!("noise-{batch}-{n}"))).collect::<anyhow::Result<_>>()?;
        noisy.send_many(&events).await?;
    }
    let beside = times(&quiet, &mut receipts, "beside").await?;
    report.row("quiet customer alone, p99", alone, "ms", "");
    report.row("beside 100,000 queued events, p99", beside, "ms", "goal: at most twice");
    report.row("ratio", beside / alone, "", "");
    server.stop().await
}

/// The p99 of the time from sending to receipt, in milliseconds, one event after the other.
async fn times(quiet: &CustomerClient, receipts: &mut Wire, run: &str) -> anyhow::Result<f64> {
    let mut sent: HashMap<String, i64> = HashMap::new();
    let mut times = Vec::with_capacity(QUIET_EVENTS);
    for n in 0..QUIET_EVENTS {
        let id = format!("{run}-{n}");
        sent.insert(id.clone(), crate::clock::now().as_micros());
        quiet.send(&event(&id)?).await?;
        loop {
            let line = tokio::time::timeout(Duration::from_secs(60), receipts.line()).await??;
            let line = line.context("the sink ended")?;
            let Some((seen, at)) = line.split_once(' ') else { continue };
            if seen == id {
                times.push(at.parse::<i64>()? - sent[&id]);
                break;
            }
        }
    }
    times.sort_unstable();
    Ok(times[times.len() * 99 / 100] as f64 / 1_000.0)
}

fn event(id: &str) -> anyhow::Result<SendEvent> {
    let data: serde_json::Value = serde_json::from_slice(include_bytes!("security_advisory.json"))?;
    Ok(serde_json::from_value(json!({"id": id, "type": "fair", "data": data}))?)
}
