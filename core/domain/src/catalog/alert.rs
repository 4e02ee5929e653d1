//! An alert rule checked once, with its times parsed.

use std::time::Duration;

use fastn_contract::alert::{AlertChannel, AlertComparison, AlertMetric, AlertRule, duration_seconds};
use fastn_contract::error::FieldError;
use fastn_contract::quota::Dimension;

use crate::ids::{CustomerId, ID_BYTES_MAX, WorkflowId, is_plain};
use crate::time::{Timestamp, parse_rfc3339};

/// Shortest and longest window.
const WINDOW_S: std::ops::RangeInclusive<u64> = 60..=30 * 86_400;
/// Longest time that a rule holds before it fires or is resolved.
const HOLD_S_MAX: u64 = 7 * 86_400;
/// Most channels of one rule, and most recipients of one mail.
const CHANNELS_MAX: usize = 20;
/// Longest text of a channel, a name or a description.
const TEXT_BYTES_MAX: usize = 2_048;
/// Longest silence.
pub const SILENCE_S_MAX: u64 = 90 * 86_400;

/// A rule as it is evaluated.
#[derive(Clone, Debug, PartialEq)]
pub struct CompiledAlert {
    /// The one customer that it is about.
    pub customer: Option<CustomerId>,
    /// As it was written.
    pub spec: AlertRule,
    /// How far back it counts.
    pub window: Duration,
    /// For how long it must be bad before it fires.
    pub hold: Duration,
    /// For how long it must be good before it is over.
    pub resolve_after: Duration,
    /// Nobody is told before.
    pub silenced_until: Option<Timestamp>,
}

/// Checks `spec` as a whole.
///
/// # Errors
/// Every part that is not valid, with its path into the body.
pub fn compile_alert(spec: AlertRule) -> Result<CompiledAlert, Vec<FieldError>> {
    let mut errors = Vec::new();
    let mut complain = |path: &str, message: String| errors.push(FieldError { path: path.to_owned(), message });
    if !is_plain(&spec.id) {
        complain("id", format!("must be 1 to {ID_BYTES_MAX} characters of letters, digits and - _ . : @"));
    }
    let customer = spec
        .customer
        .as_deref()
        .and_then(|customer| CustomerId::new(customer).map_err(|error| complain("customer", error.to_string())).ok());
    if let Some(Err(error)) = spec.workflow.as_deref().map(WorkflowId::new) {
        complain("workflow", error.to_string());
    }
    check_scope(&spec, &mut complain);
    check_dimension(&spec, &mut complain);
    check_thresholds(&spec, &mut complain);
    let mut seconds = |path: &str, text: &str, range: std::ops::RangeInclusive<u64>, allowed: &str| {
        let found = duration_seconds(text).filter(|seconds| range.contains(seconds));
        if found.is_none() {
            complain(path, format!("must be a number with s, m, h or d, {allowed}"));
        }
        Duration::from_secs(found.unwrap_or_default())
    };
    let window = seconds("window", &spec.window, WINDOW_S, "from 1m to 30d");
    let hold = seconds("hold", &spec.hold, 0..=HOLD_S_MAX, "at most 7d");
    let resolve_after = seconds("resolveAfter", &spec.resolve_after, 0..=HOLD_S_MAX, "at most 7d");
    let silenced_until = spec.silenced_until.as_deref().and_then(|text| {
        let parsed = parse_rfc3339(text);
        if parsed.is_none() {
            complain("silencedUntil", "must be RFC 3339, e.g. 2026-11-24T13:34:42Z".to_owned());
        }
        parsed
    });
    if spec.channels.len() > CHANNELS_MAX {
        complain("channels", format!("a rule has at most {CHANNELS_MAX} channels"));
    }
    for (at, channel) in spec.channels.iter().enumerate() {
        check_channel(at, channel, &mut complain);
    }
    for (path, text) in [("name", &spec.name), ("description", &spec.description)] {
        if text.len() > TEXT_BYTES_MAX {
            complain(path, format!("must be at most {TEXT_BYTES_MAX} bytes"));
        }
    }
    if errors.is_empty() {
        Ok(CompiledAlert { customer, spec, window, hold, resolve_after, silenced_until })
    } else {
        Err(errors)
    }
}

fn check_scope(spec: &AlertRule, complain: &mut impl FnMut(&str, String)) {
    let (of_workflow, of_connector) = match spec.metric {
        AlertMetric::Lag | AlertMetric::QuotaUse => (false, false),
        AlertMetric::DeadLetterDepth => (true, false),
        _ => (true, true),
    };
    if spec.workflow.is_some() && !of_workflow {
        complain("workflow", "this metric is not counted by workflow".to_owned());
    }
    match spec.connector.as_deref() {
        Some(_) if !of_connector => complain("connector", "this metric is not counted by connector".to_owned()),
        Some(connector) if connector.is_empty() || connector.len() > 253 || connector.contains(['/', ' ']) => {
            complain("connector", "must be a host, e.g. api.github.com, or the slug of a connector".to_owned());
        }
        _ => {}
    }
}

/// The quotas whose use is known without asking the database: events are counted in the journal, workflows and triggers are in
/// the catalog.
const DIMENSIONS_WATCHED: [Dimension; 4] =
    [Dimension::EventsPerDay, Dimension::EventsPerMinute, Dimension::Workflows, Dimension::Triggers];

fn check_dimension(spec: &AlertRule, complain: &mut impl FnMut(&str, String)) {
    match (spec.metric, spec.dimension) {
        (AlertMetric::QuotaUse, Some(dimension)) if DIMENSIONS_WATCHED.contains(&dimension) => {}
        (AlertMetric::QuotaUse, _) => {
            let names = DIMENSIONS_WATCHED.map(Dimension::as_str).join(", ");
            complain("dimension", format!("name the quota whose use is watched: one of {names}"));
        }
        (_, Some(_)) => complain("dimension", "belongs to the metric quota_use only".to_owned()),
        (_, None) => {}
    }
}

