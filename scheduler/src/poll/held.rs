//! A poll that this node holds, from the lease to the save that ends it.

use std::time::Duration;

use fastn_contract::poll::{Initial, PollOutcome};
use fastn_contract::resource::Switch;
use fastn_domain::catalog::{Catalog, CompiledTrigger};
use fastn_domain::poll::{LastPoll, Poll, PollProgress, Snapshot, Told};
use fastn_domain::{Scope, Timestamp, TriggerId};
use fastn_store::{LeasedPoll, PollSave, StoreError, StoreErrorKind};

use super::delivery::deliver;
use super::listing::{Counts, Listing, Stop};
use super::poller::PollerParts;
use crate::observe;

/// How long nobody else polls. Renewed while pages come, so that a node that dies holds a poll up no longer.
pub(super) const LEASE: Duration = Duration::from_secs(120);
/// When a trigger that does not poll is looked at again.
const IDLE: Duration = Duration::from_secs(60);
/// When the log is asked again after it did not take events.
const LOG_RETRY: Duration = Duration::from_secs(5);

/// See the head of this file.
pub(super) struct Held<'p> {
    pub(super) parts: &'p PollerParts,
    pub(super) scope: Scope,
    pub(super) trigger: TriggerId,
    pub(super) generation: u64,
    pub(super) progress: PollProgress,
    began: Timestamp,
    lease_until: Timestamp,
}

/// Polls once, if the poll is due and nobody else does.
pub(super) async fn poll(parts: &PollerParts, scope: Scope, trigger: TriggerId) {
    let began = parts.clock.now();
    let lease_until = began.plus(LEASE);
    let leased = match parts.polls.lease(&scope, &trigger, &parts.holder, began, lease_until).await {
        Ok(Some(leased)) => leased,
        Ok(None) => return,
        Err(error) => return observe::poll_store_error(&error),
    };
    let LeasedPoll { generation, body, outbox } = leased;
    // What does not read back is as if it were not there: the snapshot is made anew.
    let progress = serde_json::from_str(&body).unwrap_or_default();
    let mut held = Held { parts, scope, trigger, generation, progress, began, lease_until };
    if let Err(error) = held.work(outbox).await {
        observe::poll_store_error(&error);
    }
}

