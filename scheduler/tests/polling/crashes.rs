//! What is told when processes die, answers are lost, and two poll at once.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use fastn_contract::poll::PollOutcome;
use fastn_log::{Log as _, Topic};
use fastn_testkit::{FaultyLog, Odds};
use serde_json::{Value, json};

use crate::world::{Mortal, World, id, scope};

/// Longer than a lease.
const AFTER_A_LEASE: Duration = Duration::from_secs(121);

/// Follows the events from `known` on. Panics where one contradicts what was told before: a record that is created though it
/// is there, or updated or deleted though it is not, or updated to what it is.
fn follow(world: &World, known: &mut BTreeMap<String, Value>) {
    for event in world.events("c") {
        let data: Value = serde_json::from_str(&event.data).unwrap();
        let key = data["key"].as_str().unwrap().to_owned();
        let before = match event.kind.as_str() {
            "contact.deleted" => known.remove(&key),
            _ => known.insert(key.clone(), data["record"].clone()),
        };
        assert_eq!(before.is_none(), event.kind == "contact.created", "{key}: {}", event.kind);
        assert_ne!(before.as_ref(), known.get(&key), "{key} was told as it is");
    }
}

/// Property: a process that dies at any of its saves, before or after it takes effect, and whatever the source does before
/// the next one polls, leaves nothing told twice, nothing left out, and nothing that contradicts what was told before.
#[tokio::test]
async fn a_crash_tells_nothing_twice() {
    let mut deaths = 0;
    for (saves, happens) in (1..=6).flat_map(|saves| [(saves, false), (saves, true)]) {
        let world = World::new().await;
        world.source.fill(6);
        world.trigger("/numbers?page={{page}}", json!({"paging": {"mode": "page"}, "initial": "emit"}));
        let mortal = Arc::new(Mortal::new(world.polls.clone(), saves, happens));
        let mut first = world.polling_with(mortal.clone(), world.log.clone());
        for round in 0..4 {
            let _it_may_be_dead = first.turn().await;
            world.source.put("r00", json!({"round": round}));
            world.source.put(&format!("new{round}"), json!({}));
            world.source.remove(&format!("r{:02}", round + 2));
            world.clock.pass(Duration::from_secs(900));
        }
        deaths += u32::from(mortal.is_dead());
        world.source.put("r00", json!({"round": 0}));
        let mut second = world.polling();
        world.clock.pass(AFTER_A_LEASE);
        world.poll(&mut second).await;
        world.clock.pass(Duration::from_secs(900));
        world.poll(&mut second).await;
        let mut known = BTreeMap::new();
        follow(&world, &mut known);
        assert_eq!(
            known,
            *world.source.state.records.lock().unwrap(),
            "death at save {saves}, which happens: {happens}"
        );
    }
    assert!(deaths >= 8, "{deaths} processes died");
}

/// Property: while the log takes events at times only, and says so at times only, every change is told once in the end.
#[tokio::test]
async fn a_log_that_fails_gets_each_change_once() {
    for seed in 0..5 {
        let world = World::new().await;
        world.source.fill(4);
        world.trigger("/all", json!({"initial": "emit"}));
        let log = Arc::new(FaultyLog::new(world.log.clone(), seed, Odds { not_done: 300, not_heard: 300 }));
        let mut polling = world.polling_with(world.polls.clone(), log.clone());
        for round in 0..12 {
            polling.turn().await.unwrap();
            world.source.put("r00", json!({"round": round}));
            world.source.remove(&format!("r{:02}", round / 3));
            world.clock.pass(Duration::from_secs(900));
        }
        log.set_odds(Odds::default());
        for _ in 0..2 {
            world.poll(&mut polling).await;
            world.clock.pass(Duration::from_secs(900));
        }
        let mut known = BTreeMap::new();
        follow(&world, &mut known);
        assert_eq!(known, *world.source.state.records.lock().unwrap(), "seed {seed}");
    }
}

/// Property: of two that poll at once because a lease ended, one tells: what the other saw is dropped.
#[tokio::test]
async fn one_of_two_tells() {
    let world = World::new().await;
    world.source.fill(3);
    world.trigger("/all", json!({"initial": "emit"}));
    world.polls.begin(&scope("c"), &id(), fastn_domain::Timestamp(0)).await.unwrap();
    // The first waits at its source for longer than its lease: the source asks it to, for a second.
    world.source.refuse(1, 429, &[("retry-after", "1")]);
    let mut slow = world.polling();
    let slow = tokio::spawn(async move { slow.turn().await });
    while world.source.state.asked.load(Ordering::SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
    world.clock.pass(AFTER_A_LEASE);
    let mut other = world.polling();
    assert_eq!(other.turn().await.unwrap(), 1);
    slow.await.unwrap().unwrap();
    let appended: usize = (0..world.log.partitions()).map(|p| world.log.records(Topic::Events, p).len()).sum();
    assert_eq!(appended, 3);
    assert_eq!(world.progress("c").await.last.unwrap().outcome, PollOutcome::Changed);
}

/// Property: a change whose record is larger than an event may be is left out and said, and the others are told.
#[tokio::test]
async fn what_is_too_large_holds_nothing_up() {
    let world = World::new().await;
    world.source.put("small", json!({"n": 1}));
    world.source.put("large", json!({"text": "x".repeat(1 << 20)}));
    world.trigger("/all", json!({"initial": "emit"}));
    let progress = world.poll(&mut world.polling()).await;
    assert_eq!(world.told(), ["contact.created small"]);
    let detail = progress.last.unwrap().detail.unwrap();
    assert_eq!(detail, "1 changes were not told: their records are larger than an event may be");
}
