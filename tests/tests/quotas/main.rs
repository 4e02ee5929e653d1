//! Quotas and flow control through the public API, embedded and on Kafka and PostgreSQL: a burst for every dimension and
//! mode, every kind of flow control, and a limit that holds exactly while the process is killed.

#![allow(clippy::unwrap_used, reason = "what fails here fails a test")]

use std::collections::HashMap;
use std::time::Duration;

use fastn_sdk::contract::activity::{EventStatus, EventView, ExecutionStatus, ExecutionView};
use fastn_sdk::contract::command::SendEvent;
use fastn_sdk::contract::error::ErrorCode;
use fastn_sdk::contract::quota::{Dimension, Measure, Plan as QuotaPlan, QuotaOutcome, QuotaSettings};
use fastn_sdk::contract::resource::{Trigger, Workflow};
use fastn_sdk::{CustomerClient, Fastn};
use fastn_tests::faults::{Cluster, Plan};
use fastn_tests::server::{put_customer, put_workflow};
use fastn_tests::{Sink, until};
use serde_json::{Value, json};

mod flow;

/// How long the sink takes: what is under way at once shows in the times of its calls.
const SINK_DELAY: Duration = Duration::from_millis(150);
/// The one process.
const NODE: &str = "all";

const CALL: &str = r#"
export default async function (ctx: any) {
  await fetch("SINK/" + ctx.customer.id + "/" + ctx.event.type + "/" + ctx.event.id, { method: "POST", body: "x" });
  return ctx.input;
}
"#;
const FIVE_STEPS: &str = r#"
export default async function (ctx: any) {
  for (let n = 0; n < 5; n++) await fetch("SINK/" + ctx.customer.id + "/five/" + n, { method: "POST", body: "x" });
}
"#;

fn event(kind: &str, id: &str, data: Value) -> SendEvent {
    serde_json::from_value(json!({"id": id, "type": kind, "data": data})).unwrap()
}

/// Sends so many events in one request: they are admitted in one run.
async fn burst(client: &CustomerClient, kind: &str, count: usize) -> anyhow::Result<()> {
    let events: Vec<SendEvent> = (0..count).map(|n| event(kind, &format!("{kind}-{n}"), json!({"n": n}))).collect();
    client.send_many(&events).await?;
    Ok(())
}

/// The events of the client's customer, once there are `count`.
async fn events(client: &Fastn, count: usize) -> anyhow::Result<Vec<EventView>> {
    until(&format!("{count} events"), async || {
        let found = client.events().take(10_000).await?;
        Ok((found.len() >= count).then_some(found))
    })
    .await
}

/// The executions of one workflow, once there are `count` that have ended.
async fn ended(client: &Fastn, workflow: &str, count: usize) -> anyhow::Result<Vec<ExecutionView>> {
    until(&format!("{count} ended executions of {workflow}"), async || {
        let found = client.executions().filter("workflow", Some(workflow)).take(10_000).await?;
        let over = found.iter().filter(|one| one.status.is_final()).count();
        Ok((over >= count).then_some(found))
    })
    .await
}

fn outcomes(events: &[EventView], outcome: QuotaOutcome) -> usize {
    events.iter().filter(|event| event.quota == Some(outcome)).count()
}

/// Property: of a burst beyond the limit of any dimension, exactly the limit passes where it is hard; all of it passes where
/// the limit is soft or only counts, and is told accordingly; all of it is taken where it queues, and the rest waits. A
/// refused event says why, and can be replayed once the limit is raised. Usage says what was used and what is left.
#[tokio::test(flavor = "multi_thread")]
async fn every_dimension_and_mode() -> anyhow::Result<()> {
    dimensions_and_modes(&Plan::embedded()).await
}

/// Property: the same holds on Kafka and PostgreSQL.
#[tokio::test(flavor = "multi_thread")]
async fn every_dimension_and_mode_on_kafka_and_postgres() -> anyhow::Result<()> {
    dimensions_and_modes(&Plan::alone()).await
}

