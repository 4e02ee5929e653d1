//! A poller over SQLite, a log in memory, a real source over HTTP, and a clock that is moved by hand.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use fastn_contract::activity::Origin;
use fastn_contract::page::Page;
use fastn_domain::catalog::{Catalog, ResourceKind, ResourceRow};
use fastn_domain::event::EventRecord;
use fastn_domain::partition::partition_of;
use fastn_domain::poll::PollProgress;
use fastn_domain::{AccountId, Clock, Reach, Residency, Scope, Timestamp, TriggerId};
use fastn_log::{Log, Topic};
use fastn_scheduler::{Fetch, FetchAnswer, FetchRequest, PollerConfig, PollerParts, Polling};
use fastn_store::{
    LeasedPoll, MasterKey, Outcome, PageRequest, PollRow, PollSave, Polls, SqliteOptions, SqliteStore, Store as _,
    StoreError, StoreErrorKind, StoreResult, Vault,
};
use fastn_testkit::MemoryLog;
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::source::Source;

pub(crate) struct HandClock(AtomicI64);

impl Clock for HandClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::SeqCst))
    }
}

impl HandClock {
    pub(crate) fn pass(&self, time: Duration) {
        self.0.fetch_add(i64::try_from(time.as_micros()).unwrap(), Ordering::SeqCst);
    }
}

pub(crate) struct World {
    pub(crate) clock: Arc<HandClock>,
    pub(crate) polls: Arc<dyn Polls>,
    pub(crate) log: Arc<MemoryLog>,
    pub(crate) source: Source,
    catalog: watch::Sender<Arc<Catalog>>,
    _directory: tempfile::TempDir,
}

pub(crate) fn scope(customer: &str) -> Scope {
    Scope::parse("a", customer).unwrap()
}

pub(crate) fn id() -> TriggerId {
    TriggerId::new("t").unwrap()
}

impl World {
    pub(crate) async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = Arc::new(SqliteStore::open(directory.path(), SqliteOptions::default()).await.unwrap());
        let world = Self {
            clock: Arc::new(HandClock(AtomicI64::new(1_800_000_000_000_000))),
            polls: store.polls(),
            log: Arc::new(MemoryLog::new(4)),
            source: Source::start().await,
            catalog: watch::Sender::new(Arc::new(Catalog::default())),
            _directory: directory,
        };
        world.put(ResourceKind::Account, "a", &json!({"id": "a"}));
        world.put(ResourceKind::Customer, "c", &json!({"id": "c"}));
        world
    }

    pub(crate) fn put(&self, kind: ResourceKind, id: &str, body: &Value) {
        let now = self.clock.now();
        self.catalog.send_modify(|catalog| {
            let row = ResourceRow {
                kind,
                account: AccountId::new("a").unwrap(),
                customer: None,
                id: id.to_owned(),
                revision: catalog.revision + 1,
                version: 1,
                created: Timestamp(1),
                updated: now,
                deleted: false,
                body: body.to_string(),
            };
            let (next, wrong) = catalog.with(&[row]);
            assert!(wrong.is_empty(), "{wrong:?}");
            *catalog = Arc::new(next);
        });
    }

    /// A trigger `t` that polls `path`, with `more` in its declaration.
    pub(crate) fn trigger(&self, path: &str, more: Value) {
        let mut source = json!({
            "type": "poll", "entity": "contact", "request": {"url": format!("{}{path}", self.source.url)},
            "records": "data", "key": "id",
        });
        source.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.put(ResourceKind::Trigger, "t", &json!({"id": "t", "source": source, "routes": [{"workflow": "w"}]}));
    }

    pub(crate) fn polling(&self) -> Polling {
        self.polling_with(self.polls.clone(), self.log.clone())
    }

    pub(crate) fn polling_with(&self, polls: Arc<dyn Polls>, log: Arc<dyn Log>) -> Polling {
        let key = MasterKey::from_base64("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", "a test").unwrap();
        let parts = PollerParts {
            log,
            polls,
            vault: Arc::new(Vault::new(&key)),
            catalog: self.catalog.subscribe(),
            clock: self.clock.clone(),
            residency: Arc::new(Residency::default()),
            fetch: fetch(),
            holder: PollerParts::new_holder(),
        };
        Polling::new(parts, PollerConfig::default())
    }

    /// Polls until something has been polled, however long until it is due.
    pub(crate) async fn poll(&self, polling: &mut Polling) -> PollProgress {
        for _ in 0..100 {
            if polling.turn().await.unwrap() > 0 {
                return self.progress("c").await;
            }
            self.clock.pass(Duration::from_secs(60));
        }
        panic!("nothing became due");
    }

    pub(crate) async fn row(&self, customer: &str) -> PollRow {
        let page = PageRequest { cursor: None, limit: 10 };
        let mut page = self.polls.list(&Reach::Customer(scope(customer)), &id(), &page).await.unwrap();
        page.items.remove(0)
    }

    pub(crate) async fn progress(&self, customer: &str) -> PollProgress {
        serde_json::from_str(&self.row(customer).await.body).unwrap()
    }

    /// Seconds until the next poll.
    pub(crate) async fn wait(&self) -> u64 {
        self.row("c").await.next_at.since(self.clock.now()).as_secs()
    }

    /// The events of a customer in the log as admission takes them: the first of each id. Copies must be equal.
    pub(crate) fn events(&self, customer: &str) -> Vec<EventRecord> {
        let partition = partition_of(&scope(customer), self.log.partitions());
        let mut seen: BTreeMap<String, EventRecord> = BTreeMap::new();
        let mut events = Vec::new();
        for record in self.log.records(Topic::Events, partition) {
            let event = fastn_log::codec::decode_event(&record.value).unwrap();
            if event.scope != scope(customer) {
                continue;
            }
            assert_eq!((event.origin, event.source.as_str()), (Origin::Polling, "poll/t"));
            match seen.insert(event.id.to_string(), event.clone()) {
                Some(before) => assert_eq!(before, event, "one id, one event"),
                None => events.push(event),
            }
        }
        events
    }

    /// The same as `type key`, with the changed fields.
    pub(crate) fn told(&self) -> Vec<String> {
        let told = |event: &EventRecord| {
            let data: Value = serde_json::from_str(&event.data).unwrap();
            let fields = data["changedFields"].as_array().map(|fields| {
                format!(" {}", fields.iter().map(|field| field.as_str().unwrap()).collect::<Vec<_>>().join(","))
            });
            format!("{} {}{}", event.kind, data["key"].as_str().unwrap(), fields.unwrap_or_default())
        };
        self.events("c").iter().map(told).collect()
    }
}

