//! What quotas and flow control write and the API reads.

use fastn_contract::activity::{EventStatus, ExecutionStatus};
use fastn_contract::quota::{Measure, QuotaOutcome};
use fastn_domain::event::Header;
use fastn_domain::ids::{EventId, ExecutionId};
use fastn_domain::journal::{Flow, Gate, HeldBy};
use fastn_domain::scope::{Reach, Scope};
use fastn_domain::time::Timestamp;
use fastn_store::{ApiCalls, EventFilter, ExecutionRow, PageRequest, Store, UsageFilter};

use super::rows::{batch, end, event, execution, patch, scope, used};

async fn usage(store: &dyn Store, reach: &Reach) -> Vec<(String, Measure, u64)> {
    let page = PageRequest { cursor: None, limit: 1 };
    let mut page = page;
    let mut rows = Vec::new();
    loop {
        let found = store.usage(reach, &UsageFilter::default(), &page).await.expect("lists");
        rows.extend(found.items.into_iter().map(|row| (row.customer, row.measure, row.used)));
        page.cursor = found.next_cursor;
        if page.cursor.is_none() {
            rows.sort();
            return rows;
        }
    }
}

/// Property: what batches and requests add is the sum, by customer; a refused batch adds nothing; making activity anew
/// forgets what the log tells and keeps requests, which only this table knows.
pub(super) async fn batches_and_requests_add_up(store: &dyn Store) {
    let (one, two) = (scope("a", "one"), scope("a", "two"));
    let account = Reach::Account(one.account.clone());
    let mut rows = batch(0, 1);
    rows.usage = vec![used(&one, Measure::Events, 2), used(&two, Measure::Events, 5)];
    store.project(rows.clone()).await.expect("projects");
    store.project(rows).await.expect_err("it does not follow");
    let mut rows = batch(1, 2);
    rows.usage = vec![used(&one, Measure::Events, 3), used(&one, Measure::Steps, 1)];
    store.project(rows).await.expect("projects");
    let calls = |customer: Option<&Scope>, calls| ApiCalls {
        customer: customer.map(|scope| scope.customer.clone()),
        day: 0,
        calls,
    };
    store.count_api_calls(&one.account, vec![calls(Some(&two), 4), calls(None, 1)]).await.expect("counts");
    store.count_api_calls(&one.account, vec![calls(Some(&two), 6)]).await.expect("counts");
    let row = |customer: &str, measure, used| (customer.to_owned(), measure, used);
    let requests = [row("", Measure::ApiCalls, 1), row("two", Measure::ApiCalls, 10)];
    let expected = [
        requests[0].clone(),
        row("one", Measure::Events, 5),
        row("one", Measure::Steps, 1),
        row("two", Measure::Events, 5),
        requests[1].clone(),
    ];
    assert_eq!(usage(store, &account).await, expected);
    assert_eq!(usage(store, &Reach::Customer(two)).await, expected[3..]);
    let filter = UsageFilter { measure: Some(Measure::Steps), ..UsageFilter::default() };
    let steps = store.usage(&account, &filter, &PageRequest::default()).await.expect("lists").items;
    assert_eq!(steps.iter().map(|row| (row.day.as_str(), row.used)).collect::<Vec<_>>(), [("1970-01-01", 1)]);
    let since = UsageFilter { since: Some(Timestamp(86_400_000_000)), ..UsageFilter::default() };
    assert!(store.usage(&account, &since, &PageRequest::default()).await.expect("lists").items.is_empty());
    store.reset_activity().await.expect("resets");
    assert_eq!(usage(store, &account).await, requests);
}

