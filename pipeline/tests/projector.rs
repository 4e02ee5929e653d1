//! The projector over a log in memory and a real SQLite store.

#![allow(clippy::unwrap_used, unreachable_pub, reason = "what fails here fails a test")]

#[path = "projector_support/journal.rs"]
mod journal;

use std::sync::Arc;
use std::time::Duration;

use fastn_contract::activity::{DeadLetterStatus, ExecutionStatus};
use fastn_domain::ids::AccountId;
use fastn_domain::journal::JournalRecord;
use fastn_domain::scope::Reach;
use fastn_log::codec::encode_event;
use fastn_log::{Log, Topic};
use fastn_pipeline::projector::{ActivityChange, Projector, ProjectorOptions, rebuild};
use fastn_store::{EventFilter, ExecutionFilter, PageRequest, SqliteOptions, SqliteStore, Store};
use fastn_testkit::{FaultyStore, MemoryLog};
use journal::{
    Random, admitted, append, claim, event, execution_id, finished, inline, progress, random_journal, result, say,
    scope, start,
};

const DEADLINE: Duration = Duration::from_secs(60);

async fn store() -> (Arc<dyn Store>, tempfile::TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(directory.path(), SqliteOptions::default()).await.unwrap();
    (Arc::new(store), directory)
}

fn quick() -> ProjectorOptions {
    ProjectorOptions { delay: Duration::from_millis(1), delay_busy: Duration::from_millis(1), ..Default::default() }
}

async fn project(log: &Arc<dyn Log>, store: &Arc<dyn Store>, options: ProjectorOptions) {
    let projector = Projector::start(Arc::clone(log), Arc::clone(store), log.join("n").await.unwrap(), options);
    assert!(projector.caught_up(DEADLINE).await);
}

/// Everything that can be read of an account, as text, in an order that does not depend on batches.
async fn everything(store: &dyn Store) -> Vec<String> {
    let reach = Reach::Account(AccountId::new("acc").unwrap());
    let page = PageRequest { cursor: None, limit: 1_000 };
    let mut lines = Vec::new();
    let events = store.events(&reach, &EventFilter::default(), &page).await.unwrap();
    assert!(events.next_cursor.is_none(), "the test reads one page");
    lines.extend(events.items.iter().map(|row| serde_json::to_string(row).unwrap()));
    let executions = store.executions(&reach, &ExecutionFilter::default(), &page).await.unwrap();
    assert!(executions.next_cursor.is_none(), "the test reads one page");
    for row in executions.items {
        let id = row.id.parse().unwrap();
        let source = store.replay_source(&reach, id).await.unwrap();
        lines.push(format!("{source:?}"));
    }
    let letters = store.dead_letters(&reach, None, None, &page).await.unwrap();
    lines.extend(letters.items.iter().map(|row| serde_json::to_string(row).unwrap()));
    lines.sort();
    lines
}

/// Property: however often the projector fails before or after a commit, and wherever the journal is cut into batches,
/// the rows are those of a straight run: none lost, none twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failures_anywhere_leave_the_rows_of_a_straight_run() {
    for seed in 0..6 {
        let log: Arc<dyn Log> = Arc::new(MemoryLog::new(3));
        random_journal(log.as_ref(), seed, 400).await;
        let (straight, _kept) = store().await;
        project(&log, &straight, quick()).await;
        let expected = everything(straight.as_ref()).await;
        assert!(expected.len() > 200, "the journal is worth comparing: {}", expected.len());

        let (inner, _kept) = store().await;
        let faulty: Arc<dyn Store> = Arc::new(FaultyStore::new(Arc::clone(&inner), seed, 20));
        let mut random = Random(seed);
        let rows = 1 + random.below(12) as usize;
        project(&log, &faulty, ProjectorOptions { batch_rows_max: rows, ..quick() }).await;
        assert_eq!(everything(inner.as_ref()).await, expected, "seed {seed}, batches of {rows}");
    }
}

/// Property: a projector killed at any moment, again and again, is continued by the next one without loss or doubling.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_at_any_moment_is_survived() {
    let log: Arc<dyn Log> = Arc::new(MemoryLog::new(3));
    random_journal(log.as_ref(), 77, 600).await;
    let (straight, _kept) = store().await;
    project(&log, &straight, quick()).await;

    let (killed, _kept) = store().await;
    let mut random = Random(77);
    let options = ProjectorOptions { batch_rows_max: 5, ..quick() };
    for _ in 0..40 {
        let membership = log.join("n").await.unwrap();
        let projector = Projector::start(Arc::clone(&log), Arc::clone(&killed), membership, options);
        for _ in 0..random.below(200) {
            tokio::task::yield_now().await;
        }
        drop(projector);
    }
    project(&log, &killed, options).await;
    assert_eq!(everything(killed.as_ref()).await, everything(straight.as_ref()).await);
}

