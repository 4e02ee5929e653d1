//! What every [`Log`] must do. One suite, run over each implementation.
//!
//! Nothing here assumes that offsets start at zero or are dense between appends, that one machine is all there is, or how
//! long anything takes: waiting is for conditions, with a deadline that only a broken log meets.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use fastn_domain::time::Timestamp;
use fastn_log::{Appended, Log, LogErrorKind, Offset, Outcome, Record, StoredRecord, Topic};
use futures_util::future::{BoxFuture, join_all};
use tokio::time::timeout;

/// Longer than anything that works takes.
const DEADLINE_SECONDS: u64 = 30;

/// One log under test. Every property gets its own.
#[async_trait]
pub trait LogHarness: Send {
    /// The log, open. It has at least two partitions and nobody else uses it.
    fn log(&self) -> Arc<dyn Log>;

    /// Closes the log and opens it again; `None` for a log that does not outlive that.
    async fn reopen(&mut self) -> Option<Arc<dyn Log>>;

    /// A value of more bytes than the log takes in one record.
    fn too_large_bytes(&self) -> usize;
}

/// A property and the function that holds it.
pub type Property = (&'static str, fn(Box<dyn LogHarness>) -> BoxFuture<'static, ()>);

/// Every property, to be run one by one.
pub const PROPERTIES: &[Property] = &[
    ("what is appended reads back as it was", |harness| Box::pin(reads_back(harness))),
    ("partitions and topics are apart", |harness| Box::pin(keeps_apart(harness))),
    ("calls are ordered by when they are made", |harness| Box::pin(orders_by_call(harness))),
    ("concurrent appends are each there once, whole", |harness| Box::pin(survives_concurrency(harness))),
    ("reads keep to their limits and lose nothing", |harness| Box::pin(keeps_to_limits(harness))),
    ("the tail is followed", |harness| Box::pin(follows_tail(harness))),
    ("a reader behind the head sees every record once, in order", |harness| Box::pin(reads_behind_head(harness))),
    ("timestamps never decrease", |harness| Box::pin(timestamps_grow(harness))),
    ("a dropped append goes on", |harness| Box::pin(dropped_future_appends(harness))),
    ("a record too large is refused and nothing else", |harness| Box::pin(refuses_too_large(harness))),
    ("a journal takes nothing after a failure that was not heard", |harness| Box::pin(stops_at_failures(harness))),
    ("trimming forgets what is before it", |harness| Box::pin(trims(harness))),
    ("offsets are not reused after trimming everything", |harness| Box::pin(trims_to_the_end(harness))),
    ("acknowledged records survive reopening", |harness| Box::pin(survives_reopening(harness))),
    ("one that joins alone owns every partition", |harness| Box::pin(joins(harness))),
    ("closing waits for what is queued and refuses the rest", |harness| Box::pin(closes(harness))),
];

/// Runs every property over a fresh log each, naming it first.
pub async fn run(mut fresh: impl AsyncFnMut() -> Box<dyn LogHarness>) {
    for (name, property) in PROPERTIES {
        println!("property: {name}");
        timeout(Duration::from_secs(4 * DEADLINE_SECONDS), property(fresh().await)).await.expect("in time");
    }
}

fn record(n: u64) -> Record {
    Record::new(format!("account/customer-{}", n % 3), format!("value {n}"))
}

fn value_of(stored: &StoredRecord) -> String {
    String::from_utf8_lossy(&stored.value).into_owned()
}

async fn append(log: &dyn Log, topic: Topic, partition: u32, records: Vec<Record>) -> Appended {
    timeout(Duration::from_secs(DEADLINE_SECONDS), log.append(topic, partition, records))
        .await
        .expect("an append answers")
        .expect("an append succeeds")
}

