//! Measures durable appends: closed-loop appenders on a log, beside what the device itself can do with the same bytes.
//!
//! Called by `make bench` and by the example `append_bench` of `fastn-log`.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use fastn_domain::partition::partition_of_key;
use fastn_log::{Log, Record, Topic};

/// What to measure.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// Appenders, each with one append in the air.
    pub appenders: usize,
    /// Bytes of a record's value.
    pub value_bytes: usize,
    /// For how long.
    pub duration: Duration,
}

/// What came out.
#[derive(Clone, Copy, Debug)]
pub struct Report {
    /// Durable appends of one record, a second.
    pub appends_per_second: f64,
    /// Median latency of an append.
    pub p50: Duration,
    /// 99 of 100 were quicker.
    pub p99: Duration,
    /// The slowest.
    pub max: Duration,
    /// CPU time of the whole process, appenders included, for one record.
    pub cpu_micros_per_record: f64,
    /// Records of the same size a second that the device takes when each fdatasync carries as many as there are
    /// appenders: the limit for anything that group-commits.
    pub device_records_per_second: f64,
    /// Median time of such a write and fdatasync.
    pub device_p50: Duration,
}

/// Runs `load` on `log`. The device is measured with a file of its own in `dir`, before and after.
pub async fn measure(log: Arc<dyn Log>, dir: &Path, load: Load) -> Report {
    let before = device(dir, load);
    let (cpu, started) = (cpu_micros(), Instant::now());
    let stop = Arc::new(AtomicBool::new(false));
    let appenders: Vec<_> =
        (0..load.appenders).map(|at| tokio::spawn(appender(Arc::clone(&log), at, load, Arc::clone(&stop)))).collect();
    tokio::time::sleep(load.duration).await;
    stop.store(true, Ordering::Relaxed);
    let mut latencies = Vec::new();
    for appender in appenders {
        latencies.extend(appender.await.expect("an appender does not panic"));
    }
    let (seconds, cpu) = (started.elapsed().as_secs_f64(), cpu_micros() - cpu);
    let after = device(dir, load);
    latencies.sort_unstable();
    let at =
        |share: f64| latencies.get(((latencies.len() as f64 * share) as usize).min(latencies.len().saturating_sub(1)));
    let quantile = |share| Duration::from_micros(u64::from(at(share).copied().unwrap_or(0)));
    let records = latencies.len() as f64;
    Report {
        appends_per_second: records / seconds,
        p50: quantile(0.5),
        p99: quantile(0.99),
        max: quantile(1.0),
        cpu_micros_per_record: cpu / records,
        device_records_per_second: before.0.max(after.0),
        device_p50: before.1.min(after.1),
    }
}

async fn appender(log: Arc<dyn Log>, at: usize, load: Load, stop: Arc<AtomicBool>) -> Vec<u32> {
    let key = format!("account/customer-{at}");
    let partition = partition_of_key(key.as_bytes(), log.partitions());
    let record = Record::new(key, vec![b'x'; load.value_bytes]);
    let mut latencies = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let started = Instant::now();
        log.append(Topic::Events, partition, vec![record.clone()]).await.expect("an append succeeds");
        latencies.push(started.elapsed().as_micros() as u32);
    }
    latencies
}

/// Records a second and the median of write + fdatasync of as many records as there are appenders.
fn device(dir: &Path, load: Load) -> (f64, Duration) {
    const SYNCS: usize = 300;
    let path = dir.join("device-bench");
    let mut file =
        OpenOptions::new().create(true).truncate(true).write(true).open(&path).expect("a file in the directory");
    let bytes = vec![b'x'; load.value_bytes * load.appenders];
    let started = Instant::now();
    let mut times: Vec<_> = (0..SYNCS)
        .map(|_| {
            let started = Instant::now();
            file.write_all(&bytes).and_then(|()| file.sync_data()).expect("the device takes it");
            started.elapsed()
        })
        .collect();
    let seconds = started.elapsed().as_secs_f64();
    std::fs::remove_file(&path).expect("our own file");
    times.sort_unstable();
    ((SYNCS * load.appenders) as f64 / seconds, times[SYNCS / 2])
}

/// User and system time of this process so far; zero where `/proc` is missing.
fn cpu_micros() -> f64 {
    // Linux counts in ticks of 10 ms; the fields after the command name, which may hold spaces.
    const TICK_MICROS: f64 = 10_000.0;
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<_> = stat.rsplit(')').next().unwrap_or("").split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<f64>().ok()).unwrap_or(0.0);
    (ticks(11) + ticks(12)) * TICK_MICROS
}
