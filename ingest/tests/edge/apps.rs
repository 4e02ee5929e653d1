//! Events of connector apps: at the app's shared URL, and sent by the backend.

use fastn_contract::activity::Origin;
use fastn_domain::catalog::{ResourceKind, ResourceRow};
use fastn_log::LogErrorKind;
use serde_json::{Value, json};

use crate::support::*;

/// An app of account `main` with settings.
fn app(settings: Value) -> ResourceRow {
    let mut body = json!({"id": "hub", "endpoint": "ep_1", "verification": {"scheme": "github", "secret": "GITHUB"},
        "eventKey": "type", "mappedTo": "portal", "events": [{"id": "made"}, {"id": "gone"}]});
    body.as_object_mut().unwrap().extend(settings.as_object().unwrap().clone());
    a_row(ResourceKind::App, "main", None, "hub", body)
}

fn listener(id: &str, customer: &str, event: &str, account: Option<&str>) -> ResourceRow {
    let source = json!({"type": "appEvent", "app": "hub", "event": event, "accountId": account});
    let body = json!({"id": id, "customer": customer, "source": source, "routes": [{"workflow": "triage"}]});
    a_row(ResourceKind::Trigger, "main", Some(customer), id, body)
}

fn edge(settings: Value) -> Edge {
    let edge = Edge::new();
    edge.configure(&[
        app(settings),
        listener("a-made", "acme", "made", Some("p1")),
        listener("a-made-too", "acme", "made", Some("p1")),
        listener("a-gone", "acme", "gone", Some("p1")),
        listener("b-made", "beta", "made", Some("p2")),
        listener("b-shared", "beta", "made", Some("shared")),
        listener("a-shared", "acme", "made", Some("shared")),
    ]);
    edge
}

async fn post(edge: &Edge, body: &Value) -> Answer {
    let body = body.to_string();
    let signature = format!("sha256={}", hmac_hex(GITHUB_SECRET, body.as_bytes()));
    edge.post("/v1/apps/ep_1/events", &[("x-hub-signature-256", &signature)], body).await
}

/// (customer, type, account, data) of all that is stored.
fn stored(edge: &Edge) -> Vec<(String, String, String, Value)> {
    let part = |event: &fastn_domain::event::EventRecord| {
        assert_eq!((event.source.as_str(), &event.trigger), ("app/hub", &None));
        let subject = event.subject.clone().unwrap_or_default();
        (event.scope.customer.to_string(), event.kind.clone(), subject, serde_json::from_str(&event.data).unwrap())
    };
    let mut stored: Vec<_> = edge.events().iter().filter(|event| !event.scope.is_of_account()).map(part).collect();
    stored.sort_by_key(|(customer, kind, account, data)| format!("{customer}/{kind}/{account}/{data}"));
    stored
}

/// Property: each element of an array goes to the customers that have its event and its account, once each however many
/// triggers they have, as it was sent; what nobody has, and what names no event or account, goes nowhere and is counted.
#[tokio::test]
async fn one_request_for_many_customers() {
    let edge = edge(json!({}));
    let made = |portal: &str| json!({"type": "made", "portal": portal});
    let body = json!([
        made("p1"), made("p2"), made("shared"), {"type": "gone", "portal": "p1", "x": 1}, {"type": "gone", "portal": "p2"},
        made("p3"), {"type": "other", "portal": "p1"}, {"portal": "p1"}, {"type": "made"}, 7
    ]);
    let answer = post(&edge, &body).await.accepted();
    assert_eq!((&answer["received"], &answer["dispatched"], &answer["unroutable"]), (&json!(10), &json!(5), &json!(3)));
    let row = |customer: &str, kind: &str, account: &str, data: Value| {
        (customer.to_owned(), kind.to_owned(), account.to_owned(), data)
    };
    assert_eq!(
        stored(&edge),
        [
            row("acme", "gone", "p1", json!({"type": "gone", "portal": "p1", "x": 1})),
            row("acme", "made", "p1", made("p1")),
            row("acme", "made", "shared", made("shared")),
            row("beta", "made", "p2", made("p2")),
            row("beta", "made", "shared", made("shared")),
        ]
    );
    assert!(edge.events().iter().all(|event| event.origin == Origin::Webhook));
    assert_eq!(answer["eventIds"].as_array().unwrap().len(), 4, "the shared one has one id: {answer}");
}

