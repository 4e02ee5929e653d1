//! How errors of librdkafka become ours.

use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use crate::observe;
use crate::seam::{LogError, LogErrorKind, Outcome};

/// An error that happened in the middle of an operation on `context`.
pub(crate) fn error(
    kind: LogErrorKind,
    outcome: Outcome,
    operation: &'static str,
    context: impl Into<String>,
    message: impl Into<String>,
) -> LogError {
    observe::failed(kind);
    LogError { kind, outcome, operation, context: context.into(), message: message.into() }
}

/// A failed question to the cluster, or a failed read: nothing was changed.
pub(crate) fn not_done(operation: &'static str, context: impl Into<String>, failure: &KafkaError) -> LogError {
    error(LogErrorKind::Io, Outcome::NotDone, operation, context, in_words(failure))
}

/// The log is closed.
pub(crate) fn closed(operation: &'static str, context: impl Into<String>) -> LogError {
    error(LogErrorKind::Closed, Outcome::NotDone, operation, context, "the log is closed")
}

/// What a person can do with it.
pub(crate) fn in_words(failure: &KafkaError) -> String {
    let Some(code) = failure.rdkafka_error_code() else { return failure.to_string() };
    let advice = match code {
        RDKafkaErrorCode::BrokerTransportFailure
        | RDKafkaErrorCode::AllBrokersDown
        | RDKafkaErrorCode::OperationTimedOut
        | RDKafkaErrorCode::RequestTimedOut => "no broker answered in time; check the addresses and whether they run",
        RDKafkaErrorCode::Resolve => "the broker's name does not resolve",
        RDKafkaErrorCode::Authentication | RDKafkaErrorCode::SaslAuthenticationFailed => {
            "the brokers refused the user or password"
        }
        RDKafkaErrorCode::TopicAuthorizationFailed => "the user may not do this with the topic; grant it",
        RDKafkaErrorCode::GroupAuthorizationFailed => "the user may not use the group; grant READ on it",
        RDKafkaErrorCode::ClusterAuthorizationFailed => "the user may not do this with the cluster; grant it",
        RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic => "there is no such topic",
        RDKafkaErrorCode::LeaderNotAvailable => "the partition has no leader now: too few of its brokers run",
        _ => return failure.to_string(),
    };
    format!("{advice} ({code})")
}

/// Whether waiting does not mend it. All else may be brokers that are away, or a partition between two leaders; a broker that
/// has just started may not even know the topic yet.
pub(crate) fn is_lasting(failure: &KafkaError) -> bool {
    matches!(
        failure.rdkafka_error_code(),
        Some(
            RDKafkaErrorCode::TopicAuthorizationFailed
                | RDKafkaErrorCode::GroupAuthorizationFailed
                | RDKafkaErrorCode::ClusterAuthorizationFailed
                | RDKafkaErrorCode::Authentication
                | RDKafkaErrorCode::SaslAuthenticationFailed
                | RDKafkaErrorCode::InvalidArgument
                | RDKafkaErrorCode::UnsupportedFeature
                | RDKafkaErrorCode::Fatal
        )
    )
}
