//! The batcher against a server that takes, refuses or loses requests as it is told.

#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use fastn_sdk::contract::HEADER_CUSTOMER;
use fastn_sdk::contract::command::SendEvent;
use fastn_sdk::{BatchOptions, Batcher, Fastn};
use serde_json::{Value, json};
use tokio::sync::Semaphore;

/// What the server has: event ids of each customer in the order of their arrival, each once.
#[derive(Default)]
struct Taken {
    events: HashMap<String, Vec<String>>,
    keys: HashSet<String>,
    requests: usize,
}

struct Server {
    taken: Mutex<Taken>,
    /// Requests of which the answer is lost, and then so many that are refused for now.
    lose: Mutex<(usize, usize)>,
    gate: Semaphore,
}

async fn take(State(server): State<Arc<Server>>, headers: HeaderMap, body: Bytes) -> Response {
    let _pass = server.gate.acquire().await.unwrap();
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default();
    let events: Vec<Value> = serde_json::from_slice(&body).unwrap();
    let mut lose = server.lose.lock().unwrap();
    let (lost, refused) = *lose;
    if lost == 0 && refused > 0 {
        lose.1 -= 1;
        return (StatusCode::SERVICE_UNAVAILABLE, [("retry-after", "0")]).into_response();
    }
    if events.iter().any(|event| event["type"] == "bad") {
        let problem = json!({"code": "INVALID_REQUEST", "status": 400, "detail": "no such type"});
        return (StatusCode::BAD_REQUEST, problem.to_string()).into_response();
    }
    let mut taken = server.taken.lock().unwrap();
    taken.requests += 1;
    // The same request again is taken once.
    if taken.keys.insert(text("idempotency-key")) {
        let own = taken.events.entry(text(HEADER_CUSTOMER)).or_default();
        own.extend(events.iter().map(|event| event["id"].as_str().unwrap().to_owned()));
    }
    if lost > 0 {
        lose.0 -= 1;
        return (StatusCode::BAD_GATEWAY, "lost").into_response();
    }
    let ids: Vec<&Value> = events.iter().map(|event| &event["id"]).collect();
    (StatusCode::ACCEPTED, json!({"eventId": ids[0], "eventIds": ids}).to_string()).into_response()
}

async fn server(permits: usize) -> (Fastn, Arc<Server>) {
    let server = Arc::new(Server { taken: Mutex::default(), lose: Mutex::default(), gate: Semaphore::new(permits) });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let app = Router::new().route("/v1/events", post(take)).with_state(Arc::clone(&server));
    tokio::spawn(async move { axum::serve(listener, app).await });
    let fastn = Fastn::builder().url(url).access_key("fsk_test_x").account("acc_x").build().unwrap();
    (fastn, server)
}

fn event(kind: &str, n: usize) -> SendEvent {
    serde_json::from_value(json!({"id": format!("{kind}-{n}"), "type": kind, "data": {"n": n}})).unwrap()
}

/// Property: whatever is refused or lost on the way, each event reaches the server once, each customer's in its order, and
/// many in a request.
#[tokio::test]
async fn each_arrives_once_and_in_order() {
    const EVENTS: usize = 5_000;
    let (fastn, server) = server(100).await;
    *server.lose.lock().unwrap() = (3, 3);
    let batcher = fastn.batcher();
    for n in 0..EVENTS {
        batcher.send(["a", "b", "c"][n % 3], event("e", n)).await.unwrap();
    }
    let flushed = batcher.close().await;
    assert_eq!((flushed.sent, flushed.failed.len()), (EVENTS as u64, 0));
    let taken = server.taken.lock().unwrap();
    for (at, customer) in ["a", "b", "c"].into_iter().enumerate() {
        let expected: Vec<String> = (at..EVENTS).step_by(3).map(|n| format!("e-{n}")).collect();
        assert_eq!(taken.events[customer], expected, "{customer}");
    }
    assert!(taken.requests < EVENTS / 20, "{} requests", taken.requests);
}