/// Everything from `from` to the end, read in pages of the given limits.
async fn read_all(
    log: &dyn Log,
    topic: Topic,
    partition: u32,
    from: Offset,
    page: (usize, usize),
) -> Vec<StoredRecord> {
    let mut all: Vec<StoredRecord> = Vec::new();
    loop {
        let next = all.last().map_or(from, |last| last.offset + 1);
        let records = log.read(topic, partition, next, page.0, page.1).await.expect("a read succeeds");
        if records.is_empty() {
            return all;
        }
        assert!(records.len() <= page.0, "{} records for a limit of {}", records.len(), page.0);
        all.extend(records);
    }
}

const PAGE: (usize, usize) = (1_000, 1 << 20);

async fn reads_back(harness: Box<dyn LogHarness>) {
    let log = harness.log();
    let empty = Record::default();
    let odd = Record {
        key: Bytes::from_static(&[0, 255, 7]),
        headers: vec![("ce_id".into(), Bytes::from_static(b"1")), ("ce_id".into(), Bytes::new())],
        value: Bytes::from(vec![0xAB; 70_000]),
    };
    let sent = vec![record(1), empty, odd];
    let appended = append(&*log, Topic::Events, 1, sent.clone()).await;
    assert_eq!(appended.count, 3);
    let read = read_all(&*log, Topic::Events, 1, appended.first, PAGE).await;
    assert_eq!(read.len(), 3);
    for ((stored, sent), offset) in read.iter().zip(&sent).zip(appended.first..) {
        assert_eq!(stored.offset, offset, "records of one append are contiguous");
        assert_eq!((&stored.key, &stored.headers, &stored.value), (&sent.key, &sent.headers, &sent.value));
    }
}

async fn keeps_apart(harness: Box<dyn LogHarness>) {
    let log = harness.log();
    for topic in Topic::ALL {
        for partition in 0..2 {
            let record = Record::new("k", format!("{topic}[{partition}]"));
            append(&*log, topic, partition, vec![record]).await;
        }
    }
    for topic in Topic::ALL {
        for partition in 0..2 {
            let from = log.bounds(topic, partition).await.expect("bounds").start;
            let values: Vec<_> = read_all(&*log, topic, partition, from, PAGE).await.iter().map(value_of).collect();
            assert_eq!(values, [format!("{topic}[{partition}]")]);
        }
    }
}

async fn orders_by_call(harness: Box<dyn LogHarness>) {
    let log = harness.log();
    let mut calls: Vec<_> = (0..200).map(|n| log.append(Topic::Executions, 0, vec![record(n)])).collect();
    // Awaited last to first: polling order must not matter.
    calls.reverse();
    let mut answers = join_all(calls).await;
    answers.reverse();
    let offsets: Vec<_> = answers.into_iter().map(|answer| answer.expect("an append succeeds").first).collect();
    assert!(offsets.is_sorted_by(|a, b| a < b), "{offsets:?}");
    let values: Vec<_> = read_all(&*log, Topic::Executions, 0, offsets[0], PAGE).await.iter().map(value_of).collect();
    assert_eq!(values, (0..200).map(|n| format!("value {n}")).collect::<Vec<_>>());
}

async fn survives_concurrency(harness: Box<dyn LogHarness>) {
    let log = harness.log();
    let writers = (0..16u64).map(|writer| {
        let log = Arc::clone(&log);
        tokio::spawn(async move {
            let mut placed = Vec::new();
            for n in 0..40 {
                let size = 1 + (writer + n) % 3;
                let batch: Vec<_> = (0..size).map(|at| Record::new("k", format!("{writer} {n} {at}"))).collect();
                let partition = (writer % 2) as u32;
                placed.push((partition, append(&*log, Topic::Events, partition, batch.clone()).await, batch));
            }
            placed
        })
    });
    let placed: Vec<_> = join_all(writers).await.into_iter().flat_map(|writer| writer.expect("no panic")).collect();
    for partition in 0..2 {
        let from = log.bounds(Topic::Events, partition).await.expect("bounds").start;
        let stored = read_all(&*log, Topic::Events, partition, from, PAGE).await;
        let mut by_offset: BTreeMap<_, _> = stored.iter().map(|record| (record.offset, &record.value)).collect();
        assert_eq!(by_offset.len(), stored.len(), "no offset twice");
        for (_, appended, batch) in placed.iter().filter(|(at, ..)| *at == partition) {
            for (offset, record) in (appended.first..).zip(batch) {
                assert_eq!(by_offset.remove(&offset), Some(&record.value), "offset {offset}");
            }
        }
        assert!(by_offset.is_empty(), "records that nobody appended: {by_offset:?}");
    }
}

