//! What the projector writes and the API reads.

use fastn_contract::activity::{DeadLetterStatus, EventStatus, ExecutionStatus, ExecutionView};
use fastn_contract::flow::Priority;
use fastn_domain::ids::{AccountId, EventId, ExecutionId};
use fastn_domain::journal::{OpRecord, Wait, WaitKind};
use fastn_domain::scope::{Reach, Scope};
use fastn_domain::time::Timestamp;
use fastn_store::{EventFilter, ExecutionFilter, PageRequest, Position, ProjectionBatch, Store, StoreErrorKind};
use serde_json::json;

use super::kind;
use super::rows::{batch, end, event, execution, patch, scope, state};

fn id(n: u64) -> ExecutionId {
    ExecutionId(u128::from(n))
}

fn customer(scope: &Scope) -> Reach {
    Reach::Customer(scope.clone())
}

async fn project(store: &dyn Store, batch: ProjectionBatch) {
    store.project(batch).await.expect("the batch follows");
}

async fn view(store: &dyn Store, scope: &Scope, n: u64) -> ExecutionView {
    store.execution(&customer(scope), id(n)).await.expect("reads").expect("is there")
}

fn result(key: &str, ok: Option<&str>) -> OpRecord {
    OpRecord {
        key: key.to_owned(),
        kind: "fetch".to_owned(),
        started: Timestamp(1),
        at: Timestamp(2),
        attempts: 1,
        ok: ok.map(str::to_owned),
        error: None,
    }
}

fn wait(key: &str) -> Wait {
    Wait { key: key.to_owned(), kind: WaitKind::Sleep, started: Timestamp(1), until: None, detail: None }
}

/// A list of `n` completed executions of one customer, with their events.
async fn completed(store: &dyn Store, scope: &Scope, numbers: std::ops::Range<u64>) {
    let mut rows = batch(numbers.start, numbers.end);
    for n in numbers {
        rows.events.push(event(scope, n));
        let mut row = execution(scope, n);
        row.state = end(ExecutionStatus::Completed, n);
        rows.executions.push(row);
    }
    project(store, rows).await;
}

