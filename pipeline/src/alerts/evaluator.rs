//! The task behind alerts: reads every partition, evaluates by the clock, saves, and sends.
//!
//! Evaluation waits until everything that was there at the start is read: a rule that judged half a window would cry wolf
//! after every restart. After any failure the task forgets what it holds and starts again from what was saved.

use std::sync::Arc;
use std::time::{Duration, Instant};

use fastn_domain::time::{Agenda, Clock, Timestamp};
use fastn_log::{LogError, Membership};
use fastn_store::{StoreError, StoreErrorKind};
use futures_util::future::select_all;
use tokio::sync::mpsc;

use super::engine::Engine;
use super::gauges::Gauges;
use super::memory::Places;
use super::{AlertParts, Channels, observe};
use crate::follower::{Follower, Read};

/// The longest wait after a failure; the first is a hundredth of it.
const RETRY_WAIT_MAX: Duration = Duration::from_secs(10);
/// Records counted before other tasks of the thread get a turn.
const TURN_RECORDS: usize = 64;
/// How long alerts that are over are kept.
const KEEP: Duration = Duration::from_secs(90 * 86_400);
/// Outcomes of sends that wait to be taken.
const OUTCOMES_MAX: usize = 64;

/// How alerts are evaluated.
#[derive(Clone, Copy, Debug)]
pub struct AlertOptions {
    /// Between two looks at the rules that are due.
    pub every: Duration,
    /// Between two saves while nothing happens that must be saved at once. A restart reads the journal from the last one.
    pub save_every: Duration,
    /// Wait for more records before what is there is read.
    pub gather: Duration,
    /// A partition of which the newest record read is older is behind: nothing is evaluated meanwhile.
    pub behind: Duration,
}

impl Default for AlertOptions {
    fn default() -> Self {
        Self {
            every: Duration::from_secs(1),
            save_every: Duration::from_secs(30),
            gather: Duration::from_millis(200),
            behind: Duration::from_secs(10),
        }
    }
}

/// Why evaluation starts again.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EvaluateError {
    /// The log could not be read.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The store refused or was away.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The outcome of one attempt to send.
type Outcome = (String, Result<(), String>);

pub(super) struct Evaluator {
    parts: AlertParts,
    channels: Channels,
    options: AlertOptions,
    agenda: Arc<Agenda>,
}

/// What one stretch of evaluation holds.
struct Stretch {
    engine: Engine,
    gauges: Gauges,
    followers: Vec<Follower>,
    /// Of the memory.
    revision: u64,
    /// Of the configuration.
    configured: u64,
    evaluated: Timestamp,
    saved: Timestamp,
    outcomes: mpsc::Sender<Outcome>,
}

impl Evaluator {
    pub(super) fn new(parts: AlertParts, channels: Channels, options: AlertOptions, agenda: Arc<Agenda>) -> Self {
        Self { parts, channels, options, agenda }
    }

    fn now(&self) -> Timestamp {
        self.parts.clock.now()
    }

    /// For ever.
    pub(super) async fn run(mut self, mut membership: Membership) {
        let mut failures = 0_u32;
        loop {
            if membership.owned.wait_for(|owned| owned.contains(&0)).await.is_err() {
                return;
            }
            let (mut left, began) = (membership.clone(), Instant::now());
            let ended = tokio::select! {
                ended = self.evaluate() => match ended {
                    // The configuration or the log is closed.
                    Ok(()) => return,
                    failed => failed,
                },
                gone = left.owned.wait_for(|owned| !owned.contains(&0)) => {
                    if gone.is_err() { return }
                    Ok(())
                }
            };
            observe::sizes(0, 0, 0);
            let Err(error) = ended else {
                failures = 0;
                continue;
            };
            // What worked for so long and fails now is a failure of its own.
            if began.elapsed() > RETRY_WAIT_MAX * 6 {
                failures = 0;
            }
            // Another evaluator has been here: whether this one still is one is asked anew.
            let conflict = matches!(&error, EvaluateError::Store(error) if error.kind == StoreErrorKind::Conflict);
            failures = if conflict { 1 } else { failures.saturating_add(1) };
            observe::failed(&error, failures);
            tokio::time::sleep((RETRY_WAIT_MAX / 100 * failures.min(100)).min(RETRY_WAIT_MAX)).await;
        }
    }

