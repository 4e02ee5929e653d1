//! What the engine remembers over a restart, as texts under keys.
//!
//! ```text
//!   journal                          places in the journal, and when the last evaluation was
//!   rule/<account>/<rule>            where it stands
//!   count/<account>/<rule>/<start>   one bucket of its window
//!   alert/<id>                       an alert that fires, or about which somebody is still to be told
//!   notice/<id>                      a message on its way
//! ```

use std::collections::{BTreeMap, BTreeSet};

use fastn_contract::alert::AlertView;
use fastn_domain::catalog::Catalog;
use fastn_domain::ids::{AccountId, CustomerId};
use fastn_domain::time::Timestamp;
use fastn_store::{AlertMemory, AlertRow, AlertSave, Position};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::engine::{Engine, Key};
use super::notice::Notice;
use super::standing::{Standing, counted_by};
use super::window::Counts;

const JOURNAL: &str = "journal";

/// Places in the journal.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Places {
    /// The offset to go on at and the epoch there, by partition.
    pub(crate) partitions: BTreeMap<u32, (u64, u64)>,
    /// When the last evaluation was.
    pub(crate) evaluated: Timestamp,
}

impl Places {
    /// The position in a partition.
    pub(crate) fn position(&self, partition: u32) -> Option<Position> {
        self.partitions.get(&partition).map(|&(next, epoch)| Position { next, epoch })
    }
}

/// What changed since the last save.
#[derive(Debug, Default)]
pub(super) struct Changes {
    alerts: BTreeSet<String>,
    notices: BTreeSet<String>,
    deletes: BTreeSet<String>,
}

impl Changes {
    pub(super) fn alert(&mut self, id: &str) {
        self.alerts.insert(id.to_owned());
    }

    pub(super) fn notice(&mut self, id: &str) {
        self.notices.insert(id.to_owned());
    }

    pub(super) fn forget_alert(&mut self, id: &str) {
        self.alerts.remove(id);
        self.deletes.insert(format!("alert/{id}"));
    }

    pub(super) fn forgets(&self) -> bool {
        !self.deletes.is_empty()
    }

    pub(super) fn forget_rule(&mut self, key: &Key, buckets: impl Iterator<Item = i64>) {
        self.deletes.insert(rule_key(key));
        self.deletes.extend(buckets.map(|start| bucket_key(key, start)));
    }
}

/// An alert as the memory keeps it.
#[derive(Serialize, Deserialize)]
struct KeptAlert {
    account: AccountId,
    customer: Option<CustomerId>,
    fired: Timestamp,
    view: AlertView,
}

fn rule_key((account, rule): &Key) -> String {
    format!("rule/{account}/{rule}")
}

fn bucket_key((account, rule): &Key, start: i64) -> String {
    format!("count/{account}/{rule}/{start}")
}

fn text(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("it is plain data whose keys are texts and numbers")
}

impl Engine {
    /// The engine as it was saved, under the rules of `catalog`, and where it goes on. What does not read back, as after an
    /// older program was put back, is left out and told.
    pub(crate) fn restore(memory: &AlertMemory, catalog: &Catalog) -> (Self, Option<Places>) {
        let (mut engine, mut places) = (Self::default(), None);
        for (name, body) in &memory.entries {
            let (kind, rest) = name.split_once('/').unwrap_or((name, ""));
            let read = match kind {
                JOURNAL => read(body).map(|read| places = Some(read)),
                "rule" => engine.restore_standing(rest, body, catalog),
                "alert" => read(body).map(|KeptAlert { account, customer, fired, view }| {
                    engine.alerts.insert(view.id.clone(), AlertRow { account, customer, fired, view });
                }),
                "notice" => read::<Notice>(body).map(|notice| engine.outbox.add(notice)),
                _ => Some(()),
            };
            if read.is_none() {
                super::observe::memory_unreadable(name);
            }
        }
        // Buckets belong to rules, which are known now.
        for (name, body) in &memory.entries {
            let Some((account, rule, start)) = name.strip_prefix("count/").and_then(parts) else { continue };
            let Some(counts) = read::<Counts>(body) else { continue };
            match engine.rules.get_mut(&(account, rule)) {
                Some(watched) => watched.window.restore(start, counts),
                None => drop(engine.changes.deletes.insert(name.clone())),
            }
        }
        (engine, places)
    }

    fn restore_standing(&mut self, rest: &str, body: &str, catalog: &Catalog) -> Option<()> {
        let standing: Standing = read(body)?;
        let (account, id) = rest.split_once('/')?;
        let key = (AccountId::new(account).ok()?, id.to_owned());
        let rule = catalog.account(&key.0).and_then(|account| account.alerts.get(id)).cloned();
        match rule {
            // What it counts is compared once more by `configure`, which ends what no longer fits.
            Some(rule) if counted_by(&rule) == standing.counts => self.restore_rule(key, rule, standing),
            Some(_) | None => {
                self.changes.deletes.insert(rule_key(&key));
                let reason = if rule.is_some() { "changed" } else { "deleted" };
                self.orphans.extend(standing.firing.map(|firing| (firing.alert, reason)));
            }
        }
        Some(())
    }

    /// What changed since the last time, to be saved from `revision` on.
    pub(crate) fn save(&mut self, revision: u64, places: &Places) -> AlertSave {
        let mut save = AlertSave { from: revision, ..AlertSave::default() };
        let mut changes = std::mem::take(&mut self.changes);
        if self.has_rules() {
            save.puts.push((JOURNAL.to_owned(), text(places)));
        } else {
            changes.deletes.insert(JOURNAL.to_owned());
        }
        for (key, watched) in &mut self.rules {
            if std::mem::take(&mut watched.changed) {
                save.puts.push((rule_key(key), text(&watched.standing)));
            }
            let (puts, gone) = watched.window.take_changes();
            save.puts.extend(puts.iter().map(|(start, counts)| (bucket_key(key, *start), text(counts))));
            changes.deletes.extend(gone.into_iter().map(|start| bucket_key(key, start)));
        }
        for id in &changes.notices {
            match self.outbox.get(id) {
                Some(notice) => save.puts.push((format!("notice/{id}"), text(notice))),
                None => drop(changes.deletes.insert(format!("notice/{id}"))),
            }
        }
        let done = self.done();
        for id in &changes.alerts {
            let Some(row) = self.alerts.get(id) else { continue };
            save.alerts.push(row.clone());
            if !done.contains(id) {
                let AlertRow { account, customer, fired, view } = row.clone();
                save.puts.push((format!("alert/{id}"), text(&KeptAlert { account, customer, fired, view })));
            }
        }
        for id in done {
            self.alerts.remove(&id);
            changes.deletes.insert(format!("alert/{id}"));
        }
        // A rule that went and came back within one save is written, not forgotten.
        for (key, _) in &save.puts {
            changes.deletes.remove(key);
        }
        save.deletes = changes.deletes.into_iter().collect();
        save
    }
}

fn read<T: DeserializeOwned>(body: &str) -> Option<T> {
    serde_json::from_str(body).ok()
}

fn parts(rest: &str) -> Option<(AccountId, String, i64)> {
    let (rule, start) = rest.rsplit_once('/')?;
    let (account, rule) = rule.split_once('/')?;
    Some((AccountId::new(account).ok()?, rule.to_owned(), start.parse().ok()?))
}
