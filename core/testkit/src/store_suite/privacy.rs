//! Activity that is kept for less long, payloads that are blanked, customers that are erased.

use std::sync::Arc;

use fastn_contract::activity::{DeadLetterStatus, EventStatus, ExecutionStatus};
use fastn_contract::quota::Measure;
use fastn_domain::catalog::ResourceKind;
use fastn_domain::ids::{CustomerId, EventId, ExecutionId, TriggerId};
use fastn_domain::scope::{Reach, Scope};
use fastn_domain::time::Timestamp;
use fastn_store::{
    AlertFilter, AlertSave, ErasedActivity, ErasedConfiguration, EventFilter, ExecutionFilter, Expect, PageRequest,
    PollSave, ProjectionBatch, RememberedAnswer, ResourceWrite, Store, UsageFilter,
};

use super::rows::{alert, batch, end, event, execution, scope, state, used};

fn id(n: u64) -> ExecutionId {
    ExecutionId(u128::from(n))
}

fn event_id(n: u64) -> EventId {
    EventId::new(&format!("evt_{n}")).expect("plain")
}

fn reach(scope: &Scope) -> Reach {
    Reach::Customer(scope.clone())
}

fn second(n: i64) -> Timestamp {
    Timestamp::from_millis(n * 1_000)
}

/// For each number an event and its execution: failed if it is even, still queued if it is 9.
fn rows(scope: &Scope, from: u64, numbers: &[u64]) -> ProjectionBatch {
    let mut rows = batch(from, from + 1);
    for &n in numbers {
        rows.events.push(event(scope, n));
        let mut row = execution(scope, n);
        row.state = match n {
            9 => state(ExecutionStatus::Queued),
            n if n % 2 == 0 => end(ExecutionStatus::Failed, n),
            n => end(ExecutionStatus::Completed, n),
        };
        rows.executions.push(row);
    }
    rows
}

async fn counts(store: &dyn Store, scope: &Scope) -> (usize, usize, usize) {
    let (reach, page) = (reach(scope), PageRequest { cursor: None, limit: 100 });
    let events = store.events(&reach, &EventFilter::default(), &page).await.expect("reads").items.len();
    let executions = store.executions(&reach, &ExecutionFilter::default(), &page).await.expect("reads").items.len();
    (events, executions, store.dead_letters(&reach, None, None, &page).await.expect("reads").items.len())
}

/// Calls until nothing is left to do.
async fn all<F: Future<Output = u64>>(step: impl Fn() -> F) -> u64 {
    let mut rows = 0;
    loop {
        match step().await {
            0 => return rows,
            more => rows += more,
        }
    }
}

/// Property: what is old for one account goes, in small steps, and nothing of another account does; the living stay.
pub(super) async fn an_account_is_pruned_alone(store: &dyn Store) {
    let (own, other) = (scope("a", "c"), scope("b", "c"));
    store.project(rows(&own, 0, &[1, 2, 3, 9])).await.expect("projects");
    store.project(rows(&other, 1, &[4, 5])).await.expect("projects");
    let gone = all(|| async { store.prune_account(&own.account, second(3), 1).await.expect("prunes") }).await;
    assert_eq!(gone, 4, "events and executions 1 and 2");
    let own_reach = reach(&own);
    let left = |n| store.execution(&own_reach, id(n));
    assert!(left(1).await.expect("reads").is_none() && left(3).await.expect("reads").is_some());
    let letter = store.dead_letter(&reach(&own), id(2)).await.expect("reads");
    assert!(letter.is_none_or(|letter| letter.status == DeadLetterStatus::Expired));
    all(|| async { store.prune_account(&own.account, second(100), 10).await.expect("prunes") }).await;
    assert_eq!((counts(store, &own).await.0, counts(store, &own).await.1), (1, 1), "number 9 lives, with its input");
    assert_eq!(counts(store, &other).await, (2, 2, 1));
}

/// Property: blanked rows keep what happened and lose with what: their steps keep names and times; dead letters that can
/// no longer be replayed expire; what is younger, lives, or belongs to another account keeps its payloads.
pub(super) async fn payloads_are_blanked_and_the_rest_stays(store: &dyn Store) {
    let (own, other) = (scope("a", "c"), scope("b", "c"));
    store.project(rows(&own, 0, &[1, 2, 3, 9])).await.expect("projects");
    store.project(rows(&other, 1, &[4])).await.expect("projects");
    let before = Timestamp(second(3).0 - 1);
    let blank = || async { store.blank_payloads(&own.account, Timestamp(0), before, 1).await.expect("blanks") };
    assert_eq!(all(blank).await, 4, "events and executions 1 and 2");
    assert_eq!(blank().await, 0);
    let view = store.execution(&reach(&own), id(1)).await.expect("reads").expect("is there");
    assert_eq!((view.status, view.input, view.output), (ExecutionStatus::Completed, None, None));
    let steps = view.steps.expect("its steps stay");
    assert_eq!((steps[0].name.as_str(), &steps[0].input, &steps[0].output), ("call", &None, &None));
    assert_eq!((steps[0].duration_ms, view.logs), (401, Some(Vec::new())));
    assert_eq!(store.event(&reach(&own), &event_id(1)).await.expect("reads").expect("is there").data, None);
    assert_eq!(store.stored_event(&reach(&own), &event_id(1)).await.expect("reads"), None);
    assert_eq!(store.replay_source(&reach(&own), id(2)).await.expect("reads"), None);
    let letter = store.dead_letter(&reach(&own), id(2)).await.expect("reads").expect("is there");
    assert_eq!((letter.status, letter.error.message.as_str()), (DeadLetterStatus::Expired, "x is not a function"));
    assert!(store.execution(&reach(&own), id(3)).await.expect("reads").expect("is there").input.is_some());
    assert!(store.execution(&reach(&other), id(4)).await.expect("reads").expect("is there").input.is_some());
    let all_of_it =
        || async { store.blank_payloads(&own.account, Timestamp(0), second(100), 10).await.expect("blanks") };
    all(all_of_it).await;
    assert!(store.execution(&reach(&own), id(9)).await.expect("reads").expect("is there").input.is_some());
}

