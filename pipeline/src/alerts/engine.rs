//! All rules, what they have counted, and the alerts that came of it. No I/O and no clock, so that a test decides the time.
//!
//! Everything here follows from the records that were taken and the times of evaluation, and all of it is in the memory that
//! is saved: a restart goes on where the last save was, with the journal from there.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use fastn_contract::alert::{
    AlertComparison, AlertMetric, AlertNotice, AlertNotification, AlertState, AlertStatus, AlertView,
};
use fastn_domain::catalog::{Catalog, CompiledAlert};
use fastn_domain::ids::{AccountId, CustomerId};
use fastn_domain::journal::{Finished, JournalRecord};
use fastn_domain::time::Timestamp;
use fastn_store::AlertRow;

use super::memory::Changes;
use super::notice::{Notice, Outbox, Settled};
use super::samples;
use super::standing::{Firing, Standing, Turn, counted_by, is_gauge, value};
use super::window::Window;

/// Shortest and longest time between two evaluations of a rule.
const EVALUATE_MIN: Duration = Duration::from_secs(1);
const EVALUATE_MAX: Duration = Duration::from_secs(10);
/// A time without evaluation that is more than this part of a window makes a rule for too little count anew.
const HOLE_PART: u32 = 20;

/// An account's rule.
pub(crate) type Key = (AccountId, String);

/// A rule with what it counted.
#[derive(Debug)]
pub(super) struct Watched {
    pub(super) rule: Arc<CompiledAlert>,
    pub(super) standing: Standing,
    pub(super) window: Window,
    /// Whether `standing` is other than it was saved.
    pub(super) changed: bool,
    evaluated: Timestamp,
}

impl Watched {
    /// Between two evaluations.
    fn turn(&self) -> Duration {
        self.window.bucket().clamp(EVALUATE_MIN, EVALUATE_MAX)
    }
}

/// The value of a metric that is as it is now.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Measured {
    /// The value.
    pub(crate) value: f64,
    /// Whose it is, if it is that of one customer of several.
    pub(crate) of: Option<CustomerId>,
}

/// See the head of this file.
#[derive(Debug, Default)]
pub(crate) struct Engine {
    pub(super) rules: BTreeMap<Key, Watched>,
    by_account: HashMap<AccountId, Vec<String>>,
    /// Alerts that fire, and those about which messages are on their way.
    pub(super) alerts: BTreeMap<String, AlertRow>,
    pub(super) outbox: Outbox,
    /// Alerts whose rules went while nobody evaluated, and how.
    pub(super) orphans: Vec<(String, &'static str)>,
    /// Values of metrics that are as they are now.
    gauges: HashMap<Key, Measured>,
    pub(super) changes: Changes,
}

impl Engine {
    /// Takes the rules as they are configured now. A rule that is gone, paused, or counts something else starts anew, and
    /// an alert of it is over without a message: nobody found that things are well again.
    pub(crate) fn configure(&mut self, catalog: &Catalog, now: Timestamp) {
        let mut wanted: BTreeMap<Key, Arc<CompiledAlert>> = BTreeMap::new();
        for (account, configured) in catalog.accounts() {
            for (id, rule) in configured.alerts.iter().filter(|(_, rule)| rule.spec.status == AlertStatus::Enabled) {
                wanted.insert((account.clone(), id.clone()), Arc::clone(rule));
            }
        }
        for (alert, reason) in std::mem::take(&mut self.orphans) {
            self.end_alert(&alert, reason, now);
        }
        let known: Vec<Key> = self.rules.keys().cloned().collect();
        for key in known {
            let reason = match wanted.get(&key) {
                Some(rule) if counted_by(rule) == self.rules[&key].standing.counts => continue,
                Some(_) => "changed",
                None => {
                    let account = catalog.account(&key.0);
                    let paused = account.is_some_and(|account| account.alerts.contains_key(&key.1));
                    if paused { "paused" } else { "deleted" }
                }
            };
            self.drop_rule(&key, reason, now);
        }
        self.forget_customers(catalog);
        self.by_account.clear();
        for (key, rule) in wanted {
            self.by_account.entry(key.0.clone()).or_default().push(key.1.clone());
            match self.rules.get_mut(&key) {
                Some(watched) => watched.rule = rule,
                None => {
                    let (standing, window) = (Standing::new(&rule, now), Window::new(rule.window));
                    let watched = Watched { rule, standing, window, changed: true, evaluated: Timestamp::default() };
                    self.rules.insert(key, watched);
                }
            }
        }
    }