/// Property: two projectors on one store at the same time give the rows of one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_projectors_do_not_double() {
    let log: Arc<dyn Log> = Arc::new(MemoryLog::new(3));
    let (shared, _kept) = store().await;
    let options = ProjectorOptions { batch_rows_max: 7, ..quick() };
    let start =
        || async { Projector::start(Arc::clone(&log), Arc::clone(&shared), log.join("n").await.unwrap(), options) };
    let (one, two) = (start().await, start().await);
    random_journal(log.as_ref(), 5, 400).await;
    // Each may be ahead of what it knows the other to have written; what counts is what is stored.
    while !(one.caught_up(Duration::from_millis(200)).await && two.caught_up(Duration::from_millis(200)).await) {}
    let (straight, _kept) = store().await;
    project(&log, &straight, quick()).await;
    assert_eq!(everything(shared.as_ref()).await, everything(straight.as_ref()).await);
}

/// Property: what a writer appends after it lost its partition is not believed, in the same batch or a later one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn zombies_are_ignored_across_batches() {
    let log: Arc<dyn Log> = Arc::new(MemoryLog::new(1));
    let (sql, _kept) = store().await;
    let own = scope(1);
    let id = execution_id(1);
    say(log.as_ref(), 0, claim(4)).await;
    let offset = append(log.as_ref(), Topic::Events, 0, encode_event(&event(&own, "e1", "{}"))).await;
    say(log.as_ref(), 0, admitted(4, 10, offset, vec![start(id)])).await;
    say(log.as_ref(), 0, claim(6)).await;
    project(&log, &sql, quick()).await;
    let zombie = finished(4, 20, &own, id, ExecutionStatus::Failed);
    say(log.as_ref(), 0, JournalRecord::Finished(zombie)).await;
    project(&log, &sql, quick()).await;
    let reach = Reach::Customer(own.clone());
    let view = sql.execution(&reach, id).await.unwrap().unwrap();
    assert_eq!(view.status, ExecutionStatus::Queued);
    say(log.as_ref(), 0, claim(5)).await;
    say(log.as_ref(), 0, JournalRecord::Finished(finished(5, 30, &own, id, ExecutionStatus::Cancelled))).await;
    say(log.as_ref(), 0, JournalRecord::Finished(finished(6, 40, &own, id, ExecutionStatus::Completed))).await;
    project(&log, &sql, quick()).await;
    let view = sql.execution(&reach, id).await.unwrap().unwrap();
    assert_eq!((view.status, view.duration_ms), (ExecutionStatus::Completed, Some(0)));
}

/// Property: where log was trimmed, what is left is shown: snapshots give executions without their event, and an event
/// that is gone takes nothing else with it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trimmed_logs_leave_what_is_left() {
    let log: Arc<dyn Log> = Arc::new(MemoryLog::new(1));
    let (sql, _kept) = store().await;
    let own = scope(1);
    let mut offsets = Vec::new();
    for n in 1..=2 {
        offsets.push(append(log.as_ref(), Topic::Events, 0, encode_event(&event(&own, &format!("e{n}"), "{}"))).await);
    }
    for record in [
        claim(1),
        admitted(1, 10, offsets[0], vec![start(execution_id(1))]),
        JournalRecord::Progress(progress(1, 11, &own, execution_id(9), vec![result(1)])),
        admitted(1, 12, offsets[0], vec![start(execution_id(3))]),
        admitted(1, 13, offsets[1], vec![start(execution_id(2))]),
    ] {
        say(log.as_ref(), 0, record).await;
    }
    log.trim(Topic::Executions, 0, 2).await.unwrap();
    log.trim(Topic::Events, 0, 1).await.unwrap();
    project(&log, &sql, quick()).await;
    let reach = Reach::Customer(own.clone());
    let seen = |n| {
        let (sql, reach) = (Arc::clone(&sql), reach.clone());
        async move { sql.execution(&reach, execution_id(n)).await.unwrap().is_some() }
    };
    assert!(!seen(1).await && !seen(9).await && !seen(3).await && seen(2).await);
    assert_eq!(sql.projected(0).await.unwrap(), 5);
}

