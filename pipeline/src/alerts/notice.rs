//! Messages to channels on their way: what is due, and how long a failed one waits.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use fastn_contract::alert::{AlertChannel, AlertNotice};
use fastn_domain::ids::{AccountId, CustomerId};
use fastn_domain::time::Timestamp;
use serde::{Deserialize, Serialize};

/// The first wait after a failure, and the longest; each is twice the one before.
const WAIT_FIRST: Duration = Duration::from_secs(1);
const WAIT_MAX: Duration = Duration::from_secs(15 * 60);
/// Attempts of one message, over about four hours.
const ATTEMPTS_MAX: u32 = 24;
/// Messages under way at once.
const FLIGHTS_MAX: usize = 16;

/// One message to one channel. What is secret is named, never held.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Notice {
    /// The same in every attempt.
    pub(crate) id: String,
    pub(crate) account: AccountId,
    /// Whose secret of the name is meant: its own before the account's.
    pub(crate) customer: Option<CustomerId>,
    pub(crate) channel: AlertChannel,
    /// What to do, as the rule says.
    pub(crate) description: String,
    pub(crate) body: AlertNotice,
    pub(crate) attempts: u32,
    /// Not before.
    pub(crate) next: Timestamp,
}

/// What became of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Settled {
    Delivered,
    /// Another follows.
    Waits(String),
    /// It was the last.
    Failed(String),
}

/// Every message that is not settled.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    notices: BTreeMap<String, Notice>,
    flying: BTreeSet<String>,
}

impl Outbox {
    pub(crate) fn add(&mut self, notice: Notice) {
        self.notices.insert(notice.id.clone(), notice);
    }

    pub(crate) fn get(&self, id: &str) -> Option<&Notice> {
        self.notices.get(id)
    }

    /// Whether a message about this alert is on its way.
    pub(crate) fn has_of(&self, alert: &str) -> bool {
        self.notices.values().any(|notice| notice.body.data.id == alert)
    }

    /// Every message about this alert.
    pub(crate) fn of_mut(&mut self, alert: &str) -> impl Iterator<Item = &mut Notice> {
        self.notices.values_mut().filter(move |notice| notice.body.data.id == alert)
    }

    /// Forgets every message about this alert, and gives their ids.
    pub(crate) fn forget(&mut self, alert: &str) -> Vec<String> {
        self.notices.extract_if(.., |_, notice| notice.body.data.id == alert).map(|(id, _)| id).collect()
    }

    pub(crate) fn len(&self) -> usize {
        self.notices.len()
    }

    /// What is not under way and need not wait for another.
    fn waiting(&self) -> impl Iterator<Item = &Notice> {
        // That it is over is not told before it was told, or given up, that it had begun.
        let first = |notice: &Notice| {
            let begun = notice.id.replacen("_resolved_", "_firing_", 1);
            begun == notice.id || !self.notices.contains_key(&begun)
        };
        self.notices.values().filter(move |notice| !self.flying.contains(&notice.id) && first(notice))
    }

    /// When the next one is to be sent.
    pub(crate) fn next(&self) -> Option<Timestamp> {
        self.waiting().map(|notice| notice.next).min()
    }

    /// Whether one is under way.
    pub(crate) fn is_flying(&self) -> bool {
        !self.flying.is_empty()
    }

    /// Takes what is to be sent now.
    pub(crate) fn due(&mut self, now: Timestamp) -> Vec<Notice> {
        let room = FLIGHTS_MAX.saturating_sub(self.flying.len());
        let ready = self.waiting().filter(|notice| notice.next <= now);
        let due: Vec<Notice> = ready.take(room).cloned().collect();
        self.flying.extend(due.iter().map(|notice| notice.id.clone()));
        due
    }

    /// Takes the outcome of an attempt at `now`. Nothing when the message is not known any more.
    pub(crate) fn settle(&mut self, id: &str, outcome: Result<(), String>, now: Timestamp) -> Option<Settled> {
        self.flying.remove(id);
        let notice = self.notices.get_mut(id)?;
        notice.attempts += 1;
        let settled = match outcome {
            Ok(()) => Settled::Delivered,
            Err(reason) if notice.attempts >= ATTEMPTS_MAX => Settled::Failed(reason),
            Err(reason) => {
                notice.next = now.plus(wait_after(notice.attempts));
                return Some(Settled::Waits(reason));
            }
        };
        self.notices.remove(id);
        Some(settled)
    }
}

fn wait_after(attempts: u32) -> Duration {
    WAIT_FIRST.saturating_mul(1 << attempts.saturating_sub(1).min(20)).min(WAIT_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Property: waits double from a second to a quarter of an hour, and all attempts together take some hours.
    #[test]
    fn waits_grow_to_their_limit() {
        let waits: Vec<u64> = (1..ATTEMPTS_MAX).map(|attempts| wait_after(attempts).as_secs()).collect();
        assert_eq!(waits[..4], [1, 2, 4, 8]);
        assert_eq!(waits.last(), Some(&900));
        let hours = waits.iter().sum::<u64>() / 3_600;
        assert!((2..6).contains(&hours), "{hours}");
    }
}