    /// Until something fails; without an error when the configuration or the log is closed.
    async fn evaluate(&mut self) -> Result<(), EvaluateError> {
        let (outcomes, mut arriving) = mpsc::channel(OUTCOMES_MAX);
        let mut stretch = self.begin(outcomes).await?;
        let mut at_rest = stretch.revision == 0;
        loop {
            if !stretch.engine.has_rules() && stretch.engine.sizes().1 == 0 {
                // Nothing to count: the journal is not even read. What comes later counts from then on.
                if !at_rest {
                    self.save(&mut stretch).await?;
                    at_rest = true;
                }
                stretch.followers.clear();
                observe::sizes(0, 0, 0);
                self.agenda.rests(None, stretch.configured);
                if self.parts.catalog.changed().await.is_err() {
                    return Ok(());
                }
                self.configure(&mut stretch).await?;
                continue;
            }
            at_rest = false;
            let next = stretch.engine.next();
            match stretch.engine.is_sending() {
                false => self.agenda.rests(next, stretch.configured),
                true => self.agenda.works(),
            }
            let clock = self.parts.clock.clone();
            tokio::select! {
                grown = grown(&mut stretch.followers) => {
                    if !grown { return Ok(()) }
                    tokio::time::sleep(self.options.gather).await;
                }
                () = tokio::time::sleep(self.options.every) => {}
                // A clock that is moved does not wait for the next look.
                () = moved_to(&*clock, next) => {}
                changed = self.parts.catalog.changed() => {
                    if changed.is_err() { return Ok(()) }
                    self.configure(&mut stretch).await?;
                }
                Some((id, outcome)) = arriving.recv() => {
                    let now = self.now();
                    stretch.engine.settle(&id, outcome, now);
                    while let Ok((id, outcome)) = arriving.try_recv() {
                        stretch.engine.settle(&id, outcome, now);
                    }
                    self.save(&mut stretch).await?;
                }
            }
            self.step(&mut stretch).await?;
        }
    }

    /// Where the last save left off.
    async fn begin(&mut self, outcomes: mpsc::Sender<Outcome>) -> Result<Stretch, EvaluateError> {
        let memory = self.parts.store.alert_memory().await?;
        let catalog = self.parts.catalog.borrow_and_update().clone();
        let now = self.now();
        let (mut engine, places) = Engine::restore(&memory, &catalog);
        engine.configure(&catalog, now);
        if let Some(places) = &places {
            engine.absent(places.evaluated, now);
        }
        let gauges = Gauges::new(now);
        let mut stretch = Stretch {
            engine,
            gauges,
            followers: Vec::new(),
            revision: memory.revision,
            configured: catalog.revision,
            evaluated: now,
            saved: now,
            outcomes,
        };
        if stretch.engine.has_rules() {
            self.follow(&mut stretch, &places.unwrap_or_default()).await?;
        }
        Ok(stretch)
    }

    /// Reads on at these places; partitions without one from their end.
    async fn follow(&self, stretch: &mut Stretch, places: &Places) -> Result<(), EvaluateError> {
        let log = self.parts.log.as_ref();
        stretch.followers.clear();
        for partition in 0..log.partitions() {
            let follower = match places.position(partition) {
                Some(position) => Follower::at(log, partition, position).await?,
                None => Follower::at_end(log, partition).await?,
            };
            stretch.followers.push(follower);
        }
        Ok(())
    }

    async fn configure(&mut self, stretch: &mut Stretch) -> Result<(), EvaluateError> {
        let catalog = self.parts.catalog.borrow_and_update().clone();
        stretch.engine.configure(&catalog, self.now());
        stretch.configured = catalog.revision;
        stretch.gauges.look_again();
        if stretch.engine.has_rules() && stretch.followers.is_empty() {
            self.follow(stretch, &Places::default()).await?;
        }
        Ok(())
    }