async fn dimensions_and_modes(plan: &Plan) -> anyhow::Result<()> {
    let sink = Sink::start(SINK_DELAY).await?;
    let server = Cluster::start(plan).await?;
    let client = server.client("api")?;
    put_workflow(&client, "job", json!({"tier": "long"}), &CALL.replace("SINK", &sink.url)).await?;
    put_workflow(&client, "five", json!({"tier": "long"}), &FIVE_STEPS.replace("SINK", &sink.url)).await?;
    for dimension in ["eventsPerMinute", "eventsPerDay"] {
        event_bursts(&client, dimension).await?;
    }
    concurrent(&client).await?;
    steps(&client, &sink).await?;
    payloads(&client).await?;
    triggers(&client).await?;
    for (dimension, code) in
        [("apiCallsPerMinute", ErrorCode::RateLimited), ("apiCallsPerDay", ErrorCode::QuotaExceeded)]
    {
        api_calls(&client, &server.access_key()?, dimension, code).await?;
    }
    // Last: the plan holds for the whole account.
    workflows(&client).await
}

/// A customer of its own for each mode: `limit` of `dimension`.
async fn limited(client: &Fastn, dimension: &str, limit: u64, mode: &str) -> anyhow::Result<CustomerClient> {
    let id = format!("{dimension}-{mode}");
    put_customer(client, &id, json!({"quotas": {dimension: {"limit": limit, "mode": mode}}})).await?;
    Ok(client.customer(id))
}

async fn event_bursts(client: &Fastn, dimension: &str) -> anyhow::Result<()> {
    const LIMIT: usize = 4;
    const SENT: usize = 10;
    for mode in ["hard", "soft", "queue", "shadow"] {
        let customer = limited(client, dimension, LIMIT as u64, mode).await?;
        burst(&customer, "job", SENT).await?;
        let events = events(&customer, SENT).await?;
        let beyond = match mode {
            "hard" => outcomes(&events, QuotaOutcome::Blocked),
            "soft" => outcomes(&events, QuotaOutcome::Over),
            "queue" => outcomes(&events, QuotaOutcome::Queued),
            _ => outcomes(&events, QuotaOutcome::Shadowed),
        };
        // A burst is one append: it may lie on both sides of a minute, and then each has room of its own.
        let mut minutes: HashMap<String, usize> = HashMap::new();
        for event in &events {
            *minutes.entry(event.received_at[..16].to_owned()).or_default() += 1;
        }
        let expected: usize = match dimension {
            "eventsPerMinute" => minutes.values().map(|sent| sent.saturating_sub(LIMIT)).sum(),
            _ => SENT - LIMIT,
        };
        assert_eq!(beyond, expected, "{dimension} {mode}: {events:?}");
        let started = events.iter().filter(|event| event.status == EventStatus::Delivered).count();
        assert_eq!(started, if mode == "hard" { SENT - expected } else { SENT }, "{dimension} {mode}");
        match mode {
            "hard" => refused_and_replayed(client, &customer, dimension, &events).await?,
            "queue" => waits_for_its_window(&customer, dimension, SENT - expected).await?,
            "soft" => assert!(
                events.iter().any(|event| event.reason.as_ref().is_some_and(|why| why.contains("let through"))),
                "{events:?}"
            ),
            _ => assert!(events.iter().all(|event| event.reason.is_none()), "{events:?}"),
        }
    }
    Ok(())
}

