//! A router over a small catalog and a log in memory whose failures a test chooses.

use std::io::Write;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request, StatusCode};
use fastn_contract::error::Problem;
use fastn_domain::catalog::{Catalog, ResourceKind, ResourceRow};
use fastn_domain::event::EventRecord;
use fastn_domain::{AccountId, Clock, CustomerId, Timestamp};
use fastn_ingest::{Ingest, IngestConfig, KeepSecret, NewSecret, auth, problem, router};
use fastn_log::codec::decode_event;
use fastn_log::{
    Appended, Bounds, Log, LogError, LogErrorKind, LogResult, Membership, Offset, Outcome, Partition, Record,
    StoredRecord, Topic,
};
use flate2::Compression;
use flate2::write::GzEncoder;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde_json::{Value, json};
use tokio::sync::{Notify, watch};
use tower::ServiceExt;

pub(crate) const NOW_S: i64 = 1_614_265_330;
pub(crate) const KEY: &str = "fsk_test_all";
pub(crate) const KEY_OF_ACME: &str = "fsk_test_acme";
pub(crate) const KEY_EXPIRED: &str = "fsk_test_old";
pub(crate) const KEY_OF_OTHER: &str = "fsk_test_other";
pub(crate) const GITHUB_SECRET: &str = "It's a Secret to Everybody";
pub(crate) const STANDARD_SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// What the log does with an append.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Stored,
    Fails(LogErrorKind),
    /// Stored, and the acknowledgement is lost.
    Unheard,
    /// Queued, and not durable before the test says so.
    Held,
}

/// A log that keeps what was appended, batch by batch.
pub(crate) struct TestLog {
    pub(crate) fate: Mutex<Fate>,
    pub(crate) release: Arc<Notify>,
    pub(crate) appends: Mutex<Vec<(Topic, Partition, Vec<Record>)>>,
}

#[async_trait]
impl Log for TestLog {
    fn partitions(&self) -> u32 {
        16
    }

    fn append(
        &self,
        topic: Topic,
        partition: Partition,
        records: Vec<Record>,
    ) -> BoxFuture<'static, LogResult<Appended>> {
        let fate = *self.fate.lock().unwrap();
        let count = records.len() as u64;
        if !matches!(fate, Fate::Fails(_)) {
            self.appends.lock().unwrap().push((topic, partition, records));
        }
        let fail = |kind, outcome| {
            let (operation, context, message) = ("append to", "events".to_owned(), "as the test asks".to_owned());
            Err(LogError { kind, outcome, operation, context, message })
        };
        let release = self.release.clone();
        let result = match fate {
            Fate::Stored | Fate::Held => Ok(Appended { first: 0, count }),
            Fate::Fails(kind) => fail(kind, Outcome::NotDone),
            Fate::Unheard => fail(LogErrorKind::Io, Outcome::Unknown),
        };
        async move {
            if fate == Fate::Held {
                release.notified().await;
            }
            result
        }
        .boxed()
    }

    async fn read(&self, _: Topic, _: Partition, _: Offset, _: usize, _: usize) -> LogResult<Vec<StoredRecord>> {
        unimplemented!("the edge only appends")
    }

    fn tail(&self, _: Topic, _: Partition) -> watch::Receiver<Offset> {
        unimplemented!("the edge only appends")
    }

    async fn bounds(&self, _: Topic, _: Partition) -> LogResult<Bounds> {
        unimplemented!("the edge only appends")
    }

    async fn trim(&self, _: Topic, _: Partition, _: Offset) -> LogResult<()> {
        unimplemented!("the edge only appends")
    }

    async fn join(&self, _: &str) -> LogResult<Membership> {
        unimplemented!("the edge only appends")
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
        Timestamp::from_millis(NOW_S * 1_000)
    }
}

/// The edge under test.
pub(crate) struct Edge {
    pub(crate) log: Arc<TestLog>,
    /// What handshakes stored: secret and value.
    pub(crate) kept: Arc<Mutex<Vec<(String, String)>>>,
    router: Router,
    catalog: watch::Sender<Arc<Catalog>>,
}

