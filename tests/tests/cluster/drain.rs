//! SIGTERM: a node says that it leaves, ends what it has begun, hands over, and ends with 0.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use fastn_sdk::contract::HEADER_CUSTOMER;
use fastn_sdk::contract::activity::ExecutionStatus;
use fastn_tests::faults::cluster::PARTITIONS;
use fastn_tests::faults::{Cluster, Plan, Rig};
use fastn_tests::server::put_customer;
use fastn_tests::{DEADLINE, Sink};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::{ONE_AT_A_TIME, metric, publish, put_hook, status, until};

/// Waits until a node that was told to stop is not ready; it must say so before it hangs up.
async fn leaves(url: &str) -> anyhow::Result<Duration> {
    let ready = format!("{url}/readyz");
    until("a node that stops is not ready", async || match status(&ready).await {
        Some(503) => Ok(true),
        Some(_) => Ok(false),
        None => anyhow::bail!("it hung up before it said that it is not ready"),
    })
    .await
}

/// Property: a pipeline node that is told to stop under load says that it is not ready, ends with 0, and leaves its
/// partitions to another; nothing is lost or repeated.
#[tokio::test(flavor = "multi_thread")]
async fn a_pipeline_hands_over() -> anyhow::Result<()> {
    let _alone = ONE_AT_A_TIME.lock().await;
    let nodes = vec![("edge", "ingest,api,projector"), ("leaves", "pipeline"), ("stays", "pipeline,scheduler")];
    let mut rig = Rig::start("a_pipeline_hands_over", &Plan::shared(nodes)).await?;
    let (leaving, staying) = (rig.cluster.url("leaves")?.to_owned(), rig.cluster.url("stays")?.to_owned());
    let owned = "fastn_partitions_owned";
    until("both own partitions", async || {
        Ok(metric(&leaving, owned).await? > 0.0 && metric(&staying, owned).await? > 0.0)
    })
    .await?;
    rig.say("SIGTERM to a pipeline");
    let began = Instant::now();
    rig.cluster.signal("leaves", "TERM")?;
    let said = leaves(&leaving).await?;
    rig.cluster.ended("leaves").await?;
    let ended = began.elapsed();
    let all = f64::from(PARTITIONS);
    until("the other one owns all partitions", async || Ok(metric(&staying, owned).await? >= all)).await?;
    println!("not ready after {said:?}, ended after {ended:?}, all taken after {:?}", began.elapsed());
    rig.flows(PARTITIONS as usize * 8).await?;
    let report = rig.finish().await?;
    assert!(report.accepted > 0 && report.holds(), "{report}");
    Ok(())
}

/// Longer than a node goes on taking requests after it was told to stop.
const SLOW: Duration = Duration::from_secs(3);
const SLOWLY: &str = r#"
export default async function (ctx: any) {
  const answer = await fetch("SINK/" + ctx.input.n, { method: "POST", body: "x" });
  return answer.status;
}
"#;

/// Property: a node that is told to stop answers what is under way: an Instant run whose result another node sends it later,
/// and a webhook whose body is still coming, which then runs. It ends with 0.
#[tokio::test(flavor = "multi_thread")]
async fn a_request_under_way_gets_its_answer() -> anyhow::Result<()> {
    let _alone = ONE_AT_A_TIME.lock().await;
    let nodes = vec![("edge", "ingest,api"), ("stays", "ingest,api,pipeline,scheduler,projector")];
    let mut cluster = Cluster::start(&Plan::shared(nodes)).await?;
    let sink = Sink::start(SLOW).await?;
    let edge = cluster.client_of("edge")?;
    put_customer(&edge, "cus", json!({})).await?;
    publish(&edge, "slowly", "instant", &SLOWLY.replace("SINK", &sink.url)).await?;
    put_hook(&edge, "hook", "slowly", "enabled").await?;
    let customer = edge.customer("cus");
    let run = tokio::spawn(async move { customer.run("slowly", json!({"n": 1})).await });
    until("the run has begun", async || Ok(!sink.calls().is_empty())).await?;

    let url = cluster.url("edge")?.to_owned();
    let mut webhook = TcpStream::connect(url.trim_start_matches("http://")).await?;
    let (first, second) = (br#"{"n":"#, b"2}");
    let head = format!(
        "POST /v1/webhooks/hook HTTP/1.1\r\nhost: edge\r\n{HEADER_CUSTOMER}: cus\r\ncontent-type: application/json\r\n\
         connection: close\r\ncontent-length: {}\r\n\r\n",
        first.len() + second.len()
    );
    webhook.write_all(&[head.as_bytes(), first].concat()).await?;
    webhook.flush().await?;
    // So that the node has read the head before it is told to stop.
    metric(&url, "fastn_catalog_revision").await?;

    let began = Instant::now();
    cluster.signal("edge", "TERM")?;
    leaves(&url).await?;
    until("it takes no more connections", async || Ok(status(&format!("{url}/healthz")).await.is_none())).await?;
    webhook.write_all(second).await?;
    let mut answer = String::new();
    tokio::time::timeout(DEADLINE, webhook.read_to_string(&mut answer)).await.context("the webhook's answer")??;
    ensure!(answer.starts_with("HTTP/1.1 202"), "the webhook got {answer:?}");
    let answered = run.await??;
    assert_eq!((answered.status, answered.output), (ExecutionStatus::Completed, Some(json!(200))));
    cluster.ended("edge").await?;
    println!("a node with requests of {SLOW:?} under way ended after {:?}", began.elapsed());
    until("the webhook's event runs", async || Ok(sink.calls().iter().any(|call| call.path == "/2"))).await?;
    Ok(())
}
