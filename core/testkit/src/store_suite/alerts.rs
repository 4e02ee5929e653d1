//! The evaluator's memory, alerts and bookmarks.

use fastn_contract::activity::ExecutionStatus;
use fastn_contract::alert::AlertState;
use fastn_domain::ids::ExecutionId;
use fastn_domain::scope::Reach;
use fastn_domain::time::Timestamp;
use fastn_store::{AlertFilter, AlertMemory, AlertSave, PageRequest, Position, Store, StoreErrorKind};

use super::kind;
use super::rows::{alert, batch, end, execution, scope};

fn text(key: &str, body: &str) -> (String, String) {
    (key.to_owned(), body.to_owned())
}

/// Property: a save from the stored revision changes memory and alerts together; one from any other changes neither.
pub(super) async fn a_save_from_another_revision_changes_nothing(store: &dyn Store) {
    let own = scope("a", "c");
    assert_eq!(store.alert_memory().await.expect("reads"), AlertMemory::default());
    let save = AlertSave { puts: vec![text("b", "1"), text("a", "2")], ..AlertSave::default() };
    assert_eq!(store.save_alerts(save).await.expect("saves"), 1);
    let save = AlertSave {
        from: 1,
        puts: vec![text("a", "3"), text("c", "4")],
        deletes: vec!["b".to_owned(), "never".to_owned()],
        alerts: vec![alert(&own, 1)],
        forget_before: None,
    };
    assert_eq!(store.save_alerts(save.clone()).await.expect("saves"), 2);
    let stale = AlertSave { puts: vec![text("a", "5")], alerts: vec![alert(&own, 2)], ..save };
    assert_eq!(kind(store.save_alerts(stale).await), StoreErrorKind::Conflict);
    let memory = store.alert_memory().await.expect("reads");
    assert_eq!((memory.revision, memory.entries), (2, vec![text("a", "3"), text("c", "4")]));
    assert_eq!(store.alert(&Reach::Customer(own), "alert_2").await.expect("reads"), None);
}

/// Property: alerts list newest first, page without gap or repeat, and filter by rule and state as they stand now.
pub(super) async fn alerts_page_and_filter(store: &dyn Store) {
    let own = scope("a", "c");
    let mut resolved = alert(&own, 2);
    resolved.view.state = AlertState::Resolved;
    let alerts = (1..=5).map(|n| alert(&own, n)).chain([resolved.clone()]).collect();
    store.save_alerts(AlertSave { alerts, ..AlertSave::default() }).await.expect("saves");
    let reach = Reach::Account(own.account.clone());
    let (mut seen, mut page) = (Vec::new(), PageRequest { cursor: None, limit: 2 });
    loop {
        let shown = store.alerts(&reach, &AlertFilter::default(), &page).await.expect("reads");
        seen.extend(shown.items.into_iter().map(|alert| alert.id));
        page.cursor = shown.next_cursor;
        if page.cursor.is_none() {
            break;
        }
    }
    assert_eq!(seen, ["alert_5", "alert_4", "alert_3", "alert_2", "alert_1"]);
    let by = |state, rule: &str| AlertFilter { state, rule: Some(rule.to_owned()) };
    let page = PageRequest::default();
    let shown = store.alerts(&reach, &by(Some(AlertState::Resolved), "errors"), &page).await.expect("reads");
    assert_eq!(shown.items, [resolved.view]);
    assert!(store.alerts(&reach, &by(None, "other"), &page).await.expect("reads").items.is_empty());
}

/// Property: alerts that are over go when they are old; one that still fires stays, however old.
pub(super) async fn old_alerts_are_forgotten_once_resolved(store: &dyn Store) {
    let own = scope("a", "c");
    let mut alerts: Vec<_> = (1..=4).map(|n| alert(&own, n)).collect();
    for row in &mut alerts[1..] {
        row.view.state = AlertState::Resolved;
    }
    store.save_alerts(AlertSave { alerts, ..AlertSave::default() }).await.expect("saves");
    let forget_before = Some(Timestamp(4));
    store.save_alerts(AlertSave { from: 1, forget_before, ..AlertSave::default() }).await.expect("saves");
    let page = PageRequest::default();
    let shown = store.alerts(&Reach::Customer(own), &AlertFilter::default(), &page).await.expect("reads");
    let ids: Vec<_> = shown.items.iter().map(|alert| alert.id.as_str()).collect();
    assert_eq!(ids, ["alert_4", "alert_1"]);
}

/// Property: dead letters are counted by workflow while they are pending, and not once they are replayed.
pub(super) async fn dead_letters_are_counted_while_pending(store: &dyn Store) {
    let own = scope("a", "c");
    let reach = Reach::Account(own.account.clone());
    let mut rows = batch(0, 1);
    for n in 1..=3 {
        let mut failed = execution(&own, n);
        failed.state = end(ExecutionStatus::Failed, n);
        rows.executions.push(failed);
    }
    let workflow = rows.executions[0].workflow.to_string();
    store.project(rows).await.expect("projects");
    assert_eq!(store.pending_dead_letters(&reach, None).await.expect("counts"), 3);
    assert_eq!(store.pending_dead_letters(&reach, Some(&workflow)).await.expect("counts"), 3);
    assert_eq!(store.pending_dead_letters(&reach, Some("other")).await.expect("counts"), 0);
    let mut rows = batch(1, 2);
    let mut again = execution(&own, 9);
    again.replay_of = Some(ExecutionId(2));
    rows.executions.push(again);
    store.project(rows).await.expect("projects");
    assert_eq!(store.pending_dead_letters(&reach, None).await.expect("counts"), 2);
}

/// Property: a bookmark is that of its follower and partition, and never goes back.
pub(super) async fn bookmarks_only_go_forward(store: &dyn Store) {
    let at = |next| Position { next, epoch: 1 };
    assert_eq!(store.bookmark("f", 0).await.expect("reads"), Position::default());
    for next in [5, 9, 7] {
        store.set_bookmark("f", 0, at(next)).await.expect("writes");
    }
    store.set_bookmark("g", 0, at(1)).await.expect("writes");
    store.set_bookmark("f", 1, at(2)).await.expect("writes");
    let read = |follower, partition| async move { store.bookmark(follower, partition).await.expect("reads") };
    assert_eq!((read("f", 0).await, read("g", 0).await, read("f", 1).await), (at(9), at(1), at(2)));
}
