//! How an event and a route name an execution: the same on the node that takes the event and on the one that runs it.

use crate::ids::{EnvironmentId, EventId, ExecutionId, TriggerId, WorkflowId};
use crate::journal::DedupHash;
use crate::scope::Scope;

/// The execution of a direct run of `workflow` asked for by the event `source`/`id`.
pub fn direct_execution(
    scope: &Scope,
    source: &str,
    id: &EventId,
    workflow: &WorkflowId,
    environment: &EnvironmentId,
) -> ExecutionId {
    ExecutionId::derive(&scope.key(), &event_key(source, id), &format!("run/{workflow}/{environment}"), None)
}

/// The execution that route number `at` of `trigger` makes of the event `source`/`id`.
pub fn routed_execution(scope: &Scope, source: &str, id: &EventId, trigger: &TriggerId, at: usize) -> ExecutionId {
    ExecutionId::derive(&scope.key(), &event_key(source, id), &format!("trigger/{trigger}/{at}"), None)
}

/// The replay of `of` that the request `request` asks for.
pub fn replay_execution(scope: &Scope, of: ExecutionId, request: &str) -> ExecutionId {
    ExecutionId::derive(&scope.key(), &of.to_string(), "replay", Some(request))
}

/// The execution that `parent` invokes at its op `key`.
pub fn invoked_execution(scope: &Scope, parent: ExecutionId, key: &str) -> ExecutionId {
    ExecutionId::derive(&scope.key(), &parent.to_string(), &format!("invoke/{key}"), None)
}

/// What makes two events the same: CloudEvents calls source and id together unique.
pub fn event_hash(scope: &Scope, source: &str, id: &EventId) -> DedupHash {
    DedupHash(ExecutionId::derive(&scope.key(), &event_key(source, id), "dedup/id", None).0)
}

/// What makes two fires of schedules the same. Apart from [`event_hash`], so that nobody can send an event beforehand of which
/// a fire would be a duplicate.
pub fn fire_hash(scope: &Scope, id: &EventId) -> DedupHash {
    DedupHash(ExecutionId::derive(&scope.key(), id.as_str(), "dedup/schedule", None).0)
}

/// What makes two events the same for one trigger: the value of its deduplication key, as JSON text.
pub fn trigger_hash(scope: &Scope, trigger: &TriggerId, value: &str) -> DedupHash {
    DedupHash(ExecutionId::derive(&scope.key(), value, &format!("dedup/{trigger}"), None).0)
}

fn event_key(source: &str, id: &EventId) -> String {
    format!("{}:{source}{id}", source.len())
}
