//! Retention by account, on SQLite with a clock of its own.

#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use fastn_contract::activity::ExecutionStatus;
use fastn_domain::catalog::{Catalog, ResourceKind, ResourceRow};
use fastn_domain::{Clock, ExecutionId, Reach, Scope, Timestamp};
use fastn_pipeline::projector::{Retention, RetentionOptions};
use fastn_store::{SqliteOptions, SqliteStore, Store};
use fastn_testkit::store_suite::{batch, end, event, execution, scope};
use tokio::sync::watch;

const DAY_S: i64 = 86_400;
const DEADLINE: Duration = Duration::from_secs(60);

struct Hand(AtomicI64);

impl Clock for Hand {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::Relaxed))
    }
}

fn settings(account: &str, body: &str) -> ResourceRow {
    ResourceRow {
        kind: ResourceKind::Retention,
        account: scope(account, "c").account,
        customer: None,
        id: "retention".to_owned(),
        revision: 1,
        version: 1,
        created: Timestamp(0),
        updated: Timestamp(0),
        deleted: false,
        body: body.to_owned(),
    }
}

/// An execution of each customer that began on this day, with its event; its number is the customer's plus the day.
async fn project(store: &dyn Store, owners: [(&Scope, u64); 3], day: u64, from: u64) {
    let mut rows = batch(from, from + 1);
    for (own, base) in owners {
        let (n, at) = (base + day, Timestamp::from_millis(day as i64 * DAY_S * 1_000));
        let mut came = event(own, n);
        came.received = at;
        let mut ran = execution(own, n);
        (ran.created, ran.state) = (at, end(ExecutionStatus::Completed, n));
        rows.events.push(came);
        rows.executions.push(ran);
    }
    store.project(rows).await.unwrap();
}

/// The days of which executions are left, and of which they have their input.
async fn left(store: &dyn Store, own: &Scope, base: u64, days: &[u64]) -> (Vec<u64>, Vec<u64>) {
    let (mut rows, mut full) = (Vec::new(), Vec::new());
    for &day in days {
        let id = ExecutionId(u128::from(base + day));
        let Some(view) = store.execution(&Reach::Customer(own.clone()), id).await.unwrap() else { continue };
        rows.push(day);
        full.extend(view.input.map(|_| day));
    }
    (rows, full)
}

/// Property: each account's activity goes after its own days, whether they are fewer or more than the others'; payloads
/// go before, where the account says so; who says nothing has the built-in 30 days; and rounds to come go on.
#[tokio::test]
async fn each_account_has_its_own_days() {
    let directory = tempfile::tempdir().unwrap();
    let clock = Arc::new(Hand(AtomicI64::new(100 * DAY_S * 1_000_000)));
    let options = SqliteOptions { clock: clock.clone(), ..SqliteOptions::default() };
    let store: Arc<dyn Store> = Arc::new(SqliteStore::open(directory.path(), options).await.unwrap());
    let days = [15, 45, 75, 85, 95, 99];
    let [short, long, silent] = ["a", "b", "s"].map(|account| scope(account, "c"));
    for (at, day) in days.into_iter().enumerate() {
        let owners = [(&short, 1_000), (&long, 2_000), (&silent, 3_000)];
        project(store.as_ref(), owners, day, at as u64).await;
    }
    let rows = [
        settings("a", r#"{"activityDays": 10, "payloadDays": 3}"#),
        settings("b", r#"{"activityDays": 60}"#),
        // An account that is known and says nothing.
        ResourceRow { kind: ResourceKind::Account, ..settings("s", "{}") },
    ];
    let (catalog, errors) = Catalog::default().with(&rows);
    assert!(errors.is_empty(), "{errors:?}");
    let (_feed, catalog) = watch::channel(Arc::new(catalog));
    let options = RetentionOptions {
        every: Duration::from_millis(20),
        pause: Duration::ZERO,
        chunk_rows_max: 2,
        ..RetentionOptions::default()
    };
    let retention = Retention::start(store.clone(), catalog, clock.clone(), options);
    let expected = |a: (&[u64], &[u64]), b: &[u64], s: &[u64]| {
        [(a.0.to_vec(), a.1.to_vec()), (b.to_vec(), b.to_vec()), (s.to_vec(), s.to_vec())]
    };
    let reached = async |wanted: [(Vec<u64>, Vec<u64>); 3]| {
        let began = Instant::now();
        loop {
            let mut now = Vec::new();
            for (own, base) in [(&short, 1_000), (&long, 2_000), (&silent, 3_000)] {
                now.push(left(store.as_ref(), own, base, &days).await);
            }
            if now == wanted {
                return;
            }
            assert!(began.elapsed() < DEADLINE, "{now:?} is left, not {wanted:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    reached(expected((&[95, 99], &[99]), &[45, 75, 85, 95, 99], &[75, 85, 95, 99])).await;
    clock.0.fetch_add(6 * DAY_S * 1_000_000, Ordering::Relaxed);
    reached(expected((&[99], &[]), &[75, 85, 95, 99], &[85, 95, 99])).await;
    drop(retention);
    store.close().await;
}
