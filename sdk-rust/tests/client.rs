//! The client against a server that answers as it is told: retries, waits, errors, pages, live updates.

#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use fastn_sdk::contract::error::ErrorCode;
use fastn_sdk::{ErrorKind, Fastn, Follow, Update};
use futures_util::StreamExt as _;
use serde_json::{Value, json};

#[derive(Clone)]
struct Seen {
    path: String,
    headers: HeaderMap,
    body: Bytes,
}

/// Status, headers and body of one answer.
type Scripted<B> = (u16, Vec<(&'static str, &'static str)>, B);
/// The head of a stream of events.
const STREAM: [(&str, &str); 1] = [("content-type", "text/event-stream")];
type Script = Arc<Mutex<Vec<Scripted<String>>>>;

#[derive(Clone)]
struct Server {
    script: Script,
    seen: Arc<Mutex<Vec<Seen>>>,
}

async fn answer(State(server): State<Server>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
    server.seen.lock().unwrap().push(Seen { path: parts.uri.to_string(), headers: parts.headers, body });
    let mut script = server.script.lock().unwrap();
    let (status, headers, body) = if script.is_empty() { (500, Vec::new(), String::new()) } else { script.remove(0) };
    let mut response = (StatusCode::from_u16(status).unwrap(), body).into_response();
    for (name, value) in headers {
        response.headers_mut().insert(name, value.parse().unwrap());
    }
    response
}

async fn server(script: Vec<Scripted<Value>>) -> (Fastn, Server) {
    let script = script.into_iter().map(|(status, headers, body)| (status, headers, body.to_string())).collect();
    let server = Server { script: Arc::new(Mutex::new(script)), seen: Arc::default() };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let app = Router::new().fallback(answer).with_state(server.clone());
    tokio::spawn(async move { axum::serve(listener, app).await });
    let fastn = Fastn::builder().url(url).access_key("fsk_test_x").account("acc_x").build().unwrap();
    (fastn, server)
}

fn problem(code: &str, status: u16) -> Value {
    json!({"type": format!("/errors/{code}"), "title": "t", "status": status, "detail": "because", "code": code,
        "executionId": "exec_1", "errors": [{"path": "id", "message": "is bad"}]})
}

/// Property: a write that met a busy server is sent again with the same idempotency key and body, after `Retry-After`.
#[tokio::test]
async fn retries_writes_with_one_key() {
    let (fastn, server) = server(vec![
        (503, vec![("retry-after", "0")], problem("SERVICE_UNAVAILABLE", 503)),
        (429, vec![("retry-after", "0")], problem("RATE_LIMITED", 429)),
        (202, vec![], json!({"executionId": "exec_2", "status": "queued"})),
    ])
    .await;
    let answer = fastn.customer("cus_a").run("triage", json!({"n": 1})).await.unwrap();
    assert_eq!(answer.execution_id, "exec_2");
    let seen = server.seen.lock().unwrap().clone();
    assert_eq!(seen.len(), 3);
    assert!(seen.iter().all(|request| request.path == "/v1/workflows/triage/run"));
    assert!(seen.iter().all(|request| request.headers["idempotency-key"] == seen[0].headers["idempotency-key"]));
    assert!(seen.iter().all(|request| request.body == seen[0].body));
    assert_eq!(seen[0].headers["x-fastn-access-key"], "fsk_test_x");
    assert_eq!(seen[0].headers["x-fastn-account-id"], "acc_x");
    assert_eq!(seen[0].headers["x-fastn-account-tenant-id"], "cus_a");
}

/// Property: a refusal is told at once with code, status, detail, parts and execution; nothing is sent again.
#[tokio::test]
async fn refusals_are_decoded_and_not_retried() {
    let (fastn, server) = server(vec![(500, vec![], problem("WF-EXEC-FAILED", 500))]).await;
    let error = fastn.customer("c").run("w", Value::Null).await.unwrap_err();
    assert_eq!(
        (error.kind, error.code, error.status),
        (ErrorKind::Answered, Some(ErrorCode::WorkflowFailed), Some(500))
    );
    assert_eq!((error.detail.as_str(), error.execution_id.as_deref()), ("because", Some("exec_1")));
    assert_eq!(error.fields[0].path, "id");
    assert_eq!(server.seen.lock().unwrap().len(), 1);
}