/// An answer, read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Edge {
    pub(crate) fn new() -> Self {
        Self::with(IngestConfig::default())
    }

    pub(crate) fn with(config: IngestConfig) -> Self {
        let log =
            Arc::new(TestLog { fate: Mutex::new(Fate::Stored), release: Arc::default(), appends: Mutex::default() });
        let (sender, catalog) = watch::channel(Arc::new(catalog()));
        let kept: Arc<Mutex<Vec<(String, String)>>> = Arc::default();
        let ingest = Ingest {
            keep_secret: keep_secret(sender.clone(), kept.clone()),
            log: log.clone(),
            catalog,
            secrets: Arc::new(|at| {
                assert_eq!(at.version, 2, "the newest version is asked for");
                let open = at.sealed.sealed.strip_prefix("sealed:").map(str::to_owned);
                open.ok_or("the master key is another one".to_owned())
            }),
            clock: Arc::new(FixedClock),
            residency: Arc::default(),
            config,
        };
        let router = problem::with_fallbacks(router(ingest));
        Self { log, kept, router, catalog: sender }
    }

    /// Changes the configuration.
    pub(crate) fn configure(&self, rows: &[ResourceRow]) {
        apply(&self.catalog, rows);
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(Request::get(path).body(Body::empty()).unwrap()).await
    }

    pub(crate) fn fate(&self, fate: Fate) {
        *self.log.fate.lock().unwrap() = fate;
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (head, body) = response.into_parts();
        let body = to_bytes(body, usize::MAX).await.unwrap().to_vec();
        Answer { status: head.status, headers: head.headers, body }
    }

    /// Posts with headers; a `content-type` of JSON unless there is one.
    pub(crate) async fn post(&self, path: &str, headers: &[(&str, &str)], body: impl Into<Vec<u8>>) -> Answer {
        let mut request = Request::post(path);
        if !headers.iter().any(|(name, _)| *name == "content-type") {
            request = request.header("content-type", "application/json");
        }
        for (name, value) in headers.iter().filter(|(_, value)| !value.is_empty()) {
            request = request.header(*name, *value);
        }
        self.send(request.body(Body::from(body.into())).unwrap()).await
    }

    /// Posts to `/v1/events` for customer `acme`.
    pub(crate) async fn post_events(&self, headers: &[(&str, &str)], body: impl Into<Vec<u8>>) -> Answer {
        let own = [("x-fastn-access-key", KEY), ("x-fastn-account-tenant-id", "acme")];
        self.post("/v1/events", &[&own, headers].concat(), body).await
    }

    /// Every event that is in the log.
    pub(crate) fn events(&self) -> Vec<EventRecord> {
        let appends = self.log.appends.lock().unwrap();
        let records = appends.iter().flat_map(|(_, _, records)| records);
        records.map(|record| decode_event(&record.value).unwrap()).collect()
    }

    /// The one event that is in the log.
    pub(crate) fn event(&self) -> EventRecord {
        let mut events = self.events();
        assert_eq!(events.len(), 1);
        events.remove(0)
    }
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// The answer as the problem that it must be.
    #[track_caller]
    pub(crate) fn problem(&self, status: u16, code: &str) -> Problem {
        assert_eq!(self.status.as_u16(), status, "{}", String::from_utf8_lossy(&self.body));
        assert_eq!(self.headers["content-type"], "application/problem+json");
        let problem: Problem = serde_json::from_slice(&self.body).unwrap();
        assert_eq!((problem.code.as_str(), problem.status), (code, status));
        assert!(!problem.detail.is_empty() && problem.kind == format!("/errors/{code}"));
        let header = self.headers.get("retry-after").map(|value| value.to_str().unwrap().to_owned());
        assert_eq!(header, problem.retry_after.map(|seconds| seconds.to_string()));
        problem
    }

    #[track_caller]
    pub(crate) fn accepted(&self) -> Value {
        assert_eq!(self.status, StatusCode::ACCEPTED, "{}", String::from_utf8_lossy(&self.body));
        assert_eq!(self.headers["content-type"], "application/json");
        self.json()
    }
}

/// The paths of a problem's errors.
pub(crate) fn paths(problem: &Problem) -> Vec<&str> {
    problem.errors.iter().map(|error| error.path.as_str()).collect()
}

pub(crate) fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap()
}

fn apply(catalog: &watch::Sender<Arc<Catalog>>, rows: &[ResourceRow]) {
    let (next, errors) = catalog.borrow().with(rows);
    assert!(errors.is_empty(), "{errors:?}");
    catalog.send_replace(Arc::new(next));
}

/// A store of secrets as the server has it: what is there stays.
fn keep_secret(catalog: watch::Sender<Arc<Catalog>>, kept: Arc<Mutex<Vec<(String, String)>>>) -> KeepSecret {
    Arc::new(move |secret: NewSecret| {
        let id = secret.customer.as_ref().map_or(secret.name.clone(), |customer| format!("{customer}/{}", secret.name));
        let mut kept = kept.lock().unwrap();
        let fresh = !kept.iter().any(|(known, _)| *known == id);
        if fresh {
            let sealed = json!({"wrappedKey": "", "sealed": format!("sealed:{}", secret.value)});
            let body = json!({"name": secret.name, "versions": {"2": sealed}});
            let customer = secret.customer.as_ref().map(|customer| customer.as_str());
            apply(&catalog, &[a_row(ResourceKind::Secret, "main", customer, &id, body)]);
            kept.push((id, secret.value));
        }
        async move { Ok(fresh) }.boxed()
    })
}

