//! Traces for a collector: OTLP over HTTP with protobuf, made of the journal's ends.
//!
//! ```text
//!   executions[p] ─▶ spans ─▶ POST <collector>/v1/traces ─▶ bookmark of p
//! ```
//!
//! The journal is the buffer: spans are made of it when the collector takes them, and the bookmark moves after that. So a
//! crash loses none and may tell some twice, under the same ids, and nothing that runs ever waits for a collector. A
//! collector that stays away costs what happened meanwhile: after [`OtlpOptions::give_up`] the export goes on with what
//! happens then, and what was passed over is counted.

mod observe;
mod protobuf;
mod spans;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use fastn_domain::journal::JournalRecord;
use fastn_log::{Log, Membership, Partition};
use fastn_store::{Position, Store};
use futures_util::future::select_all;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use self::protobuf::Message;
use crate::follower::Follower;

/// The name of its bookmarks.
const FOLLOWER: &str = "otlp";
/// Bytes of spans after which a request is sent.
const REQUEST_BYTES: usize = 1 << 20;
/// Longest time of a request.
const REQUEST_MAX: Duration = Duration::from_secs(10);
/// The first wait after a failure, and the longest.
const WAIT_FIRST: Duration = Duration::from_millis(500);
const WAIT_MAX: Duration = Duration::from_secs(30);

/// Where and how traces are exported.
#[derive(Clone, Debug)]
pub struct OtlpOptions {
    /// The collector, e.g. `http://localhost:4318`; spans go to `/v1/traces` below it.
    pub url: String,
    /// The node's name, for `service.instance.id`.
    pub node: String,
    /// Wait for more ends before a request.
    pub gather: Duration,
    /// Between two moves of the bookmarks. A restart tells what came after the last one again.
    pub bookmark_every: Duration,
    /// For how long a collector may be away before what happened meanwhile is passed over.
    pub give_up: Duration,
}

impl OtlpOptions {
    /// To this collector.
    pub fn to(url: &str, node: &str) -> Self {
        Self {
            url: url.trim_end_matches('/').to_owned(),
            node: node.to_owned(),
            gather: Duration::from_millis(500),
            bookmark_every: Duration::from_secs(5),
            give_up: Duration::from_secs(300),
        }
    }
}

/// The export of this node. Dropping it ends it at once, which is as safe as a kill.
#[derive(Debug)]
pub struct Otlp {
    task: JoinHandle<()>,
}

impl Otlp {
    /// Exports what the partitions that `membership` owns tell, from the bookmarks on; from now on where there is none.
    ///
    /// # Errors
    /// TLS can't be set up.
    pub fn start(
        log: Arc<dyn Log>,
        store: Arc<dyn Store>,
        membership: Membership,
        options: OtlpOptions,
    ) -> Result<Self, reqwest::Error> {
        observe::started();
        let http = reqwest::Client::builder()
            .timeout(REQUEST_MAX)
            .user_agent(concat!("fastn/", env!("CARGO_PKG_VERSION")))
            .no_proxy()
            .build()?;
        let exporter = Exporter { log, store, http, options, followers: Vec::new(), kept: BTreeMap::new() };
        Ok(Self { task: tokio::spawn(exporter.run(membership)) })
    }
}

impl Drop for Otlp {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Exporter {
    log: Arc<dyn Log>,
    store: Arc<dyn Store>,
    http: reqwest::Client,
    options: OtlpOptions,
    followers: Vec<Follower>,
    /// The bookmarks as the store has them.
    kept: BTreeMap<Partition, Position>,
}

/// Spans that were read and not told yet.
#[derive(Default)]
struct Batch {
    spans: Message,
    count: usize,
}

impl Exporter {
    async fn run(mut self, mut membership: Membership) {
        let mut failures = 0_u32;
        loop {
            let (owned, began) = (membership.owned.borrow_and_update().clone(), Instant::now());
            let ended = tokio::select! {
                ended = self.export(&owned) => ended,
                changed = membership.owned.changed() => {
                    if changed.is_err() { return }
                    Ok(())
                }
            };
            match ended {
                Ok(()) => failures = 0,
                Err(reason) => {
                    // What worked for so long and fails now is a failure of its own.
                    let first = began.elapsed() > WAIT_MAX * 2;
                    failures = if first { 1 } else { failures.saturating_add(1) };
                    let wait = wait_after(failures);
                    observe::failed(&reason, failures, wait);
                    tokio::time::sleep(wait).await;
                }
            }
        }
    }