impl Held<'_> {
    async fn work(&mut self, outbox: Option<Vec<u8>>) -> Result<(), StoreError> {
        // Whatever became of the trigger: what a save has told is told.
        if let Some(outbox) = outbox
            && !self.deliver(&outbox).await
        {
            return self.put_off(outbox).await;
        }
        let catalog = self.parts.catalog.borrow().clone();
        let Some((trigger, poll)) = self.wanted(&catalog) else {
            return self.save(PollSave { next_at: self.began.plus(IDLE), ..PollSave::default() }).await;
        };
        let shape = format!("{}-{}", poll.shape, trigger.created.as_millis());
        let snapshot = match self.snapshot(&shape, &poll).await {
            Ok(Some(snapshot)) => snapshot,
            Ok(None) => {
                let detail = "what was listed last does not read back; reset it".to_owned();
                return self.end(&poll, Counts::default(), Err(Stop::Failed(detail)), false).await;
            }
            Err(error) => return Err(error),
        };
        let silent = !self.progress.complete && poll.spec.initial == Initial::Baseline;
        let mut listing = Listing::new(&poll, snapshot, silent, self.progress.cursor.clone());
        let stopped = match listing.run(self, &catalog).await {
            Err(Stop::Store(error)) => return Err(error),
            Err(Stop::Log(outbox)) => return self.put_off(outbox).await,
            stopped => stopped,
        };
        let Listing { counts, cursor, .. } = listing;
        self.progress.cursor = cursor;
        self.end(&poll, counts, stopped, silent).await
    }

    /// The trigger, if it polls for this customer now.
    fn wanted<'c>(&self, catalog: &'c Catalog) -> Option<(&'c CompiledTrigger, std::sync::Arc<Poll>)> {
        let trigger = catalog.account(&self.scope.account)?.triggers.get(&self.trigger)?;
        let own = trigger.customer.as_ref().is_none_or(|customer| *customer == self.scope.customer);
        let here = self.parts.residency.check(catalog, &self.scope).is_ok() && catalog.is_active(&self.scope);
        let on = trigger.spec.status == Switch::Enabled && own && here;
        trigger.poll.clone().filter(|_| on).map(|poll| (trigger.as_ref(), poll))
    }

    /// What was listed last; nothing if it does not read back. One that was made by another declaration is void.
    async fn snapshot(&mut self, shape: &str, poll: &Poll) -> Result<Option<Snapshot>, StoreError> {
        if self.progress.shape != shape {
            let (interval_ms, last) = (self.progress.interval_ms, self.progress.last.take());
            let (shape, cursor) = (shape.to_owned(), poll.first_cursor());
            self.progress = PollProgress { shape, cursor, interval_ms, last, ..PollProgress::default() };
            return Ok(Some(Snapshot::new()));
        }
        let chunks = self.parts.polls.chunks(&self.scope, &self.trigger).await?;
        Ok(Snapshot::decode(self.progress.chunks, &chunks).ok())
    }

    /// Saves changes, if there are any, and brings their events into the log.
    pub(super) async fn tell(&mut self, snapshot: &mut Snapshot, told: &mut Vec<Told>) -> Result<(), Stop> {
        let (anew, chunks) = snapshot.take_changed();
        if !anew && chunks.is_empty() && told.is_empty() {
            return Ok(());
        }
        self.progress.chunks = snapshot.chunks();
        self.progress.records = u32::try_from(snapshot.len()).unwrap_or(u32::MAX);
        let outbox = (!told.is_empty()).then(|| serde_json::to_vec(told).unwrap_or_default());
        told.clear();
        let lease_until = Some(self.renewed());
        let next_at = self.began;
        self.save(PollSave { next_at, lease_until, outbox: outbox.clone(), anew, chunks, ..PollSave::default() })
            .await
            .map_err(Stop::Store)?;
        match outbox {
            Some(outbox) if !self.deliver(&outbox).await => Err(Stop::Log(outbox)),
            _ => Ok(()),
        }
    }

    /// Keeps the poll for longer, if the lease ends soon. Events of earlier saves are durable.
    pub(super) async fn keep(&mut self) -> Result<(), Stop> {
        if self.lease_until.since(self.parts.clock.now()) > LEASE / 2 {
            return Ok(());
        }
        let lease_until = Some(self.renewed());
        let next_at = self.began;
        self.save(PollSave { next_at, lease_until, ..PollSave::default() }).await.map_err(Stop::Store)
    }

    fn renewed(&mut self) -> Timestamp {
        self.lease_until = self.parts.clock.now().plus(LEASE);
        self.lease_until
    }

    async fn deliver(&self, outbox: &[u8]) -> bool {
        // What is stored was written by `tell`; what does not read back never will.
        let told: Vec<Told> = serde_json::from_slice(outbox).unwrap_or_default();
        let revision = self.parts.catalog.borrow().revision;
        match deliver(self.parts.log.as_ref(), &self.scope, &self.trigger, revision, &told).await {
            Ok(()) => true,
            Err(error) => {
                observe::changes_not_appended(&error);
                false
            }
        }
    }

    async fn put_off(&mut self, outbox: Vec<u8>) -> Result<(), StoreError> {
        let next_at = self.parts.clock.now().plus(LOG_RETRY);
        self.save(PollSave { next_at, outbox: Some(outbox), ..PollSave::default() }).await
    }

    /// Saves how the poll went and lets go of it. All that it has told is durable.
    async fn end(
        &mut self,
        poll: &Poll,
        counts: Counts,
        stopped: Result<Option<Duration>, Stop>,
        silent: bool,
    ) -> Result<(), StoreError> {
        let now = self.parts.clock.now();
        let interval = poll.pace.within(self.progress.interval());
        let changed = counts.created + counts.updated + counts.deleted > 0;
        // Nothing of a first listing that was cut off is kept.
        let void = silent && stopped.is_err();
        let (outcome, detail, interval, wait) = match stopped {
            Ok(asked) => {
                let outcome = match (silent, changed) {
                    (true, _) => PollOutcome::Baseline,
                    (false, true) => PollOutcome::Changed,
                    (false, false) => PollOutcome::Unchanged,
                };
                let next = poll.pace.after(interval, changed && !silent);
                self.progress.complete = true;
                self.progress.failures = 0;
                self.progress.last_success = Some(self.began);
                (outcome, counts.left_out(), next, next.max(asked.unwrap_or_default()))
            }
            Err(Stop::Limited(asked)) => {
                let next = poll.pace.slower(interval);
                let detail = format!("the source asked to wait {} seconds", asked.unwrap_or(next).as_secs());
                (PollOutcome::RateLimited, Some(detail), next, asked.unwrap_or(next).max(interval))
            }
            Err(Stop::Failed(detail)) => {
                self.progress.failures = self.progress.failures.saturating_add(1);
                let wait = poll.pace.after_failures(interval, self.progress.failures);
                (PollOutcome::Failed, Some(detail), interval, wait)
            }
            Err(Stop::Store(error)) => return Err(error),
            Err(Stop::Log(outbox)) => return self.put_off(outbox).await,
        };
        if void {
            (self.progress.chunks, self.progress.records) = (0, 0);
        }
        self.progress.interval_ms = u64::try_from(interval.as_millis()).unwrap_or(u64::MAX);
        let Counts { pages, created, updated, deleted, .. } = counts;
        observe::polled(outcome, now.since(self.began), created, updated, deleted);
        self.progress.last = Some(LastPoll { at: self.began, outcome, detail, pages, created, updated, deleted });
        self.save(PollSave { next_at: now.plus(wait), anew: void, ..PollSave::default() }).await
    }

    async fn save(&mut self, save: PollSave) -> Result<(), StoreError> {
        let body = serde_json::to_string(&self.progress).unwrap_or_default();
        let save = PollSave { generation: self.generation, body, ..save };
        let saved = self.parts.polls.save(&self.scope, &self.trigger, &self.parts.holder, save).await;
        match saved {
            Ok(()) => {
                self.generation += 1;
                Ok(())
            }
            Err(error) => {
                if error.kind == StoreErrorKind::Conflict {
                    observe::poll_overtaken();
                }
                Err(error)
            }
        }
    }
}
