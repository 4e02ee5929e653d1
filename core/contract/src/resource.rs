//! What a person configures: each kind is a struct here, kept in one table and applied from files by `fastn apply`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use crate::app::{App, AppEvent, RequestTemplate, Subscription, SubscriptionState, SubscriptionView};
use crate::condition::Condition;
use crate::flow::FlowControl;
use crate::poll::Poll;
use crate::quota::Quotas;
use crate::schedule::Schedule;
pub use crate::verification::{
    Challenge, ChallengeAnswer, ChallengeIn, ChallengeWhen, HmacAlgorithm, HmacScheme, HubspotVersion, SecretNames,
    SignatureEncoding, TOLERANCE_SECONDS_DEFAULT, Verification,
};

/// A customer (tenant) of the account.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Customer {
    /// Stable id; the SaaS's own is welcome. Letters, digits and `-_.:@`.
    pub id: String,
    /// Name for people.
    #[serde(default)]
    pub name: String,
    /// Whether its events start executions.
    #[serde(default)]
    pub status: CustomerStatus,
    /// Most executions that run at once; the others wait in the customer's queue.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<u32>,
    /// Share in the fair queue beside other customers; that of its tier when absent, and 1 without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<u32>,
    /// The tier that it is on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tier: Option<String>,
    /// Limits of its own, which go before those of its tier and of the account's plan.
    #[serde(default, skip_serializing_if = "Quotas::is_empty")]
    pub quotas: Quotas,
    /// Where its events, executions and secrets are kept; the cell that was asked when absent. Every other cell answers
    /// requests for it with 421 and the base URL of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<Region>,
    /// Seal the payloads of its records in the log under a data key of its own: event data and headers, inputs, results,
    /// outputs, state. Erasing the customer then makes them unreadable at once, in backups too; until then they are
    /// unreadable to whoever consumes the topics beside fastn.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub encrypt_log: bool,
}

/// A region of residency. Each has cells of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "UPPERCASE")]
pub enum Region {
    /// The United States.
    Us,
    /// The European Union.
    Eu,
    /// Asia and the Pacific.
    Apac,
}

impl Region {
    /// The region as it stands on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Us => "US",
            Self::Eu => "EU",
            Self::Apac => "APAC",
        }
    }
}

/// Whether a customer's events start executions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum CustomerStatus {
    /// They do.
    #[default]
    Active,
    /// They are accepted and kept, and start nothing.
    Suspended,
}

/// How a workflow answers and how long it may take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Tier {
    /// The caller waits and gets the result: at most 60 s.
    Instant,
    /// The caller gets 202: at most 15 minutes.
    #[default]
    Standard,
    /// The caller gets 202: at most 6 hours of running, any time asleep.
    Long,
}

/// Whether a workflow takes new runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Switch {
    /// It does.
    #[default]
    Enabled,
    /// It does not.
    Disabled,
}

/// A workflow: its settings. Its code is published as immutable versions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Workflow {
    /// Stable id, e.g. `triage` or `wf_3f2a9c0d1b7e`.
    pub id: String,
    /// Name for people.
    #[serde(default)]
    pub name: String,
    /// What it does.
    #[serde(default)]
    pub description: String,
    /// How it answers and how long it may take.
    #[serde(default)]
    pub tier: Tier,
    /// Most milliseconds of running; the tier's own limit when absent, and never above it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
    /// On timeout, go on one tier up instead of ending (instant to standard, standard to long).
    #[serde(default)]
    pub escalate_on_timeout: bool,
    /// Whether new runs start.
    #[serde(default)]
    pub status: Switch,
    /// Retry of transient failures; when absent the trigger's attempts count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<RetryPolicy>,
    /// What holds its executions back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flow: Option<FlowControl>,
}

/// Retry of transient failures. Code errors, data errors and out-of-memory are never retried.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct RetryPolicy {
    /// 1 to 10, the first included.
    pub max_attempts: u32,
    /// Milliseconds before the second attempt.
    pub initial_interval: u64,
    /// Factor from one wait to the next.
    pub backoff_coefficient: f64,
    /// Most milliseconds between two attempts.
    pub max_interval: u64,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self { max_attempts: 3, initial_interval: 5_000, backoff_coefficient: 2.0, max_interval: 60_000 }
    }
}

/// A published, immutable version of a workflow's code.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WorkflowVersion {
    /// The workflow.
    pub workflow: String,
    /// 1, 2, …
    pub version: u32,
    /// The TypeScript as it was published.
    pub source: String,
    /// The file that errors name, e.g. `workflows/triage.ts`.
    pub file: String,
    /// BLAKE3 of the source, in hex: publishing the same code again makes no new version.
    pub source_hash: String,
}

/// A published version as the API shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct VersionView {
    /// The workflow.
    pub workflow: String,
    /// 1, 2, …
    pub version: u32,
    /// The file that errors name.
    pub file: String,
    /// BLAKE3 of the source, in hex.
    pub source_hash: String,
    /// When it was published.
    pub created_at: String,
    /// The TypeScript as it was published; only when a single version is read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
}

/// Which version of a workflow runs in an environment. The built-in environment `test` needs none: it runs the latest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Deployment {
    /// The workflow.
    pub workflow: String,
    /// The environment, e.g. `live`.
    pub environment: String,
    /// The version that runs there.
    pub version: u32,
}

