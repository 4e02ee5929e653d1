//! Every operation of the API's document has a method, and the method makes the request that the document tells.

#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use fastn_sdk::contract::command::*;
use fastn_sdk::{Fastn, Follow};
use futures_util::StreamExt as _;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// Pages for people and for machines that need no client, and the ends that senders of other companies speak to.
const NOT_OURS: [&str; 6] = ["reference", "errorPage", "openapi", "metrics", "receiveAppEvents", "health"];

type Seen = Arc<Mutex<Vec<(String, String)>>>;

async fn server() -> (Fastn, Seen) {
    let seen = Seen::default();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let app = Router::new().fallback(record).with_state(Arc::clone(&seen));
    tokio::spawn(async move { axum::serve(listener, app).await });
    (Fastn::builder().url(url).access_key("fsk_test_x").account("acc_x").attempts_max(1).build().unwrap(), seen)
}

async fn record(State(seen): State<Seen>, request: Request) -> &'static str {
    seen.lock().unwrap().push((request.method().to_string(), request.uri().path().to_owned()));
    "{}"
}

fn of<T: DeserializeOwned>(body: Value) -> T {
    serde_json::from_value(body).unwrap()
}

/// Calls the method of each operation; what it answers does not matter here. `{name}` in a path is the text `name`.
async fn call(client: &Fastn, operation: &str) -> bool {
    let why: ReplayExecution = of(json!({}));
    let replay = of(json!({"select": {"of": "executions"}}));
    macro_rules! did {
        ($call:expr) => {{
            let _answer_of_no_matter = $call.await;
            true
        }};
    }
    match operation {
        "readiness" => did!(client.health()),
        "sendEvents" => did!(client.customer("c").send(&of(json!({"type": "t"})))),
        "sendAppEvents" => did!(client.send_app_event(&of(json!({"app": "a", "event": "e"})))),
        "receiveWebhook" => did!(client.send_webhook("trigger", &[], "{}")),
        "listEvents" => did!(client.events().take(1)),
        "getEvent" => did!(client.event("id")),
        "replayEvent" => did!(client.replay_event("id")),
        "runWorkflow" => did!(client.customer("c").run("id", Value::Null)),
        "listExecutions" => did!(client.executions().take(1)),
        "getExecution" => did!(client.execution("id")),
        "followExecutions" => {
            let mut updates = std::pin::pin!(client.follow(Follow::default()));
            // It asks again for as long as somebody listens.
            let _none_in_this_time = tokio::time::timeout(Duration::from_millis(500), updates.next()).await;
            true
        }
        "cancelExecution" => did!(client.cancel("id")),
        "replayExecution" => did!(client.replay("id", &why)),
        "decideApproval" => did!(client.decide("id", &of(json!({"step": "s", "approved": true})))),
        "listDeadLetters" => did!(client.dead_letters().take(1)),
        "getDeadLetter" => did!(client.dead_letter("id")),
        "replayDeadLetter" => did!(client.replay_dead_letter("id", &why)),
        "replayDeadLetters" => did!(client.replay_dead_letters(&of(json!({})))),
        "previewReplay" => did!(client.preview_replay(&replay)),
        "startReplay" => did!(client.start_replay(&replay)),
        "listReplays" => did!(client.replays().take(1)),
        "getReplay" => did!(client.replay_job("id")),
        "cancelReplay" => did!(client.cancel_replay("id")),
        "listCustomers" => did!(client.customers().take(1)),
        "getCustomer" => did!(client.get_customer("id")),
        "putCustomer" => did!(client.put_customer(&of(json!({"id": "id"})))),
        "deleteCustomer" => did!(client.delete_customer("id")),
        "exportCustomer" => did!(client.export_customer("id")),
        "eraseCustomer" => did!(client.erase_customer("id")),
        "listErasures" => did!(client.erasures().take(1)),
        "getErasure" => did!(client.erasure("id")),
        "getRetention" => did!(client.retention()),
        "putRetention" => did!(client.put_retention(&of(json!({"activityDays": 1})))),
        "listPlans" => did!(client.plans().take(1)),
        "getPlan" => did!(client.plan("id")),
        "putPlan" => did!(client.put_plan(&of(json!({"id": "id"})))),
        "deletePlan" => did!(client.delete_plan("id")),
        "listCustomerTiers" => did!(client.customer_tiers().take(1)),
        "getCustomerTier" => did!(client.customer_tier("id")),
        "putCustomerTier" => did!(client.put_customer_tier(&of(json!({"id": "id"})))),
        "deleteCustomerTier" => did!(client.delete_customer_tier("id")),
        "getQuotaSettings" => did!(client.quota_settings()),
        "putQuotaSettings" => did!(client.put_quota_settings(&of(json!({"plan": "free"})))),
        "listUsage" => did!(client.usage().take(1)),
        "getCurrentUsage" => did!(client.current_usage()),
        "listWorkflows" => did!(client.workflows().take(1)),
        "getWorkflow" => did!(client.workflow("id")),
        "putWorkflow" => did!(client.put_workflow(&of(json!({"id": "id"})))),
        "deleteWorkflow" => did!(client.delete_workflow("id")),
        "listVersions" => did!(client.versions("id").take(1)),
        "getVersion" => did!(client.version("id", 1)),
        "publishVersion" => did!(client.publish("id", &of(json!({"source": ""})))),
        "listDeployments" => did!(client.deployments("id").take(1)),
        "deployVersion" => did!(client.deploy("id", "environment", 1)),
        "listSecrets" => did!(client.secrets().take(1)),
        "putSecret" => did!(client.put_secret(&of(json!({"name": "name", "value": "v"})))),
        "deleteSecret" => did!(client.delete_secret("name", None)),
        "getCapturedToken" => did!(client.captured_token("name", None)),
        "listEnvConfigs" => did!(client.env_configs().take(1)),
        "putEnvConfig" => {
            did!(client.put_env_config(&of(json!({"environment": "environment", "key": "key", "value": 1}))))
        }
        "deleteEnvConfig" => did!(client.delete_env_config("environment", "key")),
        other => call_more(client, other).await,
    }
}

