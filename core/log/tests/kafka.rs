//! The Kafka log over a real broker: the contract of the seam, and what is Kafka's own. Faults are in `kafka_faults.rs`.

#[path = "support/kafka_rig.rs"]
mod kafka_rig;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use fastn_log::{KafkaLog, KafkaOptions, Log, LogErrorKind, Outcome, Record, Severity, Topic};
use fastn_testkit::log_suite::{self, LogHarness};
use fastn_testkit::services;
use kafka_rig::{DEADLINE, append, make_topic, options, produce_raw, read_all};
use tokio::time::timeout;

struct Kafka {
    options: KafkaOptions,
    log: Arc<KafkaLog>,
}

#[async_trait]
impl LogHarness for Kafka {
    fn log(&self) -> Arc<dyn Log> {
        Arc::clone(&self.log) as Arc<dyn Log>
    }

    async fn reopen(&mut self) -> Option<Arc<dyn Log>> {
        self.log.close().await.expect("closes");
        self.log = Arc::new(KafkaLog::open(self.options.clone()).expect("opens"));
        Some(self.log())
    }

    fn too_large_bytes(&self) -> usize {
        self.options.record_bytes_max + 1
    }
}

/// Property: the Kafka log holds the contract.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kafka_log_holds_the_contract() {
    let brokers = services::kafka();
    log_suite::run(async || {
        let options = options(&brokers);
        let log = Arc::new(KafkaLog::open(options.clone()).expect("opens"));
        Box::new(Kafka { options, log }) as Box<dyn LogHarness>
    })
    .await;
}

/// Property: a process sees what another one appends, by its tail and without one, and what is trimmed by the other is gone
/// for both.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn processes_see_each_other() {
    let options = options(&services::kafka());
    let (one, two) = (KafkaLog::open(options.clone()).expect("opens"), KafkaLog::open(options).expect("opens"));
    let mut tail = two.tail(Topic::Events, 1);
    let first = append(&one, Topic::Events, 1, &["a", "b", "c"]).await.first;
    let moved = timeout(DEADLINE, tail.wait_for(|end| *end == first + 3)).await;
    moved.expect("the tail moves").expect("the log lives");
    assert_eq!(read_all(&two, Topic::Events, 1, first).await, ["a", "b", "c"]);
    append(&one, Topic::Control, 0, &["x"]).await;
    let from = two.bounds(Topic::Control, 0).await.expect("bounds").start;
    assert_eq!(read_all(&two, Topic::Control, 0, from).await, ["x"]);
    let next = append(&one, Topic::Control, 0, &["y"]).await.first;
    assert_eq!(read_all(&two, Topic::Control, 0, next).await, ["y"], "read at the old end, not followed");
    one.trim(Topic::Control, 0, next).await.expect("trims");
    assert_eq!(two.bounds(Topic::Control, 0).await.expect("bounds").start, next);
    let error = two.read(Topic::Control, 0, from, 1, 1).await.expect_err("it is gone");
    assert_eq!(error.kind, LogErrorKind::Trimmed);
}

/// Property: a trim by another process is found out by a read at the old offset, without asking for the bounds first.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trim_by_another_process_is_found_out() {
    let options = options(&services::kafka());
    let (one, two) = (KafkaLog::open(options.clone()).expect("opens"), KafkaLog::open(options).expect("opens"));
    let first = append(&one, Topic::Executions, 0, &["a", "b", "c"]).await.first;
    assert_eq!(read_all(&two, Topic::Executions, 0, first).await, ["a", "b", "c"]);
    one.trim(Topic::Executions, 0, first + 2).await.expect("trims");
    let error = two.read(Topic::Executions, 0, first, 1, 1).await.expect_err("it is gone");
    assert_eq!((error.kind, error.outcome), (LogErrorKind::Trimmed, Outcome::NotDone));
    assert_eq!(read_all(&two, Topic::Executions, 0, first + 2).await, ["c"]);
}

