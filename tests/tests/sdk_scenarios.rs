//! The scenarios of `tests/scenarios`, by the client for Rust: on one machine, on Kafka and PostgreSQL, or against the server
//! that `FASTN_URL` names. `sdk-python` and `sdk-node` run the same files.

#![allow(clippy::unwrap_used, reason = "what fails here fails a test")]

use std::collections::BTreeSet;
use std::time::{SystemTime, UNIX_EPOCH};

use fastn_sdk::Fastn;
use fastn_tests::faults::{Cluster, Plan};
use fastn_tests::scenarios;

async fn run_all(client: &Fastn) -> anyhow::Result<()> {
    let run = format!("rs{}", SystemTime::now().duration_since(UNIX_EPOCH)?.as_micros());
    // FASTN_SCENARIO=05 runs one alone.
    let only = std::env::var("FASTN_SCENARIO").unwrap_or_default();
    let chosen = scenarios::all()?.into_iter().filter(|(name, _)| name.starts_with(&only));
    for (n, (name, scenario)) in chosen.enumerate() {
        println!("{name}: {}", scenario.about);
        scenario.run(client, &format!("{run}_{n}")).await?;
    }
    Ok(())
}

/// Property: every scenario ends as it says, on one machine.
#[tokio::test(flavor = "multi_thread")]
async fn every_scenario() -> anyhow::Result<()> {
    if std::env::var_os("FASTN_URL").is_some() {
        return run_all(&Fastn::builder().build()?).await;
    }
    let mut server = Cluster::start(&Plan::embedded()).await?;
    run_all(&server.client("api")?).await?;
    server.forget();
    Ok(())
}

/// Property: every scenario ends as it says, on Kafka and PostgreSQL.
#[tokio::test(flavor = "multi_thread")]
async fn every_scenario_on_kafka_and_postgres() -> anyhow::Result<()> {
    let mut server = Cluster::start(&Plan::alone()).await?;
    run_all(&server.client("api")?).await?;
    server.forget();
    Ok(())
}

/// Property: there is no operation that no scenario calls.
#[test]
fn every_operation_occurs() -> anyhow::Result<()> {
    let names: serde_json::Map<String, serde_json::Value> =
        serde_json::from_str(include_str!("../../sdk-rust/operations.json"))?;
    let scenarios = scenarios::all()?;
    let mut called: BTreeSet<&str> = scenarios.values().flat_map(scenarios::Scenario::operations).collect();
    if called.contains("follow") {
        called.insert("followExecutions");
    }
    let missing: Vec<&String> = names.keys().filter(|operation| !called.contains(operation.as_str())).collect();
    assert!(missing.is_empty(), "no scenario calls {missing:?}");
    Ok(())
}
