//! The scheduler over a log in memory, with a clock that is moved by hand.

#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

mod ahead;
mod failing;
mod world;

use std::sync::Arc;

use fastn_domain::catalog::ResourceKind;
use fastn_domain::schedule::Schedule;
use fastn_domain::{Clock as _, Timestamp};
use fastn_log::{Log as _, Topic};
use fastn_scheduler::MARK;
use fastn_testkit::{FaultyLog, Odds};
use serde_json::{Value, json};

use crate::world::{World, at, trigger};

/// Property: a year of schedules of every mode in four zones, with both changes of clock and 29 February, fires each time
/// once, in the order of the times, and ends in seconds.
#[tokio::test]
async fn a_year_in_seconds() {
    let world = World::new("2028-01-01T00:00:00Z").await;
    let modes = [
        json!({"mode": "interval", "every": 6, "unit": "hours"}),
        json!({"mode": "interval", "every": 7, "unit": "hours"}),
        json!({"mode": "daily", "at": "02:30"}),
        json!({"mode": "weekly", "days": ["sun"], "at": "01:30"}),
        json!({"mode": "monthly", "day": 31, "at": "09:00"}),
        json!({"mode": "cron", "expression": "0 12 29 2 *"}),
    ];
    let mut expected = Vec::new();
    let (from, to) = (Timestamp(world.clock.now().0 + 1), at("2029-01-01T00:00:00Z"));
    for (z, zone) in
        ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Africa/Casablanca"].iter().enumerate()
    {
        for (m, when) in modes.iter().enumerate() {
            let id = format!("t{z}{m}");
            let source = json!({"type": "schedule", "timezone": zone, "when": when});
            world.put_trigger(&json!({"id": id, "source": source, "routes": [{"workflow": "w"}]}));
            let schedule = Schedule::compile(&serde_json::from_value(strip_type(source)).unwrap(), &id).unwrap();
            expected.extend(schedule.between(from, to, usize::MAX).iter().map(|at| format!("schedule/{id}/{at}")));
        }
    }
    let mut turner = world.turner();
    world.turn_until(&mut turner, "2028-12-31T23:59:59Z").await;
    let events = world.events();
    assert!(events.is_sorted_by_key(|event| event.time));
    let mut made: Vec<String> = events.iter().map(|event| event.id.to_string()).collect();
    made.sort();
    expected.sort();
    assert!(made.len() > 12_000, "{}", made.len());
    assert_eq!(made, expected);
    assert!(made.contains(&"schedule/t05/2028-02-29T11:00:00.000Z".to_owned()));
}

fn strip_type(mut source: Value) -> Value {
    source.as_object_mut().unwrap().remove("type");
    source
}

