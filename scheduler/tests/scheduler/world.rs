//! A log in memory, real SQLite, a clock that is moved by hand, and a configuration.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use fastn_domain::catalog::{Catalog, ResourceKind, ResourceRow};
use fastn_domain::event::EventRecord;
use fastn_domain::time::parse_rfc3339;
use fastn_domain::{Clock, Residency, Timestamp};
use fastn_log::{Log, Topic, codec};
use fastn_scheduler::{SchedulerConfig, Turner};
use fastn_store::{SqliteOptions, SqliteStore, Store};
use fastn_testkit::MemoryLog;
use serde_json::{Value, json};
use tokio::sync::watch;

pub(crate) const PARTITIONS: u32 = 4;

/// A clock that stands still until it is moved.
pub(crate) struct Hand(AtomicI64);

impl Hand {
    pub(crate) fn set(&self, at: Timestamp) {
        self.0.store(at.0, Ordering::Relaxed);
    }
}

impl Clock for Hand {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::Relaxed))
    }
}

pub(crate) fn at(text: &str) -> Timestamp {
    parse_rfc3339(text).unwrap_or_else(|| panic!("{text}"))
}

pub(crate) struct World {
    pub(crate) log: Arc<MemoryLog>,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) clock: Arc<Hand>,
    pub(crate) catalog: watch::Sender<Arc<Catalog>>,
    _directory: tempfile::TempDir,
}

pub(crate) fn row(kind: ResourceKind, id: &str, revision: u64, at: Timestamp, body: &Value) -> ResourceRow {
    ResourceRow {
        kind,
        account: "acc".parse().unwrap(),
        customer: None,
        id: id.to_owned(),
        revision,
        version: 1,
        created: at,
        updated: at,
        deleted: false,
        body: body.to_string(),
    }
}

/// A trigger that fires by the clock; `schedule` is without the parts that are the same everywhere.
pub(crate) fn trigger(id: &str, when: &str, schedule: Value) -> Value {
    let mut source = json!({"type": "schedule", "timezone": "UTC", "when": {"mode": "cron", "expression": when}});
    source.as_object_mut().unwrap().extend(schedule.as_object().unwrap().clone());
    json!({"id": id, "source": source, "routes": [{"workflow": "w"}]})
}

impl World {
    /// With the customer `c`, at `now`.
    pub(crate) async fn new(now: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let clock = Arc::new(Hand(AtomicI64::new(at(now).0)));
        let options = SqliteOptions { clock: clock.clone(), ..SqliteOptions::default() };
        let store = Arc::new(SqliteStore::open(directory.path(), options).await.unwrap());
        let log = Arc::new(MemoryLog::new(PARTITIONS).with_clock(clock.clone()));
        let world = Self { log, store, clock, catalog: watch::Sender::default(), _directory: directory };
        world.put(ResourceKind::Customer, "c", &json!({"id": "c"}));
        world
    }

    pub(crate) fn put(&self, kind: ResourceKind, id: &str, body: &Value) {
        let known = self.catalog.borrow().account(&"acc".parse().unwrap()).and_then(|account| {
            account.triggers.get(&id.parse().ok()?).filter(|_| kind == ResourceKind::Trigger).map(|known| known.created)
        });
        let revision = self.catalog.borrow().revision + 1;
        let now = self.clock.now();
        let row = ResourceRow { created: known.unwrap_or(now), ..row(kind, id, revision, now, body) };
        self.apply(row);
    }

    pub(crate) fn put_trigger(&self, body: &Value) {
        self.put(ResourceKind::Trigger, body["id"].as_str().unwrap(), body);
    }

    pub(crate) fn apply(&self, row: ResourceRow) {
        let (catalog, errors) = self.catalog.borrow().with(&[row]);
        assert!(errors.is_empty(), "{errors:?}");
        self.catalog.send_replace(Arc::new(catalog));
    }

    pub(crate) fn turner(&self) -> Turner {
        self.turner_over(self.log.clone())
    }

    pub(crate) fn turner_over(&self, log: Arc<dyn Log>) -> Turner {
        let (store, clock) = (self.store.clone(), self.clock.clone());
        let (catalog, residency) = (self.catalog.subscribe(), Arc::new(Residency::default()));
        // Longer than most tests wait for a fire, so that they fire what was made ahead.
        let config = SchedulerConfig { ahead: Duration::from_secs(86_400), ..SchedulerConfig::default() };
        Turner::new(log, store, catalog, clock, residency, config)
    }

    /// Moves the clock from fire to fire until `until`, and fires each at its time. Between them it looks ahead.
    pub(crate) async fn turn_until(&self, turner: &mut Turner, until: &str) {
        let until = at(until);
        assert!(turner.turn().await);
        while turner.look_ahead() {}
        while let Some(due) = turner.next_due().filter(|due| *due <= until) {
            self.clock.set(due.max(self.clock.now()));
            assert!(turner.turn().await);
            while turner.look_ahead() {}
        }
        self.clock.set(until);
        assert!(turner.turn().await);
    }

    /// Every event in the log, with copies.
    pub(crate) fn events(&self) -> Vec<EventRecord> {
        let records = (0..PARTITIONS).flat_map(|partition| self.log.records(Topic::Events, partition));
        records.map(|record| codec::decode_event(&record.value).unwrap()).collect()
    }

    /// How often each fire is in the log: `<trigger>/<time>` of customer `c`.
    pub(crate) fn fires(&self) -> BTreeMap<String, usize> {
        let mut fires = BTreeMap::new();
        for event in self.events().iter().filter(|event| event.scope.customer.as_str() == "c") {
            let id = event.id.as_str().trim_start_matches("schedule/").replace(":00.000Z", "Z");
            *fires.entry(id).or_default() += 1;
        }
        fires
    }

    pub(crate) fn fired(&self) -> Vec<String> {
        self.fires().into_keys().collect()
    }
}
