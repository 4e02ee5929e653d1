//! Configuration: changed on one node, in force on another; and known while PostgreSQL is away.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::Context;
use fastn_sdk::contract::activity::ExecutionStatus;
use fastn_sdk::contract::{HEADER_ACCESS_KEY, HEADER_ACCOUNT, HEADER_CUSTOMER};
use fastn_tests::Sink;
use fastn_tests::faults::{Cluster, Plan, Servers};
use fastn_tests::server::{put_customer, put_workflow};
use serde_json::{Value, json};

use super::{ALL, ONE_AT_A_TIME, event, publish, put_hook, status, until};

/// Property: a version that is published and a trigger that is disabled through one node, and a key that is revoked by the
/// command line, are in force on another node; how soon is printed.
#[tokio::test(flavor = "multi_thread")]
async fn a_change_is_in_force_on_every_node() -> anyhow::Result<()> {
    let _alone = ONE_AT_A_TIME.lock().await;
    let cluster = Cluster::start(&Plan::shared(vec![("asked", "api"), ("other", ALL)])).await?;
    let (asked, other) = (cluster.client_of("asked")?, cluster.client_of("other")?);
    put_customer(&asked, "cus", json!({})).await?;
    publish(&asked, "which", "instant", "export default async function () { return 1; }").await?;
    put_hook(&asked, "hook", "which", "enabled").await?;
    let customer = other.customer("cus");
    let runs = async |version: u64| {
        Ok(customer.run("which", json!({})).await.ok().and_then(|run| run.output) == Some(json!(version)))
    };
    until("the first version runs", async || runs(1).await).await?;

    publish(&asked, "which", "instant", "export default async function () { return 2; }").await?;
    let published = until("the second version runs", async || runs(2).await).await?;

    let hook = format!("{}/v1/webhooks/hook", cluster.url("other")?);
    let http = reqwest::Client::new();
    let hooked = async || {
        let sent = http.post(&hook).header(HEADER_CUSTOMER, "cus").json(&json!({"n": 1})).send().await?;
        anyhow::Ok(sent.status().as_u16())
    };
    until("the webhook is taken", async || Ok(hooked().await? == 202)).await?;
    put_hook(&asked, "hook", "which", "disabled").await?;
    let disabled = until("the webhook is refused", async || Ok(hooked().await? == 404)).await?;

    let made: Value = serde_json::from_str(&cluster.cli(&["access-keys", "create", "--name", "second", "--json"])?)?;
    let text = |name: &str| made[0][name].as_str().with_context(|| format!("no {name} in the answer"));
    let (id, key) = (text("id")?, text("accessKey")?);
    let listed = async || {
        let url = format!("{}/v1/customers", cluster.url("other")?);
        let request = http.get(url).header(HEADER_ACCESS_KEY, key).header(HEADER_ACCOUNT, "acc_test");
        anyhow::Ok(request.send().await?.status().as_u16())
    };
    let created = until("the new key opens", async || Ok(listed().await? == 200)).await?;
    cluster.cli(&["access-keys", "revoke", id])?;
    let revoked = until("the revoked key is refused", async || Ok(listed().await? == 401)).await?;
    println!(
        "in force on another node after: version {published:?}, trigger disabled {disabled:?}, key created {created:?}, \
         key revoked {revoked:?}"
    );
    Ok(())
}

const JOB: &str = r#"
export default async function (ctx: any) {
  await fetch("SINK/" + ctx.event.id, { method: "POST", body: "x" });
}
"#;

/// Property: with PostgreSQL away nodes take and run events; nodes that start meanwhile become ready from what they last
/// knew, and take and run events too; when it is back, Activity shows each event exactly once.
#[tokio::test(flavor = "multi_thread")]
async fn nodes_run_and_start_while_postgres_is_away() -> anyhow::Result<()> {
    let _alone = ONE_AT_A_TIME.lock().await;
    let nodes = vec![("edge", "ingest,api"), ("work", "pipeline,scheduler,projector")];
    let mut cluster = Cluster::start(&Plan { servers: Servers::SharedKafka, ..Plan::shared(nodes) }).await?;
    let sink = Sink::start(Duration::ZERO).await?;
    let edge = cluster.client_of("edge")?;
    put_customer(&edge, "cus", json!({})).await?;
    put_workflow(&edge, "job", json!({"tier": "long"}), &JOB.replace("SINK", &sink.url)).await?;
    let customer = edge.customer("cus");
    let send = async |part: &str| {
        for n in 0..20 {
            let event = event(&format!("{part}-{n}"), "job", json!({"n": n}));
            until("the event is taken", async || Ok(customer.send(&event).await.is_ok())).await?;
        }
        let called = || sink.calls().iter().filter(|call| call.path.starts_with(&format!("/{part}-"))).count();
        until(&format!("events run: {part}"), async || Ok(called() >= 20)).await
    };
    send("before").await?;
    for node in ["edge", "work"] {
        let known = cluster.folder().join(node).join("catalog.json");
        let knows = async || Ok(std::fs::read_to_string(&known).is_ok_and(|text| text.contains("on_job")));
        until("a node has written down what it knows", knows).await?;
    }

    cluster.script("postgres.sh", &["kill"])?;
    let went_on = send("away").await?;
    for node in ["edge", "work"] {
        cluster.kill(node)?;
    }
    for node in ["edge", "work"] {
        cluster.start_node(node).await?;
        let ready = format!("{}/readyz", cluster.url(node)?);
        let took = until("a node that started is ready", async || Ok(status(&ready).await == Some(200))).await?;
        println!("{node} is ready without PostgreSQL {took:?} after it listens");
    }
    let started = send("started").await?;
    println!("without PostgreSQL 20 events ran in {went_on:?}, and in {started:?} by nodes that started without it");

    cluster.script("postgres.sh", &["start"])?;
    let caught_up = until("Activity shows all", async || {
        let Ok(shown) = customer.executions().take(1_000).await else { return Ok(false) };
        let mut times: HashMap<String, usize> = HashMap::new();
        for execution in shown.iter().filter(|execution| execution.status == ExecutionStatus::Completed) {
            *times.entry(execution.event_id.clone()).or_default() += 1;
        }
        anyhow::ensure!(times.values().all(|times| *times == 1), "an event has two executions: {times:?}");
        Ok(times.len() == 60)
    });
    println!("Activity caught up {:?} after PostgreSQL was back", caught_up.await?);
    Ok(())
}
