//! What a sender hears when the log does not take its events.

use fastn_log::LogErrorKind;

use crate::support::*;

/// Property: a log that took nothing is a 503 that says so, with a time to come back; only a record that is too large is
/// the sender's fault.
#[tokio::test]
async fn not_taken() {
    let edge = Edge::new();
    let mut details = Vec::new();
    for kind in [LogErrorKind::Busy, LogErrorKind::Full, LogErrorKind::Closed, LogErrorKind::Io] {
        edge.fate(Fate::Fails(kind));
        for answer in
            [edge.post("/v1/webhooks/public", &[], "{}").await, edge.post_events(&[], r#"{"type":"t"}"#).await]
        {
            let problem = answer.problem(503, "SERVICE_UNAVAILABLE");
            assert!(problem.detail.contains("Nothing was taken"), "{}", problem.detail);
            assert!(kind != LogErrorKind::Busy || problem.retry_after == Some(1));
            assert!(problem.retry_after.is_some());
            details.push(problem.detail);
        }
    }
    assert_ne!(details[0], details[2], "a full disk has its own text");
    edge.fate(Fate::Fails(LogErrorKind::TooLarge));
    edge.post("/v1/webhooks/public", &[], "{}").await.problem(413, "PAYLOAD_TOO_LARGE");
    assert!(edge.events().is_empty());
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
