//! CloudEvents in structured, batch and binary mode, on both routes.

use crate::support::*;

const STRUCTURED: &str = "application/cloudevents+json; charset=utf-8";
const BATCH: &str = "application/cloudevents-batch+json";

fn header(event: &fastn_domain::event::EventRecord, name: &str) -> Option<String> {
    event.headers.iter().find(|header| header.name == name).map(|header| header.value.clone())
}

/// Property: the same event in structured, batch and binary mode becomes the same record.
#[tokio::test]
async fn three_modes_one_record() {
    let structured = r#"{"specversion":"1.0","id":"A234","source":"/orders","type":"com.example.order",
        "subject":"1 €","time":"2018-04-05T17:31:00Z","dataschema":"https://example.com/s","datacontenttype":
        "application/json","partitionkey":"p","priority":5,"fastnpriority":"P3","urgent":true,"unset":null,"data":{"a": 1}}"#;
    let edge = Edge::new();
    edge.post_events(&[("content-type", STRUCTURED)], structured).await.accepted();
    edge.post_events(&[("content-type", BATCH)], format!("[{structured}]")).await.accepted();
    let binary = [
        ("ce-specversion", "1.0"),
        ("ce-id", "A234"),
        ("ce-source", "/orders"),
        ("ce-type", "com.example.order"),
        ("ce-subject", "1%20%E2%82%AC"),
        ("ce-time", "2018-04-05T17:31:00Z"),
        ("ce-dataschema", "https://example.com/s"),
        ("ce-partitionkey", "p"),
        ("ce-priority", "5"),
        ("ce-fastnpriority", "P3"),
        ("ce-urgent", "true"),
    ];
    edge.post_events(&binary, r#"{"a": 1}"#).await.accepted();
    let mut events = edge.events();
    for event in &mut events {
        event.headers.sort_by(|a, b| a.name.cmp(&b.name));
    }
    assert_eq!(events[0], events[1]);
    assert_eq!(events[0], events[2]);
    assert_eq!(events[0].subject.as_deref(), Some("1 €"));
    assert_eq!(&*events[0].data, "{\"a\": 1}");
    assert_eq!(header(&events[0], "ce-priority").as_deref(), Some("5"));
    assert_eq!(header(&events[0], "ce-unset"), None);
    assert_eq!((events[0].priority, header(&events[0], "ce-fastnpriority")), (Some(3), None));
    let wrong = r#"{"specversion":"1.0","id":"1","source":"s","type":"t","fastnpriority":1}"#;
    let problem = edge.post_events(&[("content-type", STRUCTURED)], wrong).await.problem(400, "VALIDATION_ERROR");
    assert_eq!(paths(&problem), ["fastnpriority"]);
}

