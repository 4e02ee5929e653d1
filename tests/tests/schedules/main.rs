//! Schedules on the real server: what the clock fires, what overlaps, what a crash leaves; and two schedulers at once.

#![allow(clippy::unwrap_used, unreachable_pub, reason = "what fails here fails a test")]

mod through_time;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use anyhow::Context;
use fastn_contract::activity::{EventStatus, EventView, ExecutionStatus, ExecutionView};
use fastn_contract::resource::{Trigger, WorkflowVersion};
use fastn_contract::schedule::BackfillSchedule;
use fastn_domain::catalog::{Catalog, ResourceKind, ResourceRow};
use fastn_domain::journal::JournalRecord;
use fastn_domain::time::parse_rfc3339;
use fastn_domain::{Clock, Residency, Timestamp};
use fastn_log::{Topic, codec};
use fastn_pipeline::processor::{Answers, Pipeline, PipelineConfig};
use fastn_scheduler::{SchedulerConfig, Turner};
use fastn_sdk::Fastn;
use fastn_sdk::contract::command::SendEvent;
use fastn_store::{MasterKey, SqliteOptions, SqliteStore, Vault};
use fastn_testkit::MemoryLog;
use fastn_tests::DEADLINE;
use fastn_tests::faults::{Cluster, Plan};
use fastn_tests::server::{put_customer, put_workflow};
use serde_json::{Value, json};
use tokio::sync::watch;

/// Lives until an event `go` lets it end.
const WAITING: &str = r#"
export default async function (ctx: any) {
  await ctx.waitForEvent({ type: "go" }, { timeout: "30m" });
  return ctx.event.id;
}
"#;

async fn put_schedule(fastn: &Fastn, id: &str, schedule: Value) -> anyhow::Result<()> {
    put_schedule_of(fastn, "wait", id, schedule).await
}

async fn put_schedule_of(fastn: &Fastn, workflow: &str, id: &str, schedule: Value) -> anyhow::Result<()> {
    let mut source =
        json!({"type": "schedule", "timezone": "UTC", "when": {"mode": "cron", "expression": "0 0 1 1 *"}});
    source.as_object_mut().unwrap().extend(schedule.as_object().unwrap().clone());
    let trigger: Trigger =
        serde_json::from_value(json!({"id": id, "source": source, "routes": [{"workflow": workflow}]}))?;
    fastn.put_trigger(&trigger).await?;
    Ok(())
}

