//! A clock that a test moves. It stands still, or runs on with real time from where it was put.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use fastn_domain::time::{Alarm, Clock, Timestamp};
use tokio::sync::watch;

/// See the head of this file. Clones are the same clock.
#[derive(Clone, Debug)]
pub(crate) struct VirtualClock(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    place: Mutex<Place>,
    moved: watch::Sender<()>,
}

/// Where the clock was put, and since when it runs from there.
#[derive(Clone, Copy, Debug)]
struct Place {
    at: Timestamp,
    since: Option<Instant>,
}

impl Place {
    fn now(&self) -> Timestamp {
        self.since.map_or(self.at, |since| self.at.plus(since.elapsed()))
    }
}

impl VirtualClock {
    /// One that stands still at `at`.
    pub(crate) fn standing(at: Timestamp) -> Self {
        Self(Arc::new(Inner { place: Mutex::new(Place { at, since: None }), moved: watch::Sender::new(()) }))
    }

    /// Stops it where it is.
    pub(crate) fn stop(&self) {
        self.put(|place| Place { at: place.now(), since: None });
    }

    /// Lets it run on from where it is.
    pub(crate) fn run(&self) {
        self.put(|place| Place { at: place.now(), since: Some(Instant::now()) });
    }

    /// Puts it to `at`, if that is later than it is.
    pub(crate) fn move_to(&self, at: Timestamp) {
        self.put(|place| Place { at: at.max(place.now()), since: place.since.map(|_| Instant::now()) });
    }

    fn put(&self, change: impl FnOnce(&Place) -> Place) {
        let mut place = self.0.place.lock().unwrap_or_else(PoisonError::into_inner);
        *place = change(&place);
        drop(place);
        self.0.moved.send_replace(());
    }

    fn place(&self) -> Place {
        *self.0.place.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Clock for VirtualClock {
    fn now(&self) -> Timestamp {
        self.place().now()
    }

    fn alarm(&self, at: Timestamp) -> Option<Alarm> {
        let clock = self.clone();
        Some(Box::pin(async move {
            let mut moved = clock.0.moved.subscribe();
            loop {
                moved.mark_unchanged();
                let place = clock.place();
                let left = at.since(place.now());
                if left == Duration::ZERO {
                    return;
                }
                tokio::select! {
                    () = tokio::time::sleep(left), if place.since.is_some() => {}
                    // The sender is in `clock`.
                    _ = moved.changed() => {}
                }
            }
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Property: an alarm rings when the clock is put to its instant or past it, and not before.
    #[tokio::test]
    async fn alarms_ring_at_their_instant() {
        let clock = VirtualClock::standing(Timestamp::from_millis(1_000));
        let mut alarm = alarm_at(&clock, 5_000);
        assert!(futures_util::poll!(&mut alarm).is_pending());
        clock.move_to(Timestamp::from_millis(4_999));
        assert!(futures_util::poll!(&mut alarm).is_pending());
        clock.move_to(Timestamp::from_millis(5_000));
        alarm.await;
        assert_eq!(clock.now(), Timestamp::from_millis(5_000));
        clock.move_to(Timestamp::from_millis(3));
        assert_eq!(clock.now(), Timestamp::from_millis(5_000), "it went back");
    }

    fn alarm_at(clock: &VirtualClock, ms: i64) -> Alarm {
        clock.alarm(Timestamp::from_millis(ms)).unwrap()
    }

    /// Property: one that runs goes on with real time and rings by itself.
    #[tokio::test]
    async fn runs_with_real_time() {
        let clock = VirtualClock::standing(Timestamp::from_millis(1_000));
        clock.run();
        clock.alarm(Timestamp::from_millis(1_020)).unwrap().await;
        assert!(clock.now() >= Timestamp::from_millis(1_020));
        clock.stop();
        assert_eq!(clock.now(), clock.now());
    }
}
