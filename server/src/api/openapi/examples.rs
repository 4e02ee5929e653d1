//! The document's examples: one body of each type that is sent or answered, from one story, and one problem of each code.
//!
//! `examples.json` holds them by the name of the schema, or by operation (`createTrigger` for what is sent,
//! `runWorkflow.200` for an answer) where an operation's own says more. Pages and stored objects are made of the parts.

use std::sync::LazyLock;

use fastn_contract::error::{ErrorCode, FieldError, Problem};
use serde_json::{Map, Value, json};

use super::schemas::referred;

/// A request's id.
pub(super) const REQUEST_ID: &str = "req_2c8w5k1x9m4q7r3t6y0zbd5fgh";
/// When the story's objects were written.
const WRITTEN: &str = "2026-11-24T13:34:42.120Z";

static BODIES: LazyLock<Map<String, Value>> =
    LazyLock::new(|| serde_json::from_str(include_str!("examples.json")).expect("the file is an object"));

/// What stands in a path, by the end of the path up to the parameter.
const IN_PATHS: &[(&str, &str)] = &[
    ("/errors/{code}", "NOT_FOUND"),
    ("alert-rules/{id}", "failing_orders"),
    ("alerts/{id}", "alert_7c0e5a1f2b9d4836"),
    ("apps/{endpoint}", "app_7m2k9d4x1q8r5t3w6y0zbcdefg"),
    ("apps/{id}", "hubspot"),
    ("customer-tiers/{id}", "gold"),
    ("customers/{id}", "cus_acme"),
    ("dead-letters/{id}", "exec_06bq4t9v2m7c1xk8n5r3w0zhde"),
    ("deployments/{environment}", "live"),
    ("env-configs/{environment}", "test"),
    ("env-configs/{environment}/{key}", "BOARD_URL"),
    ("erasures/{id}", "ers_9b1f04c7d2a85e3690fb7c41ad"),
    ("events/{id}", "ord_1001-created"),
    ("executions/{id}", "exec_06bq4t9v2m7c1xk8n5r3w0zhde"),
    ("plans/{id}", "growth"),
    ("replays/{id}", "rpl_4e8a0c6f2b9d17355ac0e1f8d2"),
    ("schedules/{id}", "nightly"),
    ("secrets/{name}", "CRM_TOKEN"),
    ("triggers/{id}", "on_order"),
    ("webhooks/{trigger}", "whk_5c9x2m7q4k8r1t6w3y0zbd5fgh"),
    ("workflows/{id}", "triage"),
    ("workflows/{id}/versions/{version}", "1"),
];
/// The same where a part of a family needs another.
const IN_LONGER_PATHS: &[(&str, &str)] =
    &[("/poll", "crm_contacts"), ("subscription", "hubspot_contacts"), ("/captured-token", "NOTION_TOKEN")];

/// An example of the parameter `name` of `path`.
pub(super) fn in_path(path: &str, name: &str) -> Option<Value> {
    let (before, after) = path.split_once(&format!("{{{name}}}"))?;
    let until = format!("{before}{{{name}}}");
    let longer = IN_LONGER_PATHS.iter().find(|(end, _)| after.ends_with(end));
    let text = longer.or_else(|| IN_PATHS.iter().find(|(end, _)| until.ends_with(end))).map(|(_, text)| *text)?;
    Some(text.parse::<u32>().map_or_else(|_| json!(text), |number| json!(number)))
}

/// The example of a schema, made of its parts where it is made of others.
fn of_schema(name: &str) -> Option<Value> {
    if let Some(row) = name.strip_prefix("Page_") {
        return Some(json!({"items": [in_page(row, of_schema(row)?)]}));
    }
    if name == "TriggerView" {
        return Some(stored(&["Trigger"]));
    }
    match name.strip_prefix("Stored_") {
        Some(kind) => Some(stored(&[kind, name])),
        None => BODIES.get(name).cloned(),
    }
}

/// An object as it is stored, with the defaults that the server writes out.
fn stored(names: &[&str]) -> Value {
    let mut whole = Map::from_iter([
        ("revision".to_owned(), json!(3)),
        ("createdAt".to_owned(), json!(WRITTEN)),
        ("updatedAt".to_owned(), json!(WRITTEN)),
    ]);
    for name in names {
        whole.extend(BODIES.get(*name).and_then(Value::as_object).cloned().unwrap_or_default());
    }
    Value::Object(whole)
}

/// What lists leave out.
fn in_page(row: &str, mut example: Value) -> Value {
    let left_out: &[&str] = match row {
        "EventView" => &["data"],
        "ExecutionView" => &["input", "output", "steps", "logs"],
        "ScheduleView" => &["upcoming", "history"],
        "VersionView" => &["source"],
        _ => &[],
    };
    for field in left_out {
        example.as_object_mut().and_then(|object| object.remove(*field));
    }
    example
}

/// Gives the body of the operation and its good answers their examples, and puts those into `shared`.
pub(super) fn add(operation: &mut Value, shared: &mut Map<String, Value>) {
    let id = operation["operationId"].as_str().unwrap_or_default().to_owned();
    if let Some(body) = operation.get_mut("requestBody") {
        fill(&mut body["content"], &id, shared);
    }
    for (status, answer) in operation["responses"].as_object_mut().into_iter().flatten() {
        if let Some(content) = answer.get_mut("content") {
            fill(content, &format!("{id}.{status}"), shared);
        }
    }
}