async fn keeps_to_limits(harness: Box<dyn LogHarness>) {
    let log = harness.log();
    let mut first = None;
    for n in 0..30u64 {
        let batch =
            (0..1 + n % 4).map(|at| Record::new("k", vec![(n + at) as u8; 100 * (1 + n as usize % 5)])).collect();
        let appended = append(&*log, Topic::Traces, 0, batch).await;
        first.get_or_insert(appended.first);
    }
    let first = first.expect("appended");
    let whole = read_all(&*log, Topic::Traces, 0, first, PAGE).await;
    for page in [(1, usize::MAX), (7, usize::MAX), (1_000, 0), (1_000, 350), (3, 900)] {
        assert_eq!(read_all(&*log, Topic::Traces, 0, first, page).await, whole, "pages of {page:?}");
    }
    let page = log.read(Topic::Traces, 0, first, 1_000, 700).await.expect("a read succeeds");
    assert!(page.iter().map(|record| record.key.len() + record.value.len()).sum::<usize>() <= 700);
    assert!(log.read(Topic::Traces, 0, first, 0, 700).await.expect("a read succeeds").is_empty());
    let end = log.bounds(Topic::Traces, 0).await.expect("bounds").end;
    assert!(log.read(Topic::Traces, 0, end, 10, 700).await.expect("a read succeeds").is_empty());
}

async fn follows_tail(harness: Box<dyn LogHarness>) {
    let log = harness.log();
    let mut tail = log.tail(Topic::Events, 0);
    let other = log.tail(Topic::Events, 1);
    for n in 0..20 {
        let before = *tail.borrow_and_update();
        let appended = append(&*log, Topic::Events, 0, vec![record(n), record(n + 1)]).await;
        assert!(appended.first >= before);
        let reached = tail.wait_for(|end| *end > appended.first + 1);
        timeout(Duration::from_secs(DEADLINE_SECONDS), reached).await.expect("the tail moves").expect("the log lives");
        let end = log.bounds(Topic::Events, 0).await.expect("bounds").end;
        assert!(end > appended.first + 1);
        let read = read_all(&*log, Topic::Events, 0, appended.first, PAGE).await;
        assert_eq!(read.len(), 2, "what the tail shows is readable");
    }
    assert!(!other.has_changed().expect("the log lives"), "another partition's tail stays");
}

async fn reads_behind_head(harness: Box<dyn LogHarness>) {
    const RECORDS: u64 = 3_000;
    let log = harness.log();
    let from = log.bounds(Topic::Events, 0).await.expect("bounds").end;
    let reader = {
        let log = Arc::clone(&log);
        tokio::spawn(async move {
            let mut tail = log.tail(Topic::Events, 0);
            let mut seen: Vec<StoredRecord> = Vec::new();
            while (seen.len() as u64) < RECORDS {
                let next = seen.last().map_or(from, |last| last.offset + 1);
                let records = log.read(Topic::Events, 0, next, 100, 4_000).await.expect("a read succeeds");
                let end = *tail.borrow();
                assert!(records.iter().all(|record| record.offset < end), "shown before it was durable");
                if records.is_empty() {
                    tail.wait_for(|end| *end > next).await.expect("the log lives");
                }
                seen.extend(records);
            }
            seen
        })
    };
    let mut waiting = Vec::new();
    for n in 0..RECORDS {
        waiting.push(log.append(Topic::Events, 0, vec![record(n)]));
        if waiting.len() == 50 {
            join_all(waiting.drain(..))
                .await
                .into_iter()
                .for_each(|answer| assert_eq!(answer.expect("an append succeeds").count, 1));
        }
    }
    let seen = timeout(Duration::from_secs(DEADLINE_SECONDS), reader).await.expect("sees all").expect("no panic");
    assert!(seen.is_sorted_by(|a, b| a.offset < b.offset));
    assert!(seen.iter().map(value_of).eq((0..RECORDS).map(|n| format!("value {n}"))));
}

