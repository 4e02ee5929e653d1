//! `make bench-schedules`: 100,000 schedules on one node, over the embedded log. How late are they, and what do they cost?
//!
//!     cargo run --release -p fastn-scheduler --example schedules_bench [SCHEDULES] [MINUTES]
//!
//! Two loads, each for some minutes of real time: all schedules at the start of the same minute, and the same spread over
//! the minute by jitter. An event counts when the log has made it durable; lateness is from its due instant to then. CPU
//! time is the whole process's, in all and in its busiest second, wherever that begins. Fails above one second, or above half a
//! core in the busiest second.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a measurement that fails by a panic")]

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use fastn_domain::catalog::{Catalog, CompiledTrigger, ResourceKind, ResourceRow};
use fastn_domain::{Clock, Residency, Timestamp};
use fastn_log::{EmbeddedLog, EmbeddedOptions, Log, Offset, Topic, codec};
use fastn_scheduler::{Scheduler, SchedulerConfig};
use fastn_store::{SqliteOptions, SqliteStore, Store};
use tokio::sync::watch;

const LATE_MAX: Duration = Duration::from_secs(1);
const CORES_MAX: f64 = 0.5;
const CUSTOMERS: usize = 1_000;

struct System;

impl Clock for System {
    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
        Timestamp(since.as_micros() as i64)
    }
}

/// CPU time of this process.
fn cpu() -> Duration {
    let text = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = text.rsplit(')').next().unwrap().split_whitespace().collect();
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    Duration::from_millis(ticks * 10)
}

fn resident_mib() -> u64 {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap();
    text.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4 / 1_024
}

fn configuration(schedules: usize, jitter_s: u32) -> Catalog {
    let now = System.now();
    let row = |kind, id: String, body: String| ResourceRow {
        kind,
        account: "acc".parse().unwrap(),
        customer: None,
        id,
        revision: 1,
        version: 1,
        created: now,
        updated: now,
        deleted: false,
        body,
    };
    let customer = |n: usize| format!("c{}", n % CUSTOMERS);
    let mut rows: Vec<ResourceRow> = (0..CUSTOMERS)
        .map(|n| row(ResourceKind::Customer, customer(n), format!(r#"{{"id":"{}"}}"#, customer(n))))
        .collect();
    let zones = ["Europe/Berlin", "America/New_York", "Asia/Kolkata", "UTC"];
    rows.extend((0..schedules).map(|n| {
        let body = format!(
            r#"{{"id":"t{n}","customer":"{}","source":{{"type":"schedule","timezone":"{}","jitterSeconds":{jitter_s},
            "when":{{"mode":"interval","every":1,"unit":"minutes"}},"payload":{{"n":{n}}}}},"routes":[{{"workflow":"w"}}]}}"#,
            customer(n),
            zones[n % zones.len()]
        );
        row(ResourceKind::Trigger, format!("t{n}"), body)
    }));
    let (catalog, errors) = Catalog::default().with(&rows);
    assert!(errors.is_empty(), "{errors:?}");
    catalog
}

