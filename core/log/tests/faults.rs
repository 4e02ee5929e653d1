//! The embedded log against crashes, damage, a full device and a second process.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests too")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use fastn_domain::time::{Clock, Timestamp};
use fastn_log::{
    Bounds, EmbeddedLog, EmbeddedOptions, Log, LogError, LogErrorKind, Outcome, Record, StoredRecord, Topic,
};

const DEADLINE: Duration = Duration::from_secs(60);

fn options() -> EmbeddedOptions {
    EmbeddedOptions { partitions: 3, disk_free_bytes_min: 0, ..EmbeddedOptions::default() }
}

fn open(dir: &Path) -> EmbeddedLog {
    EmbeddedLog::open(dir, options()).expect("opens")
}

async fn read_all(log: &EmbeddedLog, topic: Topic, partition: u32) -> Result<Vec<StoredRecord>, LogError> {
    let mut next = log.bounds(topic, partition).await?.start;
    let mut all = Vec::new();
    loop {
        let page = log.read(topic, partition, next, 1_000, 4 << 20).await?;
        let Some(last) = page.last() else { return Ok(all) };
        next = last.offset + 1;
        all.extend(page);
    }
}

/// Appends `n` as a record of `bytes` to one of the partitions.
async fn append(log: &EmbeddedLog, n: u64, bytes: usize) -> Result<(), LogError> {
    let mut value = format!("{n} ").into_bytes();
    value.resize(bytes.max(value.len()), b'.');
    log.append(Topic::Events, (n % 3) as u32, vec![Record::new("k", value)]).await.map(drop)
}

/// The numbers of [`append`] that the log holds.
async fn numbers(log: &EmbeddedLog) -> Result<Vec<u64>, LogError> {
    let mut numbers = Vec::new();
    for partition in 0..3 {
        for record in read_all(log, Topic::Events, partition).await? {
            let text = String::from_utf8(record.value.to_vec()).expect("text, not torn");
            let (number, rest) = text.split_once(' ').expect("a number and a space, not torn");
            assert!(rest.bytes().all(|byte| byte == b'.'), "not torn");
            numbers.push(number.parse().expect("a number, not torn"));
        }
    }
    numbers.sort_unstable();
    Ok(numbers)
}

