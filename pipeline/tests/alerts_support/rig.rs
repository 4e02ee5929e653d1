//! A journal, a store, a clock, rules, and a receiver of messages.

use std::sync::atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use axum::{Json, Router};
use fastn_contract::activity::{EventStatus, ExecutionError, ExecutionStatus, Origin};
use fastn_contract::alert::{AlertState, AlertView};
use fastn_contract::resource::Tier;
use fastn_domain::catalog::{Catalog, ResourceKind, ResourceRow, Secret};
use fastn_domain::event::EventRecord;
use fastn_domain::ids::{AccountId, EnvironmentId, EventId, ExecutionId, WorkflowId};
use fastn_domain::journal::{Admitted, AdmittedEvent, Count, Finished, FinishedRun, JournalRecord, StepRecord};
use fastn_domain::partition::partition_of;
use fastn_domain::scope::{Reach, Scope};
use fastn_domain::time::{Clock, Timestamp};
use fastn_log::codec::{encode_event, encode_journal};
use fastn_log::{Log, Record, Topic};
use fastn_pipeline::alerts::{AlertOptions, AlertParts, Alerts, Channels};
use fastn_store::{AlertFilter, MasterKey, PageRequest, SqliteOptions, SqliteStore, Store, Vault};
use fastn_testkit::MemoryLog;
use serde_json::{Value, json};
use tokio::sync::watch;

const ACCOUNT: &str = "acc";
/// What only broken code takes longer than.
const DEADLINE: Duration = Duration::from_secs(60);
/// An hour that begins a bucket of every window.
const START_S: i64 = 1_764_072_000;

/// The longest time between two evaluations of a rule.
const TURN_S: i64 = 10;

/// A clock that only the test moves.
#[derive(Debug)]
struct TestClock(AtomicI64);

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::SeqCst))
    }
}

/// A message as it came.
#[derive(Clone, Debug)]
pub(crate) struct Heard {
    pub id: String,
    pub signature: String,
    pub body: Value,
}

#[derive(Default)]
struct Receiver {
    heard: Mutex<Vec<Heard>>,
    refuse: AtomicUsize,
}

pub(crate) struct Rig {
    pub store: Arc<dyn Store>,
    log: Arc<dyn Log>,
    clock: Arc<TestClock>,
    catalog: watch::Sender<Arc<Catalog>>,
    vault: Arc<Vault>,
    receiver: Arc<Receiver>,
    url: String,
    made: AtomicU64,
    _directory: tempfile::TempDir,
}

impl Rig {
    pub(crate) async fn new() -> Self {
        Self::over(2).await
    }

    /// With so many partitions.
    pub(crate) async fn over(partitions: u32) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(directory.path(), SqliteOptions::default()).await.unwrap();
        let vault =
            Vault::new(&MasterKey::from_base64("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=", "test").unwrap());
        let receiver = Arc::new(Receiver::default());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let app = Router::new().route("/", post(hear)).with_state(Arc::clone(&receiver));
        tokio::spawn(async move { axum::serve(listener, app).await });
        let clock = Arc::new(TestClock(AtomicI64::new(START_S * 1_000_000)));
        let rig = Self {
            store: Arc::new(store),
            log: Arc::new(MemoryLog::new(partitions).with_clock(clock.clone())),
            clock,
            catalog: watch::Sender::new(Arc::new(Catalog::default())),
            vault: Arc::new(vault),
            receiver,
            url,
            made: AtomicU64::new(0),
            _directory: directory,
        };
        let account = AccountId::new(ACCOUNT).unwrap();
        let sealed = rig.vault.seal(&account, None, "HOOK", 1, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let secret = Secret { name: "HOOK".to_owned(), versions: [(1, sealed)].into(), captured: false };
        rig.configure(ResourceKind::Secret, "HOOK", serde_json::to_string(&secret).unwrap());
        rig
    }

    fn configure(&self, kind: ResourceKind, id: &str, body: String) {
        self.change(kind, id, Some(body));
    }

    /// The customer is there, with the rule that is about it, or both are not any more.
    pub(crate) fn is_there(&self, id: &str, there: bool) {
        self.change(ResourceKind::Customer, id, there.then(|| json!({"id": id}).to_string()));
        if !there {
            self.change(ResourceKind::AlertRule, "rule", None);
        }
    }

    fn change(&self, kind: ResourceKind, id: &str, body: Option<String>) {
        self.catalog.send_modify(|catalog| {
            let revision = catalog.revision + 1;
            let row = ResourceRow {
                kind,
                account: AccountId::new(ACCOUNT).unwrap(),
                customer: None,
                id: id.to_owned(),
                revision,
                version: revision,
                created: Timestamp(0),
                updated: Timestamp(0),
                deleted: body.is_none(),
                body: body.clone().unwrap_or_else(|| "{}".to_owned()),
            };
            let (next, errors) = catalog.with(&[row]);
            assert!(errors.is_empty(), "{errors:?}");
            *catalog = Arc::new(next);
        });
    }

