//! The configuration in memory: loaded whole at start, then kept up with the store's feed of changes.
//!
//! A write that the store tells of wakes the feed at once; others are found by a poll. While the store is away the last
//! catalog stays in force, and the feed goes on where it was when the store is back. With a file for it, what was last known
//! outlives the process too: a node starts from it while the store is away.

mod last_known;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use fastn_domain::catalog::{Catalog, ResourceRow};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use self::last_known::LastKnown;
use crate::observe;
use crate::seam::{Store, StoreErrorKind, StoreResult};

/// How the feed reads.
#[derive(Clone, Debug)]
pub struct FeedOptions {
    /// Time between two looks for changes that other processes made.
    pub poll: Duration,
    /// Rows of one read.
    pub page_rows: u32,
    /// The file that keeps what was last known; its folder must exist. Without it a node needs its store to start.
    pub last_known: Option<PathBuf>,
}

impl Default for FeedOptions {
    fn default() -> Self {
        Self { poll: Duration::from_millis(500), page_rows: 1_000, last_known: None }
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
    /// Those of the first read: a node must not start with half a configuration. When the store is away, only if nothing is
    /// last known.
    pub async fn start(
        store: Arc<dyn Store>,
        options: FeedOptions,
    ) -> StoreResult<(watch::Receiver<Arc<Catalog>>, CatalogFeed)> {
        // Subscribed before the first read, so that no write falls between the two.
        let written = store.written();
        let mut file = options.last_known.clone().map(LastKnown::at);
        let first = match advance(store.as_ref(), &Catalog::default(), options.page_rows).await {
            Ok(Some((catalog, rows))) => {
                if let Some(file) = &mut file {
                    file.take(&rows);
                }
                catalog
            }
            Ok(None) => Catalog::default(),
            Err(error) if error.kind == StoreErrorKind::Unavailable => {
                let Some(rows) = file.as_mut().and_then(read_last_known) else { return Err(error) };
                let (catalog, errors) = Catalog::default().with(&rows);
                errors.iter().for_each(observe::catalog_row_unusable);
                observe::catalog_last_known(&error, catalog.revision, rows.len());
                catalog
            }
            Err(error) => return Err(error),
        };
        let file = write_last_known(file).await;
        let (sender, catalog) = watch::channel(Arc::new(first));
        let task = tokio::spawn(follow(store, written, sender, options, file));
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

/// What the file holds. One that does not read back counts as none.
fn read_last_known(file: &mut LastKnown) -> Option<Vec<ResourceRow>> {
    file.read().unwrap_or_else(|error| {
        observe::last_known_unreadable(&error);
        None
    })
}

/// Writes the file if that is due, where blocking is allowed. A failure costs the next start while the store is away, and
/// nothing now.
async fn write_last_known(file: Option<LastKnown>) -> Option<LastKnown> {
    let mut file = file?;
    if file.due() != Some(Duration::ZERO) {
        return Some(file);
    }
    let written = tokio::task::spawn_blocking(move || {
        if let Err(error) = file.write() {
            observe::last_known_unwritable(&error);
        }
        file
    });
    written.await.ok()
}

/// The catalog with every change after it, and the changes; nothing when there is none.
async fn advance(
    store: &dyn Store,
    from: &Catalog,
    page_rows: u32,
) -> StoreResult<Option<(Catalog, Vec<ResourceRow>)>> {
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
    Ok(Some((catalog, rows)))
}

async fn follow(
    store: Arc<dyn Store>,
    mut written: Option<watch::Receiver<u64>>,
    catalog: watch::Sender<Arc<Catalog>>,
    options: FeedOptions,
    mut file: Option<LastKnown>,
) {
    let mut failures = 0;
    loop {
        let woken = async {
            match written.as_mut() {
                Some(written) => written.changed().await.is_ok(),
                None => std::future::pending().await,
            }
        };
        let wait = file.as_ref().and_then(LastKnown::due).map_or(options.poll, |due| due.min(options.poll));
        if let Ok(false) = timeout(wait, woken).await {
            // The store is closed: nothing will wake us any more, the poll goes on.
            written = None;
        }
        // Before the store is asked: one that is away may take long to say so.
        file = write_last_known(file).await;
        let current = Arc::clone(&catalog.borrow());
        match advance(store.as_ref(), &current, options.page_rows).await {
            Ok(next) => {
                if failures > 0 {
                    observe::catalog_fresh_again();
                }
                failures = 0;
                if let Some((next, rows)) = next {
                    catalog.send_replace(Arc::new(next));
                    if let Some(file) = &mut file {
                        file.take(&rows);
                    }
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