async fn call_more(client: &Fastn, operation: &str) -> bool {
    let trigger = of(json!({"id": "id", "source": {"type": "event", "types": ["t"]}, "routes": [{"workflow": "w"}]}));
    macro_rules! did {
        ($call:expr) => {{
            let _answer_of_no_matter = $call.await;
            true
        }};
    }
    match operation {
        "listTriggers" => did!(client.triggers().take(1)),
        "getTrigger" => did!(client.trigger("id")),
        "putTrigger" => did!(client.put_trigger(&trigger)),
        "createTrigger" => did!(client.create_trigger(&trigger)),
        "deleteTrigger" => did!(client.delete_trigger("id")),
        "getSubscription" => did!(client.subscription("id")),
        "retrySubscription" => did!(client.retry_subscription("id")),
        "getPolls" => did!(client.polls("id").take(1)),
        "pollNow" => did!(client.poll_now("id")),
        "resetPolls" => did!(client.reset_polls("id")),
        "listSchedules" => did!(client.schedules().take(1)),
        "getSchedule" => did!(client.schedule("id")),
        "runSchedule" => did!(client.run_schedule("id")),
        "backfillSchedule" => {
            let range = json!({"from": "2026-01-01T00:00:00Z", "to": "2026-01-02T00:00:00Z"});
            did!(client.backfill_schedule("id", &of(range)))
        }
        "pauseSchedule" => did!(client.pause_schedule("id", &of(json!({})))),
        "resumeSchedule" => did!(client.resume_schedule("id", &of(json!({})))),
        "listApps" => did!(client.apps().take(1)),
        "getApp" => did!(client.app("id")),
        "putApp" => did!(client.put_app(&of(json!({"id": "id"})))),
        "deleteApp" => did!(client.delete_app("id")),
        "listAlertRules" => did!(client.alert_rules().take(1)),
        "getAlertRule" => did!(client.alert_rule("id")),
        "putAlertRule" => did!(client.put_alert_rule(&of(json!({"id": "id"})))),
        "deleteAlertRule" => did!(client.delete_alert_rule("id")),
        "silenceAlertRule" => did!(client.silence_alert_rule("id", "1h")),
        "unsilenceAlertRule" => did!(client.unsilence_alert_rule("id")),
        "testAlertRule" => did!(client.test_alert_rule("id")),
        "listAlerts" => did!(client.alerts().take(1)),
        "getAlert" => did!(client.alert("id")),
        _ => false,
    }
}

/// Property: no operation of the document lacks a method, and each method asks for the path and with the verb of its
/// operation.
#[tokio::test]
async fn every_operation_has_its_method() {
    let document: Value = serde_json::from_str(include_str!("../../docs/openapi.json")).unwrap();
    let mut operations = BTreeMap::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let id = operation["operationId"].as_str().unwrap().to_owned();
            operations.insert(id, (method.to_uppercase(), path.replace("{version}", "1").replace(['{', '}'], "")));
        }
    }
    let (client, seen) = server().await;
    let mut missing = BTreeSet::new();
    for (operation, wanted) in operations.iter().filter(|(id, _)| !NOT_OURS.contains(&id.as_str())) {
        seen.lock().unwrap().clear();
        if !call(&client, operation).await {
            missing.insert(operation);
            continue;
        }
        // The stream of the one before may still ask.
        let asked = seen.lock().unwrap().clone();
        assert!(asked.contains(wanted), "{operation}: {asked:?} instead of {wanted:?}");
    }
    assert!(missing.is_empty(), "no method for {missing:?}");
}
