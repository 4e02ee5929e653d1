//! Resources, their feed, and remembered answers.

use fastn_domain::catalog::{ResourceKind, ResourceRow};
use fastn_domain::ids::{AccountId, CustomerId};
use fastn_domain::scope::{Reach, Scope};
use fastn_store::{Expect, PageRequest, RememberedAnswer, ResourceWrite, Store, StoreErrorKind};

use super::{kind, scope};

const WORKFLOW: ResourceKind = ResourceKind::Workflow;

fn account(id: &str) -> AccountId {
    AccountId::new(id).expect("plain")
}

fn write(id: &str, body: Option<&str>, expect: Expect) -> ResourceWrite {
    ResourceWrite { kind: WORKFLOW, customer: None, id: id.to_owned(), body: body.map(str::to_owned), expect }
}

fn of_customer(kind: ResourceKind, id: &str, customer: &str) -> ResourceWrite {
    let customer = Some(CustomerId::new(customer).expect("plain"));
    ResourceWrite { kind, customer, ..write(id, Some("{}"), Expect::New) }
}

async fn put(store: &dyn Store, writes: Vec<ResourceWrite>) -> Vec<ResourceRow> {
    store.write(&account("a"), writes).await.expect("the write fits")
}

async fn read(store: &dyn Store, id: &str) -> Option<ResourceRow> {
    store.resource(&Reach::Account(account("a")), WORKFLOW, id).await.expect("reads")
}

/// Property: a write goes through only if it finds what it expects, each change raises version and revision by itself,
/// and writing the same body changes nothing.
pub(super) async fn a_write_sees_what_it_expects_or_changes_nothing(store: &dyn Store) {
    let first = put(store, vec![write("w", Some("1"), Expect::New)]).await.remove(0);
    assert_eq!((first.version, first.deleted, first.body.as_str()), (1, false, "1"));
    let a = account("a");
    let attempt = |write| store.write(&a, vec![write]);
    assert_eq!(kind(attempt(write("w", Some("2"), Expect::New)).await), StoreErrorKind::Conflict);
    assert_eq!(kind(attempt(write("w", Some("2"), Expect::Version(2))).await), StoreErrorKind::Conflict);
    assert_eq!(kind(attempt(write("w", None, Expect::Version(7))).await), StoreErrorKind::Conflict);
    assert_eq!(kind(attempt(write("x", Some("2"), Expect::Version(1))).await), StoreErrorKind::NotFound);
    assert_eq!(kind(attempt(write("x", None, Expect::Any)).await), StoreErrorKind::NotFound);
    assert_eq!(read(store, "w").await, Some(first.clone()));

    let same = put(store, vec![write("w", Some("1"), Expect::Any)]).await.remove(0);
    assert_eq!(same, first);
    let second = put(store, vec![write("w", Some("2"), Expect::Version(1))]).await.remove(0);
    assert!(second.version == 2 && second.revision > first.revision && second.created == first.created);
    assert_eq!(kind(attempt(write("w", Some("3"), Expect::Version(1))).await), StoreErrorKind::Conflict);
    assert_eq!(read(store, "w").await, Some(second));
}

/// Property: the feed gives every row once, at its newest revision, in the order of revisions, from any place on.
pub(super) async fn revisions_order_the_feed(store: &dyn Store) {
    for n in 0..5 {
        let id = format!("w{n}");
        put(store, vec![write(&id, Some("1"), Expect::New)]).await;
        store.write(&account("b"), vec![write(&id, Some("1"), Expect::New)]).await.expect("another account's own");
    }
    let newest = put(store, vec![write("w0", Some("2"), Expect::Any)]).await.remove(0);
    let all = store.changes(0, 100).await.expect("reads");
    assert_eq!(all.len(), 10);
    assert!(all.windows(2).all(|pair| pair[0].revision < pair[1].revision));
    assert_eq!(all.last(), Some(&newest));
    let mut paged = Vec::new();
    loop {
        let after = paged.last().map_or(0, |row: &ResourceRow| row.revision);
        let page = store.changes(after, 3).await.expect("reads");
        if page.is_empty() {
            break;
        }
        paged.extend(page);
    }
    assert_eq!(paged, all);
    assert!(store.changes(newest.revision, 100).await.expect("reads").is_empty());
    if let Some(written) = store.written() {
        assert_eq!(*written.borrow(), newest.revision);
    }
}

/// Property: if one write of several is refused, none has happened.
pub(super) async fn writes_are_all_or_none(store: &dyn Store) {
    put(store, vec![write("old", Some("1"), Expect::New)]).await;
    let writes = vec![write("new", Some("1"), Expect::New), write("old", Some("2"), Expect::New)];
    assert_eq!(kind(store.write(&account("a"), writes).await), StoreErrorKind::Conflict);
    assert_eq!(read(store, "new").await, None);
    assert_eq!(store.changes(0, 100).await.expect("reads").len(), 1);
    let both =
        put(store, vec![write("new", Some("1"), Expect::New), write("new", Some("2"), Expect::Version(1))]).await;
    assert!(both[0].revision < both[1].revision, "a later write of a batch sees the earlier one");
}

