//! The API as its callers see it: real routes, real SQLite, a log in memory, no network.

#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

mod access;
mod apps;
mod compat;
mod document;
mod examples;
mod isolation;
mod polls;
mod schedules;
mod server;
mod story;

use std::sync::Arc;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use fastn_contract::activity::{ExecutionStatus, ExecutionUpdate};
use fastn_contract::resource::Region;
use fastn_domain::event::Command;
use fastn_domain::{ExecutionId, Residency, Scope};
use fastn_server::api::{ActivityChange, RunOutcome};
use futures_util::StreamExt as _;
use serde_json::json;
use tower::ServiceExt as _;

use crate::server::{KEY, KEY_ACME, KEY_OTHER, Server, is_edge, operations, sample};

/// Property: every operation of the document refuses a request without a key, except those of the system and webhooks.
#[tokio::test]
async fn nothing_is_open_by_accident() {
    let server = Server::completing().await;
    let mut tried = 0;
    for (method, path) in operations() {
        if !path.starts_with("/v1/") || is_edge(&method, &path) {
            continue;
        }
        let (url, body) = sample(&path);
        let (status, problem) = server.with(&method, &url, body, &[]).await;
        assert_eq!((status, &problem["code"]), (StatusCode::UNAUTHORIZED, &json!("AUTH_INVALID")), "{method} {path}");
        tried += 1;
    }
    assert!(tried > 25, "{tried}");
}

/// Property: a secret that a key of the account sets in the name of a customer is that customer's; an array passes for no
/// object; a limit on requests that leaves no room can be raised by a key of the account, is not got round by the name of
/// a customer that is not there, and such a name has no usage.
#[tokio::test]
async fn nobody_is_locked_out_or_slips_by() {
    let server = Server::completing().await;
    server.ready_to_run("instant").await;
    let acts = [("x-fastn-access-key", KEY), ("x-fastn-account-tenant-id", "cus_acme")];
    let (status, secret) =
        server.with("PUT", "/v1/secrets/OWN", Some(json!({"name": "OWN", "value": "v"})), &acts).await;
    assert_eq!((status, &secret["customer"]), (StatusCode::CREATED, &json!("cus_acme")), "{secret}");
    let (status, answer) = server.call("PUT", "/v1/settings/retention", Some(json!([5, 3]))).await;
    assert_eq!((status, answer["errors"][0]["path"].as_str()), (StatusCode::BAD_REQUEST, Some("body")), "{answer}");

    let tiny = json!({"id": "tiny", "quotas": {"apiCallsPerDay": {"limit": 1}}});
    let (status, answer) = server.call("PUT", "/v1/plans/tiny", Some(tiny)).await;
    assert_eq!(status, StatusCode::CREATED, "{answer}");
    server.call("PUT", "/v1/quota-settings", Some(json!({"plan": "tiny"}))).await;
    let stranger = [("x-fastn-access-key", KEY), ("x-fastn-account-tenant-id", "cus_made_up")];
    let mut refused = false;
    for _ in 0..5 {
        refused |= server.call("GET", "/v1/workflows", None).await.0 == StatusCode::TOO_MANY_REQUESTS;
    }
    assert!(refused);
    assert_eq!(server.with("GET", "/v1/workflows", None, &stranger).await.0, StatusCode::TOO_MANY_REQUESTS);
    let (status, answer) = server.call("PUT", "/v1/quota-settings", Some(json!({"plan": "unlimited"}))).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    assert_eq!(server.call("GET", "/v1/workflows", None).await.0, StatusCode::OK);
}

