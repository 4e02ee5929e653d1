//! The handshakes of providers, at triggers of their schemes and at no others.

use axum::body::Body;
use axum::http::Request;
use fastn_domain::catalog::{ResourceKind, ResourceRow};
use serde_json::json;

use crate::support::*;

fn edge() -> Edge {
    let edge = Edge::new();
    edge.configure(&[
        webhook("slack", json!({"scheme": "slack", "secret": "SLACK"})),
        webhook("meta", json!({"scheme": "meta", "secret": "META", "verifyToken": ["OLD", "VERIFY"]})),
        webhook("graph", json!({"scheme": "microsoftGraph", "clientState": "STATE"})),
        webhook("dropbox", json!({"scheme": "dropbox", "secret": "DROPBOX"})),
        webhook("notion", json!({"scheme": "notion", "secret": ["NOTION", "NOTION_2"]})),
        secret("SLACK", "signing"),
        secret("META", "app"),
        secret("VERIFY", "token"),
        secret("STATE", "state"),
        secret("DROPBOX", "app"),
    ]);
    edge
}

/// An echoed challenge, as plain text that no browser takes for a page.
fn echoed(answer: &Answer) -> &str {
    assert_eq!(answer.status.as_u16(), 200, "{}", String::from_utf8_lossy(&answer.body));
    assert_eq!(answer.headers["content-type"], "text/plain; charset=utf-8");
    assert_eq!(answer.headers["x-content-type-options"], "nosniff");
    std::str::from_utf8(&answer.body).unwrap()
}

