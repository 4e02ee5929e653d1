//! Marks, and the runs of schedules.

use fastn_contract::activity::{ExecutionStatus, Origin};
use fastn_domain::ids::{EventId, TriggerId};
use fastn_domain::scope::{Reach, Scope};
use fastn_domain::time::Timestamp;
use fastn_store::{ExecutionRow, Store};

use super::rows::{batch, end, event, execution, scope, state};

fn trigger(id: &str) -> TriggerId {
    TriggerId::new(id).expect("plain")
}

/// Run number `n` of a schedule, which fire number `fire` made.
fn run(scope: &Scope, n: u64, id: &str, fire: u64, status: ExecutionStatus) -> ExecutionRow {
    let state = if status.is_final() { end(status, n) } else { state(status) };
    ExecutionRow {
        origin: Origin::Schedule,
        trigger: Some(trigger(id)),
        event_id: EventId::new(&format!("evt_{fire}")).expect("plain"),
        state,
        ..execution(scope, n)
    }
}

fn admitted(n: i64) -> Timestamp {
    Timestamp::from_millis(n * 1_000 + 1)
}

/// Property: a mark only rises, and each name has its own.
pub(super) async fn a_mark_only_rises(store: &dyn Store) {
    assert_eq!(store.mark("m").await.expect("reads"), None);
    for (at, then) in [(5, 5), (3, 5), (9, 9), (9, 9)] {
        store.raise_mark("m", Timestamp(at)).await.expect("writes");
        assert_eq!(store.mark("m").await.expect("reads"), Some(Timestamp(then)));
    }
    assert_eq!(store.mark("n").await.expect("reads"), None);
}

/// Property: failures in a row are fires after the last that completed and after the instant asked for; a fire that
/// completed for one customer has not failed; runs by hand and of other schedules do not count.
pub(super) async fn failures_in_a_row_are_counted(store: &dyn Store) {
    use ExecutionStatus::{Completed, Failed, Running, Timeout};
    let (c, d) = (scope("a", "c"), scope("a", "d"));
    let mut rows = batch(0, 1);
    rows.events = (1..=9).map(|n| event(&c, n)).collect();
    rows.executions = vec![
        run(&c, 1, "t", 1, Failed),
        run(&c, 2, "t", 2, Completed),
        run(&c, 3, "t", 3, Failed),
        run(&d, 4, "t", 3, Timeout),
        run(&c, 5, "t", 5, Timeout),
        run(&c, 6, "t", 6, Running),
        run(&c, 7, "other", 7, Failed),
        ExecutionRow { origin: Origin::Manual, ..run(&c, 8, "t", 8, Completed) },
    ];
    store.project(rows).await.expect("projects");
    let account = c.account.clone();
    let reach = Reach::Account(account.clone());
    let runs = |id: &'static str, after: i64| {
        let reach = reach.clone();
        async move { store.schedule_runs(&reach, &trigger(id), Timestamp(after), "").await.expect("reads") }
    };
    let newest = |n: i64| Some((admitted(n), format!("evt_{n}")));
    let all = runs("t", 0).await;
    assert_eq!(all.last, Some((admitted(6), Running)));
    assert_eq!((all.completed, all.failed, all.newest_failed), (Some(admitted(2)), 2, newest(5)));
    let later = runs("t", admitted(4).0).await;
    assert_eq!((later.completed, later.failed, later.newest_failed), (None, 1, newest(5)));
    assert_eq!(runs("nothing", 0).await, Default::default());
    let above = store.schedule_runs(&reach, &trigger("t"), Timestamp(0), "evt_3").await.expect("reads");
    assert_eq!((above.failed, above.newest_failed), (1, newest(5)));
    let own = store.schedule_runs(&Reach::Customer(d.clone()), &trigger("t"), Timestamp(0), "").await.expect("reads");
    assert_eq!((own.last, own.failed), (Some((admitted(4), Timeout)), 1));

    let failing = |since: i64| {
        let account = account.clone();
        async move { store.failing_schedules(&account, Timestamp::from_millis(since), 10).await.expect("reads") }
    };
    assert_eq!(failing(0).await, [trigger("other"), trigger("t")]);
    assert_eq!(failing(7_501).await, [trigger("other")]);
    assert_eq!(failing(7_502).await, []);
    assert_eq!(store.failing_schedules(&account, Timestamp(0), 1).await.expect("reads"), [trigger("other")]);

    // The running one completes late: it was admitted after all failures.
    let mut rows = batch(1, 2);
    rows.patches = vec![super::patch(6, end(Completed, 6))];
    store.project(rows).await.expect("projects");
    let done = runs("t", 0).await;
    assert_eq!((done.completed, done.failed, done.newest_failed), (Some(admitted(6)), 0, None));
}

/// Property: of many ids, those are told that a customer within reach has an event of.
pub(super) async fn known_events_are_told(store: &dyn Store) {
    let (c, d) = (scope("a", "c"), scope("a", "d"));
    let mut rows = batch(0, 1);
    rows.events = vec![event(&c, 1), event(&d, 2), event(&scope("b", "c"), 3)];
    store.project(rows).await.expect("projects");
    let ids: Vec<EventId> = (0..1_200).map(|n| EventId::new(&format!("evt_{n}")).expect("plain")).collect();
    let known = |reach: Reach, ids: Vec<EventId>| async move {
        let mut known = store.known_events(&reach, &ids).await.expect("reads");
        known.sort();
        known
    };
    let account = Reach::Account(c.account.clone());
    let both = known(account.clone(), ids.clone()).await;
    assert_eq!(both, [(c.customer.clone(), ids[1].clone()), (d.customer.clone(), ids[2].clone())]);
    assert_eq!(known(Reach::Customer(d.clone()), ids.clone()).await, [(d.customer, ids[2].clone())]);
    assert_eq!(known(account, Vec::new()).await, []);
}
