//! What a cluster promises beyond surviving faults, shown with real parts: residency, configuration that every node follows,
//! answers across nodes, alerts that outlive the node which evaluates, and a stop that loses nothing. Two cells have a Kafka and a PostgreSQL each; everything else runs
//! in a corner of those that all tests share.

use std::time::{Duration, Instant};

use fastn_sdk::Fastn;
use fastn_sdk::contract::command::{PublishVersion, SendEvent};
use fastn_sdk::contract::resource::{Trigger, Workflow};
use fastn_tests::DEADLINE;
use serde_json::{Value, json};

mod alerts;
mod drain;
mod feed;
mod instant;
mod residency;

/// All roles.
const ALL: &str = "ingest,api,pipeline,scheduler,projector";

/// Two cores bear one cluster at a time.
static ONE_AT_A_TIME: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// Asks until the answer is yes; how long that took.
async fn until(what: &str, mut ask: impl AsyncFnMut() -> anyhow::Result<bool>) -> anyhow::Result<Duration> {
    let began = Instant::now();
    while !ask().await? {
        anyhow::ensure!(began.elapsed() < DEADLINE, "not within {DEADLINE:?}: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok(began.elapsed())
}

/// The status of a GET; nothing when nobody answers.
async fn status(url: &str) -> Option<u16> {
    reqwest::get(url).await.ok().map(|response| response.status().as_u16())
}

/// The value of one line of `/metrics`, named with its labels; 0 when it is not there.
async fn metric(node: &str, line: &str) -> anyhow::Result<f64> {
    let text = reqwest::get(format!("{node}/metrics")).await?.text().await?;
    let value = text.lines().find_map(|found| found.strip_prefix(line)?.strip_prefix(' ')?.parse().ok());
    Ok(value.unwrap_or(0.0))
}

/// Publishes a workflow without a trigger.
async fn publish(fastn: &Fastn, id: &str, tier: &str, source: &str) -> anyhow::Result<()> {
    let workflow: Workflow = serde_json::from_value(json!({"id": id, "tier": tier}))?;
    fastn.put_workflow(&workflow).await?;
    fastn.publish(id, &PublishVersion { source: source.to_owned(), file: None }).await?;
    Ok(())
}

/// A webhook trigger that anybody may send to.
async fn put_hook(fastn: &Fastn, id: &str, workflow: &str, status: &str) -> anyhow::Result<()> {
    let source = json!({"type": "webhook", "verification": {"scheme": "public"}});
    let trigger = json!({"id": id, "status": status, "source": source, "routes": [{"workflow": workflow}]});
    let trigger: Trigger = serde_json::from_value(trigger)?;
    fastn.put_trigger(&trigger).await?;
    Ok(())
}

fn event(id: &str, kind: &str, data: Value) -> SendEvent {
    serde_json::from_value(json!({"id": id, "type": kind, "data": data})).expect("this is an event")
}