/// Property: of a batch that is refused only the events at fault fail, each with its error and the id that it had; an event
/// without an id is given one.
#[tokio::test]
async fn only_what_is_at_fault_fails() {
    let (fastn, server) = server(100).await;
    let batcher = fastn.batcher();
    for n in 0..100 {
        batcher.send("a", event(if n % 40 == 7 { "bad" } else { "e" }, n)).await.unwrap();
    }
    let nameless: SendEvent = serde_json::from_value(json!({"type": "bad", "data": 1})).unwrap();
    batcher.send("a", nameless).await.unwrap();
    let flushed = batcher.flush().await;
    assert_eq!((flushed.sent, flushed.failed.len()), (97, 4));
    let mut ids: Vec<String> = flushed.failed.iter().map(|failed| failed.event().unwrap().id.unwrap()).collect();
    assert!(flushed.failed.iter().all(|failed| failed.error.status == Some(400)));
    assert_eq!(flushed.failed[0].customer, "a");
    ids.retain(|id| id.starts_with("bad-"));
    ids.sort();
    assert_eq!(ids, ["bad-47", "bad-7", "bad-87"]);
    assert_eq!(server.taken.lock().unwrap().events["a"].len(), 97);
    assert_eq!(batcher.flush().await.failed.len(), 0, "failures are told once");
}

/// Property: what is not settled stays within the bound: sending waits, and goes on when the server does; failures that
/// nobody takes are told instead of being dropped.
#[tokio::test]
async fn the_bound_holds() {
    let (fastn, server) = server(0).await;
    let options = BatchOptions { buffer_bytes_max: 4_096, ..BatchOptions::default() };
    let batcher = Batcher::new(&fastn, options.clone());
    let mut queued = 0;
    while let Ok(sent) = tokio::time::timeout(Duration::from_millis(300), batcher.send("a", event("e", queued))).await {
        sent.unwrap();
        queued += 1;
    }
    assert!((10..60).contains(&queued), "{queued} events within 4 KiB");
    server.gate.add_permits(100);
    batcher.send("a", event("e", queued)).await.unwrap();
    assert_eq!(batcher.flush().await.sent, queued as u64 + 1);

    let batcher = Batcher::new(&fastn, options);
    let mut failed = 0;
    let error = loop {
        match batcher.send("a", event("bad", failed)).await {
            Ok(()) => failed += 1,
            Err(error) => break error,
        }
    };
    assert!(error.detail.contains("flush"), "{error}");
    assert_eq!(batcher.flush().await.failed.len(), failed);
    batcher.send("a", event("e", 1)).await.unwrap();
    assert_eq!(batcher.close().await.sent, 1);
}

/// Property: what is queued is sent though the batcher was dropped, as long as the runtime lives.
#[tokio::test]
async fn dropping_sends_the_rest() {
    let (fastn, server) = server(100).await;
    let batcher = fastn.batcher();
    for n in 0..10 {
        batcher.send("a", event("e", n)).await.unwrap();
    }
    drop(batcher);
    for _ in 0..600 {
        if server.taken.lock().unwrap().events.get("a").is_some_and(|events| events.len() == 10) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{:?}", server.taken.lock().unwrap().events);
}

/// Property: events that are JSON text already go out with the id that they have, or with one by chance when it is absent or
/// null; what is no event that the server could take is told with its text, and what does not fit now is not queued.
#[tokio::test]
async fn events_as_json_text() {
    let (fastn, server) = server(0).await;
    let options = BatchOptions { buffer_bytes_max: 600, ..Default::default() };
    let batcher = Batcher::new(&fastn, options);
    for text in [r#"{"id": "own", "type": "t"}"#, r#" {"type": "t"}"#, r#"{"id": null, "type": "t", "data": {"n": 1}}"#]
    {
        assert!(batcher.try_send_json("a", text.as_bytes()).unwrap());
    }
    assert!(batcher.try_send_json("b", br#"{"id": "odd", "type": "bad", "priority": 7}"#).unwrap());
    assert_eq!(batcher.unsettled(), 4);
    let large = json!({"type": "t", "data": "x".repeat(600)}).to_string();
    assert!(!batcher.try_send_json("a", large.as_bytes()).unwrap(), "there is no room for it now");
    assert!(batcher.try_send_json("a", b"{}").is_err(), "it has no type");
    server.gate.add_permits(100);
    let flushed = batcher.flush().await;
    assert_eq!((flushed.sent, flushed.failed.len(), batcher.unsettled()), (3, 1, 0));
    assert_eq!(flushed.failed[0].json, br#"{"id": "odd", "type": "bad", "priority": 7}"#.as_slice());
    assert!(flushed.failed[0].event().is_err());
    let taken = server.taken.lock().unwrap();
    assert_eq!(taken.events["a"][0], "own");
    assert!(taken.events["a"][1..].iter().all(|id| id.starts_with("sdk-")), "{:?}", taken.events);
    assert!(batcher.try_send_json("a", large.as_bytes()).unwrap(), "alone, an event of any size fits");
}