/// Property: what goes to no customer is kept by the account, once however often it is sent, with what is known of its event
/// and account; the machine finds the reason.
#[tokio::test]
async fn what_goes_nowhere_is_kept() {
    let edge = edge(json!({}));
    let body = json!([{"type": "made", "portal": "p3"}, {"type": "other", "portal": "p1"}, {"portal": "p1"}, {"type": "made"}]);
    let first = post(&edge, &body).await.accepted();
    assert_eq!((&first["dispatched"], &first["unroutable"], &first["eventIds"]), (&json!(0), &json!(2), &Value::Null));
    let key = [("x-fastn-access-key", KEY)];
    let sent = json!({"id": "sent", "app": "hub", "event": "gone", "accountId": "p9", "priority": "P4"}).to_string();
    edge.post("/v1/app-events", &key, sent).await.accepted();
    let events = edge.events();
    assert!(events.iter().all(|event| event.scope.is_of_account() && event.source == "app/hub"), "{events:?}");
    let known = |event: &fastn_domain::event::EventRecord| (event.kind.clone(), event.subject.clone());
    let of = |kind: &str, account: Option<&str>| (kind.to_owned(), account.map(str::to_owned));
    let unnamed = of("app.event", None);
    let expected = [of("made", Some("p3")), unnamed.clone(), unnamed.clone(), unnamed, of("gone", Some("p9"))];
    assert_eq!(events.iter().map(known).collect::<Vec<_>>(), expected);
    assert_eq!((events[4].origin, events[4].priority), (Origin::Api, Some(4)));

    post(&edge, &body).await.accepted();
    let again = edge.events();
    assert!((0..4).all(|at| again[at].id == again[at + 5].id), "the same ids: {again:?}");
    let spec = serde_json::from_str(&app(json!({})).body).unwrap();
    let app = fastn_domain::catalog::compile_app(spec).unwrap();
    let why = |event: &fastn_domain::event::EventRecord| {
        app.nowhere(&event.kind, event.subject.as_deref(), &serde_json::from_str(&event.data).unwrap())
    };
    let reasons: Vec<String> = events[..4].iter().map(why).collect();
    let expected = [
        "no trigger listens to made of account p3",
        "other is none of the app's events",
        "the payload names no event at type",
        "the payload names no account at portal",
    ];
    assert_eq!(reasons, expected);
}

/// Property: a request that is sent again makes the same events with the same ids, and another body makes others.
#[tokio::test]
async fn sent_again() {
    let edge = edge(json!({}));
    let body = json!([{"type": "made", "portal": "shared"}, {"type": "made", "portal": "p1"}]);
    let ids = |edge: &Edge| {
        let events = edge.events();
        let id = |event: &fastn_domain::event::EventRecord| format!("{} {}", event.scope.key(), event.id.as_str());
        let mut ids: Vec<String> = events.iter().map(id).collect();
        ids.sort();
        ids
    };
    let first = post(&edge, &body).await.accepted();
    let once = ids(&edge);
    assert_eq!(post(&edge, &body).await.accepted(), first);
    let mut twice = ids(&edge);
    twice.dedup();
    assert_eq!((twice, once.len()), (once, 3));
    let other = post(&edge, &json!([{"type": "made", "portal": "p1"}])).await.accepted();
    assert!(!first["eventIds"].as_array().unwrap().contains(&other["eventIds"][0]));
}

/// Property: 202 comes only when the events of every customer are durable; otherwise the sender is asked to come again.
#[tokio::test]
async fn all_durable_or_503() {
    let edge = edge(json!({}));
    let body = json!({"type": "made", "portal": "shared"});
    for fate in [Fate::Fails(LogErrorKind::Busy), Fate::Unheard] {
        edge.fate(fate);
        let problem = post(&edge, &body).await.problem(503, "SERVICE_UNAVAILABLE");
        assert!(problem.retry_after.is_some());
    }
    let before = edge.events().len();
    edge.fate(Fate::Held);
    let release = edge.log.release.clone();
    let mut held = std::pin::pin!(post(&edge, &body));
    assert!(futures_util::poll!(&mut held).is_pending());
    release.notify_one();
    assert!(futures_util::poll!(&mut held).is_pending(), "one of two customers is not durable yet");
    release.notify_one();
    held.await.accepted();
    assert_eq!(edge.events().len(), before + 2);
}

