//! What fires next, over all triggers that fire by the clock. No I/O and no clock of its own.
//!
//! A heap holds the next fire of each trigger by the instant at which it is due. Entries of triggers that have changed or
//! gone stay in the heap until they come up; their turn's number shows that they are void.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::sync::Arc;

use fastn_contract::resource::{Switch, TriggerSource};
use fastn_domain::catalog::{AccountCatalog, Catalog, CompiledTrigger};
use fastn_domain::schedule::{Fire, LATE_MAX};
use fastn_domain::{AccountId, Timestamp, TriggerId};

/// A fire whose time has come.
#[derive(Clone, Debug)]
pub struct Due {
    /// Whose.
    pub account: AccountId,
    /// The trigger as it was when the fire was planned.
    pub trigger: Arc<CompiledTrigger>,
    /// Which.
    pub fire: Fire,
}

/// See the head of this file.
#[derive(Debug)]
pub struct Timetable {
    /// Fires due at this instant or before are those of another time: see [`Timetable::missed`].
    since: Timestamp,
    accounts: HashMap<AccountId, Account>,
    heap: BinaryHeap<Reverse<Planned>>,
    turns: u64,
    /// Fires that are not from the calendar: at a trigger's creation.
    extra: Vec<Due>,
}

#[derive(Debug)]
struct Account {
    catalog: Arc<AccountCatalog>,
    entries: HashMap<TriggerId, Entry>,
}

#[derive(Debug)]
struct Entry {
    trigger: Arc<CompiledTrigger>,
    /// Its next fire; none if it never fires again.
    next: Option<Fire>,
    turn: u64,
}

/// An entry of the heap, ordered by when it is due.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Planned {
    due: Timestamp,
    turn: u64,
    account: AccountId,
    trigger: TriggerId,
}

/// Whether the clock fires this trigger now.
fn fires(trigger: &CompiledTrigger) -> bool {
    trigger.ticks.is_some() && trigger.spec.status == Switch::Enabled
}

/// The fire at the creation of a trigger, if it asks for one.
fn first_fire(trigger: &CompiledTrigger) -> Option<Fire> {
    let TriggerSource::Schedule(schedule) = &trigger.spec.source else { return None };
    let at = Timestamp::from_millis(trigger.created.as_millis());
    schedule.run_immediately.then_some(Fire { at, due: trigger.created })
}

impl Timetable {
    /// An empty one that plans what is due after `since`.
    pub fn new(since: Timestamp) -> Self {
        Self { since, accounts: HashMap::new(), heap: BinaryHeap::new(), turns: 0, extra: Vec::new() }
    }

    /// The instant from which it plans.
    pub fn since(&self) -> Timestamp {
        self.since
    }

