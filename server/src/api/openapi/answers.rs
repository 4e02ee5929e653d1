//! What an operation can answer beside what it is there for: its codes, and the shared parts of the document that tell them.
//!
//! Which codes an operation has follows from what it is (its path, its method, whether it has a body) and from the lists
//! here; the tests of the API fail on an answer that is not told of.

use std::collections::{BTreeMap, BTreeSet};

use fastn_contract::error::{ErrorCode, Problem};
use serde_json::{Map, Value, json};

use super::{Operation, examples};

/// The operations that the ingest role serves, and whose senders are proved by a scheme of a trigger's or an app's own.
pub(crate) const SENT_BY_OTHERS: &[&str] = &["receiveWebhook", "receiveAppEvents"];
/// The operations that the ingest role serves to SaaS backends.
pub(crate) const SENT_BY_BACKENDS: &[&str] = &["sendEvents", "sendAppEvents"];

/// Operations that look for what they are about in a header or in the body.
const FINDS_ELSEWHERE: &[&str] = &["getCurrentUsage", "sendEvents", "sendAppEvents", "startReplay", "previewReplay"];
/// Operations that start executions at a version.
const STARTS_A_VERSION: &[&str] = &["runWorkflow", "replayExecution", "replayDeadLetter", "replayDeadLetters"];
/// Codes that no operation answers: the first belongs to paths, the second is kept for connectors.
pub(crate) const OF_NO_OPERATION: &[ErrorCode] = &[ErrorCode::MethodNotAllowed, ErrorCode::UpstreamError];

/// Every code that the operation can answer with, in the table's order.
pub(crate) fn codes(operation: &Operation<'_>) -> Vec<ErrorCode> {
    let id = operation.id;
    let mut codes = vec![ErrorCode::InternalError];
    let edge = SENT_BY_OTHERS.contains(&id) || SENT_BY_BACKENDS.contains(&id);
    if operation.path.starts_with("/v1/") {
        codes.extend([
            ErrorCode::ValidationError,
            ErrorCode::AuthInvalid,
            ErrorCode::AuthExpired,
            ErrorCode::Forbidden,
            ErrorCode::WrongRegion,
            ErrorCode::RateLimited,
            ErrorCode::QuotaExceeded,
            ErrorCode::ServiceUnavailable,
        ]);
        if edge {
            codes.push(ErrorCode::PayloadTooLarge);
        } else {
            codes.push(ErrorCode::DbError);
        }
        if operation.method != "get" && !edge {
            // The idempotency key was used for another request; and what is written has changed meanwhile.
            codes.extend([ErrorCode::Conflict, ErrorCode::PayloadTooLarge]);
        }
    }
    if operation.has_body {
        codes.push(ErrorCode::UnsupportedMediaType);
    }
    if operation.path.contains('{') || FINDS_ELSEWHERE.contains(&id) {
        codes.push(ErrorCode::NotFound);
    }
    if SENT_BY_OTHERS.contains(&id) {
        codes.push(ErrorCode::WebhookAuthFailed);
    }
    if STARTS_A_VERSION.contains(&id) {
        codes.push(ErrorCode::WorkflowNotPublished);
    }
    match id {
        "runWorkflow" => codes.extend([
            ErrorCode::WorkflowFailed,
            ErrorCode::WorkflowTimeout,
            ErrorCode::WorkflowCancelled,
            ErrorCode::Timeout,
        ]),
        "publishVersion" => codes.push(ErrorCode::WorkflowInvalid),
        _ => {}
    }
    let has: Vec<ErrorCode> = ErrorCode::ALL.iter().filter(|code| codes.contains(code)).copied().collect();
    has
}