fn fetch() -> Fetch {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    Arc::new(move |request: FetchRequest| {
        let client = client.clone();
        Box::pin(async move {
            let method = reqwest::Method::from_bytes(request.method.as_bytes()).unwrap();
            let answer = client.request(method, &request.url).send().await.map_err(|_| "no connection".to_owned())?;
            let header = |(name, value): (&reqwest::header::HeaderName, &reqwest::header::HeaderValue)| {
                (name.to_string(), value.to_str().unwrap().to_owned())
            };
            let (status, headers) = (answer.status().as_u16(), answer.headers().iter().map(header).collect());
            Ok(FetchAnswer { status, headers, body: answer.bytes().await.unwrap().to_vec() })
        })
    })
}

/// Polls of a process that dies at one of its saves: before it, or after it and before anybody hears. From then on nothing
/// works.
pub(crate) struct Mortal {
    inner: Arc<dyn Polls>,
    /// Saves that are left, and whether the last one happens.
    left: Mutex<(u32, bool)>,
}

impl Mortal {
    pub(crate) fn new(inner: Arc<dyn Polls>, saves: u32, last_happens: bool) -> Self {
        Self { inner, left: Mutex::new((saves, last_happens)) }
    }

    pub(crate) fn is_dead(&self) -> bool {
        self.left.lock().unwrap().0 == 0
    }

    fn alive(&self) -> StoreResult<&dyn Polls> {
        if self.is_dead() { Err(dead()) } else { Ok(self.inner.as_ref()) }
    }
}

fn dead() -> StoreError {
    StoreError {
        kind: StoreErrorKind::Unavailable,
        outcome: Outcome::Unknown,
        operation: "live on",
        context: "in a test".to_owned(),
        message: "the process is dead".to_owned(),
        source: None,
    }
}

#[async_trait]
impl Polls for Mortal {
    async fn begin(&self, scope: &Scope, trigger: &TriggerId, at: Timestamp) -> StoreResult<()> {
        self.alive()?.begin(scope, trigger, at).await
    }
    async fn due(&self, now: Timestamp, limit: u32) -> StoreResult<Vec<(Scope, TriggerId)>> {
        self.alive()?.due(now, limit).await
    }
    async fn lease(
        &self,
        scope: &Scope,
        trigger: &TriggerId,
        holder: &str,
        now: Timestamp,
        until: Timestamp,
    ) -> StoreResult<Option<LeasedPoll>> {
        self.alive()?.lease(scope, trigger, holder, now, until).await
    }
    async fn chunks(&self, scope: &Scope, trigger: &TriggerId) -> StoreResult<Vec<(u32, Vec<u8>)>> {
        self.alive()?.chunks(scope, trigger).await
    }
    async fn save(&self, scope: &Scope, trigger: &TriggerId, holder: &str, save: PollSave) -> StoreResult<()> {
        self.alive()?;
        let happens = {
            let mut left = self.left.lock().unwrap();
            left.0 -= 1;
            left.0 > 0 || left.1
        };
        if happens {
            self.inner.save(scope, trigger, holder, save).await?;
        }
        if self.is_dead() { Err(dead()) } else { Ok(()) }
    }
    async fn list(&self, reach: &Reach, trigger: &TriggerId, page: &PageRequest) -> StoreResult<Page<PollRow>> {
        self.alive()?.list(reach, trigger, page).await
    }
    async fn hasten(&self, reach: &Reach, trigger: &TriggerId, at: Timestamp) -> StoreResult<u32> {
        self.alive()?.hasten(reach, trigger, at).await
    }
    async fn reset(&self, reach: &Reach, trigger: &TriggerId, at: Timestamp) -> StoreResult<u32> {
        self.alive()?.reset(reach, trigger, at).await
    }
    async fn forget(&self, account: &AccountId, trigger: &TriggerId) -> StoreResult<()> {
        self.alive()?.forget(account, trigger).await
    }
}
