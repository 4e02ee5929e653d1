//! The suite of the seam, on SQLite.

use std::sync::Arc;

use fastn_store::{SqliteOptions, SqliteStore};
use fastn_testkit::store_suite::{self, Opened};

async fn open() -> Opened {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let store = SqliteStore::open(directory.path(), SqliteOptions::default()).await.expect("a new store opens");
    (Arc::new(store), Box::new(directory))
}

/// Property: SQLite holds everything that the seam promises.
#[tokio::test]
async fn sqlite_is_a_store() {
    store_suite::run_all(open).await;
}
