//! What fires next, over all triggers that fire by the clock. No I/O and no clock of its own.
//!
//! The line holds the next fire of each trigger by the instant at which it is due. What can be known of a fire before it is
//! due, its events and the fire after it, is kept with its trigger ([`Timetable::ahead`]): it goes with the trigger when that
//! is changed.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use fastn_contract::resource::{Switch, TriggerSource};
use fastn_domain::catalog::{AccountCatalog, Catalog, CompiledTrigger};
use fastn_domain::schedule::{Fire, LATE_MAX};
use fastn_domain::{AccountId, Timestamp, TriggerId};

use crate::making::Made;

/// A fire whose time has come, or soon will.
#[derive(Debug)]
pub struct Due {
    /// Whose.
    pub account: AccountId,
    /// The trigger as it was when the fire was planned.
    pub trigger: Arc<CompiledTrigger>,
    /// Which.
    pub fire: Fire,
    /// Of its entry; none for what is not a trigger's next fire, but made up for.
    place: Option<Place>,
    known: Option<Known>,
}

impl Due {
    fn extra(account: &AccountId, trigger: &Arc<CompiledTrigger>, fire: Fire) -> Self {
        Self { account: account.clone(), trigger: Arc::clone(trigger), fire, place: None, known: None }
    }

    /// Its events, if they were made ahead.
    pub(crate) fn take_made(&mut self) -> Option<Made> {
        self.known.as_mut()?.made.take()
    }
}

/// What is known of a fire before it is due.
#[derive(Debug)]
struct Known {
    made: Option<Made>,
    /// The fire after it.
    next: Option<Fire>,
}

/// See the head of this file.
#[derive(Debug)]
pub struct Timetable {
    /// Fires due at this instant or before are those of another time: see [`Timetable::missed`].
    since: Timestamp,
    accounts: HashMap<AccountId, Account>,
    entries: Vec<Option<Entry>>,
    /// Places of `entries` without one.
    free: Vec<Place>,
    /// The next fire of each entry, in order.
    line: BTreeSet<(Timestamp, Place)>,
    /// How far along the line it was looked ahead. What is planned before it later is known when it is due.
    seen: (Timestamp, Place),
    /// Of the records that are made.
    made_bytes: usize,
    /// Fires that are not from the calendar: at a trigger's creation.
    extra: Vec<Due>,
}

/// An index of `entries`.
type Place = usize;

#[derive(Debug)]
struct Account {
    catalog: Arc<AccountCatalog>,
    places: HashMap<TriggerId, Place>,
}

#[derive(Debug)]
struct Entry {
    account: AccountId,
    trigger: Arc<CompiledTrigger>,
    /// Its next fire; none if it never fires again.
    next: Option<Fire>,
    /// Of that fire, if it was looked ahead.
    known: Option<Known>,
}

/// Whether the clock fires this trigger now.
fn fires(trigger: &CompiledTrigger) -> bool {
    trigger.ticks.is_some() && trigger.spec.status == Switch::Enabled
}

/// The fire at the creation of a trigger, if it asks for one.
fn first_fire(trigger: &CompiledTrigger) -> Option<Fire> {
    let TriggerSource::Schedule(schedule) = &trigger.spec.source else { return None };
    let at = Timestamp::from_millis(trigger.created.as_millis());
    // One that was changed since, or switched off and on, is not new.
    (schedule.run_immediately && trigger.changed == trigger.created).then_some(Fire { at, due: trigger.created })
}

impl Timetable {
    /// An empty one that plans what is due after `since`.
    pub fn new(since: Timestamp) -> Self {
        Self {
            since,
            accounts: HashMap::new(),
            entries: Vec::new(),
            free: Vec::new(),
            line: BTreeSet::new(),
            seen: (since, 0),
            made_bytes: 0,
            extra: Vec::new(),
        }
    }

    /// The instant from which it plans.
    pub fn since(&self) -> Timestamp {
        self.since
    }