fn fill(content: &mut Value, own: &str, shared: &mut Map<String, Value>) {
    for (media, content) in content.as_object_mut().into_iter().flatten() {
        if let Some(text) = in_text(media, own) {
            content["example"] = text;
            continue;
        }
        let schema = content.get("schema").and_then(referred).unwrap_or_default().to_owned();
        let found = match BODIES.get(own) {
            Some(example) => Some((own.to_owned(), example.clone())),
            None => of_schema(&schema).map(|example| (schema, example)),
        };
        if let Some((name, value)) = found {
            content["examples"] = json!({(&name): {"$ref": format!("#/components/examples/{name}")}});
            shared.entry(name).or_insert_with(|| json!({"value": value}));
        }
    }
}

/// Examples of what is no JSON.
fn in_text(media: &str, own: &str) -> Option<Value> {
    let text = match (media, own) {
        ("text/html", _) => "<!doctype html>\n<title>fastn</title>",
        ("text/plain", _) => "# TYPE fastn_events_total counter\nfastn_events_total 1843\n",
        ("text/event-stream", _) => {
            "id: 1763991282120000-7\nevent: execution\ndata: {\"id\":\"exec_06bq4t9v2m7c1xk8n5r3w0zhde\",\
             \"customer\":\"cus_acme\",\"workflow\":\"triage\",\"status\":\"completed\",\"attempt\":1,\
             \"at\":\"2026-11-24T13:34:42.310Z\",\"durationMs\":190,\"stepCount\":1}\n\n"
        }
        ("application/x-ndjson", _) => "{\"kind\":\"customer\",\"value\":{\"id\":\"cus_acme\",\"name\":\"Acme\"}}\n",
        (_, "openapi.200") => return Some(json!({"openapi": "3.1.0"})),
        _ => return None,
    };
    Some(json!(text))
}

/// A problem as it is answered.
pub(super) fn problem(code: ErrorCode) -> Problem {
    let detail = match code {
        ErrorCode::AuthInvalid => "The access key is not known. Was it revoked?",
        ErrorCode::AuthExpired => "The access key key_7 has expired. Create a new one.",
        ErrorCode::Forbidden => "this key acts for customer cus_acme only; use a key of the account",
        ErrorCode::NotFound => "there is no workflow \"triage\" within reach of this key",
        ErrorCode::ValidationError => "routes: must not be empty",
        ErrorCode::Conflict => "workflow \"triage\" has revision 4, not 3; read it again and repeat your change",
        ErrorCode::WrongRegion => "the data of customer cus_acme is kept in EU; send this to its base URL",
        ErrorCode::PayloadTooLarge => "the body is larger than 2097152 bytes",
        ErrorCode::UnsupportedMediaType => "send the body as Content-Type: application/json",
        ErrorCode::RateLimited => "the limit of 600 requests in a minute of customer cus_acme is used up",
        ErrorCode::QuotaExceeded => "the limit of 100000 requests in a day of customer cus_acme is used up",
        ErrorCode::InternalError => "the server failed; its log says why",
        ErrorCode::ServiceUnavailable => "the log takes no more at the moment; nothing was done",
        ErrorCode::DbError => "resources failed; the server's log says why",
        ErrorCode::Timeout => "execution exec_06bq4t9v2m7c1xk8n5r3w0zhde has not ended in time; ask for it by its id",
        ErrorCode::WorkflowFailed => "TypeError: cannot read property 'total' of undefined (workflows/triage.ts:12:31)",
        ErrorCode::WorkflowTimeout => "TimeoutError: longer than 60000 ms",
        ErrorCode::WorkflowNotPublished => {
            "workflow triage has no version in live; publish it, or deploy a version there"
        }
        ErrorCode::WorkflowInvalid => "workflows/triage.ts:3:7: expected `)`",
        ErrorCode::WebhookAuthFailed => "The signature in X-Hub-Signature-256 does not fit the body.",
        _ => code.title(),
    };
    let mut problem = Problem::new(code, detail);
    problem.request_id = Some(REQUEST_ID.into());
    let field = |path: &str, message: &str| vec![FieldError { path: path.to_owned(), message: message.to_owned() }];
    match code {
        ErrorCode::ValidationError => problem.errors = field("routes", "must not be empty"),
        ErrorCode::WorkflowInvalid => problem.errors = field("source", "3:7: expected `)`"),
        ErrorCode::RateLimited => problem.retry_after = Some(12),
        ErrorCode::QuotaExceeded => problem.retry_after = Some(8_400),
        ErrorCode::ServiceUnavailable => problem.retry_after = Some(1),
        ErrorCode::WrongRegion => problem.base_url = Some("https://eu.fastn.example".into()),
        ErrorCode::Timeout | ErrorCode::WorkflowFailed | ErrorCode::WorkflowTimeout | ErrorCode::WorkflowCancelled => {
            problem.execution_id = Some("exec_06bq4t9v2m7c1xk8n5r3w0zhde".to_owned());
        }
        _ => {}
    }
    problem
}
