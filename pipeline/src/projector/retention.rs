//! Deletes activity that is older than it is kept, a little at a time.
//!
//! An account may say how long its activity is kept ([`RetentionSettings`]). What nobody keeps goes by whole days where the
//! store can; what one account keeps for less long than another goes row by row, and so do payloads that are to be gone
//! before the rest.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use fastn_contract::privacy::RetentionSettings;
use fastn_domain::AccountId;
use fastn_domain::catalog::Catalog;
use fastn_domain::time::{Agenda, Clock, Timestamp};
use fastn_store::{Store, StoreResult};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::observe;

const DAY_US: i64 = 86_400_000_000;
/// Rounds after which old payloads are looked for from the beginning again: an execution that ends long after its
/// admission comes behind what the rounds before have passed.
const ROUNDS_PER_WHOLE: u64 = 24;

/// What is kept, and how gently the rest goes.
#[derive(Clone, Copy, Debug)]
pub struct RetentionOptions {
    /// How long events and ended executions are kept where an account says nothing.
    pub keep: RetentionSettings,
    /// Time between two rounds.
    pub every: Duration,
    /// Rows of one transaction: it holds up the projector for some milliseconds.
    pub chunk_rows_max: u32,
    /// Wait between two transactions of a round.
    pub pause: Duration,
}

impl Default for RetentionOptions {
    fn default() -> Self {
        Self {
            keep: RetentionSettings::default(),
            every: Duration::from_secs(3_600),
            chunk_rows_max: 500,
            pause: Duration::from_millis(50),
        }
    }
}

/// The task. It ends when this is dropped.
#[derive(Debug)]
pub struct Retention {
    task: JoinHandle<()>,
    agenda: Arc<Agenda>,
}

impl Retention {
    /// Starts the first round at once.
    pub fn start(
        store: Arc<dyn Store>,
        catalog: watch::Receiver<Arc<Catalog>>,
        clock: Arc<dyn Clock>,
        options: RetentionOptions,
    ) -> Retention {
        let mut keeper = Keeper { store, options, rounds: 0, blanked: HashMap::new() };
        let agenda = Arc::new(Agenda::default());
        let tells = agenda.clone();
        let task = tokio::spawn(async move {
            loop {
                let current = catalog.borrow().clone();
                match keeper.round(&current, clock.now()).await {
                    Ok(rows) => observe::pruned(rows),
                    Err(error) => observe::prune_failed(&error),
                }
                let next = clock.now().plus(options.every);
                // A configuration that comes is for the next round.
                tells.rests(Some(next), u64::MAX);
                crate::until(&*clock, next).await;
                tells.works();
            }
        });
        Retention { task, agenda }
    }

    /// When the next round is.
    pub fn agenda(&self) -> &Agenda {
        &self.agenda
    }
}

impl Drop for Retention {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Keeper {
    store: Arc<dyn Store>,
    options: RetentionOptions,
    rounds: u64,
    /// Up to where the payloads of an account are blanked.
    blanked: HashMap<AccountId, Timestamp>,
}

impl Keeper {
    async fn round(&mut self, catalog: &Catalog, now: Timestamp) -> StoreResult<u64> {
        if self.rounds.is_multiple_of(ROUNDS_PER_WHOLE) {
            self.blanked.clear();
        }
        self.rounds += 1;
        let accounts: Vec<(AccountId, RetentionSettings)> = catalog
            .accounts()
            .map(|(id, account)| (id.clone(), account.retention.unwrap_or(self.options.keep)))
            .collect();
        let days = accounts.iter().map(|(_, keep)| keep.activity_days);
        let longest = days.max().unwrap_or_default().max(self.options.keep.activity_days);
        let (store, chunk) = (Arc::clone(&self.store), self.options.chunk_rows_max);
        let mut rows = self.repeat(|| store.prune(ago(now, longest), chunk)).await?;
        for (account, keep) in &accounts {
            if keep.activity_days < longest {
                let before = ago(now, keep.activity_days);
                rows += self.repeat(|| store.prune_account(account, before, chunk)).await?;
            }
            let Some(days) = keep.payload_days.filter(|days| *days < keep.activity_days) else { continue };
            let (from, before) = (self.blanked.get(account).copied().unwrap_or(Timestamp(0)), ago(now, days));
            rows += self.repeat(|| store.blank_payloads(account, from, before, chunk)).await?;
            self.blanked.insert(account.clone(), before);
        }
        Ok(rows)
    }

    /// Repeats `step` until nothing is left to do.
    async fn repeat<F: Future<Output = StoreResult<u64>>>(&self, step: impl Fn() -> F) -> StoreResult<u64> {
        let mut rows = 0;
        loop {
            let gone = step().await?;
            if gone == 0 {
                return Ok(rows);
            }
            rows += gone;
            tokio::time::sleep(self.options.pause).await;
        }
    }
}

fn ago(now: Timestamp, days: u32) -> Timestamp {
    Timestamp(now.0.saturating_sub(i64::from(days) * DAY_US))
}
