//! Connector apps, their triggers and the subscriptions of these; and ids that are made by the server.

use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::server::{KEY, KEY_ACME, KEY_OTHER, Server};

fn app() -> Value {
    let subscribe = json!({
        "url": "https://api.example/hooks/{{accountId}}?e={{event}}",
        "headers": {"authorization": "Bearer {{secret.TOKEN}}"},
        "body": {"target": "{{webhookUrl}}", "query": "mutation { a { b } }", "tags": ["{{customer}}", 1]}
    });
    let unsubscribe = json!({"method": "DELETE", "url": "https://api.example/hooks/{{subscriptionId}}"});
    json!({
        "id": "hub", "eventKey": "type", "mappedTo": "portal", "events": [{"id": "made"}, {"id": "gone"}],
        "subscription": {"subscribe": subscribe, "unsubscribe": unsubscribe, "idPath": "data.id"}
    })
}

fn trigger(event: &str, account: Option<&str>) -> Value {
    json!({"id": "t", "customer": "cus_acme", "routes": [{"workflow": "add"}],
        "source": {"type": "appEvent", "app": "hub", "event": event, "accountId": account}})
}

async fn server() -> Server {
    let server = Server::completing().await;
    server.ready_to_run("standard").await;
    server.call("PUT", "/v1/secrets/TOKEN", Some(json!({"name": "TOKEN", "value": "v"}))).await;
    let (status, answer) = server.call("PUT", "/v1/apps/hub", Some(app())).await;
    assert_eq!(status, StatusCode::CREATED, "{answer}");
    *server.app_answers.lock().unwrap() = Ok((201, r#"{"data":{"id":77}}"#.to_owned()));
    server
}

async fn subscription(server: &Server) -> Value {
    let (status, answer) = server.call("GET", "/v1/triggers/t/subscription", None).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    answer
}

/// Property: an app gets one random endpoint, which stays over every change and is not chosen by anybody.
#[tokio::test]
async fn an_app_keeps_its_endpoint() {
    let server = server().await;
    let (_, first) = server.call("GET", "/v1/apps/hub", None).await;
    let endpoint = first["endpoint"].as_str().unwrap().to_owned();
    assert!(endpoint.starts_with("ep_") && endpoint.len() == 29 && !endpoint.contains("hub"), "{endpoint}");
    let mut changed = app();
    changed["name"] = json!("Hub");
    let (status, second) = server.call("PUT", "/v1/apps/hub", Some(changed)).await;
    assert_eq!((status, &second["endpoint"], &second["name"]), (StatusCode::OK, &json!(endpoint), &json!("Hub")));
    let mut chosen = app();
    chosen["endpoint"] = json!("ep_mine");
    let (status, problem) = server.call("PUT", "/v1/apps/hub", Some(chosen)).await;
    assert_eq!((status, &problem["errors"][0]["path"]), (StatusCode::BAD_REQUEST, &json!("endpoint")));
    let as_customer = [("x-fastn-access-key", KEY_ACME)];
    let (status, _) = server.with("PUT", "/v1/apps/hub", Some(app()), &as_customer).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    let (status, _) = server.with("GET", "/v1/apps/hub", None, &[("x-fastn-access-key", KEY_OTHER)]).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
}

/// Property: a new trigger is made known to its app by the request that the app says, with its places filled and its
/// secret; written again it is not asked twice; changed it is asked anew, and deleted it is taken back.
#[tokio::test]
async fn subscribes_and_unsubscribes() {
    let server = server().await;
    let (status, answer) = server.call("PUT", "/v1/triggers/t", Some(trigger("made", Some("p/1")))).await;
    assert_eq!(status, StatusCode::CREATED, "{answer}");
    let (_, own) = server.call("GET", "/v1/apps/hub", None).await;
    let asked = server.asked.lock().unwrap().clone();
    assert_eq!((asked[0].method.as_str(), asked[0].url.as_str()), ("POST", "https://api.example/hooks/p%2F1?e=made"));
    let body: Value = serde_json::from_str(asked[0].body.as_deref().unwrap()).unwrap();
    let url = format!("https://hooks.example/v1/apps/{}/events", own["endpoint"].as_str().unwrap());
    assert_eq!(body, json!({"target": url, "query": "mutation { a { b } }", "tags": ["cus_acme", 1]}));
    let header = |name: &str| asked[0].headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
    assert_eq!(header("authorization"), Some("Bearer value of TOKEN 1"));
    assert_eq!(
        (header("content-type"), header("idempotency-key")),
        (Some("application/json"), Some("subscribe-t-1-1"))
    );
    let known = subscription(&server).await;
    assert_eq!(
        (&known["state"], &known["subscriptionId"], &known["attempts"]),
        (&json!("subscribed"), &json!("77"), &json!(1))
    );
    server.call("PUT", "/v1/triggers/t", Some(trigger("made", Some("p/1")))).await;
    server.call("POST", "/v1/triggers/t/retry-subscription", None).await;
    assert_eq!(server.asked.lock().unwrap().len(), 1);
    server.call("PUT", "/v1/triggers/t", Some(trigger("gone", Some("p2")))).await;
    let (status, problem) = server.call("DELETE", "/v1/apps/hub", None).await;
    assert_eq!(status, StatusCode::CONFLICT, "{problem}");
    let (status, _) = server.call("DELETE", "/v1/triggers/t", None).await;
    assert_eq!(status, StatusCode::NO_CONTENT);
    let asked: Vec<String> =
        server.asked.lock().unwrap().iter().map(|asked| format!("{} {}", asked.method, asked.url)).collect();
    assert_eq!(
        asked,
        [
            "POST https://api.example/hooks/p%2F1?e=made",
            "DELETE https://api.example/hooks/77",
            "POST https://api.example/hooks/p2?e=gone",
            "DELETE https://api.example/hooks/77"
        ]
    );
    let (status, _) = server.call("DELETE", "/v1/apps/hub", None).await;
    assert_eq!(status, StatusCode::NO_CONTENT);
}

/// Property: what the app answers is kept apart from the trigger's status, and asking again can mend it.
#[tokio::test]
async fn a_failed_subscription_is_retried() {
    let server = server().await;
    let set = |answer: Result<(u16, &str), &str>| {
        let answer = answer.map(|(status, body)| (status, body.to_owned())).map_err(str::to_owned);
        *server.app_answers.lock().unwrap() = answer;
    };
    set(Ok((401, "your token value of TOKEN 1 is wrong")));
    let (status, stored) = server.call("PUT", "/v1/triggers/t", Some(trigger("made", Some("p1")))).await;
    assert_eq!((status, &stored["status"]), (StatusCode::CREATED, &json!("enabled")));
    let known = subscription(&server).await;
    assert_eq!((&known["state"], &known["detail"]), (&json!("failed"), &json!("the app answered 401")));
    assert_eq!(stored["subscription"], "failed");
    let (_, one) = server.call("GET", "/v1/triggers/t", None).await;
    let (_, listed) = server.call("GET", "/v1/triggers", None).await;
    let items = listed["items"].as_array().unwrap();
    let shown = |id: &str| items.iter().find(|item| item["id"] == id).map(|item| item["subscription"].clone());
    assert_eq!((&one["subscription"], shown("t")), (&json!("failed"), Some(json!("failed"))));
    assert!(items.iter().all(|item| (item["source"]["type"] == "appEvent") == item.get("subscription").is_some()));
    set(Err("no answer came in time"));
    let (_, known) = server.call("POST", "/v1/triggers/t/retry-subscription", None).await;
    assert_eq!(
        (&known["state"], &known["detail"], &known["attempts"]),
        (&json!("failed"), &json!("no answer came in time"), &json!(2))
    );
    set(Ok((200, "no JSON")));
    let (_, known) = server.call("POST", "/v1/triggers/t/retry-subscription", None).await;
    assert_eq!(
        (&known["state"], &known["attempts"], &known["subscriptionId"]),
        (&json!("subscribed"), &json!(3), &Value::Null)
    );
    assert_eq!(subscription(&server).await, known);
    let mut off = trigger("made", Some("p1"));
    off["status"] = json!("disabled");
    server.call("PUT", "/v1/triggers/t", Some(off)).await;
    assert_eq!(subscription(&server).await["state"], "subscribed");
    // An app that cannot take it back does not keep the trigger.
    set(Ok((500, "")));
    let (status, _) = server.call("DELETE", "/v1/triggers/t", None).await;
    assert_eq!(status, StatusCode::NO_CONTENT);
    let (status, _) = server.call("GET", "/v1/triggers/t/subscription", None).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
}

/// Property: a secret that is missing, or an app without a request to subscribe, is told and asks nobody.
#[tokio::test]
async fn nothing_to_ask_with() {
    let server = server().await;
    server.call("DELETE", "/v1/secrets/TOKEN", None).await;
    server.call("PUT", "/v1/triggers/t", Some(trigger("made", Some("p1")))).await;
    let known = subscription(&server).await;
    assert_eq!((&known["state"], &known["detail"]), (&json!("failed"), &json!("there is no secret TOKEN")));
    let mut bare = app();
    bare.as_object_mut().unwrap().remove("subscription");
    server.call("PUT", "/v1/apps/hub", Some(bare)).await;
    let (_, known) = server.call("POST", "/v1/triggers/t/retry-subscription", None).await;
    assert_eq!(known["state"], "not_subscribed");
    assert!(server.asked.lock().unwrap().is_empty());
}

/// Property: a trigger names an app, an event and an account that are there; its app stays; and no key of one customer
/// listens to an account, since nobody proves whose it is.
#[tokio::test]
async fn app_event_triggers_are_checked() {
    let server = server().await;
    let source = |change: fn(&mut Value)| {
        let mut trigger = trigger("made", Some("p1"));
        change(&mut trigger);
        trigger
    };
    for (body, path) in [
        (source(|t| t["source"]["app"] = json!("none")), "source.app"),
        (source(|t| t["source"]["event"] = json!("none")), "source.event"),
        (source(|t| t["source"]["accountId"] = json!(null)), "source.accountId"),
        (source(|t| t["customer"] = json!(null)), "customer"),
    ] {
        let (status, problem) = server.call("PUT", "/v1/triggers/t", Some(body)).await;
        assert_eq!((status, &problem["errors"][0]["path"]), (StatusCode::BAD_REQUEST, &json!(path)), "{problem}");
    }
    let as_customer = [("x-fastn-access-key", KEY_ACME)];
    let (status, _) = server.with("PUT", "/v1/triggers/t", Some(trigger("made", Some("p1"))), &as_customer).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    server.call("PUT", "/v1/triggers/t", Some(trigger("made", Some("p1")))).await;
    let mut second = app();
    second["id"] = json!("other");
    server.call("PUT", "/v1/apps/other", Some(second)).await;
    for change in [
        source(|t| t["source"]["app"] = json!("other")),
        source(|t| t["source"] = json!({"type": "webhook"})),
        source(|t| t["source"] = json!({"type": "event", "types": ["x"]})),
    ] {
        let (status, problem) = server.call("PUT", "/v1/triggers/t", Some(change)).await;
        assert_eq!(
            (status, &problem["errors"][0]["path"]),
            (StatusCode::BAD_REQUEST, &json!("source.app")),
            "{problem}"
        );
    }
    let (status, _) = server.with("DELETE", "/v1/triggers/t", None, &as_customer).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    let (status, _) = server.with("POST", "/v1/triggers/t/retry-subscription", None, &as_customer).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    let (status, _) = server.with("GET", "/v1/triggers/t/subscription", None, &as_customer).await;
    assert_eq!(status, StatusCode::OK);
}

/// Property: a posted trigger without an id gets a random one, the same for the same idempotency key; with an id it must
/// be new.
#[tokio::test]
async fn posted_triggers_get_opaque_ids() {
    let server = server().await;
    let body = || Some(json!({"customer": "cus_acme", "source": {"type": "webhook"}, "routes": [{"workflow": "add"}]}));
    let mut ids = Vec::new();
    for key in [None, None, Some("k1"), Some("k1"), Some("k2")] {
        let mut headers = vec![("x-fastn-access-key", KEY)];
        headers.extend(key.map(|key| ("idempotency-key", key)));
        let (status, answer) = server.with("POST", "/v1/triggers", body(), &headers).await;
        assert_eq!(status, StatusCode::CREATED, "{answer}");
        ids.push(answer["id"].as_str().unwrap().to_owned());
    }
    assert!(ids.iter().all(|id| id.starts_with("whk_") && id.len() == 30 && !id.contains("acme")), "{ids:?}");
    assert_eq!((&ids[2], ids.iter().collect::<std::collections::HashSet<_>>().len()), (&ids[3], 4));
    let mut named = body().unwrap();
    named["id"] = json!("mine");
    let (status, _) = server.call("POST", "/v1/triggers", Some(named.clone())).await;
    assert_eq!(status, StatusCode::CREATED);
    let (status, _) = server.call("POST", "/v1/triggers", Some(named)).await;
    assert_eq!(status, StatusCode::CONFLICT);
}

/// Property: a secret that a person wrote is not shown as a captured token, and neither is one of another customer.
#[tokio::test]
async fn written_secrets_stay_hidden() {
    let server = server().await;
    let (status, _) = server.call("GET", "/v1/secrets/TOKEN/captured-token", None).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    let sealed = json!({"wrappedKey": "", "sealed": ""});
    let body = json!({"name": "GIVEN", "versions": {"1": sealed}, "captured": true});
    let write = fastn_store::ResourceWrite {
        kind: fastn_domain::catalog::ResourceKind::Secret,
        customer: None,
        id: "GIVEN".to_owned(),
        body: Some(body.to_string()),
        expect: fastn_store::Expect::Any,
    };
    server.store.write(&fastn_domain::AccountId::new("acc_one").unwrap(), vec![write]).await.unwrap();
    let (_, answer) = server.call("GET", "/v1/secrets/GIVEN/captured-token", None).await;
    assert_eq!(answer, json!({"token": "value of GIVEN 1"}));
    for key in [KEY_ACME, KEY_OTHER] {
        let (status, _) =
            server.with("GET", "/v1/secrets/GIVEN/captured-token", None, &[("x-fastn-access-key", key)]).await;
        assert!(status.is_client_error());
    }
    server.call("PUT", "/v1/secrets/GIVEN", Some(json!({"name": "GIVEN", "value": "v"}))).await;
    let (status, _) = server.call("GET", "/v1/secrets/GIVEN/captured-token", None).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
}
