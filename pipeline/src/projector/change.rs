//! What changed with a batch, for those who watch: server-sent events and the terminal of `fastn dev`.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use fastn_contract::activity::{EventStatus, ExecutionError, ExecutionStatus, Origin};
use fastn_domain::ids::{EventId, ExecutionId, TriggerId, WorkflowId};
use fastn_domain::scope::{Reach, Scope};
use fastn_domain::time::{Timestamp, parse_rfc3339};
use fastn_store::{EventRow, ExecutionState, Store};

use super::fold::{Entry, Fold};

/// Executions that are remembered while they live, so that their next change can be told with their workflow. Those
/// beyond are looked up.
const LIVE_MAX: usize = 20_000;
/// Executions that are looked up for one batch; the changes of others are told without workflow.
const LOOKUPS_MAX: usize = 64;

/// Something that is in SQL now. Best effort: a watcher that is slow, or a restart, misses some.
#[derive(Clone, Debug, PartialEq)]
pub enum ActivityChange {
    /// An event was admitted.
    Event(EventChange),
    /// An execution changed. Changes within one batch are told as one.
    Execution(ExecutionChange),
}

impl ActivityChange {
    /// Whose it is.
    pub fn scope(&self) -> &Scope {
        match self {
            Self::Event(change) => &change.scope,
            Self::Execution(change) => &change.scope,
        }
    }
}

/// An admitted event.
#[derive(Clone, Debug, PartialEq)]
pub struct EventChange {
    /// The account and the customer.
    pub scope: Scope,
    /// Its id.
    pub id: EventId,
    /// Its CloudEvents type.
    pub kind: Arc<str>,
    /// Where it came from.
    pub origin: Origin,
    /// The webhook trigger that it arrived at.
    pub trigger: Option<TriggerId>,
    /// What admission made of it.
    pub status: EventStatus,
    /// Why, where the status needs a reason.
    pub reason: Option<Arc<str>>,
    /// When the log took it.
    pub at: Timestamp,
}

/// Where an execution stands.
#[derive(Clone, Debug, PartialEq)]
pub struct ExecutionChange {
    /// The account and the customer.
    pub scope: Scope,
    /// The execution.
    pub id: ExecutionId,
    /// The workflow, unless it is not known any more.
    pub workflow: Option<WorkflowId>,
    /// The trigger, if one matched.
    pub trigger: Option<TriggerId>,
    /// Where it stands.
    pub status: ExecutionStatus,
    /// The attempt, from 1.
    pub attempt: u32,
    /// When it came to stand there.
    pub at: Timestamp,
    /// From admission to the end; absent before the end.
    pub duration: Option<Duration>,
    /// Steps taken; absent before the end.
    pub steps: Option<usize>,
    /// One line of why the last attempt failed.
    pub error: Option<Arc<str>>,
}

/// What stays the same while an execution lives.
#[derive(Clone)]
struct Known {
    workflow: WorkflowId,
    trigger: Option<TriggerId>,
    created: Timestamp,
}

/// Remembers live executions and makes the changes of a batch.
#[derive(Default)]
pub(crate) struct Changes {
    live: HashMap<ExecutionId, Known>,
}

impl Changes {
    /// Forgets everything, as after a failure.
    pub(crate) fn clear(&mut self) {
        self.live.clear();
    }

    /// The changes of a batch, and what to remember of it. Only remembers when nobody watches.
    pub(crate) fn of(&mut self, fold: &Fold, watched: bool) -> Vec<ActivityChange> {
        let mut changes = Vec::new();
        if watched {
            changes.extend(fold.events.iter().map(|row| ActivityChange::Event(event(row))));
        }
        for (entry, at) in &fold.entries {
            let (id, scope, state) = match entry {
                Entry::Whole(row) => (row.id, &row.scope, &row.state),
                Entry::Patch { patch, scope } => (patch.id, scope, &patch.state),
            };
            let known = match entry {
                Entry::Whole(row) => {
                    Some(Known { workflow: row.workflow.clone(), trigger: row.trigger.clone(), created: row.created })
                }
                Entry::Patch { .. } => self.live.get(&id).cloned(),
            };
            if watched {
                changes.push(ActivityChange::Execution(execution(id, scope, state, *at, known.as_ref())));
            }
            match known {
                _ if state.status.is_final() => {
                    self.live.remove(&id);
                }
                Some(known) if self.live.len() < LIVE_MAX => {
                    self.live.insert(id, known);
                }
                _ => {}
            }
        }
        changes
    }

    /// Looks up in the store what was not remembered, after the batch is in it.
    pub(crate) async fn complete(store: &dyn Store, changes: &mut [ActivityChange]) {
        let unknown = changes.iter_mut().filter_map(|change| match change {
            ActivityChange::Execution(change) if change.workflow.is_none() => Some(change),
            _ => None,
        });
        for change in unknown.take(LOOKUPS_MAX) {
            let reach = Reach::Customer(change.scope.clone());
            let Ok(Some(view)) = store.execution(&reach, change.id).await else { continue };
            change.workflow = WorkflowId::new(&view.workflow).ok();
            change.trigger = view.trigger.and_then(|trigger| TriggerId::new(&trigger).ok());
            let ended = change.status.is_final();
            change.duration = parse_rfc3339(&view.created_at).filter(|_| ended).map(|created| change.at.since(created));
        }
    }
}

fn event(row: &EventRow) -> EventChange {
    EventChange {
        scope: row.scope.clone(),
        id: row.id.clone(),
        kind: Arc::from(row.kind.as_str()),
        origin: row.origin,
        trigger: row.trigger.clone(),
        status: row.status,
        reason: row.reason.as_deref().map(Arc::from),
        at: row.received,
    }
}

fn execution(
    id: ExecutionId,
    scope: &Scope,
    state: &ExecutionState,
    at: Timestamp,
    known: Option<&Known>,
) -> ExecutionChange {
    let end = state.end.as_ref();
    ExecutionChange {
        scope: scope.clone(),
        id,
        workflow: known.map(|known| known.workflow.clone()),
        trigger: known.and_then(|known| known.trigger.clone()),
        status: state.status,
        attempt: state.attempt,
        at,
        duration: end.and_then(|end| known.map(|known| end.at.since(known.created))),
        steps: end.map(|end| end.steps.len()),
        error: state.error.as_ref().map(headline),
    }
}

fn headline(error: &ExecutionError) -> Arc<str> {
    let first = error.message.lines().next().unwrap_or_default();
    Arc::from(format!("{}: {first}", error.name))
}
