//! What a sender hears when the log does not take its events.

use std::sync::Arc;
use std::time::{Duration, Instant};

use fastn_log::LogErrorKind;

use crate::support::*;

/// Property: a log that took nothing is a 503 that says so, with a time to come back; only a record that is too large is
/// the sender's fault.
#[tokio::test]
async fn not_taken() {
    let edge = Edge::new();
    let mut details = Vec::new();
    for (kind, retry_after) in
        [(LogErrorKind::Busy, 1), (LogErrorKind::Full, 60), (LogErrorKind::Closed, 2), (LogErrorKind::Io, 10)]
    {
        edge.fate(Fate::Fails(kind));
        for answer in
            [edge.post("/v1/webhooks/public", &[], "{}").await, edge.post_events(&[], r#"{"type":"t"}"#).await]
        {
            let problem = answer.problem(503, "SERVICE_UNAVAILABLE");
            assert!(problem.detail.contains("Nothing was taken"), "{}", problem.detail);
            assert_eq!(problem.retry_after, Some(retry_after), "{kind:?}");
            details.push(problem.detail);
        }
    }
    assert_ne!(details[0], details[2], "a full disk has its own text");
    edge.fate(Fate::Fails(LogErrorKind::TooLarge));
    let problem = edge.post("/v1/webhooks/public", &[], "{}").await.problem(413, "PAYLOAD_TOO_LARGE");
    assert_eq!(problem.retry_after, None);
    assert!(edge.events().is_empty());
}

/// Property: 202 is not said before the log has made the event durable.
#[tokio::test]
async fn accepted_means_durable() {
    let edge = Arc::new(Edge::new());
    edge.fate(Fate::Held);
    let request = tokio::spawn({
        let edge = edge.clone();
        async move { edge.post("/v1/webhooks/public", &[], "{}").await }
    });
    let deadline = Instant::now() + Duration::from_secs(30);
    while edge.events().is_empty() {
        assert!(Instant::now() < deadline, "the event never reached the log");
        tokio::task::yield_now().await;
    }
    // Every task had its turns and nothing else is left to wait for.
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert!(!request.is_finished());
    edge.log.release.notify_one();
    request.await.unwrap().accepted();
}

/// Property: a lost acknowledgement is never called a failure: the sender learns that the event may be there, and the id
/// with which sending again is safe.
#[tokio::test]
async fn unknown_outcome() {
    let edge = Edge::new();
    edge.fate(Fate::Unheard);
    let problem = edge.post("/v1/webhooks/public", &[], "{}").await.problem(503, "SERVICE_UNAVAILABLE");
    let stored = edge.event();
    assert!(problem.detail.contains(stored.id.as_str()) && !problem.detail.contains("Nothing was taken"));
    assert_eq!(problem.retry_after, Some(1));
}