/// Property: of an erased customer nothing is left in any table, its neighbours keep everything, no revision is given a
/// second time, and a second erasure finds nothing.
pub(super) async fn an_erased_customer_leaves_nothing(store: Arc<dyn Store>) {
    let (own, neighbour, namesake) = (scope("a", "c"), scope("a", "d"), scope("b", "c"));
    let numbers: [(&Scope, &[u64]); 3] = [(&own, &[1, 2, 9]), (&neighbour, &[4]), (&namesake, &[6])];
    let trigger = TriggerId::new("t").expect("plain");
    let polls = Arc::clone(&store).polls();
    for (at, (scope, numbers)) in numbers.into_iter().enumerate() {
        let at = at as u64;
        let usage = vec![used(scope, Measure::Events, 3), used(scope, Measure::Executions, 2)];
        store.project(ProjectionBatch { usage, ..rows(scope, at, numbers) }).await.expect("projects");
        // One about the customer, and one of the account that tells whose value it was.
        let mut of_account = alert(scope, 11 + at);
        (of_account.customer, of_account.view.customer) = (None, None);
        of_account.view.value_of = Some(scope.customer.to_string());
        let alerts = vec![alert(scope, 1 + at), of_account];
        store.save_alerts(AlertSave { from: at, alerts, ..AlertSave::default() }).await.expect("saves");
        polls.begin(scope, &trigger, second(1)).await.expect("begins");
        let leased = polls.lease(scope, &trigger, "n", second(1), second(9)).await.expect("leases").expect("is due");
        let chunks = vec![(0, Some(vec![1])), (1, Some(vec![2]))];
        let save = PollSave { generation: leased.generation, chunks, ..PollSave::default() };
        polls.save(scope, &trigger, "n", save).await.expect("saves");
    }
    let write = |kind, customer: Option<&str>, id: &str, body: Option<&str>| ResourceWrite {
        kind,
        customer: customer.map(|id| CustomerId::new(id).expect("plain")),
        id: id.to_owned(),
        body: body.map(str::to_owned),
        expect: Expect::Any,
    };
    let secret = ResourceKind::Secret;
    let rows = vec![
        write(secret, Some("c"), "c/S", Some("\"1\"")),
        write(secret, Some("d"), "d/S", Some("\"2\"")),
        write(ResourceKind::AccessKey, None, "key_c", Some("{\"customer\":\"c\"}")),
        write(ResourceKind::Erasure, None, "ers", Some("{\"customer\":\"c\"}")),
    ];
    store.write(&own.account, rows).await.expect("writes");
    let rows = vec![
        write(secret, Some("c"), "c/S", None),
        write(ResourceKind::AccessKey, None, "key_c", None),
        write(ResourceKind::Erasure, None, "ers", Some("{}")),
    ];
    let newest = store.write(&own.account, rows).await.expect("writes").pop().expect("three").revision;
    let answer = RememberedAnswer { fingerprint: "f".to_owned(), status: 200, body: "{\"id\":\"c\"}".to_owned() };
    store.remember(&reach(&own), "k", answer.clone()).await.expect("remembers");
    // One of the account that names it, and one that does not, though its letters stand in it.
    let whole = Reach::Account(own.account.clone());
    let told = RememberedAnswer { body: "{\"id\":\"c/S\"}".to_owned(), ..answer.clone() };
    store.remember(&whole, "named", told).await.expect("remembers");
    let other = RememberedAnswer { body: "{\"customer\":\"d\",\"text\":\"c d\"}".to_owned(), ..answer };
    store.remember(&whole, "other", other.clone()).await.expect("remembers");

    let mut erased = ErasedActivity::default();
    loop {
        let now = store.erase_activity(&own, 2).await.expect("erases");
        if now.rows() == 0 {
            break;
        }
        erased.events += now.events;
        erased.executions += now.executions;
        erased.dead_letters += now.dead_letters;
        erased.usage += now.usage;
    }
    assert_eq!(erased, ErasedActivity { events: 3, executions: 3, dead_letters: 1, usage: 2 });
    let also = [(ResourceKind::AccessKey, "key_c".to_owned()), (ResourceKind::Erasure, "ers".to_owned())];
    let gone = store.erase_configuration(&own.account, Some(&own.customer), &also).await.expect("erases");
    let wanted = ErasedConfiguration { resources: 2, changes: 5, answers: 2, alerts: 1, polls: 1 };
    assert_eq!(gone, wanted);
    let again = store.erase_configuration(&own.account, Some(&own.customer), &also).await.expect("erases");
    assert_eq!(again, ErasedConfiguration::default());
    assert_eq!(store.recall(&whole, "named").await.expect("reads"), None);
    assert_eq!(store.recall(&whole, "other").await.expect("reads"), Some(other));

    assert_eq!(counts(store.as_ref(), &own).await, (0, 0, 0));
    assert_eq!(
        (counts(store.as_ref(), &neighbour).await, counts(store.as_ref(), &namesake).await),
        ((1, 1, 1), (1, 1, 1))
    );
    let alerts = store.alerts(&whole, &AlertFilter::default(), &PageRequest::default()).await.expect("reads").items;
    let told: Vec<Option<&str>> = alerts.iter().map(|alert| alert.value_of.as_deref()).collect();
    assert_eq!(told, [Some("d"), None, None], "the newest first: of d, of the erased, about d");
    for (scope, kept) in [(&own, (0, 0, 0)), (&neighbour, (2, 1, 1)), (&namesake, (2, 1, 1))] {
        let (reach, page) = (reach(scope), PageRequest { cursor: None, limit: 10 });
        let usage = store.usage(&reach, &UsageFilter::default(), &page).await.expect("reads").items.len();
        let alerts = store.alerts(&reach, &AlertFilter::default(), &page).await.expect("reads").items.len();
        let listed = polls.list(&reach, &trigger, &page).await.expect("reads").items.len();
        assert_eq!((usage, alerts, listed), kept, "{scope}");
        assert_eq!(polls.chunks(scope, &trigger).await.expect("reads").len(), 2 * kept.2, "{scope}");
    }
    let left = store.changes(0, 100).await.expect("reads");
    let left: Vec<(&str, &str)> = left.iter().map(|row| (row.id.as_str(), row.body.as_str())).collect();
    assert_eq!(left, [("d/S", "\"2\""), ("ers", "{}")]);
    let next = store.write(&own.account, vec![write(secret, None, "NEW", Some("1"))]).await.expect("writes");
    assert!(next[0].revision > newest);
    store.compact().await.expect("compacts");
    assert_eq!(counts(store.as_ref(), &neighbour).await, (1, 1, 1));
}