/// A refused event says which limit, whose, and what to do; it is taken once the limit is raised; usage knows of both.
async fn refused_and_replayed(
    client: &Fastn,
    customer: &CustomerClient,
    dimension: &str,
    events: &[EventView],
) -> anyhow::Result<()> {
    let refused: Vec<&EventView> = events.iter().filter(|one| one.quota == Some(QuotaOutcome::Blocked)).collect();
    let (id, whose) = (refused[0].id.clone(), format!("{dimension}-hard"));
    let why = refused[0].reason.clone().unwrap_or_default();
    assert!(why.starts_with("QUOTA_EXCEEDED: the limit of 4 events per ") && why.contains(&whose), "{why}");
    let listed = customer.events().filter("quota", Some("blocked")).take(100).await?;
    assert_eq!(listed.len(), refused.len());
    let conflict = customer.replay_event(&events.iter().find(|one| one.quota.is_none()).unwrap().id).await;
    assert_eq!(conflict.unwrap_err().code, Some(ErrorCode::Conflict));

    put_customer(client, &whose, json!({"quotas": {dimension: {"limit": 1_000}}})).await?;
    customer.replay_event(&id).await?;
    until("the replayed event is delivered", async || {
        let event = customer.event(&id).await?;
        Ok((event.status == EventStatus::Delivered).then_some(()))
    })
    .await?;
    let admitted = (events.len() - refused.len() + 1) as u64;
    until("usage of the day", async || {
        let rows = customer.usage().take(100).await?;
        let used = |measure| rows.iter().filter(|row| row.measure == measure).map(|row| row.used).sum::<u64>();
        let right = used(Measure::Events) == admitted && used(Measure::EventsBlocked) == refused.len() as u64;
        Ok(right.then_some(()))
    })
    .await?;
    let current = customer.current_usage().await?;
    let day = current.quotas.iter().find(|quota| quota.dimension == Dimension::EventsPerDay).unwrap();
    assert_eq!(day.used, Some(admitted), "{current:?}");
    if dimension == "eventsPerDay" {
        assert_eq!((day.limit, day.left), (Some(1_000), Some(1_000 - admitted)));
    }
    Ok(())
}

/// Within the limit executions run at once; the others wait, and say for what.
async fn waits_for_its_window(customer: &CustomerClient, dimension: &str, at_once: usize) -> anyhow::Result<()> {
    let executions = ended(customer, "job", at_once).await?;
    let waiting: Vec<&ExecutionView> = executions.iter().filter(|one| !one.status.is_final()).collect();
    for one in waiting {
        // The minute that it waits for may have come meanwhile.
        let Some(waiting_on) = customer.execution(&one.id).await?.waiting_on else { continue };
        assert_eq!((waiting_on.limit.as_str(), waiting_on.until.is_some()), (dimension, true), "{waiting_on:?}");
        let expected = format!("waiting on the limit {dimension} of customer {dimension}-queue until ");
        assert!(waiting_on.text.starts_with(&expected), "{}", waiting_on.text);
    }
    Ok(())
}

async fn concurrent(client: &Fastn) -> anyhow::Result<()> {
    const SENT: usize = 5;
    for (mode, beyond) in
        [("hard", QuotaOutcome::Blocked), ("soft", QuotaOutcome::Over), ("shadow", QuotaOutcome::Shadowed)]
    {
        let customer = limited(client, "concurrentExecutions", 2, mode).await?;
        burst(&customer, "job", SENT).await?;
        let events = events(&customer, SENT).await?;
        assert_eq!(outcomes(&events, beyond), SENT - 2, "concurrentExecutions {mode}: {events:?}");
        let all = ended(&customer, "job", if mode == "hard" { 2 } else { SENT }).await?;
        assert!(all.iter().all(|one| one.status == ExecutionStatus::Completed));
    }
    let customer = limited(client, "concurrentExecutions", 1, "queue").await?;
    burst(&customer, "job", SENT).await?;
    until("one waits for the limit of its customer", async || {
        let queued = customer.executions().filter("status", Some("queued")).take(100).await?;
        let Some(one) = queued.first() else { return Ok(None) };
        let waiting = customer.execution(&one.id).await?.waiting_on;
        let expected = "waiting on the limit concurrentExecutions (1) of customer concurrentExecutions-queue";
        Ok(waiting.filter(|waiting| waiting.text == expected))
    })
    .await?;
    ended(&customer, "job", SENT).await?;
    Ok(())
}

async fn steps(client: &Fastn, sink: &Sink) -> anyhow::Result<()> {
    for (mode, made) in [("hard", 3), ("soft", 5), ("shadow", 5)] {
        let customer = limited(client, "stepsPerExecution", 3, mode).await?;
        burst(&customer, "five", 1).await?;
        let execution = ended(&customer, "five", 1).await?.remove(0);
        let calls =
            sink.calls().iter().filter(|call| call.path.starts_with(&format!("/stepsPerExecution-{mode}/"))).count();
        assert_eq!(calls, made, "{mode}: {execution:?}");
        let code = execution.error.map(|error| error.code);
        assert_eq!(code.as_deref(), (mode == "hard").then_some("QUOTA_EXCEEDED"));
    }
    Ok(())
}

