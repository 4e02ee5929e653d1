//! Export and erasure of a customer, sealed logs and retention, against the real binary.

#![allow(clippy::unwrap_used, reason = "what fails here fails a test")]

use std::collections::HashMap;
use std::time::Duration;

use fastn_sdk::Fastn;
use fastn_sdk::contract::activity::ExecutionStatus;
use fastn_sdk::contract::command::SendEvent;
use fastn_sdk::contract::privacy::{ErasureStatus, ErasureView, RetentionSettings};
use fastn_sdk::contract::resource::SecretWrite;
use fastn_tests::faults::cluster::PARTITIONS;
use fastn_tests::faults::{Cluster, Plan};
use fastn_tests::server::{binary, put_customer, put_workflow};
use fastn_tests::{Sink, files_with, until};
use futures_util::StreamExt as _;
use serde_json::{Value, json};

const NODE: &str = "all";
/// Stands in everything that is of the customer to be erased.
const MARK: &str = "MARK-7f3a91c04e";
/// Events of each customer.
const EVENTS: usize = 12;
/// Events of each that wait for their batch.
const HELD: usize = 3;

/// Every row of every table, as text.
const TABLES: &str = "SELECT schema_to_xml('public', true, false, '')";

/// Uses every way in which a payload gets into the log: input, headers, state, logs, a call's answer, a sleep, an error.
const WORKFLOW: &str = r#"
export default async function (ctx: any) {
  await fastn.state.set("last", ctx.input.text);
  fastn.log.info("seen " + ctx.input.text);
  const answer = await fetch("SINK/" + ctx.input.text, { method: "POST", body: ctx.input.text });
  const told = await answer.json();
  if (ctx.input.how === "sleep") await ctx.sleep("1d");
  if (ctx.input.how === "throw") throw new RangeError("no good: " + ctx.input.text);
  return { told, text: ctx.input.text };
}
"#;

fn event(n: usize, how: &str, text: &str) -> SendEvent {
    let data = json!({"text": text, "how": how, "n": n});
    let body = json!({"id": format!("job-{n}"), "type": "job", "subject": text, "data": data});
    serde_json::from_value(body).unwrap()
}

/// Triggers whose events wait in batches, and are counted, by a value of their payloads.
async fn put_keyed_triggers(client: &Fastn) -> anyhow::Result<()> {
    let batch = json!({"batch": {"maxSize": 50, "maxWaitMs": 3_600_000, "key": "text"}});
    let rate = json!({"rate": {"limit": 1_000, "periodMs": 86_400_000, "key": "text"}});
    for (id, kind, flow) in [("held", "held", batch), ("on_job", "job", rate)] {
        let source = json!({"type": "event", "types": [kind]});
        let trigger = json!({"id": id, "source": source, "routes": [{"workflow": "job"}], "flow": flow});
        client.put_trigger(&serde_json::from_value(trigger)?).await?;
    }
    Ok(())
}

/// A customer with some of everything: completed, failed and sleeping executions, state, a secret of its own, an open
/// batch, usage, an alert rule.
async fn furnish(client: &Fastn, customer: &str, settings: Value, text: &str) -> anyhow::Result<()> {
    put_customer(client, customer, settings).await?;
    let secret =
        SecretWrite { name: "TOKEN".to_owned(), value: format!("secret-{text}"), customer: Some(customer.to_owned()) };
    client.put_secret(&secret).await?;
    let about = json!({"id": format!("about_{customer}"), "name": text, "customer": customer, "status": "enabled",
        "metric": "failure_count", "threshold": 0, "hold": "0s"});
    client.put_alert_rule(&serde_json::from_value(about)?).await?;
    let own = client.customer(customer);
    for n in 0..EVENTS {
        let how = ["complete", "throw", "sleep"][n % 3];
        own.send(&event(n, how, text)).await?;
    }
    for n in 0..HELD {
        let data = json!({"text": text, "how": "complete"});
        let body = json!({"id": format!("held-{n}"), "type": "held", "data": data});
        own.send(&serde_json::from_value::<SendEvent>(body)?).await?;
    }
    until("every execution at its rest", async || {
        let rows = own.executions().take(1_000).await?;
        let count = |status| rows.iter().filter(|row| row.status == status).count();
        let rests = [ExecutionStatus::Completed, ExecutionStatus::Failed, ExecutionStatus::Waiting].map(count);
        Ok((rests == [EVENTS / 3; 3]).then_some(()))
    })
    .await?;
    until("its alert fires", async || Ok(own.alerts().take(1).await?.into_iter().next())).await?;
    Ok(())
}

async fn erased(client: &Fastn, id: &str) -> anyhow::Result<ErasureView> {
    until("the end of the erasure", async || {
        let view = client.erasure(id).await?;
        Ok((view.status == ErasureStatus::Done).then_some(view))
    })
    .await
}

