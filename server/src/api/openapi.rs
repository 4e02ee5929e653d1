//! The OpenAPI document: what the handlers' own annotations leave out because every operation shares it.
//!
//! Problem answers, security, shared headers, the form of ids in paths: added here by walking the document, so that a new
//! operation has them without saying so.

use serde_json::{Map, Value, json};
use utoipa::OpenApi;

use super::access::{self, Access};

pub(crate) mod answers;
mod examples;
mod schemas;
mod sending;

use self::schemas::ID_PATTERN;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "fastn API",
        description = "Configuration, activity, runs and replay of one fastn server. Send the access key in \
            `x-fastn-access-key`, optionally with its account in `x-fastn-account-id`; name the customer in `x-fastn-account-tenant-id` to act for one customer. Errors are \
            RFC 9457 problem details; each code has a page under `/errors/`.",
        license(name = "Apache-2.0", identifier = "Apache-2.0")
    ),
    tags(
        (name = "Events", description = "What comes in, and what became of it."),
        (name = "Executions", description = "Every run, its steps, cancel, replay, decide, follow."),
        (name = "Dead letters", description = "Executions that failed for good."),
        (name = "Alerts", description = "Rules, the times that they fired, and who was told."),
        (name = "Replays", description = "Many executions or events once more, at a rate."),
        (name = "Workflows", description = "Settings, versions, deployments, runs."),
        (name = "Triggers", description = "What starts workflows."),
        (name = "Quotas", description = "Plans, tiers, limits, and what is used of them."),
        (name = "Schedules", description = "Triggers that fire by the clock: how they stand, run, backfill, pause, resume."),
        (name = "Apps", description = "Connector apps, whose events come to one shared URL."),
        (name = "Customers", description = "The account's customers, their export and their erasure."),
        (name = "Settings", description = "What holds for the account as a whole."),
        (name = "Secrets", description = "Written, never read back."),
        (name = "Environment configuration", description = "Values that workflows read."),
        (name = "System", description = "Health, metrics, this document.")
    ),
    components(schemas(fastn_contract::activity::ExecutionUpdate, fastn_contract::alert::AlertNotice, fastn_contract::error::Problem, fastn_contract::error::FieldError))
)]
struct Base;

/// The document's head.
pub(crate) fn base() -> utoipa::openapi::OpenApi {
    Base::openapi()
}

/// An operation, as far as what is shared depends on it.
pub(crate) struct Operation<'d> {
    /// Its id.
    pub(crate) id: &'d str,
    /// Its method, in small letters.
    pub(crate) method: &'d str,
    /// Its path.
    pub(crate) path: &'d str,
    /// Whether a body is read.
    pub(crate) has_body: bool,
}

impl<'d> Operation<'d> {
    fn new(path: &'d str, method: &'d str, operation: &'d Value) -> Self {
        let id = operation["operationId"].as_str().expect("every operation has an id");
        Self { id, method, path, has_body: operation.get("requestBody").is_some() }
    }
}

/// Every operation of the document.
pub(crate) fn operations(document: &Value) -> impl Iterator<Item = Operation<'_>> {
    let paths = document["paths"].as_object().into_iter().flatten();
    paths.flat_map(|(path, item)| {
        let operations = item.as_object().into_iter().flatten();
        operations.map(move |(method, operation)| Operation::new(path, method, operation))
    })
}

/// The whole document, with what the operations share.
pub(crate) fn finish(mut document: Value) -> Value {
    document["servers"] = json!([{"url": "/", "description": "The server that this document came from."}]);
    document["components"]["securitySchemes"] = security_schemes();
    document["components"]["headers"] = answers::headers();
    if let Some(schemas) = document["components"]["schemas"].as_object_mut() {
        sending::add_schemas(schemas);
        schemas::mend(schemas);
    }
    let (mut shared, mut bodies) = (Map::new(), answers::problems());
    for (path, item) in document["paths"].as_object_mut().into_iter().flatten() {
        for (method, operation) in item.as_object_mut().into_iter().flatten() {
            finish_body(operation);
            let about = operation.clone();
            let about = Operation::new(path, method, &about);
            add_access(&about, operation);
            add_parameters(&about, operation);
            answers::add(operation, &answers::codes(&about), &mut shared);
            examples::add(operation, &mut bodies);
        }
    }
    document["components"]["responses"] = shared.into();
    document["components"]["examples"] = bodies.into();
    document
}

