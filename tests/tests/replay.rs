//! Replays in bulk against the real binary: which are selected, at which version, from where, how fast; and a kill in the
//! middle.

#![allow(clippy::unwrap_used, reason = "what fails here fails a test")]

use std::collections::HashMap;
use std::time::Duration;

use fastn_sdk::Fastn;
use fastn_sdk::contract::activity::{EventStatus, ExecutionStatus, ExecutionView};
use fastn_sdk::contract::command::{PublishVersion, SendEvent};
use fastn_sdk::contract::replay::{ReplayStatus, ReplayView, StartReplay};
use fastn_tests::faults::{Cluster, Plan};
use fastn_tests::server::{put_customer, put_workflow};
use fastn_tests::{Sink, until};
use serde_json::{Value, json};

const NODE: &str = "all";
/// Executions of the replay that is killed.
const ITEMS: usize = 60;

/// Calls once, then meets an error of the code.
const BROKEN: &str = r#"
export default async function (ctx: any) {
  await fetch("SINK/first/" + ctx.input.n, { method: "POST", body: "1" });
  const nothing: any = undefined;
  return nothing.here;
}
"#;

/// The same call, then one more.
const MENDED: &str = r#"
export default async function (ctx: any) {
  await fetch("SINK/first/" + ctx.input.n, { method: "POST", body: "1" });
  await fetch("SINK/second/" + ctx.input.n, { method: "POST", body: ctx.execution.id });
  return ctx.input.n;
}
"#;

fn event(kind: &str, n: usize) -> SendEvent {
    serde_json::from_value(json!({"id": format!("{kind}-{n}"), "type": kind, "data": {"n": n}})).unwrap()
}

fn replay(body: Value) -> StartReplay {
    serde_json::from_value(body).unwrap()
}

async fn ended(client: &Fastn, workflow: &str, count: usize) -> anyhow::Result<Vec<ExecutionView>> {
    until(&format!("{count} ends of {workflow}"), async || {
        let rows = client.executions().filter("workflow", Some(workflow)).take(10_000).await?;
        let all = rows.len() >= count && rows.iter().all(|row| row.status.is_final());
        Ok(all.then_some(rows))
    })
    .await
}

async fn over(client: &Fastn, id: &str) -> anyhow::Result<ReplayView> {
    until("the end of the replay", async || {
        let view = client.replay_job(id).await?;
        Ok(view.status.is_final().then_some(view))
    })
    .await
}

async fn publish(client: &Fastn, workflow: &str, source: &str) -> anyhow::Result<()> {
    client.publish(workflow, &PublishVersion { source: source.to_owned(), file: None }).await?;
    Ok(())
}

/// Property: a replay whose node is killed in the middle, again and again, starts each of its executions exactly once, at
/// the version asked for; results before the failed step are kept, so that their calls do not go out again.
#[tokio::test(flavor = "multi_thread")]
async fn killed_replays_lose_none_and_double_none() -> anyhow::Result<()> {
    killed_replays(&Plan::embedded()).await
}

/// Property: the same over Kafka and PostgreSQL.
#[tokio::test(flavor = "multi_thread")]
async fn killed_replays_on_kafka_and_postgres() -> anyhow::Result<()> {
    killed_replays(&Plan::alone()).await
}