/// Property: a trigger without a customer fires for every active customer, one of a customer for that one, with its payload
/// as data and the scheduled time as the event's; a suspended customer gets nothing.
#[tokio::test]
async fn fires_for_whom_it_should() {
    let world = World::new("2027-05-05T11:59:00Z").await;
    world.put(ResourceKind::Customer, "d", &json!({"id": "d"}));
    world.put(ResourceKind::Customer, "gone", &json!({"id": "gone", "status": "suspended"}));
    world.put_trigger(&trigger("all", "0 12 * * *", json!({"payload": {"a": 1}, "delayMinutes": 5})));
    let mut own = trigger("own", "0 12 * * *", json!({}));
    own["customer"] = json!("d");
    world.put_trigger(&own);
    let mut turner = world.turner();
    world.turn_until(&mut turner, "2027-05-05T12:04:59Z").await;
    assert_eq!(world.events().len(), 1, "the delay of the other is not over");
    world.turn_until(&mut turner, "2027-05-05T12:30:00Z").await;
    let mut made: Vec<(String, String, String)> = world
        .events()
        .iter()
        .map(|event| {
            (event.trigger.clone().unwrap().to_string(), event.scope.customer.to_string(), event.data.to_string())
        })
        .collect();
    made.sort();
    let made: Vec<(&str, &str, &str)> = made.iter().map(|(a, b, c)| (a.as_str(), b.as_str(), c.as_str())).collect();
    assert_eq!(made, [("all", "c", r#"{"a":1}"#), ("all", "d", r#"{"a":1}"#), ("own", "d", "{}")]);
    assert!(world.events().iter().all(|event| event.time == at("2027-05-05T12:00:00Z")));
}

/// Property: a change counts from its instant on: a new time replaces the old, a pause stops it, a resume fires again from
/// then on, a deletion ends it, and a trigger that asks for it fires once when it is made.
#[tokio::test]
async fn changes_take_effect() {
    let world = World::new("2027-05-05T12:00:30Z").await;
    let mut turner = world.turner();
    world.turn_until(&mut turner, "2027-05-05T12:00:40Z").await;
    world.put_trigger(&trigger("t", "* * * * *", json!({"runImmediately": true})));
    world.turn_until(&mut turner, "2027-05-05T12:02:30Z").await;
    assert_eq!(world.fired(), ["t/2027-05-05T12:00:40.000Z", "t/2027-05-05T12:01Z", "t/2027-05-05T12:02Z"]);
    let mut paused = trigger("t", "30 * * * *", json!({"runImmediately": true}));
    paused["status"] = json!("disabled");
    world.put_trigger(&paused);
    world.turn_until(&mut turner, "2027-05-05T12:45:00Z").await;
    assert_eq!(world.fired().len(), 3);
    paused["status"] = json!("enabled");
    world.put_trigger(&paused);
    world.turn_until(&mut turner, "2027-05-05T14:00:00Z").await;
    assert_eq!(world.fired()[3..], ["t/2027-05-05T13:30Z"]);
    let deleted = world::row(ResourceKind::Trigger, "t", 99, world.clock.now(), &paused);
    world.apply(fastn_domain::catalog::ResourceRow { deleted: true, ..deleted });
    world.turn_until(&mut turner, "2027-05-06T14:00:00Z").await;
    assert_eq!(world.fired().len(), 4);
    assert_eq!(turner.next_due(), None);
}

/// Property: two schedulers that fire the same ticks make events of the same ids, so that one of each is admitted.
#[tokio::test]
async fn two_make_the_same_events() {
    let world = World::new("2027-03-27T00:00:00Z").await;
    for (n, zone) in ["Europe/Berlin", "America/Santiago"].iter().enumerate() {
        world.put_trigger(&trigger(&format!("t{n}"), "*/7 * * * *", json!({"timezone": zone, "jitterSeconds": 90})));
    }
    let (mut one, mut other) = (world.turner(), world.turner());
    while world.clock.now() < at("2027-03-29T00:00:00Z") {
        let due = [&one, &other].iter().filter_map(|turner| turner.next_due()).min();
        world.clock.set(due.unwrap_or_else(|| world.clock.now()));
        assert!(one.turn().await && other.turn().await);
    }
    let fires = world.fires();
    assert!(fires.len() > 700, "{}", fires.len());
    assert!(fires.values().all(|copies| *copies == 2), "{fires:?}");
}

/// Fires of a schedule for every minute after a scheduler was down from 12:00:30 to `back`, over what the first made.
async fn after_an_outage(catch_up: Value, back: &str, keeps_mark: bool) -> Vec<String> {
    let world = World::new("2027-05-05T11:58:00Z").await;
    world.put_trigger(&trigger("t", "* * * * *", json!({"catchUp": catch_up})));
    let mut first = world.turner();
    first.catch_up().await.unwrap();
    world.turn_until(&mut first, "2027-05-05T12:00:30Z").await;
    assert_eq!(world.fired(), ["t/2027-05-05T11:59Z", "t/2027-05-05T12:00Z"]);
    assert_eq!(first.through(), Some(at("2027-05-05T12:00:30Z")));
    if keeps_mark {
        world.store.raise_mark(MARK, first.through().unwrap()).await.unwrap();
    }
    drop(first);
    world.clock.set(at(back));
    let mut second = world.turner();
    assert!(second.turn().await);
    assert_eq!(world.fired().len(), 2, "nothing is due");
    second.catch_up().await.unwrap();
    second.catch_up().await.unwrap();
    assert!(world.fires().values().all(|copies| *copies == 1));
    world.fired()[2..].iter().map(|id| id[13..].to_owned()).collect()
}

/// Property: after an outage each policy makes up for what it says, once; a restart within a minute loses nothing whatever
/// the policy; and when the mark is lost nothing is made up for.
#[tokio::test]
async fn catches_up_after_an_outage() {
    let (none, last) = (json!({"policy": "none"}), json!({"policy": "last"}));
    let all = |minutes: u32| json!({"policy": "all", "windowMinutes": minutes});
    assert_eq!(after_an_outage(none.clone(), "2027-05-05T12:01:20Z", true).await, ["12:01Z"]);
    assert_eq!(after_an_outage(none.clone(), "2027-05-05T12:04:20Z", true).await, ["12:04Z"]);
    assert_eq!(after_an_outage(last.clone(), "2027-05-05T12:04:20Z", true).await, ["12:04Z"]);
    assert_eq!(after_an_outage(all(60), "2027-05-05T12:04:20Z", true).await, ["12:01Z", "12:02Z", "12:03Z", "12:04Z"]);
    assert_eq!(after_an_outage(all(3), "2027-05-05T12:04:20Z", true).await, ["12:02Z", "12:03Z", "12:04Z"]);
    for policy in [none, last, all(60)] {
        assert_eq!(after_an_outage(policy, "2027-05-05T12:04:20Z", false).await, [""; 0]);
    }
}

/// Property: a daily schedule that was missed by hours fires once under `last` and `all` and not under `none`; what was
/// missed before a change of the trigger is not made up for.
#[tokio::test]
async fn catches_up_with_one_of_a_day() {
    for (policy, expected) in [
        (json!({"policy": "none"}), 0),
        (json!({"policy": "last"}), 1),
        (json!({"policy": "all", "windowMinutes": 600}), 1),
        (json!({"policy": "all", "windowMinutes": 60}), 0),
    ] {
        let world = World::new("2027-05-05T11:00:00Z").await;
        world.put_trigger(&trigger("t", "0 12 * * *", json!({"catchUp": policy})));
        world.store.raise_mark(MARK, at("2027-05-05T11:30:00Z")).await.unwrap();
        world.clock.set(at("2027-05-05T18:00:00Z"));
        world.put_trigger(&trigger("changed", "0 12 * * *", json!({"catchUp": {"policy": "last"}})));
        let mut turner = world.turner();
        assert!(turner.turn().await);
        turner.catch_up().await.unwrap();
        assert_eq!(world.fired().len(), expected, "{policy}: {:?}", world.fired());
    }
}

/// Property: when the clock jumps or the process was asleep, what is due long since is treated as missed, not as late.
#[tokio::test]
async fn a_jump_is_an_outage() {
    let world = World::new("2027-05-05T11:58:30Z").await;
    world.put_trigger(&trigger("none", "* * * * *", json!({})));
    world.put_trigger(&trigger("last", "0 * * * *", json!({"catchUp": {"policy": "last"}})));
    let mut turner = world.turner();
    assert!(turner.turn().await);
    world.clock.set(at("2027-05-05T15:10:20Z"));
    assert!(turner.turn().await);
    assert_eq!(world.fired(), ["last/2027-05-05T15:00Z", "none/2027-05-05T15:10Z"]);
    world.turn_until(&mut turner, "2027-05-05T15:12:00Z").await;
    assert_eq!(world.fired()[2..], ["none/2027-05-05T15:11Z", "none/2027-05-05T15:12Z"]);
}

/// Property: while appends fail or their answers are lost, nothing is lost: every fire is in the log at least once when the
/// log is well, and the mark does not pass what is not there.
#[tokio::test]
async fn a_failing_log_loses_nothing() {
    let world = World::new("2027-05-05T00:00:00Z").await;
    for n in 0..20 {
        world.put_trigger(&trigger(&format!("t{n:02}"), "*/10 * * * *", json!({})));
    }
    let log = Arc::new(FaultyLog::new(world.log.clone(), 7, Odds { not_done: 300, not_heard: 300 }));
    let mut turner = world.turner_over(log);
    turner.catch_up().await.unwrap();
    let mut failures = 0;
    while world.clock.now() < at("2027-05-05T06:00:00Z") {
        if !turner.turn().await {
            failures += 1;
            assert!(turner.through().is_none_or(|through| through < world.clock.now()));
            continue;
        }
        turner.look_ahead();
        assert_eq!(turner.through(), Some(world.clock.now()));
        world.clock.set(turner.next_due().unwrap());
    }
    assert!(failures > 10, "{failures}");
    while !turner.turn().await {}
    let fires = world.fires();
    assert_eq!(fires.len(), 20 * 36);
    assert!(fires.values().any(|copies| *copies > 1), "lost answers made copies");
    assert!(world.log.bounds(Topic::Events, 0).await.is_ok());
}