/// The end of an erasure whose node is killed once the executions are stopped.
async fn erased_over_a_kill(server: &mut Cluster, id: &str) -> anyhow::Result<ErasureView> {
    let client = server.client("api")?;
    until("its executions are stopped", async || {
        Ok(client.erasure(id).await?.steps.iter().any(|step| step.step == "stopped").then_some(()))
    })
    .await?;
    server.kill(NODE)?;
    server.start_node(NODE).await?;
    erased(&server.client("api")?, id).await
}

async fn export(client: &Fastn, customer: &str) -> anyhow::Result<Vec<Value>> {
    let mut pieces = std::pin::pin!(client.export_customer(customer).await?);
    let mut text = Vec::new();
    while let Some(piece) = pieces.next().await {
        text.extend_from_slice(&piece?);
    }
    String::from_utf8(text)?.lines().map(|line| Ok(serde_json::from_str(line)?)).collect()
}

/// Property: of a customer whose log is sealed no byte is found in any file once it is erased, though the node was killed
/// in the middle, and though its executions were asleep; the log never held one in the clear. The proof says so, what was
/// made anew of the log has none of it, its neighbour keeps everything, and its id can be used again.
#[tokio::test(flavor = "multi_thread")]
async fn an_erased_customer_leaves_no_byte() -> anyhow::Result<()> {
    let sink = Sink::start(Duration::from_millis(1)).await?;
    let mut server = Cluster::start(&Plan::embedded()).await?;
    let data = server.folder().join(NODE);
    let client = server.client("api")?;
    put_workflow(&client, "job", json!({"tier": "long"}), &WORKFLOW.replace("SINK", &sink.url)).await?;
    put_keyed_triggers(&client).await?;
    furnish(&client, "cus", json!({"encryptLog": true, "name": format!("Mr {MARK}")}), MARK).await?;
    furnish(&client, "other", json!({"encryptLog": true}), "neighbour").await?;
    // Another start reads sealed records as plain ones.
    server.stop(NODE).await?;
    assert_eq!(files_with(MARK, &data.join("log"))?, Vec::<String>::new(), "the log is sealed");
    assert_ne!(files_with(MARK, &data)?, Vec::<String>::new(), "the search finds what there is");
    server.start_node(NODE).await?;
    let client = server.client("api")?;
    assert_eq!(client.customer("cus").executions().take(100).await?.len(), EVENTS);

    let began = client.erase_customer("cus").await?;
    assert_eq!(client.erase_customer("cus").await?.id, began.id, "asking again answers the same erasure");
    assert_eq!(put_customer(&client, "cus", json!({})).await.unwrap_err().to_string().matches("erased").count(), 1);
    assert!(client.customer("cus").send(&event(99, "complete", MARK)).await.is_err(), "its events are refused");
    let proof = erased_over_a_kill(&mut server, &began.id).await?;
    let client = server.client("api")?;
    let steps: Vec<&str> = proof.steps.iter().map(|step| step.step.as_str()).collect();
    assert_eq!(steps, ["refused", "stopped", "deleted", "key_destroyed", "forgotten", "compacted", "done"]);
    let rows: HashMap<&str, u64> = proof.rows.iter().map(|rows| (rows.table.as_str(), rows.rows)).collect();
    // A kill between a deletion and its note may cost the note of it.
    assert!(rows["executions"] <= EVENTS as u64 && rows["resources"] >= 3, "{rows:?}");
    assert!(rows["usage"] >= 2, "{rows:?}");
    let rules = client.alert_rules().take(10).await?;
    assert_eq!(rules.iter().map(|rule| rule.body.id.as_str()).collect::<Vec<_>>(), ["about_other"]);
    assert_eq!(proof.keys.len(), 1);
    assert!(proof.log.len() == 2 && proof.log.iter().all(|log| log.unreadable && log.to > log.from), "{proof:?}");
    assert!(!serde_json::to_string(&proof)?.contains("cus\""), "the proof names nobody");

    let neighbour = client.customer("other").executions().take(100).await?;
    assert_eq!(neighbour.len(), EVENTS);
    assert_eq!(client.executions().take(100).await?.len(), EVENTS);
    server.stop(NODE).await?;
    assert_eq!(files_with(MARK, server.folder())?, Vec::<String>::new(), "no byte is left");

    // What the log still holds says nothing of it either.
    let partitions = PARTITIONS.to_string();
    let arguments = ["rebuild", "--partitions", &partitions, "--data"];
    let rebuilt = std::process::Command::new(binary()?).args(arguments).arg(&data).output()?;
    assert!(rebuilt.status.success(), "{}", String::from_utf8_lossy(&rebuilt.stderr));
    assert_eq!(files_with(MARK, server.folder())?, Vec::<String>::new());
    server.start_node(NODE).await?;
    let client = server.client("api")?;
    assert_eq!(client.executions().take(100).await?.len(), EVENTS, "the neighbour's");
    assert_eq!(client.events().take(100).await?.len(), EVENTS + HELD, "the neighbour's");
    put_customer(&client, "cus", json!({"encryptLog": true})).await?;
    // Of the ids that it used, hashes stay for as long as the window in which copies are recognised.
    client.customer("cus").send(&event(100, "complete", "again")).await?;
    until("it runs again", async || {
        let rows = client.customer("cus").executions().take(10).await?;
        Ok(rows.first().is_some_and(|row| row.status == ExecutionStatus::Completed).then_some(()))
    })
    .await?;
    server.forget();
    Ok(())
}

