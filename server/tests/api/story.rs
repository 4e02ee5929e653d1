//! The examples as one story: each write's own example, sent to a server where what it is about is there.
//!
//! A write is sent twice with one idempotency key: it is done once and answered the same.

use std::collections::BTreeSet;

use axum::body::Body;
use axum::http::Request;
use fastn_contract::activity::{EventStatus, ExecutionStatus};
use fastn_contract::quota::QuotaOutcome;
use fastn_domain::{ExecutionId, Scope};
use fastn_log::Topic;
use fastn_testkit::store_suite::rows;
use serde_json::{Value, json};

use crate::server::{KEY, Server, operations};

/// The order of the story; what is created before comes before what needs it, and what is deleted comes last.
const ORDER: &[&str] = &[
    "putPlan",
    "putCustomerTier",
    "putCustomer",
    "putQuotaSettings",
    "putRetention",
    "putWorkflow",
    "publishVersion",
    "deployVersion",
    "putSecret",
    "putEnvConfig",
    "putApp",
    "putTrigger",
    "createTrigger",
    "retrySubscription",
    "pollNow",
    "runSchedule",
    "backfillSchedule",
    "pauseSchedule",
    "resumeSchedule",
    "putAlertRule",
    "silenceAlertRule",
    "unsilenceAlertRule",
    "testAlertRule",
    "sendEvents",
    "sendAppEvents",
    "receiveWebhook",
    "receiveAppEvents",
    "runWorkflow",
    "cancelExecution",
    "decideApproval",
    "replayExecution",
    "replayDeadLetter",
    "replayDeadLetters",
    "replayEvent",
    "previewReplay",
    "startReplay",
    "cancelReplay",
    "resetPolls",
    "deleteTrigger",
    "deleteAlertRule",
    "deleteApp",
    "deleteEnvConfig",
    "deleteSecret",
    "deleteWorkflow",
    "deleteCustomer",
    "eraseCustomer",
    "deleteCustomerTier",
    "deletePlan",
];

/// Lists whose rows tell what was done.
const LISTS: &[&str] = &[
    "alert-rules",
    "apps",
    "customer-tiers",
    "customers",
    "dead-letters",
    "env-configs",
    "erasures",
    "events",
    "executions",
    "plans",
    "replays",
    "schedules",
    "secrets",
    "triggers",
    "workflows",
    "quota-settings",
    "settings/retention",
    "triggers/hubspot_contacts/subscription",
    "workflows/triage/versions",
    "workflows/triage/deployments",
];

async fn put(server: &Server, path: &str, body: Value) {
    let (status, answer) = server.call("PUT", &format!("/v1/{path}"), Some(body)).await;
    assert!(status.is_success(), "{path}: {answer}");
}

/// What the operation needs that no write of the story makes, and the path where the examples' ids are others.
async fn before(server: &Server, operation: &str, path: &str) -> String {
    let routes = json!([{"workflow": "triage"}]);
    let scope = Scope::parse("acc_one", "cus_acme").unwrap();
    match operation {
        "retrySubscription" => {
            let call = json!({"url": "https://app.example/hooks"});
            let app = json!({"id": "hubspot", "events": [{"id": "contact.creation"}], "subscription": {"subscribe": call},
                "verification": {"scheme": "public"}, "mappedTo": "portalId", "eventKey": "subscriptionType"});
            put(server, "apps/hubspot", app).await;
            let source =
                json!({"type": "appEvent", "app": "hubspot", "event": "contact.creation", "accountId": "62515"});
            let trigger = json!({"id": "hubspot_contacts", "customer": "cus_acme", "source": source, "routes": routes});
            put(server, "triggers/hubspot_contacts", trigger).await;
        }
        "pollNow" => {
            let source = json!({"type": "poll", "entity": "contact", "key": "id",
                "request": {"url": "https://crm.example/contacts"}});
            put(server, "triggers/crm_contacts", json!({"id": "crm_contacts", "source": source, "routes": routes}))
                .await;
        }
        "runSchedule" => {
            let when = json!({"mode": "daily", "at": "02:00"});
            let source = json!({"type": "schedule", "timezone": "UTC", "when": when});
            let trigger = json!({"id": "nightly", "customer": "cus_acme", "source": source, "routes": routes});
            put(server, "triggers/nightly", trigger).await;
        }
        "receiveWebhook" => {
            let id = "whk_5c9x2m7q4k8r1t6w3y0zbd5fgh";
            let source = json!({"type": "webhook", "verification": {"scheme": "public"}});
            let trigger = json!({"id": id, "customer": "cus_acme", "source": source, "routes": routes});
            put(server, &format!("triggers/{id}"), trigger).await;
        }
        "receiveAppEvents" => {
            let (_, app) = server.call("GET", "/v1/apps/hubspot", None).await;
            return format!("/v1/apps/{}/events", app["endpoint"].as_str().unwrap());
        }
        "cancelExecution" => {
            // 1 runs, 2 has failed, and the event of 3 was refused by a quota.
            let mut batch = rows::batch(0, 1);
            for (n, state) in [
                (1, rows::state(ExecutionStatus::Waiting)),
                (2, rows::end(ExecutionStatus::Failed, 2)),
                (3, rows::end(ExecutionStatus::Completed, 3)),
            ] {
                let (mut event, mut execution) = (rows::event(&scope, n), rows::execution(&scope, n));
                if n == 3 {
                    (event.status, event.quota) = (EventStatus::Rejected, Some(QuotaOutcome::Blocked));
                }
                (execution.state, execution.version) = (state, 1);
                batch.events.push(event);
                batch.executions.push(execution);
            }
            server.store.project(batch).await.unwrap();
        }
        "cancelReplay" => {
            let (_, replays) = server.call("GET", "/v1/replays", None).await;
            return path.replace("{id}", replays["items"][0]["id"].as_str().unwrap());
        }
        "deleteApp" => {
            let (status, answer) = server.call("DELETE", "/v1/triggers/hubspot_contacts", None).await;
            assert!(status.is_success(), "{answer}");
        }
        "eraseCustomer" => put(server, "customers/cus_acme", json!({"id": "cus_acme"})).await,
        _ => {}
    }
    let execution = |n: u128| path.replace("{id}", &ExecutionId(n).to_string());
    match operation {
        "cancelExecution" | "decideApproval" => execution(1),
        "replayExecution" | "replayDeadLetter" => execution(2),
        "replayEvent" => path.replace("{id}", "evt_3"),
        _ => path.to_owned(),
    }
}