/// Property: no operation shows or changes another account's objects, and a customer's key changes nothing of its account.
#[tokio::test]
async fn accounts_and_customers_are_apart() {
    let server = Server::completing().await;
    server.ready_to_run("instant").await;
    for (kind, body) in [
        ("customers/x", json!({"id": "x"})),
        ("workflows/x", json!({"id": "x"})),
        ("triggers/x", json!({"id": "x", "source": {"type": "webhook"}, "routes": [{"workflow": "w"}]})),
        ("secrets/NAME", json!({"name": "NAME", "value": "v"})),
    ] {
        let (status, answer) = server.call("PUT", &format!("/v1/{kind}"), Some(body)).await;
        assert_eq!(status, StatusCode::CREATED, "{answer}");
    }
    for (method, path) in operations() {
        let sends_apps = path.starts_with("/v1/app") && is_edge(&method, &path);
        if !path.starts_with("/v1/") || path.starts_with("/v1/webhooks") || sends_apps || path.contains("stream") {
            continue;
        }
        let (url, body) = sample(&path);
        let (status, answer) = server
            .with(&method, &url, body, &[("x-fastn-access-key", KEY_OTHER), ("x-fastn-account-id", "acc_one")])
            .await;
        let refused = matches!(status, StatusCode::FORBIDDEN | StatusCode::METHOD_NOT_ALLOWED);
        assert!(refused, "{method} {path}: {status} {answer}");
        let by_id = path.contains("{id}") || path.contains("{name}");
        if by_id && method != "PUT" && !path.ends_with("/versions") {
            let (url, body) = sample(&path);
            let headers = [("x-fastn-access-key", KEY_OTHER), ("x-fastn-account-tenant-id", "cus_acme")];
            let (status, answer) = server.with(&method, &url, body, &headers).await;
            assert_eq!(status, StatusCode::NOT_FOUND, "{method} {path}: {answer}");
        }
    }
    for (method, path) in [
        ("PUT", "/v1/workflows/{id}"),
        ("DELETE", "/v1/workflows/{id}"),
        ("PUT", "/v1/secrets/{name}"),
        ("PUT", "/v1/triggers/{id}"),
    ] {
        let (url, body) = sample(path);
        let (status, answer) = server.with(method, &url, body, &[("x-fastn-access-key", KEY_ACME)]).await;
        assert_eq!(status, StatusCode::FORBIDDEN, "{method} {path}: {answer}");
    }
    let (status, answer) =
        server.with("PUT", "/v1/triggers/x", sample("/v1/triggers/{id}").1, &[("x-fastn-access-key", KEY_OTHER)]).await;
    assert_eq!((status, &answer["code"]), (StatusCode::CONFLICT, &json!("CONFLICT")));
}

/// Property: every operation for a customer whose data is kept elsewhere answers 421 with the URL of its own cell, and
/// nothing reaches the log or the secrets; a customer of this region is served.
#[tokio::test]
async fn customers_of_another_region_are_sent_there() {
    let eu = "https://eu.fastn.example".to_owned();
    let residency = Residency { region: Some(Region::Us), cells: [(Region::Eu, eu.clone())].into() };
    let outcome = RunOutcome { status: ExecutionStatus::Completed, output: None, error: None };
    let server = Server::in_cell(outcome, residency).await;
    server.ready_to_run("instant").await;
    for (id, region) in [("cus_eu", "EU"), ("cus_us", "US")] {
        let customer = Some(json!({"id": id, "region": region}));
        let (status, answer) = server.call("PUT", &format!("/v1/customers/{id}"), customer).await;
        assert_eq!(status, StatusCode::CREATED, "{answer}");
    }
    let mut tried = 0;
    for (method, path) in operations() {
        if !path.starts_with("/v1/") || is_edge(&method, &path) {
            continue;
        }
        let (url, body) = sample(&path);
        let headers = [("x-fastn-access-key", KEY), ("x-fastn-account-tenant-id", "cus_eu")];
        let (status, problem) = server.with(&method, &url, body, &headers).await;
        assert_eq!((status.as_u16(), &problem["baseUrl"]), (421, &json!(eu)), "{method} {path}: {problem}");
        tried += 1;
    }
    assert!(tried > 25, "{tried}");
    let secret = Some(json!({"name": "NAME", "value": "v", "customer": "cus_eu"}));
    assert_eq!(server.call("PUT", "/v1/secrets/NAME", secret).await.0.as_u16(), 421);
    assert_eq!(server.events("cus_eu").await, Vec::new());
    let headers = [("x-fastn-access-key", KEY), ("x-fastn-account-tenant-id", "cus_us")];
    let (status, answer) = server.with("POST", "/v1/workflows/add/run", Some(json!({"input": {}})), &headers).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    assert_eq!(server.events("cus_us").await.len(), 1);
}