async fn measure(name: &str, schedules: usize, minutes: u32, jitter_s: u32) -> bool {
    let directory = tempfile::tempdir().unwrap();
    let folder = directory.path().to_owned();
    let log: Arc<dyn Log> = Arc::new(
        tokio::task::spawn_blocking(move || EmbeddedLog::open(&folder, EmbeddedOptions::default()))
            .await
            .unwrap()
            .unwrap(),
    );
    let store: Arc<dyn Store> = Arc::new(SqliteStore::open(directory.path(), SqliteOptions::default()).await.unwrap());
    let catalog = Arc::new(configuration(schedules, jitter_s));
    let (_keep, watched) = watch::channel(catalog.clone());
    let residency = Arc::new(Residency::default());
    let scheduler =
        Scheduler::start(log.clone(), store.clone(), watched, Arc::new(System), residency, SchedulerConfig::default())
            .await
            .unwrap();
    let durable: Vec<_> = (0..log.partitions())
        .map(|partition| {
            let seen = Arc::new(Mutex::new(Vec::new()));
            tokio::spawn(watch_tail(log.tail(Topic::Events, partition), seen.clone()));
            seen
        })
        .collect();
    tokio::time::sleep(Duration::from_secs(3)).await;
    let (began, before) = (Instant::now(), cpu());
    let busiest = busiest_second(Duration::from_secs(60 * u64::from(minutes))).await;
    let cores = (cpu() - before).as_secs_f64() / began.elapsed().as_secs_f64();
    scheduler.stop().await;
    let mut late = lateness(&log, &catalog, &durable).await;
    late.sort();
    let at = |part: f64| late[((late.len() - 1) as f64 * part) as usize];
    let expected = schedules * minutes as usize;
    println!(
        "{name}: {schedules} schedules, {} fires in {minutes} min ({expected} expected); late p50 {:?}, p99 {:?}, at most {:?}; \
         {cores:.3} cores, {:.2} in the busiest second; {} MiB resident",
        late.len(),
        at(0.5),
        at(0.99),
        at(1.0),
        busiest.as_secs_f64(),
        resident_mib()
    );
    log.close().await.unwrap();
    store.close().await;
    // The first or last minute may be cut.
    late.len() + schedules >= expected && at(1.0) <= LATE_MAX && busiest.as_secs_f64() <= CORES_MAX
}

/// The most CPU time of this process within a second, while `during` passes. A window is as long as it was really measured,
/// so on a machine that wakes this late it may be a little longer than a second, never shorter.
async fn busiest_second(during: Duration) -> Duration {
    let began = Instant::now();
    let mut looks = tokio::time::interval(Duration::from_millis(50));
    let (mut window, mut busiest) = (VecDeque::new(), Duration::ZERO);
    while began.elapsed() < during {
        looks.tick().await;
        let (at, used) = (Instant::now(), cpu());
        window.push_back((at, used));
        while window.get(1).is_some_and(|(second, _)| at - *second >= Duration::from_secs(1)) {
            window.pop_front();
        }
        busiest = busiest.max(used - window.front().unwrap().1);
    }
    busiest
}

/// When the log said that a partition is durable up to which offset.
type Durable = Arc<Mutex<Vec<(Offset, Timestamp)>>>;

async fn watch_tail(mut tail: watch::Receiver<Offset>, seen: Durable) {
    while tail.changed().await.is_ok() {
        let end = *tail.borrow_and_update();
        seen.lock().unwrap().push((end, System.now()));
    }
}

async fn lateness(log: &Arc<dyn Log>, catalog: &Catalog, durable: &[Durable]) -> Vec<Duration> {
    let triggers = &catalog.account(&"acc".parse().unwrap()).unwrap().triggers;
    let mut late = Vec::new();
    for partition in 0..log.partitions() {
        let mut from = 0;
        loop {
            let records = log.read(Topic::Events, partition, from, 10_000, 16 << 20).await.unwrap();
            let Some(end) = records.last() else { break };
            from = end.offset + 1;
            for record in &records {
                let event = codec::decode_event(&record.value).unwrap();
                let trigger: &Arc<CompiledTrigger> = &triggers[event.trigger.as_ref().unwrap()];
                let seen = durable[partition as usize].lock().unwrap();
                let at = seen[seen.partition_point(|(end, _)| *end <= record.offset)].1;
                late.push(at.since(trigger.ticks.as_ref().unwrap().due(event.time)));
            }
        }
    }
    late
}

#[tokio::main]
async fn main() {
    let argument = |at: usize, default: usize| std::env::args().nth(at).map_or(default, |text| text.parse().unwrap());
    let (schedules, minutes) = (argument(1, 100_000), argument(2, 2) as u32);
    let together = measure("all at once", schedules, minutes, 0).await;
    let spread = measure("spread over the minute", schedules, minutes, 55).await;
    assert!(
        together && spread,
        "a schedule was late by more than {LATE_MAX:?}, or the busiest second took more than {CORES_MAX} s of CPU time"
    );
}
