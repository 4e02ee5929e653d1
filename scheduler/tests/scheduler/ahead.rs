//! Events that are made before they are due: the same events, and whatever changes before their time wins.

use std::sync::Arc;

use fastn_domain::Clock as _;
use fastn_domain::catalog::{ResourceKind, ResourceRow};
use fastn_domain::event::EventRecord;
use fastn_log::{Log as _, Topic};
use fastn_scheduler::{SchedulerConfig, Turner};
use fastn_testkit::{FaultyLog, Odds};
use serde_json::{Value, json};

use crate::world::{PARTITIONS, World, at, row, trigger};

/// What is in the log, whole: keys, headers and values.
async fn records(world: &World) -> Vec<String> {
    let mut all = Vec::new();
    for partition in 0..PARTITIONS {
        for record in world.log.read(Topic::Events, partition, 0, usize::MAX, usize::MAX).await.unwrap() {
            all.push(format!("{partition} {:?} {:?} {:?}", record.key, record.headers, record.value));
        }
    }
    all
}

/// Property: events that were made ahead are, byte for byte, those that are made when they are due, also those that were
/// sent again after a failure.
#[tokio::test]
async fn made_ahead_is_made_alike() {
    let mut made = Vec::new();
    for (ahead, faulty) in [(false, false), (true, false), (true, true)] {
        let world = World::new("2027-05-05T00:00:00Z").await;
        world.put(ResourceKind::Customer, "d", &json!({"id": "d"}));
        let mut own = trigger("own", "*/10 * * * *", json!({"payload": {"n": [1, "ü"]}, "jitterSeconds": 300}));
        own["customer"] = json!("d");
        world.put_trigger(&own);
        world.put_trigger(&trigger("all", "*/15 * * * *", json!({"delayMinutes": 7})));
        let odds = if faulty { Odds { not_done: 500, not_heard: 0 } } else { Odds { not_done: 0, not_heard: 0 } };
        let mut turner = world.turner_over(Arc::new(FaultyLog::new(world.log.clone(), 3, odds)));
        while world.clock.now() < at("2027-05-05T03:00:00Z") {
            if turner.turn().await {
                while ahead && turner.look_ahead() {}
                world.clock.set(turner.next_due().unwrap());
            }
        }
        while !turner.turn().await {}
        let mut all = records(&world).await;
        all.sort();
        made.push(all);
    }
    assert!(made[0].len() > 30, "{}", made[0].len());
    assert_eq!(made[1], made[0]);
    assert_eq!(made[2], made[0]);
}

/// The events for noon, of which those of `t` were made ahead at 11:59, after `change` at 11:59:30. The change is followed
/// before noon, or only seen in the turn that fires.
async fn noon_after(followed: bool, change: impl Fn(&World)) -> Vec<EventRecord> {
    let world = World::new("2027-05-05T11:59:00Z").await;
    world.put(ResourceKind::Customer, "d", &json!({"id": "d"}));
    world.put_trigger(&trigger("t", "0 12 * * *", json!({"payload": 1})));
    let mut turner = world.turner();
    assert!(turner.turn().await);
    assert!(!turner.look_ahead(), "one trigger is all");
    world.clock.set(at("2027-05-05T11:59:30Z"));
    change(&world);
    if followed {
        assert!(turner.turn().await);
        turner.look_ahead();
    }
    world.clock.set(at("2027-05-05T12:00:00Z"));
    assert!(turner.turn().await);
    world.clock.set(at("2027-05-05T12:00:30Z"));
    assert!(turner.turn().await);
    world.events()
}