/// Property: a change with an old revision is refused and changes nothing; lists page through everything once.
#[tokio::test]
async fn optimistic_lock_and_pages() {
    let server = Server::completing().await;
    for n in 0..5 {
        server.call("PUT", &format!("/v1/customers/c{n}"), Some(json!({"id": format!("c{n}")}))).await;
    }
    let body = Some(json!({"id": "c1", "name": "new"}));
    let (status, answer) = server.call("PUT", "/v1/customers/c1", body.clone()).await;
    assert_eq!((status, &answer["revision"]), (StatusCode::OK, &json!(2)));
    let stale = [("x-fastn-access-key", KEY), ("if-match", "\"1\"")];
    let (status, _) = server.with("PUT", "/v1/customers/c1", Some(json!({"id": "c1", "name": "old"})), &stale).await;
    assert_eq!(status, StatusCode::CONFLICT);
    assert_eq!(server.call("GET", "/v1/customers/c1", None).await.1["name"], "new");
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let (_, page) = server.call("GET", &format!("/v1/customers?limit=2{cursor}"), None).await;
        seen.extend(page["items"].as_array().unwrap().iter().map(|row| row["id"].as_str().unwrap().to_owned()));
        match page["nextCursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(seen, ["c0", "c1", "c2", "c3", "c4"]);
}

/// Property: the same idempotency key does a write once and answers it the same; with another request it is a conflict.
#[tokio::test]
async fn idempotency_keys() {
    let server = Server::completing().await;
    server.ready_to_run("standard").await;
    let headers = [("x-fastn-access-key", KEY), ("x-fastn-account-tenant-id", "cus_acme"), ("idempotency-key", "k1")];
    let run = |input: i32| server.with("POST", "/v1/workflows/add/run", Some(json!({"input": input})), &headers);
    let (first, again) = (run(1).await, run(1).await);
    assert_eq!(first.0, StatusCode::ACCEPTED);
    assert_eq!(first, again);
    assert_eq!(server.events("cus_acme").await.len(), 1);
    assert_eq!(run(2).await.0, StatusCode::CONFLICT);
    assert_eq!(server.events("cus_acme").await.len(), 1);
}

/// Property: an Instant run answers with its result, a failed one with its code and execution; nothing published, nothing run.
#[tokio::test]
async fn runs_answer() {
    let server = Server::completing().await;
    let headers = [("x-fastn-access-key", KEY), ("x-fastn-account-tenant-id", "cus_acme")];
    let run = || server.with("POST", "/v1/workflows/add/run", Some(json!({"input": {"a": 1}})), &headers);
    assert_eq!(run().await.0, StatusCode::NOT_FOUND);
    server.call("PUT", "/v1/customers/cus_acme", Some(json!({"id": "cus_acme"}))).await;
    server.call("PUT", "/v1/workflows/add", Some(json!({"id": "add", "tier": "instant"}))).await;
    assert_eq!(run().await.1["code"], "WORKFLOW_NOT_PUBLISHED");
    server.call("POST", "/v1/workflows/add/versions", Some(json!({"source": "code"}))).await;
    let (status, answer) = run().await;
    assert_eq!((status, &answer["output"]), (StatusCode::OK, &json!({"sum": 3})));
    assert!(answer["executionId"].as_str().unwrap().parse::<ExecutionId>().is_ok());
    assert_eq!(&*server.events("cus_acme").await[0].data, "{\"a\":1}");

    let failing = Server::start(RunOutcome { status: ExecutionStatus::Failed, output: None, error: None }).await;
    failing.ready_to_run("instant").await;
    let (status, problem) = failing.with("POST", "/v1/workflows/add/run", Some(json!({"input": 1})), &headers).await;
    assert_eq!((status, &problem["code"]), (StatusCode::INTERNAL_SERVER_ERROR, &json!("WF-EXEC-FAILED")));
    assert!(problem["executionId"].is_string());
}

/// Property: broken code is refused with line and column; the same code makes no second version.
#[tokio::test]
async fn publishing() {
    let server = Server::completing().await;
    let publish =
        |source: &'static str| server.call("POST", "/v1/workflows/w/versions", Some(json!({"source": source})));
    let (status, problem) = publish("BROKEN").await;
    assert_eq!((status, &problem["code"]), (StatusCode::UNPROCESSABLE_ENTITY, &json!("WORKFLOW_INVALID")));
    assert!(problem["detail"].as_str().unwrap().contains("w.ts:3:7"), "{problem}");
    assert_eq!(problem["errors"][0]["path"], "source");
    assert_eq!(publish("one").await.0, StatusCode::CREATED);
    let (status, same) = publish("one").await;
    assert_eq!((status, &same["version"]), (StatusCode::OK, &json!(1)));
    assert_eq!(publish("two").await.1["version"], 2);
    let (_, list) = server.call("GET", "/v1/workflows/w/versions", None).await;
    assert_eq!(
        list["items"].as_array().unwrap().iter().map(|v| v["version"].as_u64().unwrap()).collect::<Vec<_>>(),
        [2, 1]
    );
    let (status, _) = server.call("PUT", "/v1/workflows/w/deployments/live", Some(json!({"version": 3}))).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    let (status, _) = server.call("PUT", "/v1/workflows/w/deployments/live", Some(json!({"version": 1}))).await;
    assert_eq!(status, StatusCode::CREATED);
}

/// Property: a secret's value is never shown, and each write is a version.
#[tokio::test]
async fn secrets_stay_secret() {
    let server = Server::completing().await;
    let put =
        |value: &'static str| server.call("PUT", "/v1/secrets/TOKEN", Some(json!({"name": "TOKEN", "value": value})));
    assert_eq!(put("hush-1").await.1["version"], 1);
    assert_eq!(put("hush-2").await.1["version"], 2);
    let (_, list) = server.call("GET", "/v1/secrets", None).await;
    assert!(!list.to_string().contains("hush") && !list.to_string().contains("sealed"), "{list}");
    let (status, _) = server.call("PUT", "/v1/secrets/token", Some(json!({"name": "token", "value": "x"}))).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
}

/// Property: what cannot be read is refused with the part that is wrong, and the right status.
#[tokio::test]
async fn bad_input_says_why() {
    let server = Server::completing().await;
    let raw = |kind: &str, body: &[u8]| {
        Request::put("/v1/customers/x")
            .header("x-fastn-access-key", KEY)
            .header("content-type", kind)
            .body(Body::from(body.to_vec()))
            .unwrap()
    };
    let cases: [(&str, Vec<u8>, u16, &str); 6] = [
        ("application/json", b"{".to_vec(), 400, "body"),
        ("application/json", b"{\"id\":\"x\",\"nope\":1}".to_vec(), 400, "nope"),
        ("application/json", b"{\"id\":\"x\",\"name\":7}".to_vec(), 400, "name"),
        ("application/json", vec![b'"', 0xff, b'"'], 400, "body"),
        ("text/plain", b"{}".to_vec(), 415, ""),
        ("application/json", vec![b' '; 3 << 20], 413, ""),
    ];
    for (kind, body, expected, path) in cases {
        let (status, problem) = server.send(raw(kind, &body)).await;
        assert_eq!(status.as_u16(), expected, "{problem}");
        if !path.is_empty() {
            assert_eq!(problem["errors"][0]["path"], path, "{problem}");
        }
    }
    for (path, expected) in [
        ("/v1/customers?limit=0", 400),
        ("/v1/customers?nope=1", 400),
        ("/v1/customers/a%20b", 400),
        ("/v1/executions?since=yesterday", 400),
        ("/v1/executions/nope", 404),
        ("/v1/nope", 404),
    ] {
        assert_eq!(server.call("GET", path, None).await.0.as_u16(), expected, "{path}");
    }
    assert_eq!(server.call("DELETE", "/v1/customers", None).await.0, StatusCode::METHOD_NOT_ALLOWED);
}

/// Property: a command is an event of the customer that the processor decodes; what has no execution gets none.
#[tokio::test]
async fn commands_need_their_execution() {
    let server = Server::completing().await;
    let (status, _) = server.call("POST", "/v1/executions/exec_00000000000000000000000001/cancel", None).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    let command = Command::Cancel { execution: ExecutionId(1) };
    let text = serde_json::to_string(&command).unwrap();
    assert_eq!(serde_json::from_str::<Command>(&text).unwrap(), command);
}

/// Property: a follower sees its account's changes live, numbered, and no other's; one that comes back goes on.
#[tokio::test]
async fn live_updates() {
    let server = Server::completing().await;
    let follow = |last: Option<String>| {
        let mut request = Request::get("/v1/executions/stream").header("x-fastn-access-key", KEY);
        if let Some(last) = last {
            request = request.header("last-event-id", last);
        }
        server.app.clone().oneshot(request.body(Body::empty()).unwrap())
    };
    let tell = |account: &str, id: &str| {
        let execution = ExecutionUpdate {
            id: id.to_owned(),
            customer: "cus_acme".to_owned(),
            workflow: None,
            trigger: None,
            status: ExecutionStatus::Completed,
            attempt: 1,
            at: String::new(),
            duration_ms: None,
            step_count: None,
            error: None,
        };
        let scope = Scope::parse(account, "cus_acme").unwrap();
        server.activity.send(Arc::new(ActivityChange { scope, execution })).unwrap();
    };
    let mut body = follow(None).await.unwrap().into_body().into_data_stream();
    let chunk = String::from_utf8(body.next().await.unwrap().unwrap().to_vec()).unwrap();
    let start = chunk.lines().find_map(|line| line.strip_prefix("id: ")).unwrap().to_owned();
    assert!(chunk.contains("event: position"), "{chunk}");
    tell("acc_two", "exec_theirs");
    tell("acc_one", "exec_first");
    let chunk = String::from_utf8(body.next().await.unwrap().unwrap().to_vec()).unwrap();
    assert!(chunk.contains("event: execution") && chunk.contains("exec_first"), "{chunk}");
    let last = chunk.lines().find_map(|line| line.strip_prefix("id: ")).unwrap().to_owned();
    drop(body);
    tell("acc_one", "exec_second");
    let deadline = std::time::Duration::from_secs(20);
    let mut body = follow(Some(last)).await.unwrap().into_body().into_data_stream();
    let chunk = tokio::time::timeout(deadline, body.next()).await.unwrap().unwrap().unwrap();
    assert!(String::from_utf8_lossy(&chunk).contains("exec_second"));
    let mut body = follow(Some(start)).await.unwrap().into_body().into_data_stream();
    let chunk = tokio::time::timeout(deadline, body.next()).await.unwrap().unwrap().unwrap();
    assert!(String::from_utf8_lossy(&chunk).contains("exec_first"), "the start is a place to come back to");
    let mut body = follow(Some("1-1".to_owned())).await.unwrap().into_body().into_data_stream();
    let chunk = body.next().await.unwrap().unwrap();
    assert!(String::from_utf8_lossy(&chunk).contains("event: reset"));
}

/// Property: a method that a path does not have is refused as such, whatever its idempotency key was used for.
#[tokio::test]
async fn wrong_methods_with_a_used_key() {
    let server = Server::completing().await;
    let headers = [("x-fastn-access-key", KEY), ("idempotency-key", "k")];
    let body = Some(json!({"id": "a"}));
    assert_eq!(server.with("PUT", "/v1/customers/a", body.clone(), &headers).await.0, StatusCode::CREATED);
    assert_eq!(server.with("PUT", "/v1/customers/b", body.clone(), &headers).await.0, StatusCode::CONFLICT);
    assert_eq!(server.with("POST", "/v1/customers/b", body, &headers).await.0, StatusCode::METHOD_NOT_ALLOWED);
}

/// Property: a rule is created with its defaults, silenced, unsilenced, tested and deleted; a key of one customer sees and
/// changes rules about itself only, and what cannot be is refused by its name.
#[tokio::test]
async fn alert_rules_are_of_their_owner() {
    let server = Server::completing().await;
    let channel = json!({"type": "slack", "secret": "URL"});
    let whole = json!({"id": "all", "channels": [channel]});
    let (status, rule) = server.call("PUT", "/v1/alert-rules/all", Some(whole)).await;
    assert_eq!(
        (status, &rule["status"], &rule["metric"]),
        (StatusCode::CREATED, &json!("paused"), &json!("error_rate"))
    );
    let acme = [("x-fastn-access-key", KEY_ACME)];
    let own = json!({"id": "own", "customer": "cus_acme", "window": "1h"});
    let (status, answer) = server.with("PUT", "/v1/alert-rules/own", Some(own), &acme).await;
    assert_eq!(status, StatusCode::CREATED, "{answer}");
    let (_, listed) = server.with("GET", "/v1/alert-rules", None, &acme).await;
    assert_eq!((listed["items"].as_array().unwrap().len(), &listed["items"][0]["id"]), (1, &json!("own")));
    let silence = Some(json!({"duration": "2h"}));
    for (method, path) in [("GET", "all"), ("POST", "all/silence"), ("POST", "all/test")] {
        let url = format!("/v1/alert-rules/{path}");
        let (status, answer) = server.with(method, &url, silence.clone(), &acme).await;
        assert_eq!(status, StatusCode::NOT_FOUND, "{url}: {answer}");
    }
    let (status, _) = server.with("PUT", "/v1/alert-rules/all", Some(json!({"id": "all"})), &acme).await;
    assert_eq!(status, StatusCode::FORBIDDEN);

    let (status, silenced) = server.call("POST", "/v1/alert-rules/all/silence", silence).await;
    assert!(status == StatusCode::OK && silenced["silencedUntil"].is_string(), "{silenced}");
    let (_, unsilenced) = server.call("POST", "/v1/alert-rules/all/unsilence", None).await;
    assert!(unsilenced["silencedUntil"].is_null() && unsilenced["channels"][0]["type"] == "slack", "{unsilenced}");
    let (_, tested) = server.call("POST", "/v1/alert-rules/all/test", None).await;
    assert_eq!(tested["notifications"][0]["status"], "delivered", "{tested}");
    for (body, path) in [
        (json!({"id": "all", "window": "1y"}), "window"),
        (json!({"id": "all", "metric": "lag", "workflow": "w"}), "workflow"),
        (json!({"id": "all", "threshold": 5, "resolveThreshold": 6}), "resolveThreshold"),
    ] {
        let (status, problem) = server.call("PUT", "/v1/alert-rules/all", Some(body)).await;
        assert_eq!((status, &problem["errors"][0]["path"]), (StatusCode::BAD_REQUEST, &json!(path)), "{problem}");
    }
    let (status, problem) =
        server.call("POST", "/v1/alert-rules/all/silence", Some(json!({"duration": "for ever"}))).await;
    assert_eq!((status, &problem["errors"][0]["path"]), (StatusCode::BAD_REQUEST, &json!("duration")));
    let (status, _) = server.call("DELETE", "/v1/alert-rules/all", None).await;
    assert_eq!(status, StatusCode::NO_CONTENT);
    let (status, _) = server.call("GET", "/v1/alert-rules/all", None).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
}