/// A row of configuration.
pub(crate) fn a_row(kind: ResourceKind, account: &str, customer: Option<&str>, id: &str, body: Value) -> ResourceRow {
    ResourceRow {
        kind,
        account: AccountId::new(account).unwrap(),
        customer: customer.map(|customer| CustomerId::new(customer).unwrap()),
        id: id.to_owned(),
        revision: 1,
        version: 1,
        created: Timestamp(0),
        updated: Timestamp(0),
        deleted: false,
        body: body.to_string(),
    }
}

/// A webhook trigger of customer `acme`.
pub(crate) fn webhook(id: &str, verification: Value) -> ResourceRow {
    let source = json!({"type": "webhook", "verification": verification});
    let body = json!({"id": id, "customer": "acme", "source": source, "routes": [{"workflow": "triage"}]});
    a_row(ResourceKind::Trigger, "main", Some("acme"), id, body)
}

/// A secret of the account `main`.
pub(crate) fn secret(name: &str, value: &str) -> ResourceRow {
    let sealed = json!({"wrappedKey": "", "sealed": format!("sealed:{value}")});
    a_row(ResourceKind::Secret, "main", None, name, json!({"name": name, "versions": {"2": sealed}}))
}

/// HMAC-SHA-256 in hex.
pub(crate) fn hmac_hex(key: &str, text: &[u8]) -> String {
    let tag = aws_lc_rs::hmac::sign(&aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, key.as_bytes()), text);
    tag.as_ref().iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
}

/// Two accounts. `main` has the customers `acme` and `beta`, its triggers and keys; `other` has a key and a customer.
fn catalog() -> Catalog {
    let mut rows = Vec::new();
    let mut row = |kind, account: &str, customer: Option<&str>, id: &str, body: Value| {
        rows.push(a_row(kind, account, customer, id, body));
    };
    for (account, customer) in [("main", "acme"), ("main", "beta"), ("other", "acme")] {
        row(ResourceKind::Customer, account, Some(customer), customer, json!({"id": customer}));
    }
    for (id, customer, verification, status) in [
        ("github", Some("acme"), json!({"scheme": "github", "secret": "GITHUB"}), "enabled"),
        ("standard", Some("acme"), json!({"scheme": "standardWebhooks", "secret": "STANDARD"}), "enabled"),
        ("shared", None, json!({"scheme": "github", "secret": "SHARED"}), "enabled"),
        ("unset", Some("acme"), json!({"scheme": "github", "secret": "UNSET"}), "enabled"),
        ("unopenable", Some("acme"), json!({"scheme": "github", "secret": "UNOPENABLE"}), "enabled"),
        ("key", Some("acme"), json!({"scheme": "accessKey"}), "enabled"),
        ("key-shared", None, json!({"scheme": "accessKey"}), "enabled"),
        ("public", Some("acme"), json!({"scheme": "public"}), "enabled"),
        ("public-shared", None, json!({"scheme": "public"}), "enabled"),
        ("off", Some("acme"), json!({"scheme": "public"}), "disabled"),
    ] {
        let source = json!({"type": "webhook", "verification": verification});
        let routes = json!([{"workflow": "triage"}]);
        let body = json!({"id": id, "customer": customer, "source": source, "routes": routes, "status": status});
        row(ResourceKind::Trigger, "main", customer, id, body);
    }
    let source = json!({"type": "event", "types": ["order.*"]});
    let body = json!({"id": "orders", "source": source, "routes": [{"workflow": "triage"}]});
    row(ResourceKind::Trigger, "main", None, "orders", body);
    for (customer, name, sealed) in [
        (None, "GITHUB", format!("sealed:{GITHUB_SECRET}")),
        (None, "STANDARD", format!("sealed:{STANDARD_SECRET}")),
        (None, "SHARED", "sealed:of the account".to_owned()),
        (Some("beta"), "SHARED", "sealed:of beta".to_owned()),
        (None, "UNOPENABLE", "?".to_owned()),
    ] {
        let body = json!({"name": name, "versions": {
            "1": {"wrappedKey": "", "sealed": "sealed:an old value"}, "2": {"wrappedKey": "", "sealed": sealed}
        }});
        let id = customer.map_or(name.to_owned(), |customer| format!("{customer}/{name}"));
        row(ResourceKind::Secret, "main", customer, &id, body);
    }
    for (account, id, key, customer, expires) in [
        ("main", "key_all", KEY, None, None),
        ("main", "key_acme", KEY_OF_ACME, Some("acme"), None),
        ("main", "key_old", KEY_EXPIRED, None, Some(NOW_S * 1_000_000)),
        ("other", "key_other", KEY_OF_OTHER, None, None),
    ] {
        let hash = auth::key_hash(key);
        let body = json!({"id": id, "name": id, "hash": hash, "customer": customer, "expires": expires});
        row(ResourceKind::AccessKey, account, None, id, body);
    }
    let (catalog, errors) = Catalog::default().with(&rows);
    assert!(errors.is_empty(), "{errors:?}");
    catalog
}
