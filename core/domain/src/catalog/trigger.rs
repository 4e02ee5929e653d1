//! A trigger checked once, with its paths parsed and its filters compiled.

use std::sync::Arc;

use fastn_contract::error::FieldError;
use fastn_contract::resource::{ExecutionMode, Route, Trigger, TriggerSource};

use super::{challenge, verification};
use crate::condition::Matcher;
use crate::event::Header;
use crate::flow::{CompiledFlow, Holder};
use crate::ids::{AppId, CustomerId, EVENT_ID_BYTES_MAX, EnvironmentId, TriggerId, WorkflowId};
use crate::path::Path;
use crate::poll::Poll;
use crate::retry::ATTEMPTS;
use crate::schedule::Schedule;
use crate::time::Timestamp;

/// Most routes of one trigger.
pub(crate) const ROUTES_MAX: usize = 64;
/// Most event types that one trigger names.
pub(crate) const TYPES_MAX: usize = 64;

/// A trigger as the processor and the edge use it.
#[derive(Clone, Debug)]
pub struct CompiledTrigger {
    /// Its id.
    pub id: TriggerId,
    /// The one customer it belongs to.
    pub customer: Option<CustomerId>,
    /// As it was written.
    pub spec: Trigger,
    /// Path of the deduplication key.
    pub deduplication_key: Option<Path>,
    /// Path of the key that orders sequential executions.
    pub sequence_key: Option<Path>,
    /// What holds its executions back, with paths parsed.
    pub flow: Option<CompiledFlow>,
    /// Its routes, in order.
    pub routes: Vec<CompiledRoute>,
    /// When it fires by the clock, if it does.
    pub ticks: Option<Arc<Schedule>>,
    /// What it polls, if it does.
    pub poll: Option<Arc<Poll>>,
    /// When its row was made.
    pub created: Timestamp,
    /// When its row was last changed.
    pub changed: Timestamp,
}

/// A route with its filter compiled.
#[derive(Clone, Debug)]
pub struct CompiledRoute {
    /// The workflow that runs.
    pub workflow: WorkflowId,
    /// Where.
    pub environment: EnvironmentId,
    /// Only events for which this holds.
    pub filter: Option<Matcher>,
    /// Headers added to the event's; names in lower case.
    pub headers: Vec<Header>,
}

impl CompiledTrigger {
    /// Whether this trigger listens to events of this type that were sent through the API.
    pub fn listens_to(&self, kind: &str) -> bool {
        match &self.spec.source {
            TriggerSource::Webhook { .. }
            | TriggerSource::AppEvent { .. }
            | TriggerSource::Schedule(_)
            | TriggerSource::Poll(_) => false,
            TriggerSource::Event { types } => types.iter().any(|pattern| match pattern.strip_suffix('*') {
                Some(prefix) => kind.starts_with(prefix),
                None => pattern == kind,
            }),
        }
    }
}

/// Checks `spec` as a whole and compiles it.
///
/// # Errors
/// Every part that is not valid, with its path into the body.
pub fn compile_trigger(spec: Trigger) -> Result<CompiledTrigger, Vec<FieldError>> {
    let mut errors = Vec::new();
    let mut complain = |path: &str, message: String| errors.push(FieldError { path: path.to_owned(), message });

    let id = TriggerId::new(&spec.id).map_err(|error| complain("id", error.to_string())).ok();
    let customer = spec
        .customer
        .as_deref()
        .and_then(|customer| CustomerId::new(customer).map_err(|error| complain("customer", error.to_string())).ok());
    if !ATTEMPTS.contains(&spec.max_attempts) {
        complain("maxAttempts", format!("must be {} to {}", ATTEMPTS.start(), ATTEMPTS.end()));
    }
    let mut path = |field: &str, text: &Option<String>| {
        let text = text.as_deref()?;
        Path::parse(text).map_err(|error| complain(field, error.to_string())).ok()
    };
    let deduplication_key = path("deduplicationKey", &spec.deduplication_key);
    let sequence_key = path("sequenceKey", &spec.sequence_key);
    let flow = match spec.flow.as_ref().map(|flow| CompiledFlow::compile(flow, Holder::Trigger)) {
        Some(Ok(flow)) => Some(flow),
        Some(Err(wrong)) => {
            wrong.into_iter().for_each(|error| complain(&error.path, error.message));
            None
        }
        None => None,
    };
    if spec.mode == ExecutionMode::Sequential && flow.as_ref().is_some_and(|flow| flow.batch.is_some()) {
        complain("flow.batch", "a sequential trigger has no batches: choose one of the two".to_owned());
    }
    check_source(&spec.source, &mut complain);
    let ticks = match &spec.source {
        TriggerSource::Schedule(schedule) => Schedule::compile(schedule, &spec.id)
            .map_err(|wrong| wrong.into_iter().for_each(|error| complain(&error.path, error.message)))
            .ok(),
        _ => None,
    };
    let poll = match &spec.source {
        TriggerSource::Poll(poll) => Poll::compile(poll)
            .map_err(|wrong| wrong.into_iter().for_each(|error| complain(&error.path, error.message)))
            .ok(),
        _ => None,
    };
    if matches!(spec.source, TriggerSource::AppEvent { .. }) && spec.customer.is_none() {
        complain("customer", "an app-event trigger belongs to one customer; name it".to_owned());
    }
    if spec.routes.is_empty() || spec.routes.len() > ROUTES_MAX {
        complain("routes", format!("a trigger has 1 to {ROUTES_MAX} routes"));
    }
    let routes: Vec<CompiledRoute> =
        spec.routes.iter().enumerate().filter_map(|(at, route)| compile_route(at, route, &mut complain)).collect();

    match id {
        Some(id) if errors.is_empty() => {
            let (created, changed) = (Timestamp(0), Timestamp(0));
            let (ticks, poll) = (ticks.map(Arc::new), poll.map(Arc::new));
            Ok(CompiledTrigger {
                id,
                customer,
                spec,
                deduplication_key,
                sequence_key,
                flow,
                routes,
                ticks,
                poll,
                created,
                changed,
            })
        }
        _ => Err(errors),
    }
}