/// Looks until `look` finds something.
async fn eventually<T, F: Future<Output = anyhow::Result<Option<T>>>>(
    what: &str,
    look: impl Fn() -> F,
) -> anyhow::Result<T> {
    let until = tokio::time::Instant::now() + DEADLINE;
    loop {
        if let Some(found) = look().await? {
            return Ok(found);
        }
        anyhow::ensure!(tokio::time::Instant::now() < until, "{what}: not within {DEADLINE:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// The event once activity shows it.
async fn event(fastn: &Fastn, id: &str) -> anyhow::Result<EventView> {
    eventually(id, || async { Ok(fastn.event(id).await.ok()) }).await
}

async fn execution(fastn: &Fastn, id: &str, status: ExecutionStatus) -> anyhow::Result<ExecutionView> {
    eventually(&format!("{id} {status:?}"), || async {
        Ok(fastn.execution(id).await.ok().filter(|view| view.status == status))
    })
    .await
}

/// Runs a schedule by hand, and returns what became of the event.
async fn run(fastn: &Fastn, id: &str) -> anyhow::Result<EventView> {
    let made = fastn.run_schedule(id).await?;
    event(fastn, &made.event_ids[0]).await
}

async fn overlaps(plan: &Plan) -> anyhow::Result<()> {
    let mut server = Cluster::start(plan).await?;
    let client = server.client("api")?;
    put_customer(&client, "cus", json!({})).await?;
    put_workflow(&client, "wait", json!({"tier": "long"}), WAITING).await?;
    put_schedule(&client, "clock", json!({"when": {"mode": "interval", "every": 1, "unit": "minutes"}})).await?;
    for overlap in ["allow", "skip", "queue", "cancel_older"] {
        put_schedule(&client, overlap, json!({"overlap": overlap, "runImmediately": true})).await?;
    }
    // The fire at the creation of each is the clock's.
    let mut first = BTreeMap::new();
    for overlap in ["allow", "skip", "queue", "cancel_older"] {
        let live = eventually(overlap, || async {
            let rows = client.executions().filter("trigger", Some(overlap)).take(10).await?;
            Ok(rows.into_iter().find(|row| row.status == ExecutionStatus::Waiting))
        })
        .await?;
        first.insert(overlap, live.id);
    }

    // What lives is known after a crash too.
    server.kill("all")?;
    server.start_node("all").await?;
    let client = server.client("api")?;
    let second = run(&client, "allow").await?;
    execution(&client, &second.executions[0], ExecutionStatus::Waiting).await?;
    execution(&client, &first["allow"], ExecutionStatus::Waiting).await?;

    let second = run(&client, "skip").await?;
    assert_eq!((second.status, second.executions.len()), (EventStatus::Rejected, 0));
    assert!(second.reason.as_deref().unwrap_or_default().starts_with("skipped: "), "{:?}", second.reason);

    let second = run(&client, "cancel_older").await?;
    execution(&client, &first["cancel_older"], ExecutionStatus::Cancelled).await?;
    execution(&client, &second.executions[0], ExecutionStatus::Waiting).await?;

    let queued = run(&client, "queue").await?;
    assert_eq!(client.execution(&queued.executions[0]).await?.status, ExecutionStatus::Queued);
    // Of a backfill no run is skipped: they take turns.
    let range =
        BackfillSchedule { from: "2024-01-01T00:00:00Z".into(), to: "2026-01-01T00:00:01Z".into(), dry_run: false };
    // An event that only looks like one of its fires stands in nobody's way.
    let forged: SendEvent =
        serde_json::from_value(json!({"id": "schedule/skip/2024-01-01T00:00:00.000Z", "type": "x",
        "source": "fastn.scheduler", "data": {}}))?;
    client.customer("cus").send(&forged).await?;
    event(&client, "schedule/skip/2024-01-01T00:00:00.000Z").await?;
    let made = client.backfill_schedule("skip", &range).await?;
    assert_eq!((made.event_ids.len(), made.already_there), (3, 0));
    for id in &made.event_ids {
        let delivered = async || {
            let events = client.events().filter("trigger", Some("skip")).take(100).await?;
            Ok(events.into_iter().find(|event| event.id == *id && event.status == EventStatus::Delivered))
        };
        eventually(id, delivered).await?;
    }
    let again = client.backfill_schedule("skip", &range).await?;
    assert_eq!((again.event_ids.len(), again.already_there), (0, 3));

    let go: SendEvent = serde_json::from_value(json!({"type": "go", "data": {}}))?;
    client.customer("cus").send(&go).await?;
    execution(&client, &first["queue"], ExecutionStatus::Completed).await?;
    execution(&client, &queued.executions[0], ExecutionStatus::Waiting).await?;

    // By now, or soon, a minute has begun.
    let fired = eventually("a fire of the clock", || async {
        let events = client.events().filter("trigger", Some("clock")).take(1).await?;
        Ok(events.into_iter().next())
    })
    .await?;
    let scheduled = parse_rfc3339(&fired.time).context("the time of the event")?;
    assert_eq!((scheduled.0 % 60_000_000, fired.status), (0, EventStatus::Delivered));
    assert_eq!(fired.id, format!("schedule/clock/{scheduled}"));
    let view = eventually("the last run", || async {
        Ok(Some(client.schedule("clock").await?).filter(|view| view.last_run.is_some()))
    })
    .await?;
    assert!(view.next_run.is_some() && view.failures == 0, "{view:?}");
    Ok(())
}

/// Property: a schedule fires by the clock at the full minute and when it is made; each overlap policy does what it says,
/// after a kill too; a backfill makes each fire once and lets them take turns.
#[tokio::test(flavor = "multi_thread")]
async fn the_clock_and_overlap() -> anyhow::Result<()> {
    overlaps(&Plan::embedded()).await
}

/// Property: the same holds on Kafka and PostgreSQL.
#[tokio::test(flavor = "multi_thread")]
async fn the_clock_and_overlap_on_kafka_and_postgres() -> anyhow::Result<()> {
    overlaps(&Plan::alone()).await
}

struct Hand(AtomicI64);

impl Clock for Hand {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::Relaxed))
    }
}

/// Executions run by the real time: with the other, each would be over its limit at once.
struct System;

impl Clock for System {
    fn now(&self) -> Timestamp {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        Timestamp(since.as_micros() as i64)
    }
}

fn row(kind: ResourceKind, id: &str, body: Value) -> ResourceRow {
    ResourceRow {
        kind,
        account: "acc".parse().unwrap(),
        customer: None,
        id: id.to_owned(),
        revision: 1,
        version: 1,
        created: Timestamp(0),
        updated: Timestamp(0),
        deleted: false,
        body: body.to_string(),
    }
}