/// Puts a reference for each status of `codes` into the operation's answers, and what each refers to into `shared`.
pub(super) fn add(operation: &mut Value, codes: &[ErrorCode], shared: &mut Map<String, Value>) {
    let limited = codes.contains(&ErrorCode::RateLimited);
    // Only where a key can be used up can an answer be an earlier one.
    let repeatable = codes.contains(&ErrorCode::Conflict);
    operation["x-fastn-codes"] = codes.iter().map(|code| code.as_str()).collect();
    let responses = operation["responses"].as_object_mut().expect("every operation has answers");
    let mut by_status: BTreeMap<u16, Vec<ErrorCode>> = BTreeMap::new();
    for code in codes {
        by_status.entry(code.status()).or_default().push(*code);
    }
    for (status, codes) in by_status {
        let name = codes.iter().map(|code| format!("{code:?}")).collect::<Vec<_>>().join("Or");
        shared.entry(name.clone()).or_insert_with(|| answer(&codes));
        responses.insert(status.to_string(), json!({"$ref": format!("#/components/responses/{name}")}));
    }
    for answer in responses.values_mut().filter(|answer| answer.get("$ref").is_none()) {
        let tagged = answer
            .pointer("/content/application~1json/schema/$ref")
            .and_then(Value::as_str)
            .is_some_and(|name| name.contains("/Stored_") || name.ends_with("/TriggerView"));
        answer["headers"]["x-request-id"] = header_ref("RequestId");
        if limited {
            answer["headers"]["ratelimit"] = header_ref("RateLimit");
            answer["headers"]["ratelimit-policy"] = header_ref("RateLimitPolicy");
        }
        if repeatable {
            answer["headers"]["idempotency-replayed"] = header_ref("Replayed");
        }
        if tagged {
            answer["headers"]["etag"] = header_ref("Revision");
        }
    }
}

fn header_ref(name: &str) -> Value {
    json!({"$ref": format!("#/components/headers/{name}")})
}

/// The one answer of a status with these codes.
fn answer(codes: &[ErrorCode]) -> Value {
    let told: Vec<String> = codes.iter().map(|code| format!("`{}`: {}.", code.as_str(), code.title())).collect();
    let example = |code: &ErrorCode| {
        (code.as_str().to_owned(), json!({"$ref": format!("#/components/examples/{}", code.as_str())}))
    };
    let examples: Map<String, Value> = codes.iter().map(example).collect();
    let mut headers = json!({"x-request-id": header_ref("RequestId")});
    if codes.iter().any(|code| matches!(code.status(), 429 | 503)) {
        headers["retry-after"] = header_ref("RetryAfter");
    }
    let problem = json!({"schema": {"$ref": "#/components/schemas/Problem"}, "examples": examples});
    json!({"description": told.join("\n\n"), "headers": headers, "content": {"application/problem+json": problem}})
}

/// The headers that answers share.
pub(super) fn headers() -> Value {
    let text = |description: &str, example: &str| json!({"description": description, "schema": {"type": "string"}, "example": example});
    json!({
        "RequestId": text("The id of the request: the one that was sent, else a new one. The server's log has it too.",
            examples::REQUEST_ID),
        "Revision": text("The revision of what is in the body, for `if-match`.", "\"3\""),
        "RateLimit": text("What is left of each limit that the request counts against.", "\"apiCallsPerMinute\";r=587;t=12"),
        "RateLimitPolicy": text("The limits themselves: how many, in how many seconds.", "\"apiCallsPerMinute\";q=600;w=60"),
        "Replayed": text("`true` where the answer is that of an earlier request with the same idempotency key.", "true"),
        "RetryAfter": {"description": "Seconds to wait before the request is sent again.",
            "schema": {"type": "integer", "format": "int32", "minimum": 0}, "example": 1}
    })
}

/// One problem of each code.
pub(super) fn problems() -> Map<String, Value> {
    let example = |code: &ErrorCode| {
        let problem: Problem = examples::problem(*code);
        (code.as_str().to_owned(), json!({"summary": code.title(), "value": problem}))
    };
    let unused: BTreeSet<&str> = OF_NO_OPERATION.iter().map(|code| code.as_str()).collect();
    ErrorCode::ALL.iter().filter(|code| !unused.contains(code.as_str())).map(example).collect()
}
