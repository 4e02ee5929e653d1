//! Every operation as another customer, and as another account, generated from the document.

use axum::http::StatusCode;
use fastn_contract::activity::ExecutionStatus;
use fastn_domain::Scope;
use fastn_store::AlertSave;
use fastn_testkit::store_suite::rows;
use serde_json::{Value, json};

use crate::server::{KEY, KEY_ACME, KEY_OTHER, Server, is_edge, operations, sample};

/// Stands in all that belongs to the customer whom nobody else may see.
const MARK: &str = "cus_hidden";
/// The id of the execution in the samples.
const EXECUTION: u64 = 1;

/// A server with a customer that has some of everything.
async fn furnished() -> Server {
    let server = Server::completing().await;
    server.ready_to_run("standard").await;
    let own = |body: Value| Some(body);
    for (path, body) in [
        ("customers/cus_hidden", json!({"id": MARK})),
        (
            "triggers/x",
            json!({"id": "x", "name": MARK, "customer": MARK, "source": {"type": "schedule", "timezone": "UTC",
                "when": {"mode": "cron", "expression": "0 0 1 1 *"}}, "routes": [{"workflow": "add"}]}),
        ),
        ("secrets/NAME", json!({"name": "NAME", "value": "v", "customer": MARK})),
        ("alert-rules/x", json!({"id": "x", "customer": MARK})),
    ] {
        let (status, answer) = server.call("PUT", &format!("/v1/{path}"), own(body)).await;
        assert_eq!(status, StatusCode::CREATED, "{answer}");
    }
    let scope = Scope::parse("acc_one", MARK).unwrap();
    let mut failed = rows::execution(&scope, EXECUTION);
    failed.state = rows::end(ExecutionStatus::Failed, EXECUTION);
    let mut batch = rows::batch(0, 1);
    batch.events.push(rows::event(&scope, EXECUTION));
    batch.executions.push(failed);
    server.store.project(batch).await.unwrap();
    let alerts = vec![rows::alert(&scope, 1)];
    server.store.save_alerts(AlertSave { alerts, ..AlertSave::default() }).await.unwrap();
    server
}

/// What the account itself sees of that customer.
async fn seen_by_owner(server: &Server) -> Vec<Value> {
    let mut seen = Vec::new();
    for path in [
        "/v1/customers/cus_hidden",
        "/v1/triggers/x",
        "/v1/schedules/x",
        "/v1/secrets",
        "/v1/events/evt_1",
        "/v1/executions/exec_00000000000000000000000001",
        "/v1/dead-letters/exec_00000000000000000000000001",
        "/v1/alert-rules/x",
        "/v1/alerts",
        "/v1/alerts/alert_1",
    ] {
        let (status, answer) = server.call("GET", path, None).await;
        assert_eq!(status, StatusCode::OK, "{path}: {answer}");
        assert!(answer.to_string().contains(MARK), "{path}: {answer}");
        seen.push(answer);
    }
    seen
}

/// Property: no operation, tried with the key of another customer or of another account, as itself or in the name of the
/// customer, shows anything of that customer, changes anything of it, or puts an event into its log; every operation that
/// names one of its objects is refused.
#[tokio::test]
async fn a_customer_is_hidden_from_every_other() {
    let server = furnished().await;
    let before = seen_by_owner(&server).await;
    let mut tried = 0;
    for (method, path) in operations() {
        // The stream does not end.
        if !path.starts_with("/v1/") || is_edge(&method, &path) || path.ends_with("/stream") {
            continue;
        }
        for (key, named) in [(KEY_ACME, None), (KEY_ACME, Some(MARK)), (KEY_OTHER, None), (KEY_OTHER, Some(MARK))] {
            let (url, body) = sample(&path);
            let url =
                url.replace("/v1/customers/x", "/v1/customers/cus_hidden").replace("/v1/events/x", "/v1/events/evt_1");
            let url = url.replace("/v1/alerts/x", "/v1/alerts/alert_1");
            let body = body.map(|body| match path.as_str() {
                "/v1/customers/{id}" => json!({"id": MARK}),
                "/v1/secrets/{name}" => json!({"name": "NAME", "value": "stolen", "customer": MARK}),
                _ => body,
            });
            let mut headers = vec![("x-fastn-access-key", key)];
            headers.extend(named.map(|customer| ("x-fastn-account-tenant-id", customer)));
            let (status, answer) = server.with(&method, &url, body, &headers).await;
            let told = answer.to_string();
            let what = format!("{method} {url} with {key} for {named:?}: {status} {told}");
            let repeats_the_request = status.is_client_error() || key == KEY_OTHER;
            assert!(!told.contains(MARK) || repeats_the_request, "{what}");
            let names_it = ["cus_hidden", "triggers/x", "schedules/x", "evt_1", "exec_0", "alert-rules/x", "alert_1"]
                .iter()
                .any(|object| url.contains(object));
            // Another account may have a customer of the same name, and a rule, which it may then silence.
            let of_its_own = method == "PUT" || url.ends_with("/erase") || url.ends_with("/export");
            let own_name = (of_its_own && url.contains("customers")) || url.contains("alert-rules");
            let creates_its_own = key == KEY_OTHER && own_name;
            if names_it && !creates_its_own {
                assert!(status.is_client_error(), "{what}");
            }
            tried += 1;
        }
    }
    assert!(tried > 100, "{tried}");
    assert_eq!(seen_by_owner(&server).await, before);
    assert_eq!(server.events(MARK).await, Vec::new());
    let (_, answer) = server.with("GET", "/v1/executions", None, &[("x-fastn-access-key", KEY)]).await;
    assert_eq!(answer["items"].as_array().map(Vec::len), Some(1), "{answer}");
}
