//! Alerts: the rules that people set up, and what became of them.

use serde::{Deserialize, Serialize};

use crate::quota::Dimension;

/// What is watched, when it is too much or too little, and who is told.
///
/// A new rule is paused, has no channels, and watches for an error rate above 5 % over 24 hours.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AlertRule {
    /// Stable id.
    pub id: String,
    /// Name for people.
    #[serde(default)]
    pub name: String,
    /// What to do when it fires, for whoever is told.
    #[serde(default)]
    pub description: String,
    /// Only what concerns this customer; every customer of the account together when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customer: Option<String>,
    /// Only executions of this workflow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workflow: Option<String>,
    /// Only outside calls to this host, e.g. `api.github.com`, or of the connector with this slug. The rule then counts
    /// calls, not executions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connector: Option<String>,
    /// What is measured.
    #[serde(default)]
    pub metric: AlertMetric,
    /// Of quota use: which quota. Events per day or minute, workflows, or triggers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dimension: Option<Dimension>,
    /// Which side of the threshold is bad.
    #[serde(default)]
    pub comparison: AlertComparison,
    /// In the metric's unit: percent, milliseconds, or a number.
    #[serde(default = "threshold_default")]
    pub threshold: f64,
    /// How far back is counted, from `1m` to `30d`. Depth, lag and quota use are as they are now.
    #[serde(default = "window_default")]
    pub window: String,
    /// For how long it must be bad before the rule fires, e.g. `5m`; `0s` fires at once.
    #[serde(default = "hold_default")]
    pub hold: String,
    /// The value at which it is good again; the threshold itself when absent. A distance between the two keeps a value that
    /// moves around the threshold from firing again and again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolve_threshold: Option<f64>,
    /// For how long it must be good before the rule is resolved.
    #[serde(default = "resolve_after_default")]
    pub resolve_after: String,
    /// Rates and latencies of fewer executions or calls than this mean nothing: the rule does not fire on them.
    #[serde(default = "min_samples_default")]
    pub min_samples: u32,
    /// Who is told when it fires and when it is resolved.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub channels: Vec<AlertChannel>,
    /// Whether it is evaluated.
    #[serde(default)]
    pub status: AlertStatus,
    /// Nobody is told before this instant. It is evaluated all the same, and if it still fires then, its channels are told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub silenced_until: Option<String>,
}

fn threshold_default() -> f64 {
    5.0
}

fn window_default() -> String {
    "24h".to_owned()
}

fn hold_default() -> String {
    "0s".to_owned()
}

fn resolve_after_default() -> String {
    "1m".to_owned()
}

fn min_samples_default() -> u32 {
    1
}

/// What a rule measures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum AlertMetric {
    /// Percent of those that ended in the window that failed or timed out. Cancelled ones do not count.
    #[default]
    ErrorRate,
    /// Milliseconds from admission to the end that 99 % of those that ended in the window stayed within; of calls, from
    /// request to answer.
    LatencyP99,
    /// The same for 95 %.
    LatencyP95,
    /// The mean of the same.
    LatencyAvg,
    /// How many ended in the window.
    Throughput,
    /// How many of them failed or timed out.
    FailureCount,
    /// How many dead letters are pending now.
    DeadLetterDepth,
    /// Milliseconds that the oldest event which is not admitted yet has waited now.
    Lag,
    /// Percent of a quota that its customer uses: in the present day; in the present minute or the one before, whichever is
    /// more; of what is limited in number, now. Of a rule about all customers, that of the customer who uses most.
    QuotaUse,
}

/// Which side of the threshold is bad.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum AlertComparison {
    /// Values above it.
    #[default]
    Above,
    /// Values below it.
    Below,
}

/// Whether a rule is evaluated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum AlertStatus {
    /// It is.
    Enabled,
    /// It is not, and what it counted is forgotten.
    #[default]
    Paused,
}

