//! `cargo run -p fastn-log --example kafka_bench -- BROKERS [appenders] [value bytes] [seconds]`
//!
//! Acknowledged appends through the seam beside a bare producer with as many records in flight and the same promise
//! (idempotent, acks=all), and the time from an append to a reader that follows, at 50 a second.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use fastn_domain::partition::partition_of_key;
use fastn_log::{KafkaLog, KafkaOptions, Log, Record, Topic};
use fastn_testkit::append_bench::{Load, measure};
use rdkafka::ClientConfig;
use rdkafka::producer::{FutureProducer, FutureRecord};

#[tokio::main]
async fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let number = |at: usize, default: usize| args.get(at).map_or(default, |text| text.parse().expect("a number"));
    let brokers = args.first().cloned().unwrap_or_else(fastn_testkit::services::kafka);
    let load = Load {
        appenders: number(1, 256),
        value_bytes: number(2, 1_024),
        duration: Duration::from_secs(number(3, 5) as u64),
    };
    let replication = if brokers.contains(',') { 3 } else { 1 };
    let prefix = format!("bench{}.", std::process::id());
    let options = KafkaOptions { brokers, prefix, replication, ..KafkaOptions::default() };
    let log = Arc::new(KafkaLog::open(options.clone()).expect("opens"));
    let scratch = tempfile::tempdir().expect("a directory");
    for round in 1..=2 {
        let ours = measure(Arc::clone(&log) as Arc<dyn Log>, scratch.path(), load).await;
        println!(
            "seam, round {round}      {:>8.0}/s  p50 {:?} p99 {:?} max {:?}  CPU {:.1} µs",
            ours.appends_per_second, ours.p50, ours.p99, ours.max, ours.cpu_micros_per_record
        );
        for linger in ["0", "5"] {
            let bare = bare(&options, load, linger).await;
            println!(
                "bare, linger {linger} ms     {bare:>8.0}/s  the seam reaches {:.0} %",
                100.0 * ours.appends_per_second / bare
            );
        }
    }
    follow(&log).await;
    log.close().await.expect("closes");
}

/// Acknowledged records a second of a bare producer.
async fn bare(options: &KafkaOptions, load: Load, linger: &str) -> f64 {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", &options.brokers).set("acks", "all").set("enable.idempotence", "true");
    let producer: FutureProducer = config.set("linger.ms", linger).create().expect("a producer");
    let (stop, count) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let topic = options.topic(Topic::Events);
    let started = Instant::now();
    let senders: Vec<_> = (0..load.appenders)
        .map(|at| {
            let (producer, stop, count, topic) =
                (producer.clone(), Arc::clone(&stop), Arc::clone(&count), topic.clone());
            let partitions = options.partitions;
            tokio::spawn(async move {
                let (key, value) = (format!("account/customer-{at}"), vec![b'x'; load.value_bytes]);
                let partition = partition_of_key(key.as_bytes(), partitions) as i32;
                while !stop.load(Ordering::Relaxed) {
                    let record = FutureRecord::to(&topic).partition(partition).key(&key).payload(&value);
                    producer.send(record, Duration::from_secs(60)).await.expect("is acknowledged");
                    count.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    tokio::time::sleep(load.duration).await;
    stop.store(true, Ordering::Relaxed);
    for sender in senders {
        sender.await.expect("no panic");
    }
    count.load(Ordering::Relaxed) as f64 / started.elapsed().as_secs_f64()
}

/// From an append to its acknowledgement, and to a reader that follows.
async fn follow(log: &KafkaLog) {
    let (mut acknowledged, mut read) = (Vec::new(), Vec::new());
    let mut tail = log.tail(Topic::Events, 3);
    log.append(Topic::Events, 3, vec![Record::new("k", "first")]).await.expect("an append succeeds");
    tokio::time::sleep(Duration::from_secs(1)).await;
    for _ in 0..250 {
        let began = Instant::now();
        let first =
            log.append(Topic::Events, 3, vec![Record::new("k", vec![b'x'; 1_024])]).await.expect("it is done").first;
        acknowledged.push(began.elapsed());
        tail.wait_for(|end| *end > first).await.expect("the log lives");
        log.read(Topic::Events, 3, first, 1, 1).await.expect("a read succeeds");
        read.push(began.elapsed());
        tokio::time::sleep(Duration::from_millis(20).saturating_sub(began.elapsed())).await;
    }
    for (what, mut times) in [("acknowledged", acknowledged), ("read", read)] {
        times.sort_unstable();
        println!("50/s, {what:<14} p50 {:?} p99 {:?}", times[times.len() / 2], times[times.len() * 99 / 100]);
    }
}
