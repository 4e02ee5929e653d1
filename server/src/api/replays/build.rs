//! What a replay appends: a command that runs an execution again, or an event that comes again. Both have ids made of what
//! asked for them and what they repeat, so that appending them twice is once.

use fastn_contract::activity::{ExecutionView, Origin};
use fastn_contract::command::ReplayFrom;
use fastn_contract::error::ErrorCode;
use fastn_contract::flow::Priority;
use fastn_contract::quota::QuotaOutcome;
use fastn_domain::catalog::Catalog;
use fastn_domain::event::{EventRecord, Header, Replay};
use fastn_domain::journal::OpRecord;
use fastn_domain::route::replay_execution;
use fastn_domain::{EnvironmentId, EventId, ExecutionId, TriggerId, WorkflowId};
use fastn_store::{ReplaySource, StoredEvent};

use crate::api::problem::{ApiError, ApiResult};

/// The header that names the event which one repeats.
const REPLAY_OF: &str = "fastn-replay-of";

/// The id of the command by which a job replays an execution.
pub(super) fn request_of(job: &str, execution: ExecutionId) -> String {
    format!("{job}_{execution}")
}

/// The id under which a job sends an event again.
pub(super) fn repeated_event(job: &str, customer: &str, event: &str) -> Option<EventId> {
    let mut hash = blake3::Hasher::new_derive_key("fastn 2026 replayed event id");
    for part in [job, customer, event] {
        hash.update(&(part.len() as u64).to_le_bytes());
        hash.update(part.as_bytes());
    }
    EventId::new(&format!("{job}_{}", &hash.finalize().to_hex()[..32])).ok()
}

/// The event as a job sends it again, under an id of its own; why it cannot, if so.
pub(super) fn event_again(id: EventId, of: &str, stored: StoredEvent) -> Result<EventRecord, String> {
    let sendable = [Origin::Webhook, Origin::Api, Origin::Schedule, Origin::Polling, Origin::Workflow];
    if !sendable.contains(&stored.view.origin) {
        return Err("it was no event but a run or a command; replay its execution".to_owned());
    }
    let mut event = event_as_it_came(id, stored)?;
    event.headers.retain(|header| header.name != REPLAY_OF);
    event.headers.push(Header { name: REPLAY_OF.to_owned(), value: of.to_owned() });
    Ok(event)
}

/// An event that a quota refused, once more under its own id: so it is taken once, whoever replays it how often.
pub(super) fn blocked_again(id: &EventId, stored: Option<StoredEvent>) -> Result<EventRecord, String> {
    let stored = stored.ok_or("its payload is gone")?;
    if stored.view.quota != Some(QuotaOutcome::Blocked) {
        return Err("it was taken since".to_owned());
    }
    event_as_it_came(id.clone(), stored)
}

/// The event as it came.
pub(crate) fn event_as_it_came(id: EventId, stored: StoredEvent) -> Result<EventRecord, String> {
    let StoredEvent { scope, view, headers, data, time } = stored;
    Ok(EventRecord {
        id,
        source: view.source,
        kind: view.kind,
        subject: view.subject,
        time,
        scope,
        origin: view.origin,
        trigger: view.trigger.as_deref().map(TriggerId::new).transpose().map_err(|error| error.to_string())?,
        workflow: None,
        environment: None,
        headers,
        data: data.into(),
        reply_to: None,
        traceparent: None,
        priority: view.priority.map(Priority::number),
    })
}

/// The version that a replay runs: the execution's own, the newest, or the one asked for.
pub(crate) fn version_to_run(catalog: &Catalog, source: &ReplaySource, asked: Option<u32>) -> ApiResult<u32> {
    let workflow = &source.view.workflow;
    let versions = WorkflowId::new(workflow)
        .ok()
        .and_then(|id| catalog.account(&source.scope.account)?.workflows.get(&id).map(|entry| &entry.versions));
    let newest = versions.and_then(|versions| versions.last_key_value().map(|(version, _)| *version));
    let version = match asked {
        None => source.view.version,
        Some(0) => newest.unwrap_or(0),
        Some(version) => version,
    };
    if versions.is_some_and(|versions| versions.contains_key(&version)) {
        return Ok(version);
    }
    let detail = format!("workflow {workflow} has no version {version} to replay with; name another `version`");
    Err(ApiError::new(ErrorCode::WorkflowNotPublished, detail))
}

/// The results that a replay from the failed step keeps: none of the step itself in which the error was thrown, whose calls
/// go out again.
pub(super) fn before_failure(view: &ExecutionView, results: Vec<OpRecord>) -> Vec<OpRecord> {
    let name = view.error.as_ref().and_then(|error| error.step.as_deref());
    let mut steps = view.steps.iter().flatten();
    let failed = steps.rfind(|step| step.kind == "step" && Some(step.name.as_str()) == name);
    let within = |key: &str| {
        let rest = failed.and_then(|failed| key.strip_prefix(failed.key.as_str()));
        rest.is_some_and(|rest| rest.starts_with(['/', '~']))
    };
    results.into_iter().filter(|result| !within(&result.key)).collect()
}

/// The command that runs an execution again.
pub(crate) fn replay_of(
    source: ReplaySource,
    of: ExecutionId,
    version: u32,
    from: ReplayFrom,
    request: &str,
) -> ApiResult<Replay> {
    let unreadable = |error: &dyn std::fmt::Display| {
        ApiError::new(ErrorCode::DbError, format!("the stored execution {of} cannot be read: {error}"))
    };
    let headers: Vec<Header> = serde_json::from_str(&source.headers).map_err(|error| unreadable(&error))?;
    let trigger = source.view.trigger.as_deref().map(TriggerId::new).transpose();
    Ok(Replay {
        of,
        request: request.to_owned(),
        execution: replay_execution(&source.scope, of, request),
        workflow: WorkflowId::new(&source.view.workflow).map_err(|error| unreadable(&error))?,
        version,
        environment: EnvironmentId::new(&source.view.environment).map_err(|error| unreadable(&error))?,
        trigger: trigger.map_err(|error| unreadable(&error))?,
        event_id: EventId::new(&source.view.event_id).map_err(|error| unreadable(&error))?,
        event_kind: source.event_kind,
        event_source: source.event_source,
        event_time: source.event_time,
        headers,
        input: source.input,
        results: match from {
            ReplayFrom::Start => Vec::new(),
            ReplayFrom::FailedStep => before_failure(&source.view, source.results),
        },
    })
}