    /// Reads what is there, evaluates if that was all, saves what must be, and sends what may be.
    async fn step(&mut self, stretch: &mut Stretch) -> Result<(), EvaluateError> {
        self.read(stretch).await?;
        let now = self.now();
        let mut news = false;
        if self.is_caught_up(stretch, now) {
            stretch.gauges.measure(&self.parts, &mut stretch.engine, &stretch.followers, now).await?;
            news = stretch.engine.evaluate(now);
            stretch.evaluated = now;
        }
        observe::behind(now.since(stretch.evaluated));
        // What is forgotten is gone at once: an erasure waits for it.
        if news || stretch.engine.has_forgotten() || now.since(stretch.saved) >= self.options.save_every {
            self.save(stretch).await?;
        }
        for notice in stretch.engine.due(now) {
            let (channels, outcomes) = (self.channels.clone(), stretch.outcomes.clone());
            tokio::spawn(async move {
                let outcome = channels.0.send(&notice).await;
                // Of a stretch that is over: the message is sent again with the same id.
                let _nobody_asks = outcomes.send((notice.id, outcome)).await;
            });
        }
        let (rules, notices) = stretch.engine.sizes();
        observe::sizes(rules, stretch.engine.firing(), notices);
        Ok(())
    }

    async fn read(&self, stretch: &mut Stretch) -> Result<(), EvaluateError> {
        for follower in &mut stretch.followers {
            while !follower.at_tail() {
                let Read { records, gap, .. } = follower.read(self.parts.log.as_ref()).await?;
                if gap {
                    observe::hole(follower.partition);
                    stretch.engine.hole(self.now());
                    stretch.gauges.hole();
                }
                let nothing = records.is_empty();
                for (at, record) in records.into_iter().enumerate() {
                    stretch.gauges.take(follower.partition, &record);
                    stretch.engine.take(&record);
                    if at % TURN_RECORDS == TURN_RECORDS - 1 {
                        tokio::task::yield_now().await;
                    }
                }
                if nothing {
                    break;
                }
            }
        }
        Ok(())
    }

    fn is_caught_up(&self, stretch: &Stretch, now: Timestamp) -> bool {
        let recent = |follower: &Follower| now.since(follower.read_at()) < self.options.behind;
        stretch.followers.iter().all(|follower| follower.at_tail() || recent(follower))
    }

    async fn save(&self, stretch: &mut Stretch) -> Result<(), EvaluateError> {
        let now = self.now();
        let positions = stretch.followers.iter().map(|follower| (follower.partition, follower.position()));
        let partitions = positions.map(|(partition, position)| (partition, (position.next, position.epoch))).collect();
        let mut save = stretch.engine.save(stretch.revision, &Places { partitions, evaluated: stretch.evaluated });
        stretch.saved = now;
        if save.puts.is_empty() && save.deletes.is_empty() && save.alerts.is_empty() {
            return Ok(());
        }
        let keep = i64::try_from(KEEP.as_micros()).unwrap_or(i64::MAX);
        save.forget_before = Some(Timestamp(now.0.saturating_sub(keep)));
        stretch.revision = self.parts.store.save_alerts(save).await?;
        Ok(())
    }
}

/// Waits until a clock that somebody moves has come to `at`; for ever on any other.
async fn moved_to(clock: &dyn Clock, at: Option<Timestamp>) {
    match at.and_then(|at| clock.alarm(at)) {
        Some(alarm) => alarm.await,
        None => std::future::pending().await,
    }
}

/// Waits until a partition has more than was read; for ever when there is none. False when the log is closed.
async fn grown(followers: &mut [Follower]) -> bool {
    if followers.is_empty() {
        return std::future::pending().await;
    }
    select_all(followers.iter_mut().map(|follower| Box::pin(follower.grown()))).await.0
}