    /// Triggers that it fires.
    pub fn len(&self) -> usize {
        self.accounts.values().map(|account| account.entries.len()).sum()
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
            let before = self.accounts.remove(id).map(|account| account.entries).unwrap_or_default();
            let entries = self.entries_of(id, newest, before);
            self.accounts.insert(id.clone(), Account { catalog: Arc::clone(newest), entries });
        }
        if self.accounts.len() > catalog.accounts().count() {
            self.accounts.retain(|id, _| catalog.account(id).is_some());
        }
    }

    fn entries_of(
        &mut self,
        account: &AccountId,
        newest: &AccountCatalog,
        mut before: HashMap<TriggerId, Entry>,
    ) -> HashMap<TriggerId, Entry> {
        let mut entries = HashMap::new();
        for (id, trigger) in newest.triggers.iter().filter(|(_, trigger)| fires(trigger)) {
            let known = before.remove(id);
            let entry = match known {
                Some(entry) if Arc::ptr_eq(&entry.trigger, trigger) => entry,
                known => {
                    if known.is_none_or(|known| known.trigger.created != trigger.created)
                        && trigger.created > self.since
                        && let Some(fire) = first_fire(trigger)
                    {
                        self.extra.push(Due { account: account.clone(), trigger: Arc::clone(trigger), fire });
                    }
                    // One that was changed at an instant may be due at that instant.
                    let after = self.since.max(Timestamp(trigger.changed.0 - 1));
                    let next = trigger.ticks.as_ref().and_then(|ticks| ticks.next_due(after));
                    self.plan(account, Arc::clone(trigger), next)
                }
            };
            entries.insert(id.clone(), entry);
        }
        entries
    }

    fn plan(&mut self, account: &AccountId, trigger: Arc<CompiledTrigger>, next: Option<Fire>) -> Entry {
        self.turns += 1;
        let turn = self.turns;
        if let Some(fire) = next {
            let (account, trigger) = (account.clone(), trigger.id.clone());
            self.heap.push(Reverse(Planned { due: fire.due, turn, account, trigger }));
        }
        Entry { trigger, next, turn }
    }

    /// Takes at most `max` triggers' fires that are due at `now`. Each must be given back to [`Timetable::renew`], which
    /// plans what follows: that takes longer than this, and can wait until the fires are on their way.
    pub fn take_due(&mut self, now: Timestamp, max: usize) -> Vec<Due> {
        let mut due = std::mem::take(&mut self.extra);
        for _ in 0..max {
            if self.heap.peek().is_none_or(|Reverse(planned)| planned.due > now) {
                break;
            }
            let Some(Reverse(planned)) = self.heap.pop() else { break };
            let Some(account) = self.accounts.get_mut(&planned.account) else { continue };
            let Some(entry) = account.entries.get_mut(&planned.trigger) else { continue };
            let Some(fire) = entry.next.filter(|_| entry.turn == planned.turn) else { continue };
            let account = planned.account;
            if now.since(fire.due) <= LATE_MAX {
                due.push(Due { account, trigger: Arc::clone(&entry.trigger), fire });
                continue;
            }
            // The clock has jumped, or the log was away: the policy says what is made up for.
            let Some(ticks) = entry.trigger.ticks.clone() else { continue };
            let owed = ticks.owed(Timestamp(fire.due.0 - 1), now);
            due.extend(owed.into_iter().map(|fire| Due {
                account: account.clone(),
                trigger: Arc::clone(&entry.trigger),
                fire,
            }));
            let (trigger, next) = (Arc::clone(&entry.trigger), ticks.next_due(now));
            let entry = self.plan(&account, trigger, next);
            if let Some(known) = self.accounts.get_mut(&account) {
                known.entries.insert(planned.trigger, entry);
            }
        }
        due
    }

    /// Plans what follows the fires that were taken.
    pub fn renew(&mut self, taken: &[Due]) {
        for due in taken {
            let Some(entry) = self.accounts.get(&due.account).and_then(|account| account.entries.get(&due.trigger.id))
            else {
                continue;
            };
            if entry.next != Some(due.fire) || !Arc::ptr_eq(&entry.trigger, &due.trigger) {
                continue;
            }
            let next = due.trigger.ticks.as_ref().and_then(|ticks| ticks.next(due.fire.at));
            let entry = self.plan(&due.account, Arc::clone(&due.trigger), next);
            if let Some(account) = self.accounts.get_mut(&due.account) {
                account.entries.insert(due.trigger.id.clone(), entry);
            }
        }
    }

    /// When something is due next.
    pub fn next_due(&self) -> Option<Timestamp> {
        if let Some(due) = self.extra.first() {
            return Some(due.fire.due);
        }
        self.heap.peek().map(|Reverse(planned)| planned.due)
    }

    /// What is owed of the time between `mark`, up to which all fires were made, and the instant from which this plans.
    pub fn missed(&self, mark: Timestamp) -> Vec<Due> {
        let mut missed = Vec::new();
        for (id, account) in &self.accounts {
            for entry in account.entries.values() {
                let trigger = &entry.trigger;
                let first = first_fire(trigger).filter(|fire| fire.due > mark && fire.due <= self.since);
                // A change starts a schedule anew: what was due before it was of another schedule.
                let after = mark.max(Timestamp(trigger.changed.0 - 1));
                let owed = match &trigger.ticks {
                    Some(ticks) if after < self.since => ticks.owed(after, self.since),
                    _ => Vec::new(),
                };
                let due = |fire| Due { account: id.clone(), trigger: Arc::clone(trigger), fire };
                missed.extend(first.into_iter().chain(owed).map(due));
            }
        }
        missed.sort_by_key(|due| due.fire.at);
        missed
    }
}
