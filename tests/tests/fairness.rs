//! A noisy customer delays no neighbour.

use std::time::{Duration, Instant};

use fastn_sdk::Fastn;
use fastn_sdk::contract::command::SendEvent;
use fastn_tests::{DEADLINE, Server, Sink};
use serde_json::json;

/// Events of the quiet customer in each measurement.
const QUIET_EVENTS: usize = 60;
/// Events that the noisy one has queued.
const NOISY_EVENTS: usize = 100_000;

const WORKFLOW: &str = r#"
export default async function (ctx: any) {
  await fetch("SINK/" + ctx.customer.id + "/" + ctx.event.id, { method: "POST", body: "x" });
}
"#;

fn event(id: String) -> SendEvent {
    serde_json::from_value(json!({"id": id, "type": "job", "data": {"n": 1}})).expect("a valid event")
}

/// Property: the p99 of a quiet customer beside one with 100,000 queued events is at most twice its p99 alone.
#[tokio::test(flavor = "multi_thread")]
async fn quiet_beside_noisy() -> anyhow::Result<()> {
    // The endpoint is what takes the time, as in life: the noisy customer's own concurrency then bounds what it may use.
    let sink = Sink::start(Duration::from_millis(40)).await?;
    let server = Server::start().await?;
    server.customer("noisy", json!({"concurrency": 4})).await?;
    server.customer("quiet", json!({"concurrency": 4})).await?;
    server.workflow("job", json!({"tier": "long"}), &WORKFLOW.replace("SINK", &sink.url)).await?;
    let (noisy, quiet) = (server.client()?.customer("noisy"), server.client()?.customer("quiet"));

    measure(&quiet, &sink, "warm").await?;
    let alone = measure(&quiet, &sink, "alone").await?;
    for batch in 0..NOISY_EVENTS / 1_000 {
        let events: Vec<SendEvent> = (0..1_000).map(|n| event(format!("noise-{batch}-{n}"))).collect();
        noisy.send_many(&events).await?;
    }
    let beside = measure(&quiet, &sink, "beside").await?;
    println!("p99 alone {alone:?}, beside {NOISY_EVENTS} queued events {beside:?}");
    assert!(beside <= alone * 2, "p99 alone {alone:?}, beside the noisy one {beside:?}");
    Ok(())
}

/// Sends one event after the other; the p99 of the time from sending to the sink's receipt and answer.
async fn measure(quiet: &Fastn, sink: &Sink, run: &str) -> anyhow::Result<Duration> {
    let mut times = Vec::with_capacity(QUIET_EVENTS);
    for n in 0..QUIET_EVENTS {
        let id = format!("{run}-{n}");
        let began = Instant::now();
        quiet.send(&event(id.clone())).await?;
        let path = format!("/quiet/{id}");
        let at = loop {
            if let Some(call) = sink.calls().iter().rev().find(|call| call.path == path) {
                break call.at;
            }
            anyhow::ensure!(began.elapsed() < DEADLINE, "event {id} never reached the sink");
            tokio::time::sleep(Duration::from_micros(500)).await;
        };
        times.push(at - began + Duration::from_millis(40));
    }
    times.sort();
    Ok(times[times.len() * 99 / 100])
}