/// Property: data in every form that CloudEvents knows becomes JSON.
#[tokio::test]
async fn data_forms() {
    for (rest, expected) in [
        (r#""data":"text""#, "\"text\""),
        (r#""data":null"#, "null"),
        (r#""x":1"#, "null"),
        (r#""data_base64":"eyJhIjoxfQ==","datacontenttype":"application/json""#, "{\"a\":1}"),
        (r#""data_base64":"aGk=","datacontenttype":"text/plain""#, "\"hi\""),
        (r#""data_base64":"AAE=","datacontenttype":"image/png""#, "{\"base64\":\"AAE=\"}"),
    ] {
        let edge = Edge::new();
        let body = format!(r#"{{"specversion":"1.0","id":"1","source":"s","type":"t",{rest}}}"#);
        edge.post_events(&[("content-type", STRUCTURED)], body).await.accepted();
        assert_eq!(&*edge.event().data, expected, "{rest}");
    }
    let edge = Edge::new();
    let ce = [
        ("ce-specversion", "1.0"),
        ("ce-id", "1"),
        ("ce-source", "s"),
        ("ce-type", "t"),
        ("content-type", "text/plain"),
    ];
    edge.post_events(&ce, "hi").await.accepted();
    assert_eq!(&*edge.event().data, "\"hi\"");
}

/// Property: each rule of CloudEvents 1.0 that is broken is named, in every mode, and nothing is taken.
#[tokio::test]
async fn broken_rules_are_named() {
    let edge = Edge::new();
    for (body, expected) in [
        ("{}", vec!["specversion", "id", "source", "type"]),
        (r#"{"specversion":"0.3","id":"","source":"a b","type":"t"}"#, vec!["specversion", "source", "id"]),
        (r#"{"specversion":"1.0","id":"1","source":"s","type":"t","Bad_Name":"x"}"#, vec!["Bad_Name"]),
        (r#"{"specversion":"1.0","id":"1","source":"s","type":"t","ext":{}}"#, vec!["ext"]),
        (r#"{"specversion":"1.0","id":"1","source":"s","type":"t","ext":2147483648}"#, vec!["ext"]),
        (r#"{"specversion":"1.0","id":1,"source":"s","type":"t"}"#, vec!["id"]),
        (
            r#"{"specversion":"1.0","id":"1","source":"s","type":"t","data":1,"data_base64":"AA=="}"#,
            vec!["data_base64"],
        ),
        (r#"{"specversion":"1.0","id":"1","source":"s","type":"t","data_base64":"?"}"#, vec!["data_base64"]),
        (r#"{"specversion":"1.0","id":"1","source":"s","type":"t","dataschema":"nope"}"#, vec!["dataschema"]),
        (r#"{"specversion":"1.0","id":"1","source":"s","type":"t","datacontenttype":"nope"}"#, vec!["datacontenttype"]),
        (r#"{"specversion":"1.0","id":"1","source":"s","type":"t","time":"today"}"#, vec!["time"]),
        (r#"{"specversion":"1.0","id":"1","source":"s","type":"t","subject":""}"#, vec!["subject"]),
        ("[]", vec!["body"]),
    ] {
        let problem = edge.post_events(&[("content-type", STRUCTURED)], body).await.problem(400, "VALIDATION_ERROR");
        assert_eq!(paths(&problem), expected, "{body}");
    }
    let batch =
        r#"[{"specversion":"1.0","id":"1","source":"s","type":"t"},{"specversion":"1.0","id":"1","source":"s"}]"#;
    let problem = edge.post_events(&[("content-type", BATCH)], batch).await.problem(400, "VALIDATION_ERROR");
    assert_eq!(paths(&problem), ["events[1].type"]);
    let binary = [("ce-id", "%ff"), ("ce-type", "t"), ("ce-Bad_Name", "x")];
    let problem = edge.post_events(&binary, "{}").await.problem(400, "VALIDATION_ERROR");
    let mut named = paths(&problem);
    named.sort_unstable();
    assert_eq!(named, ["ce-bad_name", "ce-id", "ce-source", "ce-specversion"]);
    assert!(edge.events().is_empty());
}

/// Property: a CloudEvent at a webhook keeps its id, type and data; the source is the trigger.
#[tokio::test]
async fn at_a_webhook() {
    let edge = Edge::new();
    let body = r#"{"specversion":"1.0","id":"A1","source":"/s","type":"t","ext":"x","data":[1]}"#;
    edge.post("/v1/webhooks/public", &[("content-type", STRUCTURED)], body).await.accepted();
    let binary = [("ce-specversion", "1.0"), ("ce-id", "A1"), ("ce-source", "/s"), ("ce-type", "t"), ("ce-ext", "x")];
    edge.post("/v1/webhooks/public", &binary, "[1]").await.accepted();
    for event in edge.events() {
        assert_eq!((event.id.as_str(), event.kind.as_str(), &*event.data), ("A1", "t", "[1]"));
        assert_eq!(event.source, "webhook/public");
        assert_eq!(header(&event, "ce-source").as_deref(), Some("/s"));
        assert_eq!(header(&event, "ce-ext").as_deref(), Some("x"));
    }
    let answer = edge.post("/v1/webhooks/public", &[("content-type", BATCH)], "[]").await;
    answer.problem(415, "UNSUPPORTED_MEDIA_TYPE");
}

/// Property: an event that brings the trace context of its source keeps that one; one without has the request's, with its
/// state; a context that is none is ignored.
#[tokio::test]
async fn trace_contexts_are_the_events_own_first() {
    let request = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let own = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";
    for (extension, sent, expected, state) in [
        (None, request, Some(request), Some("vendor=1")),
        (Some(own), request, Some(own), None),
        (Some("nonsense"), request, Some(request), Some("vendor=1")),
        (None, "nonsense", None, None),
    ] {
        let edge = Edge::new();
        let extension = extension.map(|text| format!(r#""traceparent":"{text}","#)).unwrap_or_default();
        let body = format!(r#"{{"specversion":"1.0","id":"1","source":"s","type":"t",{extension}"data":1}}"#);
        let headers = [("content-type", STRUCTURED), ("traceparent", sent), ("tracestate", "vendor=1")];
        edge.post_events(&headers, body).await.accepted();
        let event = edge.event();
        assert_eq!(event.traceparent.as_deref(), expected);
        assert_eq!(header(&event, "tracestate").as_deref(), state);
    }
}