    /// Forgets alerts about customers that are gone, with their rules, and whose value others tell: an erasure leaves nothing
    /// of them, messages that have not arrived included.
    fn forget_customers(&mut self, catalog: &Catalog) {
        let is_there = |account: &AccountId, customer: &str| {
            let known = catalog.account(account).zip(CustomerId::new(customer).ok());
            known.is_some_and(|(account, customer)| account.customers.contains_key(&customer))
        };
        for row in self.alerts.values_mut() {
            if row.view.value_of.take_if(|customer| !is_there(&row.account, customer)).is_some() {
                self.changes.alert(&row.view.id);
                for notice in self.outbox.of_mut(&row.view.id) {
                    notice.body.data.value_of = None;
                    self.changes.notice(&notice.id);
                }
            }
        }
        let is_gone = |row: &&AlertRow| {
            let Some(account) = catalog.account(&row.account) else { return row.customer.is_some() };
            let customer = row.customer.as_ref().is_some_and(|customer| !account.customers.contains_key(customer));
            customer && !account.alerts.contains_key(&row.view.rule)
        };
        let gone: Vec<String> = self.alerts.values().filter(is_gone).map(|row| row.view.id.clone()).collect();
        for id in gone {
            self.alerts.remove(&id);
            for notice in self.outbox.forget(&id) {
                self.changes.notice(&notice);
            }
            self.changes.forget_alert(&id);
        }
    }

    /// Puts a rule back as it was saved, before `configure`.
    pub(super) fn restore_rule(&mut self, key: Key, rule: Arc<CompiledAlert>, standing: Standing) {
        let window = Window::new(rule.window);
        let watched = Watched { rule, standing, window, changed: false, evaluated: Timestamp::default() };
        self.rules.insert(key, watched);
    }

    fn drop_rule(&mut self, key: &Key, reason: &str, now: Timestamp) {
        let Some(watched) = self.rules.remove(key) else { return };
        self.gauges.remove(key);
        self.changes.forget_rule(key, watched.window.starts());
        if let Some(firing) = watched.standing.firing {
            self.end_alert(&firing.alert, reason, now);
        }
    }

    /// Whether something is to be deleted from the memory.
    pub(crate) fn has_forgotten(&self) -> bool {
        self.changes.forgets()
    }

    /// Whether there is anything to count.
    pub(crate) fn has_rules(&self) -> bool {
        !self.rules.is_empty()
    }

    /// The rules of metrics that somebody must measure, with what they are about.
    pub(crate) fn gauge_rules(&self) -> Vec<(Key, Arc<CompiledAlert>)> {
        let gauges = self.rules.iter().filter(|(_, watched)| is_gauge(watched.rule.spec.metric));
        gauges.map(|(key, watched)| (key.clone(), Arc::clone(&watched.rule))).collect()
    }

    /// Takes the value of such a metric.
    pub(crate) fn measure(&mut self, key: &Key, value: f64, of: Option<CustomerId>) {
        self.gauges.insert(key.clone(), Measured { value, of });
    }

    /// Counts a record.
    pub(crate) fn take(&mut self, record: &JournalRecord) {
        if let JournalRecord::Finished(record) = record {
            self.count(record);
        }
    }

    fn count(&mut self, record: &Finished) {
        let (Some(run), Some(rules)) = (&record.run, self.by_account.get(&record.scope.account)) else { return };
        for id in rules {
            let key = (record.scope.account.clone(), id.clone());
            let Some(watched) = self.rules.get_mut(&key) else { continue };
            if !samples::concerns(&watched.rule, record, run) || is_gauge(watched.rule.spec.metric) {
                continue;
            }
            match watched.rule.spec.connector.as_deref() {
                Some(connector) => samples::calls(record, connector).for_each(|sample| watched.window.add(&sample)),
                None => samples::execution(record, run).iter().for_each(|sample| watched.window.add(sample)),
            }
        }
    }

    /// Part of the journal was gone before it was read: a rule for too little counts anew.
    pub(crate) fn hole(&mut self, now: Timestamp) {
        for watched in self.rules.values_mut() {
            watched.standing.since = now;
            watched.changed = true;
        }
    }

    /// There was no evaluation from `from` to `to`. What was not running then ended nothing, so a rule for too little whose
    /// window that hole is a notable part of counts anew.
    pub(crate) fn absent(&mut self, from: Timestamp, to: Timestamp) {
        for watched in self.rules.values_mut() {
            let too_little = watched.rule.spec.comparison == AlertComparison::Below;
            if too_little && to.since(from) > watched.rule.window / HOLE_PART {
                watched.standing.since = to;
                watched.standing.bad_since = None;
                watched.changed = true;
            }
        }
    }