async fn killed_replays(plan: &Plan) -> anyhow::Result<()> {
    let sink = Sink::start(Duration::from_millis(1)).await?;
    let mut server = Cluster::start(plan).await?;
    let client = server.client("api")?;
    put_customer(&client, "cus", json!({})).await?;
    put_workflow(&client, "job", json!({}), &BROKEN.replace("SINK", &sink.url)).await?;
    let own = client.customer("cus");
    let events: Vec<SendEvent> = (0..ITEMS).map(|n| event("job", n)).collect();
    own.send_many(&events).await?;
    let failed = ended(&own, "job", ITEMS).await?;
    assert!(failed.iter().all(|row| row.status == ExecutionStatus::Failed));
    publish(&client, "job", &MENDED.replace("SINK", &sink.url)).await?;

    let request = replay(json!({
        "select": {"of": "dead_letters", "workflow": "job"}, "from": "failed_step", "version": 0, "ratePerSecond": 20,
    }));
    let preview = client.preview_replay(&request).await?;
    assert_eq!((preview.total, preview.more, preview.seconds), (ITEMS as u64, false, 3));
    let sample = &preview.sample[0];
    assert_eq!((sample.workflow.as_deref(), sample.version), (Some("job"), Some(2)));
    assert_eq!((sample.kept.len(), sample.calls_again.len()), (1, 0), "{sample:?}");

    let id = client.start_replay(&request).await?.id;
    for kills in 1..=2 {
        let client = server.client("api")?;
        until("some of it is started", async || {
            let rows = client.replay_job(&id).await?;
            Ok((rows.started >= (kills * ITEMS / 4) as u64).then_some(()))
        })
        .await?;
        server.kill(NODE)?;
        server.start_node(NODE).await?;
    }
    let client = server.client("api")?;
    let done = over(&client, &id).await?;
    assert_eq!(done.status, ReplayStatus::Completed);
    let counts = (done.total, done.started, done.succeeded, done.failed, done.skipped);
    assert_eq!(counts, (Some(ITEMS as u64), ITEMS as u64, ITEMS as u64, 0, 0), "{done:?}");

    let rows = ended(&client.customer("cus"), "job", 2 * ITEMS).await?;
    let mut replays: HashMap<&str, usize> = HashMap::new();
    for row in rows.iter().filter(|row| row.version == 2) {
        *replays.entry(row.replay_of.as_deref().unwrap_or("nobody")).or_default() += 1;
    }
    assert_eq!(replays.len(), ITEMS);
    assert!(replays.values().all(|count| *count == 1), "{replays:?}");
    // A kill may repeat a call under way, under its own key; another execution would have another key.
    let mut keys: HashMap<String, std::collections::HashSet<String>> = HashMap::new();
    for call in sink.calls() {
        keys.entry(call.path).or_default().insert(call.key);
    }
    assert_eq!(keys.len(), 2 * ITEMS);
    assert!(keys.values().all(|keys| keys.len() == 1), "a step ran under two keys");
    server.forget();
    Ok(())
}

/// A step that fails after its call.
const STEP_BROKEN: &str = r#"
export default async function (ctx: any) {
  await ctx.step("before", async () => { await fetch("SINK/before", { method: "POST", body: "1" }); });
  await ctx.step("call", async () => { await fetch("SINK/call", { method: "POST", body: "1" }); throw new Error("no"); });
}
"#;

