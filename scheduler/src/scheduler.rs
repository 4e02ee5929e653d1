//! The task of a node: waits until something is due, fires it, and remembers how far it has come.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use fastn_domain::catalog::Catalog;
use fastn_domain::{Agenda, Clock, Residency, Timestamp};
use fastn_log::Log;
use fastn_store::{Store, StoreResult};
use tokio::sync::{Mutex, watch};
use tokio::task::JoinHandle;

use crate::clockwork::{Clockwork, SharedFailures};
use crate::failures::Failures;
use crate::firing::Firing;
use crate::making::Maker;
use crate::observe;
use crate::timetable::{Due, Timetable};

/// The name of the mark in the store: every fire due by then was made.
pub const MARK: &str = "scheduler";
/// The mark before any fire was made.
const NOTHING_YET: i64 = i64::MIN;

/// What may be turned.
#[derive(Clone, Debug)]
pub struct SchedulerConfig {
    /// Longest sleep: the system's clock may be set, and then the next fire is nearer than it was.
    pub look_every: Duration,
    /// Changes of configuration are taken together at most so often.
    pub follow_every: Duration,
    /// Triggers whose fires are taken at once.
    pub fires_of_one_take_max: usize,
    /// Bytes of events whose appends are not answered, beyond which no more are made.
    pub bytes_under_way_max: usize,
    /// How long before they are due events may be made. So the work for what is due at one instant is spread over so long.
    pub ahead: Duration,
    /// Bytes of the events that are kept until they are due; they take about twice as much memory.
    pub ahead_bytes_max: usize,
    /// Events that are made ahead at once, but all of a trigger: it does not fire meanwhile.
    pub ahead_events_of_one_turn_max: usize,
    /// Pause after them.
    pub ahead_pause: Duration,
    /// Longest wait between two attempts at an append.
    pub retry_wait_max: Duration,
}

impl Default for SchedulerConfig {
    fn default() -> Self {
        Self {
            look_every: Duration::from_secs(1),
            follow_every: Duration::from_millis(200),
            fires_of_one_take_max: 2_000,
            bytes_under_way_max: 16 << 20,
            ahead: Duration::from_secs(20),
            ahead_bytes_max: 64 << 20,
            ahead_events_of_one_turn_max: 200,
            ahead_pause: Duration::from_millis(20),
            retry_wait_max: Duration::from_secs(5),
        }
    }
}

/// Fires what is due, one turn at a time. [`Scheduler`] turns it by the clock; tests turn it by hand.
pub struct Turner {
    store: Arc<dyn Store>,
    catalog: watch::Receiver<Arc<Catalog>>,
    clock: Arc<dyn Clock>,
    config: SchedulerConfig,
    timetable: Timetable,
    maker: Maker,
    firing: Firing,
    followed: Option<u64>,
    caught_up: bool,
    through: Arc<AtomicI64>,
    agenda: Arc<Agenda>,
}

impl Turner {
    /// Plans from now on.
    pub fn new(
        log: Arc<dyn Log>,
        store: Arc<dyn Store>,
        catalog: watch::Receiver<Arc<Catalog>>,
        clock: Arc<dyn Clock>,
        residency: Arc<Residency>,
        config: SchedulerConfig,
    ) -> Self {
        Self {
            store,
            catalog,
            timetable: Timetable::new(clock.now()),
            clock,
            config,
            maker: Maker::new(residency, log.partitions()),
            firing: Firing::new(log),
            followed: None,
            caught_up: false,
            through: Arc::new(AtomicI64::new(NOTHING_YET)),
            agenda: Arc::default(),
        }
    }

    /// Fires all that is due now, and what the configuration that came since adds. False if some of it did not reach the
    /// log: then nothing more is taken until it has.
    pub async fn turn(&mut self) -> bool {
        if !self.firing.retry().await {
            return false;
        }
        // Before the configuration is followed: what was due before a change was planned by the one before it.
        if !self.fire_due().await {
            return false;
        }
        let newest = self.catalog.borrow_and_update().clone();
        if self.followed != Some(newest.revision) {
            self.timetable.follow(&newest);
            self.followed = Some(newest.revision);
            observe::planned(self.timetable.len());
            if !self.fire_due().await {
                return false;
            }
        }
        true
    }