    /// Triggers that it fires.
    pub fn len(&self) -> usize {
        self.entries.len() - self.free.len()
    }

    /// Whether it fires none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Takes a newer configuration. Whatever was due before must have been taken already: a trigger that changed is planned
    /// from its change on.
    pub fn follow(&mut self, catalog: &Catalog) {
        for (id, newest) in catalog.accounts() {
            if self.accounts.get(id).is_some_and(|known| Arc::ptr_eq(&known.catalog, newest)) {
                continue;
            }
            let before = self.accounts.remove(id).map(|account| account.places).unwrap_or_default();
            let places = self.places_of(id, newest, before);
            self.accounts.insert(id.clone(), Account { catalog: Arc::clone(newest), places });
        }
        if self.accounts.len() > catalog.accounts().count() {
            let gone: Vec<Account> =
                self.accounts.extract_if(|id, _| catalog.account(id).is_none()).map(|(_, account)| account).collect();
            gone.into_iter().flat_map(|account| account.places.into_values()).for_each(|place| self.forget(place));
        }
    }

    fn places_of(
        &mut self,
        account: &AccountId,
        newest: &AccountCatalog,
        mut before: HashMap<TriggerId, Place>,
    ) -> HashMap<TriggerId, Place> {
        let mut places = HashMap::new();
        for (id, trigger) in newest.triggers.iter().filter(|(_, trigger)| fires(trigger)) {
            let known = before.remove(id);
            let entry = known.and_then(|place| self.entries[place].as_ref());
            let place = match (known, entry) {
                (Some(place), Some(entry)) if Arc::ptr_eq(&entry.trigger, trigger) => place,
                (known, entry) => {
                    if entry.is_none_or(|entry| entry.trigger.created != trigger.created)
                        && trigger.created > self.since
                        && let Some(fire) = first_fire(trigger)
                    {
                        self.extra.push(Due::extra(account, trigger, fire));
                    }
                    known.into_iter().for_each(|place| self.forget(place));
                    // One that was changed at an instant may be due at that instant.
                    let after = self.since.max(Timestamp(trigger.changed.0 - 1));
                    let next = trigger.ticks.as_ref().and_then(|ticks| ticks.next_due(after));
                    self.enter(account, trigger, next)
                }
            };
            places.insert(id.clone(), place);
        }
        before.into_values().for_each(|place| self.forget(place));
        places
    }

    fn enter(&mut self, account: &AccountId, trigger: &Arc<CompiledTrigger>, next: Option<Fire>) -> Place {
        let entry = Entry { account: account.clone(), trigger: Arc::clone(trigger), next: None, known: None };
        let place = match self.free.pop() {
            Some(place) => place,
            None => {
                self.entries.push(None);
                self.entries.len() - 1
            }
        };
        self.entries[place] = Some(entry);
        self.plan(place, next);
        place
    }

    fn forget(&mut self, place: Place) {
        let Some(entry) = self.entries[place].take() else { return };
        self.made_bytes -= made_bytes(entry.known.as_ref());
        if let Some(fire) = entry.next {
            self.line.remove(&(fire.due, place));
        }
        self.free.push(place);
    }

    /// Puts an entry whose last fire was taken in line with its next.
    fn plan(&mut self, place: Place, next: Option<Fire>) {
        let Some(entry) = &mut self.entries[place] else { return };
        entry.next = next;
        if let Some(fire) = next {
            self.line.insert((fire.due, place));
        }
    }

    /// The fire that is due after the one that it gave before, until `until`. What is known of it may be
    /// [kept](Timetable::keep).
    pub(crate) fn ahead(&mut self, until: Timestamp) -> Option<Due> {
        loop {
            let &(due, place) = self.line.range(self.seen..).next().filter(|(due, _)| *due <= until)?;
            self.seen = (due, place + 1);
            let Some(entry) = &self.entries[place] else { continue };
            let Some(fire) = entry.next else { continue };
            return Some(Due { place: Some(place), ..Due::extra(&entry.account, &entry.trigger, fire) });
        }
    }