/// Property: a wait longer than the client is willing to make is the caller's to handle, and is told.
#[tokio::test]
async fn long_waits_are_told() {
    let (fastn, server) = server(vec![(429, vec![("retry-after", "3600")], problem("RATE_LIMITED", 429))]).await;
    let error = fastn.execution("exec_1").await.unwrap_err();
    assert_eq!(error.retry_after, Some(Duration::from_secs(3600)));
    assert_eq!(server.seen.lock().unwrap().len(), 1);
}

/// Property: no server is `Unreachable`: nothing was taken.
#[tokio::test]
async fn no_server() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let fastn = Fastn::builder().url(format!("http://{closed}")).access_key("k").attempts_max(1).build().unwrap();
    assert_eq!(fastn.health().await.unwrap_err().kind, ErrorKind::Unreachable);
}

fn secret(name: &str) -> Value {
    json!({"name": name, "version": 1, "updatedAt": "2026-11-24T00:00:00.000Z"})
}

/// Property: every row of every page comes once, in order, with the cursor and the filter passed on; ids are encoded.
#[tokio::test]
async fn pages() {
    let (fastn, server) = server(vec![
        (200, vec![], json!({"items": [secret("A"), secret("B")], "nextCursor": "c 1"})),
        (200, vec![], json!({"items": [secret("C")]})),
        (204, vec![], Value::Null),
    ])
    .await;
    let rows: Vec<_> =
        fastn.secrets().filter("status", Some("x")).stream().map(|row| row.unwrap().name).collect().await;
    assert_eq!(rows, ["A", "B", "C"]);
    fastn.delete_trigger("a/b").await.unwrap();
    let seen = server.seen.lock().unwrap().clone();
    assert_eq!(seen[0].path, "/v1/secrets?status=x");
    assert_eq!(seen[1].path, "/v1/secrets?status=x&cursor=c+1");
    assert_eq!(seen[2].path, "/v1/triggers/a%2Fb");
}

/// Property: a follower whose connection ends comes back with the last event's id, and a `reset` is told as missed.
#[tokio::test]
async fn follows_across_connections() {
    let update = json!({"id": "exec_1", "customer": "c", "status": "running", "attempt": 1, "at": ""});
    let ended = json!({"id": "exec_1", "customer": "c", "status": "completed", "attempt": 1, "at": ""});
    let (fastn, server) = server(Vec::new()).await;
    *server.script.lock().unwrap() = vec![
        (200, STREAM.to_vec(), format!("event: execution\nid: 7-1\ndata: {update}\n\n: heartbeat\n\n")),
        (200, STREAM.to_vec(), format!("event: reset\ndata: x\n\nevent: execution\nid: 7-2\ndata: {ended}\n\n")),
    ];
    let what = Follow { workflow: None, execution: Some("exec_1".to_owned()) };
    let updates: Vec<Update> = fastn.follow(what).map(Result::unwrap).collect().await;
    assert_eq!(updates.len(), 3);
    assert_eq!(updates[1], Update::Missed);
    let seen = server.seen.lock().unwrap().clone();
    assert_eq!(seen[1].headers["last-event-id"], "7-1");
    assert_eq!(seen[0].path, "/v1/executions/stream?execution=exec_1");
}

/// Property: what a newer server says in words reaches the caller, though its code is not known.
#[tokio::test]
async fn unknown_codes_keep_their_words() {
    let (fastn, _server) = server(vec![(422, vec![], problem("CODE_OF_TOMORROW", 422))]).await;
    let error = fastn.execution("exec_1").await.unwrap_err();
    assert_eq!((error.code, error.status, error.detail.as_str()), (None, Some(422), "because"));
    assert_eq!(error.fields[0].message, "is bad");
}