    async fn fire_due(&mut self) -> bool {
        let catalog = self.catalog.borrow().clone();
        let mut taken = Vec::new();
        let now = self.clock.now();
        loop {
            let mut due = self.timetable.take_due(now, self.config.fires_of_one_take_max);
            if due.is_empty() {
                break;
            }
            if self.followed != Some(catalog.revision) {
                due.retain(|due| stands(&catalog, due));
            }
            let sent = self.send(&catalog, &mut due).await;
            observe::fired(sent, due.iter().map(|due| now.since(due.fire.due)));
            taken.push(due);
        }
        self.firing.flush();
        // While they are written.
        taken.iter().for_each(|due| self.timetable.renew(due));
        self.firing.settle(0).await;
        let all = self.firing.retry().await;
        if all && self.caught_up {
            self.through.fetch_max(now.0, Ordering::AcqRel);
        }
        all
    }

    /// Sends the events of `due`: those that were made ahead and hold, and the others made now.
    async fn send(&mut self, catalog: &Catalog, due: &mut [Due]) -> usize {
        let mut sent = 0;
        for due in due {
            let made = due.take_made().filter(|made| self.maker.holds(made, catalog, &due.account, &due.trigger));
            let (ready, rest) = match made {
                Some(made) => (made.events, None),
                None => (Vec::new(), Some(self.maker.events(catalog, &due.account, &due.trigger, due.fire))),
            };
            for event in ready.into_iter().chain(rest.into_iter().flatten()) {
                self.firing.send(event);
                sent += 1;
                if self.firing.bytes_under_way() > self.config.bytes_under_way_max {
                    self.firing.settle(self.config.bytes_under_way_max / 2).await;
                }
            }
        }
        sent
    }

    /// Makes some events that are due soon, so that at their time they need only be sent. True if there may be more.
    pub fn look_ahead(&mut self) -> bool {
        let catalog = self.catalog.borrow().clone();
        // Of a configuration that is not followed yet, the line may say what no longer is.
        if self.followed != Some(catalog.revision) {
            return false;
        }
        let until = self.clock.now().plus(self.config.ahead);
        let mut events = 0;
        while events < self.config.ahead_events_of_one_turn_max {
            let left = self.config.ahead_bytes_max.saturating_sub(self.timetable.made_bytes());
            if left == 0 {
                return false;
            }
            let Some(due) = self.timetable.ahead(until) else { return false };
            let made = self.maker.make(&catalog, &due.account, &due.trigger, due.fire, left);
            let count = made.as_ref().map(|made| made.events.len());
            self.timetable.keep(&due, made);
            // One that does not fit is made at its time. It was work enough for now.
            let Some(count) = count else { return false };
            events += count.max(1);
        }
        true
    }

    /// Makes up for what was missed before this node planned, as soon as the store says how far the others came.
    ///
    /// # Errors
    /// When the store is away: what is due now fires all the same.
    pub async fn catch_up(&mut self) -> StoreResult<()> {
        if self.caught_up {
            return Ok(());
        }
        // Lost, or never written: nothing is known to be missed.
        if let Some(mark) = self.store.mark(MARK).await? {
            let mut missed = self.timetable.missed(mark);
            let catalog = self.catalog.borrow().clone();
            for some in missed.chunks_mut(self.config.fires_of_one_take_max) {
                self.send(&catalog, some).await;
                self.firing.settle(self.config.bytes_under_way_max / 2).await;
            }
            observe::caught_up(mark, missed.len());
        }
        self.caught_up = true;
        self.firing.settle(0).await;
        if self.firing.retry().await {
            self.through.fetch_max(self.timetable.since().0, Ordering::AcqRel);
        }
        Ok(())
    }

    /// When it wants its next turn.
    pub fn next_due(&self) -> Option<Timestamp> {
        self.timetable.next_due()
    }

    /// Up to when every fire was made, as far as this node knows.
    pub fn through(&self) -> Option<Timestamp> {
        known(&self.through)
    }

    fn tell_rest(&self, rests: bool) {
        match (rests, self.followed) {
            (true, Some(revision)) => self.agenda.rests(self.next_due(), revision),
            _ => self.agenda.works(),
        }
    }

    fn wait(&self) -> Duration {
        let now = self.clock.now();
        let next = self.timetable.next_due().map_or(self.config.look_every, |due| due.since(now));
        next.min(self.config.look_every)
    }
}