fn security_schemes() -> Value {
    let kinds = "A key of the account acts for all of the account, or for the customer that a request names; a key of one \
                 customer acts for that customer only. Each operation says in `x-fastn-access` which may call it.";
    json!({
        "accessKey": {"type": "apiKey", "in": "header", "name": "x-fastn-access-key",
            "description": format!("An access key, e.g. `fsk_test_…`. {kinds}")},
        "bearer": {"type": "http", "scheme": "bearer", "description": format!("The same key as a bearer token. {kinds}")}
    })
}

/// Who may call it: as a word, as a sentence, and as the keys that are asked for.
fn add_access(about: &Operation<'_>, operation: &mut Value) {
    let (access, note) = access::of(about.id);
    operation["x-fastn-access"] = access.as_str().into();
    let mut text = operation["description"].as_str().unwrap_or_default().to_owned();
    for sentence in [access.sentence(), note].iter().filter(|sentence| !sentence.is_empty()) {
        let gap = match text.as_str() {
            "" => "",
            _ if *sentence == note => " ",
            _ => "\n\n",
        };
        text = format!("{text}{gap}{sentence}");
    }
    operation["description"] = text.into();
    operation["security"] = match access {
        Access::Anyone => json!([]),
        Access::Sender => json!([{"accessKey": []}, {"bearer": []}, {}]),
        _ => json!([{"accessKey": []}, {"bearer": []}]),
    };
}

/// A body that may be absent is one that is not required, and not one of two kinds.
fn finish_body(operation: &mut Value) {
    let content = operation["operationId"].as_str().and_then(sending::body_of);
    let Some(body) = operation.get_mut("requestBody") else { return };
    if let Some(content) = content {
        body["content"] = content;
    }
    let mut optional = false;
    for kind in body["content"].as_object_mut().into_iter().flat_map(Map::values_mut) {
        let parts = kind["schema"]["oneOf"].as_array().map(Vec::as_slice);
        if let Some([whole, null]) = parts
            && null["type"] == "null"
        {
            kind["schema"] = whole.clone();
            optional = true;
        }
    }
    body["required"] = (!optional).into();
}

fn add_parameters(about: &Operation<'_>, operation: &mut Value) {
    let Operation { id, method, path, .. } = *about;
    let parameters = operation.as_object_mut().expect("an operation").entry("parameters").or_insert(json!([]));
    let list = parameters.as_array_mut().expect("a list");
    for parameter in list.iter_mut().filter(|parameter| parameter["in"] == "path") {
        let name = parameter["name"].as_str().unwrap_or_default();
        let limits = match name {
            "version" => json!({"minimum": 1}),
            "name" => json!({"pattern": "^[A-Z][A-Z0-9_]{0,127}$"}),
            "id" if path.starts_with("/v1/events/") => json!({"minLength": 1, "maxLength": 256}),
            "id" if path.contains("executions") || path.contains("dead-letters") => {
                json!({"pattern": "^exec_[0-7][0-9a-hjkmnp-tv-z]{25}$"})
            }
            "code" => json!({}),
            _ => json!({"pattern": ID_PATTERN}),
        };
        let example = examples::in_path(path, name).unwrap_or_else(|| panic!("{path} needs an example of {name}"));
        for (limit, value) in limits.as_object().into_iter().flatten() {
            parameter["schema"][limit] = value.clone();
        }
        parameter["example"] = example;
    }
    if matches!(access::of(id).0, Access::Anyone | Access::Sender) {
        return;
    }
    let mut header = |name: &str, description: &str, schema: Value| {
        list.push(json!({"name": name, "in": "header", "description": description, "required": false,
            "schema": schema}));
    };
    // `x-fastn-account-id` is told in the head of the document: it can only repeat what the key says.
    let customer = json!({"type": "string", "pattern": ID_PATTERN});
    header("x-fastn-account-tenant-id", "The one customer to act for", customer);
    if method != "get" {
        let key = json!({"type": "string", "minLength": 1, "maxLength": 255});
        header("idempotency-key", "Makes the write safe to repeat: it is done once and answered the same", key);
    }
    if matches!(method, "put" | "delete") && !path.ends_with("/poll") {
        let revision = json!({"type": "string", "pattern": "^(\\*|\"?[0-9]{1,18}\"?)$"});
        header("if-match", "Change only this `revision`", revision);
    }
    if method == "put" {
        let new = json!({"type": "string", "enum": ["*"]});
        header("if-none-match", "Create only: what is there already is not changed", new);
    }
    if id == "followExecutions" {
        let last = json!({"type": "string", "maxLength": 64});
        header("last-event-id", "The `id` of the last event that was seen: goes on after it", last);
    }
}
