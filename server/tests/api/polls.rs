//! Triggers that poll, and their state.

use axum::http::StatusCode;
use fastn_domain::Scope;
use fastn_domain::{Timestamp, TriggerId};
use serde_json::{Value, json};

use crate::server::{KEY, KEY_ACME, KEY_OTHER, Server};

fn trigger(source: Value) -> Value {
    let mut whole = json!({
        "type": "poll", "entity": "contact", "key": "id", "request": {"url": "https://api.example.com/contacts"},
    });
    whole.as_object_mut().unwrap().extend(source.as_object().unwrap().clone());
    json!({"id": "p", "source": whole, "routes": [{"workflow": "add"}]})
}

/// Property: every option of a declaration is taken as it is written and shown so, and each that is not valid is refused
/// with its path.
#[tokio::test]
async fn every_option_is_taken() {
    let server = Server::completing().await;
    let paged =
        json!({"url": "https://a.example/?p={{page}}&c={{cursor}}", "method": "POST", "body": {"x": "{{customer}}"}});
    for more in [
        json!({"paging": {"mode": "none"}, "records": "a.b[0]"}),
        json!({"paging": {"mode": "page", "first": 0, "step": 50}, "request": {"url": "https://a.example/{{page}}"}}),
        json!({"paging": {"mode": "link"}}),
        json!({"paging": {"mode": "link", "path": "next"}}),
        json!({"paging": {"mode": "cursor", "path": "n"}, "request": paged, "incremental": {"path": "at", "start": "0"}}),
        json!({
            "request": {"url": "https://a.example/?c={{cursor}}", "headers": {"x": "{{secret.A}}{{trigger}}"}},
            "incremental": {"path": "sync", "of": "answer"},
        }),
        json!({"compare": {"what": "record"}, "initial": "baseline", "detectDeletes": false}),
        json!({"compare": {"what": "fields", "fields": ["a.b"]}, "initial": "emit"}),
        json!({"compare": {"what": "except", "fields": ["a.b"]}, "interval": {"minSeconds": 5, "maxSeconds": 86_400}}),
    ] {
        let body = trigger(more);
        let (status, answer) = server.call("PUT", "/v1/triggers/p", Some(body.clone())).await;
        assert!(status.is_success(), "{answer}");
        let (_, shown) = server.call("GET", "/v1/triggers/p", None).await;
        for (field, value) in body["source"].as_object().unwrap() {
            assert_contains(&shown["source"][field], value);
        }
    }
    for (path, more) in [
        ("source.paging.path", json!({"paging": {"mode": "link", "path": ""}})),
        ("source.request", json!({"paging": {"mode": "page"}})),
        ("source.request.url", json!({"request": {"url": "{{customer}}"}})),
        ("source.interval.minSeconds", json!({"interval": {"minSeconds": 4}})),
        ("source.compare.fields", json!({"compare": {"what": "fields", "fields": []}})),
    ] {
        let (status, answer) = server.call("PUT", "/v1/triggers/p", Some(trigger(more))).await;
        assert_eq!((status, &answer["errors"][0]["path"]), (StatusCode::BAD_REQUEST, &json!(path)), "{answer}");
    }
}

/// Whether `shown` has all of `written`; defaults may stand beside it.
fn assert_contains(shown: &Value, written: &Value) {
    match written {
        Value::Object(fields) => fields.iter().for_each(|(name, value)| assert_contains(&shown[name], value)),
        other => assert_eq!(shown, other),
    }
}

/// Property: a customer's key makes no trigger that polls, and sees, hastens and resets polls of its own customer only;
/// another account's key finds none; a trigger that does not poll has no state.
#[tokio::test]
async fn polls_end_at_the_key() {
    let server = Server::completing().await;
    server.ready_to_run("standard").await;
    let key = |key| [("x-fastn-access-key", key)];
    let mut own = trigger(json!({}));
    own["customer"] = json!("cus_acme");
    let (status, _) = server.with("PUT", "/v1/triggers/p", Some(own), &key(KEY_ACME)).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    server.call("PUT", "/v1/triggers/p", Some(trigger(json!({})))).await;
    let polls = server.store.clone().polls();
    let id = TriggerId::new("p").unwrap();
    for customer in ["cus_acme", "cus_other"] {
        polls.begin(&Scope::parse("acc_one", customer).unwrap(), &id, Timestamp(i64::MAX / 2)).await.unwrap();
    }
    let shown = async |access| server.with("GET", "/v1/triggers/p/poll", None, &key(access)).await;
    let (_, all) = shown(KEY).await;
    assert_eq!(all["items"].as_array().unwrap().len(), 2, "{all}");
    let (_, one) = shown(KEY_ACME).await;
    assert_eq!((one["items"].as_array().unwrap().len(), &one["items"][0]["customer"]), (1, &json!("cus_acme")));
    assert_eq!(shown(KEY_OTHER).await.0, StatusCode::NOT_FOUND);

    let (status, asked) = server.with("POST", "/v1/triggers/p/poll", None, &key(KEY_ACME)).await;
    assert_eq!((status, asked), (StatusCode::ACCEPTED, json!({"polls": 1})));
    let due = polls.due(Timestamp(i64::MAX / 4), 9).await.unwrap();
    assert_eq!(due.len(), 1);
    let (status, _) = server.with("DELETE", "/v1/triggers/p/poll", None, &key(KEY_ACME)).await;
    assert_eq!(status, StatusCode::FORBIDDEN, "the trigger is the account's");
    let (status, _) = server.call("DELETE", "/v1/triggers/p/poll", None).await;
    assert_eq!(status, StatusCode::NO_CONTENT);
    assert_eq!(polls.due(Timestamp(i64::MAX / 4), 9).await.unwrap().len(), 2, "all are due");

    let webhook = json!({"id": "w", "source": {"type": "webhook"}, "routes": [{"workflow": "add"}]});
    server.call("PUT", "/v1/triggers/w", Some(webhook)).await;
    assert_eq!(server.call("GET", "/v1/triggers/w/poll", None).await.0, StatusCode::BAD_REQUEST);
    let (status, _) = server.call("DELETE", "/v1/triggers/p", None).await;
    assert_eq!(status, StatusCode::NO_CONTENT);
    assert!(polls.due(Timestamp(i64::MAX), 9).await.unwrap().is_empty(), "nothing is left of them");
}
