//! The store on a real PostgreSQL: the suite of the seam, and what only PostgreSQL promises.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

#[path = "postgres/checked.rs"]
mod checked;
#[path = "postgres/faults.rs"]
mod faults;
#[path = "postgres/measure.rs"]
mod measure;
#[path = "postgres/opening.rs"]
mod opening;
#[path = "postgres/retention.rs"]
mod retention;
#[path = "postgres/rights.rs"]
mod rights;
#[path = "postgres/server.rs"]
mod server;

use std::sync::Arc;

use fastn_testkit::store_suite::{self, Opened};

use server::Database;

async fn open() -> Opened {
    let database = Database::new().await;
    (Arc::new(database.store().await), Box::new(database))
}

/// Property: PostgreSQL holds everything that the seam promises.
#[tokio::test(flavor = "multi_thread")]
async fn postgres_is_a_store() {
    store_suite::run_all(open).await;
}