    /// Evaluates the rules whose turn it is. Whether somebody is to be told of something now.
    pub(crate) fn evaluate(&mut self, now: Timestamp) -> bool {
        let due = self.rules.iter().filter(|(_, watched)| now.since(watched.evaluated) >= watched.turn());
        let due: Vec<Key> = due.map(|(key, _)| key.clone()).collect();
        let mut news = false;
        for key in due {
            news |= self.evaluate_one(&key, now);
        }
        news
    }

    /// When the next rule's turn comes or the next message is to be sent.
    pub(crate) fn next(&self) -> Option<Timestamp> {
        let rules = self.rules.values().map(|watched| watched.evaluated.plus(watched.turn()));
        rules.chain(self.outbox.next()).min()
    }

    /// Whether a message is on its way.
    pub(crate) fn is_sending(&self) -> bool {
        self.outbox.is_flying()
    }

    fn evaluate_one(&mut self, key: &Key, now: Timestamp) -> bool {
        let gauge = self.gauges.get(key).cloned();
        let Some(watched) = self.rules.get_mut(key) else { return false };
        watched.evaluated = now;
        let rule = Arc::clone(&watched.rule);
        let (value, of) = if is_gauge(rule.spec.metric) {
            // A depth that was not measured yet is not known to be well either.
            let Some(Measured { value, of }) = gauge else { return false };
            (Some(value), of)
        } else {
            (value(&rule, &watched.window.total(now)), None)
        };
        let quiet = watched.standing.firing.is_none();
        if quiet && !watched.standing.is_filled(&rule, now) {
            return false;
        }
        let before = watched.standing.clone();
        let turn = watched.standing.take(&rule, value, now);
        watched.changed |= watched.standing != before;
        match turn {
            Turn::Fires(value) => self.fire(key, &rule, Measured { value, of }, now),
            Turn::Resolved => self.resolve(key, &rule, now),
            Turn::None => {}
        }
        self.tell_firing(key, &rule, now) || turn != Turn::None
    }

    fn fire(&mut self, key: &Key, rule: &CompiledAlert, measured: Measured, now: Timestamp) {
        let id = alert_id(key, now);
        let view = AlertView {
            id: id.clone(),
            rule: key.1.clone(),
            name: rule.spec.name.clone(),
            customer: rule.spec.customer.clone(),
            // Until the channels are told, which follows at once unless there is silence.
            state: AlertState::Silenced,
            metric: rule.spec.metric,
            dimension: rule.spec.dimension,
            value_of: measured.of.map(|customer| customer.to_string()),
            comparison: rule.spec.comparison,
            threshold: rule.spec.threshold,
            value: measured.value,
            fired_at: now.to_string(),
            resolved_at: None,
            resolved_by: None,
            notifications: Vec::new(),
        };
        let row = AlertRow { account: key.0.clone(), customer: rule.customer.clone(), fired: now, view };
        self.alerts.insert(id.clone(), row);
        self.changes.alert(&id);
        if let Some(watched) = self.rules.get_mut(key) {
            watched.standing.bad_since = None;
            watched.standing.firing = Some(Firing { alert: id, told: false });
            watched.changed = true;
        }
        super::observe::fired(rule.spec.metric);
    }

    /// Tells the channels of an alert that fires, unless there is silence or they were told; and shows the silence.
    fn tell_firing(&mut self, key: &Key, rule: &CompiledAlert, now: Timestamp) -> bool {
        let Some(watched) = self.rules.get_mut(key) else { return false };
        let Some(firing) = &mut watched.standing.firing else { return false };
        let silent = rule.silenced_until.is_some_and(|until| now < until);
        let tells = !silent && !firing.told;
        firing.told |= tells;
        watched.changed |= tells;
        let alert = firing.alert.clone();
        let state = if silent { AlertState::Silenced } else { AlertState::Firing };
        let shown =
            self.alerts.get_mut(&alert).is_some_and(|row| std::mem::replace(&mut row.view.state, state) != state);
        if shown {
            self.changes.alert(&alert);
        }
        if tells {
            self.tell(&alert, rule, AlertState::Firing, now);
        }
        tells || shown
    }

