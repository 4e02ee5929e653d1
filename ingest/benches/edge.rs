//! What one webhook of 1 KiB costs the edge in CPU time, beside what the same router costs without it.
//!
//! `cargo bench -p fastn-ingest`: prints microseconds of thread CPU time per request, the median of several rounds. It
//! asserts nothing, since speed depends on the machine.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::routing::post;
use fastn_domain::catalog::{Catalog, ResourceKind, ResourceRow};
use fastn_domain::{AccountId, Clock, CustomerId, Timestamp};
use fastn_ingest::{Ingest, IngestConfig, router};
use fastn_log::{Appended, Bounds, Log, LogResult, Membership, Offset, Partition, Record, StoredRecord, Topic};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde_json::{Value, json};
use tokio::sync::watch;
use tower::ServiceExt;

const REQUESTS: usize = 20_000;
const ROUNDS: usize = 7;
const SECRET: &str = "It's a Secret to Everybody";

struct NullLog;

#[async_trait]
impl Log for NullLog {
    fn partitions(&self) -> u32 {
        16
    }
    fn append(&self, _: Topic, _: Partition, records: Vec<Record>) -> BoxFuture<'static, LogResult<Appended>> {
        let count = records.len() as u64;
        async move { Ok(Appended { first: 0, count }) }.boxed()
    }
    async fn read(&self, _: Topic, _: Partition, _: Offset, _: usize, _: usize) -> LogResult<Vec<StoredRecord>> {
        Ok(Vec::new())
    }
    fn tail(&self, _: Topic, _: Partition) -> watch::Receiver<Offset> {
        watch::channel(0).1
    }
    async fn bounds(&self, _: Topic, _: Partition) -> LogResult<Bounds> {
        Ok(Bounds { start: 0, end: 0 })
    }
    async fn trim(&self, _: Topic, _: Partition, _: Offset) -> LogResult<()> {
        Ok(())
    }
    async fn join(&self, _: &str) -> LogResult<Membership> {
        Ok(Membership { owned: watch::channel(Arc::from([0].as_slice())).1 })
    }
    fn disk_bytes(&self) -> u64 {
        0
    }
    async fn close(&self) -> LogResult<()> {
        Ok(())
    }
}

struct FixedClock;

impl Clock for FixedClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(1_764_000_000_000)
    }
}

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let (_sender, catalog) = watch::channel(Arc::new(catalog()));
    let edge = router(Ingest {
        log: Arc::new(NullLog),
        catalog,
        secrets: Arc::new(|_| Ok(SECRET.to_owned())),
        keep_secret: Arc::new(|_| Box::pin(async { Ok(true) })),
        clock: Arc::new(FixedClock),
        residency: Arc::default(),
        config: IngestConfig::default(),
    });
    let bare = Router::new().route("/v1/webhooks/{trigger}", post(bare));
    let body = payload();
    let signature = signature(&body);
    for (name, router) in [("axum alone", bare), ("the edge", edge)] {
        let mut rounds: Vec<f64> = (0..ROUNDS).map(|_| runtime.block_on(round(&router, &body, &signature))).collect();
        rounds.sort_by(f64::total_cmp);
        println!("{name}: {:.1} µs of CPU per webhook of {} bytes", rounds[ROUNDS / 2], body.len());
    }
}

async fn bare(request: Request) -> (StatusCode, String) {
    let body = axum::body::to_bytes(request.into_body(), 1 << 20).await.unwrap_or_default();
    (StatusCode::ACCEPTED, format!("{{\"bytes\":{}}}", body.len()))
}

async fn round(router: &Router, body: &str, signature: &str) -> f64 {
    let started = cpu_time();
    for _ in 0..REQUESTS {
        let request = Request::post("/v1/webhooks/github")
            .header("content-type", "application/json")
            .header("user-agent", "GitHub-Hookshot/044aadd")
            .header("accept", "*/*")
            .header("x-github-delivery", "72d3162e-cc78-11e3-81ab-4c9367dc0958")
            .header("x-github-event", "issues")
            .header("x-github-hook-id", "292430182")
            .header("x-github-hook-installation-target-id", "79929171")
            .header("x-github-hook-installation-target-type", "repository")
            .header("x-hub-signature-256", signature)
            .body(Body::from(body.to_owned()))
            .expect("a request");
        let Ok(response) = router.clone().oneshot(request).await;
        assert_eq!(response.status(), StatusCode::ACCEPTED);
    }
    (cpu_time() - started).as_secs_f64() * 1e6 / REQUESTS as f64
}

/// CPU time of the only thread that works, from the scheduler's own count of nanoseconds.
fn cpu_time() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux tells a thread's CPU time");
    Duration::from_nanos(
        text.split(' ').next().and_then(|ns| ns.parse().ok()).expect("its first number is nanoseconds"),
    )
}

fn payload() -> String {
    let label = |at: usize| json!({"id": 208_045_946 + at, "name": format!("label-{at}"), "color": "f29513", "default": at == 0});
    let labels: Vec<Value> = (0..8).map(label).collect();
    let issue = json!({"number": 1347, "title": "Found a bug", "body": "I'm having a problem with this. \u{e9}\n".repeat(6),
        "labels": labels, "locked": false, "score": 1.5, "milestone": null});
    json!({"action": "opened", "issue": issue, "sender": {"login": "octocat", "id": 1}}).to_string()
}

fn signature(body: &str) -> String {
    let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, SECRET.as_bytes());
    let tag = aws_lc_rs::hmac::sign(&key, body.as_bytes());
    tag.as_ref().iter().fold("sha256=".to_owned(), |text, byte| format!("{text}{byte:02x}"))
}

fn catalog() -> Catalog {
    let source = json!({"type": "webhook", "verification": {"scheme": "github", "secret": "S"}});
    let rows: Vec<ResourceRow> = [
        (ResourceKind::Customer, "acme", json!({"id": "acme"})),
        (
            ResourceKind::Trigger,
            "github",
            json!({"id": "github", "customer": "acme", "source": source, "routes": [{"workflow": "w"}]}),
        ),
        (ResourceKind::Secret, "S", json!({"name": "S", "versions": {"1": {"wrappedKey": "", "sealed": ""}}})),
    ]
    .into_iter()
    .map(|(kind, id, body)| ResourceRow {
        kind,
        account: AccountId::new("main").expect("an id"),
        customer: (kind == ResourceKind::Trigger).then(|| CustomerId::new("acme").expect("an id")),
        id: id.to_owned(),
        revision: 1,
        version: 1,
        created: Timestamp(0),
        updated: Timestamp(0),
        deleted: false,
        body: body.to_string(),
    })
    .collect();
    Catalog::default().with(&rows).0
}