/// Property: what a stranger produces reads as any record, whatever it lacks.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn strangers_records_read_like_any() {
    let options = options(&services::kafka());
    let log = KafkaLog::open(options.clone()).expect("opens");
    let _followed = log.tail(Topic::Events, 0);
    let first = append(&log, Topic::Events, 0, &["ours"]).await.first;
    produce_raw(&options, Topic::Events, 0).await;
    append(&log, Topic::Events, 0, &["ours again"]).await;
    assert_eq!(read_all(&log, Topic::Events, 0, first).await, ["ours", "", "headed", "ours again"]);
    let read = log.read(Topic::Events, 0, first, 10, 1_000).await.expect("reads");
    assert_eq!(read.iter().map(|record| record.offset).collect::<Vec<_>>(), (first..first + 4).collect::<Vec<_>>());
    assert_eq!((&read[1].key, &read[1].value, read[1].headers.len()), (&Bytes::new(), &Bytes::new(), 0));
    let named = [("who".into(), Bytes::from_static(b"stranger")), ("none".into(), Bytes::new())];
    assert_eq!((&read[2].value[..], &read[2].headers[..]), (&b"headed"[..], &named[..]));
}

/// Property: appends past the limit of the queue are refused as not done, and nothing of them is written.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn full_queue_refuses() {
    let options = KafkaOptions { queue_bytes_max: 20_000, record_bytes_max: 10_000, ..options(&services::kafka()) };
    let log = KafkaLog::open(options).expect("opens");
    let batch = |n: usize| (0..3).map(|at| Record::new("k", format!("{n} {at} {}", "x".repeat(1_000)))).collect();
    let appends: Vec<_> = (0..200).map(|n| log.append(Topic::Events, 0, batch(n))).collect();
    let (mut taken, mut busy) = (0, 0);
    for append in appends {
        match append.await {
            Ok(appended) => taken += appended.count,
            Err(error) => {
                assert_eq!((error.kind, error.outcome), (LogErrorKind::Busy, Outcome::NotDone));
                busy += 1;
            }
        }
    }
    assert!(busy > 0 && taken > 0, "{busy} refused, {taken} taken");
    let from = log.bounds(Topic::Events, 0).await.expect("bounds").start;
    assert_eq!(read_all(&log, Topic::Events, 0, from).await.len() as u64, taken);
}

/// Property: a topic that can't be used is refused at the start with words that name it and what to do.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unusable_topics_are_refused_in_words() {
    let brokers = services::kafka();
    let refused = async |settings: &[(&str, &str)], partitions: i32, words: &[&str]| {
        let options = options(&brokers);
        make_topic(&options, Topic::Executions, partitions, settings).await;
        let message = KafkaLog::open(options.clone()).expect_err("refused").message;
        let name = options.topic(Topic::Executions);
        assert!(message.contains(&name) && words.iter().all(|word| message.contains(word)), "{message}");
    };
    let append_time = ("message.timestamp.type", "LogAppendTime");
    let bytes = ("max.message.bytes", "9000000");
    let forever = ("retention.ms", "-1");
    refused(&[append_time, bytes, forever], 5, &["5 partitions", "2 are configured"]).await;
    refused(&[append_time, bytes], 2, &["retention.ms", "-1"]).await;
    refused(&[append_time, bytes, forever, ("cleanup.policy", "compact")], 2, &["cleanup.policy is compact"]).await;
    refused(&[bytes, forever], 2, &["message.timestamp.type is CreateTime"]).await;
    refused(&[append_time, forever], 2, &["max.message.bytes"]).await;
    refused(
        &[append_time, bytes, forever, ("min.insync.replicas", "2")],
        2,
        &["min.insync.replicas is 2", "1 or less"],
    )
    .await;
}

/// Property: the doctor names a cluster that nobody answers for, topics that are missing, and a log that keeps one copy.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn doctor_says_what_is_wrong() {
    let unreachable = KafkaOptions {
        brokers: "127.0.0.1:1".to_owned(),
        operation_timeout: Duration::from_secs(3),
        ..KafkaOptions::default()
    };
    let findings = KafkaLog::examine(unreachable).await;
    assert!(findings.iter().any(|finding| finding.severity == Severity::Error), "{findings:?}");
    assert!(findings[0].to_string().contains("127.0.0.1:1"), "{findings:?}");
    let options = options(&services::kafka());
    let findings = KafkaLog::examine(options.clone()).await;
    let missing = findings.iter().filter(|finding| finding.what.contains("no such topic")).count();
    assert_eq!(missing, 4, "{findings:?}");
    drop(KafkaLog::open(options.clone()).expect("opens"));
    let findings = KafkaLog::examine(options).await;
    assert!(findings.iter().all(|finding| finding.severity == Severity::Warning), "{findings:?}");
    assert!(findings.iter().any(|finding| finding.what.contains("kept 1 times")), "{findings:?}");
}
