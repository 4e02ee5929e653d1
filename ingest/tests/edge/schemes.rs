//! Every scheme through the whole edge: a right request is taken, a wrong one is refused, and two keys are good at once.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use crate::support::*;

const BODY: &str = r#"{"id":"evt_9","webhookTimestamp":1614265330000,"value":[{"clientState":"KEY"}]}"#;

fn b64(hex: &str) -> String {
    let bytes: Vec<u8> =
        (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect();
    BASE64_STANDARD.encode(bytes)
}

fn hmac_b64(key: &str, text: &str) -> String {
    b64(&hmac_hex(key, text.as_bytes()))
}

fn standard(key: &str, prefix: &str) -> Vec<(String, String)> {
    let raw = String::from_utf8(BASE64_STANDARD.decode(key.strip_prefix("whsec_").unwrap()).unwrap()).unwrap();
    let signature = format!("v1,{}", hmac_b64(&raw, &format!("m1.{NOW_S}.{BODY}")));
    let name = |part: &str| format!("{prefix}-{part}");
    vec![(name("id"), "m1".into()), (name("timestamp"), NOW_S.to_string()), (name("signature"), signature)]
}

fn one(name: &str, value: String) -> Vec<(String, String)> {
    vec![(name.to_owned(), value)]
}

/// What a sender with this key sends beside [`BODY`].
fn signed(scheme: &str, key: &str) -> Vec<(String, String)> {
    let url = "https://h.example/hook";
    let ms = (NOW_S * 1_000).to_string();
    match scheme {
        "github" | "meta" => one("x-hub-signature-256", format!("sha256={}", hmac_hex(key, BODY.as_bytes()))),
        "standardWebhooks" => standard(key, "webhook"),
        "svix" => standard(key, "svix"),
        "stripe" => {
            let signature = hmac_hex(key, format!("{NOW_S}.{BODY}").as_bytes());
            one("stripe-signature", format!("t={NOW_S},v1={signature}"))
        }
        "slack" => {
            let signature = hmac_hex(key, format!("v0:{NOW_S}:{BODY}").as_bytes());
            let mut headers = one("x-slack-signature", format!("v0={signature}"));
            headers.extend(one("x-slack-request-timestamp", NOW_S.to_string()));
            headers
        }
        "shopify" => one("x-shopify-hmac-sha256", hmac_b64(key, BODY)),
        "hubspot" => {
            let mut headers = one("x-hubspot-signature-v3", hmac_b64(key, &format!("POST{url}{BODY}{ms}")));
            headers.extend(one("x-hubspot-request-timestamp", ms));
            headers
        }
        "linear" => one("linear-signature", hmac_hex(key, BODY.as_bytes())),
        "zendesk" => {
            let time = "2021-02-25T15:02:10Z";
            let mut headers = one("x-zendesk-webhook-signature", hmac_b64(key, &format!("{time}{BODY}")));
            headers.extend(one("x-zendesk-webhook-signature-timestamp", time.to_owned()));
            headers
        }
        "dropbox" => one("x-dropbox-signature", hmac_hex(key, BODY.as_bytes())),
        "notion" => one("x-notion-signature", format!("sha256={}", hmac_hex(key, BODY.as_bytes()))),
        "hmac" => {
            let mut headers = one("x-sig", format!("v1={}", hmac_hex(key, format!("{NOW_S}.{BODY}").as_bytes())));
            headers.extend(one("x-time", NOW_S.to_string()));
            headers
        }
        "token" => one("x-token", key.to_owned()),
        "basic" => one("authorization", format!("Basic {}", BASE64_STANDARD.encode(format!("me:{key}")))),
        other => panic!("{other}"),
    }
}

fn verification(scheme: &str) -> Value {
    let mut verification = json!({"scheme": scheme, "secret": ["OLD", "NEW"]});
    let more = match scheme {
        "meta" => json!({"verifyToken": "OLD"}),
        "hubspot" => json!({"url": "https://h.example/hook"}),
        "hmac" => {
            json!({"header": "X-Sig", "prefix": "v1=", "payload": "{timestamp}.{body}", "timestampHeader": "X-Time"})
        }
        "token" => json!({"header": "X-Token"}),
        "basic" => json!({"username": "me"}),
        _ => json!({}),
    };
    verification.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    verification
}

/// Property: with each scheme, requests of either of two keys are taken and nobody else's, also while one of the two does
/// not exist yet; and no header that proves anything stays with the event.
#[tokio::test]
async fn two_keys_at_once() {
    let keys = ["whsec_b2xkLWtleQ==", "whsec_bmV3LWtleQ==", "whsec_b3RoZXIta2V5"];
    for scheme in [
        "github",
        "standardWebhooks",
        "svix",
        "stripe",
        "slack",
        "shopify",
        "hubspot",
        "linear",
        "zendesk",
        "meta",
        "dropbox",
        "notion",
        "hmac",
        "token",
        "basic",
    ] {
        let edge = Edge::new();
        edge.configure(&[webhook("w", verification(scheme)), secret("NEW", keys[1])]);
        let send = |key: &str| {
            let headers = signed(scheme, key);
            let edge = &edge;
            async move {
                let headers: Vec<(&str, &str)> =
                    headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
                edge.post("/v1/webhooks/w", &headers, BODY).await
            }
        };
        send(keys[1]).await.accepted();
        send(keys[0]).await.problem(401, "EVT-WEBHOOK-AUTH-FAILED");
        edge.configure(&[secret("OLD", keys[0])]);
        for key in &keys[..2] {
            send(key).await.accepted();
        }
        send(keys[2]).await.problem(401, "EVT-WEBHOOK-AUTH-FAILED");
        edge.post("/v1/webhooks/w", &[], BODY).await.problem(401, "EVT-WEBHOOK-AUTH-FAILED");
        let events = edge.events();
        assert_eq!(events.len(), 3, "{scheme}");
        for header in events.iter().flat_map(|event| &event.headers) {
            for key in keys {
                let (raw, hex) = (header.value.contains(key), header.value.contains(&hmac_hex(key, BODY.as_bytes())));
                assert!(!raw && !hex, "{scheme}: {}", header.name);
            }
        }
    }
}

/// Property: a client certificate is taken by what the proxy says of it, in either form, and none is a refusal.
#[tokio::test]
async fn client_certificates() {
    let edge = Edge::new();
    let fingerprint = "ab".repeat(32);
    let verification = json!({"scheme": "clientCertificate", "header": "X-Cert", "allowed": [fingerprint, "CN=b"]});
    edge.configure(&[webhook("w", verification)]);
    for good in [fingerprint.to_uppercase().as_str(), "CN=b"] {
        edge.post("/v1/webhooks/w", &[("x-cert", good)], "{}").await.accepted();
    }
    for bad in [vec![("x-cert", "CN=c")], vec![], vec![("x-cert", "CN=b"), ("x-cert", "CN=c")]] {
        edge.post("/v1/webhooks/w", &bad, "{}").await.problem(401, "EVT-WEBHOOK-AUTH-FAILED");
    }
    assert!(edge.events().iter().all(|event| event.headers.iter().all(|header| header.name != "x-cert")));
}

/// Property: Twilio's form of another URL than the trigger's is refused, and its own is an event of its fields.
#[tokio::test]
async fn twilio_form() {
    let edge = Edge::new();
    let url = "https://mycompany.com/myapp.php";
    edge.configure(&[webhook("w", json!({"scheme": "twilio", "secret": "T", "url": url})), secret("T", "12345")]);
    let body = "Digits=1234&CallSid=CA1234567890ABCDE&To=%2B18005551212&From=%2B14158675309&Caller=%2B14158675309";
    let headers = [
        ("x-twilio-signature", "RSOYDt4T1cUTdK1PDd93/VVr8B8="),
        ("content-type", "application/x-www-form-urlencoded"),
        ("i-twilio-idempotency-token", "tok-1"),
    ];
    edge.post("/v1/webhooks/w?foo=1&bar=3", &headers, body).await.problem(401, "EVT-WEBHOOK-AUTH-FAILED");
    edge.post("/v1/webhooks/w?foo=1&bar=2", &headers, body).await.accepted();
    let event = edge.event();
    assert_eq!(event.id.as_str(), "tok-1");
    assert_eq!(serde_json::from_str::<Value>(&event.data).unwrap()["CallSid"], "CA1234567890ABCDE");
}

/// Property: a sender that must use HTTP Basic and has not is asked for it; nobody else is.
#[tokio::test]
async fn basic_is_asked_for() {
    let edge = Edge::new();
    edge.configure(&[webhook("w", verification("basic")), secret("OLD", "x")]);
    let asked = edge.post("/v1/webhooks/w", &[], "{}").await;
    assert_eq!(asked.headers["www-authenticate"], "Basic realm=\"webhook\"");
    let other = edge.post("/v1/webhooks/github", &[], "{}").await;
    assert_eq!(other.headers["www-authenticate"], "Bearer");
}

/// Property: the tolerance of a trigger moves its window, and without one it is five minutes.
#[tokio::test]
async fn tolerance() {
    for (tolerance, away, good) in [(None, 300, true), (None, 301, false), (Some(20), 20, true), (Some(20), 21, false)]
    {
        let edge = Edge::new();
        let mut verification = json!({"scheme": "stripe", "secret": "K"});
        if let Some(seconds) = tolerance {
            verification["toleranceSeconds"] = json!(seconds);
        }
        edge.configure(&[webhook("w", verification), secret("K", "k")]);
        let time = NOW_S - away;
        let header = format!("t={time},v1={}", hmac_hex("k", format!("{time}.{{}}").as_bytes()));
        let answer = edge.post("/v1/webhooks/w", &[("stripe-signature", &header)], "{}").await;
        assert_eq!(answer.status.as_u16() == 202, good, "{tolerance:?} {away}");
    }
}

/// Property: what a public URL answers names neither account nor customer, even when the customer is gone.
#[tokio::test]
async fn urls_tell_nothing() {
    let edge = Edge::new();
    let mut gone =
        a_row(fastn_domain::catalog::ResourceKind::Customer, "main", Some("acme"), "acme", json!({"id": "acme"}));
    gone.deleted = true;
    let taken = edge.post("/v1/webhooks/public", &[], "{}").await;
    edge.configure(&[gone]);
    let unknown = edge.post("/v1/webhooks/nope", &[], "{}").await;
    let orphan = edge.post("/v1/webhooks/public", &[], "{}").await;
    assert_eq!((orphan.status, &orphan.body), (unknown.status, &unknown.body));
    for answer in [taken, orphan, edge.post("/v1/webhooks/github", &[], "{}").await] {
        let text = String::from_utf8_lossy(&answer.body).into_owned() + &format!("{:?}", answer.headers);
        assert!(!text.contains("acme") && !text.contains("main"), "{text}");
    }
}
