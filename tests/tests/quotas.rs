//! Quotas and flow control through the public API, embedded and on Kafka and PostgreSQL: a burst for every dimension and
//! mode, every kind of flow control, and a limit that holds exactly while the process is killed.

#![allow(clippy::unwrap_used, reason = "what fails here fails a test")]

use std::collections::HashMap;
use std::time::{Duration, Instant};

use fastn_sdk::Fastn;
use fastn_sdk::contract::activity::{EventStatus, EventView, ExecutionStatus, ExecutionView};
use fastn_sdk::contract::command::SendEvent;
use fastn_sdk::contract::error::ErrorCode;
use fastn_sdk::contract::flow::Priority;
use fastn_sdk::contract::quota::{Dimension, Measure, Plan as QuotaPlan, QuotaOutcome, QuotaSettings};
use fastn_sdk::contract::resource::{Trigger, Workflow};
use fastn_tests::faults::{Cluster, Plan};
use fastn_tests::server::{put_customer, put_workflow};
use fastn_tests::{DEADLINE, Sink};
use serde_json::{Value, json};

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
async fn burst(client: &Fastn, kind: &str, count: usize) -> anyhow::Result<()> {
    let events: Vec<SendEvent> = (0..count).map(|n| event(kind, &format!("{kind}-{n}"), json!({"n": n}))).collect();
    client.send_many(&events).await?;
    Ok(())
}

