//! The configuration in memory: loaded whole at start, then kept up with the store's feed of changes.
//!
//! A write of this process wakes the feed at once; writes of others are found by a slow poll. While the store is away the
//! last catalog stays in force, and the feed goes on where it was when the store is back.

use std::sync::Arc;
use std::time::Duration;

use fastn_domain::catalog::Catalog;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::observe;
use crate::seam::{Store, StoreResult};

/// How the feed reads.
#[derive(Clone, Copy, Debug)]
pub struct FeedOptions {
    /// Time between two looks for changes that other processes made.
    pub poll: Duration,
    /// Rows of one read.
    pub page_rows: u32,
}

impl Default for FeedOptions {
    fn default() -> Self {
        Self { poll: Duration::from_secs(1), page_rows: 1_000 }
    }
}

/// Keeps the catalog up to date for as long as it lives.
#[derive(Debug)]
pub struct CatalogFeed {
    catalog: watch::Receiver<Arc<Catalog>>,
    task: JoinHandle<()>,
}

impl CatalogFeed {
    /// Loads the whole configuration, then follows it. The receiver's value changes with each change; it stays readable
    /// after the feed is dropped.
    ///
    /// # Errors
    /// Those of the first read: a node must not start with half a configuration.
    pub async fn start(
        store: Arc<dyn Store>,
        options: FeedOptions,
    ) -> StoreResult<(watch::Receiver<Arc<Catalog>>, CatalogFeed)> {
        // Subscribed before the first read, so that no write falls between the two.
        let written = store.written();
        let first = advance(store.as_ref(), &Catalog::default(), options.page_rows).await?;
        let (sender, catalog) = watch::channel(Arc::new(first.unwrap_or_default()));
        let task = tokio::spawn(follow(store, written, sender, options));
        Ok((catalog.clone(), CatalogFeed { catalog, task }))
    }

    /// Waits until the catalog holds `revision`, so that a caller can read its own write. False when `deadline` passes.
    pub async fn reached(&self, revision: u64, deadline: Duration) -> bool {
        let mut catalog = self.catalog.clone();
        let reached = catalog.wait_for(|catalog| catalog.revision >= revision);
        matches!(timeout(deadline, reached).await, Ok(Ok(_)))
    }
}

impl Drop for CatalogFeed {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The catalog with every change after it; nothing when there is none.
async fn advance(store: &dyn Store, from: &Catalog, page_rows: u32) -> StoreResult<Option<Catalog>> {
    let mut rows = Vec::new();
    let mut after = from.revision;
    loop {
        let page = store.changes(after, page_rows).await?;
        let full = page.len() >= page_rows as usize;
        let Some(last) = page.last() else { break };
        after = last.revision;
        rows.extend(page);
        if !full {
            break;
        }
    }
    if rows.is_empty() {
        return Ok(None);
    }
    let (catalog, errors) = from.with(&rows);
    errors.iter().for_each(observe::catalog_row_unusable);
    observe::catalog_followed(catalog.revision, rows.len());
    Ok(Some(catalog))
}

async fn follow(
    store: Arc<dyn Store>,
    mut written: Option<watch::Receiver<u64>>,
    catalog: watch::Sender<Arc<Catalog>>,
    options: FeedOptions,
) {
    let mut failures = 0;
    loop {
        let woken = async {
            match written.as_mut() {
                Some(written) => written.changed().await.is_ok(),
                None => std::future::pending().await,
            }
        };
        if let Ok(false) = timeout(options.poll, woken).await {
            // The store is closed: nothing will wake us any more, the poll goes on.
            written = None;
        }
        let current = Arc::clone(&catalog.borrow());
        match advance(store.as_ref(), &current, options.page_rows).await {
            Ok(next) => {
                if failures > 0 {
                    observe::catalog_fresh_again();
                }
                failures = 0;
                if let Some(next) = next {
                    catalog.send_replace(Arc::new(next));
                }
            }
            Err(error) => {
                failures += 1;
                observe::catalog_stale(&error, failures);
                tokio::time::sleep(options.poll).await;
            }
        }
    }
}