fn check_thresholds(spec: &AlertRule, complain: &mut impl FnMut(&str, String)) {
    if !spec.threshold.is_finite() || spec.threshold < 0.0 {
        complain("threshold", "must be a number of at least 0".to_owned());
    }
    let Some(resolve) = spec.resolve_threshold else { return };
    let good = match spec.comparison {
        AlertComparison::Above => resolve <= spec.threshold,
        AlertComparison::Below => resolve >= spec.threshold,
    };
    if !resolve.is_finite() || !good {
        complain("resolveThreshold", "must lie on the good side of the threshold".to_owned());
    }
}

fn check_channel(at: usize, channel: &AlertChannel, complain: &mut impl FnMut(&str, String)) {
    let mut at_field = |field: &str, message: &str| complain(&format!("channels[{at}].{field}"), message.to_owned());
    if channel.secret().is_empty() || channel.secret().len() > ID_BYTES_MAX {
        at_field("secret", "name the secret that the channel needs");
    }
    match channel {
        AlertChannel::Webhook { url, .. } => {
            let http = url.starts_with("https://") || url.starts_with("http://");
            if !http || url.len() > TEXT_BYTES_MAX {
                at_field("url", "must be an http or https URL");
            }
        }
        AlertChannel::Slack { .. } => {}
        AlertChannel::Email { to, from, .. } => {
            let address = |text: &String| {
                let plain = !text.chars().any(char::is_control) && text.len() <= 320;
                plain && text.split_once('@').is_some_and(|(name, host)| !name.is_empty() && !host.is_empty())
            };
            if to.is_empty() || to.len() > CHANNELS_MAX || !to.iter().all(address) {
                at_field("to", "must be 1 to 20 mail addresses");
            }
            if !address(from) {
                at_field("from", "must be a mail address");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(change: impl FnOnce(&mut serde_json::Value)) -> Result<CompiledAlert, Vec<FieldError>> {
        let mut body = serde_json::json!({"id": "errors"});
        change(&mut body);
        compile_alert(serde_json::from_value(body).unwrap())
    }

    /// Property: a rule of which only the id is given watches for an error rate above 5 % over 24 hours, paused, without
    /// channels.
    #[test]
    fn a_new_rule_has_the_defaults() {
        let compiled = rule(|_| {}).unwrap();
        assert_eq!(compiled.window, Duration::from_secs(86_400));
        let AlertRule { metric, comparison, threshold, status, channels, .. } = compiled.spec;
        assert_eq!((metric, comparison, threshold), (AlertMetric::ErrorRate, AlertComparison::Above, 5.0));
        assert_eq!((status, channels.len()), (fastn_contract::alert::AlertStatus::Paused, 0));
    }

    /// Property: each part that cannot be is refused with its own path.
    #[test]
    fn what_cannot_be_is_refused_by_name() {
        for (path, value) in [
            ("id", serde_json::json!("a/b")),
            ("customer", serde_json::json!("")),
            ("workflow", serde_json::json!("a b")),
            ("connector", serde_json::json!("https://a/b")),
            ("threshold", serde_json::json!(-1)),
            ("window", serde_json::json!("31d")),
            ("window", serde_json::json!("59s")),
            ("window", serde_json::json!("1w")),
            ("window", serde_json::json!("+5m")),
            ("hold", serde_json::json!("8d")),
            ("resolveAfter", serde_json::json!("m")),
            ("resolveThreshold", serde_json::json!(6)),
            ("silencedUntil", serde_json::json!("tomorrow")),
        ] {
            let errors = rule(|body| body[path] = value.clone()).unwrap_err();
            assert_eq!(errors.first().map(|error| error.path.as_str()), Some(path), "{value}");
        }
        let mail = serde_json::json!([{"type": "email", "to": ["nobody"], "from": "a@b", "secret": "S"}]);
        let errors = rule(|body| body["channels"] = mail).unwrap_err();
        assert_eq!(errors[0].path, "channels[0].to");
        let errors = rule(|body| {
            body["metric"] = serde_json::json!("lag");
            body["workflow"] = serde_json::json!("w");
        });
        assert_eq!(errors.unwrap_err()[0].path, "workflow");
    }

    /// Property: the use of a quota is watched for a quota whose use is known, and for no workflow or connector.
    #[test]
    fn quota_use_names_a_quota_that_is_counted() {
        let paths = |metric: &str, more: serde_json::Value| {
            let checked = rule(|body| {
                body["metric"] = serde_json::json!(metric);
                body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            });
            let errors = checked.err().unwrap_or_default();
            errors.into_iter().map(|error| error.path).collect::<Vec<String>>()
        };
        for dimension in ["eventsPerDay", "eventsPerMinute", "workflows", "triggers"] {
            assert!(paths("quota_use", serde_json::json!({"dimension": dimension, "customer": "c"})).is_empty());
        }
        assert_eq!(paths("quota_use", serde_json::json!({})), ["dimension"]);
        assert_eq!(paths("quota_use", serde_json::json!({"dimension": "apiCallsPerDay"})), ["dimension"]);
        assert_eq!(paths("lag", serde_json::json!({"dimension": "triggers"})), ["dimension"]);
        let scoped = serde_json::json!({"dimension": "triggers", "workflow": "w", "connector": "c"});
        assert_eq!(paths("quota_use", scoped), ["workflow", "connector"]);
    }
}
