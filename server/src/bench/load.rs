//! The load generator: it keeps a number of events in the air, or sends at a rate.

use std::collections::HashMap;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};
use tokio::process::Command;
use tokio::sync::Semaphore;

use super::wire::Wire;

/// The payload: a real one of GitHub, see the README beside it.
const PAYLOAD: &[u8] = include_bytes!("security_advisory.json");
/// Longest wait for the last receipts.
const LAST_RECEIPTS: Duration = Duration::from_secs(60);

/// Arguments of the generator's process.
#[derive(Debug, clap::Args)]
pub(crate) struct Load {
    #[arg(long)]
    server: String,
    /// The sink that tells of receipts; empty: an event has landed once it is accepted
    #[arg(long, default_value = "")]
    sink: String,
    #[arg(long)]
    count: u64,
    #[arg(long)]
    in_air: usize,
    /// Events a second; 0: as fast as they land
    #[arg(long, default_value_t = 0)]
    rate: u64,
    /// Events in one request to /v1/events, with the key in FASTN_ACCESS_KEY; 0: webhooks, one a request
    #[arg(long, default_value_t = 0)]
    batch: u64,
}

/// What the generator saw.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Sent {
    pub(super) seconds: f64,
    pub(super) p50_ms: f64,
    pub(super) p99_ms: f64,
}

/// The events that are in the air, by id.
#[derive(Default)]
struct Air {
    left: Mutex<HashMap<String, i64>>,
    latencies_us: Mutex<Vec<i64>>,
}

impl Air {
    fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
        mutex.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An event landed; false for one that landed before.
    fn land(&self, id: &str, at: i64) -> bool {
        let Some(sent) = Self::lock(&self.left).remove(id) else { return false };
        Self::lock(&self.latencies_us).push(at - sent);
        true
    }
}

impl Load {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        if self.batch > 0 {
            return self.batches().await;
        }
        let air = Arc::new(Air::default());
        let places = Arc::new(Semaphore::new(self.in_air));
        if !self.sink.is_empty() {
            let mut wire = Wire::connect(&self.sink).await?;
            wire.write(b"GET /receipts HTTP/1.1\r\n\r\n").await?;
            wire.line().await?;
            tokio::spawn(follow(wire, Arc::clone(&air), Arc::clone(&places)));
        }
        let began = Instant::now();
        let run = format!("{:x}", crate::clock::now().as_micros());
        let next = Arc::new(std::sync::atomic::AtomicU64::new(0));
        let senders: Vec<_> = (0..self.in_air)
            .map(|_| {
                let sender = Sender {
                    server: self.server.clone(),
                    run: run.clone(),
                    next: Arc::clone(&next),
                    count: self.count,
                    rate: self.rate,
                    began,
                    air: Arc::clone(&air),
                    places: Arc::clone(&places),
                    lands_at_once: self.sink.is_empty(),
                };
                tokio::spawn(sender.run())
            })
            .collect();
        for sender in senders {
            sender.await??;
        }
        let all = tokio::time::timeout(LAST_RECEIPTS, places.acquire_many(self.in_air as u32));
        all.await.context("some events never reached the sink")??.forget();
        let seconds = began.elapsed().as_secs_f64();
        let mut latencies = std::mem::take(&mut *Air::lock(&air.latencies_us));
        latencies.sort_unstable();
        let at = |part: f64| {
            let index = (latencies.len() as f64 * part) as usize;
            latencies.get(index.min(latencies.len().saturating_sub(1))).map_or(0.0, |us| *us as f64 / 1_000.0)
        };
        println!("{}", serde_json::to_string(&Sent { seconds, p50_ms: at(0.5), p99_ms: at(0.99) })?);
        Ok(())
    }
}

impl Load {
    /// Sends batches, each sender one at a time for a customer of its own, and counts an event once its batch is answered.
    async fn batches(self) -> anyhow::Result<()> {
        let key = std::env::var("FASTN_ACCESS_KEY").context("FASTN_ACCESS_KEY holds no key")?;
        let data = std::str::from_utf8(PAYLOAD).context("the payload is text")?;
        let event = format!("{{\"type\":\"bench.stored\",\"data\":{data}}}");
        let body = format!("[{}]", vec![event; self.batch as usize].join(","));
        let request = format!(
            "POST /v1/events HTTP/1.1\r\nhost: bench\r\ncontent-type: application/json\r\nx-fastn-access-key: {key}\r\n\
             content-length: {}\r\n",
            body.len()
        );
        let (head, body) = (Arc::new(request), Arc::new(body));
        let left = Arc::new(std::sync::atomic::AtomicU64::new(self.count / self.batch));
        let began = Instant::now();
        let mut senders = Vec::new();
        for at in 0..self.in_air {
            let request = format!("{head}x-fastn-account-tenant-id: cus_bench_{at}\r\n\r\n{body}").into_bytes();
            let (left, server) = (Arc::clone(&left), self.server.clone());
            senders.push(tokio::spawn(async move {
                let mut wire = Wire::connect(&server).await?;
                let take = |left: u64| left.checked_sub(1);
                let order = std::sync::atomic::Ordering::Relaxed;
                while left.fetch_update(order, order, take).is_ok() {
                    wire.write(&request).await?;
                    let answer = wire.read().await?.context("the server closed the connection")?;
                    if !answer.first_line.contains(" 202 ") {
                        bail!("the server answered {}: {}", answer.first_line, String::from_utf8_lossy(&answer.body));
                    }
                }
                anyhow::Ok(())
            }));
        }
        for sender in senders {
            sender.await??;
        }
        let sent = Sent { seconds: began.elapsed().as_secs_f64(), ..Sent::default() };
        println!("{}", serde_json::to_string(&sent)?);
        Ok(())
    }
}

