//! Polling, against a real source over HTTP.

#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

mod crashes;
mod source;
mod world;

use std::sync::atomic::Ordering;
use std::time::Duration;

use fastn_contract::poll::PollOutcome;
use fastn_domain::catalog::ResourceKind;
use fastn_domain::poll::PollProgress;
use fastn_domain::{Clock as _, Reach, Timestamp};
use serde_json::json;

use crate::world::{World, id, scope};

fn outcome(progress: &PollProgress) -> PollOutcome {
    progress.last.as_ref().unwrap().outcome
}

fn detail(progress: &PollProgress) -> &str {
    progress.last.as_ref().unwrap().detail.as_deref().unwrap_or_default()
}

/// Property: in every way of paging, the first listing tells nothing, and each one after it tells what was created, updated
/// in which fields, and deleted since, once; a record that did not change is not told.
#[tokio::test]
async fn changes_are_told_once() {
    for (path, paging) in [
        ("/all", json!({"mode": "none"})),
        ("/numbers?page={{page}}", json!({"mode": "page"})),
        ("/cursor?after={{page}}", json!({"mode": "cursor", "path": "paging.after"})),
        ("/link", json!({"mode": "link"})),
    ] {
        let world = World::new().await;
        world.source.fill(8);
        world.trigger(path, json!({ "paging": paging }));
        let mut polling = world.polling();
        let first = world.poll(&mut polling).await;
        assert_eq!((outcome(&first), first.records), (PollOutcome::Baseline, 8), "{path}: {}", detail(&first));
        assert_eq!(outcome(&world.poll(&mut polling).await), PollOutcome::Unchanged, "{path}");
        assert_eq!(world.told(), [""; 0], "{path}");

        world.source.put("new", json!({"n": 1}));
        world.source.put("r01", json!({"n": 77, "at": 1, "more": {"x": 1}}));
        world.source.put("r02", json!({"n": 2}));
        world.source.remove("r07");
        let changed = world.poll(&mut polling).await;
        assert_eq!((outcome(&changed), changed.records), (PollOutcome::Changed, 8), "{path}");
        let mut told = world.told();
        told.sort();
        let expected =
            ["contact.created new", "contact.deleted r07", "contact.updated r01 more.x,n", "contact.updated r02 at"];
        assert_eq!(told, expected, "{path}");
        world.poll(&mut polling).await;
        assert_eq!(world.told().len(), 4, "{path}");
        let queries = world.source.state.queries.lock().unwrap().clone();
        let empty = queries.iter().any(|query| query.ends_with('='));
        assert!(!empty, "{path}: the first page has no cursor: {queries:?}");
    }
}

/// Property: `emit` tells the first listing as created; fields that are not compared change nothing; without `detectDeletes`
/// a record that went is not told, and is new when it comes back.
#[tokio::test]
async fn the_declaration_decides_what_is_told() {
    let world = World::new().await;
    world.source.fill(2);
    let compare = json!({"what": "except", "fields": ["at"]});
    world.trigger("/all", json!({"initial": "emit", "compare": compare, "detectDeletes": false}));
    let mut polling = world.polling();
    world.poll(&mut polling).await;
    assert_eq!(world.told(), ["contact.created r00", "contact.created r01"]);
    world.source.put("r00", json!({"n": 0, "at": 99}));
    assert_eq!(outcome(&world.poll(&mut polling).await), PollOutcome::Unchanged);
    world.source.remove("r01");
    assert_eq!(outcome(&world.poll(&mut polling).await), PollOutcome::Unchanged);
    world.source.put("r01", json!({"n": 1}));
    world.poll(&mut polling).await;
    assert_eq!(world.told()[2..], ["contact.created r01"]);
    // Another comparison makes what is known void: the listing is a first one again.
    world.trigger("/all", json!({"compare": {"what": "fields", "fields": ["n"]}}));
    assert_eq!(outcome(&world.poll(&mut polling).await), PollOutcome::Baseline);
    assert_eq!(world.told().len(), 3);
}