    fn resolve(&mut self, key: &Key, rule: &CompiledAlert, now: Timestamp) {
        let Some(watched) = self.rules.get_mut(key) else { return };
        watched.standing.good_since = None;
        watched.changed = true;
        let Some(firing) = watched.standing.firing.take() else { return };
        self.end_alert(&firing.alert, "recovered", now);
        let silent = rule.silenced_until.is_some_and(|until| now < until);
        if firing.told && !silent {
            self.tell(&firing.alert, rule, AlertState::Resolved, now);
        }
    }

    fn end_alert(&mut self, alert: &str, by: &str, now: Timestamp) {
        if let Some(row) = self.alerts.get_mut(alert) {
            row.view.state = AlertState::Resolved;
            row.view.resolved_at = Some(now.to_string());
            row.view.resolved_by = Some(by.to_owned());
            self.changes.alert(alert);
        }
        super::observe::resolved();
    }

    /// Puts a message for each channel into the outbox.
    fn tell(&mut self, alert: &str, rule: &CompiledAlert, about: AlertState, now: Timestamp) {
        let Some(row) = self.alerts.get_mut(alert) else { return };
        for (at, channel) in rule.spec.channels.iter().enumerate() {
            let word = if about == AlertState::Firing { "firing" } else { "resolved" };
            let id = format!("{}_{word}_{at}", alert.replacen("alert_", "msg_", 1));
            row.view.notifications.push(AlertNotification {
                id: id.clone(),
                channel: channel.kind().to_owned(),
                about,
                status: "pending".to_owned(),
                attempts: 0,
                error: None,
            });
            let data = AlertView { notifications: Vec::new(), ..row.view.clone() };
            let body = AlertNotice { kind: format!("alert.{word}"), timestamp: now.to_string(), data };
            let notice = Notice {
                id: id.clone(),
                account: row.account.clone(),
                customer: row.customer.clone(),
                channel: channel.clone(),
                description: rule.spec.description.clone(),
                body,
                attempts: 0,
                next: now,
            };
            self.outbox.add(notice);
            self.changes.notice(&id);
        }
        self.changes.alert(alert);
    }

    /// What is to be sent now.
    pub(crate) fn due(&mut self, now: Timestamp) -> Vec<Notice> {
        self.outbox.due(now)
    }

    /// Takes the outcome of an attempt to send a message.
    pub(crate) fn settle(&mut self, id: &str, outcome: Result<(), String>, now: Timestamp) {
        let Some(alert) = self.outbox.get(id).map(|notice| notice.body.data.id.clone()) else { return };
        let Some(settled) = self.outbox.settle(id, outcome, now) else { return };
        self.changes.notice(id);
        self.changes.alert(&alert);
        let told = self.alerts.get_mut(&alert).into_iter().flat_map(|row| &mut row.view.notifications);
        for notification in told.filter(|notification| notification.id == id) {
            notification.attempts += 1;
            let (status, error) = match &settled {
                Settled::Delivered => ("delivered", None),
                Settled::Waits(reason) => ("pending", Some(reason.clone())),
                Settled::Failed(reason) => ("failed", Some(reason.clone())),
            };
            (notification.status, notification.error) = (status.to_owned(), error);
        }
        super::observe::settled(&settled);
    }

    /// Alerts that are over and about which nobody has still to be told.
    pub(super) fn done(&self) -> BTreeSet<String> {
        let over = self.alerts.iter().filter(|(_, row)| row.view.state == AlertState::Resolved);
        over.filter(|(id, _)| !self.outbox.has_of(id)).map(|(id, _)| id.clone()).collect()
    }

    /// How many alerts fire.
    pub(crate) fn firing(&self) -> usize {
        self.alerts.values().filter(|row| row.view.state != AlertState::Resolved).count()
    }

    /// How many rules are evaluated, and how many messages are on their way.
    pub(crate) fn sizes(&self) -> (usize, usize) {
        (self.rules.len(), self.outbox.len())
    }

    /// Whether a rule measures this.
    pub(crate) fn measures(&self, metric: AlertMetric) -> bool {
        self.rules.values().any(|watched| watched.rule.spec.metric == metric)
    }
}

/// The same however often the same firing is found.
fn alert_id(key: &Key, fired: Timestamp) -> String {
    let text = format!("{}/{}/{}", key.0, key.1, fired.0);
    let hash = blake3::derive_key("fastn 2026 alert ids", text.as_bytes());
    let hex: String = hash[..12].iter().map(|byte| format!("{byte:02x}")).collect();
    format!("alert_{hex}")
}
