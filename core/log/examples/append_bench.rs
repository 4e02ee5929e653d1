//! `cargo run --release -p fastn-log --example append_bench -- [appenders] [value bytes] [seconds] [directory]`

use std::sync::Arc;
use std::time::Duration;

use fastn_log::{EmbeddedLog, EmbeddedOptions, Log};
use fastn_testkit::append_bench::{Load, measure};

#[tokio::main]
async fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let number = |at: usize, default: usize| args.get(at).map_or(default, |text| text.parse().expect("a number"));
    let load = Load {
        appenders: number(0, 64),
        value_bytes: number(1, 1_024),
        duration: Duration::from_secs(number(2, 5) as u64),
    };
    let scratch = tempfile::tempdir_in(args.get(3).map_or(".", String::as_str)).expect("a directory");
    let log = Arc::new(EmbeddedLog::open(&scratch.path().join("log"), EmbeddedOptions::default()).expect("opens"));
    let report = measure(Arc::clone(&log) as Arc<dyn Log>, scratch.path(), load).await;
    println!("{} appenders, {} bytes, {:?}", load.appenders, load.value_bytes, load.duration);
    println!("  appends/s            {:>10.0}", report.appends_per_second);
    println!("  p50 / p99 / max      {:?} / {:?} / {:?}", report.p50, report.p99, report.max);
    println!("  CPU a record         {:>10.1} µs", report.cpu_micros_per_record);
    println!(
        "  device, records/s    {:>10.0}   one write and fdatasync of {} records: p50 {:?}",
        report.device_records_per_second, load.appenders, report.device_p50
    );
    println!("  resident             {:>10} MiB (peak {} MiB)", status("VmRSS:") >> 10, status("VmHWM:") >> 10);
    println!("  on disk              {:>10} MiB", log.disk_bytes() >> 20);
    log.close().await.expect("closes");
}

/// A line of `/proc/self/status`, in KiB.
fn status(name: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|line| line.split_whitespace().next()).and_then(|number| number.parse().ok()).unwrap_or(0)
}