fn copy_dir(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_dir(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

fn newest_journal(dir: &Path) -> PathBuf {
    let journals = fs::read_dir(dir.join("engine")).unwrap().map(|entry| entry.unwrap().path());
    let journals = journals.filter(|path| path.extension().is_some_and(|extension| extension == "jnl"));
    journals.max_by_key(|path| path.file_stem().unwrap().to_str().unwrap().parse::<u64>().unwrap()).unwrap()
}

/// A log of 40 records as a crash leaves it: copied while it is open. With it, the length of its journal before the
/// padding, and where in the journal each record's batch ends.
async fn crashed(dir: &Path) -> (usize, Vec<usize>) {
    let live = tempfile::tempdir().unwrap();
    let log = open(live.path());
    let mut ends = Vec::new();
    let used = |path: &Path| {
        let bytes = fs::read(path).unwrap();
        bytes.len() - bytes.iter().rev().take_while(|byte| **byte == 0).count()
    };
    for n in 0..40 {
        append(&log, n, 10 + 97 * (n as usize % 5)).await.unwrap();
        ends.push(used(&newest_journal(live.path())));
    }
    copy_dir(live.path(), dir);
    // The padding is 64 MiB of zeros; most of it only slows the test.
    let journal = fs::OpenOptions::new().write(true).open(newest_journal(dir)).unwrap();
    journal.set_len(ends[39] as u64 + 100).unwrap();
    (ends[39], ends)
}

/// Property: wherever a crash cuts the journal, every record whose commit lies before the cut is there, none behind it is,
/// none is torn, and the log takes appends.
#[tokio::test]
async fn cut_journal_gives_the_durable_prefix() {
    let source = tempfile::tempdir().unwrap();
    let (len, ends) = crashed(source.path()).await;
    for cut in (0..len).step_by(61).chain([len - 1, len, len + 7]) {
        let dir = tempfile::tempdir().unwrap();
        copy_dir(source.path(), dir.path());
        fs::OpenOptions::new().write(true).open(newest_journal(dir.path())).unwrap().set_len(cut as u64).unwrap();
        let log = open(dir.path());
        let durable = ends.iter().filter(|end| **end <= cut).count() as u64;
        assert_eq!(numbers(&log).await.unwrap(), (0..durable).collect::<Vec<_>>(), "cut at {cut}");
        append(&log, 77, 50).await.unwrap();
        drop(log);
        let log = open(dir.path());
        assert_eq!(numbers(&log).await.unwrap().last(), Some(&77), "cut at {cut}");
    }
}

/// Property: a last batch whose middle never reached the disk, as a power cut may leave it, is dropped whole; the same
/// damage before the last batch is acknowledged records lost, so opening says `Corrupt` and names the file.
#[tokio::test]
async fn damage_in_the_last_batch_is_a_torn_tail_and_elsewhere_corruption() {
    let source = tempfile::tempdir().unwrap();
    let (len, ends) = crashed(source.path()).await;
    for at in (0..len).step_by(53) {
        let dir = tempfile::tempdir().unwrap();
        copy_dir(source.path(), dir.path());
        let journal = newest_journal(dir.path());
        let mut bytes = fs::read(&journal).unwrap();
        bytes[at] ^= 0x55;
        fs::write(&journal, bytes).unwrap();
        match EmbeddedLog::open(dir.path(), options()) {
            Ok(log) => {
                assert!(at >= ends[38], "damage at {at} was not noticed");
                assert_eq!(numbers(&log).await.unwrap(), (0..39).collect::<Vec<_>>(), "damage at {at}");
            }
            Err(error) => {
                assert!(at < ends[38], "damage at {at} is a torn tail: {error}");
                assert_eq!(error.kind, LogErrorKind::Corrupt);
                assert!(error.to_string().contains(".jnl"), "{error}");
            }
        }
    }
}

/// Property: damage in a table is an error when it is read, never a panic and never wrong records.
#[tokio::test]
async fn damaged_table_is_corrupt() {
    let dir = tempfile::tempdir().unwrap();
    let small =
        EmbeddedOptions { write_buffer_bytes: 64 << 10, recent_bytes_max: 0, block_cache_bytes: 0, ..options() };
    let log = EmbeddedLog::open(dir.path(), small.clone()).unwrap();
    for n in 0..600 {
        append(&log, n, 1_000).await.unwrap();
    }
    log.close().await.unwrap();
    let mut damaged = 0;
    for keyspace in fs::read_dir(dir.path().join("engine/keyspaces")).unwrap() {
        for table in fs::read_dir(keyspace.unwrap().path().join("tables")).into_iter().flatten() {
            let path = table.unwrap().path();
            let mut bytes = fs::read(&path).unwrap();
            if bytes.len() > 9_000 {
                bytes[5_000] ^= 0x55;
                fs::write(path, bytes).unwrap();
                damaged += 1;
            }
        }
    }
    assert!(damaged > 0, "there are tables to damage");
    let error = match EmbeddedLog::open(dir.path(), small) {
        Err(error) => error,
        Ok(log) => numbers(&log).await.expect_err("the damage is noticed"),
    };
    assert_eq!(error.kind, LogErrorKind::Corrupt, "{error}");
}

/// Property: a process killed while it appends loses nothing that was acknowledged, and nothing is there twice.
///
/// The child is this test itself, told by the environment to append and print what was acknowledged.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_process_loses_nothing_acknowledged() {
    use std::io::{BufRead, BufReader};
    if let Ok(dir) = std::env::var("FASTN_LOG_TEST_CHILD") {
        let log = Arc::new(
            EmbeddedLog::open(Path::new(&dir), EmbeddedOptions { write_buffer_bytes: 256 << 10, ..options() }).unwrap(),
        );
        let from = numbers(&log).await.unwrap().last().map_or(0, |last| last + 1);
        let writers = (0..8).map(|writer| {
            let log = Arc::clone(&log);
            tokio::spawn(async move {
                for n in (from + writer..).step_by(8) {
                    append(&log, n, 900).await.unwrap();
                    println!("acknowledged {n}");
                }
            })
        });
        futures_util::future::join_all(writers).await;
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let mut acknowledged = Vec::new();
    for round in 0..4 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "killed_process_loses_nothing_acknowledged", "--nocapture"])
            .env("FASTN_LOG_TEST_CHILD", dir.path())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let before = acknowledged.len();
        for line in BufReader::new(child.stdout.take().unwrap()).lines() {
            // A kill may cut the last line.
            let Ok(line) = line else { break };
            acknowledged.extend(line.strip_prefix("acknowledged ").and_then(|n| n.parse::<u64>().ok()));
            if acknowledged.len() - before == 1_500 + 700 * round {
                child.kill().unwrap();
            }
        }
        child.wait().unwrap();
        assert!(acknowledged.len() > before, "the child appended");
        let log = open(dir.path());
        let mut counts = BTreeMap::new();
        for n in numbers(&log).await.unwrap() {
            *counts.entry(n).or_insert(0) += 1;
        }
        assert!(counts.values().all(|count| *count == 1), "a record is there twice");
        let lost: Vec<_> = acknowledged.iter().filter(|n| !counts.contains_key(n)).collect();
        assert!(lost.is_empty(), "acknowledged and lost: {lost:?}");
    }
}