/// Looks until `look` finds something.
async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> anyhow::Result<Option<T>>) -> anyhow::Result<T> {
    let began = Instant::now();
    loop {
        if let Some(found) = look().await? {
            return Ok(found);
        }
        anyhow::ensure!(began.elapsed() < DEADLINE, "{what}: not seen in time");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
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
async fn limited(client: &Fastn, dimension: &str, limit: u64, mode: &str) -> anyhow::Result<Fastn> {
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
    customer: &Fastn,
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
async fn waits_for_its_window(customer: &Fastn, dimension: &str, at_once: usize) -> anyhow::Result<()> {
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

/// Property: each kind of flow control does what it says, for each key by itself.
#[tokio::test(flavor = "multi_thread")]
async fn every_flow_control() -> anyhow::Result<()> {
    flow_controls(&Plan::embedded()).await
}

/// Property: the same holds on Kafka and PostgreSQL.
#[tokio::test(flavor = "multi_thread")]
async fn every_flow_control_on_kafka_and_postgres() -> anyhow::Result<()> {
    flow_controls(&Plan::alone()).await
}

/// A workflow `id` whose trigger has this flow control.
async fn put_flow(client: &Fastn, sink: &Sink, id: &str, flow: Value) -> anyhow::Result<()> {
    put_workflow(client, id, json!({"tier": "long"}), &CALL.replace("SINK", &sink.url)).await?;
    let trigger: Trigger = serde_json::from_value(json!({
        "id": format!("on_{id}"), "source": {"type": "event", "types": [id]}, "routes": [{"workflow": id}], "flow": flow,
    }))?;
    client.put_trigger(&trigger).await?;
    Ok(())
}

fn calls_of(sink: &Sink, kind: &str) -> Vec<(String, Instant)> {
    let part = format!("/{kind}/");
    sink.calls().into_iter().filter(|call| call.path.contains(&part)).map(|call| (call.path, call.at)).collect()
}

async fn flow_controls(plan: &Plan) -> anyhow::Result<()> {
    let sink = Sink::start(SINK_DELAY).await?;
    let server = Cluster::start(plan).await?;
    let client = server.client("api")?;
    put_customer(&client, "cus", json!({})).await?;
    let customer = client.customer("cus");
    singletons(&client, &customer, &sink).await?;
    callers(&client, &customer).await?;
    concurrency_and_rate(&client, &customer, &sink).await?;
    debounce_and_batch(&client, &customer, &sink).await?;
    priorities(&client, &sink).await
}

async fn singletons(client: &Fastn, customer: &Fastn, sink: &Sink) -> anyhow::Result<()> {
    let keyed = |kind: &str| -> Vec<SendEvent> {
        let keys = ["a", "a", "b", "a"];
        keys.iter().enumerate().map(|(n, key)| event(kind, &format!("{kind}-{n}"), json!({"key": key}))).collect()
    };
    for mode in ["skip", "cancel", "queue"] {
        put_flow(client, sink, mode, json!({"singleton": {"mode": mode, "key": "key"}})).await?;
        customer.send_many(&keyed(mode)).await?;
    }
    let skipped = ended(customer, "skip", 2).await?;
    assert_eq!(skipped.len(), 2, "{skipped:?}");
    let event = until("the skipped event", async || Ok(customer.event("skip-1").await.ok())).await?;
    assert_eq!(event.status, EventStatus::Rejected);
    assert!(event.reason.as_ref().is_some_and(|why| why.contains("the singleton of trigger on_skip")), "{event:?}");

    let cancelled = ended(customer, "cancel", 4).await?;
    let of = |id: &str| cancelled.iter().find(|one| one.event_id == id).unwrap();
    for id in ["cancel-0", "cancel-1"] {
        assert_eq!(of(id).status, ExecutionStatus::Cancelled);
        assert!(of(id).error.as_ref().is_some_and(|error| error.message.contains("took its place")));
    }
    assert!(["cancel-2", "cancel-3"].iter().all(|id| of(id).status == ExecutionStatus::Completed), "{cancelled:?}");

    ended(customer, "queue", 4).await?;
    let calls = calls_of(sink, "queue");
    let mut one_by_one = calls.iter().filter(|(path, _)| !path.ends_with("queue-2"));
    let (first, second, third) = (one_by_one.next().unwrap(), one_by_one.next().unwrap(), one_by_one.next().unwrap());
    assert!(first.0.ends_with("queue-0") && second.0.ends_with("queue-1") && third.0.ends_with("queue-3"), "{calls:?}");
    assert!(second.1 - first.1 >= SINK_DELAY && third.1 - second.1 >= SINK_DELAY, "they ran beside each other");
    Ok(())
}

/// The caller of an Instant run that a singleton skips hears what is in its way.
async fn callers(client: &Fastn, customer: &Fastn) -> anyhow::Result<()> {
    let waits = r#"export default (ctx) => ctx.waitForEvent({ type: "never" }, { timeout: "30m" })"#;
    let once = json!({"tier": "instant", "flow": {"singleton": {"mode": "skip"}}});
    put_workflow(client, "once", once, waits).await?;
    let own = customer.clone();
    let first = tokio::spawn(async move { own.run("once", json!({})).await });
    let live = until("the first one runs", async || {
        let rows = customer.executions().filter("workflow", Some("once")).take(1).await?;
        Ok(rows.into_iter().next())
    })
    .await?;
    let refused = customer.run("once", json!({})).await.unwrap_err();
    assert_eq!((refused.code, refused.status), (Some(ErrorCode::Conflict), Some(409)), "{refused}");
    assert!(refused.detail.contains(&live.id), "{refused}");
    customer.cancel(&live.id).await?;
    assert!(first.await?.is_err(), "its caller is told of the cancellation");
    Ok(())
}

async fn concurrency_and_rate(client: &Fastn, customer: &Fastn, sink: &Sink) -> anyhow::Result<()> {
    put_flow(client, sink, "narrow", json!({"concurrency": {"limit": 2}})).await?;
    burst(customer, "narrow", 6).await?;
    until("one waits for the limit of its trigger", async || {
        let queued = customer.executions().filter("status", Some("queued")).filter("workflow", Some("narrow"));
        let Some(one) = queued.take(100).await?.into_iter().next() else { return Ok(None) };
        let waiting = customer.execution(&one.id).await?.waiting_on;
        Ok(waiting.filter(|waiting| waiting.text == "waiting on the limit concurrency (2) of trigger on_narrow"))
    })
    .await?;
    ended(customer, "narrow", 6).await?;
    let times: Vec<Instant> = calls_of(sink, "narrow").into_iter().map(|(_, at)| at).collect();
    for pair in times.windows(3) {
        assert!(pair[2] - pair[0] >= SINK_DELAY, "three ran at once");
    }

    put_flow(client, sink, "rated", json!({"rate": {"limit": 2, "periodMs": 1_000}})).await?;
    burst(customer, "rated", 5).await?;
    ended(customer, "rated", 5).await?;
    let times: Vec<Instant> = calls_of(sink, "rated").into_iter().map(|(_, at)| at).collect();
    // Two in each of three seconds: between the first and the fifth lies a whole one.
    assert!(times[4] - times[0] >= Duration::from_millis(900), "five started within a second");
    Ok(())
}

async fn debounce_and_batch(client: &Fastn, customer: &Fastn, sink: &Sink) -> anyhow::Result<()> {
    put_flow(client, sink, "debounced", json!({"debounce": {"periodMs": 700, "maxWaitMs": 5_000}})).await?;
    burst(customer, "debounced", 4).await?;
    let all = ended(customer, "debounced", 4).await?;
    let done: Vec<&ExecutionView> = all.iter().filter(|one| one.status == ExecutionStatus::Completed).collect();
    assert!(done.len() == 1 && done[0].event_id == "debounced-3", "{all:?}");

    put_flow(client, sink, "batched", json!({"batch": {"maxSize": 3, "maxWaitMs": 700}})).await?;
    burst(customer, "batched", 7).await?;
    let all = ended(customer, "batched", 3).await?;
    let mut inputs: Vec<Vec<u64>> = Vec::new();
    for one in &all {
        let view = customer.execution(&one.id).await?;
        let input = view.input.unwrap();
        inputs.push(input.as_array().unwrap().iter().map(|data| data["n"].as_u64().unwrap()).collect::<Vec<_>>());
    }
    inputs.sort();
    let expected: [Vec<u64>; 3] = [vec![0, 1, 2], vec![3, 4, 5], vec![6]];
    assert_eq!(inputs, expected);
    let member = customer.event("batched-4").await?;
    assert!(all.iter().any(|one| member.executions == [one.id.clone()]), "the event names its batch: {member:?}");
    Ok(())
}

/// An event's own priority goes before that of its trigger, and is shown with the event.
async fn own_priorities(client: &Fastn, sink: &Sink) -> anyhow::Result<()> {
    put_customer(client, "own", json!({"concurrency": 1})).await?;
    put_flow(client, sink, "own", json!({"priority": "P2"})).await?;
    let customer = client.customer("own");
    let sent = [Some("P4"), None, Some("P4"), Some("P1")];
    let events = sent
        .iter()
        .enumerate()
        .map(|(n, priority)| json!({"id": format!("own-{n}"), "type": "own", "priority": priority, "data": {}}));
    let events: Vec<SendEvent> = events.map(serde_json::from_value).collect::<Result<_, _>>()?;
    customer.send_many(&events).await?;
    ended(&customer, "own", sent.len()).await?;
    let mut order: Vec<String> = calls_of(sink, "own").into_iter().map(|(path, _)| path).collect();
    began_alone(&mut order, "/own-0");
    assert!(order[0].ends_with("/own-3") && order[1].ends_with("/own-1"), "{order:?}");
    let shown: Vec<Option<Priority>> =
        [customer.event("own-0").await?, customer.event("own-1").await?].iter().map(|event| event.priority).collect();
    assert_eq!(shown, [Some(Priority::P4), None]);
    Ok(())
}

/// The first of a request may have begun before the others of it were read from the log.
fn began_alone(order: &mut Vec<String>, first: &str) {
    if order[0].ends_with(first) {
        order.remove(0);
    }
}

/// What is more urgent goes first, whatever came first.
async fn priorities(client: &Fastn, sink: &Sink) -> anyhow::Result<()> {
    own_priorities(client, sink).await?;
    put_customer(client, "narrow", json!({"concurrency": 1})).await?;
    let customer = client.customer("narrow");
    for priority in ["P4", "P1"] {
        put_flow(client, sink, priority, json!({"priority": priority})).await?;
    }
    let kinds = ["P4", "P4", "P4", "P1"];
    let events: Vec<SendEvent> =
        kinds.iter().enumerate().map(|(n, kind)| event(kind, &format!("e{n}"), json!({}))).collect();
    customer.send_many(&events).await?;
    ended(&customer, "P4", 3).await?;
    let mut order: Vec<String> =
        sink.calls().into_iter().map(|call| call.path).filter(|path| path.contains("/P")).collect();
    began_alone(&mut order, "/P4/e0");
    assert!(order[0].ends_with("/P1/e3"), "{order:?}");
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