/// Property: a webhook, which carries no idempotency key, is sent again only when it was certainly not taken.
#[tokio::test]
async fn webhooks_are_not_sent_twice() {
    let taken = json!({"eventId": "e"});
    let busy = (429, vec![("retry-after", "0")], problem("RATE_LIMITED", 429));
    let (fastn, server) = server(vec![busy, (202, vec![], taken.clone())]).await;
    fastn.send_webhook("t", &[], "{}").await.unwrap();
    assert_eq!(server.seen.lock().unwrap().len(), 2);

    *server.script.lock().unwrap() = vec![
        (503, vec![("retry-after", "0")], problem("SERVICE_UNAVAILABLE", 503).to_string()),
        (202, vec![], taken.to_string()),
    ];
    let error = fastn.send_webhook("t", &[], "{}").await.unwrap_err();
    assert_eq!(error.status, Some(503));
    assert_eq!(server.seen.lock().unwrap().len(), 3);
}

/// Property: a follower that never was connected gives up after the attempts of any other call.
#[tokio::test]
async fn follower_that_never_connects() {
    let busy = || (503, vec![], problem("SERVICE_UNAVAILABLE", 503));
    let (fastn, server) = server((0..12).map(|_| busy()).collect()).await;
    let fastn = Fastn::builder().url(fastn.url()).access_key("k").attempts_max(2).build().unwrap();
    let updates: Vec<_> = fastn.follow(Follow::default()).collect().await;
    assert_eq!(updates.len(), 1);
    assert_eq!(updates[0].as_ref().unwrap_err().status, Some(503));
    assert_eq!(server.seen.lock().unwrap().len(), 2);
}

/// Property: what answers without being a stream of events ends the follower, and is not asked over and over.
#[tokio::test]
async fn follower_of_no_stream() {
    let (fastn, server) = server(vec![(200, vec![], json!("a login page"))]).await;
    let updates: Vec<_> = fastn.follow(Follow::default()).collect().await;
    assert_eq!(updates.len(), 1);
    assert_eq!(updates[0].as_ref().unwrap_err().kind, ErrorKind::BadAnswer);
    assert_eq!(server.seen.lock().unwrap().len(), 1);
}

/// Property: a call whose customer cannot be named is not made; it would be one for the whole account.
#[tokio::test]
async fn customers_that_cannot_be_named() {
    let (fastn, server) = server(Vec::new()).await;
    for id in ["cus_acme\n", "a\0b", ""] {
        let customer = fastn.customer(id);
        assert_eq!(customer.executions().take(1).await.unwrap_err().kind, ErrorKind::Config, "{id:?}");
        assert_eq!(customer.run("w", Value::Null).await.unwrap_err().kind, ErrorKind::Config, "{id:?}");
        let followed: Vec<_> = customer.follow(Follow::default()).collect().await;
        assert_eq!(followed[0].as_ref().unwrap_err().kind, ErrorKind::Config, "{id:?}");
    }
    assert!(server.seen.lock().unwrap().is_empty());
}

/// Property: a customer whose cell is another is followed there, the next call goes there at once, and other customers
/// stay; a cell that leads in circles ends as an error.
#[tokio::test]
async fn follows_a_customer_to_its_cell() {
    let page = json!({"items": []});
    let (home, own) = server(vec![(200, vec![], page.clone()), (200, vec![], page.clone())]).await;
    let mut moved = problem("WRONG_REGION", 421);
    moved["baseUrl"] = json!(home.url());
    let (fastn, asked) = server(vec![(421, vec![], moved.clone()), (200, vec![], page)]).await;
    let eu = fastn.customer("cus_eu");
    eu.executions().take(5).await.unwrap();
    eu.executions().take(5).await.unwrap();
    fastn.customer("cus_us").executions().take(5).await.unwrap();
    let paths = |server: &Server| server.seen.lock().unwrap().len();
    assert_eq!((paths(&own), paths(&asked)), (2, 2));
    assert_eq!(own.seen.lock().unwrap()[0].headers["x-fastn-access-key"], "fsk_test_x");

    let (fastn, asked) = server(Vec::new()).await;
    moved["baseUrl"] = json!(fastn.url());
    let circle: Vec<_> = (0..9).map(|_| (421, vec![], moved.to_string())).collect();
    *asked.script.lock().unwrap() = circle;
    let error = fastn.customer("cus_eu").executions().take(5).await.unwrap_err();
    assert_eq!((error.status, error.code), (Some(421), Some(ErrorCode::WrongRegion)));
    assert!(paths(&asked) <= 3);
}