fn check_source(source: &TriggerSource, complain: &mut impl FnMut(&str, String)) {
    match source {
        TriggerSource::Event { types } => {
            if types.is_empty() || types.len() > TYPES_MAX || types.iter().any(String::is_empty) {
                complain("source.types", format!("an event trigger names 1 to {TYPES_MAX} types"));
            }
        }
        TriggerSource::Webhook { verification, challenge } => {
            verification::check("source.verification", verification, complain);
            challenge::check("source.challenge", challenge.as_ref(), complain);
        }
        TriggerSource::AppEvent { app, event, account_id } => {
            if let Err(error) = AppId::new(app) {
                complain("source.app", error.to_string());
            }
            if event.is_empty() {
                complain("source.event", "name one of the app's events".to_owned());
            }
            if account_id.as_ref().is_some_and(|id| id.is_empty() || id.len() > EVENT_ID_BYTES_MAX) {
                complain("source.accountId", format!("must be 1 to {EVENT_ID_BYTES_MAX} bytes"));
            }
        }
        // Checked as it is compiled.
        TriggerSource::Schedule(_) | TriggerSource::Poll(_) => {}
    }
}

fn compile_route(at: usize, route: &Route, complain: &mut impl FnMut(&str, String)) -> Option<CompiledRoute> {
    let workflow = WorkflowId::new(&route.workflow)
        .map_err(|error| complain(&format!("routes[{at}].workflow"), error.to_string()))
        .ok();
    let environment = EnvironmentId::new(&route.environment)
        .map_err(|error| complain(&format!("routes[{at}].environment"), error.to_string()))
        .ok();
    let filter = match route.filter.as_ref().map(Matcher::compile) {
        None => None,
        Some(Ok(matcher)) => Some(matcher),
        Some(Err(error)) => {
            complain(&format!("routes[{at}].filter"), error.to_string());
            return None;
        }
    };
    let headers = route
        .headers
        .iter()
        .map(|(name, value)| Header { name: name.to_ascii_lowercase(), value: value.clone() })
        .collect();
    Some(CompiledRoute { workflow: workflow?, environment: environment?, filter, headers })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn compile(body: serde_json::Value) -> Result<CompiledTrigger, Vec<FieldError>> {
        compile_trigger(serde_json::from_value(body).unwrap())
    }

    /// Property: every bad part is named with its own path, all in one answer.
    #[test]
    fn complains_about_every_part() {
        let errors = compile(json!({
            "id": "a/b", "maxAttempts": 11, "deduplicationKey": "a..b", "source": {"type": "event", "types": []},
            "routes": [{"workflow": "ok"}, {"workflow": "not ok", "filter": {"path": "a..b", "op": "exists"}}]
        }))
        .unwrap_err();
        let paths: Vec<&str> = errors.iter().map(|error| error.path.as_str()).collect();
        assert_eq!(
            paths,
            ["id", "maxAttempts", "deduplicationKey", "source.types", "routes[1].workflow", "routes[1].filter"]
        );
    }

    /// Property: a type pattern matches itself, and with a star every longer type too.
    #[test]
    fn type_patterns() {
        let trigger = compile(json!({
            "id": "t", "source": {"type": "event", "types": ["order.*", "ping"]}, "routes": [{"workflow": "w"}]
        }))
        .unwrap();
        assert!(trigger.listens_to("order.created") && trigger.listens_to("ping"));
        assert!(!trigger.listens_to("pinged") && !trigger.listens_to("orde"));
    }
}
