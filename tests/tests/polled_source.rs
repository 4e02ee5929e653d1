//! A source that is polled by a whole node: its changes run workflows, embedded and on Kafka and PostgreSQL.

#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::{Json, Router};
use fastn_sdk::Fastn;
use fastn_sdk::contract::activity::{ExecutionStatus, Origin};
use fastn_sdk::contract::command::PublishVersion;
use fastn_sdk::contract::poll::{PollOutcome, PollView};
use fastn_sdk::contract::resource::{SecretWrite, Trigger, Workflow};
use fastn_tests::DEADLINE;
use fastn_tests::faults::{Cluster, Plan};
use fastn_tests::server::{binary, put_customer};
use serde_json::{Value, json};

type Records = Arc<Mutex<BTreeMap<u32, Value>>>;

/// Records of one page.
const PAGE: usize = 40;

/// A source that wants a token, with pages by cursor.
async fn source(records: Records) -> anyhow::Result<String> {
    async fn list(
        State(records): State<Records>,
        Query(query): Query<BTreeMap<String, u32>>,
        headers: HeaderMap,
    ) -> Result<Json<Value>, StatusCode> {
        if headers.get("authorization").is_none_or(|given| given != "Bearer s3cret") {
            return Err(StatusCode::UNAUTHORIZED);
        }
        let after = query.get("after").copied().unwrap_or_default();
        let records = records.lock().map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
        let page: Vec<Value> = records.range(after + 1..).take(PAGE).map(|(_, record)| record.clone()).collect();
        let next = page.last().filter(|_| page.len() == PAGE).map(|record| record["id"].clone());
        Ok(Json(json!({"items": page, "next": next})))
    }
    let app = Router::new().route("/list", axum::routing::get(list)).with_state(records);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}/list", listener.local_addr()?);
    tokio::spawn(async move { axum::serve(listener, app).await });
    Ok(url)
}

