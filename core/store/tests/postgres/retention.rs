//! Days of activity: made, filled, dropped.

use std::time::{SystemTime, UNIX_EPOCH};

use fastn_contract::activity::ExecutionStatus;
use fastn_domain::ids::ExecutionId;
use fastn_domain::scope::Reach;
use fastn_domain::time::Timestamp;
use fastn_store::{EventSeq, ExecutionState, InputRow, Store as _};
use fastn_testkit::store_suite::{batch, end, event, execution, scope};
use sqlx::{Executor as _, Row as _};

use crate::server::Database;

const DAY_US: i64 = 86_400_000_000;
const DAYS: u64 = 6;

async fn partitions(database: &Database) -> Vec<(String, i64)> {
    let mut superuser = database.superuser().await;
    let names = superuser
        .fetch_all(
            "SELECT c.relname FROM pg_class c WHERE c.relkind = 'r' AND c.relname ~ '^(events|executions)_' ORDER BY 1",
        )
        .await
        .unwrap();
    let mut found = Vec::new();
    for name in names {
        let name: String = name.get(0);
        let text = sqlx::AssertSqlSafe(format!("SELECT count(*) FROM {name}"));
        let rows: i64 = sqlx::query_scalar(text).fetch_one(&mut superuser).await.unwrap();
        found.push((name, rows));
    }
    found
}

/// Property: rows lie in partitions of their days; old days are dropped whole, while executions that have not ended stay
/// with their input, and what is young stays.
#[tokio::test]
async fn old_days_are_dropped_and_the_living_stay() {
    let database = Database::new().await;
    let store = database.store().await;
    let own = scope("a", "c");
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros() as i64;
    let today = now.div_euclid(DAY_US) * DAY_US;
    let mut rows = batch(0, 1);
    for n in 0..DAYS {
        let noon = Timestamp(today - n as i64 * DAY_US + DAY_US / 2);
        for twin in 0..2 {
            let number = 10 * n + twin;
            let mut came = event(&own, number);
            came.received = noon;
            rows.events.push(came);
            let mut ran = execution(&own, number);
            ran.created = noon;
            ran.input = InputRow::Event(EventSeq::new(0, number));
            if twin == 0 {
                let mut failed: ExecutionState = end(ExecutionStatus::Failed, number);
                if let Some(end) = &mut failed.end {
                    end.at = noon;
                }
                ran.state = failed;
            }
            rows.executions.push(ran);
        }
    }
    store.project(rows).await.unwrap();
    let found = partitions(&database).await;
    let of = |prefix: &str, found: &[(String, i64)]| -> Vec<i64> {
        found.iter().filter(|(name, rows)| name.starts_with(prefix) && *rows > 0).map(|(_, rows)| *rows).collect()
    };
    assert_eq!(of("events_2", &found), vec![2; DAYS as usize], "{found:?}");
    assert_eq!(of("executions_ended_2", &found), vec![1; DAYS as usize], "{found:?}");
    assert_eq!(of("executions_open", &found), [DAYS as i64]);

    // Everything of the days -5, -4 and -3 is old; of events one day more is kept.
    let before = Timestamp(today - 2 * DAY_US);
    let mut gone = 0;
    loop {
        let now = store.prune(before, 100).await.unwrap();
        if now == 0 {
            break;
        }
        gone += now;
    }
    assert_eq!(gone, 3 + 2);
    let left = partitions(&database).await;
    assert_eq!(of("executions_ended_2", &left), vec![1; 3], "{left:?}");
    assert_eq!(of("events_2", &left), vec![2; 4], "{left:?}");
    assert_eq!(of("events_default", &left), [2], "the input of the living was moved");
    let reach = Reach::Customer(own);
    for n in 0..DAYS {
        let living = store.execution(&reach, ExecutionId(u128::from(10 * n + 1))).await.unwrap().expect("it lives");
        assert!(living.input.is_some(), "{n} days old");
        let ended = store.execution(&reach, ExecutionId(u128::from(10 * n))).await.unwrap();
        assert_eq!(ended.is_some(), n < 3, "{n} days old");
    }
    let letter = store.dead_letter(&reach, ExecutionId(50)).await.unwrap();
    assert!(letter.is_none_or(|letter| letter.status != fastn_contract::activity::DeadLetterStatus::Pending));
}
