//! What docs/adr/0006 says of tokio-cron-scheduler, measured: so many jobs, all due every 20 seconds, for a minute.
//!
//!     cargo run --release -p fastn-scheduler --example tokio_cron_jobs [JOBS]

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a measurement that fails by a panic")]

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use tokio_cron_scheduler::{Job, JobScheduler};

fn cpu() -> Duration {
    let text = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = text.rsplit(')').next().unwrap().split_whitespace().collect();
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    Duration::from_millis(ticks * 10)
}

#[tokio::main]
async fn main() {
    let jobs: usize = std::env::args().nth(1).map_or(10_000, |text| text.parse().unwrap());
    let late: Arc<Mutex<Vec<u128>>> = Arc::default();
    let mut scheduler = JobScheduler::new().await.unwrap();
    let began = Instant::now();
    for _ in 0..jobs {
        let late = late.clone();
        let job = Job::new_async("0/20 * * * * *", move |_, _| {
            let late = late.clone();
            Box::pin(async move {
                let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis();
                late.lock().unwrap().push(now % 20_000);
            })
        });
        scheduler.add(job.unwrap()).await.unwrap();
    }
    let added = began.elapsed();
    scheduler.start().await.unwrap();
    let (began, before) = (Instant::now(), cpu());
    tokio::time::sleep(Duration::from_secs(60)).await;
    let cores = (cpu() - before).as_secs_f64() / began.elapsed().as_secs_f64();
    let mut late = std::mem::take(&mut *late.lock().unwrap());
    late.sort_unstable();
    let at = |part: f64| late.get(((late.len().max(1) - 1) as f64 * part) as usize).copied().unwrap_or_default();
    println!(
        "{jobs} jobs added in {added:.1?}; {} of {} fires in a minute; late p50 {} ms, p99 {} ms, at most {} ms; {cores:.2} cores",
        late.len(),
        jobs * 3,
        at(0.5),
        at(0.99),
        at(1.0)
    );
    scheduler.shutdown().await.unwrap();
}
