//! What is kept of polls.

use std::sync::Arc;

use fastn_domain::ids::TriggerId;
use fastn_domain::scope::{Reach, Scope};
use fastn_domain::time::Timestamp;
use fastn_store::{PageRequest, PollSave, Polls, Store, StoreErrorKind};

use super::kind;
use super::rows::scope;

const AT: Timestamp = Timestamp::from_millis(1_000);
const LATER: Timestamp = Timestamp::from_millis(9_000);

fn trigger(id: &str) -> TriggerId {
    TriggerId::new(id).expect("plain")
}

async fn leased(polls: &dyn Polls, scope: &Scope, at: Timestamp) -> u64 {
    polls.lease(scope, &trigger("t"), "h", at, LATER).await.expect("writes").expect("it is due").generation
}

fn page() -> PageRequest {
    PageRequest { cursor: None, limit: 10 }
}

/// Property: a poll is begun once, is due from its time on, is held by one at a time, and is due again when the lease is
/// over or the save says so.
pub(super) async fn one_at_a_time_holds_a_poll(store: Arc<dyn Store>) {
    let (polls, own, id) = (store.polls(), scope("a", "c"), trigger("t"));
    for at in [AT, LATER] {
        polls.begin(&own, &id, at).await.expect("writes");
    }
    assert_eq!(polls.due(Timestamp(AT.0 - 1), 9).await.expect("reads"), []);
    assert_eq!(polls.due(AT, 9).await.expect("reads"), [(own.clone(), id.clone())]);
    let until = Timestamp(AT.0 + 50);
    assert!(polls.lease(&own, &id, "h", Timestamp(AT.0 - 1), until).await.expect("writes").is_none(), "not due");
    let first = polls.lease(&own, &id, "h", AT, until).await.expect("writes").expect("due");
    assert_eq!((first.generation, first.body.as_str(), first.outbox), (1_000, "", None));
    assert!(polls.lease(&own, &id, "other", AT, LATER).await.expect("writes").is_none(), "held");
    assert_eq!(polls.due(AT, 9).await.expect("reads"), []);
    assert_eq!(polls.due(until, 9).await.expect("reads").len(), 1, "the lease is over");
    assert!(polls.lease(&own, &id, "other", until, LATER).await.expect("writes").is_some());
    let late = PollSave { generation: 1_000, next_at: LATER, ..PollSave::default() };
    assert_eq!(kind(polls.save(&own, &id, "h", late.clone()).await), StoreErrorKind::Conflict, "another holds it");
    polls.save(&own, &id, "other", late).await.expect("writes");
    assert_eq!(polls.due(Timestamp(LATER.0 - 1), 9).await.expect("reads"), []);
    assert_eq!(polls.due(LATER, 9).await.expect("reads").len(), 1);
    assert!(polls.lease(&own, &trigger("none"), "h", LATER, LATER).await.expect("writes").is_none());
}

/// Property: a save is whole or nothing, happens once for a generation, and only after nothing came in between.
pub(super) async fn a_save_is_whole_and_once(store: Arc<dyn Store>) {
    let (polls, own, id) = (store.polls(), scope("a", "c"), trigger("t"));
    polls.begin(&own, &id, AT).await.expect("writes");
    let generation = leased(polls.as_ref(), &own, AT).await;
    let save = PollSave {
        generation,
        body: "one".to_owned(),
        next_at: AT,
        lease_until: Some(Timestamp(AT.0 + 1)),
        outbox: Some(vec![7, 0, 255]),
        anew: true,
        chunks: vec![(0, Some(vec![1])), (3, Some(vec![2, 0]))],
    };
    polls.save(&own, &id, "h", save.clone()).await.expect("writes");
    let other = PollSave { chunks: vec![(0, Some(vec![9]))], ..save };
    assert_eq!(kind(polls.save(&own, &id, "h", other).await), StoreErrorKind::Conflict);
    assert_eq!(polls.chunks(&own, &id).await.expect("reads"), [(0, vec![1]), (3, vec![2, 0])]);
    let again = polls.lease(&own, &id, "h", Timestamp(AT.0 + 1), LATER).await.expect("writes").expect("due");
    assert_eq!((again.generation, again.body.as_str()), (generation + 1, "one"));
    assert_eq!(again.outbox, Some(vec![7, 0, 255]));

    let some = PollSave {
        generation: generation + 1,
        body: "two".to_owned(),
        next_at: AT,
        chunks: vec![(0, None), (1, Some(vec![4])), (3, Some(vec![5]))],
        ..PollSave::default()
    };
    polls.save(&own, &id, "h", some).await.expect("writes");
    assert_eq!(polls.chunks(&own, &id).await.expect("reads"), [(1, vec![4]), (3, vec![5])]);
    let third = polls.lease(&own, &id, "h", AT, LATER).await.expect("writes").expect("due, and held no more");
    assert_eq!((third.body.as_str(), third.outbox), ("two", None));

    let outbox = Some(vec![1]);
    let save = PollSave { generation: generation + 2, next_at: LATER, outbox: outbox.clone(), ..PollSave::default() };
    polls.save(&own, &id, "h", save.clone()).await.expect("writes");
    let reach = Reach::Customer(own.clone());
    assert_eq!(polls.reset(&reach, &id, AT).await.expect("writes"), 1);
    let late = PollSave { generation: generation + 3, ..save };
    assert_eq!(kind(polls.save(&own, &id, "h", late).await), StoreErrorKind::Conflict, "a reset came in between");
    assert_eq!(polls.chunks(&own, &id).await.expect("reads"), []);
    let fresh = polls.lease(&own, &id, "h", AT, LATER).await.expect("writes").expect("due");
    assert_eq!((fresh.generation, fresh.body.as_str(), fresh.outbox), (generation + 4, "", outbox));

    polls.forget(&own.account, &id).await.expect("writes");
    assert!(polls.list(&reach, &id, &page()).await.expect("reads").items.is_empty());
    let gone = PollSave { generation: generation + 4, ..PollSave::default() };
    assert_eq!(kind(polls.save(&own, &id, "h", gone).await), StoreErrorKind::Conflict);
}

