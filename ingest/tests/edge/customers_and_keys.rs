//! Which key may act for which customer, on both routes.

use crate::support::*;

const EVENT: &str = r#"{"type":"order.created"}"#;

/// Property: `/v1/events` takes a key in either header, and refuses a missing, unknown, expired or foreign one.
#[tokio::test]
async fn keys_of_events() {
    let edge = Edge::new();
    let customer = ("x-fastn-account-tenant-id", "acme");
    let bearer = format!("bearer {KEY}");
    for header in [("x-fastn-access-key", KEY), ("authorization", bearer.as_str())] {
        edge.post("/v1/events", &[customer, header], EVENT).await.accepted();
        edge.post("/v1/events", &[customer, header, ("x-fastn-account-id", "main")], EVENT).await.accepted();
    }
    let count = edge.events().len();
    let answer = edge.post("/v1/events", &[customer], EVENT).await;
    answer.problem(401, "AUTH_INVALID");
    assert!(answer.headers.contains_key("www-authenticate"));
    for unknown in ["fsk_test_none", &"x".repeat(5_000)] {
        edge.post("/v1/events", &[customer, ("x-fastn-access-key", unknown)], EVENT).await.problem(401, "AUTH_INVALID");
    }
    let basic = ("authorization", "Basic abc");
    edge.post("/v1/events", &[customer, basic], EVENT).await.problem(401, "AUTH_INVALID");
    let expired = ("x-fastn-access-key", KEY_EXPIRED);
    edge.post("/v1/events", &[customer, expired], EVENT).await.problem(401, "AUTH_EXPIRED");
    let foreign = [customer, ("x-fastn-access-key", KEY_OF_OTHER), ("x-fastn-account-id", "main")];
    edge.post("/v1/events", &foreign, EVENT).await.problem(403, "FORBIDDEN");
    assert_eq!(edge.events().len(), count);
}

/// Property: a key that is bound to a customer acts for that one only, and needs no header to do so.
#[tokio::test]
async fn customers_of_keys() {
    let edge = Edge::new();
    let bound = ("x-fastn-access-key", KEY_OF_ACME);
    edge.post("/v1/events", &[bound], EVENT).await.accepted();
    let other = ("x-fastn-account-tenant-id", "beta");
    edge.post("/v1/events", &[bound, other], EVENT).await.problem(403, "FORBIDDEN");
    let all = ("x-fastn-access-key", KEY);
    let problem = edge.post("/v1/events", &[all], EVENT).await.problem(400, "VALIDATION_ERROR");
    assert_eq!(paths(&problem), ["x-fastn-account-tenant-id"]);
    let nobody = ("x-fastn-account-tenant-id", "nobody");
    edge.post("/v1/events", &[all, nobody], EVENT).await.problem(404, "NOT_FOUND");
    let no_id = ("x-fastn-account-tenant-id", "a/b");
    edge.post("/v1/events", &[all, no_id], EVENT).await.problem(400, "VALIDATION_ERROR");
    edge.post("/v1/events", &[all, other], EVENT).await.accepted();
    let keys: Vec<String> = edge.events().iter().map(|event| event.scope.key()).collect();
    assert_eq!(keys, ["main/acme", "main/beta"]);
}

/// Property: a webhook with an access key takes only valid keys of the trigger's account that may act for its customer.
#[tokio::test]
async fn keys_of_webhooks() {
    let edge = Edge::new();
    let refuse = |headers: Vec<(&'static str, &'static str)>, path: &'static str| {
        let edge = &edge;
        async move { edge.post(path, &headers, "{}").await.problem(401, "EVT-WEBHOOK-AUTH-FAILED") }
    };
    let key = |key| ("x-fastn-access-key", key);
    let beta = ("x-fastn-account-tenant-id", "beta");
    refuse(vec![], "/v1/webhooks/key").await;
    refuse(vec![key("fsk_test_none")], "/v1/webhooks/key").await;
    refuse(vec![key(KEY_EXPIRED)], "/v1/webhooks/key").await;
    refuse(vec![key(KEY_OF_OTHER)], "/v1/webhooks/key").await;
    refuse(vec![key(KEY_OF_ACME), beta], "/v1/webhooks/key-shared").await;
    assert!(edge.events().is_empty());
    edge.post("/v1/webhooks/key", &[key(KEY)], "{}").await.accepted();
    edge.post("/v1/webhooks/key", &[key(KEY_OF_ACME)], "{}").await.accepted();
    edge.post("/v1/webhooks/key-shared", &[key(KEY_OF_ACME)], "{}").await.accepted();
    edge.post("/v1/webhooks/key-shared", &[key(KEY), beta], "{}").await.accepted();
    edge.post("/v1/webhooks/key-shared", &[key(KEY)], "{}").await.problem(400, "VALIDATION_ERROR");
    let keys: Vec<String> = edge.events().iter().map(|event| event.scope.key()).collect();
    assert_eq!(keys, ["main/acme", "main/acme", "main/acme", "main/beta"]);
    assert!(edge.events().iter().all(|event| event.headers.iter().all(|header| header.name != "x-fastn-access-key")));
}

/// Property: a trigger's own customer wins over the header; a shared trigger needs one that exists.
#[tokio::test]
async fn customers_of_webhooks() {
    let edge = Edge::new();
    let customer = |id| ("x-fastn-account-tenant-id", id);
    edge.post("/v1/webhooks/public", &[customer("beta")], "{}").await.accepted();
    edge.post("/v1/webhooks/public-shared", &[customer("beta")], "{}").await.accepted();
    edge.post("/v1/webhooks/public-shared", &[customer("nobody")], "{}").await.problem(404, "NOT_FOUND");
    edge.post("/v1/webhooks/public-shared", &[], "{}").await.problem(400, "VALIDATION_ERROR");
    let keys: Vec<String> = edge.events().iter().map(|event| event.scope.key()).collect();
    assert_eq!(keys, ["main/acme", "main/beta"]);
}

/// Property: a customer's own secret of the same name goes before the account's, and a sender without the right one
/// does not learn which customers exist.
#[tokio::test]
async fn own_secrets_first() {
    let edge = Edge::new();
    let sign = |secret: &str| {
        let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, secret.as_bytes());
        let tag = aws_lc_rs::hmac::sign(&key, b"{}");
        tag.as_ref().iter().fold("sha256=".to_owned(), |text, byte| format!("{text}{byte:02x}"))
    };
    for (customer, secret, status) in [
        ("acme", "of the account", 202),
        ("beta", "of beta", 202),
        ("beta", "of the account", 401),
        ("acme", "of beta", 401),
        ("acme", "an old value", 401),
        ("nobody", "wrong", 401),
        ("nobody", "of the account", 404),
    ] {
        let signature = sign(secret);
        let headers = [("x-fastn-account-tenant-id", customer), ("x-hub-signature-256", signature.as_str())];
        let answer = edge.post("/v1/webhooks/shared", &headers, "{}").await;
        assert_eq!(answer.status.as_u16(), status, "{customer} {secret}");
    }
}
