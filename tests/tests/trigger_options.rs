//! The options of a trigger through the public API of a real process: routes with environment, headers and every operator of
//! their filters; sequential and parallel; the deduplication key; attempts and each kind of backoff.

#![allow(clippy::unwrap_used, reason = "what fails here fails a test")]

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use fastn_sdk::Fastn;
use fastn_sdk::contract::activity::{EventStatus, ExecutionStatus, ExecutionView};
use fastn_sdk::contract::command::PublishVersion;
use fastn_tests::faults::{Cluster, Plan};
use fastn_tests::server::{put_customer, put_workflow};
use fastn_tests::{Sink, until};
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// How long the sink takes.
const SINK_DELAY: Duration = Duration::from_millis(200);
/// Waits before the second, third and fourth attempt, in seconds.
const BACKOFFS: [(&str, [u64; 3]); 3] = [("exponential", [1, 2, 4]), ("linear", [1, 2, 3]), ("fixed", [1, 1, 1])];

/// Tells which version runs, and what its route says.
const ROUTED: &str = r#"
export default async function (ctx: any) { return { version: VERSION, way: ctx.headers["x-way"] }; }
"#;
const CALL: &str = r#"
export default async function (ctx: any) {
  await fetch("SINK/" + ctx.input.kind + "/" + ctx.input.n, { method: "POST", body: "x" });
}
"#;

async fn put_webhook(client: &Fastn, id: &str, more: Value) -> anyhow::Result<()> {
    let source = json!({"type": "webhook", "verification": {"scheme": "public"}});
    let mut body = json!({"id": id, "customer": "cus", "source": source});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    client.put_trigger(&serde_json::from_value(body)?).await?;
    Ok(())
}

async fn post(client: &Fastn, trigger: &str, body: &Value) -> anyhow::Result<String> {
    Ok(client.send_webhook(trigger, &[], body.to_string()).await?.event_id)
}

async fn ended(client: &Fastn, trigger: &str, count: usize) -> anyhow::Result<Vec<ExecutionView>> {
    until(&format!("{count} ends of {trigger}"), async || {
        let rows = client.executions().filter("trigger", Some(trigger)).take(100).await?;
        Ok((rows.len() >= count && rows.iter().all(|row| row.status.is_final())).then_some(rows))
    })
    .await
}

/// Property: each option of a trigger does what it says, embedded.
#[tokio::test(flavor = "multi_thread")]
async fn every_option() -> anyhow::Result<()> {
    options(&Plan::embedded()).await
}

/// Property: the same over Kafka and PostgreSQL.
#[tokio::test(flavor = "multi_thread")]
async fn every_option_on_kafka_and_postgres() -> anyhow::Result<()> {
    options(&Plan::alone()).await
}

async fn options(plan: &Plan) -> anyhow::Result<()> {
    let sink = Sink::start(SINK_DELAY).await?;
    let mut server = Cluster::start(plan).await?;
    let client = server.client("api")?;
    put_customer(&client, "cus", json!({})).await?;
    routes(&client).await?;
    put_workflow(&client, "call", json!({}), &CALL.replace("SINK", &sink.url)).await?;
    modes(&client, &sink).await?;
    deduplication(&client).await?;
    attempts(&client).await?;
    server.forget();
    Ok(())
}

/// An event takes every way whose filter holds, in the version of the way's environment and with its headers.
async fn routes(client: &Fastn) -> anyhow::Result<()> {
    put_workflow(client, "routed", json!({}), &ROUTED.replace("VERSION", "1")).await?;
    client.deploy("routed", "prod", 1).await?;
    let source = ROUTED.replace("VERSION", "2");
    client.publish("routed", &PublishVersion { source, file: None }).await?;
    let ways = [
        ("eq", json!({"path": "n", "op": "eq", "value": 5}), true),
        ("eq-not", json!({"path": "n", "op": "eq", "value": "5"}), false),
        ("neq", json!({"path": "n", "op": "neq", "value": 6}), true),
        ("gt", json!({"path": "n", "op": "gt", "value": 4}), true),
        ("gt-not", json!({"path": "n", "op": "gt", "value": 5}), false),
        ("lt", json!({"path": "n", "op": "lt", "value": 6}), true),
        ("in", json!({"path": "text", "op": "in", "value": ["a", "abc"]}), true),
        ("contains", json!({"path": "text", "op": "contains", "value": "b"}), true),
        ("exists", json!({"path": "n", "op": "exists"}), true),
        ("exists-not", json!({"path": "nothing", "op": "exists"}), false),
        ("all", json!({"all": [{"path": "n", "op": "gt", "value": 4}, {"path": "n", "op": "lt", "value": 5}]}), false),
        ("any", json!({"any": [{"path": "n", "op": "gt", "value": 4}, {"path": "n", "op": "lt", "value": 5}]}), true),
        ("not", json!({"not": {"path": "n", "op": "eq", "value": 6}}), true),
    ];
    let route = |(way, filter, _): &(&str, Value, bool)| {
        let environment = if *way == "eq" { "prod" } else { "test" };
        json!({"workflow": "routed", "environment": environment, "filter": filter, "headers": {"x-way": way}})
    };
    let routes: Vec<Value> = ways.iter().map(route).collect();
    put_webhook(client, "routed", json!({"routes": routes})).await?;
    post(client, "routed", &json!({"n": 5, "text": "abc"})).await?;
    let wanted = ways.iter().filter(|(_, _, holds)| *holds).count();
    let mut taken = Vec::new();
    for row in ended(client, "routed", wanted).await? {
        let output = client.customer("cus").execution(&row.id).await?.output.unwrap_or_default();
        assert_eq!(output["version"], if output["way"] == "eq" { 1 } else { 2 }, "{output}");
        taken.push(output["way"].as_str().unwrap_or_default().to_owned());
    }
    let mut wanted: Vec<&str> = ways.iter().filter(|(_, _, holds)| *holds).map(|(way, ..)| *way).collect();
    wanted.sort_unstable();
    taken.sort();
    assert_eq!(taken, wanted);
    Ok(())
}

