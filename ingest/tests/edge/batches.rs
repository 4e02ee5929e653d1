//! Plain events, one and many.

use fastn_contract::activity::Origin;
use fastn_contract::command::BATCH_EVENTS_MAX;

use crate::support::*;

/// Property: every field of a plain event arrives, its data byte for byte; what is absent gets its default.
#[tokio::test]
async fn one_event() {
    let edge = Edge::new();
    let body = r#"{"id":"o-1","type":"order.created","source":"shop","subject":"order/1",
        "time":"2026-11-24T15:00:00+02:00","data": {"total" : 1.50} }"#;
    assert_eq!(edge.post_events(&[], body).await.accepted(), serde_json::json!({"eventId": "o-1"}));
    let event = edge.event();
    assert_eq!((event.id.as_str(), event.kind.as_str(), event.source.as_str()), ("o-1", "order.created", "shop"));
    assert_eq!((event.subject.as_deref(), &*event.data), (Some("order/1"), "{\"total\" : 1.50}"));
    assert_eq!(event.time.to_string(), "2026-11-24T13:00:00.000Z");
    assert_eq!((event.origin, event.trigger), (Origin::Api, None));

    let edge = Edge::new();
    edge.post_events(&[("content-type", "")], r#"{"type":"t","subject":null}"#).await.accepted();
    let event = edge.event();
    assert_eq!((event.source.as_str(), &*event.data, event.subject), ("api", "null", None));
    assert_eq!(event.time.as_millis(), NOW_S * 1_000);
    assert!(event.id.as_str().starts_with("evt_"));
}

/// Property: an event may say its priority, and one that is none is refused.
#[tokio::test]
async fn a_priority_of_its_own() {
    let edge = Edge::new();
    let body =
        r#"[{"type":"a","priority":"P1"},{"type":"b","priority":null},{"type":"c","priority":"P4"},{"type":"d"}]"#;
    edge.post_events(&[], body).await.accepted();
    let priorities: Vec<Option<u32>> = edge.events().iter().map(|event| event.priority).collect();
    assert_eq!(priorities, [Some(1), None, Some(4), None]);
    for bad in ["\"P5\"", "\"p1\"", "1", "\"\""] {
        let body = format!(r#"{{"type":"a","priority":{bad}}}"#);
        let problem = edge.post_events(&[], body).await.problem(400, "VALIDATION_ERROR");
        assert_eq!(paths(&problem), ["priority"], "{bad}");
    }
}

/// Property: a batch, bare or in `events`, is one append in order, and the answer lists every id.
#[tokio::test]
async fn a_batch_is_one_append() {
    for body in [
        r#" [{"type":"a","id":"1"},{"type":"b","id":"2"},{"type":"c","id":"3"}]"#,
        r#"{"events":[{"type":"a","id":"1"},{"type":"b","id":"2"},{"type":"c","id":"3"}]}"#,
    ] {
        let edge = Edge::new();
        let answer = edge.post_events(&[], body).await.accepted();
        assert_eq!(answer, serde_json::json!({"eventId": "1", "eventIds": ["1", "2", "3"]}));
        let kinds: Vec<String> = edge.events().into_iter().map(|event| event.kind).collect();
        assert_eq!(kinds, ["a", "b", "c"]);
        assert_eq!(edge.log.appends.lock().unwrap().len(), 1);
    }
}

/// Property: one bad event refuses the whole batch, and every bad part of it is named.
#[tokio::test]
async fn a_batch_is_all_or_nothing() {
    let edge = Edge::new();
    let body = r#"[{"type":"a"},{"type":7,"data":1},{"id":"","time":"soon"},
        {"type":"d","extra":1,"data":1e999},{"type":"fastn.command"},3]"#;
    let problem = edge.post_events(&[], body).await.problem(400, "VALIDATION_ERROR");
    let expected = [
        "events[1].type",
        "events[2].id",
        "events[2].type",
        "events[2].time",
        "events[3].data",
        "events[3].extra",
        "events[4].type",
        "events[5]",
    ];
    assert_eq!(paths(&problem), expected);
    assert!(edge.events().is_empty());
}

/// Property: batches that are empty, too long, or no list are refused; the longest allowed is taken.
#[tokio::test]
async fn batch_sizes() {
    let edge = Edge::new();
    let batch = |count: usize| format!("[{}]", vec![r#"{"type":"t"}"#; count].join(","));
    for bad in
        ["[]", r#"{"events":[]}"#, r#"{"events":3}"#, "[", "3", "null", "", "\u{feff}[]", &batch(BATCH_EVENTS_MAX + 1)]
    {
        edge.post_events(&[], bad).await.problem(400, "VALIDATION_ERROR");
    }
    assert!(edge.events().is_empty());
    let answer = edge.post_events(&[], batch(BATCH_EVENTS_MAX)).await.accepted();
    assert_eq!(answer["eventIds"].as_array().unwrap().len(), BATCH_EVENTS_MAX);
    edge.post_events(&[], [0xff, 0xfe]).await.problem(400, "VALIDATION_ERROR");
}

/// Property: an idempotency key becomes the id of every event that has none, and the same on a repeated send.
#[tokio::test]
async fn idempotency_keys() {
    let edge = Edge::new();
    let key = ("idempotency-key", "k-1");
    edge.post_events(&[key], r#"{"type":"t"}"#).await.accepted();
    edge.post_events(&[key], r#"{"type":"t","id":"own"}"#).await.accepted();
    for _ in 0..2 {
        edge.post_events(&[key], r#"[{"type":"t"},{"type":"t","id":"own"},{"type":"t"}]"#).await.accepted();
    }
    let ids: Vec<String> = edge.events().iter().map(|event| event.id.as_str().to_owned()).collect();
    assert_eq!(ids, ["k-1", "own", "k-1/0", "own", "k-1/2", "k-1/0", "own", "k-1/2"]);
    let longest = "k".repeat(256);
    edge.post_events(&[("idempotency-key", &longest)], r#"{"type":"t"}"#).await.accepted();
    edge.post_events(&[("idempotency-key", &longest)], r#"[{"type":"t"}]"#).await.problem(400, "VALIDATION_ERROR");
}

/// Property: what is no JSON is answered 415.
#[tokio::test]
async fn media_types() {
    let edge = Edge::new();
    for media_type in ["text/plain", "application/x-www-form-urlencoded", "image/png", "application/cloudevents+xml"] {
        let answer = edge.post_events(&[("content-type", media_type)], r#"{"type":"t"}"#).await;
        answer.problem(415, "UNSUPPORTED_MEDIA_TYPE");
    }
}

/// Property: a batch of the largest size is taken as any other, in order.
#[tokio::test]
async fn large_batches() {
    let edge = Edge::new();
    let event = |at: usize| format!(r#"{{"type":"t","id":"{at}","data":"{}"}}"#, "x".repeat(7_900));
    let events: Vec<String> = (0..BATCH_EVENTS_MAX).map(event).collect();
    let answer = edge.post_events(&[], format!("[{}]", events.join(","))).await.accepted();
    assert_eq!(answer["eventIds"][999], "999");
    assert_eq!(edge.log.appends.lock().unwrap().len(), 1);
    let in_order = edge.events().iter().enumerate().all(|(at, event)| event.id.as_str() == at.to_string());
    assert!(in_order);
}