/// Who is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", tag = "type", deny_unknown_fields)]
pub enum AlertChannel {
    /// A POST of an [`AlertNotice`] with a signature after Standard Webhooks.
    #[serde(rename_all = "camelCase")]
    Webhook {
        /// Where to.
        url: String,
        /// Name of the secret that holds the `whsec_…` key.
        secret: String,
    },
    /// A message to an incoming webhook of Slack, or of whatever takes the same.
    #[serde(rename_all = "camelCase")]
    Slack {
        /// Name of the secret that holds the URL, which is all that protects it.
        secret: String,
    },
    /// A mail.
    #[serde(rename_all = "camelCase")]
    Email {
        /// The recipients.
        to: Vec<String>,
        /// The sender.
        from: String,
        /// Name of the secret that holds the server: `smtps://user:password@host`, `smtp://…` (with STARTTLS), or
        /// `smtp://…?tls=none`.
        secret: String,
    },
}

impl AlertChannel {
    /// The word for it: `webhook`, `slack` or `email`.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Webhook { .. } => "webhook",
            Self::Slack { .. } => "slack",
            Self::Email { .. } => "email",
        }
    }

    /// The name of the secret that it needs.
    pub fn secret(&self) -> &str {
        match self {
            Self::Webhook { secret, .. } | Self::Slack { secret } | Self::Email { secret, .. } => secret,
        }
    }
}

/// Where an alert stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum AlertState {
    /// It is bad, and whoever is to know is told.
    Firing,
    /// It is bad, and nobody is told for now.
    Silenced,
    /// It is over.
    Resolved,
}

/// One time that a rule fired.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct AlertView {
    /// `alert_…`
    pub id: String,
    /// The rule's id.
    pub rule: String,
    /// The rule's name when it fired.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// The one customer that the rule is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customer: Option<String>,
    /// Where it stands.
    pub state: AlertState,
    /// What was measured.
    pub metric: AlertMetric,
    /// Of quota use: which quota.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dimension: Option<Dimension>,
    /// Of quota use: the customer whose use the value is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value_of: Option<String>,
    /// Which side was bad.
    pub comparison: AlertComparison,
    /// Of what.
    pub threshold: f64,
    /// The value when it fired.
    pub value: f64,
    /// When it fired.
    pub fired_at: String,
    /// When it was over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolved_at: Option<String>,
    /// How it was over: `recovered`, or `changed`, `paused` or `deleted` as the rule was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolved_by: Option<String>,
    /// Who was told, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notifications: Vec<AlertNotification>,
}

/// One message to one channel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct AlertNotification {
    /// The message's id, the same in every attempt: `webhook-id`.
    pub id: String,
    /// `webhook`, `slack` or `email`.
    pub channel: String,
    /// `firing` or `resolved`.
    pub about: AlertState,
    /// `pending`, `delivered` or `failed`.
    pub status: String,
    /// Attempts made.
    pub attempts: u32,
    /// Why the last one failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// What a webhook channel is sent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct AlertNotice {
    /// `alert.firing`, `alert.resolved` or `alert.test`.
    #[serde(rename = "type")]
    pub kind: String,
    /// When it came to stand there.
    pub timestamp: String,
    /// The alert, without its notifications.
    pub data: AlertView,
}

/// Asks for silence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SilenceAlert {
    /// For how long, e.g. `2h`, at most `90d`.
    pub duration: String,
}

/// What became of a test of a rule's channels.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct AlertTested {
    /// One for each channel of the rule, in its order.
    pub notifications: Vec<AlertNotification>,
}

/// A length of time as rules write it: a whole number and `s`, `m`, `h` or `d`. In seconds; nothing when it is none.
pub fn duration_seconds(text: &str) -> Option<u64> {
    let unit = match text.as_bytes().last()? {
        b's' => 1,
        b'm' => 60,
        b'h' => 3_600,
        b'd' => 86_400,
        _ => return None,
    };
    let number = &text[..text.len() - 1];
    let plain = !number.is_empty() && number.len() <= 9 && number.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| number.parse::<u64>().ok()?.checked_mul(unit))?
}