/// Property: an app that does not name its events is heard by every trigger of the account; one that does not say whose
/// they are is heard by those of every account.
#[tokio::test]
async fn without_keys() {
    let unnamed = edge(json!({"eventKey": null}));
    assert_eq!(post(&unnamed, &json!({"portal": "p1"})).await.accepted()["dispatched"], 1);
    assert_eq!(stored(&unnamed)[0].1, "app.event");
    let unmapped = edge(json!({"mappedTo": null}));
    assert_eq!(post(&unmapped, &json!({"type": "made"})).await.accepted()["dispatched"], 2);
    assert_eq!(post(&unmapped, &json!({"type": "gone"})).await.accepted()["dispatched"], 1);
    assert_eq!(post(&unmapped, &json!({})).await.accepted()["dispatched"], 0);
}

/// Property: a trigger that is off, or whose customer is gone, hears nothing, and one that is deleted or changed is heard
/// at its new place alone.
#[tokio::test]
async fn follows_the_configuration() {
    let edge = edge(json!({}));
    let dispatched = |portal: &'static str| {
        let edge = &edge;
        async move { post(edge, &json!({"type": "made", "portal": portal})).await.accepted()["dispatched"].clone() }
    };
    edge.configure(&[listener("b-made", "beta", "made", Some("moved"))]);
    assert_eq!((dispatched("p2").await, dispatched("moved").await), (json!(0), json!(1)));
    let mut gone = listener("b-made", "beta", "made", Some("moved"));
    gone.deleted = true;
    edge.configure(&[gone]);
    assert_eq!(dispatched("moved").await, json!(0));
    let mut off = listener("a-made", "acme", "made", Some("p1"));
    off.body = off.body.replacen('{', "{\"status\":\"disabled\",", 1);
    edge.configure(&[off]);
    assert_eq!(dispatched("p1").await, json!(1), "the customer has another one that is on");
    let mut customer = a_row(ResourceKind::Customer, "main", Some("acme"), "acme", json!({"id": "acme"}));
    customer.deleted = true;
    edge.configure(&[customer]);
    assert_eq!(dispatched("p1").await, json!(0));
}

/// Property: unknown, disabled and deleted apps give one and the same answer, and what is not proven leaves nothing.
#[tokio::test]
async fn unknown_apps_tell_nothing() {
    let edge = edge(json!({}));
    edge.post("/v1/apps/ep_1/events", &[], "{}").await.problem(401, "EVT-WEBHOOK-AUTH-FAILED");
    let unknown = edge.post("/v1/apps/ep_2/events", &[], "{}").await;
    unknown.problem(404, "NOT_FOUND");
    edge.configure(&[app(json!({"status": "disabled"}))]);
    assert_eq!(post(&edge, &json!({})).await.body, unknown.body);
    let mut gone = app(json!({}));
    gone.deleted = true;
    edge.configure(&[gone]);
    assert_eq!(post(&edge, &json!({})).await.body, unknown.body);
    edge.get("/v1/apps/ep_1/events").await.problem(405, "METHOD_NOT_ALLOWED");
    assert!(edge.events().is_empty());
}