/// Property: a refused event is found by what refused it, does not count, and reads back whole, to be sent once more.
pub(super) async fn a_refused_event_reads_back(store: &dyn Store) {
    let scope = scope("a", "c");
    let reach = Reach::Customer(scope.clone());
    let mut refused = event(&scope, 2);
    (refused.status, refused.quota) = (EventStatus::Rejected, Some(QuotaOutcome::Blocked));
    refused.executions = Vec::new();
    let mut over = event(&scope, 3);
    over.quota = Some(QuotaOutcome::Over);
    let mut rows = batch(0, 1);
    rows.events = vec![event(&scope, 1), refused, over];
    store.project(rows).await.expect("projects");
    let blocked = EventFilter { quota: Some(QuotaOutcome::Blocked), ..EventFilter::default() };
    let found = store.events(&reach, &blocked, &PageRequest::default()).await.expect("lists").items;
    assert_eq!(found.iter().map(|event| event.id.as_str()).collect::<Vec<_>>(), ["evt_2"]);
    assert_eq!(store.events_since(&reach, Timestamp(0)).await.expect("counts"), 2);
    assert_eq!(store.events_since(&reach, Timestamp::from_millis(3_000)).await.expect("counts"), 1);
    let id = EventId::new("evt_2").expect("plain");
    let stored = store.stored_event(&reach, &id).await.expect("reads").expect("is there");
    assert_eq!((stored.scope, stored.data.as_str(), stored.time), (scope, r#"{"n":2}"#, Timestamp::from_millis(1_995)));
    assert!(
        stored.headers == [Header { name: "a".to_owned(), value: "event".to_owned() }]
            && stored.view.quota == Some(QuotaOutcome::Blocked)
    );
}

/// Property: a queued execution waits for its time, then for those ahead of it in its gate, then for its customer's room;
/// one that has ended is waited for by nobody, and one that runs waits for nothing.
pub(super) async fn what_is_waited_for_is_told(store: &dyn Store) {
    let scope = scope("a", "c");
    let reach = Reach::Customer(scope.clone());
    let gate = |key: &str| Gate {
        key: key.to_owned(),
        limit: 1,
        name: "concurrency".to_owned(),
        of: "trigger t_%".to_owned(),
    };
    let row = |n: u64, flow: Option<Flow>| ExecutionRow { flow: flow.map(Box::new), ..execution(&scope, n) };
    let in_gate = |key: &str| Some(Flow { gates: vec![gate(key)], ..Flow::default() });
    let held = Flow {
        not_before: Some(Timestamp(5)),
        limit: Some(HeldBy { limit: "eventsPerMinute".to_owned(), of: "customer c".to_owned() }),
        ..Flow::default()
    };
    let mut rows = batch(0, 1);
    rows.executions = vec![
        row(1, in_gate("k_%\"")),
        row(2, in_gate("k_%\"")),
        row(3, in_gate("kxy\"")),
        row(4, Some(held)),
        row(5, None),
    ];
    store.project(rows).await.expect("projects");
    let told = async |n: u64, now: i64, concurrency: Option<u32>| {
        let id = ExecutionId(u128::from(n));
        let told = store.waiting_on(&reach, id, Timestamp(now), concurrency).await.expect("reads");
        told.map(|waiting| (waiting.limit, waiting.text))
    };
    let concurrency = || ("concurrency".to_owned(), "waiting on the limit concurrency (1) of trigger t_%".to_owned());
    assert_eq!(told(1, 9, None).await, None);
    assert_eq!(told(2, 9, None).await, Some(concurrency()));
    assert_eq!(told(3, 9, None).await, None, "another key is another gate");
    let until = "waiting on the limit eventsPerMinute of customer c until 1970-01-01T00:00:00.000Z";
    assert_eq!(told(4, 4, None).await, Some(("eventsPerMinute".to_owned(), until.to_owned())));
    assert_eq!(told(4, 5, None).await, None);
    let room = "waiting on the limit concurrentExecutions (4) of customer c";
    assert_eq!(told(5, 9, Some(4)).await, Some(("concurrentExecutions".to_owned(), room.to_owned())));
    assert_eq!(told(5, 9, Some(5)).await, None);
    let view = store.execution(&reach, ExecutionId(4)).await.expect("reads").expect("is there");
    assert!(view.waiting_on.is_some_and(|waiting| waiting.until.is_some()), "lists tell times");
    let mut rows = batch(1, 2);
    rows.patches = vec![patch(1, end(ExecutionStatus::Completed, 1))];
    store.project(rows).await.expect("projects");
    assert_eq!(told(2, 9, None).await, None);
    assert_eq!(told(1, 9, None).await, None);
}
