//! The OpenAPI document: what the handlers' own annotations leave out because every operation shares it.
//!
//! Problem answers, security, shared headers, the form of ids in paths: added here by walking the document, so that a new
//! operation has them without saying so.

use fastn_contract::error::ErrorCode;
use serde_json::{Map, Value, json};
use utoipa::OpenApi;

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

/// The whole document, with what the operations share.
pub(crate) fn finish(document: utoipa::openapi::OpenApi) -> Value {
    let mut document = serde_json::to_value(document).expect("the document is plain data");
    document["components"]["securitySchemes"] = json!({
        "accessKey": {"type": "apiKey", "in": "header", "name": "x-fastn-access-key",
            "description": "An access key, e.g. `fsk_test_…`"},
        "bearer": {"type": "http", "scheme": "bearer", "description": "The same key as a bearer token"}
    });
    if let Some(schemas) = document["components"]["schemas"].as_object_mut() {
        sending::add_schemas(schemas);
        schemas::mend(schemas);
    }
    if let Some(paths) = document["paths"].as_object_mut() {
        for (path, item) in paths {
            for (method, operation) in item.as_object_mut().into_iter().flatten() {
                finish_operation(path, method, operation);
            }
        }
    }
    document
}

fn finish_operation(path: &str, method: &str, operation: &mut Value) {
    let protected = path.starts_with("/v1/");
    let writes = matches!(method, "post" | "put" | "delete");
    let webhook = path.starts_with("/v1/webhooks/") || path == "/v1/apps/{endpoint}/events";
    let mut codes = vec![ErrorCode::InternalError, ErrorCode::ServiceUnavailable];
    if protected {
        codes.extend([
            ErrorCode::ValidationError,
            ErrorCode::AuthInvalid,
            ErrorCode::Forbidden,
            ErrorCode::RateLimited,
            ErrorCode::QuotaExceeded,
        ]);
        codes.push(if webhook { ErrorCode::WebhookAuthFailed } else { ErrorCode::AuthExpired });
        codes.extend([ErrorCode::DbError, ErrorCode::WrongRegion]);
        operation["security"] = json!([{"accessKey": []}, {"bearer": []}]);
        if webhook {
            operation["security"].as_array_mut().expect("just made").push(json!({}));
        }
    } else {
        operation["security"] = json!([]);
    }
    // What it is about is named in a header or in the body.
    let elsewhere =
        ["/v1/app-events", "/v1/events", "/v1/usage/current", "/v1/quota-settings", "/v1/settings/retention"]
            .contains(&path);
    if elsewhere || path.contains('{') || path.ends_with("/replay") || path.starts_with("/v1/replays") {
        codes.push(ErrorCode::NotFound);
    }
    if protected && writes {
        codes.extend([ErrorCode::Conflict, ErrorCode::PayloadTooLarge, ErrorCode::UnsupportedMediaType]);
    }
    if path.ends_with("/run") {
        codes.extend([
            ErrorCode::WorkflowFailed,
            ErrorCode::WorkflowTimeout,
            ErrorCode::WorkflowCancelled,
            ErrorCode::Timeout,
        ]);
    }
    if path.ends_with("/run") || path.ends_with("/replay") {
        codes.push(ErrorCode::WorkflowNotPublished);
    }
    add_parameters(path, method, operation, protected && !webhook);
    finish_body(operation);
    add_problems(operation, &codes);
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

fn add_parameters(path: &str, method: &str, operation: &mut Value, protected: bool) {
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
        for (limit, value) in limits.as_object().into_iter().flatten() {
            parameter["schema"][limit] = value.clone();
        }
    }
    if !protected {
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
    if matches!(method, "put" | "delete") && !path.ends_with("/versions") {
        let revision = json!({"type": "string", "pattern": "^(\\*|\"?[0-9]{1,18}\"?)$"});
        header("if-match", "Change only this `revision`", revision);
    }
}

fn add_problems(operation: &mut Value, codes: &[ErrorCode]) {
    let responses = operation["responses"].as_object_mut().expect("every operation has responses");
    let mut by_status: std::collections::BTreeMap<u16, Vec<ErrorCode>> = Default::default();
    for code in codes {
        by_status.entry(code.status()).or_default().push(*code);
    }
    for (status, codes) in by_status {
        let examples: Map<String, Value> = codes
            .iter()
            .map(|code| {
                let example = json!({"type": format!("/errors/{}", code.as_str()), "title": code.title(),
                    "status": status, "detail": code.title(), "code": code.as_str()});
                (code.as_str().to_owned(), json!({"value": example}))
            })
            .collect();
        let names: Vec<&str> = codes.iter().map(|code| code.as_str()).collect();
        let problem = json!({"schema": {"$ref": "#/components/schemas/Problem"}, "examples": examples});
        match responses.get_mut(&status.to_string()) {
            Some(known) => known["content"]["application/problem+json"] = problem,
            None => {
                let answer = json!({"description": names.join(", "), "content": {"application/problem+json": problem}});
                responses.insert(status.to_string(), answer);
            }
        }
    }
}