/// Sequential executions call one after the other, those of a key; parallel ones beside each other.
async fn modes(client: &Fastn, sink: &Sink) -> anyhow::Result<()> {
    const EVENTS: usize = 5;
    let routes = json!([{"workflow": "call"}]);
    for (kind, more) in [
        ("parallel", json!({"mode": "parallel"})),
        ("sequential", json!({"mode": "sequential"})),
        ("keyed", json!({"mode": "sequential", "sequenceKey": "n"})),
    ] {
        let mut more = more;
        more["routes"] = routes.clone();
        put_webhook(client, kind, more).await?;
        for n in 0..EVENTS {
            post(client, kind, &json!({"kind": kind, "n": n})).await?;
        }
        ended(client, kind, EVENTS).await?;
    }
    let times = |kind: &str| -> Vec<(String, Instant)> {
        let prefix = format!("/{kind}/");
        sink.calls()
            .into_iter()
            .filter(|call| call.path.starts_with(&prefix))
            .map(|call| (call.path, call.at))
            .collect()
    };
    let sequential = times("sequential");
    for (n, pair) in sequential.windows(2).enumerate() {
        assert!(pair[0].0.ends_with(&format!("/{n}")), "out of order: {sequential:?}");
        assert!(pair[1].1 - pair[0].1 >= SINK_DELAY, "two ran at once: {sequential:?}");
    }
    let span = |calls: &[(String, Instant)]| calls[EVENTS - 1].1 - calls[0].1;
    for beside in ["parallel", "keyed"] {
        assert!(span(&times(beside)) < span(&sequential), "{beside} is not faster than one after the other");
    }
    Ok(())
}

/// Events of one key are one, whatever else they hold.
async fn deduplication(client: &Fastn) -> anyhow::Result<()> {
    put_webhook(client, "deduped", json!({"deduplicationKey": "order", "routes": [{"workflow": "call"}]})).await?;
    let mut statuses = Vec::new();
    for (n, order) in ["a", "b", "a"].into_iter().enumerate() {
        let id = post(client, "deduped", &json!({"kind": "deduped", "n": n, "order": order})).await?;
        statuses.push(until(&id, async || Ok(client.event(&id).await.ok())).await?.status);
    }
    assert_eq!(statuses, [EventStatus::Delivered, EventStatus::Delivered, EventStatus::Duplicate]);
    Ok(())
}

/// An execution whose call does not get through is tried as often as its trigger says, after waits that grow as it says.
async fn attempts(client: &Fastn) -> anyhow::Result<()> {
    let mut seen = Vec::new();
    for (kind, _) in BACKOFFS {
        let (url, times) = hangs_up().await?;
        put_workflow(client, kind, json!({}), &CALL.replace("SINK", &url)).await?;
        put_webhook(
            client,
            &format!("{kind}_hook"),
            json!({
                "maxAttempts": 4, "backoff": kind, "routes": [{"workflow": kind}],
            }),
        )
        .await?;
        post(client, &format!("{kind}_hook"), &json!({"kind": kind, "n": 0})).await?;
        seen.push(times);
    }
    let mut spans = Vec::new();
    for ((kind, waits), times) in BACKOFFS.into_iter().zip(seen) {
        let row = ended(client, &format!("{kind}_hook"), 1).await?.remove(0);
        assert_eq!((row.status, row.attempt), (ExecutionStatus::Failed, 4), "{kind}");
        let times = times.lock().unwrap().clone();
        assert_eq!(times.len(), 4, "{kind}");
        for (pair, wait) in times.windows(2).zip(waits) {
            let apart = pair[1] - pair[0];
            // A busy machine is late; it is never early.
            assert!(apart >= Duration::from_millis(wait * 900), "{kind}: {apart:?} instead of {wait} s");
        }
        spans.push(times[3] - times[0]);
    }
    assert!(spans[0] > spans[2] && spans[1] > spans[2], "the same wait each time is the shortest: {spans:?}");
    Ok(())
}

/// A server that takes connections and ends them at once, and when it did.
async fn hangs_up() -> anyhow::Result<(String, Arc<Mutex<Vec<Instant>>>)> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let (url, times) = (format!("http://{}", listener.local_addr()?), Arc::new(Mutex::new(Vec::new())));
    let seen = Arc::clone(&times);
    tokio::spawn(async move {
        while let Ok((connection, _)) = listener.accept().await {
            seen.lock().unwrap().push(Instant::now());
            drop(connection);
        }
    });
    Ok((url, times))
}