fn configuration() -> Catalog {
    let version = WorkflowVersion {
        workflow: "w".to_owned(),
        version: 1,
        source: "export default async (ctx) => ctx.event.id".to_owned(),
        file: "w.ts".to_owned(),
        source_hash: String::new(),
    };
    let source = |when: &str| {
        json!({"type": "schedule", "timezone": "Europe/Berlin", "jitterSeconds": 20,
        "when": {"mode": "cron", "expression": when}})
    };
    let trigger = |id: &str, when: &str| json!({"id": id, "source": source(when), "routes": [{"workflow": "w"}]});
    let (catalog, errors) = Catalog::default().with(&[
        row(ResourceKind::Customer, "a", json!({"id": "a"})),
        row(ResourceKind::Customer, "b", json!({"id": "b"})),
        row(ResourceKind::Workflow, "w", json!({"id": "w"})),
        row(ResourceKind::WorkflowVersion, "w@1", json!(version)),
        row(ResourceKind::Trigger, "often", trigger("often", "*/5 * * * *")),
        row(ResourceKind::Trigger, "night", trigger("night", "30 2 * * *")),
    ]);
    assert!(errors.is_empty(), "{errors:?}");
    catalog
}

/// Property: two schedulers that run at once, over the hour that the clock repeats, fire each tick once for each customer:
/// every event is admitted once, its copy is a duplicate, and there is one execution of each.
#[tokio::test(flavor = "multi_thread")]
async fn two_schedulers_fire_each_tick_once() -> anyhow::Result<()> {
    let directory = tempfile::tempdir()?;
    let store = Arc::new(SqliteStore::open(directory.path(), SqliteOptions::default()).await?);
    let log = Arc::new(MemoryLog::new(2));
    let (_catalog, watched) = watch::channel(Arc::new(configuration()));
    let start = parse_rfc3339("2027-10-30T23:00:00Z").unwrap();
    let clock = Arc::new(Hand(AtomicI64::new(start.0)));
    let key = MasterKey::from_base64("MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=", "test")?;
    let (vault, answers) = (Arc::new(Vault::new(&key)), Answers::new("local", None));
    let pipeline =
        Pipeline::start(log.clone(), watched.clone(), vault, Arc::new(System), answers, PipelineConfig::default())
            .await?;
    let turner = || {
        let residency = Arc::new(Residency::default());
        Turner::new(log.clone(), store.clone(), watched.clone(), clock.clone(), residency, SchedulerConfig::default())
    };
    let (mut one, mut other) = (turner(), turner());
    while clock.now() < start.plus(Duration::from_secs(4 * 3_600)) {
        let (first, second) = tokio::join!(one.turn(), other.turn());
        assert!(first && second);
        let next = [&one, &other].iter().filter_map(|turner| turner.next_due()).min();
        clock.0.store(next.context("there is always a next one")?.0, Ordering::Relaxed);
    }

    let sent: usize = (0..2).map(|partition| log.records(Topic::Events, partition).len()).sum();
    let (events, ends) = eventually("every event admitted and every execution ended", || async {
        let (mut events, mut ends, mut admitted) = (BTreeMap::new(), 0, 0);
        for partition in 0..2 {
            let offsets = log.records(Topic::Events, partition);
            for record in log.records(Topic::Executions, partition) {
                match codec::decode_journal(&record.value)? {
                    JournalRecord::Admitted(record) => {
                        for event in record.events {
                            let sent = codec::decode_event(&offsets[event.offset as usize].value)?;
                            admitted += 1;
                            let id = format!("{} {}", sent.scope, sent.id);
                            events.entry(id).or_insert_with(Vec::new).push((event.status, event.executions.len()));
                        }
                    }
                    JournalRecord::Finished(end) if end.status == ExecutionStatus::Completed => ends += 1,
                    _ => {}
                }
            }
        }
        Ok((admitted == sent && ends == events.len()).then_some((events, ends)))
    })
    .await?;
    // Four hours of every five minutes, of which the clock shows one twice, and one night, for two customers.
    assert!((96..=102).contains(&ends), "{ends}");
    for (id, verdicts) in &events {
        assert_eq!(verdicts[..], [(EventStatus::Delivered, 1), (EventStatus::Duplicate, 0)], "{id}");
    }
    assert_eq!(events.keys().filter(|id| id.contains("/night/")).count(), 2, "{:?}", events.keys());
    pipeline.stop().await;
    Ok(())
}
