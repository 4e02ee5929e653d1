//! Lost connections, several projectors, and writers at once.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use fastn_contract::activity::ExecutionStatus;
use fastn_domain::catalog::ResourceKind;
use fastn_domain::ids::{AccountId, ExecutionId};
use fastn_domain::scope::Reach;
use fastn_store::{Advance, Expect, Position, PostgresStore, ProjectionBatch, ResourceWrite, Store, StoreErrorKind};
use fastn_testkit::store_suite::{end, event, execution, patch, scope};
use sqlx::Executor as _;
use tokio::time::timeout;

use crate::server::Database;

const ROWS: u64 = 20;

/// The batch from `position` on: executions that start, and the end of those that the batch before started.
fn batch(position: Position) -> ProjectionBatch {
    let own = scope("a", "c");
    let to = Position { next: position.next + ROWS, epoch: 1 };
    let mut batch =
        ProjectionBatch { advances: vec![Advance { partition: 0, from: position, to }], ..ProjectionBatch::default() };
    for n in position.next..to.next {
        batch.events.push(event(&own, n));
        batch.executions.push(execution(&own, n));
        if let Some(earlier) = n.checked_sub(ROWS) {
            batch.patches.push(patch(earlier, end(ExecutionStatus::Failed, earlier)));
        }
    }
    batch
}

/// Projects until `end`, whatever happens on the way, and says how often it failed.
async fn project_until(store: Arc<PostgresStore>, end: u64) -> u32 {
    let mut failures = 0;
    loop {
        let Ok(position) = store.position(0).await else {
            failures += 1;
            continue;
        };
        if position.next >= end {
            return failures;
        }
        if let Err(error) = store.project(batch(position)).await {
            assert!(matches!(error.kind, StoreErrorKind::Unavailable | StoreErrorKind::Conflict), "{error:?}");
            failures += 1;
        }
    }
}

async fn nothing_is_lost_or_doubled(database: &Database, end: u64) {
    let mut superuser = database.superuser().await;
    let counts = "SELECT (SELECT count(*) FROM events), (SELECT count(DISTINCT seq) FROM events), \
        (SELECT count(*) FROM executions), (SELECT count(DISTINCT id) FROM executions), \
        (SELECT count(*) FROM dead_letters), (SELECT count(*) FROM executions WHERE NOT ended)";
    let (a, b, c, d, e, f): (i64, i64, i64, i64, i64, i64) =
        sqlx::query_as(counts).fetch_one(&mut superuser).await.unwrap();
    let end = end as i64;
    assert_eq!((a, b, c, d, e, f), (end, end, end, end, end - ROWS as i64, ROWS as i64));
}

/// Property: connections that are killed in the middle of batches cost time, and neither lose nor double a row.
#[tokio::test(flavor = "multi_thread")]
async fn a_killed_connection_loses_and_doubles_nothing() {
    let database = Database::new().await;
    let store = Arc::new(database.store().await);
    let mut killer = database.superuser().await;
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = Arc::clone(&stop);
    let killing = tokio::spawn(async move {
        while !stopped.load(Ordering::Relaxed) {
            let kill = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() \
                AND application_name = 'fastn-projector' AND state <> 'idle'";
            killer.execute(kill).await.unwrap();
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
    });
    let mut end = 0;
    let mut failures = 0;
    // Until the kills have hit often enough to mean something.
    while failures < 5 {
        end += 20 * ROWS;
        failures += timeout(Duration::from_secs(120), project_until(Arc::clone(&store), end)).await.expect("it ends");
    }
    stop.store(true, Ordering::Relaxed);
    killing.await.unwrap();
    nothing_is_lost_or_doubled(&database, end).await;
}

/// Property: two projectors on one partition get in each other's way, and neither lose nor double a row.
#[tokio::test(flavor = "multi_thread")]
async fn two_projectors_double_nothing() {
    let database = Database::new().await;
    let (one, two) = (Arc::new(database.store().await), Arc::new(database.store().await));
    let end = 40 * ROWS;
    let (one, two) = tokio::join!(tokio::spawn(project_until(one, end)), tokio::spawn(project_until(two, end)));
    assert!(one.unwrap() + two.unwrap() > 0, "they met");
    nothing_is_lost_or_doubled(&database, end).await;
}

/// Property: a reader of the feed that goes on behind the newest revision it saw misses no change, however many write.
#[tokio::test(flavor = "multi_thread")]
async fn the_feed_is_in_the_order_of_commits() {
    const WRITERS: u64 = 6;
    const WRITES: u64 = 30;
    let database = Database::new().await;
    let store = Arc::new(database.store().await);
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let store = Arc::clone(&store);
            tokio::spawn(async move {
                let account = AccountId::new(&format!("acc{writer}")).unwrap();
                for n in 0..WRITES {
                    let write = |id: String| ResourceWrite {
                        kind: ResourceKind::Workflow,
                        customer: None,
                        id,
                        body: Some("{}".to_owned()),
                        expect: Expect::New,
                    };
                    store.write(&account, vec![write(format!("w{n}")), write(format!("v{n}"))]).await.unwrap();
                }
            })
        })
        .collect();
    let (mut after, mut seen) = (0, BTreeSet::new());
    let all = async {
        while seen.len() < (WRITERS * WRITES * 2) as usize {
            for row in store.changes(after, 7).await.unwrap() {
                assert!(row.revision > after);
                after = row.revision;
                seen.insert((row.account.as_str().to_owned(), row.id));
            }
        }
    };
    timeout(Duration::from_secs(60), all).await.expect("every change is seen");
    for writer in writers {
        writer.await.unwrap();
    }
}

/// Property: what one node writes wakes another one, also after its listening session was killed.
#[tokio::test(flavor = "multi_thread")]
async fn a_write_wakes_other_nodes() {
    let database = Database::new().await;
    let (writer, other) = (database.store().await, database.store().await);
    let mut heard = other.written().unwrap();
    let account = AccountId::new("a").unwrap();
    let mut superuser = database.superuser().await;
    for n in 0..3 {
        let write = ResourceWrite {
            kind: ResourceKind::Workflow,
            customer: None,
            id: format!("w{n}"),
            body: Some("{}".to_owned()),
            expect: Expect::New,
        };
        let revision = writer.write(&account, vec![write]).await.unwrap()[0].revision;
        timeout(Duration::from_secs(20), heard.wait_for(|newest| *newest >= revision)).await.expect("heard").unwrap();
        let kill = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() \
            AND application_name = 'fastn-listener'";
        superuser.execute(kill).await.unwrap();
    }
}

/// Property: an event whose attributes hold what PostgreSQL can't store is shown with it replaced, and stops nothing.
#[tokio::test]
async fn nul_stops_no_projector() {
    let database = Database::new().await;
    let store = database.store().await;
    let own = scope("a", "c");
    let mut rows = batch(Position::default());
    rows.events[1].subject = Some("a\0b".to_owned());
    rows.events[1].kind = "\0".to_owned();
    store.project(rows).await.unwrap();
    let reach = Reach::Customer(own);
    let id = event(&scope("a", "c"), 1).id;
    let seen = store.event(&reach, &id).await.unwrap().unwrap();
    assert_eq!((seen.subject.as_deref(), seen.kind.as_str()), (Some("a\u{fffd}b"), "\u{fffd}"));
    assert!(store.execution(&reach, ExecutionId(1)).await.unwrap().is_some());
}
