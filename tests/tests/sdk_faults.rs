//! The client for Rust while the server dies and comes back: nothing is lost, doubled or silent.

#![allow(clippy::unwrap_used, reason = "what fails here fails a test")]

use std::collections::BTreeSet;
use std::time::Duration;

use fastn_sdk::contract::activity::ExecutionStatus;
use fastn_sdk::{BatchOptions, Batcher, Fastn, Follow, Update};
use fastn_tests::faults::{Cluster, Plan};
use fastn_tests::server::{put_customer, put_workflow};
use fastn_tests::until;
use futures_util::StreamExt as _;
use serde_json::json;

/// The node of an embedded plan.
const NODE: &str = "all";
/// Events that are batched over two kills.
const EVENTS: usize = 3_000;

async fn kill_and_start(server: &mut Cluster) -> anyhow::Result<()> {
    server.kill(NODE)?;
    tokio::time::sleep(Duration::from_millis(500)).await;
    server.start_node(NODE).await
}

async fn executions(client: &Fastn) -> anyhow::Result<usize> {
    Ok(client.executions().filter("workflow", Some("job")).take(2 * EVENTS).await?.len())
}

/// Property: a batcher, a wait and a follower that live through kill -9 of the server end as if nothing had been: every event
/// is admitted once, the wait gets the end, the follower hears of each end or is told that it missed some.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_killed_within_batch_wait_and_stream() -> anyhow::Result<()> {
    let mut server = Cluster::start(&Plan::embedded()).await?;
    let client = server.client("api")?;
    put_customer(&client, "cus", json!({})).await?;
    put_workflow(&client, "job", json!({}), "export default async function () {}").await?;
    put_workflow(&client, "nap", json!({}), "export default async (ctx) => { await ctx.sleep('4s'); return 'awake'; }")
        .await?;
    let customer = client.customer("cus");

    let (follower, seen) = (customer.clone(), std::sync::Arc::new(std::sync::Mutex::new((BTreeSet::new(), false))));
    let told = std::sync::Arc::clone(&seen);
    let following = tokio::spawn(async move {
        let what = Follow { workflow: Some("job".to_owned()), execution: None };
        let mut updates = std::pin::pin!(follower.follow(what));
        while let Some(update) = updates.next().await {
            let mut told = told.lock().unwrap();
            match update.expect("the follower comes back") {
                Update::Execution(update) if update.status.is_final() => drop(told.0.insert(update.id)),
                Update::Execution(_) => {}
                Update::Missed => told.1 = true,
            }
        }
    });
    let nap = customer.run("nap", json!({})).await?.execution_id;
    let sleeper = customer.clone();
    let waiting = tokio::spawn(async move { sleeper.wait(&nap, Duration::from_secs(120)).await });

    let options = BatchOptions { events_max: 50, ..BatchOptions::default() };
    let batcher = Batcher::new(&client, options);
    for n in 0..EVENTS {
        let event = serde_json::from_value(json!({"id": format!("e-{n}"), "type": "job", "data": n}))?;
        batcher.send("cus", event).await?;
        if n % 1_000 == 500 {
            kill_and_start(&mut server).await?;
        }
    }
    let flushed = batcher.close().await;
    assert_eq!((flushed.sent, flushed.failed.len()), (EVENTS as u64, 0), "every event was taken");

    until("every event has run", async || Ok((executions(&client).await? == EVENTS).then_some(()))).await?;
    let ended = waiting.await??;
    assert_eq!((ended.status, ended.output), (ExecutionStatus::Completed, Some(json!("awake"))));
    until("the follower hears of each, or that it missed some", async || {
        let told = seen.lock().unwrap();
        Ok((told.1 || told.0.len() == EVENTS).then_some(()))
    })
    .await?;
    following.abort();
    server.forget();
    Ok(())
}

/// Property: ten thousand calls at once are all answered, and with the last client the connections go.
#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_calls_at_once() -> anyhow::Result<()> {
    let mut server = Cluster::start(&Plan::embedded()).await?;
    let before = sockets()?;
    let client = server.client("api")?;
    put_customer(&client, "cus", json!({})).await?;
    let calls: Vec<_> = (0..10_000)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move { client.get_customer("cus").await.map(|found| found.body.id) })
        })
        .collect();
    for call in calls {
        assert_eq!(call.await??, "cus");
    }
    drop(client);
    until("no connection is left", async || Ok((sockets()? <= before).then_some(()))).await?;
    server.forget();
    Ok(())
}

/// Property: calls leave no memory behind. `FASTN_TEST_CALLS=1000000` makes a million.
#[tokio::test(flavor = "multi_thread")]
async fn memory_is_flat() -> anyhow::Result<()> {
    let calls: usize = std::env::var("FASTN_TEST_CALLS").map_or(Ok(20_000), |text| text.parse())?;
    let mut server = Cluster::start(&Plan::embedded()).await?;
    let client = server.client("api")?;
    put_customer(&client, "cus", json!({})).await?;
    let make = async |count: usize| {
        let each = count / 32;
        let callers = (0..32).map(|_| {
            let client = client.clone();
            tokio::spawn(async move {
                for _ in 0..each {
                    client.get_customer("cus").await.unwrap();
                    assert!(client.execution("exec_none").await.is_err());
                }
            })
        });
        for caller in callers.collect::<Vec<_>>() {
            caller.await?;
        }
        anyhow::Ok(())
    };
    make(4_000).await?;
    let before = resident()?;
    make(calls / 2).await?;
    let grown = resident()?.saturating_sub(before);
    println!("{calls} calls: {before} bytes before, {grown} more after");
    assert!(grown < 16 * 1024 * 1024, "{grown} bytes are left of {calls} calls");
    server.forget();
    Ok(())
}

/// Bytes of memory that this process holds.
fn resident() -> anyhow::Result<u64> {
    let text = std::fs::read_to_string("/proc/self/statm")?;
    let pages: u64 = text.split_whitespace().nth(1).unwrap_or_default().parse()?;
    Ok(pages * 4_096)
}

/// Sockets that this process holds.
fn sockets() -> anyhow::Result<usize> {
    let links = std::fs::read_dir("/proc/self/fd")?.filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok());
    Ok(links.filter(|link| link.to_string_lossy().starts_with("socket:")).count())
}