/// Property: Slack's signed `url_verification` is answered with its challenge and makes no event; unsigned it is refused,
/// and other events of Slack are events, with Slack's id.
#[tokio::test]
async fn slack() {
    let edge = edge();
    let post = |body: &'static str, key: &'static str| {
        let edge = &edge;
        async move {
            let signature = format!("v0={}", hmac_hex(key, format!("v0:{NOW_S}:{body}").as_bytes()));
            let time = NOW_S.to_string();
            let headers = [("x-slack-signature", signature.as_str()), ("x-slack-request-timestamp", time.as_str())];
            edge.post("/v1/webhooks/slack", &headers, body).await
        }
    };
    let challenge =
        r#"{"token":"Jhj5dZrVaK7ZwHHjRyZWjbDl","challenge":"3eZbrw1aBm2rZgRNFdxV2595E9CY","type":"url_verification"}"#;
    assert_eq!(echoed(&post(challenge, "signing").await), "3eZbrw1aBm2rZgRNFdxV2595E9CY");
    post(challenge, "another").await.problem(401, "EVT-WEBHOOK-AUTH-FAILED");
    assert!(edge.events().is_empty());
    post(r#"{"type":"event_callback","event_id":"Ev08MFMKH6","challenge":"x"}"#, "signing").await.accepted();
    assert_eq!(edge.event().id.as_str(), "Ev08MFMKH6");
}

/// Property: Meta's challenge comes back for the right verify token alone, of which two may be valid.
#[tokio::test]
async fn meta() {
    let edge = edge();
    let ask = |query: &str| {
        let path = format!("/v1/webhooks/meta?{query}");
        let edge = &edge;
        async move { edge.get(&path).await }
    };
    let good = "hub.mode=subscribe&hub.challenge=1158201444&hub.verify_token=token";
    assert_eq!(echoed(&ask(good).await), "1158201444");
    edge.configure(&[secret("OLD", "before")]);
    assert_eq!(echoed(&ask(good).await), "1158201444");
    assert_eq!(echoed(&ask("hub.mode=subscribe&hub.challenge=7&hub.verify_token=before").await), "7");
    for bad in [
        "hub.mode=subscribe&hub.challenge=1&hub.verify_token=toke",
        "hub.mode=subscribe&hub.challenge=1",
        "hub.mode=unsubscribe&hub.challenge=1&hub.verify_token=token",
        "hub.challenge=1&hub.verify_token=token",
    ] {
        ask(bad).await.problem(401, "EVT-WEBHOOK-AUTH-FAILED");
    }
    let signature = format!("sha256={}", hmac_hex("app", b"{}"));
    edge.post("/v1/webhooks/meta", &[("x-hub-signature-256", &signature)], "{}").await.accepted();
}

/// Property: Microsoft Graph's validation token comes back decoded, with nothing else asked; its notifications need their
/// client state.
#[tokio::test]
async fn microsoft_graph() {
    let edge = edge();
    let asked = "/v1/webhooks/graph?validationToken=Validation%3A+Testing+%3Cb%3Eclient%3C%2Fb%3E";
    assert_eq!(echoed(&edge.post(asked, &[], "").await), "Validation: Testing <b>client</b>");
    let long = format!("/v1/webhooks/graph?validationToken={}", "x".repeat(5_000));
    edge.post(&long, &[], "").await.problem(400, "VALIDATION_ERROR");
    for bad in [r#"{"value":[{"clientState":"other"}]}"#, r#"{"value":[{}]}"#, "{}", "x"] {
        edge.post("/v1/webhooks/graph", &[], bad).await.problem(401, "EVT-WEBHOOK-AUTH-FAILED");
    }
    assert!(edge.events().is_empty());
    edge.post("/v1/webhooks/graph", &[], r#"{"value":[{"clientState":"state"}]}"#).await.accepted();
}

/// Property: Dropbox's challenge comes back; its notifications need their signature.
#[tokio::test]
async fn dropbox() {
    let edge = edge();
    assert_eq!(echoed(&edge.get("/v1/webhooks/dropbox?challenge=a%20b").await), "a b");
    edge.post("/v1/webhooks/dropbox?challenge=x", &[], "{}").await.problem(401, "EVT-WEBHOOK-AUTH-FAILED");
    let signature = hmac_hex("app", b"{}");
    edge.post("/v1/webhooks/dropbox", &[("x-dropbox-signature", &signature)], "{}").await.accepted();
}

/// Property: Notion's first token becomes the customer's secret, and verifies from then on; the same one again is fine, a
/// second one takes the second name, and a third one is refused like everything that is not signed.
#[tokio::test]
async fn notion() {
    let edge = edge();
    let post = |headers: &'static [(&'static str, &'static str)], body: &'static str| {
        let edge = &edge;
        async move { edge.post("/v1/webhooks/notion", headers, body).await }
    };
    for bad in ["{}", "x", r#"{"verification_token":""}"#, r#"{"verification_token":"t","more":1}"#] {
        post(&[], bad).await.problem(401, "EVT-WEBHOOK-AUTH-FAILED");
    }
    post(&[("x-notion-signature", "sha256=00")], r#"{"verification_token":"a"}"#)
        .await
        .problem(401, "EVT-WEBHOOK-AUTH-FAILED");
    for _ in 0..2 {
        assert_eq!(post(&[], r#"{"verification_token":"secret_one"}"#).await.status.as_u16(), 200);
    }
    assert_eq!(post(&[], r#"{"verification_token":"secret_two"}"#).await.status.as_u16(), 200);
    post(&[], r#"{"verification_token":"secret_three"}"#).await.problem(401, "EVT-WEBHOOK-AUTH-FAILED");
    let kept = edge.kept.lock().unwrap().clone();
    let expected = [("acme/NOTION", "secret_one"), ("acme/NOTION_2", "secret_two")];
    assert_eq!(kept, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    assert!(edge.events().is_empty());
    for key in ["secret_one", "secret_two", "secret_three"] {
        let signature = format!("sha256={}", hmac_hex(key, b"{\"id\":\"n1\"}"));
        let headers = [("x-notion-signature", signature.as_str())];
        let answer = edge.post("/v1/webhooks/notion", &headers, "{\"id\":\"n1\"}").await;
        assert_eq!(answer.status.as_u16() == 202, key != "secret_three", "{key}");
    }
    assert_eq!(edge.events().len(), 2);
}

/// Property: a handshake at a trigger of another scheme, or at none, is answered like any other request there.
#[tokio::test]
async fn nothing_elsewhere() {
    let edge = edge();
    let unknown = edge.get("/v1/webhooks/nope?challenge=x").await;
    unknown.problem(405, "METHOD_NOT_ALLOWED");
    for trigger in ["public", "slack", "meta", "graph", "notion", "github", "off", "orders"] {
        let answer = edge.get(&format!("/v1/webhooks/{trigger}?challenge=x&hub.mode=subscribe")).await;
        answer.problem(405, "METHOD_NOT_ALLOWED");
        assert_eq!(answer.headers["allow"], "POST");
    }
    edge.get("/v1/webhooks/dropbox?hub.challenge=x").await.problem(405, "METHOD_NOT_ALLOWED");
    edge.post("/v1/webhooks/public?validationToken=x", &[], r#"{"verification_token":"t"}"#).await.accepted();
    assert_eq!(&*edge.event().data, r#"{"verification_token":"t"}"#);
    let request = Request::delete("/v1/webhooks/dropbox?challenge=x").body(Body::empty()).unwrap();
    edge.send(request).await.problem(405, "METHOD_NOT_ALLOWED");
}

fn challenged(id: &str, verification: serde_json::Value, challenge: serde_json::Value) -> ResourceRow {
    let source = json!({"type": "webhook", "verification": verification, "challenge": challenge});
    let body = json!({"id": id, "customer": "acme", "source": source, "routes": [{"workflow": "triage"}]});
    a_row(ResourceKind::Trigger, "main", Some("acme"), id, body)
}

/// Property: a configured challenge in the query comes back unsigned, to a GET and a POST, as text or as the JSON that is
/// asked for; without it, or without what else a handshake has, the request is like every other.
#[tokio::test]
async fn a_configured_challenge_in_the_query() {
    let edge = edge();
    let signed = json!({"scheme": "github", "secret": "GITHUB"});
    edge.configure(&[
        challenged("text", signed.clone(), json!({"in": "query", "field": "echo"})),
        challenged(
            "json",
            signed,
            json!({"in": "query", "field": "c", "when": {"field": "mode", "value": "sub"}, "answer": "json",
                "answerField": "challenge_response"}),
        ),
    ]);
    assert_eq!(echoed(&edge.get("/v1/webhooks/text?x=1&echo=a%20%3Cb%3E").await), "a <b>");
    assert_eq!(echoed(&edge.post("/v1/webhooks/text?echo=a+b", &[], "anything").await), "a b");
    for path in ["/v1/webhooks/json?mode=sub&c=7", "/v1/webhooks/json?c=7&mode=sub"] {
        let answer = edge.get(path).await;
        assert_eq!((answer.status.as_u16(), answer.json()), (200, json!({"challenge_response": "7"})));
        assert_eq!(answer.headers["content-type"], "application/json");
        assert_eq!(answer.headers["x-content-type-options"], "nosniff");
    }
    for path in ["/v1/webhooks/json?c=7", "/v1/webhooks/json?c=7&mode=other", "/v1/webhooks/text?challenge=1"] {
        edge.get(path).await.problem(405, "METHOD_NOT_ALLOWED");
        edge.post(path, &[], "{}").await.problem(401, "EVT-WEBHOOK-AUTH-FAILED");
    }
    edge.get("/v1/webhooks/text?echo=").await.problem(400, "VALIDATION_ERROR");
    let long = format!("/v1/webhooks/text?echo={}", "x".repeat(5_000));
    edge.get(&long).await.problem(400, "VALIDATION_ERROR");
    assert!(edge.events().is_empty());
}

/// Property: a configured challenge in the body comes back once the sender has proven itself, and makes no event; a body
/// that is no handshake is an event.
#[tokio::test]
async fn a_configured_challenge_in_the_body() {
    let edge = edge();
    edge.configure(&[
        challenged(
            "body",
            json!({"scheme": "github", "secret": "GITHUB"}),
            json!({"in": "body", "field": "data.challenge", "when": {"field": "type", "value": "verify"}, "answer": "json"}),
        ),
        challenged("open", json!({"scheme": "public"}), json!({"in": "body", "field": "challenge"})),
    ]);
    let post = |body: &'static str, key: &'static str| {
        let edge = &edge;
        async move {
            let signature = format!("sha256={}", hmac_hex(key, body.as_bytes()));
            edge.post("/v1/webhooks/body", &[("x-hub-signature-256", signature.as_str())], body).await
        }
    };
    let asked = r#"{"type":"verify","data":{"challenge":"c-1"}}"#;
    assert_eq!(post(asked, GITHUB_SECRET).await.json(), json!({"challenge": "c-1"}));
    post(asked, "another").await.problem(401, "EVT-WEBHOOK-AUTH-FAILED");
    assert_eq!(echoed(&edge.post("/v1/webhooks/open", &[], r#"{"challenge":42}"#).await), "42");
    assert!(edge.events().is_empty());
    for body in [
        r#"{"type":"other","data":{"challenge":"c"}}"#,
        r#"{"type":"verify"}"#,
        r#"{"type":"verify","data":{"challenge":{}}}"#,
    ] {
        post(body, GITHUB_SECRET).await.accepted();
    }
    assert_eq!(edge.events().len(), 3);
    edge.get("/v1/webhooks/body?challenge=x").await.problem(405, "METHOD_NOT_ALLOWED");
}