/// Property: a replay from the failed step makes the calls of that step again, and not those of the steps before it; and the
/// preview says so.
#[tokio::test(flavor = "multi_thread")]
async fn the_failed_step_runs_again_as_a_whole() -> anyhow::Result<()> {
    let sink = Sink::start(Duration::from_millis(1)).await?;
    let mut server = Cluster::start(&Plan::embedded()).await?;
    let client = server.client("api")?;
    put_customer(&client, "cus", json!({})).await?;
    let broken = STEP_BROKEN.replace("SINK", &sink.url);
    put_workflow(&client, "job", json!({}), &broken).await?;
    let own = client.customer("cus");
    own.send(&event("job", 1)).await?;
    ended(&own, "job", 1).await?;
    publish(&client, "job", &broken.replace(r#"throw new Error("no");"#, "")).await?;
    let request = replay(json!({"select": {"of": "dead_letters"}, "from": "failed_step", "version": 0}));
    let preview = client.preview_replay(&request).await?;
    let sample = &preview.sample[0];
    assert!(sample.kept.len() == 1 && sample.kept[0].starts_with("before/"), "{sample:?}");
    assert!(sample.calls_again.len() == 1 && sample.calls_again[0].starts_with("call/"), "{sample:?}");
    let done = over(&client, &client.start_replay(&request).await?.id).await?;
    assert_eq!((done.succeeded, done.failed), (1, 0), "{done:?}");
    let count = |path: &str| sink.calls().iter().filter(|call| call.path.ends_with(path)).count();
    assert_eq!((count("/before"), count("/call")), (1, 2));
    server.forget();
    Ok(())
}

/// Property: events that a quota refused are taken once, however often they are replayed in bulk: while the limit still
/// holds, after it is raised, and once more; and a replay that is cancelled tells what it had started.
#[tokio::test(flavor = "multi_thread")]
async fn blocked_events_are_taken_once() -> anyhow::Result<()> {
    const EVENTS: usize = 6;
    let sink = Sink::start(Duration::from_millis(1)).await?;
    let mut server = Cluster::start(&Plan::embedded()).await?;
    let client = server.client("api")?;
    put_customer(&client, "cus", json!({"quotas": {"eventsPerDay": {"limit": 1}}})).await?;
    put_workflow(&client, "job", json!({}), &MENDED.replace("SINK", &sink.url)).await?;
    let own = client.customer("cus");
    let events: Vec<SendEvent> = (0..EVENTS).map(|n| event("job", n)).collect();
    // The edge lets one pass; the rest is refused at admission, as after a burst over several nodes.
    for event in &events {
        let _refused_at_the_edge = own.send(event).await;
    }
    let blocked = until("events are refused", async || {
        let rows = own.events().filter("quota", Some("blocked")).take(100).await?;
        Ok((!rows.is_empty()).then_some(rows.len()))
    })
    .await?;
    let request = replay(json!({"select": {"of": "events", "quota": "blocked"}, "ratePerSecond": 100}));
    let done = over(&client, &client.start_replay(&request).await?.id).await?;
    assert_eq!((done.succeeded, done.failed), (0, blocked as u64), "the limit still holds: {done:?}");
    put_customer(&client, "cus", json!({"quotas": {"eventsPerDay": {"limit": 100}}})).await?;
    let preview = client.preview_replay(&request).await?;
    assert_eq!(preview.total, blocked as u64, "each is listed once: {preview:?}");
    let done = over(&client, &client.start_replay(&request).await?.id).await?;
    assert_eq!((done.succeeded, done.failed, done.skipped), (blocked as u64, 0, 0), "{done:?}");
    let done = over(&client, &client.start_replay(&request).await?.id).await?;
    assert_eq!((done.started, done.skipped), (0, blocked as u64), "{done:?}");
    assert_eq!(ended(&own, "job", blocked + 1).await?.len(), blocked + 1);

    let request = replay(json!({"select": {"of": "executions"}, "ratePerSecond": 1}));
    let id = client.start_replay(&request).await?.id;
    until("one is started", async || {
        let rows = own.executions().take(100).await?;
        Ok(rows.iter().any(|row| row.replay_of.is_some()).then_some(()))
    })
    .await?;
    client.cancel_replay(&id).await?;
    until("the count is told", async || Ok((client.replay_job(&id).await?.started > 0).then_some(()))).await?;
    server.forget();
    Ok(())
}

/// Executions of two versions: numbers below 4 fail with version 1, 4 and 5 complete with version 2.
async fn mixed(client: &Fastn, sink: &Sink) -> anyhow::Result<()> {
    put_customer(client, "cus", json!({})).await?;
    put_customer(client, "other", json!({})).await?;
    put_workflow(client, "job", json!({}), &BROKEN.replace("SINK", &sink.url)).await?;
    let own = client.customer("cus");
    for n in 0..6 {
        if n == 4 {
            publish(client, "job", &MENDED.replace("SINK", &sink.url)).await?;
        }
        // One by one, so that no two were admitted at the same instant.
        own.send(&event("job", n)).await?;
        ended(&own, "job", n + 1).await?;
    }
    Ok(())
}

/// Property: each field of a selection of executions takes out what it says, alone and together with others, and every
/// request that makes no sense is refused with the name of the part.
#[tokio::test(flavor = "multi_thread")]
async fn every_field_selects() -> anyhow::Result<()> {
    let sink = Sink::start(Duration::from_millis(1)).await?;
    let mut server = Cluster::start(&Plan::embedded()).await?;
    let client = server.client("api")?;
    mixed(&client, &sink).await?;
    let rows = client.executions().take(100).await?;
    let split = &rows[2].created_at;
    let first = rows[0].id.clone();
    let counted = |select: Value| {
        let client = client.clone();
        async move {
            let request = replay(json!({"select": select}));
            let preview = client.preview_replay(&request).await?;
            anyhow::Ok(preview.total)
        }
    };
    for (fields, total) in [
        (json!({}), 6),
        (json!({"status": "failed"}), 4),
        (json!({"status": "completed"}), 2),
        (json!({"workflow": "job"}), 6),
        (json!({"workflow": "none"}), 0),
        (json!({"version": 1}), 4),
        (json!({"version": 2, "status": "failed"}), 0),
        (json!({"trigger": "on_job"}), 6),
        (json!({"trigger": "none"}), 0),
        (json!({"since": split}), 3),
        (json!({"until": split}), 3),
        (json!({"errorName": "TypeError"}), 4),
        (json!({"errorName": "RangeError"}), 0),
        (json!({"errorCode": "WF-EXEC-FAILED"}), 4),
        (json!({"errorStep": "none"}), 0),
        (json!({"customer": "cus"}), 6),
        (json!({"customer": "other"}), 0),
        (json!({"ids": [first]}), 1),
        (json!({"ids": [first], "status": "failed"}), 1),
    ] {
        let mut select = json!({"of": "executions"});
        select.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        assert_eq!(counted(select).await?, total, "{fields}");
    }
    for (fields, total) in [
        (json!({}), 4),
        (json!({"status": "pending"}), 4),
        (json!({"status": "replayed"}), 0),
        (json!({"workflow": "none"}), 0),
        (json!({"errorName": "TypeError"}), 4),
        (json!({"errorStep": "none"}), 0),
        (json!({"errorCode": "none"}), 0),
        (json!({"since": "2999-01-01T00:00:00Z"}), 0),
        (json!({"until": "1999-01-01T00:00:00Z"}), 0),
        (json!({"customer": "other"}), 0),
    ] {
        let mut select = json!({"of": "dead_letters"});
        select.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        assert_eq!(counted(select).await?, total, "dead letters {fields}");
    }
    for (body, part) in [
        (json!({"select": {"of": "executions"}, "ratePerSecond": 0}), "ratePerSecond"),
        (json!({"select": {"of": "executions"}, "ratePerSecond": 1_001}), "ratePerSecond"),
        (json!({"select": {"of": "executions"}, "limit": 0}), "limit"),
        (json!({"select": {"of": "executions", "ids": []}}), "select.ids"),
        (json!({"select": {"of": "executions", "since": "yesterday"}}), "select.since"),
        (json!({"select": {"of": "executions", "customer": "a/b"}}), "select.customer"),
        (json!({"select": {"of": "events"}, "from": "failed_step"}), "select.of"),
        (json!({"select": {"of": "events"}, "version": 1}), "select.of"),
    ] {
        let refused = client.start_replay(&replay(body.clone())).await.unwrap_err();
        assert_eq!(refused.fields.first().map(|field| field.path.as_str()), Some(part), "{body}: {refused}");
    }
    let other = client.customer("other");
    let theirs = replay(json!({"select": {"of": "executions", "customer": "cus"}}));
    assert_eq!(other.start_replay(&theirs).await.unwrap_err().status, Some(403));
    assert_eq!(other.preview_replay(&replay(json!({"select": {"of": "executions"}}))).await?.total, 0);
    server.forget();
    Ok(())
}

/// Property: a replay runs each at its own version, the latest, or the one asked for; names what it leaves out and why;
/// stops when it is cancelled; stays within its limit; and is told to its own customer only.
#[tokio::test(flavor = "multi_thread")]
async fn versions_limits_skips_and_cancel() -> anyhow::Result<()> {
    let sink = Sink::start(Duration::from_millis(1)).await?;
    let mut server = Cluster::start(&Plan::embedded()).await?;
    let client = server.client("api")?;
    mixed(&client, &sink).await?;
    let run = |body: Value| {
        let client = client.clone();
        async move {
            let started = client.start_replay(&replay(body)).await?;
            over(&client, &started.id).await
        }
    };
    let failed = json!({"of": "executions", "status": "failed", "version": 1});
    let same = run(json!({"select": failed, "ratePerSecond": 1_000})).await?;
    assert_eq!((same.started, same.succeeded, same.failed), (4, 0, 4), "version 1 is still broken: {same:?}");
    let letters = json!({"of": "dead_letters"});
    let limited = run(json!({"select": letters, "version": 2, "limit": 3, "ratePerSecond": 1_000})).await?;
    assert_eq!((limited.total, limited.started, limited.succeeded), (Some(3), 3, 3), "{limited:?}");
    let none = run(json!({"select": failed, "version": 9, "ratePerSecond": 1_000})).await?;
    assert_eq!((none.started, none.skipped, none.skips.len()), (0, 8, 8), "{none:?}");
    assert!(none.skips[0].reason.contains("version 9"), "{none:?}");
    let strange = "exec_00000000000000000000000001";
    let missing = run(json!({"select": {"of": "executions", "ids": [strange]}})).await?;
    assert_eq!((missing.skipped, missing.skips[0].id.as_str()), (1, strange));

    let slow = client.start_replay(&replay(json!({"select": {"of": "executions"}, "ratePerSecond": 1}))).await?;
    let stopped = client.cancel_replay(&slow.id).await?;
    assert_eq!(stopped.status, ReplayStatus::Cancelled);
    assert_eq!(client.cancel_replay(&slow.id).await?.status, ReplayStatus::Cancelled, "twice is once");
    assert!(client.replay_job(&slow.id).await?.started < 5);
    assert_eq!(client.cancel_replay(&same.id).await.unwrap_err().status, Some(409), "what is over stays so");
    assert_eq!(client.replays().take(100).await?.len(), 5);
    let other = client.customer("other");
    assert_eq!(other.replays().take(100).await?.len(), 0);
    assert_eq!(other.replay_job(&same.id).await.unwrap_err().status, Some(404));
    server.forget();
    Ok(())
}

/// Property: events that were rejected or that nothing matched come again under today's configuration, once each, with
/// their payload; runs by hand are left out.
#[tokio::test(flavor = "multi_thread")]
async fn events_come_again() -> anyhow::Result<()> {
    let sink = Sink::start(Duration::from_millis(1)).await?;
    let mut server = Cluster::start(&Plan::embedded()).await?;
    let client = server.client("api")?;
    put_customer(&client, "cus", json!({})).await?;
    put_workflow(&client, "job", json!({"status": "disabled"}), &MENDED.replace("SINK", &sink.url)).await?;
    let own = client.customer("cus");
    for n in 0..3 {
        own.send(&event("job", n)).await?;
        own.send(&event("stray", n)).await?;
    }
    until("six events", async || {
        let rows = own.events().take(100).await?;
        Ok((rows.len() == 6).then_some(()))
    })
    .await?;
    client.put_workflow(&serde_json::from_value(json!({"id": "job"}))?).await?;
    let count = |select: Value| {
        let client = client.clone();
        async move { anyhow::Ok(client.preview_replay(&replay(json!({"select": select}))).await?.total) }
    };
    for (fields, total) in [
        (json!({}), 6),
        (json!({"status": "rejected"}), 3),
        (json!({"status": "unmatched"}), 3),
        (json!({"status": "delivered"}), 0),
        (json!({"type": "stray"}), 3),
        (json!({"trigger": "none"}), 0),
        (json!({"customer": "cus"}), 6),
        (json!({"since": "2999-01-01T00:00:00Z"}), 0),
        (json!({"until": "1999-01-01T00:00:00Z"}), 0),
        (json!({"ids": ["job-1", "stray-2"]}), 2),
    ] {
        let mut select = json!({"of": "events"});
        select.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        assert_eq!(count(select).await?, total, "{fields}");
    }
    let select = json!({"select": {"of": "events", "type": "job"}, "ratePerSecond": 100});
    let started = client.start_replay(&replay(select)).await?;
    let done = over(&client, &started.id).await?;
    assert_eq!((done.started, done.succeeded, done.failed), (3, 3, 0), "{done:?}");
    let rows = ended(&own, "job", 3).await?;
    assert_eq!(rows.len(), 3);
    let again = own.event(&rows[0].event_id).await?;
    assert_eq!((again.status, again.kind.as_str()), (EventStatus::Delivered, "job"));
    let stray = json!({"select": {"of": "events", "status": "unmatched"}, "ratePerSecond": 100});
    let done = client.start_replay(&replay(stray)).await?.id;
    assert_eq!(over(&client, &done).await?.failed, 3, "nothing matches them today either");
    server.forget();
    Ok(())
}

/// Property: the command line previews, starts, follows, lists, shows and cancels.
#[tokio::test(flavor = "multi_thread")]
async fn command_line() -> anyhow::Result<()> {
    let sink = Sink::start(Duration::from_millis(1)).await?;
    let mut server = Cluster::start(&Plan::embedded()).await?;
    let client = server.client("api")?;
    mixed(&client, &sink).await?;
    let (url, key) = (server.url(NODE)?.to_owned(), server.access_key()?);
    let run = |line: &str| {
        let output = std::process::Command::new(fastn_tests::server::binary()?)
            .args(line.split(' '))
            .args(["--url", &url, "--access-key", &key])
            .output()?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        anyhow::Ok((output.status.code(), text + &String::from_utf8_lossy(&output.stderr)))
    };
    let (code, text) = run("replay preview dead-letters --from-failed-step --version 0")?;
    assert!(code == Some(0) && text.contains("4 would run") && text.contains("job@2"), "{text}");
    let (code, text) = run("replay start dead-letters --from-failed-step --version 0 --rate 100")?;
    assert!(code == Some(0) && text.contains("4 of 4 started, 4 succeeded"), "{text}");
    let (code, text) = run("replay start executions --ran-version 1 --rate 100 --customer cus")?;
    assert!(code == Some(1) && text.contains("4 of 4 started"), "version 1 is broken: {text}");
    let (code, text) = run("replay start executions --rate 1 --detach --json")?;
    let started: ReplayView = serde_json::from_str(&text)?;
    assert_eq!(code, Some(0));
    let (code, text) = run(&format!("replay cancel {}", started.id))?;
    assert!(code == Some(0) && text.contains("cancelled"), "{text}");
    let (code, text) = run(&format!("replay show {}", started.id))?;
    assert!(code == Some(0) && text.contains("cancelled"), "{text}");
    let (code, text) = run("replay list")?;
    assert!(code == Some(0) && text.matches("rpl_").count() == 3, "{text}");
    let (code, text) = run("replay start events --workflow job")?;
    assert!(code == Some(1) && text.contains("--workflow does not go"), "{text}");
    server.forget();
    Ok(())
}