/// Waits until the poll of a customer is as it should be.
async fn until(client: &Fastn, wanted: impl Fn(&PollView) -> bool) -> PollView {
    let started = Instant::now();
    loop {
        let page = client.polls("contacts").page(None, None).await.unwrap();
        if let Some(view) = page.items.iter().find(|view| view.customer == "cus" && wanted(view)) {
            return view.clone();
        }
        assert!(started.elapsed() < DEADLINE, "{page:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// The inputs of completed runs.
async fn inputs(client: &Fastn, count: usize) -> Vec<Value> {
    let started = Instant::now();
    loop {
        let runs = client.executions().take(100).await.unwrap();
        let done = runs.iter().filter(|run| run.status == ExecutionStatus::Completed).count();
        if done >= count || started.elapsed() > DEADLINE {
            let mut inputs = Vec::new();
            for run in runs {
                assert_eq!(run.triggered_by, Origin::Polling);
                inputs.push(client.execution(&run.id).await.unwrap().input.unwrap());
            }
            inputs.sort_by_key(|input| input["key"].as_str().map(str::to_owned));
            return inputs;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// What the command line prints about this node.
fn cli(node: &Cluster, arguments: &[&str]) -> anyhow::Result<String> {
    let key = node.access_key()?;
    let output = std::process::Command::new(binary()?)
        .args(arguments)
        .args(["--url", node.url("all")?, "--access-key", &key])
        .output()?;
    anyhow::ensure!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?)
}

/// Property: what changes at a source runs the trigger's workflow once for each change, with the record and the fields;
/// the state is shown without the secret, polling can be asked for, and a reset starts anew.
async fn changes_run_workflows(plan: &Plan) -> anyhow::Result<()> {
    let records: Records = Arc::default();
    for id in 1..=100 {
        records.lock().unwrap().insert(id, json!({"id": id, "name": format!("n{id}"), "seen": 0}));
    }
    let url = source(records.clone()).await?;
    let mut node = Cluster::start(plan).await?;
    let client = node.client("api")?;
    put_customer(&client, "cus", json!({})).await?;
    let secret = json!({"name": "TOKEN", "value": "wrong"});
    client.put_secret(&serde_json::from_value::<SecretWrite>(secret)?).await?;
    client.put_workflow(&serde_json::from_value::<Workflow>(json!({"id": "sync"}))?).await?;
    let code = "export default async function (ctx: any) { return ctx.input; }".to_owned();
    client.publish("sync", &PublishVersion { source: code, file: None }).await?;
    let trigger: Trigger = serde_json::from_value(json!({
        "id": "contacts", "routes": [{"workflow": "sync"}],
        "source": {
            "type": "poll", "entity": "contact", "records": "items", "key": "id",
            "request": {"url": format!("{url}?after={{{{page}}}}"), "headers": {"authorization": "Bearer {{secret.TOKEN}}"}},
            "paging": {"mode": "cursor", "path": "next"}, "compare": {"what": "except", "fields": ["seen"]},
            "interval": {"minSeconds": 3_600, "maxSeconds": 3_600},
        },
    }))?;
    client.put_trigger(&trigger).await?;

    let refused = until(&client, |view| view.last_outcome == Some(PollOutcome::Failed)).await;
    assert_eq!(refused.detail.as_deref(), Some("the source answered 401"));
    let secret = json!({"name": "TOKEN", "value": "s3cret"});
    client.put_secret(&serde_json::from_value::<SecretWrite>(secret)?).await?;
    assert_eq!(client.poll_now("contacts").await?.polls, 1);
    let first = until(&client, |view| view.last_outcome == Some(PollOutcome::Baseline)).await;
    assert_eq!((first.records, first.pages, first.failures, first.interval_seconds), (100, 3, 0, 3_600));
    assert!(!serde_json::to_string(&[&refused, &first])?.contains("s3cret"));

    {
        let mut records = records.lock().unwrap();
        records.remove(&50);
        records.insert(7, json!({"id": 7, "name": "new", "seen": 1}));
        records.insert(8, json!({"id": 8, "name": "n8", "seen": 1}));
        records.insert(101, json!({"id": 101, "name": "n101"}));
    }
    client.customer("cus").poll_now("contacts").await?;
    let changed = until(&client, |view| view.last_outcome == Some(PollOutcome::Changed)).await;
    assert_eq!((changed.created, changed.updated, changed.deleted, changed.records), (1, 1, 1, 100));
    let expected = [
        json!({"entity": "contact", "change": "created", "key": "101", "record": {"id": 101, "name": "n101"}}),
        json!({"entity": "contact", "change": "deleted", "key": "50"}),
        json!({
            "entity": "contact", "change": "updated", "key": "7", "changedFields": ["name"],
            "record": {"id": 7, "name": "new", "seen": 1},
        }),
    ];
    assert_eq!(inputs(&client, 3).await, expected);

    let shown = cli(&node, &["polls", "show", "contacts"])?;
    assert!(shown.contains("changed") && shown.contains("+1 ~1 -1") && !shown.contains("s3cret"), "{shown}");
    let asked = cli(&node, &["polls", "now", "contacts"])?;
    assert!(asked.contains("1 polls are due now"), "{asked}");
    until(&client, |view| view.last_outcome == Some(PollOutcome::Unchanged)).await;
    cli(&node, &["polls", "reset", "contacts"])?;
    until(&client, |view| view.last_outcome == Some(PollOutcome::Baseline) && view.records == 100).await;
    client.delete_trigger("contacts").await?;
    assert!(client.polls("contacts").page(None, None).await.is_err());
    assert_eq!(inputs(&client, 3).await.len(), 3);
    node.forget();
    Ok(())
}

/// Property: see [`changes_run_workflows`].
#[tokio::test(flavor = "multi_thread")]
async fn embedded() -> anyhow::Result<()> {
    changes_run_workflows(&Plan::embedded()).await
}

/// Property: the same on Kafka and PostgreSQL.
#[tokio::test(flavor = "multi_thread")]
async fn on_kafka_and_postgres() -> anyhow::Result<()> {
    changes_run_workflows(&Plan::alone()).await
}
