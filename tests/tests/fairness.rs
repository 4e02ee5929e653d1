//! A noisy customer delays no neighbour, embedded and on Kafka and PostgreSQL.

use std::time::{Duration, Instant};

use fastn_sdk::CustomerClient;
use fastn_sdk::contract::command::SendEvent;
use fastn_tests::faults::{Cluster, Plan};
use fastn_tests::server::{put_customer, put_workflow};
use fastn_tests::{DEADLINE, Sink};
use serde_json::json;

/// Events of the quiet customer in each measurement.
const QUIET_EVENTS: usize = 60;
/// Noisy calls that may pass before a quiet event's own: at 4 in 40 ms it is a second and a half, on whatever machine.
const NOISY_CALLS_MAX: usize = 150;

const WORKFLOW: &str = r#"
export default async function (ctx: any) {
  await fetch("SINK/" + ctx.customer.id + "/" + ctx.event.id, { method: "POST", body: "x" });
}
"#;

fn event(id: String) -> SendEvent {
    serde_json::from_value(json!({"id": id, "type": "job", "data": {"n": 1}})).expect("a valid event")
}

/// Property: while a neighbour has tens of thousands of events queued, an event of a quiet customer waits for no more than
/// a handful of the neighbour's calls. How long that takes is measured by `make bench`; here it is counted.
#[tokio::test(flavor = "multi_thread")]
async fn quiet_beside_noisy() -> anyhow::Result<()> {
    quiet_beside(&Plan::embedded(), 100_000).await
}

/// Property: the same holds on Kafka and PostgreSQL.
#[tokio::test(flavor = "multi_thread")]
async fn quiet_beside_noisy_on_kafka_and_postgres() -> anyhow::Result<()> {
    quiet_beside(&Plan::alone(), 20_000).await
}

/// Each is alone on the machine: otherwise a neighbour's load would count as the noisy customer's.
static ONE_AT_A_TIME: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// Measures a quiet customer beside one with `noisy_events` queued.
async fn quiet_beside(plan: &Plan, noisy_events: usize) -> anyhow::Result<()> {
    let _alone = ONE_AT_A_TIME.lock().await;
    // The endpoint is what takes the time, as in life: the noisy customer's own concurrency then bounds what it may use.
    let sink = Sink::start(Duration::from_millis(40)).await?;
    let server = Cluster::start(plan).await?;
    let client = server.client("api")?;
    put_customer(&client, "noisy", json!({"concurrency": 4})).await?;
    put_customer(&client, "quiet", json!({"concurrency": 4})).await?;
    put_workflow(&client, "job", json!({"tier": "long"}), &WORKFLOW.replace("SINK", &sink.url)).await?;
    let (noisy, quiet) = (client.customer("noisy"), client.customer("quiet"));
    for batch in 0..noisy_events / 1_000 {
        let events: Vec<SendEvent> = (0..1_000).map(|n| event(format!("noise-{batch}-{n}"))).collect();
        noisy.send_many(&events).await?;
    }

    let mut passed = Vec::with_capacity(QUIET_EVENTS);
    for n in 0..QUIET_EVENTS {
        passed.push(calls_passed(&quiet, &sink, &format!("quiet-{n}")).await?);
    }
    passed.sort_unstable();
    let worst = passed[passed.len() - 1];
    let done = sink.calls().iter().filter(|call| call.path.starts_with("/noisy/")).count();
    println!("a quiet event let at most {worst} noisy calls pass; {done} of {noisy_events} noisy ones were done");
    assert!(done < noisy_events / 2, "the noisy queue emptied too soon to prove anything");
    assert!(worst <= NOISY_CALLS_MAX, "a quiet event waited for {worst} noisy calls: {passed:?}");
    Ok(())
}

/// Sends one event of the quiet customer; how many noisy calls arrived at the sink before its own.
async fn calls_passed(quiet: &CustomerClient, sink: &Sink, id: &str) -> anyhow::Result<usize> {
    let before = sink.calls().len();
    let began = Instant::now();
    quiet.send(&event(id.to_owned())).await?;
    let path = format!("/quiet/{id}");
    loop {
        let calls = sink.calls();
        if let Some(at) = calls.iter().position(|call| call.path == path) {
            return Ok(calls[..at].iter().skip(before).filter(|call| call.path.starts_with("/noisy/")).count());
        }
        anyhow::ensure!(began.elapsed() < DEADLINE, "event {id} never reached the sink");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}
