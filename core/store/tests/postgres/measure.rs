//! How fast rows are projected, beside a bare COPY of the same rows. Run by hand, in a release build:
//! `cargo test --release -p fastn-store --test postgres measure -- --ignored --nocapture`.

use std::time::Instant;

use fastn_contract::activity::ExecutionStatus;
use fastn_store::Store as _;
use fastn_testkit::store_suite::{batch, end, event, execution, scope};
use sqlx::Executor as _;

use crate::server::Database;

const BATCH: u64 = 1_000;
const BATCHES: u64 = 30;

/// Property: none; prints rows a second.
#[tokio::test]
#[ignore = "a measurement"]
async fn measure() {
    let database = Database::new().await;
    let store = database.store().await;
    let own = scope("a", "c");
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_micros() as i64;
    let batches: Vec<_> = (0..BATCHES)
        .map(|at| {
            let mut rows = batch(at * BATCH, (at + 1) * BATCH);
            for n in at * BATCH..(at + 1) * BATCH {
                let mut came = event(&own, n);
                came.received.0 = now + n as i64;
                came.data = Some(format!(r#"{{"n":{n},"text":"{}"}}"#, "x".repeat(1_000)).into());
                let mut ran = execution(&own, n);
                ran.created.0 = now + n as i64;
                ran.state = end(ExecutionStatus::Completed, n);
                // Ids are hashes in truth.
                ran.id.0 = u128::from(n).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
                rows.events.push(came);
                rows.executions.push(ran);
            }
            rows
        })
        .collect();
    let rows = 2 * BATCH * BATCHES;
    let start = Instant::now();
    for batch in batches {
        store.project(batch).await.unwrap();
    }
    let project = rows as f64 / start.elapsed().as_secs_f64();
    println!("project:                          {project:8.0} rows/s");

    let mut superuser = database.superuser().await;
    for (name, like) in
        [("bare COPY, same tables with keys", "INCLUDING ALL"), ("bare COPY, no index", "INCLUDING DEFAULTS")]
    {
        let mut took = std::time::Duration::ZERO;
        for table in ["events", "executions"] {
            let text: Vec<u8> = {
                let mut out = superuser
                    .copy_out_raw(&format!("COPY (SELECT * FROM {table}) TO STDOUT (FORMAT binary)"))
                    .await
                    .unwrap();
                let mut bytes = Vec::new();
                while let Some(part) = futures_util::StreamExt::next(&mut out).await {
                    bytes.extend_from_slice(&part.unwrap());
                }
                bytes
            };
            let make = format!("DROP TABLE IF EXISTS copied; CREATE TABLE copied (LIKE {table} {like})");
            superuser.execute(sqlx::AssertSqlSafe(make)).await.unwrap();
            let start = Instant::now();
            let mut copy = superuser.copy_in_raw("COPY copied FROM STDIN (FORMAT binary)").await.unwrap();
            copy.send(text.as_slice()).await.unwrap();
            copy.finish().await.unwrap();
            took += start.elapsed();
        }
        let bare = rows as f64 / took.as_secs_f64();
        println!("{name:33} {bare:8.0} rows/s: project reaches {:.0} %", 100.0 * project / bare);
    }
}
