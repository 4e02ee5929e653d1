//! Appends the events of fires.
//!
//! An append whose outcome is unknown is made again: the ids are the same, so the processor admits each event once. What is
//! under way is not kept as records but as what they are made of, since appends seldom fail.

use std::collections::HashMap;
use std::sync::Arc;

use fastn_log::{Log, LogErrorKind, Partition, Record, Topic};
use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;

use crate::making::{Event, Recipe};
use crate::observe;

/// Records of one append.
const APPEND_RECORDS_MAX: usize = 500;
/// Bytes of the records of one append, but one record always goes: far below what a log takes at once.
const APPEND_BYTES_MAX: usize = 256 << 10;

/// An append that is filled up, or under way.
#[derive(Default)]
struct Batch {
    recipes: Vec<Recipe>,
    records: Vec<Record>,
    bytes: usize,
}

impl Batch {
    fn push(&mut self, recipe: Recipe, record: Record) {
        self.bytes += record.size();
        self.recipes.push(recipe);
        self.records.push(record);
    }

    fn is_full(&self) -> bool {
        self.records.len() >= APPEND_RECORDS_MAX || self.bytes >= APPEND_BYTES_MAX
    }
}

struct Sent {
    partition: Partition,
    recipes: Vec<Recipe>,
    bytes: usize,
    outcome: Result<(), LogErrorKind>,
}

/// Events on their way, and those that did not arrive.
pub(crate) struct Firing {
    log: Arc<dyn Log>,
    /// Filled up, by partition.
    open: HashMap<Partition, Batch>,
    under_way: FuturesUnordered<BoxFuture<'static, Sent>>,
    /// To be appended again.
    failed: Vec<(Partition, Vec<Recipe>)>,
    bytes_under_way: usize,
}

impl Firing {
    pub(crate) fn new(log: Arc<dyn Log>) -> Self {
        Self { log, open: HashMap::new(), under_way: FuturesUnordered::new(), failed: Vec::new(), bytes_under_way: 0 }
    }

    /// Bytes of the records whose appends are not answered.
    pub(crate) fn bytes_under_way(&self) -> usize {
        self.bytes_under_way
    }

    /// Takes an event, and begins to append once a batch is full; the rest waits for others or for [`Firing::flush`].
    pub(crate) fn send(&mut self, Event { recipe, partition, record }: Event) {
        let batch = self.open.entry(partition).or_default();
        batch.push(recipe, record);
        if batch.is_full() {
            let batch = std::mem::take(batch);
            self.append(partition, batch);
        }
    }

    /// Begins to append all that was taken.
    pub(crate) fn flush(&mut self) {
        for (partition, batch) in std::mem::take(&mut self.open) {
            if !batch.records.is_empty() {
                self.append(partition, batch);
            }
        }
    }

    fn append(&mut self, partition: Partition, Batch { recipes, records, bytes }: Batch) {
        self.bytes_under_way += bytes;
        // Made now, so that appends go out in the order of the fires.
        let append = self.log.append(Topic::Events, partition, records);
        self.under_way.push(Box::pin(async move {
            let outcome = append.await.map(drop).map_err(|error| {
                observe::not_appended(partition, &error);
                error.kind
            });
            Sent { partition, recipes, bytes, outcome }
        }));
    }

    /// Waits until at most `left` bytes are under way.
    pub(crate) async fn settle(&mut self, left: usize) {
        self.flush();
        while self.bytes_under_way > left {
            let Some(Sent { partition, recipes, bytes, outcome }) = self.under_way.next().await else { return };
            self.bytes_under_way -= bytes;
            match outcome {
                Ok(()) => {}
                // Too large for this log, today and tomorrow.
                Err(LogErrorKind::TooLarge) => observe::too_large(partition, recipes.len()),
                Err(_) => self.failed.push((partition, recipes)),
            }
        }
    }

    /// Appends again what did not arrive. True if nothing is left.
    pub(crate) async fn retry(&mut self) -> bool {
        for (partition, recipes) in std::mem::take(&mut self.failed) {
            let mut again = Batch::default();
            for recipe in recipes {
                if let Some(record) = recipe.record() {
                    again.push(recipe, record);
                }
            }
            self.append(partition, again);
        }
        self.settle(0).await;
        self.failed.is_empty()
    }
}
