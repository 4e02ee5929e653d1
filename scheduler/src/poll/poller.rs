//! The task of a node: finds what is due and polls it, so many sources at once.

use std::collections::HashSet;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use fastn_contract::resource::Switch;
use fastn_domain::catalog::Catalog;
use fastn_domain::{Agenda, Clock, Residency, Scope, Timestamp, TriggerId};
use fastn_log::Log;
use fastn_store::{Polls, StoreResult, Vault};
use tokio::sync::{Notify, watch};
use tokio::task::{JoinHandle, JoinSet};

use super::Fetch;
use super::held::poll;
use crate::making::scopes_of;
use crate::observe;

/// What a poller needs.
pub struct PollerParts {
    /// Where events go.
    pub log: Arc<dyn Log>,
    /// Where polls are kept.
    pub polls: Arc<dyn Polls>,
    /// Opens secrets for requests.
    pub vault: Arc<Vault>,
    /// The configuration.
    pub catalog: watch::Receiver<Arc<Catalog>>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// Which customers live here.
    pub residency: Arc<Residency>,
    /// Makes requests.
    pub fetch: Fetch,
    /// Tells this poller from others; see [`PollerParts::new_holder`].
    pub holder: String,
}

impl PollerParts {
    /// A name that no other poller has.
    pub fn new_holder() -> String {
        let random = || RandomState::new().build_hasher().finish();
        format!("{:016x}{:016x}", random(), random())
    }
}

/// What may be turned.
#[derive(Clone, Copy, Debug)]
pub struct PollerConfig {
    /// How often it looks for what is due.
    pub look_every: Duration,
    /// Sources that are polled at once. Each may hold a snapshot of all its records in memory.
    pub polls_at_once_max: usize,
}

impl Default for PollerConfig {
    fn default() -> Self {
        Self { look_every: Duration::from_secs(1), polls_at_once_max: 16 }
    }
}

/// Polls what is due, one turn at a time. [`Poller`] turns it by the clock; tests turn it by hand.
pub struct Polling {
    parts: Arc<PollerParts>,
    config: PollerConfig,
    begun: HashSet<(Scope, TriggerId, Timestamp)>,
    followed: Option<u64>,
}

impl Polling {
    /// Polls with `parts`.
    pub fn new(parts: PollerParts, config: PollerConfig) -> Self {
        Self { parts: Arc::new(parts), config, begun: HashSet::new(), followed: None }
    }

    /// Polls all that is due now, to the end, and says how many polls that were.
    ///
    /// # Errors
    /// The store does not say what is due.
    pub async fn turn(&mut self) -> StoreResult<usize> {
        self.follow().await?;
        let due = self.due(self.config.polls_at_once_max).await?;
        let polls = due.len();
        futures_util::future::join_all(due.into_iter().map(|(scope, trigger)| poll(&self.parts, scope, trigger))).await;
        Ok(polls)
    }

    async fn due(&self, room: usize) -> StoreResult<Vec<(Scope, TriggerId)>> {
        self.parts.polls.due(self.parts.clock.now(), u32::try_from(room).unwrap_or(u32::MAX)).await
    }

    /// Begins the polls that a newer configuration brings.
    async fn follow(&mut self) -> StoreResult<()> {
        let catalog = self.parts.catalog.borrow().clone();
        if self.followed == Some(catalog.revision) {
            return Ok(());
        }
        let mut wanted = HashSet::new();
        for (account, entries) in catalog.accounts() {
            let polls = |trigger: &&Arc<fastn_domain::catalog::CompiledTrigger>| {
                trigger.poll.is_some() && trigger.spec.status == Switch::Enabled
            };
            for trigger in entries.triggers.values().filter(polls) {
                for scope in scopes_of(&catalog, &self.parts.residency, account, trigger) {
                    wanted.insert((scope, trigger.id.clone(), trigger.created));
                }
            }
        }
        self.begun.retain(|known| wanted.contains(known));
        for new in wanted {
            if !self.begun.contains(&new) {
                self.parts.polls.begin(&new.0, &new.1, self.parts.clock.now()).await?;
                self.begun.insert(new);
            }
        }
        observe::polls_planned(self.begun.len());
        self.followed = Some(catalog.revision);
        Ok(())
    }
}

/// A node's poller. It ends when this is dropped: a poll that is under way goes on after its lease, here or elsewhere.
pub struct Poller {
    task: JoinHandle<()>,
    sight: Arc<Sight>,
}

/// What others see of a poller, and how they wake it.
#[derive(Debug, Default)]
struct Sight {
    /// Whether all that was due was begun.
    agenda: Agenda,
    under_way: AtomicUsize,
    look: Notify,
}

impl Poller {
    /// Begins to poll.
    pub fn start(parts: PollerParts, config: PollerConfig) -> Self {
        let sight = Arc::new(Sight::default());
        Self { task: tokio::spawn(run(Polling::new(parts, config), sight.clone())), sight }
    }

    /// Whether no poll is under way, after a look under the configuration `revision` or a newer one. When a poll is due
    /// next only the store knows.
    pub fn is_resting(&self, now: Timestamp, revision: u64) -> bool {
        self.sight.agenda.is_resting(now, revision) && self.sight.under_way.load(Ordering::Acquire) == 0
    }

    /// Looks now for what is due: whoever moved the clock need not wait for the next look.
    pub fn look(&self) {
        self.sight.agenda.works();
        self.sight.look.notify_one();
    }
}

impl Drop for Poller {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn run(mut polling: Polling, sight: Arc<Sight>) {
    let mut under_way = JoinSet::new();
    loop {
        if let Err(error) = polling.follow().await {
            observe::poll_store_error(&error);
        }
        let room = polling.config.polls_at_once_max.saturating_sub(under_way.len());
        if room > 0 {
            match polling.due(room).await {
                Ok(due) => {
                    for (scope, trigger) in due {
                        let (parts, sight) = (Arc::clone(&polling.parts), Arc::clone(&sight));
                        sight.under_way.fetch_add(1, Ordering::AcqRel);
                        under_way.spawn(async move {
                            poll(&parts, scope, trigger).await;
                            sight.under_way.fetch_sub(1, Ordering::AcqRel);
                        });
                    }
                }
                Err(error) => observe::poll_store_error(&error),
            }
        }
        // With every place taken, more may be due as soon as one is free.
        let full = under_way.len() >= polling.config.polls_at_once_max;
        match (full, polling.followed) {
            (false, Some(revision)) => sight.agenda.rests(None, revision),
            _ => sight.agenda.works(),
        }
        tokio::select! {
            () = tokio::time::sleep(polling.config.look_every) => {}
            () = sight.look.notified() => {}
            Some(_) = under_way.join_next(), if full => {}
        }
        while under_way.try_join_next().is_some() {}
    }
}
