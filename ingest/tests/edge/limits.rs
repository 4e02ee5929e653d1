//! Sizes, depths, times and memory.

use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use bytes::Bytes;
use fastn_domain::event::EVENT_DATA_BYTES_MAX;
use fastn_ingest::{IngestConfig, JSON_DEPTH_MAX};
use futures_util::{StreamExt, stream};

use crate::support::*;

const PUBLIC: &str = "/v1/webhooks/public";

/// A JSON string of so many bytes.
fn text(bytes: usize) -> String {
    format!("\"{}\"", "x".repeat(bytes - 2))
}

/// Property: the largest payload is taken and one byte more is not, announced or not, plain or compressed.
#[tokio::test]
async fn sizes() {
    let edge = Edge::new();
    edge.post(PUBLIC, &[], text(EVENT_DATA_BYTES_MAX)).await.accepted();
    let over = text(EVENT_DATA_BYTES_MAX + 1);
    edge.post(PUBLIC, &[], over.clone()).await.problem(413, "PAYLOAD_TOO_LARGE");
    let announced = Request::post(PUBLIC).header("content-length", "99999999999").body(Body::empty()).unwrap();
    edge.send(announced).await.problem(413, "PAYLOAD_TOO_LARGE");
    let chunks = stream::repeat_with(|| Ok::<_, std::io::Error>(Bytes::from(vec![b' '; 64 * 1024])));
    let endless = Request::post(PUBLIC).body(Body::from_stream(chunks)).unwrap();
    edge.send(endless).await.problem(413, "PAYLOAD_TOO_LARGE");
    let gz = ("content-encoding", "gzip");
    edge.post(PUBLIC, &[gz], gzip(over.as_bytes())).await.problem(413, "PAYLOAD_TOO_LARGE");
    edge.post(PUBLIC, &[gz], gzip(text(EVENT_DATA_BYTES_MAX).as_bytes())).await.accepted();
    assert_eq!(edge.events().len(), 2);
    let one = format!(r#"{{"type":"t","data":{over}}}"#);
    edge.post_events(&[], one.clone()).await.problem(413, "PAYLOAD_TOO_LARGE");
    edge.post_events(&[], format!("[{one}]")).await.problem(413, "PAYLOAD_TOO_LARGE");
    edge.post_events(&[], " ".repeat(9 * 1024 * 1024)).await.problem(413, "PAYLOAD_TOO_LARGE");
    assert_eq!(edge.events().len(), 2);
}

/// Property: gzip is taken; bombs, truncated and damaged streams and other encodings are refused.
#[tokio::test]
async fn encodings() {
    let edge = Edge::new();
    let gz = ("content-encoding", "gzip");
    let event = br#"{"type":"t","data":1}"#;
    edge.post_events(&[gz], gzip(event)).await.accepted();
    edge.post_events(&[("content-encoding", "identity")], event.to_vec()).await.accepted();
    let bomb = gzip(&vec![b' '; 100 * 1024 * 1024]);
    assert!(bomb.len() < 128 * 1024);
    edge.post_events(&[gz], bomb.clone()).await.problem(413, "PAYLOAD_TOO_LARGE");
    edge.post(PUBLIC, &[gz], bomb).await.problem(413, "PAYLOAD_TOO_LARGE");
    let whole = gzip(event);
    for bad in [&whole[..whole.len() - 1], &whole[..3], b"{}".as_slice()] {
        edge.post_events(&[gz], bad).await.problem(400, "VALIDATION_ERROR");
    }
    for encoding in ["br", "zstd", "gzip, gzip", "deflate"] {
        let answer = edge.post_events(&[("content-encoding", encoding)], whole.clone()).await;
        answer.problem(415, "UNSUPPORTED_MEDIA_TYPE");
    }
    let twice = [gz, gz];
    edge.post_events(&twice, whole).await.problem(415, "UNSUPPORTED_MEDIA_TYPE");
    assert_eq!(edge.events().len(), 2);
}

/// Property: JSON nests up to its limit and not deeper, however deep it goes, on every route.
#[tokio::test]
async fn depths() {
    let edge = Edge::new();
    let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    let (deepest, over) = (nested(JSON_DEPTH_MAX), nested(JSON_DEPTH_MAX + 1));
    edge.post(PUBLIC, &[], deepest.clone()).await.accepted();
    edge.post_events(&[], format!(r#"[{{"type":"t","data":{deepest}}}]"#)).await.accepted();
    for deep in [over, nested(400_000)] {
        edge.post(PUBLIC, &[], deep.clone()).await.problem(400, "VALIDATION_ERROR");
        let problem =
            edge.post_events(&[], format!(r#"{{"type":"t","data":{deep}}}"#)).await.problem(400, "VALIDATION_ERROR");
        assert_eq!(paths(&problem), ["data"]);
        edge.post_events(&[], deep).await.problem(400, "VALIDATION_ERROR");
    }
}

/// Property: more headers than an event keeps are refused by name.
#[tokio::test]
async fn header_counts() {
    let edge = Edge::new();
    let names: Vec<String> = (0..65).map(|at| format!("x-{at}")).collect();
    let headers: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "v")).collect();
    let problem = edge.post(PUBLIC, &headers, "{}").await.problem(400, "VALIDATION_ERROR");
    assert_eq!(paths(&problem), ["headers"]);
}

/// Property: a body that stops arriving is given up after its time, and one that breaks off is not taken.
#[tokio::test]
async fn slow_and_broken_bodies() {
    let edge = Edge::with(IngestConfig { body_time_max: Duration::from_millis(20), ..IngestConfig::default() });
    let start = || stream::iter([Ok::<_, std::io::Error>(Bytes::from_static(b"{"))]);
    let stalled = Request::post(PUBLIC).body(Body::from_stream(start().chain(stream::pending()))).unwrap();
    edge.send(stalled).await.problem(400, "VALIDATION_ERROR");
    let broken = start().chain(stream::iter([Err(std::io::Error::other("reset"))]));
    let broken = Request::post(PUBLIC).body(Body::from_stream(broken)).unwrap();
    edge.send(broken).await.problem(400, "VALIDATION_ERROR");
    assert!(edge.events().is_empty());
}

/// Property: bodies in the air never exceed their budget: what comes on top is refused at once, and is taken once there is
/// room again.
#[tokio::test]
async fn bodies_in_the_air() {
    let edge = std::sync::Arc::new(Edge::with(IngestConfig { in_flight_bytes_max: 100, ..IngestConfig::default() }));
    let (sender, rest) = tokio::sync::mpsc::channel::<Bytes>(1);
    let rest = stream::unfold(rest, |mut rest| async { Some((Ok::<_, std::io::Error>(rest.recv().await?), rest)) });
    let first = stream::iter([Ok(Bytes::from(text(80)))]).chain(rest);
    let held = Request::post(PUBLIC).body(Body::from_stream(first)).unwrap();
    let task = tokio::spawn({
        let edge = edge.clone();
        async move { edge.send(held).await }
    });
    // The first body is held once 30 more bytes find no room.
    let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
    let refused = loop {
        let answer = edge.post(PUBLIC, &[], text(30)).await;
        if answer.status.as_u16() == 503 || tokio::time::Instant::now() > deadline {
            break answer;
        }
        tokio::task::yield_now().await;
    };
    assert_eq!(refused.problem(503, "SERVICE_UNAVAILABLE").retry_after, Some(1));
    edge.post(PUBLIC, &[], text(20)).await.accepted();
    drop(sender);
    task.await.unwrap().accepted();
    edge.post(PUBLIC, &[], text(100)).await.accepted();
    edge.post(PUBLIC, &[], text(101)).await.problem(503, "SERVICE_UNAVAILABLE");
}
