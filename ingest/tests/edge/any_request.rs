//! No request, however odd, makes the edge fail.

use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, Request};
use proptest::prelude::*;

use crate::support::*;

fn header() -> impl Strategy<Value = (String, Vec<u8>)> {
    let name = prop_oneof![
        Just("content-type"),
        Just("content-encoding"),
        Just("content-length"),
        Just("connection"),
        Just("x-hub-signature-256"),
        Just("x-github-event"),
        Just("x-github-delivery"),
        Just("webhook-id"),
        Just("webhook-timestamp"),
        Just("webhook-signature"),
        Just("authorization"),
        Just("x-fastn-access-key"),
        Just("x-fastn-account-id"),
        Just("x-fastn-account-tenant-id"),
        Just("idempotency-key"),
        Just("traceparent"),
        Just("ce-id"),
        Just("ce-source"),
        Just("ce-type"),
        Just("ce-specversion"),
        Just("ce-time"),
        Just("ce-x"),
    ];
    let value = prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..40),
        prop_oneof![
            Just("application/json"),
            Just("application/cloudevents+json"),
            Just("application/cloudevents-batch+json"),
            Just("application/x-www-form-urlencoded"),
            Just("text/plain"),
            Just("gzip"),
            Just("1.0"),
            Just("acme"),
            Just("1614265330"),
            Just(KEY),
            Just("v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="),
        ]
        .prop_map(|text| text.as_bytes().to_vec()),
    ];
    (name.prop_map(str::to_owned), value)
}

fn body() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..200),
        proptest::collection::vec(any::<u8>(), 0..60).prop_map(|plain| gzip(&plain)),
        "\\[?\\{(\"(type|id|data|specversion|source|events)\":(\"1.0\"|[0-9]{1,3}|\\[\\]|null),?){0,6}\\}?\\]?"
            .prop_map(String::into_bytes),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_500, failure_persistence: None, ..ProptestConfig::default() })]

    /// Property: whatever the headers and the body, the answer is 202 or a problem of the sender's; and only 202 leaves
    /// something in the log.
    #[test]
    fn never_fails(
        path in prop_oneof![
            Just("/v1/events"), Just("/v1/webhooks/public"), Just("/v1/webhooks/github"), Just("/v1/webhooks/standard"),
            Just("/v1/webhooks/public-shared"), Just("/v1/webhooks/key"), Just("/v1/webhooks/nope"),
        ],
        with_key in any::<bool>(),
        headers in proptest::collection::vec(header(), 0..8),
        body in body(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let edge = Edge::new();
            let mut request = Request::post(path);
            if with_key {
                request = request.header("x-fastn-access-key", KEY).header("x-fastn-account-tenant-id", "acme");
            }
            for (name, value) in &headers {
                if let Ok(value) = HeaderValue::from_bytes(value) {
                    request = request.header(HeaderName::from_bytes(name.as_bytes()).unwrap(), value);
                }
            }
            let answer = edge.send(request.body(Body::from(body.clone())).unwrap()).await;
            let status = answer.status.as_u16();
            prop_assert!(status == 202 || (400..500).contains(&status), "{}", String::from_utf8_lossy(&answer.body));
            if status != 202 {
                let problem = answer.json();
                answer.problem(status, problem["code"].as_str().unwrap());
            }
            prop_assert_eq!(status == 202, !edge.events().is_empty());
            for event in edge.events() {
                prop_assert!(serde_json::from_str::<serde_json::Value>(&event.data).is_ok());
            }
            Ok(())
        })?;
    }
}
