//! How what the journal says of steps, logs and headers becomes what the API shows. The same for every database.

use std::collections::HashSet;

use fastn_contract::activity::{LogLineView, StepView};
use fastn_domain::event::Header;
use fastn_domain::journal::{LogLine, OpRecord, StepRecord, Wait, WaitKind};
use fastn_domain::time::Timestamp;
use serde_json::Value;

/// The steps of an execution that has ended.
pub(crate) fn step_views(steps: Vec<StepRecord>) -> Vec<StepView> {
    steps
        .into_iter()
        .map(|step| StepView {
            key: step.key,
            name: step.name,
            kind: step.kind,
            status: if step.completed { "completed" } else { "failed" }.to_owned(),
            attempts: step.attempts,
            started_at: step.started.to_string(),
            duration_ms: duration_ms(step.started, step.ended),
            input: step.input.as_deref().map(payload),
            output: step.output.as_deref().map(payload),
            error: step.error,
        })
        .collect()
}

/// The steps of an execution that has not ended: the results that it has seen, and what it waits for.
pub(crate) fn live_steps(results: Vec<OpRecord>, waits: Vec<Wait>) -> Vec<StepView> {
    let seen: HashSet<String> = results.iter().map(|result| result.key.clone()).collect();
    let mut steps: Vec<StepView> = results.into_iter().map(result_step).collect();
    let mut shown = HashSet::new();
    // Said again by a snapshot, a wait stands here twice.
    let open = waits.into_iter().filter(|wait| !seen.contains(&wait.key) && shown.insert(wait.key.clone()));
    steps.extend(open.map(|wait| StepView {
        name: name_of(&wait.key).to_owned(),
        key: wait.key,
        kind: wait_kind(wait.kind).to_owned(),
        status: "waiting".to_owned(),
        attempts: 1,
        started_at: wait.started.to_string(),
        duration_ms: 0,
        input: None,
        output: None,
        error: None,
    }));
    steps
}

fn result_step(result: OpRecord) -> StepView {
    // The journal holds only a reference to a secret's version, and not even that is anybody's business.
    let output = result.ok.as_deref().filter(|_| result.kind != "secret_get").map(payload);
    StepView {
        name: name_of(&result.key).to_owned(),
        key: result.key,
        kind: result.kind,
        status: if result.error.is_none() { "completed" } else { "failed" }.to_owned(),
        attempts: result.attempts,
        started_at: result.started.to_string(),
        duration_ms: duration_ms(result.started, result.at),
        input: None,
        output,
        error: result.error.map(|error| error.message),
    }
}

/// The successful results, the last one of each key, in order.
pub(crate) fn latest_results(results: Vec<OpRecord>) -> Vec<OpRecord> {
    let mut seen = HashSet::new();
    let newest_first = results.into_iter().rev().filter(|result| result.ok.is_some());
    let mut kept: Vec<OpRecord> = newest_first.filter(|result| seen.insert(result.key.clone())).collect();
    kept.reverse();
    kept
}

/// The event's headers with those of the route over them.
pub(crate) fn merged_headers(event: Vec<Header>, route: Vec<Header>) -> Vec<Header> {
    let mut headers: Vec<Header> =
        event.into_iter().filter(|header| route.iter().all(|over| over.name != header.name)).collect();
    headers.extend(route);
    headers
}

/// The lines that an execution logged.
pub(crate) fn log_lines(lines: Vec<LogLine>) -> Vec<LogLineView> {
    lines
        .into_iter()
        .map(|line| LogLineView { at: line.at.to_string(), level: line.level, message: line.message })
        .collect()
}

fn payload(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned()))
}

fn duration_ms(started: Timestamp, ended: Timestamp) -> u64 {
    u64::try_from(ended.since(started).as_millis()).unwrap_or(u64::MAX)
}

/// A key is a name and its occurrence, `name#2`.
fn name_of(key: &str) -> &str {
    key.rsplit_once('#').map_or(key, |(name, _)| name)
}

fn wait_kind(kind: WaitKind) -> &'static str {
    match kind {
        WaitKind::Sleep => "sleep",
        WaitKind::Event => "wait_for_event",
        WaitKind::Approval => "approval",
        WaitKind::Invoke => "invoke",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result(key: &str, ok: Option<&str>) -> OpRecord {
        OpRecord {
            key: key.to_owned(),
            kind: "fetch".to_owned(),
            started: Timestamp(0),
            at: Timestamp(5_000),
            attempts: 1,
            ok: ok.map(str::to_owned),
            error: None,
        }
    }

    /// Property: a replay keeps the last successful result of each key, in order, and no failed one.
    #[test]
    fn replays_keep_the_last_success_of_each_key() {
        let kept = latest_results(vec![result("a#1", Some("1")), result("b#1", None), result("a#1", Some("2"))]);
        assert_eq!(kept, vec![result("a#1", Some("2"))]);
    }

    /// Property: a wait is shown until its result is there, and once however often it was said.
    #[test]
    fn waits_are_shown_until_they_end() {
        let wait = |key: &str| Wait {
            key: key.to_owned(),
            kind: WaitKind::Sleep,
            started: Timestamp(0),
            until: None,
            detail: None,
        };
        let steps = live_steps(vec![result("nap#1", Some("null"))], vec![wait("nap#1"), wait("nap#2"), wait("nap#2")]);
        let shown: Vec<_> = steps.iter().map(|step| (step.key.as_str(), step.status.as_str())).collect();
        assert_eq!(shown, [("nap#1", "completed"), ("nap#2", "waiting")]);
    }

    /// Property: what a secret's call gave is not shown, and what other calls gave is.
    #[test]
    fn secrets_are_not_shown() {
        let mut secret = result("TOKEN#1", Some("{\"name\":\"TOKEN\",\"version\":3}"));
        secret.kind = "secret_get".to_owned();
        let steps = live_steps(vec![secret, result("get#1", Some("1"))], Vec::new());
        let shown: Vec<_> = steps.into_iter().map(|step| step.output).collect();
        assert_eq!(shown, [None, Some(Value::from(1))]);
    }

    /// Property: a route's header stands in the place of the event's of the same name.
    #[test]
    fn route_headers_override() {
        let header = |name: &str, value: &str| Header { name: name.to_owned(), value: value.to_owned() };
        let merged = merged_headers(vec![header("a", "1"), header("b", "2")], vec![header("a", "3")]);
        assert_eq!(merged, vec![header("b", "2"), header("a", "3")]);
    }
}