/// Property: an invoked execution carries its own input and names its parent; a replay marks the dead letter.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn children_and_replays_are_linked() {
    let log: Arc<dyn Log> = Arc::new(MemoryLog::new(1));
    let (sql, _kept) = store().await;
    let own = scope(1);
    let (parent, child, replay) = (execution_id(1), execution_id(2), execution_id(3));
    let offset = append(log.as_ref(), Topic::Events, 0, encode_event(&event(&own, "e1", "{}"))).await;
    let mut invoked = start(child);
    invoked.origin = Some(inline("{\"from\":\"parent\"}"));
    invoked.parent =
        Some(fastn_domain::journal::Parent { execution: parent, key: "invoke#1".into(), waits: true, depth: 1 });
    let mut going = progress(1, 20, &own, parent, vec![]);
    going.invoked = vec![invoked];
    let mut again = start(replay);
    (again.replay_of, again.origin) = (Some(parent), Some(inline("{\"again\":1}")));
    say(log.as_ref(), 0, claim(1)).await;
    say(log.as_ref(), 0, admitted(1, 10, offset, vec![start(parent)])).await;
    say(log.as_ref(), 0, JournalRecord::Progress(going)).await;
    say(log.as_ref(), 0, JournalRecord::Finished(finished(1, 30, &own, parent, ExecutionStatus::Failed))).await;
    say(log.as_ref(), 0, admitted(1, 40, offset, vec![again])).await;
    project(&log, &sql, quick()).await;
    let reach = Reach::Customer(own);
    let seen = sql.execution(&reach, child).await.unwrap().unwrap();
    assert_eq!((seen.parent, seen.input), (Some(parent.to_string()), Some(serde_json::json!({"from": "parent"}))));
    let letter = sql.dead_letter(&reach, parent).await.unwrap().unwrap();
    assert_eq!((letter.status, letter.replays), (DeadLetterStatus::Replayed, vec![replay.to_string()]));
    let source = sql.replay_source(&reach, parent).await.unwrap().unwrap();
    assert_eq!(source.results, [result(9)]);
}

/// Property: a rebuild gives the same rows again, and tells its progress up to the end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rebuild_gives_the_same_rows() {
    let log: Arc<dyn Log> = Arc::new(MemoryLog::new(3));
    random_journal(log.as_ref(), 3, 300).await;
    let (sql, _kept) = store().await;
    project(&log, &sql, quick()).await;
    let before = everything(sql.as_ref()).await;
    let mut told = Vec::new();
    let options = ProjectorOptions { batch_rows_max: 50, ..quick() };
    rebuild(Arc::clone(&log), Arc::clone(&sql), options, |done, total| told.push((done, total))).await.unwrap();
    assert_eq!(everything(sql.as_ref()).await, before);
    let (done, total) = *told.last().unwrap();
    assert!(done == total && total == 300, "{done} of {total}");
}

/// Property: after a commit the change is told, with its workflow and how long it took, also when the start was in an
/// earlier batch of another projector.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_are_told() {
    let log: Arc<dyn Log> = Arc::new(MemoryLog::new(1));
    let (sql, _kept) = store().await;
    let (own, id) = (scope(1), execution_id(1));
    let offset = append(log.as_ref(), Topic::Events, 0, encode_event(&event(&own, "e1", "{}"))).await;
    say(log.as_ref(), 0, claim(1)).await;
    say(log.as_ref(), 0, admitted(1, 0, offset, vec![start(id)])).await;
    project(&log, &sql, quick()).await;

    let projector = Projector::start(Arc::clone(&log), Arc::clone(&sql), log.join("n").await.unwrap(), quick());
    let mut changes = projector.changes();
    say(log.as_ref(), 0, JournalRecord::Finished(finished(1, 5_000, &own, id, ExecutionStatus::Failed))).await;
    let told = tokio::time::timeout(DEADLINE, changes.recv()).await.unwrap().unwrap();
    let ActivityChange::Execution(told) = told else { panic!("{told:?}") };
    assert_eq!(told.workflow.map(|workflow| workflow.to_string()).as_deref(), Some("triage"));
    assert_eq!((told.status, told.duration), (ExecutionStatus::Failed, Some(Duration::from_millis(5))));
    assert_eq!(told.error.as_deref(), Some("Error: boom"));
}