    /// Keeps what was made of a fire from [`Timetable::ahead`], if it was made, and the fire after it, until it is due. The
    /// configuration must not have been followed in between.
    pub(crate) fn keep(&mut self, due: &Due, made: Option<Made>) {
        let Some(entry) = due.place.and_then(|place| self.entries[place].as_mut()) else { return };
        let next = due.trigger.ticks.as_ref().and_then(|ticks| ticks.next(due.fire.at));
        let known = Known { made, next };
        self.made_bytes += made_bytes(Some(&known));
        entry.known = Some(known);
    }

    /// Bytes of the records that are kept.
    pub(crate) fn made_bytes(&self) -> usize {
        self.made_bytes
    }

    /// Takes at most `max` triggers' fires that are due at `now`. Each must be given back to [`Timetable::renew`], which
    /// plans what follows: that takes longer than this, and can wait until the fires are on their way.
    pub fn take_due(&mut self, now: Timestamp, max: usize) -> Vec<Due> {
        let mut taken = std::mem::take(&mut self.extra);
        for _ in 0..max {
            let Some(&(due, place)) = self.line.first().filter(|(due, _)| *due <= now) else { break };
            self.line.pop_first();
            let Some(entry) = &mut self.entries[place] else { continue };
            let Some(fire) = entry.next else { continue };
            let known = entry.known.take();
            self.made_bytes -= made_bytes(known.as_ref());
            if now.since(due) <= LATE_MAX {
                let (account, trigger) = (entry.account.clone(), Arc::clone(&entry.trigger));
                taken.push(Due { account, trigger, fire, place: Some(place), known });
                continue;
            }
            // The clock has jumped, or the log was away: the policy says what is made up for.
            let Some(ticks) = &entry.trigger.ticks else { continue };
            let owed = ticks.owed(Timestamp(due.0 - 1), now).into_iter();
            taken.extend(owed.map(|fire| Due::extra(&entry.account, &entry.trigger, fire)));
            let next = ticks.next_due(now);
            self.plan(place, next);
        }
        taken
    }

    /// Plans what follows the fires that were taken.
    pub fn renew(&mut self, taken: &[Due]) {
        for due in taken {
            let Some(place) = due.place else { continue };
            let Some(entry) = &self.entries[place] else { continue };
            if entry.next != Some(due.fire) || !Arc::ptr_eq(&entry.trigger, &due.trigger) {
                continue;
            }
            let next = match &due.known {
                Some(known) => known.next,
                None => due.trigger.ticks.as_ref().and_then(|ticks| ticks.next(due.fire.at)),
            };
            self.plan(place, next);
        }
    }

    /// When something is due next.
    pub fn next_due(&self) -> Option<Timestamp> {
        if let Some(due) = self.extra.first() {
            return Some(due.fire.due);
        }
        self.line.first().map(|(due, _)| *due)
    }

    /// What is owed of the time between `mark`, up to which all fires were made, and the instant from which this plans.
    pub fn missed(&self, mark: Timestamp) -> Vec<Due> {
        let mut missed = Vec::new();
        for entry in self.entries.iter().flatten() {
            let trigger = &entry.trigger;
            let first = first_fire(trigger).filter(|fire| fire.due > mark && fire.due <= self.since);
            // A change starts a schedule anew: what was due before it was of another schedule.
            let after = mark.max(Timestamp(trigger.changed.0 - 1));
            let owed = match &trigger.ticks {
                Some(ticks) if after < self.since => ticks.owed(after, self.since),
                _ => Vec::new(),
            };
            missed.extend(first.into_iter().chain(owed).map(|fire| Due::extra(&entry.account, trigger, fire)));
        }
        missed.sort_by_key(|due| due.fire.at);
        missed
    }
}

fn made_bytes(known: Option<&Known>) -> usize {
    known.and_then(|known| known.made.as_ref()).map_or(0, |made| made.bytes)
}