/// Property: an incremental poll goes on where the one before ended, tells what it meets again only if it changed, and takes
/// nothing for deleted.
#[tokio::test]
async fn an_incremental_poll_goes_on() {
    let world = World::new().await;
    world.source.fill(5);
    world.trigger("/since?since={{cursor}}", json!({"incremental": {"path": "at"}, "initial": "emit"}));
    let mut polling = world.polling();
    assert_eq!(world.poll(&mut polling).await.cursor, "4");
    assert_eq!(world.told().len(), 5);
    world.source.put("r00", json!({"n": 0, "at": 7}));
    world.source.put("new", json!({"n": 0, "at": 10}));
    world.source.remove("r03");
    assert_eq!(world.poll(&mut polling).await.cursor, "10");
    assert_eq!(world.told()[5..], ["contact.created new", "contact.updated r00 at"]);
    let queries = world.source.state.queries.lock().unwrap().clone();
    assert_eq!(queries, ["", "since=4"]);
}

/// Property: a listing that was cut off takes nothing for deleted; what it saw is told; failures put the next poll off more
/// and more, and the first success ends that.
#[tokio::test]
async fn a_failure_tells_what_it_saw_and_no_more() {
    let world = World::new().await;
    world.source.fill(9);
    world.trigger("/cursor?after={{page}}", json!({"paging": {"mode": "cursor", "path": "paging.after"}}));
    let mut polling = world.polling();
    world.poll(&mut polling).await;
    // Nothing of it is listed on the first page.
    world.source.put("r00", json!({"n": 100}));
    world.source.remove("r08");
    world.source.refuse(2, 500, &[]);
    let failed = world.poll(&mut polling).await;
    assert_eq!(
        (outcome(&failed), detail(&failed), failed.failures),
        (PollOutcome::Failed, "the source answered 500", 1)
    );
    assert!(world.wait().await >= 60);
    assert_eq!(world.told(), [""; 0]);
    world.poll(&mut polling).await;
    assert!(world.wait().await >= 120);
    let now = world.poll(&mut polling).await;
    assert_eq!((outcome(&now), now.failures), (PollOutcome::Changed, 0));
    assert_eq!(world.told().len(), 2);

    // What the first page shows is told, and what the others would is not taken for deleted.
    world.source.put("r00", json!({"n": 200}));
    world.source.state.spare.store(1, Ordering::SeqCst);
    world.source.refuse(1, 500, &[]);
    let cut = world.poll(&mut polling).await;
    assert_eq!((outcome(&cut), cut.records), (PollOutcome::Failed, 8));
    assert_eq!(world.told()[2..], ["contact.updated r00 n"]);

    for (path, why) in [
        ("/none", "the source answered 404"),
        ("/elsewhere", "the link to the next page leads to another host"),
        ("/all?wrong={{secret.KEY}}", "there is no secret KEY"),
    ] {
        world.trigger(path, json!({"paging": {"mode": "link"}}));
        let failed = world.poll(&mut polling).await;
        assert_eq!((outcome(&failed), detail(&failed)), (PollOutcome::Failed, why), "{path}");
    }
    world.trigger("/all?page={{page}}", json!({"paging": {"mode": "page"}}));
    let asked = world.source.asked();
    assert!(detail(&world.poll(&mut polling).await).starts_with("the source gives the same page again"));
    assert_eq!(world.source.asked(), asked + 2);
    world.trigger("/all", json!({"records": "nothing"}));
    assert_eq!(detail(&world.poll(&mut polling).await), "the answer has no array at the path \"nothing\"");
    assert_eq!(world.told().len(), 3);
}

