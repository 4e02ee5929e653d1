//! Two cells, and a customer of one of them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, ensure};
use fastn_sdk::Fastn;
use fastn_sdk::contract::activity::ExecutionStatus;
use fastn_sdk::contract::{HEADER_ACCESS_KEY, HEADER_ACCOUNT, HEADER_CUSTOMER};
use fastn_tests::faults::{Cluster, Plan, Servers};
use fastn_tests::server::{put_customer, put_workflow};
use fastn_tests::{Sink, files_with};
use serde_json::{Value, json};

use super::{ALL, ONE_AT_A_TIME, event, publish, put_hook, until};

/// The payload goes out in a call, and comes back in the output.
const JOB: &str = r#"
export default async function (ctx: any) {
  const marker = ctx.input.marker;
  const answer = await fetch("SINK/" + marker, { method: "POST", body: marker });
  return { marker, status: answer.status };
}
"#;
/// The same with a result that the caller waits for.
const ECHO: &str = "export default async function (ctx: any) { return { echo: ctx.input.marker }; }";

/// A customer and a text that is in everything it does, and nowhere else.
struct Guest {
    customer: String,
    marker: String,
}

impl Guest {
    fn new(name: &str) -> anyhow::Result<Self> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_nanos();
        Ok(Self { customer: format!("{name}-guest-{now}"), marker: format!("{name}-marker-{now}") })
    }
}

/// Property: a client of the US cell is led to the EU cell with what it does for an EU customer; a raw webhook is refused
/// with 421 and the EU cell's URL; and afterwards no byte of that customer's payloads, and none of its events, executions
/// or traces, is in the US cell's Kafka or PostgreSQL, while both are found in the EU cell's. In the same way a US
/// customer's are found in the US cell only.
#[tokio::test(flavor = "multi_thread")]
async fn no_byte_of_an_eu_customer_is_in_the_us_cell() -> anyhow::Result<()> {
    let _alone = ONE_AT_A_TIME.lock().await;
    let eu = Plan { nodes: vec![("eu", ALL)], servers: Servers::Own, region: Some("EU"), ..Plan::default() };
    let eu = Cluster::start(&eu).await?;
    let cells = vec![("EU", eu.url("eu")?.to_owned())];
    let us = Cluster::start(&Plan { region: Some("US"), cells, ..Plan::shared(vec![("us", ALL)]) }).await?;
    let sink = Sink::start(Duration::ZERO).await?;
    let (european, american) = (Guest::new("eu")?, Guest::new("us")?);
    for cell in [us.client("api")?, eu.client("api")?] {
        put_customer(&cell, &european.customer, json!({"region": "EU"})).await?;
        put_customer(&cell, &american.customer, json!({"region": "US"})).await?;
        put_workflow(&cell, "job", json!({"tier": "long"}), &JOB.replace("SINK", &sink.url)).await?;
        publish(&cell, "echo", "instant", ECHO).await?;
        put_hook(&cell, "hook", "job", "enabled").await?;
    }

    // Both ask the US cell.
    let fastn = us.client("api")?;
    for guest in [&european, &american] {
        work(&fastn, guest).await?;
        let called = sink.calls().iter().filter(|call| call.path == format!("/{}", guest.marker)).count();
        ensure!(called > 0, "the sink was not called for {}", guest.customer);
    }
    let home = eu.url("eu")?;
    for path in ["webhooks/hook", "events"] {
        let (status, problem) = post(&us, path, &european).await?;
        assert_eq!((status, &problem["baseUrl"]), (421, &json!(home)), "{path}: {problem}");
    }

    assert_kept(&eu, &european, &american).await?;
    assert_kept(&us, &american, &european).await
}

/// Sends an event, runs a workflow for its result, and waits until Activity shows both.
async fn work(fastn: &Fastn, guest: &Guest) -> anyhow::Result<()> {
    let fastn = fastn.customer(&guest.customer);
    fastn.send(&event("e-1", "job", json!({"marker": guest.marker}))).await?;
    let answer = fastn.run("echo", json!({"marker": guest.marker})).await?;
    assert_eq!(answer.output, Some(json!({"echo": guest.marker})));
    let both = async || {
        let shown = fastn.executions().take(10).await?;
        Ok(shown.len() == 2 && shown.iter().all(|execution| execution.status == ExecutionStatus::Completed))
    };
    until("both executions are shown", both).await?;
    Ok(())
}

/// A request as a program sends it that knows nothing of cells.
async fn post(cell: &Cluster, path: &str, guest: &Guest) -> anyhow::Result<(u16, Value)> {
    let body = event("e-2", "job", json!({"marker": guest.marker}));
    let request = reqwest::Client::new()
        .post(format!("{}/v1/{path}", cell.url("us")?))
        .header(HEADER_ACCESS_KEY, cell.access_key()?)
        .header(HEADER_ACCOUNT, fastn_tests::server::ACCOUNT)
        .header(HEADER_CUSTOMER, &guest.customer)
        .json(&body);
    let response = request.send().await?;
    Ok((response.status().as_u16(), response.json().await?))
}

/// Everything of `own` is in this cell's servers, and nothing of `other`.
async fn assert_kept(cell: &Cluster, own: &Guest, other: &Guest) -> anyhow::Result<()> {
    let (kafka, postgres) = cell.data_of_servers().context("a cell has servers")?;
    // Every topic has the customer's records; traces may come a moment after the answer.
    for topic in ["events", "executions", "traces"] {
        let there = async || Ok(files_with(&own.customer, &kafka)?.iter().any(|file| file.contains(topic)));
        until(&format!("{topic} of {} in {}", own.customer, kafka.display()), there).await?;
    }
    for topic in ["events", "executions"] {
        let found = files_with(&own.marker, &kafka)?;
        ensure!(found.iter().any(|file| file.contains(topic)), "{} is not in {topic}: {found:?}", own.marker);
    }
    for text in [&other.customer, &other.marker] {
        let found = files_with(text, &kafka)?;
        ensure!(found.is_empty(), "{text} lies in {found:?}");
    }

    cell.psql("CHECKPOINT")?;
    let tables = cell.psql("SELECT schema_to_xml('public', true, false, '')")?;
    ensure!(tables.contains(&own.marker), "no table has {}", own.marker);
    ensure!(!tables.contains(&other.marker), "a table has {}", other.marker);
    ensure!(!files_with(&own.marker, &postgres)?.is_empty(), "{} is not in {}", own.marker, postgres.display());
    let found = files_with(&other.marker, &postgres)?;
    ensure!(found.is_empty(), "{} lies in {found:?}", other.marker);
    assert_eq!(activity_rows(cell, &other.customer)?, "0,0,0");
    assert_eq!(activity_rows(cell, &own.customer)?, "2,2,0");

    let found = files_with(&other.marker, cell.folder())?;
    ensure!(found.is_empty(), "{} lies in {found:?}", other.marker);
    Ok(())
}

/// Events, executions and dead letters of a customer.
fn activity_rows(cell: &Cluster, customer: &str) -> anyhow::Result<String> {
    let count = |table: &str| format!("(SELECT count(*) FROM {table} WHERE customer = '{customer}')");
    let counts = ["events", "executions", "dead_letters"].map(count).join(" || ',' || ");
    Ok(cell.psql(&format!("SELECT {counts}"))?.lines().last().unwrap_or_default().to_owned())
}