/// Property: a deleted row is gone from reads and lists, stays in the feed with its body, and can be made anew at a
/// higher version. Of a deleted secret nothing is kept.
pub(super) async fn deleted_rows_stay_in_the_feed_only(store: &dyn Store) {
    put(store, vec![write("w", Some("body"), Expect::New)]).await;
    let gone = put(store, vec![write("w", None, Expect::Version(1))]).await.remove(0);
    assert!(gone.deleted && gone.version == 2 && gone.body == "body");
    assert_eq!(read(store, "w").await, None);
    let reach = Reach::Account(account("a"));
    assert!(store.resources(&reach, WORKFLOW, &PageRequest::default()).await.expect("lists").items.is_empty());
    assert_eq!(store.changes(0, 100).await.expect("reads"), vec![gone.clone()]);
    let anew = put(store, vec![write("w", Some("body"), Expect::New)]).await.remove(0);
    assert!(!anew.deleted && anew.version == 3 && anew.revision > gone.revision);

    let secret = |body: Option<&str>| ResourceWrite { kind: ResourceKind::Secret, ..write("S", body, Expect::Any) };
    put(store, vec![secret(Some("sealed"))]).await;
    let gone = put(store, vec![secret(None)]).await.remove(0);
    assert!(gone.deleted && !gone.body.contains("sealed"));
}

/// Property: a customer's reach sees its own rows and the account's; nobody sees another customer's or account's rows.
pub(super) async fn nobody_reads_beyond_his_reach(store: &dyn Store) {
    let of_c = ResourceKind::Secret;
    put(store, vec![write("shared", Some("{}"), Expect::New)]).await;
    put(store, vec![of_customer(of_c, "c/K", "c"), of_customer(of_c, "d/K", "d")]).await;
    let customer = Reach::Customer(scope("a", "c"));
    let sees = |reach: Reach, kind: ResourceKind, id: &'static str| async move {
        store.resource(&reach, kind, id).await.expect("reads").is_some()
    };
    assert!(sees(customer.clone(), WORKFLOW, "shared").await);
    assert!(sees(customer.clone(), of_c, "c/K").await);
    assert!(!sees(customer.clone(), of_c, "d/K").await);
    assert!(sees(Reach::Account(account("a")), of_c, "d/K").await);
    for stranger in [Reach::Account(account("b")), Reach::Customer(scope("b", "c"))] {
        assert!(!sees(stranger.clone(), WORKFLOW, "shared").await);
        assert!(!sees(stranger.clone(), of_c, "c/K").await);
        let listed = store.resources(&stranger, of_c, &PageRequest::default()).await.expect("lists");
        assert!(listed.items.is_empty());
    }
    let listed = store.resources(&customer, of_c, &PageRequest::default()).await.expect("lists");
    assert_eq!(listed.items.iter().map(|row| row.id.as_str()).collect::<Vec<_>>(), ["c/K"]);
    let taken = ResourceWrite { expect: Expect::Any, body: Some("mine".to_owned()), ..of_customer(of_c, "c/K", "d") };
    assert_eq!(kind(store.write(&account("a"), vec![taken]).await), StoreErrorKind::Conflict);
}

/// Property: pages by cursor give every row once, in order of id; a cursor of another list is refused.
pub(super) async fn resources_page_without_gap_or_repeat(store: &dyn Store) {
    let writes = (0..7).map(|n| write(&format!("w{n}"), Some("{}"), Expect::New)).collect();
    put(store, writes).await;
    let reach = Reach::Account(account("a"));
    let mut page = PageRequest { cursor: None, limit: 3 };
    let mut ids = Vec::new();
    loop {
        let got = store.resources(&reach, WORKFLOW, &page).await.expect("lists");
        assert!(got.items.len() <= 3);
        ids.extend(got.items.into_iter().map(|row| row.id));
        let Some(next) = got.next_cursor else { break };
        let elsewhere = PageRequest { cursor: Some(next.clone()), limit: 3 };
        let refused = store.resources(&reach, ResourceKind::Trigger, &elsewhere).await;
        assert_eq!(kind(refused), StoreErrorKind::BadCursor);
        page.cursor = Some(next);
    }
    assert_eq!(ids, (0..7).map(|n| format!("w{n}")).collect::<Vec<_>>());
}

/// Property: no two accounts have a trigger of the same id, since the id is a public URL; a deleted one frees it.
pub(super) async fn trigger_urls_are_unique(store: &dyn Store) {
    let trigger = |body: Option<&str>| ResourceWrite { kind: ResourceKind::Trigger, ..write("t", body, Expect::Any) };
    put(store, vec![trigger(Some("{}"))]).await;
    let theirs = store.write(&account("b"), vec![trigger(Some("{}"))]).await;
    assert_eq!(kind(theirs), StoreErrorKind::Conflict);
    put(store, vec![trigger(None)]).await;
    store.write(&account("b"), vec![trigger(Some("{}"))]).await.expect("the id is free again");
}

/// Property: the first answer under a key stays, for the reach that gave it and for no other.
pub(super) async fn an_answer_is_remembered_once(store: &dyn Store) {
    let answer = |body: &str| RememberedAnswer { fingerprint: "f".to_owned(), status: 201, body: body.to_owned() };
    let customer = |customer: &str| Reach::Customer(Scope::parse("a", customer).expect("plain"));
    let own = customer("c");
    assert_eq!(store.recall(&own, "k").await.expect("reads"), None);
    assert_eq!(store.remember(&own, "k", answer("first")).await.expect("writes"), None);
    assert_eq!(store.remember(&own, "k", answer("second")).await.expect("writes"), Some(answer("first")));
    assert_eq!(store.recall(&own, "k").await.expect("reads"), Some(answer("first")));
    for other in [customer("d"), Reach::Account(account("a")), Reach::Account(account("b"))] {
        assert_eq!(store.recall(&other, "k").await.expect("reads"), None, "{other:?}");
    }
}
