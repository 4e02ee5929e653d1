//! Makes a test of an execution that a server shows: its input, what the outside answered it, and what came of it.
//!
//! Values of secrets are not shown by a server. Where one stood in what was sent, the server shows `***`, and the test takes
//! anything there; in its place the test has a value that says its name.

use std::collections::BTreeMap;

use fastn_domain::time::parse_rfc3339;
use fastn_sdk::contract::activity::{ExecutionView, StepView};
use serde_json::{Value, json};

use super::case::{Case, Expect, ExpectCall, Then};
use crate::cli::print;
use crate::testing::Mock;

/// Time that passes beyond what the execution took.
const BEYOND_MS: u64 = 1_000;

/// The test, and what it could not take over.
pub(crate) fn record(view: &ExecutionView) -> (Case, Vec<String>) {
    let steps = view.steps.as_deref().unwrap_or_default();
    let mut missing = Vec::new();
    let fetches: Vec<&StepView> = steps.iter().filter(|step| step.kind == "fetch").collect();
    let case = Case {
        name: Some(format!("{} as in {}", view.workflow, view.id)),
        workflow: Some(view.workflow.clone()),
        input: view.input.clone(),
        customer: Some(view.customer.clone()),
        environment: Some(view.environment.clone()),
        at: Some(view.created_at.clone()),
        secrets: named(steps, "secret_get", "name")
            .map(|(name, _)| (name.clone(), format!("recorded-{name}")))
            .collect(),
        env_config: first_of_each(
            named(steps, "config_get", "key").map(|(key, step)| (key, step.output.clone().unwrap_or_default())),
        ),
        state: state_of(view, steps),
        mocks: fetches.iter().filter_map(|step| mock(step, &mut missing)).collect(),
        then: passes(view),
        expect: Expect {
            status: Some(print::word(&view.status)),
            output: view.output.clone(),
            error: view.error.as_ref().map(|error| error.message.clone()),
            calls: Some(fetches.iter().map(|step| call(step)).collect()),
            steps: Some(steps.iter().filter(|step| step.kind == "step").map(|step| step.name.clone()).collect()),
            ..Expect::default()
        },
        ..Case::default()
    };
    for step in steps {
        let why = match step.kind.as_str() {
            "wait_for_event" => "waited for an event: send it with `then`",
            "approval" => "waited for a decision: give it with `then`",
            "invoke" | "invoke_async" => "called another workflow, which runs in the test as it is now",
            _ => continue,
        };
        missing.push(format!("{} {why}", step.name));
    }
    (case, missing)
}

fn named<'s>(steps: &'s [StepView], kind: &'s str, field: &'s str) -> impl Iterator<Item = (String, &'s StepView)> {
    let of_kind = steps.iter().filter(move |step| step.kind == kind);
    of_kind.filter_map(move |step| Some((step.input.as_ref()?.get(field)?.as_str()?.to_owned(), step)))
}

fn first_of_each(pairs: impl Iterator<Item = (String, Value)>) -> BTreeMap<String, Value> {
    let mut first = BTreeMap::new();
    for (key, value) in pairs {
        first.entry(key).or_insert(value);
    }
    first
}

/// What the customer's state held before: what was read of it before it was written.
fn state_of(view: &ExecutionView, steps: &[StepView]) -> BTreeMap<String, BTreeMap<String, Value>> {
    let (mut state, mut written) = (BTreeMap::new(), Vec::new());
    for step in steps {
        let Some(key) = step.name.strip_prefix("state get ").or_else(|| step.name.strip_prefix("state set ")) else {
            continue;
        };
        let output = step.output.clone().unwrap_or_default();
        if step.kind == "state_get" && !written.contains(&key) && !output.is_null() {
            state.entry(key.to_owned()).or_insert(output);
        }
        written.push(key);
    }
    if state.is_empty() { BTreeMap::new() } else { BTreeMap::from([(view.workflow.clone(), state)]) }
}

/// What the outside answered.
fn mock(step: &StepView, missing: &mut Vec<String>) -> Option<Mock> {
    let input = step.input.as_ref()?;
    let text = |name: &str| input.get(name).and_then(Value::as_str).map(str::to_owned);
    let plain = Mock {
        method: text("method"),
        url: text("url").map(|url| url.replace("***", "*"))?,
        times: Some(1),
        ..Mock::default()
    };
    let Some(output) = step.output.as_ref().filter(|output| output.is_object()) else {
        if step.error.is_none() {
            missing.push(format!("{}: the answer is not shown, or was cut", step.name));
        }
        return Some(Mock { fails: Some("ECONNRESET".to_owned()), ..plain });
    };
    let body = output.get("body").and_then(Value::as_str).unwrap_or_default();
    let base64 = output.get("bodyBase64").and_then(Value::as_bool).unwrap_or_default();
    let body = match serde_json::from_str::<Value>(body) {
        _ if body.is_empty() => None,
        _ if base64 => Some(json!({ "base64": body })),
        // A text that is JSON of a number or a text would be written as another.
        Ok(value) if value.is_object() || value.is_array() => Some(value),
        _ => Some(json!(body)),
    };
    let headers = output.get("headers").and_then(Value::as_array).into_iter().flatten();
    let headers =
        headers.filter_map(|pair| Some((pair.get(0)?.as_str()?.to_owned(), pair.get(1)?.as_str()?.to_owned())));
    // Length and encoding are those of the bytes that came, which are others now.
    let kept =
        |name: &str| !["content-length", "content-encoding", "transfer-encoding", "connection", "date"].contains(&name);
    Some(Mock {
        status: output.get("status").and_then(Value::as_u64).and_then(|status| u16::try_from(status).ok()),
        headers: headers.filter(|(name, _)| kept(name) && name != "set-cookie").collect(),
        body,
        ..plain
    })
}

fn call(step: &StepView) -> ExpectCall {
    let input = step.input.clone().unwrap_or_default();
    let text = |name: &str| input.get(name).and_then(Value::as_str).map(str::to_owned);
    let body = text("body").map(|body| serde_json::from_str(&body).unwrap_or(Value::String(body)));
    ExpectCall {
        method: text("method"),
        url: text("url").map(|url| url.replace("***", "*")),
        body,
        ..ExpectCall::default()
    }
}

/// As much time as the execution took.
fn passes(view: &ExecutionView) -> Vec<Then> {
    let took = match (parse_rfc3339(&view.created_at), view.finished_at.as_deref().and_then(parse_rfc3339)) {
        (Some(began), Some(ended)) => u64::try_from(ended.since(began).as_millis()).unwrap_or(u64::MAX / 2),
        _ => 0,
    };
    vec![Then::Advance(format!("{}s", (took + BEYOND_MS).div_ceil(1_000)))]
}