    /// Until log or store fail.
    async fn export(&mut self, owned: &[Partition]) -> Result<(), String> {
        self.follow(owned).await?;
        let mut moved = Instant::now();
        loop {
            let batch = self.read().await?;
            if batch.count > 0 {
                self.tell(batch).await?;
            }
            if moved.elapsed() >= self.options.bookmark_every {
                self.move_bookmarks().await?;
                moved = Instant::now();
            }
            if self.followers.iter().any(|follower| !follower.at_tail()) {
                continue;
            }
            tokio::select! {
                grown = grown(&mut self.followers) => {
                    if !grown { return Err("the log is closed".to_owned()) }
                    tokio::time::sleep(self.options.gather).await;
                }
                () = tokio::time::sleep(self.options.bookmark_every) => {}
            }
        }
    }

    async fn follow(&mut self, owned: &[Partition]) -> Result<(), String> {
        self.followers.clear();
        self.kept.clear();
        for &partition in owned {
            let kept = self.store.bookmark(FOLLOWER, partition).await.map_err(|error| error.to_string())?;
            let follower = match kept {
                kept if kept == Position::default() => Follower::at_end(self.log.as_ref(), partition).await,
                kept => Follower::at(self.log.as_ref(), partition, kept).await,
            };
            self.kept.insert(partition, kept);
            self.followers.push(follower.map_err(|error| error.to_string())?);
        }
        // Where it begins is kept at once: what follows is told even if the process dies before the first request.
        self.move_bookmarks().await
    }

    /// One request's worth of spans.
    async fn read(&mut self) -> Result<Batch, String> {
        let mut batch = Batch::default();
        for follower in &mut self.followers {
            while !follower.at_tail() && batch.spans.len() < REQUEST_BYTES {
                let read = follower.read(self.log.as_ref()).await.map_err(|error| error.to_string())?;
                if read.records.is_empty() {
                    break;
                }
                for record in &read.records {
                    if let JournalRecord::Finished(record) = record {
                        batch.count += spans::append(record, &mut batch.spans);
                    }
                }
            }
        }
        Ok(batch)
    }

    /// Tells the collector, however long it is away, up to the limit.
    async fn tell(&mut self, batch: Batch) -> Result<(), String> {
        let body = bytes::Bytes::from(spans::request(&self.options.node, &batch.spans));
        let began = Instant::now();
        let mut failures = 0_u32;
        loop {
            let (again, reason) = match self.post(body.clone()).await {
                Ok(()) => {
                    observe::exported(batch.count);
                    return Ok(());
                }
                Err(failure) => failure,
            };
            if !again {
                observe::dropped(batch.count, &reason);
                return Ok(());
            }
            if began.elapsed() >= self.options.give_up {
                observe::dropped(batch.count, &reason);
                return self.skip_to_now().await;
            }
            failures = failures.saturating_add(1);
            let wait = wait_after(failures);
            observe::failed(&reason, failures, wait);
            tokio::time::sleep(wait).await;
        }
    }

    /// One request. Its failure tells whether another may succeed.
    async fn post(&self, body: bytes::Bytes) -> Result<(), (bool, String)> {
        let url = format!("{}/v1/traces", self.options.url);
        let sent = self.http.post(url).header("content-type", "application/x-protobuf").body(body).send().await;
        let answer =
            sent.map_err(|error| (true, format!("the collector can't be reached: {}", error.without_url())))?;
        let status = answer.status();
        if status.is_success() {
            return Ok(());
        }
        // The specification of OTLP: these may pass, others will not.
        let again = matches!(status.as_u16(), 429 | 502 | 503 | 504);
        Err((again, format!("the collector answered {}", status.as_u16())))
    }

    async fn skip_to_now(&mut self) -> Result<(), String> {
        let mut skipped = 0;
        for follower in &mut self.followers {
            let from = follower.position().next;
            let now = Follower::at_end(self.log.as_ref(), follower.partition).await;
            *follower = now.map_err(|error| error.to_string())?;
            skipped += follower.position().next.saturating_sub(from);
        }
        observe::skipped(skipped);
        self.move_bookmarks().await
    }

    async fn move_bookmarks(&mut self) -> Result<(), String> {
        for follower in &self.followers {
            let (partition, position) = (follower.partition, follower.position());
            if self.kept.get(&partition) == Some(&position) {
                continue;
            }
            let set = self.store.set_bookmark(FOLLOWER, partition, position).await;
            set.map_err(|error| error.to_string())?;
            self.kept.insert(partition, position);
        }
        Ok(())
    }
}

fn wait_after(failures: u32) -> Duration {
    WAIT_FIRST.saturating_mul(1 << failures.saturating_sub(1).min(10)).min(WAIT_MAX)
}

/// Waits until a partition has more than was read; for ever when there is none. False when the log is closed.
async fn grown(followers: &mut [Follower]) -> bool {
    if followers.is_empty() {
        return std::future::pending().await;
    }
    select_all(followers.iter_mut().map(|follower| Box::pin(follower.grown()))).await.0
}
