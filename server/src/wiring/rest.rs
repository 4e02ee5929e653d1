//! Whether a node is at rest, and when it has work next: for whoever moves its clock.
//!
//! At rest is a node that does nothing more by itself until the clock moves or somebody asks for something. Each part tells
//! it of itself (`Agenda`); between the parts is the log, so that ends of the log that did not move while all were asked
//! show that none gave work to one that was asked before it.

use fastn_contract::resource::Switch;
use fastn_domain::Timestamp;
use fastn_domain::catalog::CompiledTrigger;
use fastn_domain::scope::Reach;
use fastn_log::{Offset, Topic};
use fastn_store::PageRequest;

use super::Node;

/// Polls of a trigger that are looked at at once.
const POLLS_PAGE: u32 = 200;

impl Node {
    /// What the node is at, if it is not at rest. Outside calls that wait for the clock, `held_up` of them, are no work.
    pub(crate) async fn at_work(&self, held_up: impl Fn() -> usize) -> anyhow::Result<Option<String>> {
        let (now, revision) = (self.clock.now(), self.catalog.borrow().revision);
        let ends = self.ends();
        let busy = |what: &str| Ok(Some(what.to_owned()));
        if self.roles.scheduler.as_ref().is_some_and(|part| !part.agenda().is_resting(now, revision)) {
            return busy("the scheduler fires what is due");
        }
        if self.roles.poller.as_ref().is_some_and(|poller| !poller.is_resting(now, revision)) {
            // It looks every second only, also for what is configured.
            self.look_at_polls();
            return busy("sources are polled");
        }
        if !self.store.clone().polls().due(now, 1).await?.is_empty() {
            self.look_at_polls();
            return busy("sources are to be polled");
        }
        if let Some(pipeline) = &self.roles.pipeline {
            match pipeline.calls_at_rest(now, revision) {
                Ok(calls) if calls > held_up() => {
                    return Ok(Some(format!("{} calls to the outside are under way", calls - held_up())));
                }
                Ok(_) => {}
                Err(partition) => return Ok(Some(format!("executions of partition {partition} run"))),
            }
        }
        if self.roles.projector.as_ref().is_some_and(|projector| !projector.is_caught_up()) {
            return busy("activity is written");
        }
        if self.roles.alerts.as_ref().is_some_and(|part| !part.agenda().is_resting(now, revision)) {
            return busy("alert rules are evaluated");
        }
        if self.roles.retention.as_ref().is_some_and(|part| !part.agenda().is_resting(now, revision)) {
            return busy("what is old is deleted");
        }
        if self.ends() != ends || self.catalog.borrow().revision != revision {
            return busy("something came meanwhile");
        }
        Ok(None)
    }

    /// When there is work next, but for the evaluation of alert rules; at the end of time if never.
    pub(crate) async fn next_work(&self) -> anyhow::Result<Timestamp> {
        let scheduler = self.roles.scheduler.as_ref().map(|part| part.agenda().next());
        let retention = self.roles.retention.as_ref().map(|part| part.agenda().next());
        let pipeline = self.roles.pipeline.as_ref().map(|pipeline| pipeline.next_due());
        let known = [scheduler, retention, pipeline, self.next_poll().await?, self.next_return()];
        Ok(known.into_iter().flatten().min().unwrap_or(Timestamp(i64::MAX)))
    }

    /// When alert rules are evaluated next; at the end of time if there are none.
    pub(crate) fn next_evaluation(&self) -> Timestamp {
        self.roles.alerts.as_ref().map_or(Timestamp(i64::MAX), |alerts| alerts.agenda().next())
    }

    /// Executions that it has started.
    pub(crate) fn started(&self) -> u64 {
        self.roles.pipeline.as_ref().map_or(0, |pipeline| pipeline.started())
    }

    /// Has the poller look for what is due.
    fn look_at_polls(&self) {
        if let Some(poller) = &self.roles.poller {
            poller.look();
        }
    }

    /// Counts failed fires, and switches schedules off and on by them.
    pub(crate) async fn look_at_failures(&self) {
        if let Some(scheduler) = &self.roles.scheduler {
            scheduler.look_at_failures().await;
        }
    }

    /// Where every part of the log ends.
    pub(crate) fn ends(&self) -> Vec<Offset> {
        let partitions = (0..self.log.partitions()).flat_map(|partition| {
            [Topic::Events, Topic::Executions].map(|topic| *self.log.tail(topic, partition).borrow())
        });
        partitions.collect()
    }

    async fn next_poll(&self) -> anyhow::Result<Option<Timestamp>> {
        let catalog = self.catalog.borrow().clone();
        let polls = |trigger: &CompiledTrigger| trigger.poll.is_some() && trigger.spec.status == Switch::Enabled;
        let mut first = None;
        for (account, entries) in catalog.accounts() {
            let reach = Reach::Account(account.clone());
            for trigger in entries.triggers.values().filter(|trigger| polls(trigger)) {
                let mut page = PageRequest { cursor: None, limit: POLLS_PAGE };
                loop {
                    let polls = self.store.clone().polls().list(&reach, &trigger.id, &page).await?;
                    let next = polls.items.iter().map(|poll| poll.next_at).min();
                    first = first.into_iter().chain(next).min();
                    match polls.next_cursor {
                        Some(cursor) => page.cursor = Some(cursor),
                        None => break,
                    }
                }
            }
        }
        Ok(first)
    }

    /// When a schedule that was switched off for its failures is switched on again.
    fn next_return(&self) -> Option<Timestamp> {
        let catalog = self.catalog.borrow().clone();
        let schedules = catalog.accounts().flat_map(|(_, account)| account.schedules.values());
        let now = self.clock.now();
        schedules.filter_map(|state| state.until).filter(|until| *until > now).min()
    }
}