/// Property: over Kafka and PostgreSQL the same erasure, with the node killed in the middle, leaves no row, and the topics
/// never held a payload of it in the clear, while those of a customer that does not seal are found there.
#[tokio::test(flavor = "multi_thread")]
async fn an_erased_customer_leaves_no_row_on_kafka_and_postgres() -> anyhow::Result<()> {
    let sink = Sink::start(Duration::from_millis(1)).await?;
    let mut server = Cluster::start(&Plan::alone()).await?;
    let client = server.client("api")?;
    put_workflow(&client, "job", json!({"tier": "long"}), &WORKFLOW.replace("SINK", &sink.url)).await?;
    put_keyed_triggers(&client).await?;
    let (sealed, plain) = (format!("{MARK}-sealed-{}", std::process::id()), format!("plain-{}", std::process::id()));
    furnish(&client, "cus", json!({"encryptLog": true, "name": format!("Mr {sealed}")}), &sealed).await?;
    furnish(&client, "other", json!({}), &plain).await?;
    let tables = server.psql(TABLES)?;
    let before = tables.matches(plain.as_str()).count();
    assert!(tables.contains(&sealed) && before > 0, "the search finds what there is");

    let began = client.erase_customer("cus").await?;
    let proof = erased_over_a_kill(&mut server, &began.id).await?;
    let steps: Vec<&str> = proof.steps.iter().map(|step| step.step.as_str()).collect();
    assert_eq!(steps, ["refused", "stopped", "deleted", "key_destroyed", "forgotten", "done"]);
    assert!(proof.keys.len() == 1 && proof.log.iter().all(|log| log.unreadable), "{proof:?}");
    let tables = server.psql(TABLES)?;
    assert_eq!(tables.matches(sealed.as_str()).count(), 0);
    assert_eq!(tables.matches(plain.as_str()).count(), before, "the neighbour keeps everything");
    let (kafka, _) = server.data_of_servers().unwrap();
    assert_eq!(files_with(&sealed, &kafka)?, Vec::<String>::new());
    assert_ne!(files_with(&plain, &kafka)?, Vec::<String>::new(), "the search finds what is not sealed");
    server.forget();
    Ok(())
}

/// Property: a customer whose log is not sealed is erased from everything but the log, and the proof says until when what
/// remains can be read.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_sealed_is_told() -> anyhow::Result<()> {
    let sink = Sink::start(Duration::from_millis(1)).await?;
    let mut server = Cluster::start(&Plan::embedded()).await?;
    let client = server.client("api")?;
    put_workflow(&client, "job", json!({"tier": "long"}), &WORKFLOW.replace("SINK", &sink.url)).await?;
    put_keyed_triggers(&client).await?;
    furnish(&client, "cus", json!({}), MARK).await?;
    // Sealed from now on only: what came before is not.
    put_customer(&client, "late", json!({})).await?;
    put_customer(&client, "late", json!({"encryptLog": true})).await?;
    let began = [client.erase_customer("cus").await?, client.erase_customer("late").await?];
    for (began, keys) in began.iter().zip([0, 1]) {
        let proof = erased(&client, &began.id).await?;
        assert!(proof.keys.len() == keys && proof.log.iter().all(|log| !log.unreadable), "{proof:?}");
        assert!(proof.log[0].gone_by > proof.requested_at);
    }
    assert_eq!(client.erasures().take(10).await?.len(), 2);
    assert_eq!(client.executions().take(10).await?.len(), 0);
    server.forget();
    Ok(())
}