/// What starts workflows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Trigger {
    /// Stable id; for a webhook it is part of the public URL. A new random one when it is absent and the trigger is posted.
    #[serde(default)]
    pub id: String,
    /// Name for people.
    #[serde(default)]
    pub name: String,
    /// What it does.
    #[serde(default)]
    pub description: String,
    /// The one customer it belongs to; absent for one that serves every customer of the account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customer: Option<String>,
    /// What it listens to.
    pub source: TriggerSource,
    /// Where its events go; at least one.
    pub routes: Vec<Route>,
    /// Whether several of its executions may run at once.
    #[serde(default)]
    pub mode: ExecutionMode,
    /// Path of the value that orders sequential executions; one queue for the whole trigger when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sequence_key: Option<String>,
    /// Path of the value by which events are duplicates of each other, e.g. `data.event.id`. The event id counts anyway.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deduplication_key: Option<String>,
    /// Attempts of an execution whose failure is transient, the first included: 1 to 10.
    #[serde(default = "max_attempts_default")]
    pub max_attempts: u32,
    /// How the wait grows from one attempt to the next.
    #[serde(default)]
    pub backoff: Backoff,
    /// What holds its executions back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flow: Option<FlowControl>,
    /// Whether it fires.
    #[serde(default)]
    pub status: Switch,
}

fn max_attempts_default() -> u32 {
    3
}

/// A trigger as the API returns it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct TriggerView {
    /// Grows with each change of this object. Send it back as `If-Match` to change only what you saw.
    pub revision: u64,
    /// When it was created.
    pub created_at: String,
    /// When it was last changed.
    pub updated_at: String,
    /// Of an app-event trigger: whether its app knows of it, apart from the trigger's own status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subscription: Option<SubscriptionState>,
    /// The trigger.
    #[serde(flatten)]
    pub body: Trigger,
}

/// What a trigger listens to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", tag = "type", deny_unknown_fields)]
#[expect(clippy::large_enum_variant, reason = "a trigger has one, behind an `Arc` wherever there are many")]
pub enum TriggerSource {
    /// Requests to `/v1/webhooks/<trigger id>`.
    #[serde(rename_all = "camelCase")]
    Webhook {
        /// How the sender proves itself.
        #[serde(default)]
        verification: Verification,
        /// A handshake that the sender asks for, beside the one of its scheme.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        challenge: Option<Challenge>,
    },
    /// Events of a connector app for one customer, with that customer's account at the app.
    #[serde(rename_all = "camelCase")]
    AppEvent {
        /// The app; it cannot be changed.
        app: String,
        /// One of the app's events.
        event: String,
        /// The customer's account at the app: only events of this account come here. Required where the app says in its
        /// events whose they are.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        account_id: Option<String>,
    },
    /// Events sent through the API whose type is one of these; `*` at the end stands for any rest.
    #[serde(rename_all = "camelCase")]
    Event {
        /// The types, e.g. `order.created` or `order.*`.
        types: Vec<String>,
    },
    /// The clock.
    Schedule(Box<Schedule>),
    /// Changes at a source that is polled.
    Poll(Box<Poll>),
}

/// Whether several executions of a trigger may run at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum ExecutionMode {
    /// They may.
    #[default]
    Parallel,
    /// One at a time, in order of arrival.
    Sequential,
}

/// How the wait grows from one attempt to the next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Backoff {
    /// 1 s, 2 s, 4 s …
    #[default]
    Exponential,
    /// 1 s, 2 s, 3 s …
    Linear,
    /// 1 s, 1 s, 1 s …
    Fixed,
}

/// One way that a trigger's events take.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Route {
    /// The workflow that runs.
    pub workflow: String,
    /// The environment whose deployed version runs; `test` runs the latest published one.
    #[serde(default = "environment_default")]
    pub environment: String,
    /// Only events for which this holds; all when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<Condition>,
    /// Headers added to those that the workflow sees.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
}

/// The environment of a route that names none.
pub fn environment_default() -> String {
    "test".to_owned()
}

/// A secret as it is written. It is encrypted at rest and never read back through the API.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SecretWrite {
    /// UPPER_SNAKE_CASE.
    pub name: String,
    /// The value.
    pub value: String,
    /// The one customer it belongs to; absent for the whole account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customer: Option<String>,
}

impl std::fmt::Debug for SecretWrite {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SecretWrite").field("name", &self.name).field("value", &"***").finish_non_exhaustive()
    }
}

/// A secret as it is listed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct SecretView {
    /// UPPER_SNAKE_CASE.
    pub name: String,
    /// The one customer it belongs to; absent for the whole account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customer: Option<String>,
    /// 1, 2, … : grows with each write.
    pub version: u32,
    /// When it was last written.
    pub updated_at: String,
}

/// A token that a provider handed over in a handshake.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct CapturedToken {
    /// The token, to be given back to the provider.
    pub token: String,
}

impl std::fmt::Debug for CapturedToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CapturedToken(***)")
    }
}

/// A configuration value that workflows read with `fastn.envConfig.get`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EnvConfig {
    /// The key.
    pub key: String,
    /// The environment it holds in.
    #[serde(default = "environment_default")]
    pub environment: String,
    /// The value.
    pub value: serde_json::Value,
}

/// A resource as the API returns it: the body and what the server knows about it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Stored<T> {
    /// Grows with each change of this object. Send it back as `If-Match` to change only what you saw.
    pub revision: u64,
    /// When it was created.
    pub created_at: String,
    /// When it was last changed.
    pub updated_at: String,
    /// The object.
    #[serde(flatten)]
    pub body: T,
}