/// Property: lists page by customer, and hastening makes nothing later than it was.
pub(super) async fn polls_are_listed_and_hastened(store: Arc<dyn Store>) {
    let (polls, id) = (store.polls(), trigger("t"));
    for (customer, at) in [("c", 10), ("b", 30), ("d", 20)] {
        polls.begin(&scope("a", customer), &id, Timestamp(at)).await.expect("writes");
    }
    let reach = Reach::Account(scope("a", "c").account);
    let mut seen = Vec::new();
    let mut page = PageRequest { cursor: None, limit: 2 };
    loop {
        let found = polls.list(&reach, &id, &page).await.expect("reads");
        seen.extend(found.items.into_iter().map(|row| (row.customer.to_string(), row.next_at.0)));
        page.cursor = found.next_cursor;
        if page.cursor.is_none() {
            break;
        }
    }
    assert_eq!(seen, [("b".to_owned(), 30), ("c".to_owned(), 10), ("d".to_owned(), 20)]);
    let due: Vec<_> = polls.due(LATER, 2).await.expect("reads").into_iter().map(|(own, _)| own.customer).collect();
    assert_eq!(due, [scope("a", "c").customer, scope("a", "d").customer], "those due longest come first");
    assert_eq!(polls.hasten(&reach, &id, Timestamp(15)).await.expect("writes"), 3);
    let page = PageRequest { cursor: None, limit: 9 };
    let items = polls.list(&reach, &id, &page).await.expect("reads").items;
    assert_eq!(items.iter().map(|row| row.next_at.0).collect::<Vec<_>>(), [15, 10, 15]);
}

/// Property: no customer and no other account sees or changes a poll or its snapshot.
pub(super) async fn polls_end_at_their_reach(store: Arc<dyn Store>) {
    let (polls, own, id) = (store.polls(), scope("a", "c"), trigger("t"));
    polls.begin(&own, &id, AT).await.expect("writes");
    let generation = leased(polls.as_ref(), &own, AT).await;
    let kept = PollSave {
        generation,
        body: "own".to_owned(),
        next_at: AT,
        chunks: vec![(0, Some(vec![1]))],
        ..PollSave::default()
    };
    polls.save(&own, &id, "h", kept.clone()).await.expect("writes");
    for stranger in [scope("a", "d"), scope("b", "c")] {
        let reach = Reach::Customer(stranger.clone());
        assert!(polls.list(&reach, &id, &page()).await.expect("reads").items.is_empty());
        assert!(polls.chunks(&stranger, &id).await.expect("reads").is_empty());
        assert!(polls.lease(&stranger, &id, "h", LATER, LATER).await.expect("writes").is_none());
        assert_eq!(kind(polls.save(&stranger, &id, "h", kept.clone()).await), StoreErrorKind::Conflict);
        assert_eq!(polls.hasten(&reach, &id, Timestamp(0)).await.expect("writes"), 0);
        assert_eq!(polls.reset(&reach, &id, Timestamp(0)).await.expect("writes"), 0);
    }
    let other = scope("b", "c").account;
    polls.forget(&other, &id).await.expect("writes");
    assert!(polls.list(&Reach::Account(other), &id, &page()).await.expect("reads").items.is_empty());
    let reach = Reach::Account(own.account.clone());
    let row = polls.list(&reach, &id, &page()).await.expect("reads").items.remove(0);
    assert_eq!((row.body.as_str(), row.next_at), ("own", AT));
    assert_eq!(polls.chunks(&own, &id).await.expect("reads"), [(0, vec![1])]);
}