/// Property: a log that is open refuses a second one, names the directory and says what to do; closing lets it go.
#[tokio::test]
async fn second_open_is_locked_out() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    let error = EmbeddedLog::open(dir.path(), options()).expect_err("it is locked");
    assert_eq!((error.kind, error.outcome), (LogErrorKind::Locked, Outcome::NotDone));
    let text = error.to_string();
    assert!(text.contains(dir.path().to_str().unwrap()) && text.contains("stop it"), "{text}");
    append(&log, 1, 10).await.unwrap();
    log.close().await.unwrap();
    open(dir.path());
}

/// Property: the partition count is fixed at creation.
#[tokio::test]
async fn other_partition_count_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path()));
    let error =
        EmbeddedLog::open(dir.path(), EmbeddedOptions { partitions: 4, ..options() }).expect_err("it is refused");
    assert!(error.to_string().contains("made with 3 partitions, not 4"), "{error}");
    open(dir.path());
}

/// Property: timestamps never decrease, even when the clock goes back, across reopening too.
#[tokio::test]
async fn timestamps_outlive_a_clock_that_goes_back() {
    struct Settable(AtomicI64);
    impl Clock for Settable {
        fn now(&self) -> Timestamp {
            Timestamp(self.0.load(Ordering::Relaxed))
        }
    }
    let dir = tempfile::tempdir().unwrap();
    let clock = Arc::new(Settable(AtomicI64::new(1_000)));
    let with_clock = EmbeddedOptions { clock: Arc::clone(&clock) as Arc<dyn Clock>, ..options() };
    for now in [1_000, 500, 2_000, 100] {
        clock.0.store(now, Ordering::Relaxed);
        let log = EmbeddedLog::open(dir.path(), with_clock.clone()).unwrap();
        append(&log, 0, 10).await.unwrap();
        append(&log, 0, 10).await.unwrap();
    }
    let log = open(dir.path());
    let stamps: Vec<_> =
        read_all(&log, Topic::Events, 0).await.unwrap().iter().map(|record| record.timestamp.0).collect();
    assert_eq!(stamps, [1_000, 1_000, 1_000, 1_000, 2_000, 2_000, 2_000, 2_000]);
}

/// Property: appends past the queue's bytes are refused as busy, none of the refused is there, and all others are.
#[tokio::test]
async fn full_queue_is_busy() {
    let dir = tempfile::tempdir().unwrap();
    let log = EmbeddedLog::open(dir.path(), EmbeddedOptions { queue_bytes_max: 200_000, ..options() }).unwrap();
    let mut accepted = Vec::new();
    let mut refused = 0;
    let deadline = Instant::now() + DEADLINE;
    let mut n = 0;
    while refused == 0 {
        assert!(Instant::now() < deadline, "the queue never filled");
        let calls: Vec<_> = (n..n + 100).map(|n| (n, Box::pin(append(&log, n, 10_000)))).collect();
        n += 100;
        let (numbers, calls): (Vec<_>, Vec<_>) = calls.into_iter().unzip();
        for (n, answer) in numbers.into_iter().zip(futures_util::future::join_all(calls).await) {
            match answer {
                Ok(()) => accepted.push(n),
                Err(error) => {
                    assert_eq!((error.kind, error.outcome), (LogErrorKind::Busy, Outcome::NotDone));
                    refused += 1;
                }
            }
        }
    }
    assert_eq!(numbers(&log).await.unwrap(), accepted);
    append(&log, n, 10).await.expect("it goes on");
}