/// Property: a page is read again after a short wait that the source asks for, in the middle of a listing; a long one puts
/// the whole poll off, at least for so long, and takes nothing for deleted.
#[tokio::test]
async fn rate_limits_are_honoured() {
    let world = World::new().await;
    world.source.fill(7);
    world.trigger("/numbers?page={{page}}", json!({"paging": {"mode": "page"}}));
    let mut polling = world.polling();
    world.source.refuse(1, 429, &[("retry-after", "0")]);
    let first = world.poll(&mut polling).await;
    assert_eq!((outcome(&first), first.records), (PollOutcome::Baseline, 7));
    world.source.remove("r06");
    for (status, headers, wait) in [
        (429, vec![("retry-after", "3600")], 3_600),
        (503, vec![("retry-after", "500")], 500),
        (429, vec![("x-ratelimit-reset", "700")], 700),
        (429, vec![("ratelimit", "\"day\";r=0;t=4000")], 4_000),
    ] {
        world.source.refuse(1, status, &headers);
        assert_eq!(outcome(&world.poll(&mut polling).await), PollOutcome::RateLimited, "{headers:?}");
        assert!((wait..wait + 2).contains(&world.wait().await), "{headers:?}: {}", world.wait().await);
    }
    assert_eq!(world.told(), [""; 0]);
    world.source.refuse(1, 429, &[]);
    assert_eq!(outcome(&world.poll(&mut polling).await), PollOutcome::RateLimited);
    assert_eq!(world.wait().await, 900, "the longest interval by now");
    // A last page that says that nothing is left puts off the next poll and loses nothing of this one.
    let headers = vec![("x-ratelimit-remaining", "0".to_owned()), ("x-ratelimit-reset", "0".to_owned())];
    *world.source.state.headers.lock().unwrap() = headers;
    assert_eq!(outcome(&world.poll(&mut polling).await), PollOutcome::Changed);
    assert_eq!(world.told(), ["contact.deleted r06"]);
}

/// Property: changes make polls more frequent and quiet makes them rarer, between the limits.
#[tokio::test]
async fn the_interval_adapts() {
    let world = World::new().await;
    world.source.fill(1);
    world.trigger("/all", json!({"interval": {"minSeconds": 10, "maxSeconds": 40}}));
    let mut polling = world.polling();
    let mut waits = Vec::new();
    for _ in 0..6 {
        world.poll(&mut polling).await;
        waits.push(world.wait().await);
    }
    assert_eq!(waits, [15, 22, 33, 40, 40, 40]);
    for n in 0..3 {
        world.source.put("r00", json!({ "n": 100 + n }));
        world.poll(&mut polling).await;
        waits.push(world.wait().await);
    }
    assert_eq!(waits[6..], [20, 10, 10]);
}

/// Property: each active customer has a poll of its own, with its own events; who is suspended or whose trigger is off is
/// not polled, and hastening and resetting reach only whom they should.
#[tokio::test]
async fn each_customer_has_its_own() {
    let world = World::new().await;
    world.put(ResourceKind::Customer, "d", &json!({"id": "d"}));
    world.put(ResourceKind::Customer, "gone", &json!({"id": "gone", "status": "suspended"}));
    world.source.fill(2);
    world.trigger("/all?who={{customer}}", json!({"initial": "emit"}));
    let mut polling = world.polling();
    assert_eq!(polling.turn().await.unwrap(), 2);
    assert_eq!((world.events("c").len(), world.events("d").len(), world.events("gone").len()), (2, 2, 0));
    assert_eq!(polling.turn().await.unwrap(), 0);
    let asked = world.source.asked();
    let now = world.clock.now();
    assert_eq!(world.polls.hasten(&Reach::Customer(scope("d")), &id(), now).await.unwrap(), 1);
    assert_eq!(polling.turn().await.unwrap(), 1);
    assert_eq!(world.source.asked(), asked + 1);
    assert_eq!(world.polls.reset(&Reach::Customer(scope("d")), &id(), now).await.unwrap(), 1);
    assert_eq!(polling.turn().await.unwrap(), 1);
    assert_eq!((world.events("c").len(), world.events("d").len()), (2, 4), "the first listing again");

    let off = json!({
        "id": "t", "status": "disabled", "routes": [{"workflow": "w"}],
        "source": {"type": "poll", "entity": "x", "key": "id", "request": {"url": world.source.url}},
    });
    world.put(ResourceKind::Trigger, "t", &off);
    let asked = world.source.asked();
    world.clock.pass(Duration::from_secs(3_600));
    assert_eq!(polling.turn().await.unwrap(), 2, "looked at, and put off");
    assert_eq!(world.source.asked(), asked);
    assert!(world.row("c").await.next_at > Timestamp(world.clock.now().0));
}