/// Property: a batch that names an erased customer leaves none of its rows, those of the batch included.
pub(super) async fn what_is_projected_again_is_erased_again(store: &dyn Store) {
    let (own, neighbour) = (scope("a", "c"), scope("a", "d"));
    store.project(rows(&own, 0, &[1, 2])).await.expect("projects");
    let mut again = rows(&own, 1, &[3]);
    again.events.push(event(&neighbour, 4));
    again.erased.push(own.clone());
    store.project(again).await.expect("projects");
    assert_eq!((counts(store, &own).await, counts(store, &neighbour).await), ((0, 0, 0), (1, 0, 0)));
    assert_eq!(store.position(0).await.expect("reads").next, 2);
}

/// Property: an event reads back with all that a replay of it needs, and states tell of those that are there.
pub(super) async fn events_read_back_for_a_replay(store: &dyn Store) {
    let own = scope("a", "c");
    let mut rows = rows(&own, 0, &[1, 2]);
    let mut repeated = event(&own, 3);
    (repeated.id, repeated.status, repeated.data) = (event_id(1), EventStatus::Duplicate, Some("\"again\"".into()));
    rows.events.push(repeated);
    store.project(rows).await.expect("projects");
    let source = store.stored_event(&reach(&own), &event_id(1)).await.expect("reads").expect("is there");
    assert_eq!(
        (source.scope, source.view.kind.as_str(), source.data.as_str()),
        (own.clone(), "order.created", "{\"n\":1}")
    );
    assert_eq!((source.headers[0].name.as_str(), source.view.subject.as_deref()), ("a", Some("s")));
    let events = [event_id(1), event_id(2), event_id(7)];
    let mut states = store.event_states(&reach(&own), &events).await.expect("reads");
    states.retain(|state| state.status != EventStatus::Duplicate);
    states.sort_by(|a, b| a.id.cmp(&b.id));
    let states: Vec<_> = states.iter().map(|state| (state.id.as_str(), state.status, state.executions[0])).collect();
    assert_eq!(states, [("evt_1", EventStatus::Delivered, id(1)), ("evt_2", EventStatus::Delivered, id(2))]);
    let states = store.execution_states(&reach(&own), &[id(1), id(2), id(7)]).await.expect("reads");
    assert_eq!(states.len(), 2);
    assert!(states.contains(&(id(2), ExecutionStatus::Failed)));
}
