//! Every kind of flow control.

use std::time::{Duration, Instant};

use fastn_sdk::contract::activity::{EventStatus, ExecutionStatus, ExecutionView};
use fastn_sdk::contract::command::SendEvent;
use fastn_sdk::contract::error::ErrorCode;
use fastn_sdk::contract::flow::Priority;
use fastn_sdk::contract::resource::Trigger;
use fastn_sdk::{CustomerClient, Fastn};
use fastn_tests::faults::{Cluster, Plan};
use fastn_tests::server::{put_customer, put_workflow};
use fastn_tests::{Sink, until};
use serde_json::{Value, json};

use super::{CALL, SINK_DELAY, burst, ended, event};

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

async fn singletons(client: &Fastn, customer: &CustomerClient, sink: &Sink) -> anyhow::Result<()> {
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
async fn callers(client: &Fastn, customer: &CustomerClient) -> anyhow::Result<()> {
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

async fn concurrency_and_rate(client: &Fastn, customer: &CustomerClient, sink: &Sink) -> anyhow::Result<()> {
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

async fn debounce_and_batch(client: &Fastn, customer: &CustomerClient, sink: &Sink) -> anyhow::Result<()> {
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
