//! Nothing lost: the process is killed by -9 again and again under load, embedded and on Kafka and PostgreSQL.

#![allow(clippy::unwrap_used, unreachable_pub, reason = "what fails here fails a test")]

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use fastn_sdk::contract::activity::ExecutionStatus;
use fastn_sdk::contract::command::SendEvent;
use fastn_tests::faults::{Cluster, Plan};
use fastn_tests::server::{put_customer, put_workflow};
use fastn_tests::{DEADLINE, Sink};
use serde_json::json;

/// Events that each round sends at least before it may end.
const ROUND_EVENTS: usize = 40;
/// The one process.
const NODE: &str = "all";
/// Senders at once.
const SENDERS: usize = 8;

/// Two calls, the second with the first one's answer: whoever sees the second knows which first one it depends on.
const WORKFLOW: &str = r#"
export default async function (ctx: any) {
  const first = await fetch("SINK/first/" + ctx.event.id, { method: "POST", body: ctx.event.id });
  const seen = await first.json();
  const second = await fetch("SINK/second/" + ctx.event.id, { method: "POST", body: JSON.stringify({ n: seen.n }) });
  return (await second.json()).path;
}
"#;

/// Property: over 20 kills at random moments, every event answered 202 has exactly one completed execution, no idempotency
/// key carries two different bodies, and a call whose result a later call has seen is never made again.
#[tokio::test(flavor = "multi_thread")]
async fn twenty_kills() -> anyhow::Result<()> {
    kills(&Plan::embedded(), 20).await
}

/// Property: the same holds over 4 kills of one process on Kafka and PostgreSQL.
#[tokio::test(flavor = "multi_thread")]
async fn four_kills_on_kafka_and_postgres() -> anyhow::Result<()> {
    kills(&Plan::alone(), 4).await
}

/// Rounds of load on one process, each ended by a kill.
async fn kills(plan: &Plan, rounds: usize) -> anyhow::Result<()> {
    let sink = Sink::start(Duration::from_millis(3)).await?;
    let mut server = Cluster::start(plan).await?;
    let client = server.client("api")?;
    put_customer(&client, "cus", json!({})).await?;
    put_workflow(&client, "job", json!({"tier": "long"}), &WORKFLOW.replace("SINK", &sink.url)).await?;

    let accepted: Arc<std::sync::Mutex<HashSet<String>>> = Arc::default();
    for round in 0..rounds {
        load_and_kill(&mut server, round, &accepted).await?;
        server.start_node(NODE).await?;
    }
    let accepted = accepted.lock().unwrap().clone();
    assert!(accepted.len() >= rounds * ROUND_EVENTS, "only {} events were accepted", accepted.len());

    let completed = wait_for_all(&server, &accepted).await?;
    for id in &accepted {
        assert_eq!(completed.get(id).copied().unwrap_or(0), 1, "event {id} has not exactly one completed execution");
    }
    check_calls(&sink);
    println!("{} events, {} calls, {rounds} kills", accepted.len(), sink.calls().len());
    Ok(())
}

async fn load_and_kill(
    server: &mut Cluster,
    round: usize,
    accepted: &Arc<std::sync::Mutex<HashSet<String>>>,
) -> anyhow::Result<()> {
    let stop = Arc::new(AtomicBool::new(false));
    let sent = Arc::new(AtomicUsize::new(0));
    let senders: Vec<_> = (0..SENDERS)
        .map(|sender| {
            let client = server.client("ingest").map(|client| client.customer("cus"));
            let (stop, sent, accepted) = (Arc::clone(&stop), Arc::clone(&sent), Arc::clone(accepted));
            tokio::spawn(async move {
                let client = client?;
                for n in 0.. {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    let id = format!("e-{round}-{sender}-{n}");
                    let body = json!({"id": id, "type": "job", "data": {"n": n}});
                    let event: SendEvent = serde_json::from_value(body)?;
                    let answer = tokio::time::timeout(Duration::from_secs(2), client.send(&event)).await;
                    if matches!(answer, Ok(Ok(_))) {
                        accepted.lock().unwrap().insert(id);
                        sent.fetch_add(1, Ordering::Relaxed);
                    }
                }
                anyhow::Ok(())
            })
        })
        .collect();
    let began = Instant::now();
    while sent.load(Ordering::Relaxed) < ROUND_EVENTS {
        anyhow::ensure!(began.elapsed() < DEADLINE, "the load does not get through");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    // A moment that no clock of ours decides: the sub-second part of the time, at most 60 ms.
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?;
    tokio::time::sleep(Duration::from_micros(u64::from(now.subsec_micros()) % 60_000)).await;
    server.kill(NODE)?;
    stop.store(true, Ordering::Relaxed);
    for sender in senders {
        sender.abort();
    }
    Ok(())
}

async fn wait_for_all(server: &Cluster, accepted: &HashSet<String>) -> anyhow::Result<HashMap<String, usize>> {
    let client = server.client("api")?.customer("cus");
    let began = Instant::now();
    loop {
        let executions = client.executions().take(1_000_000).await?;
        let mut completed: HashMap<String, usize> = HashMap::new();
        for execution in &executions {
            assert_ne!(execution.status, ExecutionStatus::Failed, "{:?}", execution.error);
            if execution.status == ExecutionStatus::Completed {
                *completed.entry(execution.event_id.clone()).or_default() += 1;
            }
        }
        if accepted.iter().all(|id| completed.contains_key(id)) {
            return Ok(completed);
        }
        let missing = accepted.iter().filter(|id| !completed.contains_key(*id)).count();
        anyhow::ensure!(began.elapsed() < DEADLINE, "{missing} of {} events never completed", accepted.len());
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

fn check_calls(sink: &Sink) {
    let mut bodies: HashMap<String, String> = HashMap::new();
    let mut seen_by_second: HashSet<String> = HashSet::new();
    for call in sink.calls() {
        let known = bodies.entry(call.key.clone()).or_insert_with(|| call.body.clone());
        assert_eq!(*known, call.body, "key {} came with two bodies", call.key);
        if let Some(event) = call.path.strip_prefix("/second/") {
            seen_by_second.insert(event.to_owned());
        } else if let Some(event) = call.path.strip_prefix("/first/") {
            assert!(
                !seen_by_second.contains(event),
                "the first call of {event} was repeated after its result was used"
            );
        }
    }
}