async fn timestamps_grow(harness: Box<dyn LogHarness>) {
    let log = harness.log();
    let first = append(&*log, Topic::Control, 0, vec![record(0)]).await.first;
    for n in 1..50 {
        append(&*log, Topic::Control, 0, vec![record(n)]).await;
    }
    let read = read_all(&*log, Topic::Control, 0, first, PAGE).await;
    assert!(read.is_sorted_by_key(|record| record.timestamp));
    assert!(read[0].timestamp > Timestamp::default(), "a timestamp is a time");
}

async fn dropped_future_appends(harness: Box<dyn LogHarness>) {
    let log = harness.log();
    let first = append(&*log, Topic::Events, 0, vec![record(0)]).await.first;
    drop(log.append(Topic::Events, 0, vec![record(1)]));
    append(&*log, Topic::Events, 0, vec![record(2)]).await;
    let values: Vec<_> = read_all(&*log, Topic::Events, 0, first, PAGE).await.iter().map(value_of).collect();
    assert_eq!(values, ["value 0", "value 1", "value 2"]);
}

async fn refuses_too_large(harness: Box<dyn LogHarness>) {
    let log = harness.log();
    let first = append(&*log, Topic::Events, 0, vec![record(0)]).await.first;
    let large = Record::new("k", vec![0; harness.too_large_bytes()]);
    let error = log.append(Topic::Events, 0, vec![record(9), large]).await.expect_err("it is refused");
    assert_eq!((error.kind, error.outcome), (LogErrorKind::TooLarge, Outcome::NotDone));
    append(&*log, Topic::Events, 0, vec![record(1)]).await;
    let values: Vec<_> = read_all(&*log, Topic::Events, 0, first, PAGE).await.iter().map(value_of).collect();
    assert_eq!(values, ["value 0", "value 1"], "all or none");
}

async fn stops_at_failures(harness: Box<dyn LogHarness>) {
    let log = harness.log();
    let bytes = harness.too_large_bytes();
    let large = || vec![Record::new("k", vec![0; bytes])];
    let first = append(&*log, Topic::Executions, 0, vec![record(0)]).await.first;
    let unheard = log.append(Topic::Executions, 0, large());
    let error = log.append(Topic::Executions, 0, vec![record(9)]).await.expect_err("it would leave a hole");
    assert_eq!((error.kind, error.outcome), (LogErrorKind::Busy, Outcome::NotDone));
    append(&*log, Topic::Executions, 1, vec![record(0)]).await;
    append(&*log, Topic::Events, 0, vec![record(0)]).await;
    assert_eq!(unheard.await.expect_err("it is refused").kind, LogErrorKind::TooLarge);
    append(&*log, Topic::Executions, 0, vec![record(1)]).await;
    drop(log.append(Topic::Executions, 0, large()));
    append(&*log, Topic::Executions, 0, vec![record(2)]).await;
    let values: Vec<_> = read_all(&*log, Topic::Executions, 0, first, PAGE).await.iter().map(value_of).collect();
    assert_eq!(values, ["value 0", "value 1", "value 2"]);
}