async fn payloads(client: &Fastn) -> anyhow::Result<()> {
    for mode in ["hard", "soft", "shadow"] {
        let customer = limited(client, "payloadBytes", 100, mode).await?;
        customer.send(&event("none", "small", json!("x".repeat(50)))).await?;
        let sent = customer.send(&event("none", "large", json!("x".repeat(200)))).await;
        let run = customer.run("job", json!({"text": "x".repeat(200)})).await;
        if mode == "hard" {
            assert_eq!(sent.unwrap_err().code, Some(ErrorCode::PayloadTooLarge));
            assert_eq!(run.unwrap_err().code, Some(ErrorCode::PayloadTooLarge));
        } else {
            sent?;
            run?;
        }
    }
    Ok(())
}

async fn triggers(client: &Fastn) -> anyhow::Result<()> {
    for mode in ["hard", "soft", "shadow"] {
        let customer = limited(client, "triggers", 1, mode).await?;
        let put = async |n: u32| {
            let trigger: Trigger = serde_json::from_value(json!({
                "id": format!("t-{mode}-{n}"), "customer": format!("triggers-{mode}"),
                "source": {"type": "event", "types": ["none"]}, "routes": [{"workflow": "job"}],
            }))?;
            anyhow::Ok(client.put_trigger(&trigger).await)
        };
        put(1).await??;
        let second = put(2).await?;
        if mode == "hard" {
            assert_eq!(second.unwrap_err().code, Some(ErrorCode::QuotaExceeded));
            put(1).await??;
        } else {
            second?;
        }
        let current = customer.current_usage().await?;
        let found = current.quotas.iter().find(|quota| quota.dimension == Dimension::Triggers).unwrap();
        assert_eq!((found.limit, found.used), (Some(1), Some(if mode == "hard" { 1 } else { 2 })));
    }
    Ok(())
}

async fn api_calls(client: &Fastn, key: &str, dimension: &str, code: ErrorCode) -> anyhow::Result<()> {
    const LIMIT: u64 = 5;
    let minute = || std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs() / 60;
    for mode in ["hard", "soft", "shadow"] {
        for try_again in 0.. {
            let id = format!("{dimension}-{mode}-{try_again}");
            put_customer(client, &id, json!({"quotas": {dimension: {"limit": LIMIT, "mode": mode}}})).await?;
            let began = minute();
            let mut passed = 0;
            for _ in 0..12 {
                match raw(client.url(), key, &id).await? {
                    (200, fields) => {
                        passed += 1;
                        assert_eq!(fields.0.contains(&format!("\"{dimension}\";q={LIMIT};w=")), mode != "shadow");
                    }
                    (429, fields) => {
                        assert!(fields.1.contains(&format!("\"{dimension}\";r=0;t=")), "{fields:?}");
                        assert!(fields.2.is_some_and(|after| after >= 1), "Retry-After");
                        assert_eq!(fields.3, code.as_str());
                    }
                    (status, fields) => anyhow::bail!("{status} {fields:?}"),
                }
            }
            if minute() != began {
                // The window changed in between: another customer, another try.
                continue;
            }
            assert_eq!(passed, if mode == "hard" { LIMIT } else { 12 }, "{dimension} {mode}");
            break;
        }
    }
    Ok(())
}

/// One request: status, RateLimit-Policy, RateLimit, Retry-After, and the problem's code.
async fn raw(url: &str, key: &str, customer: &str) -> anyhow::Result<(u16, (String, String, Option<u64>, String))> {
    let url = format!("{}/v1/events", url.trim_end_matches('/'));
    let request = reqwest::Client::new().get(url).header("x-fastn-access-key", key);
    let answer = request.header("x-fastn-account-tenant-id", customer).send().await?;
    let field = |name: &str| answer.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
    let (policy, rate) = (field("ratelimit-policy").unwrap_or_default(), field("ratelimit").unwrap_or_default());
    let (status, after) = (answer.status().as_u16(), field("retry-after").and_then(|text| text.parse().ok()));
    let body: Value = answer.json().await?;
    Ok((status, (policy, rate, after, body["code"].as_str().unwrap_or_default().to_owned())))
}

