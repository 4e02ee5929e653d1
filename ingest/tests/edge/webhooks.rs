//! Webhooks of every scheme, and what becomes of their bodies and headers.

use axum::body::Body;
use axum::http::{Request, StatusCode};
use fastn_contract::activity::Origin;

use crate::support::*;

const GITHUB_VALID: &str = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";

/// HMAC-SHA-256 as GitHub sends it.
fn github_signature(secret: &str, body: &[u8]) -> String {
    let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, secret.as_bytes());
    let tag = aws_lc_rs::hmac::sign(&key, body);
    tag.as_ref().iter().fold("sha256=".to_owned(), |text, byte| format!("{text}{byte:02x}"))
}

fn header<'e>(event: &'e fastn_domain::event::EventRecord, name: &str) -> Option<&'e str> {
    event.headers.iter().find(|header| header.name == name).map(|header| header.value.as_str())
}

/// Property: a GitHub delivery becomes one durable event with its delivery id, its type, its body byte for byte, and
/// without its signature.
#[tokio::test]
async fn github_delivery() {
    let edge = Edge::new();
    let body = br#"{ "action":"opened", "issue": {"number": 1.0} }"#;
    let signature = github_signature(GITHUB_SECRET, body);
    let headers = [
        ("x-hub-signature-256", signature.as_str()),
        ("x-github-event", "issues"),
        ("x-github-delivery", "72d3162e-cc78-11e3-81ab-4c9367dc0958"),
        ("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
        ("tracestate", "vendor=1"),
    ];
    let answer = edge.post("/v1/webhooks/github", &headers, body).await;
    assert_eq!(answer.accepted()["eventId"], "72d3162e-cc78-11e3-81ab-4c9367dc0958");
    let event = edge.event();
    assert_eq!(event.id.as_str(), "72d3162e-cc78-11e3-81ab-4c9367dc0958");
    assert_eq!((event.kind.as_str(), event.source.as_str()), ("github.issues.opened", "webhook/github"));
    assert_eq!(event.data.as_bytes(), body);
    assert_eq!((event.scope.key().as_str(), event.origin), ("main/acme", Origin::Webhook));
    assert_eq!(event.trigger.as_ref().map(|trigger| trigger.as_str()), Some("github"));
    assert_eq!(event.time.as_millis(), NOW_S * 1_000);
    assert_eq!(header(&event, "x-github-event"), Some("issues"));
    assert_eq!(header(&event, "x-hub-signature-256"), None);
    assert!(event.traceparent.is_some());
    assert_eq!(header(&event, "tracestate"), Some("vendor=1"));
    let (topic, partition, records) = edge.log.appends.lock().unwrap()[0].clone();
    assert_eq!((topic, records[0].key.as_ref()), (fastn_log::Topic::Events, b"main/acme".as_slice()));
    assert_eq!(partition, fastn_domain::partition::partition_of(&event.scope, 16));
}

/// Property: GitHub's published vector passes; a tampered body, another secret, a missing or malformed signature do not,
/// and leave nothing in the log.
#[tokio::test]
async fn github_refuses() {
    let edge = Edge::new();
    let text = ("content-type", "text/plain");
    for (signature, body) in [
        (GITHUB_VALID, "Hello, World?"),
        (&github_signature("another", b"Hello, World!"), "Hello, World!"),
        ("", "Hello, World!"),
        ("sha1=757107ea", "Hello, World!"),
    ] {
        let answer = edge.post("/v1/webhooks/github", &[text, ("x-hub-signature-256", signature)], body).await;
        answer.problem(401, "EVT-WEBHOOK-AUTH-FAILED");
    }
    assert!(edge.events().is_empty());
    edge.post("/v1/webhooks/github", &[text, ("x-hub-signature-256", GITHUB_VALID)], "Hello, World!").await.accepted();
    assert_eq!(&*edge.event().data, "\"Hello, World!\"");
}

/// Property: GitHub's form deliveries and deliveries without an action get the right data and type.
#[tokio::test]
async fn github_form_and_ping() {
    let edge = Edge::new();
    let form = "payload=%7B%22action%22%3A%22closed%22%7D";
    let signature = github_signature(GITHUB_SECRET, form.as_bytes());
    let form_type = ("content-type", "application/x-www-form-urlencoded");
    let headers = [("x-hub-signature-256", signature.as_str()), ("x-github-event", "issues"), form_type];
    edge.post("/v1/webhooks/github", &headers, form).await.accepted();
    let ping = br#"{"zen":"x","action":7}"#;
    let signature = github_signature(GITHUB_SECRET, ping);
    let headers = [("x-hub-signature-256", signature.as_str()), ("x-github-event", "ping")];
    edge.post("/v1/webhooks/github", &headers, ping).await.accepted();
    let events = edge.events();
    assert_eq!((events[0].kind.as_str(), &*events[0].data), ("github.issues.closed", "{\"action\":\"closed\"}"));
    assert_eq!(events[1].kind, "github.ping");
    assert!(events[0].id.as_str().starts_with("evt_") && events[0].id < events[1].id || events[0].id != events[1].id);
}

/// Property: Standard Webhooks' reference vector passes with its id as the event's; out of time or tampered it does not.
#[tokio::test]
async fn standard_webhooks() {
    let edge = Edge::new();
    let valid = [
        ("webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek"),
        ("webhook-timestamp", "1614265330"),
        ("webhook-signature", "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="),
    ];
    let body = "{\"test\": 2432232314}";
    let changed =
        |name: &str, value: &'static str| valid.map(|pair| if pair.0 == name { (pair.0, value) } else { pair });
    for headers in [
        changed("webhook-id", "msg_other"),
        changed("webhook-id", ""),
        changed("webhook-timestamp", "1614265029"),
        changed("webhook-timestamp", "1614265631"),
        changed("webhook-signature", "v1,AAAA"),
        changed("webhook-signature", ""),
    ] {
        edge.post("/v1/webhooks/standard", &headers, body).await.problem(401, "EVT-WEBHOOK-AUTH-FAILED");
    }
    edge.post("/v1/webhooks/standard", &valid, "{\"test\": 1}").await.problem(401, "EVT-WEBHOOK-AUTH-FAILED");
    assert!(edge.events().is_empty());
    edge.post("/v1/webhooks/standard", &valid, body).await.accepted();
    let event = edge.event();
    assert_eq!((event.id.as_str(), event.kind.as_str()), ("msg_p5jXN8AQM9LWM0D4loKWxJek", "webhook.received"));
    assert_eq!(header(&event, "webhook-signature"), None);
}

/// Property: a secret that does not exist refuses the sender; one that cannot be opened asks it to come again.
#[tokio::test]
async fn unusable_secrets() {
    let edge = Edge::new();
    let signed = [("x-hub-signature-256", GITHUB_VALID)];
    edge.post("/v1/webhooks/unset", &signed, "Hello, World!").await.problem(401, "EVT-WEBHOOK-AUTH-FAILED");
    let problem = edge.post("/v1/webhooks/unopenable", &signed, "x").await.problem(503, "SERVICE_UNAVAILABLE");
    assert!(problem.retry_after.is_some() && !problem.detail.contains("UNOPENABLE"));
}

/// Property: unknown, disabled, malformed and non-webhook triggers all get the very same answer.
#[tokio::test]
async fn unknown_triggers_tell_nothing() {
    let edge = Edge::new();
    let unknown = edge.post("/v1/webhooks/nope", &[], "{}").await;
    unknown.problem(404, "NOT_FOUND");
    for path in ["off", "orders", "a%20b", "%ff", &"x".repeat(300)] {
        let answer = edge.post(&format!("/v1/webhooks/{path}"), &[], "{}").await;
        answer.problem(404, "NOT_FOUND");
        assert_eq!(answer.body, unknown.body, "{path}");
    }
}

/// Property: the signature covers the bytes as sent, so a compressed delivery is signed compressed and stored plain.
#[tokio::test]
async fn signature_covers_what_was_sent() {
    let edge = Edge::new();
    let compressed = gzip(b"{\"n\":1}");
    let plain_signature = github_signature(GITHUB_SECRET, b"{\"n\":1}");
    let signature = github_signature(GITHUB_SECRET, &compressed);
    let encoding = ("content-encoding", "gzip");
    let headers = [encoding, ("x-hub-signature-256", plain_signature.as_str())];
    let answer = edge.post("/v1/webhooks/github", &headers, compressed.clone()).await;
    answer.problem(401, "EVT-WEBHOOK-AUTH-FAILED");
    let headers = [encoding, ("x-hub-signature-256", signature.as_str())];
    edge.post("/v1/webhooks/github", &headers, compressed).await.accepted();
    let event = edge.event();
    assert_eq!((&*event.data, header(&event, "content-encoding")), ("{\"n\":1}", None));
}

/// Property: 404 and 405 of the router are problems too, and 405 names the methods.
#[tokio::test]
async fn router_errors_are_problems() {
    let edge = Edge::new();
    let get = |path: &str| Request::get(path).body(Body::empty()).unwrap();
    edge.send(get("/nowhere")).await.problem(404, "NOT_FOUND");
    edge.post("/v1/webhooks/public/more", &[], "{}").await.problem(404, "NOT_FOUND");
    for path in ["/v1/webhooks/public", "/v1/events"] {
        let answer = edge.send(get(path)).await;
        answer.problem(405, "METHOD_NOT_ALLOWED");
        assert_eq!(answer.headers["allow"], "POST");
    }
    let head = edge.send(Request::head("/v1/events").body(Body::empty()).unwrap()).await;
    assert_eq!(head.status, StatusCode::METHOD_NOT_ALLOWED);
}