async fn trims(harness: Box<dyn LogHarness>) {
    let log = harness.log();
    let mut offsets = Vec::new();
    for n in 0..20 {
        let appended = append(&*log, Topic::Executions, 1, vec![record(n), record(n)]).await;
        offsets.extend([appended.first, appended.first + 1]);
    }
    let untouched = append(&*log, Topic::Executions, 0, vec![record(0)]).await.first;
    let before = offsets[13];
    for trim_to in [before, offsets[2], 0, before] {
        log.trim(Topic::Executions, 1, trim_to).await.expect("a trim succeeds");
    }
    let bounds = log.bounds(Topic::Executions, 1).await.expect("bounds");
    assert_eq!(bounds.start, before);
    let error = log.read(Topic::Executions, 1, offsets[12], 10, 1_000).await.expect_err("it is gone");
    assert_eq!(error.kind, LogErrorKind::Trimmed);
    let left: Vec<_> =
        read_all(&*log, Topic::Executions, 1, before, PAGE).await.iter().map(|record| record.offset).collect();
    assert_eq!(left, offsets[13..]);
    assert_eq!(
        read_all(&*log, Topic::Executions, 0, untouched, PAGE).await.len(),
        1,
        "another partition is left alone"
    );
}

async fn trims_to_the_end(mut harness: Box<dyn LogHarness>) {
    let mut log = harness.log();
    let mut newest = 0;
    for round in 0..3 {
        for n in 0..5 {
            let appended = append(&*log, Topic::Executions, 0, vec![record(n), record(n)]).await;
            assert!(round == 0 && n == 0 || appended.first > newest, "offset {} after {newest}", appended.first);
            newest = appended.first + 1;
        }
        log.trim(Topic::Executions, 0, newest + 1_000).await.expect("a trim past the end succeeds");
        let bounds = log.bounds(Topic::Executions, 0).await.expect("bounds");
        assert!(bounds.start == bounds.end && bounds.end > newest, "{bounds:?} after {newest}");
        assert!(log.read(Topic::Executions, 0, bounds.start, 10, 1_000).await.expect("a read succeeds").is_empty());
        log = harness.reopen().await.unwrap_or(log);
    }
}

async fn survives_reopening(mut harness: Box<dyn LogHarness>) {
    let log = harness.log();
    let first = append(&*log, Topic::Events, 0, vec![record(0)]).await.first;
    for n in 1..100 {
        append(&*log, Topic::Events, 0, vec![record(n), record(n)]).await;
    }
    append(&*log, Topic::Executions, 1, vec![record(7)]).await;
    let before = read_all(&*log, Topic::Events, 0, first, PAGE).await;
    let bounds = log.bounds(Topic::Events, 0).await.expect("bounds");
    drop(log);
    let Some(log) = harness.reopen().await else { return };
    assert_eq!(read_all(&*log, Topic::Events, 0, first, PAGE).await, before);
    let after = log.bounds(Topic::Events, 0).await.expect("bounds");
    assert_eq!((after.start, after.end), (bounds.start, bounds.end));
    assert_eq!(*log.tail(Topic::Events, 0).borrow(), bounds.end);
    let appended = append(&*log, Topic::Events, 0, vec![record(0)]).await;
    assert!(appended.first >= bounds.end);
    let read = read_all(&*log, Topic::Events, 0, first, PAGE).await;
    assert!(read.is_sorted_by_key(|record| record.timestamp), "timestamps grow across reopening");
}

async fn joins(harness: Box<dyn LogHarness>) {
    let log = harness.log();
    let mut membership = log.join("node-1").await.expect("joins");
    let all: Vec<_> = (0..log.partitions()).collect();
    let owns = membership.owned.wait_for(|owned| owned[..] == all[..]);
    timeout(Duration::from_secs(DEADLINE_SECONDS), owns).await.expect("owns them all").expect("the log lives");
}

async fn closes(harness: Box<dyn LogHarness>) {
    let log = harness.log();
    let queued: Vec<_> = (0..50).map(|n| log.append(Topic::Events, 0, vec![record(n)])).collect();
    log.close().await.expect("closes");
    for answer in join_all(queued).await {
        answer.expect("what was queued is done");
    }
    let error = log.append(Topic::Events, 0, vec![record(0)]).await.expect_err("it is refused");
    assert_eq!((error.kind, error.outcome), (LogErrorKind::Closed, Outcome::NotDone));
    log.close().await.expect("closing twice is no error");
}