    /// The one rule, with a webhook.
    pub(crate) fn rule(&self, more: Value) {
        let channel = json!({"type": "webhook", "url": self.url, "secret": "HOOK"});
        let mut body = json!({"id": "rule", "status": "enabled", "channels": [channel]});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.configure(ResourceKind::AlertRule, "rule", body.to_string());
    }

    pub(crate) async fn start(&self) -> Alerts {
        self.start_over(self.store.clone()).await
    }

    /// Returns when the evaluator follows the journal.
    pub(crate) async fn start_over(&self, store: Arc<dyn Store>) -> Alerts {
        let options = AlertOptions {
            every: Duration::from_millis(10),
            save_every: Duration::ZERO,
            gather: Duration::from_millis(1),
            ..AlertOptions::default()
        };
        let parts =
            AlertParts { log: self.log.clone(), store, catalog: self.catalog.subscribe(), clock: self.clock.clone() };
        let channels = Channels::new(true, self.vault.clone(), self.catalog.subscribe()).unwrap();
        let membership = self.log.join("projector").await.unwrap();
        let alerts = Alerts::start(parts, membership, channels, options);
        self.evaluated().await;
        alerts
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub(crate) fn advance(&self, seconds: i64) {
        self.clock.0.fetch_add(seconds * 1_000_000, Ordering::SeqCst);
    }

    /// Ends `count` executions now, each after `ms`, and lets it be the next rule's turn.
    pub(crate) async fn end(&self, customer: &str, status: ExecutionStatus, ms: u64, count: usize) {
        for _ in 0..count {
            self.say(self.finished(customer, status, ms, Vec::new())).await;
        }
        self.advance(TURN_S);
    }

    /// Ends an execution that made one call.
    pub(crate) async fn call(&self, customer: &str, url: &str, status: u32) {
        let now = self.now();
        let step = StepRecord {
            key: "fetch".to_owned(),
            name: "GET".to_owned(),
            kind: "fetch".to_owned(),
            completed: true,
            attempts: 1,
            started: now,
            ended: now,
            input: Some(json!({"method": "GET", "url": url}).to_string()),
            output: Some(json!({"status": status, "body": ""}).to_string()),
            error: None,
        };
        self.say(self.finished(customer, ExecutionStatus::Completed, 10, vec![step])).await;
        self.advance(TURN_S);
    }

    fn finished(&self, customer: &str, status: ExecutionStatus, ms: u64, steps: Vec<StepRecord>) -> Finished {
        let (at, n) = (self.now(), self.made.fetch_add(1, Ordering::SeqCst));
        let error = ExecutionError {
            code: "WF-EXEC-FAILED".to_owned(),
            category: "code".to_owned(),
            name: "Error".to_owned(),
            message: "boom".to_owned(),
            step: None,
            file: None,
            line: None,
            column: None,
            source_line: None,
            stack: None,
        };
        Finished {
            epoch: 1,
            at,
            execution: ExecutionId(u128::from(n)),
            scope: Scope::parse(ACCOUNT, customer).unwrap(),
            parent: None,
            status,
            attempt: 1,
            tier: Tier::Standard,
            results: Vec::new(),
            steps,
            logs: Vec::new(),
            output: None,
            error: (status == ExecutionStatus::Failed).then_some(error),
            run: Some(FinishedRun {
                workflow: WorkflowId::new("triage").unwrap(),
                version: 1,
                environment: EnvironmentId::new("test").unwrap(),
                trigger: None,
                admitted: Timestamp(at.0 - i64::try_from(ms).unwrap() * 1_000),
                traceparent: None,
            }),
        }
    }

    async fn say(&self, record: Finished) {
        let scope = record.scope.clone();
        self.append(Topic::Executions, &scope, encode_journal(&JournalRecord::Finished(record))).await;
    }

    async fn append(&self, topic: Topic, scope: &Scope, value: bytes::Bytes) -> u64 {
        let partition = partition_of(scope, self.log.partitions());
        self.log.append(topic, partition, vec![Record::new(scope.key(), value)]).await.unwrap().first
    }

    /// An event that nobody admits yet; its offset.
    pub(crate) async fn event(&self, customer: &str) -> u64 {
        let scope = Scope::parse(ACCOUNT, customer).unwrap();
        let event = EventRecord {
            id: EventId::new("evt").unwrap(),
            source: "/test".to_owned(),
            kind: "order.created".to_owned(),
            subject: None,
            time: self.now(),
            scope: scope.clone(),
            origin: Origin::Api,
            trigger: None,
            workflow: None,
            environment: None,
            headers: Vec::new(),
            data: "{}".into(),
            reply_to: None,
            traceparent: None,
            priority: None,
        };
        self.append(Topic::Events, &scope, encode_event(&event)).await
    }

    /// The journal admits an event, which starts nothing.
    pub(crate) async fn admit(&self, customer: &str, offset: u64) {
        let scope = Scope::parse(ACCOUNT, customer).unwrap();
        let event = AdmittedEvent {
            offset,
            scope: scope.clone(),
            status: EventStatus::Unmatched,
            reason: None,
            dedup: Vec::new(),
            executions: Vec::new(),
            quota: None,
            counted: Vec::new(),
            batches: Vec::new(),
        };
        let record = JournalRecord::Admitted(Admitted { epoch: 1, at: self.now(), events: vec![event] });
        self.append(Topic::Executions, &scope, encode_journal(&record)).await;
    }

    /// A customer with this limit.
    pub(crate) fn customer(&self, id: &str, dimension: &str, limit: u64) {
        let body = json!({"id": id, "quotas": {dimension: {"limit": limit}}});
        self.configure(ResourceKind::Customer, id, body.to_string());
    }

    /// A trigger of a customer that runs this workflow.
    pub(crate) fn trigger(&self, id: &str, customer: &str, workflow: &str) {
        let body = json!({"id": id, "customer": customer, "source": {"type": "event", "types": ["e"]},
            "routes": [{"workflow": workflow}]});
        self.configure(ResourceKind::Trigger, id, body.to_string());
    }

    /// The journal admits so many events, which count in the present window of this length.
    pub(crate) async fn count(&self, customer: &str, dimension: &str, length_s: i64, count: u64) {
        let scope = Scope::parse(ACCOUNT, customer).unwrap();
        let start = self.now().0.div_euclid(length_s * 1_000_000) * length_s * 1_000_000;
        let (from, to) = (Timestamp(start), Timestamp(start + length_s * 1_000_000));
        let event = |offset| AdmittedEvent {
            offset,
            scope: scope.clone(),
            status: EventStatus::Unmatched,
            reason: None,
            dedup: Vec::new(),
            executions: Vec::new(),
            quota: None,
            counted: vec![Count { counter: dimension.to_owned(), from, to }],
            batches: Vec::new(),
        };
        let record = Admitted { epoch: 1, at: self.now(), events: (0..count).map(event).collect() };
        self.append(Topic::Executions, &scope, encode_journal(&JournalRecord::Admitted(record))).await;
    }

    pub(crate) fn heard(&self) -> Vec<Heard> {
        self.receiver.heard.lock().unwrap().clone()
    }

    /// The receiver answers the next `count` messages with 503.
    pub(crate) fn refuse(&self, count: usize) {
        self.receiver.refuse.store(count, Ordering::SeqCst);
    }

    pub(crate) async fn alerts(&self) -> Vec<AlertView> {
        let reach = Reach::Account(AccountId::new(ACCOUNT).unwrap());
        self.store.alerts(&reach, &AlertFilter::default(), &PageRequest::default()).await.unwrap().items
    }

    /// Waits until everything that was written before has been read, evaluated and saved: two saves began after it.
    pub(crate) async fn evaluated(&self) {
        let started = std::time::Instant::now();
        let first = self.store.alert_memory().await.unwrap().revision;
        while self.store.alert_memory().await.unwrap().revision < first + 3 {
            assert!(started.elapsed() < DEADLINE, "nothing is evaluated");
            // Saves come with time.
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Waits until nothing of an alert is remembered.
    pub(crate) async fn forgotten(&self) {
        let started = std::time::Instant::now();
        let kept = |key: &str| key.starts_with("alert/") || key.starts_with("notice/");
        while self.store.alert_memory().await.unwrap().entries.iter().any(|(key, _)| kept(key)) {
            assert!(started.elapsed() < DEADLINE, "an alert is still remembered");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Waits until no message is on its way.
    pub(crate) async fn settled(&self) {
        let started = std::time::Instant::now();
        loop {
            let memory = self.store.alert_memory().await.unwrap();
            if !memory.entries.iter().any(|(key, _)| key.starts_with("notice/")) {
                return;
            }
            assert!(started.elapsed() < DEADLINE, "a message is still on its way");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    pub(crate) async fn until(&self, what: &str, holds: impl Fn() -> bool) {
        let started = std::time::Instant::now();
        while !holds() {
            assert!(started.elapsed() < DEADLINE, "not within the deadline: {what}; heard {:?}", self.heard());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Waits until the alert shows so many attempts to send its first message.
    pub(crate) async fn until_attempted(&self, attempts: usize) {
        let started = std::time::Instant::now();
        let shown = |alerts: Vec<AlertView>| alerts.first().map(|alert| alert.notifications[0].attempts as usize);
        while shown(self.alerts().await) != Some(attempts) {
            assert!(started.elapsed() < DEADLINE, "{attempts} attempts are not shown: {:?}", self.alerts().await);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Waits until the newest alert stands there.
    pub(crate) async fn until_shown(&self, state: AlertState) {
        let started = std::time::Instant::now();
        while self.alerts().await.first().is_none_or(|alert| alert.state != state) {
            assert!(started.elapsed() < DEADLINE, "{state:?} is not shown: {:?}", self.alerts().await);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

async fn hear(State(receiver): State<Arc<Receiver>>, headers: HeaderMap, Json(body): Json<Value>) -> StatusCode {
    let text = |name: &str| headers[name].to_str().unwrap().to_owned();
    let heard = Heard { id: text("webhook-id"), signature: text("webhook-signature"), body };
    receiver.heard.lock().unwrap().push(heard);
    let refused = receiver.refuse.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
    if refused.is_ok() { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::NO_CONTENT }
}