/// Property: an export holds everything of its customer, whole, and nothing of another or of a secret's value; the command
/// line writes the same.
#[tokio::test(flavor = "multi_thread")]
async fn exports_are_whole() -> anyhow::Result<()> {
    let sink = Sink::start(Duration::from_millis(1)).await?;
    let mut server = Cluster::start(&Plan::embedded()).await?;
    let client = server.client("api")?;
    put_workflow(&client, "job", json!({"tier": "long"}), &WORKFLOW.replace("SINK", &sink.url)).await?;
    put_keyed_triggers(&client).await?;
    furnish(&client, "cus", json!({"name": "Acme"}), "mine").await?;
    furnish(&client, "other", json!({"encryptLog": true}), MARK).await?;
    let lines = export(&client, "cus").await?;
    let of = |kind: &str| lines.iter().filter(|line| line["type"] == kind).collect::<Vec<_>>();
    assert_eq!((&lines[0]["type"], &lines[0]["customer"]), (&json!("export"), &json!("cus")));
    assert_eq!(of("customer")[0]["body"]["name"], "Acme");
    assert_eq!((of("secret").len(), &of("secret")[0]["name"]), (1, &json!("TOKEN")));
    assert_eq!(
        (of("event").len(), of("execution").len(), of("dead_letter").len()),
        (EVENTS + HELD, EVENTS, EVENTS / 3)
    );
    assert!(of("event").iter().any(|line| line["data"]["text"] == "mine" && line["eventType"] == "job"));
    let used = |measure: &str| {
        of("usage").into_iter().find(|line| line["measure"] == measure).map(|line| line["used"].clone())
    };
    assert_eq!(used("events"), Some(json!(EVENTS + HELD)));
    let done = of("execution").into_iter().find(|line| line["status"] == "completed").unwrap();
    assert!(done["output"]["text"] == "mine" && done["steps"].as_array().is_some_and(|steps| !steps.is_empty()));
    assert!(of("state").iter().any(|line| line["key"] == "last" && line["value"] == "mine"), "{:?}", of("state"));
    let end = lines.last().unwrap();
    assert_eq!((&end["type"], &end["counts"]["event"]), (&json!("end"), &json!(EVENTS + HELD)));
    let text = serde_json::to_string(&lines)?;
    assert!(!text.contains(MARK) && !text.contains("secret-mine"));
    let sealed = export(&client, "other").await?;
    assert!(
        sealed.iter().any(|line| line["type"] == "state" && line["value"] == MARK),
        "state is read through the seal"
    );
    assert_eq!(client.export_customer("nobody").await.map(drop).unwrap_err().status, Some(404));

    let file = server.folder().join("cus.ndjson");
    let output = std::process::Command::new(binary()?)
        .args(["customers", "export", "cus", "--url", server.url(NODE)?, "--access-key", &server.access_key()?])
        .arg("--output")
        .arg(&file)
        .output()?;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(std::fs::read_to_string(&file)?.lines().count(), lines.len());
    server.forget();
    Ok(())
}

/// Property: the retention of an account is what was set last, nonsense is refused with the name of the part, and the
/// command line erases only when it is told to mean it.
#[tokio::test(flavor = "multi_thread")]
async fn settings_and_command_line() -> anyhow::Result<()> {
    let mut server = Cluster::start(&Plan::embedded()).await?;
    let client = server.client("api")?;
    put_customer(&client, "cus", json!({})).await?;
    assert_eq!(client.retention().await?, RetentionSettings { activity_days: 30, payload_days: None });
    for (activity_days, payload_days, part) in [
        (0, None, "activityDays"),
        (367, None, "activityDays"),
        (7, Some(0), "payloadDays"),
        (7, Some(8), "payloadDays"),
    ] {
        let refused = client.put_retention(&RetentionSettings { activity_days, payload_days }).await.unwrap_err();
        assert_eq!(refused.fields[0].path, part);
    }
    let (url, key) = (server.url(NODE)?.to_owned(), server.access_key()?);
    let run = |line: &str| {
        let output = std::process::Command::new(binary()?)
            .args(line.split(' '))
            .args(["--url", &url, "--access-key", &key])
            .output()?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        anyhow::Ok((output.status.code(), text + &String::from_utf8_lossy(&output.stderr)))
    };
    let (code, text) = run("retention set --activity-days 90 --payload-days 7")?;
    assert!(code == Some(0) && text.contains("activity 90 days, payloads 7 days"), "{text}");
    assert_eq!(client.retention().await?, RetentionSettings { activity_days: 90, payload_days: Some(7) });
    let (code, text) = run("customers erase cus")?;
    assert!(code == Some(1) && text.contains("--yes"), "{text}");
    let (code, text) = run("customers erase cus --yes")?;
    assert!(code == Some(0) && text.contains("ers_") && text.contains("done"), "{text}");
    let (code, text) = run("customers list")?;
    assert!(code == Some(0) && !text.contains("cus"), "{text}");
    let (code, text) = run("customers erasures")?;
    assert!(code == Some(0) && text.contains("done"), "{text}");
    server.forget();
    Ok(())
}