/// Property: events and executions read back as they were written, payloads only one by one.
pub(super) async fn a_batch_reads_back(store: &dyn Store) {
    let scope = scope("a", "c");
    completed(store, &scope, 0..3).await;
    let reach = customer(&scope);
    let one = store.event(&reach, &EventId::new("evt_1").expect("plain")).await.expect("reads").expect("is there");
    assert_eq!(one.data, Some(json!({"n": 1})));
    assert_eq!(one.received_at, "1970-01-01T00:00:01.000Z");
    assert_eq!(one.executions, [id(1).to_string()]);
    assert_eq!(one.priority, Some(Priority::P3));
    let listed = store.events(&reach, &EventFilter::default(), &PageRequest::default()).await.expect("lists");
    assert_eq!(listed.items.iter().map(|event| event.id.as_str()).collect::<Vec<_>>(), ["evt_2", "evt_1", "evt_0"]);
    assert!(listed.items.iter().all(|event| event.data.is_none()) && listed.next_cursor.is_none());
    assert_eq!(listed.items[0].priority, None);

    let seen = view(store, &scope, 1).await;
    assert_eq!((seen.status, seen.step_count, seen.duration_ms), (ExecutionStatus::Completed, 1, Some(500)));
    assert_eq!((seen.input, seen.output), (Some(json!({"n": 1})), Some(json!({"ok": true}))));
    let step = &seen.steps.expect("steps of a single one")[0];
    assert_eq!((step.status.as_str(), step.input.clone()), ("completed", Some(json!({"a": 1}))));
    assert_eq!(step.output, Some(json!("{\"cut")), "a payload that was cut is a text");
    assert_eq!(seen.logs.expect("logs")[0].message, "hello");
    let listed = store.executions(&reach, &ExecutionFilter::default(), &PageRequest::default()).await.expect("lists");
    assert_eq!(listed.items.len(), 3);
    assert!(listed.items.iter().all(|row| row.input.is_none() && row.output.is_none() && row.steps.is_none()));

    let source = store.replay_source(&reach, id(1)).await.expect("reads").expect("is there");
    assert_eq!((source.input.as_str(), source.event_kind.as_str()), (r#"{"n":1}"#, "order.created"));
    assert_eq!(source.headers, r#"[{"name":"a","value":"route"}]"#, "the route's header stands over the event's");
    assert!(source.results.is_empty() && source.scope == scope);
}

/// Property: however the journal is cut into batches, the rows are the same: results and waits add up.
pub(super) async fn an_execution_in_two_batches_reads_like_in_one(store: &dyn Store) {
    let scope = scope("a", "c");
    let mut whole = execution(&scope, 1);
    whole.state = end(ExecutionStatus::Failed, 1);
    whole.state.results = vec![result("a#1", Some("1")), result("b#1", None), result("c#1", Some("3"))];
    let mut rows = batch(0, 1);
    rows.executions = vec![whole, execution(&scope, 2)];
    rows.events = vec![event(&scope, 1), event(&scope, 2)];
    project(store, rows).await;

    let mut going = state(ExecutionStatus::Waiting);
    going.results = vec![result("a#1", Some("1"))];
    going.waits = vec![wait("nap#1")];
    let mut rows = batch(1, 2);
    rows.patches = vec![patch(2, going.clone())];
    project(store, rows).await;
    let seen = view(store, &scope, 2).await;
    assert_eq!((seen.status, seen.step_count), (ExecutionStatus::Waiting, 1));
    let steps = seen.steps.expect("steps");
    assert_eq!(steps.iter().map(|step| step.status.as_str()).collect::<Vec<_>>(), ["completed", "waiting"]);

    going.results = vec![result("b#1", None)];
    going.waits = vec![];
    let mut rows = batch(2, 3);
    rows.patches = vec![patch(2, going)];
    project(store, rows).await;
    let mut last = end(ExecutionStatus::Failed, 2);
    last.results = vec![result("c#1", Some("3"))];
    let mut rows = batch(3, 4);
    rows.patches = vec![patch(2, last)];
    project(store, rows).await;

    let (one, two) = (view(store, &scope, 1).await, view(store, &scope, 2).await);
    assert_eq!((two.status, two.step_count, two.duration_ms), (one.status, one.step_count, one.duration_ms));
    assert_eq!((two.error.clone(), two.output.clone()), (one.error.clone(), one.output.clone()));
    assert_eq!(two.steps.map(|steps| steps.len()), one.steps.map(|steps| steps.len()));
    let (one, two) = (results(store, &scope, 1).await, results(store, &scope, 2).await);
    assert_eq!(one, vec![result("a#1", Some("1")), result("c#1", Some("3"))]);
    assert_eq!(two, one);
}

async fn results(store: &dyn Store, scope: &Scope, n: u64) -> Vec<OpRecord> {
    store.replay_source(&customer(scope), id(n)).await.expect("reads").expect("is there").results
}

/// Property: a patch of an execution that has ended, or is not there, changes nothing; saying one again replaces it.
pub(super) async fn patches_change_only_what_lives(store: &dyn Store) {
    let scope = scope("a", "c");
    completed(store, &scope, 0..2).await;
    let before = view(store, &scope, 1).await;
    let mut rows = batch(2, 3);
    rows.patches = vec![patch(1, end(ExecutionStatus::Failed, 9)), patch(7, end(ExecutionStatus::Failed, 7))];
    project(store, rows).await;
    assert_eq!(view(store, &scope, 1).await, before);
    assert_eq!(store.execution(&customer(&scope), id(7)).await.expect("reads"), None);
    let letters = store.dead_letters(&customer(&scope), None, None, &PageRequest::default()).await.expect("lists");
    assert!(letters.items.is_empty());

    let mut rows = batch(3, 4);
    let mut again = execution(&scope, 1);
    again.state.attempt = 2;
    rows.executions = vec![again];
    project(store, rows).await;
    let seen = view(store, &scope, 1).await;
    assert_eq!((seen.status, seen.attempt, seen.finished_at, seen.output), (ExecutionStatus::Queued, 2, None, None));
}

/// Property: no read shows another customer's or another account's activity, not even when asked by id.
pub(super) async fn activity_ends_at_its_reach(store: &dyn Store) {
    let own = scope("a", "c");
    let mut rows = batch(0, 1);
    rows.events = vec![event(&own, 1)];
    let mut failed = execution(&own, 1);
    failed.state = end(ExecutionStatus::Failed, 1);
    rows.executions = vec![failed];
    project(store, rows).await;
    let page = PageRequest::default();
    let account = |name: &str| Reach::Account(AccountId::new(name).expect("plain"));
    let reaches = [
        (customer(&own), true),
        (account("a"), true),
        (customer(&scope("a", "d")), false),
        (customer(&scope("b", "c")), false),
        (account("b"), false),
    ];
    let event_id = EventId::new("evt_1").expect("plain");
    for (reach, sees) in reaches {
        let rows = usize::from(sees);
        let events = store.events(&reach, &EventFilter::default(), &page).await.expect("lists");
        assert_eq!(events.items.len(), rows, "{reach:?}");
        assert_eq!(store.event(&reach, &event_id).await.expect("reads").is_some(), sees, "{reach:?}");
        let executions = store.executions(&reach, &ExecutionFilter::default(), &page).await.expect("lists");
        assert_eq!(executions.items.len(), rows, "{reach:?}");
        let by_event = ExecutionFilter { event_id: Some("evt_1".to_owned()), ..ExecutionFilter::default() };
        assert_eq!(store.executions(&reach, &by_event, &page).await.expect("lists").items.len(), rows, "{reach:?}");
        assert_eq!(store.execution(&reach, id(1)).await.expect("reads").is_some(), sees, "{reach:?}");
        assert_eq!(store.replay_source(&reach, id(1)).await.expect("reads").is_some(), sees, "{reach:?}");
        let letters = store.dead_letters(&reach, None, None, &page).await.expect("lists");
        assert_eq!(letters.items.len(), rows, "{reach:?}");
        assert_eq!(store.dead_letter(&reach, id(1)).await.expect("reads").is_some(), sees, "{reach:?}");
    }
}

/// Property: pages give every row once, newest first, also where times are equal; filters keep what they say.
pub(super) async fn lists_page_and_filter(store: &dyn Store) {
    let scope = scope("a", "c");
    let mut rows = batch(0, 10);
    for n in 0..10 {
        let mut one = event(&scope, n);
        one.received = Timestamp::from_millis(n as i64 / 4);
        one.status = if n == 3 { EventStatus::Unmatched } else { EventStatus::Delivered };
        rows.events.push(one);
        let mut row = execution(&scope, n);
        row.created = Timestamp::from_millis(n as i64 / 4);
        row.state = end(if n % 3 == 0 { ExecutionStatus::Failed } else { ExecutionStatus::Completed }, n);
        rows.executions.push(row);
    }
    project(store, rows).await;
    for reach in [customer(&scope), Reach::Account(scope.account.clone())] {
        let mut page = PageRequest { cursor: None, limit: 3 };
        let (mut events, mut executions) = (Vec::new(), Vec::new());
        loop {
            let got = store.events(&reach, &EventFilter::default(), &page).await.expect("lists");
            events.extend(got.items.into_iter().map(|event| event.id));
            page.cursor = got.next_cursor;
            if page.cursor.is_none() {
                break;
            }
        }
        loop {
            let got = store.executions(&reach, &ExecutionFilter::default(), &page).await.expect("lists");
            executions.extend(got.items.into_iter().map(|row| row.event_id));
            page.cursor = got.next_cursor;
            if page.cursor.is_none() {
                break;
            }
        }
        let newest_first: Vec<String> = (0..10).rev().map(|n| format!("evt_{n}")).collect();
        assert_eq!(events, newest_first);
        assert_eq!(executions, newest_first);
    }
    let reach = customer(&scope);
    let all = PageRequest::default();
    let count =
        async |filter: ExecutionFilter| store.executions(&reach, &filter, &all).await.expect("lists").items.len();
    let filter = ExecutionFilter::default;
    assert_eq!(count(ExecutionFilter { status: Some(ExecutionStatus::Failed), ..filter() }).await, 4);
    assert_eq!(count(ExecutionFilter { status: Some(ExecutionStatus::Completed), ..filter() }).await, 6);
    assert_eq!(count(ExecutionFilter { workflow: Some("other".to_owned()), ..filter() }).await, 0);
    assert_eq!(count(ExecutionFilter { workflow: Some("triage".to_owned()), ..filter() }).await, 10);
    assert_eq!(count(ExecutionFilter { since: Some(Timestamp::from_millis(2)), ..filter() }).await, 2);
    assert_eq!(count(ExecutionFilter { until: Some(Timestamp::from_millis(1)), ..filter() }).await, 4);
    let odd = EventFilter { status: Some(EventStatus::Unmatched), ..EventFilter::default() };
    assert_eq!(store.events(&reach, &odd, &all).await.expect("lists").items.len(), 1);
    let letters =
        store.dead_letters(&reach, Some(DeadLetterStatus::Pending), Some("triage"), &all).await.expect("lists");
    assert_eq!(letters.items.len(), 4);
}

/// Property: a cursor of another list, or no cursor at all, is refused and never ignored.
pub(super) async fn foreign_cursors_are_refused(store: &dyn Store) {
    let scope = scope("a", "c");
    completed(store, &scope, 0..3).await;
    let reach = customer(&scope);
    let first = PageRequest { cursor: None, limit: 1 };
    let cursor = store.events(&reach, &EventFilter::default(), &first).await.expect("lists").next_cursor;
    assert!(cursor.is_some());
    for cursor in [cursor.expect("more than one row"), "nonsense".to_owned(), String::new()] {
        let page = PageRequest { cursor: Some(cursor), limit: 1 };
        let listed = store.executions(&reach, &ExecutionFilter::default(), &page).await;
        assert_eq!(kind(listed), StoreErrorKind::BadCursor);
        assert_eq!(kind(store.dead_letters(&reach, None, None, &page).await), StoreErrorKind::BadCursor);
    }
}

/// Property: an execution that failed or timed out is a dead letter, one that was cancelled is not; once a replay of it
/// starts it counts as replayed and names the replay.
pub(super) async fn dead_letters_follow_failures_and_replays(store: &dyn Store) {
    let scope = scope("a", "c");
    let reach = customer(&scope);
    let mut rows = batch(0, 1);
    rows.executions = (1..=3).map(|n| execution(&scope, n)).collect();
    let mut straight = execution(&scope, 4);
    straight.state = end(ExecutionStatus::Failed, 4);
    rows.executions.push(straight);
    project(store, rows).await;
    let mut rows = batch(1, 2);
    let ends = [ExecutionStatus::Failed, ExecutionStatus::Timeout, ExecutionStatus::Cancelled];
    rows.patches = ends.into_iter().zip(1..).map(|(status, n)| patch(n, end(status, n))).collect();
    project(store, rows).await;
    let pending = Some(DeadLetterStatus::Pending);
    let page = PageRequest::default();
    let letters = store.dead_letters(&reach, pending, None, &page).await.expect("lists").items;
    let ids: Vec<_> = letters.iter().map(|letter| letter.id.clone()).collect();
    assert_eq!(ids, [id(4).to_string(), id(2).to_string(), id(1).to_string()]);
    assert_eq!(letters[0].error.message, "x is not a function");

    let mut rows = batch(2, 3);
    let mut replay = execution(&scope, 10);
    replay.replay_of = Some(id(1));
    rows.executions = vec![replay];
    project(store, rows).await;
    let letter = store.dead_letter(&reach, id(1)).await.expect("reads").expect("is there");
    assert_eq!((letter.status, letter.replays), (DeadLetterStatus::Replayed, vec![id(10).to_string()]));
    assert_eq!(store.dead_letters(&reach, pending, None, &page).await.expect("lists").items.len(), 2);
    assert_eq!(view(store, &scope, 10).await.replay_of, Some(id(1).to_string()));
}

/// Property: a batch is taken only where the one before it ended, epoch included.
pub(super) async fn positions_must_follow(store: &dyn Store) {
    assert_eq!(store.position(0).await.expect("reads"), Position::default());
    project(store, batch(0, 5)).await;
    assert_eq!(store.position(0).await.expect("reads"), Position { next: 5, epoch: 1 });
    assert_eq!(store.projected(0).await.expect("reads"), 5);
    assert_eq!(store.projected(1).await.expect("reads"), 0);
    for (from, to) in [(0, 5), (4, 6), (6, 7)] {
        assert_eq!(kind(store.project(batch(from, to)).await), StoreErrorKind::Conflict, "{from}..{to}");
    }
    let mut older = batch(5, 6);
    older.advances[0].from.epoch = 0;
    assert_eq!(kind(store.project(older).await), StoreErrorKind::Conflict);
    project(store, batch(5, 6)).await;
}

/// Property: a batch that is refused leaves no row behind, whichever of its partitions it is refused for.
pub(super) async fn a_refused_batch_changes_nothing(store: &dyn Store) {
    let scope = scope("a", "c");
    completed(store, &scope, 0..3).await;
    let mut rows = batch(3, 4);
    let mut second = rows.advances[0];
    second.partition = 1;
    rows.advances.push(second);
    rows.events = vec![event(&scope, 8)];
    rows.executions = vec![execution(&scope, 8)];
    assert_eq!(kind(store.project(rows).await), StoreErrorKind::Conflict);
    assert_eq!(store.projected(0).await.expect("reads"), 3);
    assert_eq!(store.execution(&customer(&scope), id(8)).await.expect("reads"), None);
    let events = store.events(&customer(&scope), &EventFilter::default(), &PageRequest::default()).await;
    assert_eq!(events.expect("lists").items.len(), 3);
}

/// Property: pruning deletes what ended before the time, and neither what lives, nor its event, nor what is younger.
pub(super) async fn pruning_spares_the_living_and_their_input(store: &dyn Store) {
    let scope = scope("a", "c");
    let reach = customer(&scope);
    completed(store, &scope, 0..20).await;
    let mut rows = batch(20, 21);
    rows.executions = vec![execution(&scope, 3)];
    let mut failed = execution(&scope, 4);
    failed.state = end(ExecutionStatus::Failed, 4);
    rows.executions.push(failed);
    project(store, rows).await;
    let before = Timestamp::from_millis(10_000);
    let mut gone = 0;
    loop {
        let now = store.prune(before, 4).await.expect("prunes");
        if now == 0 {
            break;
        }
        gone += now;
    }
    assert_eq!(gone, 9 + 9);
    let page = PageRequest { cursor: None, limit: 100 };
    let left = store.executions(&reach, &ExecutionFilter::default(), &page).await.expect("lists").items;
    assert_eq!(left.len(), 11);
    assert_eq!(store.events(&reach, &EventFilter::default(), &page).await.expect("lists").items.len(), 11);
    assert_eq!(view(store, &scope, 3).await.input, Some(json!({"n": 3})));
    let letter = store.dead_letter(&reach, id(4)).await.expect("reads");
    assert!(letter.is_none_or(|letter| letter.status == DeadLetterStatus::Expired));
}

/// Property: after a reset there is no activity and no position, and configuration is untouched by it.
pub(super) async fn reset_empties_activity_and_positions(store: &dyn Store) {
    let scope = scope("a", "c");
    completed(store, &scope, 0..3).await;
    let write = fastn_store::ResourceWrite {
        kind: fastn_domain::catalog::ResourceKind::Workflow,
        customer: None,
        id: "w".to_owned(),
        body: Some("{}".to_owned()),
        expect: fastn_store::Expect::New,
    };
    store.write(&scope.account, vec![write]).await.expect("writes");
    store.reset_activity().await.expect("resets");
    assert_eq!(store.position(0).await.expect("reads"), Position::default());
    let reach = customer(&scope);
    let page = PageRequest::default();
    assert!(store.events(&reach, &EventFilter::default(), &page).await.expect("lists").items.is_empty());
    assert!(store.executions(&reach, &ExecutionFilter::default(), &page).await.expect("lists").items.is_empty());
    assert_eq!(store.changes(0, 10).await.expect("reads").len(), 1);
    completed(store, &scope, 0..3).await;
}