async fn follow(mut wire: Wire, air: Arc<Air>, places: Arc<Semaphore>) -> anyhow::Result<()> {
    while let Some(line) = wire.line().await? {
        let Some((id, at)) = line.split_once(' ') else { continue };
        if air.land(id, at.parse().unwrap_or_default()) {
            places.add_permits(1);
        }
    }
    Ok(())
}

struct Sender {
    server: String,
    run: String,
    next: Arc<std::sync::atomic::AtomicU64>,
    count: u64,
    rate: u64,
    began: Instant,
    air: Arc<Air>,
    places: Arc<Semaphore>,
    lands_at_once: bool,
}

impl Sender {
    async fn run(self) -> anyhow::Result<()> {
        let mut wire = Wire::connect(&self.server).await?;
        let length = PAYLOAD.len();
        let mut request = Vec::with_capacity(length + 512);
        loop {
            let place = self.places.acquire().await?;
            let number = self.next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            if number >= self.count {
                return Ok(());
            }
            place.forget();
            if self.rate > 0 {
                let due = Duration::from_secs_f64(number as f64 / self.rate as f64);
                tokio::time::sleep_until((self.began + due).into()).await;
            }
            let id = format!("{}-{number}", self.run);
            request.clear();
            request.extend_from_slice(
                format!(
                    "POST /v1/webhooks/bench HTTP/1.1\r\nhost: bench\r\ncontent-type: application/json\r\n\
                     ce-specversion: 1.0\r\nce-id: {id}\r\nce-source: bench\r\nce-type: bench.sent\r\n\
                     content-length: {length}\r\n\r\n"
                )
                .as_bytes(),
            );
            request.extend_from_slice(PAYLOAD);
            Air::lock(&self.air.left).insert(id.clone(), crate::clock::now().as_micros());
            wire.write(&request).await?;
            let answer = wire.read().await?.context("the server closed the connection")?;
            if !answer.first_line.contains(" 202 ") {
                bail!("the server answered {}: {}", answer.first_line, String::from_utf8_lossy(&answer.body));
            }
            if self.lands_at_once && self.air.land(&id, crate::clock::now().as_micros()) {
                self.places.add_permits(1);
            }
        }
    }
}

/// Runs a generator as a process of its own. The bound of its time is the caller's.
pub(super) async fn run_child(server: &str, sink: &str, count: u64, in_air: usize, rate: u64) -> anyhow::Result<Sent> {
    let (count, in_air, rate) = (count.to_string(), in_air.to_string(), rate.to_string());
    let mut command = Command::new(super::this_binary()?);
    command.args(["bench", "load", "--server", server, "--sink", sink]);
    command.args(["--count", &count, "--in-air", &in_air, "--rate", &rate]);
    sent(command).await
}

/// Senders of batches: customers `cus_bench_0` and so on, so that every partition has some.
pub(super) const BATCH_SENDERS: usize = 32;

/// Runs one that sends `count` events in batches.
pub(super) async fn run_batches(server: &str, key: &str, count: u64, batch: u64) -> anyhow::Result<Sent> {
    let (count, batch, senders) = (count.to_string(), batch.to_string(), BATCH_SENDERS.to_string());
    let mut command = Command::new(super::this_binary()?);
    command.env("FASTN_ACCESS_KEY", key).args(["bench", "load", "--server", server]);
    command.args(["--count", &count, "--in-air", &senders, "--batch", &batch]);
    sent(command).await
}

async fn sent(mut command: Command) -> anyhow::Result<Sent> {
    let output =
        command.stderr(Stdio::inherit()).kill_on_drop(true).output().await.context("run the load generator")?;
    if !output.status.success() {
        bail!("the load generator failed");
    }
    serde_json::from_slice(&output.stdout).context("read what the load generator saw")
}
