//! Failures in a row switch a schedule off, and cooldowns switch it on again.

use std::sync::Arc;
use std::time::Duration;

use fastn_contract::activity::{ExecutionStatus, Origin};
use fastn_contract::resource::{Switch, Trigger};
use fastn_domain::catalog::ResourceKind;
use fastn_domain::ids::{AccountId, EventId};
use fastn_domain::schedule::{ScheduleState, fire_id};
use fastn_domain::{Clock as _, Reach, Scope, Timestamp, TriggerId};
use fastn_scheduler::Failures;
use fastn_store::{CatalogFeed, ExecutionRow, Expect, FeedOptions, InputRow, ResourceWrite, Store};
use fastn_testkit::store_suite::{batch, end, execution};
use serde_json::json;

use crate::world::{World, trigger};

struct Watched {
    world: World,
    failures: Failures,
    feed: CatalogFeed,
    runs: u64,
}

fn account() -> AccountId {
    "acc".parse().unwrap()
}

impl Watched {
    async fn new(auto_disable: serde_json::Value) -> Self {
        let world = World::new("2027-05-05T00:00:00Z").await;
        let (catalog, feed) = CatalogFeed::start(
            world.store.clone(),
            FeedOptions { poll: Duration::from_millis(20), ..Default::default() },
        )
        .await
        .unwrap();
        let failures = Failures::new(world.store.clone(), catalog, world.clock.clone());
        let watched = Self { world, failures, feed, runs: 0 };
        let body = trigger("t", "0 * * * *", json!({"autoDisable": auto_disable})).to_string();
        let write = ResourceWrite {
            kind: ResourceKind::Trigger,
            customer: None,
            id: "t".to_owned(),
            body: Some(body),
            expect: Expect::New,
        };
        watched.world.store.write(&account(), vec![write]).await.unwrap();
        watched
    }

    fn store(&self) -> &Arc<dyn Store> {
        &self.world.store
    }

    /// An hour later a fire was run for these customers, each with an end.
    async fn fire(&mut self, ends: &[(&str, ExecutionStatus)]) {
        let now = self.world.clock.now().plus(Duration::from_secs(3_600));
        self.world.clock.set(now);
        let mut rows = batch(self.runs, self.runs + 1);
        self.runs += 1;
        for (n, (customer, status)) in ends.iter().enumerate() {
            let number = self.runs * 10 + n as u64;
            let mut state = end(*status, number);
            if let Some(end) = &mut state.end {
                end.at = Timestamp(now.0 + 2_000_000);
            }
            rows.executions.push(ExecutionRow {
                origin: Origin::Schedule,
                trigger: Some(TriggerId::new("t").unwrap()),
                event_id: EventId::new(&fire_id(&TriggerId::new("t").unwrap(), now)).unwrap(),
                created: Timestamp(now.0 + n as i64 * 1_000),
                input: InputRow::Event(fastn_store::EventSeq::new(0, number)),
                state,
                ..execution(&Scope::parse("acc", customer).unwrap(), number)
            });
        }
        self.store().project(rows).await.unwrap();
        self.look().await;
    }

    async fn look(&mut self) {
        let newest = self.store().changes(0, 1_000).await.unwrap().last().map_or(0, |row| row.revision);
        assert!(self.feed.reached(newest, Duration::from_secs(30)).await);
        self.failures.look().await;
    }

    async fn state(&self) -> (Switch, ScheduleState) {
        let reach = Reach::Account(account());
        let row = self.store().resource(&reach, ResourceKind::Trigger, "t").await.unwrap().unwrap();
        let trigger: Trigger = serde_json::from_str(&row.body).unwrap();
        let state = self.store().resource(&reach, ResourceKind::ScheduleState, "t").await.unwrap();
        (trigger.status, state.map(|row| serde_json::from_str(&row.body).unwrap()).unwrap_or_default())
    }
}

use ExecutionStatus::{Cancelled, Completed, Failed, Timeout};

/// Property: failures in a row count up, a completed run sets them to zero, a cancelled one changes nothing; at the limit
/// the schedule is switched off with a reason that is marked as automatic; after the cooldown it is on again, off again by
/// the next failure, and a completed run then clears it.
#[tokio::test]
async fn failures_switch_off_and_cooldowns_on() {
    let mut watched = Watched::new(json!({"failures": 3, "cooldownMinutes": 90})).await;
    for (status, failures) in [(Failed, 1), (Timeout, 2), (Completed, 0), (Failed, 1), (Cancelled, 1), (Failed, 2)] {
        watched.fire(&[("c", status)]).await;
        let (switch, state) = watched.state().await;
        assert_eq!((switch, state.failures), (Switch::Enabled, failures), "{status:?}");
        watched.look().await;
        assert_eq!(watched.state().await.1.failures, failures, "looking again counts nothing twice");
    }
    watched.fire(&[("c", Failed)]).await;
    let (switch, state) = watched.state().await;
    assert_eq!((switch, state.failures, state.history.len()), (Switch::Disabled, 3, 1));
    assert!(state.history[0].automatic && state.history[0].reason.contains("3 fires in a row"));
    watched.look().await;
    assert_eq!(watched.state().await.0, Switch::Disabled, "the cooldown is not over");
    watched.world.clock.set(watched.world.clock.now().plus(Duration::from_secs(91 * 60)));
    watched.look().await;
    let (switch, state) = watched.state().await;
    assert_eq!((switch, state.until, state.history.len()), (Switch::Enabled, None, 2));
    watched.look().await;
    assert_eq!(watched.state().await.0, Switch::Enabled, "the failures of before count once");
    watched.fire(&[("c", Failed)]).await;
    assert_eq!(watched.state().await.0, Switch::Disabled);
    watched.world.clock.set(watched.world.clock.now().plus(Duration::from_secs(91 * 60)));
    watched.look().await;
    watched.fire(&[("c", Completed)]).await;
    let (switch, state) = watched.state().await;
    assert_eq!((switch, state.failures, state.history.len()), (Switch::Enabled, 0, 4));
}

/// Property: a fire that completed for one customer is none that failed, and without a limit nothing is switched off.
#[tokio::test]
async fn one_customer_switches_nothing_off() {
    let mut watched = Watched::new(json!({"failures": 2, "cooldownMinutes": 0})).await;
    for _ in 0..5 {
        watched.fire(&[("bad", Failed), ("good", Completed), ("worse", Timeout)]).await;
    }
    assert_eq!(watched.state().await.0, Switch::Enabled);
    watched.fire(&[("bad", Failed), ("good", Failed)]).await;
    assert_eq!(watched.state().await.1.failures, 1);
    watched.fire(&[("bad", Failed), ("good", Failed)]).await;
    let (switch, state) = watched.state().await;
    assert_eq!((switch, state.until), (Switch::Disabled, None), "without a cooldown it waits for a person");

    let mut watched = Watched::new(json!({"failures": 0})).await;
    for _ in 0..12 {
        watched.fire(&[("c", Failed)]).await;
    }
    let (switch, state) = watched.state().await;
    assert_eq!((switch, state.failures), (Switch::Enabled, 12));
}