/// Whether no change of its trigger came before a fire was due. What was changed since is planned anew from its change on.
fn stands(newest: &Catalog, due: &Due) -> bool {
    let trigger = newest.account(&due.account).and_then(|account| account.triggers.get(&due.trigger.id));
    trigger.is_some_and(|trigger| Arc::ptr_eq(trigger, &due.trigger) || trigger.changed > due.fire.due)
}

fn known(through: &AtomicI64) -> Option<Timestamp> {
    Some(Timestamp(through.load(Ordering::Acquire))).filter(|through| through.0 != NOTHING_YET)
}

/// Writes how far `through` has come.
pub(crate) async fn keep_mark(store: &dyn Store, through: &AtomicI64) {
    if let Some(through) = known(through)
        && let Err(error) = store.raise_mark(MARK, through).await
    {
        observe::mark_not_kept(&error);
    }
}

/// A node's scheduler. It ends when this is dropped.
pub struct Scheduler {
    task: JoinHandle<()>,
    agenda: Arc<Agenda>,
    failures: SharedFailures,
    through: Arc<AtomicI64>,
    store: Arc<dyn Store>,
    _clockwork: Clockwork,
}

impl Scheduler {
    /// Begins to fire.
    pub async fn start(
        log: Arc<dyn Log>,
        store: Arc<dyn Store>,
        catalog: watch::Receiver<Arc<Catalog>>,
        clock: Arc<dyn Clock>,
        residency: Arc<Residency>,
        config: SchedulerConfig,
    ) -> Result<Self, tokio_cron_scheduler::JobSchedulerError> {
        let turner = Turner::new(log, store.clone(), catalog.clone(), clock.clone(), residency, config);
        let (through, agenda) = (turner.through.clone(), turner.agenda.clone());
        let failures: SharedFailures = Arc::new(Mutex::new(Failures::new(store.clone(), catalog, clock)));
        let clockwork = Clockwork::start(store.clone(), failures.clone(), through.clone()).await?;
        Ok(Self { task: tokio::spawn(run(turner)), agenda, failures, through, store, _clockwork: clockwork })
    }

    /// When something fires next.
    pub fn agenda(&self) -> &Agenda {
        &self.agenda
    }

    /// Looks now at what has failed. It is looked at every few seconds anyway; whoever moves the clock by hours between two
    /// looks asks for one.
    pub async fn look_at_failures(&self) {
        self.failures.lock().await.look().await;
    }

    /// Ends it and writes how far it has come.
    pub async fn stop(self) {
        self.task.abort();
        keep_mark(self.store.as_ref(), &self.through).await;
    }
}

impl Drop for Scheduler {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn run(mut turner: Turner) {
    let mut wait = Duration::from_millis(50);
    let mut store_away = false;
    loop {
        turner.agenda.works();
        let mut all = turner.turn().await;
        if !turner.caught_up && turner.followed.is_some() {
            let caught_up = turner.catch_up().await;
            if let Err(error) = &caught_up
                && !store_away
            {
                observe::not_caught_up(error);
            }
            store_away = caught_up.is_err();
            all &= turner.firing.retry().await;
        }
        if !all {
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(turner.config.retry_wait_max);
            continue;
        }
        wait = Duration::from_millis(50);
        let pause = match turner.look_ahead() {
            true => turner.wait().min(turner.config.ahead_pause),
            false => turner.wait(),
        };
        turner.tell_rest(turner.caught_up);
        let (clock, next_due) = (turner.clock.clone(), turner.next_due());
        let mut changes = turner.catalog.clone();
        let follow_every = turner.config.follow_every;
        // A change wakes it, but not at once: others may come with it.
        let changed = async {
            match changes.changed().await {
                Ok(()) => tokio::time::sleep(follow_every).await,
                Err(_) => std::future::pending().await,
            }
        };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = changed => {}
            // A clock that is moved does not wait for the next look.
            () = moved_to(&*clock, next_due) => {}
        }
    }
}

/// Waits until a clock that somebody moves has come to `at`; for ever on any other.
async fn moved_to(clock: &dyn Clock, at: Option<Timestamp>) {
    match at.and_then(|at| clock.alarm(at)) {
        Some(alarm) => alarm.await,
        None => std::future::pending().await,
    }
}