/// A customer has the workflows that its triggers name, each once.
async fn workflows(client: &Fastn) -> anyhow::Result<()> {
    for mode in ["hard", "soft", "shadow"] {
        let customer = limited(client, "workflows", 1, mode).await?;
        let put = async |n: u32, workflows: &[&str]| {
            let routes: Vec<Value> = workflows.iter().map(|workflow| json!({"workflow": workflow})).collect();
            let trigger: Trigger = serde_json::from_value(json!({
                "id": format!("w-{mode}-{n}"), "customer": format!("workflows-{mode}"),
                "source": {"type": "event", "types": ["none"]}, "routes": routes,
            }))?;
            anyhow::Ok(client.put_trigger(&trigger).await)
        };
        put(1, &["job"]).await??;
        put(2, &["job"]).await??;
        for (n, workflows) in [(3, vec!["five"]), (2, vec!["job", "five"])] {
            let more = put(n, &workflows).await?;
            if mode == "hard" {
                assert_eq!(more.unwrap_err().code, Some(ErrorCode::QuotaExceeded));
            } else {
                more?;
            }
        }
        let current = customer.current_usage().await?;
        let found = current.quotas.iter().find(|quota| quota.dimension == Dimension::Workflows).unwrap();
        assert_eq!((found.limit, found.used), (Some(1), Some(if mode == "hard" { 1 } else { 2 })));
    }
    // Those of a customer count, and not those of the account.
    let workflow: Workflow = serde_json::from_value(json!({"id": "another"}))?;
    let plan: QuotaPlan = serde_json::from_value(json!({"id": "small", "quotas": {"workflows": {"limit": 0}}}))?;
    client.put_plan(&plan).await?;
    client.put_quota_settings(&QuotaSettings { plan: "small".to_owned() }).await?;
    client.put_workflow(&workflow).await?;
    Ok(())
}

/// Property: however often the process is killed while events come in, exactly the limit is admitted, each event starts one
/// execution, and all others are refused as beyond it.
#[tokio::test(flavor = "multi_thread")]
async fn exactly_the_limit_over_kills() -> anyhow::Result<()> {
    exact_over_kills(&Plan::embedded()).await
}

/// Property: the same holds on Kafka and PostgreSQL.
#[tokio::test(flavor = "multi_thread")]
async fn exactly_the_limit_over_kills_on_kafka_and_postgres() -> anyhow::Result<()> {
    exact_over_kills(&Plan::alone()).await
}

async fn exact_over_kills(plan: &Plan) -> anyhow::Result<()> {
    const LIMIT: usize = 150;
    const ROUNDS: usize = 3;
    let sink = Sink::start(Duration::from_millis(3)).await?;
    let mut server = Cluster::start(plan).await?;
    let client = server.client("api")?;
    put_customer(&client, "cus", json!({"quotas": {"eventsPerDay": {"limit": LIMIT}}})).await?;
    put_workflow(&client, "job", json!({"tier": "long"}), &CALL.replace("SINK", &sink.url)).await?;
    let mut accepted = 0;
    for round in 0..=ROUNDS {
        let customer = server.client("api")?.customer("cus");
        // Fewer than the edge takes of such a limit in the life of a process.
        for batch in 0..10 {
            let events: Vec<SendEvent> =
                (0..10).map(|n| event("job", &format!("e-{round}-{batch}-{n}"), json!({}))).collect();
            customer.send_many(&events).await?;
            accepted += events.len();
        }
        if round < ROUNDS {
            server.kill(NODE)?;
            server.start_node(NODE).await?;
        }
    }
    let customer = server.client("api")?.customer("cus");
    let events = events(&customer, accepted).await?;
    assert_eq!(outcomes(&events, QuotaOutcome::Blocked), accepted - LIMIT, "blocked");
    let delivered = events.iter().filter(|event| event.status == EventStatus::Delivered).count();
    assert_eq!(delivered, LIMIT, "delivered");
    let executions = ended(&customer, "job", LIMIT).await?;
    assert_eq!(executions.len(), LIMIT, "executions");
    assert!(executions.iter().all(|one| one.status == ExecutionStatus::Completed));
    Ok(())
}