/// Property: handshakes and access keys work at an app's URL too, and a customer's own key does not.
#[tokio::test]
async fn handshakes_and_keys() {
    let dropbox = edge(json!({"verification": {"scheme": "dropbox", "secret": "GITHUB"}}));
    let answer = dropbox.get("/v1/apps/ep_1/events?challenge=hello").await;
    assert_eq!((answer.status.as_u16(), answer.body.as_slice()), (200, b"hello".as_slice()));
    let own = edge(json!({"challenge": {"in": "query", "field": "token"}}));
    let answer = own.get("/v1/apps/ep_1/events?token=hello").await;
    assert_eq!((answer.status.as_u16(), answer.body.as_slice()), (200, b"hello".as_slice()));
    let keyed = edge(json!({"verification": {"scheme": "accessKey"}}));
    let body = json!({"type": "made", "portal": "p2"}).to_string();
    keyed.post("/v1/apps/ep_1/events", &[("x-fastn-access-key", KEY)], body.clone()).await.accepted();
    for key in [KEY_OF_ACME, KEY_OF_OTHER, KEY_EXPIRED] {
        let answer = keyed.post("/v1/apps/ep_1/events", &[("x-fastn-access-key", key)], body.clone()).await;
        answer.problem(401, "EVT-WEBHOOK-AUTH-FAILED");
    }
    let notion = edge(json!({"verification": {"scheme": "notion", "secret": "TOKEN"}}));
    let answer = notion.post("/v1/apps/ep_1/events", &[], r#"{"verification_token":"t"}"#).await;
    assert_eq!(answer.status.as_u16(), 200);
    assert_eq!(*notion.kept.lock().unwrap(), [("TOKEN".to_owned(), "t".to_owned())]);
}

/// Property: a backend's app event goes to the customer that it names, or to those that have its account, with its own id
/// or one of the idempotency key; a customer's own key reaches that customer alone.
#[tokio::test]
async fn sent_by_the_backend() {
    let edge = edge(json!({}));
    let send = |headers: &'static [(&'static str, &'static str)], body: Value| {
        let edge = &edge;
        async move { edge.post("/v1/app-events", headers, body.to_string()).await }
    };
    let key: &[(&str, &str)] = &[("x-fastn-access-key", KEY)];
    let to_account = json!({"id": "e1", "app": "hub", "event": "made", "accountId": "shared", "data": {"n": 1.0}});
    let answer = send(key, to_account.clone()).await.accepted();
    assert_eq!((&answer["dispatched"], &answer["eventIds"]), (&json!(2), &json!(["e1"])));
    assert!(edge.events().iter().all(|event| &*event.data == "{\"n\":1.0}" && event.origin == Origin::Api));
    let to_nobody = json!({"app": "hub", "event": "made", "accountId": "p9"});
    let answer = send(key, to_nobody).await.accepted();
    assert_eq!((&answer["dispatched"], &answer["unroutable"]), (&json!(0), &json!(1)));
    let keyed: &[(&str, &str)] = &[("x-fastn-access-key", KEY), ("idempotency-key", "k1")];
    let list = json!([{"app": "hub", "event": "gone", "customer": "acme"}, {"app": "hub", "event": "made", "customer": "beta"}]);
    assert_eq!(send(keyed, list).await.accepted()["eventIds"], json!(["k1/0", "k1/1"]));
    let own: &[(&str, &str)] = &[("x-fastn-access-key", KEY_OF_ACME)];
    let answer = send(own, to_account).await.accepted();
    assert_eq!(answer["dispatched"], 1);
    assert!(edge.events().last().unwrap().scope.customer.as_str() == "acme");
    let foreign = json!({"app": "hub", "event": "made", "customer": "beta"});
    send(own, foreign).await.problem(403, "FORBIDDEN");
}

/// Property: every part of a backend's app event that is not valid is named, and nothing of the request is taken.
#[tokio::test]
async fn backend_mistakes() {
    let edge = edge(json!({}));
    let key = [("x-fastn-access-key", KEY)];
    for (body, path) in [
        (json!({"event": "made", "customer": "acme"}), "app"),
        (json!({"app": "hub", "customer": "acme"}), "event"),
        (json!({"app": "hub", "event": "made"}), "customer"),
        (json!({"app": "none", "event": "made", "customer": "acme"}), "app"),
        (json!({"app": "hub", "event": "none", "customer": "acme"}), "event"),
        (json!({"app": "hub", "event": "made", "customer": "a b"}), "customer"),
        (json!({"app": "hub", "event": "made", "customer": "acme", "type": "x"}), "type"),
        (
            json!([{"app": "hub", "event": "made", "customer": "acme"}, {"app": "hub", "event": "none", "customer": "acme"}]),
            "events[1].event",
        ),
        (json!([]), "body"),
        (json!([1]), "events[0]"),
    ] {
        let problem = edge.post("/v1/app-events", &key, body.to_string()).await.problem(400, "VALIDATION_ERROR");
        assert_eq!(paths(&problem), [path], "{body}");
    }
    let nobody = json!({"app": "hub", "event": "made", "customer": "nobody"});
    edge.post("/v1/app-events", &key, nobody.to_string()).await.problem(404, "NOT_FOUND");
    edge.post("/v1/app-events", &[], "{}").await.problem(401, "AUTH_INVALID");
    assert!(edge.events().is_empty());
}

/// Property: no other way leads to an event that looks like an app's.
#[tokio::test]
async fn the_source_is_reserved() {
    let edge = edge(json!({}));
    let event = json!({"type": "made", "source": "app/hub"});
    let problem = edge.post_events(&[], event.to_string()).await.problem(400, "VALIDATION_ERROR");
    assert_eq!(paths(&problem), ["source"]);
    let problem =
        edge.post_events(&[], json!([{"type": "x"}, event]).to_string()).await.problem(400, "VALIDATION_ERROR");
    assert_eq!(paths(&problem), ["events[1].source"]);
    assert!(edge.events().is_empty());
}