/// Property: trimming gives disk space back, while appends go on and after everything was trimmed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trimming_frees_disk_space() {
    const RECORD_BYTES: usize = 256 << 10;
    let dir = tempfile::tempdir().unwrap();
    let small = EmbeddedOptions { write_buffer_bytes: 4 << 20, ..options() };
    let log = EmbeddedLog::open(dir.path(), small.clone()).unwrap();
    log.append(Topic::Executions, 1, vec![Record::new("k", "long in a table when the rest is written")]).await.unwrap();
    for n in 0..1_000 {
        append(&log, n, RECORD_BYTES).await.unwrap();
    }
    let full = log.disk_bytes();
    assert!(full > 250 << 20, "{full} bytes");
    for partition in 0..2 {
        let end = log.bounds(Topic::Events, partition).await.unwrap().end;
        log.trim(Topic::Events, partition, end).await.unwrap();
    }
    log.trim(Topic::Executions, 1, 1).await.unwrap();
    wait_for(&log, "two of three partitions are gone", |bytes| bytes < full - (150 << 20)).await;
    assert_eq!(read_all(&log, Topic::Events, 2).await.unwrap().len(), 333, "the third is whole");
    log.close().await.unwrap();
    let log = EmbeddedLog::open(dir.path(), small).unwrap();
    assert!(read_all(&log, Topic::Events, 0).await.unwrap().is_empty(), "what was trimmed stays trimmed");
    assert_eq!(
        log.bounds(Topic::Executions, 1).await.unwrap(),
        Bounds { start: 1, end: 1 },
        "an offset would be used again"
    );
    let end = log.bounds(Topic::Events, 2).await.unwrap().end;
    log.trim(Topic::Events, 2, end - 1).await.unwrap();
    // Two journals of 64 MiB, what the write buffer held, and the last table of each partition.
    wait_for(&log, "all but one record is gone", |bytes| bytes < 160 << 20).await;
    assert_eq!(numbers(&log).await.unwrap(), [998]);
}

async fn wait_for(log: &EmbeddedLog, what: &str, reached: impl Fn(u64) -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !reached(log.disk_bytes()) {
        assert!(Instant::now() < deadline, "{what}: {} bytes are on the disk", log.disk_bytes());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Property: with less space on the device than must stay free, appends are refused as full and not done, reads go on.
#[tokio::test]
async fn reserve_of_the_device_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    append(&log, 0, 10).await.unwrap();
    log.close().await.unwrap();
    let log = EmbeddedLog::open(dir.path(), EmbeddedOptions { disk_free_bytes_min: u64::MAX, ..options() }).unwrap();
    let error = append(&log, 1, 10).await.expect_err("it is refused");
    assert_eq!((error.kind, error.outcome), (LogErrorKind::Full, Outcome::NotDone));
    assert!(error.to_string().contains("free some"), "{error}");
    assert_eq!(numbers(&log).await.unwrap(), [0]);
}

/// A small file system of its own, if this process may mount one.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount() -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=24m", "tmpfs"]).arg(dir.path()).output();
        mounted.is_ok_and(|output| output.status.success()).then_some(Self(dir))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: a failed test may still have files open.
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).output();
    }
}

/// Property: a device that is really full refuses appends as not done, keeps everything acknowledged readable, and takes
/// appends again by itself once there is space. What was refused never appears.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn full_device_refuses_and_recovers() {
    let Some(disk) = SmallDisk::mount() else {
        println!("skipped: this process may not mount a tmpfs");
        return;
    };
    let dir = disk.0.path().join("log");
    let small = EmbeddedOptions { write_buffer_bytes: 1 << 20, recent_bytes_max: 0, ..options() };
    let log = EmbeddedLog::open(&dir, small).unwrap();
    let ballast = disk.0.path().join("ballast");
    fs::write(&ballast, vec![1; 8 << 20]).unwrap();
    let mut acknowledged = Vec::new();
    let mut n = 0;
    for round in 0..3 {
        let deadline = Instant::now() + DEADLINE;
        loop {
            assert!(Instant::now() < deadline, "the device never filled");
            n += 1;
            match append(&log, n, 40_000).await {
                Ok(()) => acknowledged.push(n),
                Err(error) => {
                    assert_eq!((error.kind, error.outcome), (LogErrorKind::Full, Outcome::NotDone), "{error}");
                    break;
                }
            }
        }
        assert_eq!(numbers(&log).await.unwrap(), acknowledged, "round {round}, full");
        fs::write(&ballast, vec![1; (4 - 2 * round) << 20]).unwrap();
        let deadline = Instant::now() + DEADLINE;
        loop {
            assert!(Instant::now() < deadline, "it does not go on");
            n += 1;
            match append(&log, n, 100).await {
                Ok(()) => break acknowledged.push(n),
                Err(error) => assert_eq!(error.kind, LogErrorKind::Full, "{error}"),
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(numbers(&log).await.unwrap(), acknowledged, "round {round}, free");
        if round == 1 {
            break;
        }
    }
}