/// A path with the examples of its parameters.
fn filled(path: &str, operation: &Value) -> String {
    let mut url = path.to_owned();
    for parameter in operation["parameters"].as_array().into_iter().flatten().filter(|one| one["in"] == "path") {
        let example = match &parameter["example"] {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        url = url.replace(&format!("{{{}}}", parameter["name"].as_str().unwrap()), &example);
    }
    url
}

/// All that the account sees, and how many events there are.
async fn seen(server: &Server) -> (Vec<Value>, u64) {
    let mut lists = Vec::new();
    for list in LISTS {
        // What is not there is told with an id of its own.
        let (status, rows) = server.call("GET", &format!("/v1/{list}"), None).await;
        lists.push(if status.is_success() { rows } else { Value::Null });
    }
    let mut events = 0;
    for partition in 0..server.log.partitions() {
        events += server.log.read(Topic::Events, partition, 0, 1_000, 1 << 22).await.unwrap().len() as u64;
    }
    (lists, events)
}

/// Property: every write's example does what it shows, and sent again with the same idempotency key it is answered the
/// same and nothing is done again.
#[tokio::test]
async fn examples_do_what_they_show_and_only_once() {
    let document = fastn_server::api::document();
    let server = Server::completing().await;
    let mut writes: Vec<(String, String, Value)> = Vec::new();
    for (method, path) in operations() {
        let operation = document["paths"][&path][method.to_lowercase()].clone();
        if method != "GET" {
            writes.push((method, path, operation));
        }
    }
    let id = |operation: &Value| operation["operationId"].as_str().unwrap().to_owned();
    let known: BTreeSet<String> = writes.iter().map(|(.., operation)| id(operation)).collect();
    assert_eq!(known, ORDER.iter().map(|id| (*id).to_owned()).collect::<BTreeSet<_>>(), "the story has every write");
    for wanted in ORDER {
        let (method, path, operation) = writes.iter().find(|(.., operation)| id(operation) == *wanted).unwrap();
        let url = filled(&before(&server, wanted, path).await, operation);
        let bodies = operation["requestBody"]["content"].as_object().map_or_else(
            || vec![(None, Value::Null)],
            |content| {
                let bodies = content.iter().map(|(media, content)| {
                    let (_, example) = content["examples"].as_object().unwrap().iter().next().unwrap();
                    let to = example["$ref"].as_str().unwrap();
                    (Some(media.clone()), document.pointer(to.trim_start_matches('#')).unwrap()["value"].clone())
                });
                bodies.collect()
            },
        );
        for (at, (media, body)) in bodies.into_iter().enumerate() {
            let send = async || {
                let request = Request::builder().method(method.as_str()).uri(&url).header("x-fastn-access-key", KEY);
                let request = request.header("idempotency-key", format!("{wanted}-{at}"));
                let request = match wanted {
                    &"runWorkflow" | &"sendEvents" => request.header("x-fastn-account-tenant-id", "cus_acme"),
                    _ => request,
                };
                let request = match &media {
                    Some(media) => request.header("content-type", media).body(Body::from(body.to_string())),
                    None => request.body(Body::empty()),
                };
                server.answer(request.unwrap()).await
            };
            let (first, answer) = send().await;
            assert!(first.status.is_success(), "{wanted}: {} {answer}", first.status);
            let done = seen(&server).await;
            let (second, again) = send().await;
            let what = format!("{wanted}: {} {answer} and then {} {again}", first.status, second.status);
            let sent = ["sendEvents", "sendAppEvents"].contains(wanted);
            if *wanted == "receiveWebhook" || *wanted == "receiveAppEvents" {
                // Senders of webhooks have the ids of their schemes instead.
                continue;
            }
            assert_eq!((first.status, &answer), (second.status, &again), "{what}");
            if sent {
                // A repeated event has the same id; it is admitted once.
                continue;
            }
            assert_eq!(
                second.headers.get("idempotency-replayed").map(|told| told.as_bytes()),
                Some(&b"true"[..]),
                "{what}"
            );
            assert_eq!(first.headers.get("etag"), second.headers.get("etag"), "{what}");
            assert_eq!(seen(&server).await, done, "{what}");
        }
    }
}