/// Property: what changes between the making of an event and its time wins, even if it comes so late that it is seen with
/// the fire: a pause, a deletion, another payload, another time, a customer that is suspended or new. What changed after its
/// time does not.
#[tokio::test]
async fn a_change_wins_over_what_was_made() {
    let told = |events: &[EventRecord]| {
        let mut all: Vec<String> =
            events.iter().map(|event| format!("{} {}", event.scope.customer, event.data)).collect();
        all.sort();
        all.join(", ")
    };
    let write = |schedule: Value, status: &'static str| {
        move |world: &World| {
            let mut body = trigger("t", "0 12 * * *", schedule.clone());
            body["status"] = json!(status);
            world.put_trigger(&body);
        }
    };
    for followed in [true, false] {
        let unchanged = noon_after(followed, |_| {}).await;
        assert_eq!(told(&unchanged), "c 1, d 1");
        let paused = noon_after(followed, write(json!({"payload": 1}), "disabled")).await;
        assert_eq!(told(&paused), "", "followed: {followed}");
        let edited = noon_after(followed, write(json!({"payload": 2}), "enabled")).await;
        assert_eq!(told(&edited), "c 2, d 2", "followed: {followed}");
        let later = noon_after(followed, write(json!({"payload": 1, "delayMinutes": 1}), "enabled")).await;
        assert_eq!(told(&later), "", "followed: {followed}");
        let deleted = noon_after(followed, |world| {
            let gone = row(ResourceKind::Trigger, "t", 99, world.clock.now(), &trigger("t", "0 12 * * *", json!({})));
            world.apply(ResourceRow { deleted: true, ..gone });
        })
        .await;
        assert_eq!(told(&deleted), "", "followed: {followed}");
        let suspended = noon_after(followed, |world| {
            world.put(ResourceKind::Customer, "d", &json!({"id": "d", "status": "suspended"}));
        })
        .await;
        assert_eq!(told(&suspended), "c 1", "followed: {followed}");
        let grown = noon_after(followed, |world| world.put(ResourceKind::Customer, "e", &json!({"id": "e"}))).await;
        assert_eq!(told(&grown), "c 1, d 1, e 1", "followed: {followed}");
    }
    // A turn that comes late sees a change that was made after the time.
    let world = World::new("2027-05-05T11:59:00Z").await;
    world.put_trigger(&trigger("t", "0 12 * * *", json!({"payload": 1})));
    let mut turner = world.turner();
    assert!(turner.turn().await);
    turner.look_ahead();
    world.clock.set(at("2027-05-05T12:00:10Z"));
    write(json!({"payload": 2}), "disabled")(&world);
    world.clock.set(at("2027-05-05T12:00:20Z"));
    assert!(turner.turn().await);
    assert_eq!(told(&world.events()), "c 1");
}

/// Property: what is made ahead stays within its bytes and its time, what is beyond them fires all the same, and each time
/// once.
#[tokio::test]
async fn ahead_is_bounded() {
    let world = World::new("2027-05-05T11:58:30Z").await;
    for n in 0..50 {
        let payload = json!({"payload": "x".repeat(1_000)});
        world.put_trigger(&trigger(&format!("t{n:02}"), "* * * * *", payload));
    }
    let (log, store, clock) = (world.log.clone(), world.store.clone(), world.clock.clone());
    let config =
        SchedulerConfig { ahead_bytes_max: 20_000, ahead_events_of_one_turn_max: 5, ..SchedulerConfig::default() };
    let mut turner = Turner::new(log, store, world.catalog.subscribe(), clock, Arc::default(), config);
    assert!(turner.turn().await);
    assert!(!turner.look_ahead(), "nothing is due that soon");
    let turns = |turner: &mut Turner| (0..100).take_while(|_| turner.look_ahead()).count();
    for minute in ["2027-05-05T11:58:45Z", "2027-05-05T11:59:45Z", "2027-05-05T12:00:45Z"] {
        world.clock.set(at(minute));
        let turns = turns(&mut turner);
        assert!((2..5).contains(&turns), "{turns} turns of five filled 20 kB");
        world.clock.set(turner.next_due().unwrap());
        assert!(turner.turn().await);
    }
    let fires = world.fires();
    assert_eq!(fires.len(), 150);
    assert!(fires.values().all(|copies| *copies == 1));
}

/// Property: a fire whose events are more than may be kept is made at its time, whole, however little may be under way.
#[tokio::test]
async fn what_is_too_much_is_made_at_its_time() {
    let world = World::new("2027-05-05T11:59:50Z").await;
    for n in 0..30 {
        let id = format!("c{n}");
        world.put(ResourceKind::Customer, &id, &json!({"id": id}));
    }
    world.put_trigger(&trigger("t", "0 12 * * *", json!({"payload": "x".repeat(10_000)})));
    let (log, store, clock) = (world.log.clone(), world.store.clone(), world.clock.clone());
    let config =
        SchedulerConfig { ahead_bytes_max: 200_000, bytes_under_way_max: 50_000, ..SchedulerConfig::default() };
    let mut turner = Turner::new(log, store, world.catalog.subscribe(), clock, Arc::default(), config);
    assert!(turner.turn().await);
    assert!(!turner.look_ahead());
    world.clock.set(at("2027-05-05T12:00:00Z"));
    assert!(turner.turn().await);
    assert_eq!(world.events().len(), 31);
    assert_eq!(turner.next_due(), Some(at("2027-05-06T12:00:00Z")));
}
