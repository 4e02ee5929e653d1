//! Requests of a workflow to the outside, and the answers to them.
//!
//! A request is known by its key, which depends on nothing but the program and the results delivered before: the same
//! workflow with the same results asks for the same keys in the same order. The promise behind a request settles when the
//! result with its key is delivered.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// A JSON document kept as its text, so that nothing is parsed that nobody reads. Serialises as the document itself, with
/// `serde_json` only.
#[derive(Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub struct JsonText(Box<RawValue>);

impl JsonText {
    /// Takes `text` if it is one well-formed JSON document.
    pub fn new(text: String) -> Result<Self, serde_json::Error> {
        RawValue::from_string(text).map(Self)
    }

    /// The document.
    pub fn as_str(&self) -> &str {
        self.0.get()
    }
}

impl PartialEq for JsonText {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl fmt::Debug for JsonText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One request to the outside.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OpRequest {
    /// Unique in the execution: names and occurrences of the enclosing steps, with their attempts, then its own:
    /// `charge~2/fetch#1` is the second `fetch` in the second attempt of the step `charge`.
    pub key: String,
    /// Like `key` without the attempts, so that it is the same on every retry of the step: `charge/fetch#1`. Made for
    /// idempotency keys.
    pub idempotency_step: String,
    /// The name of the step that a person knows it by.
    pub step: String,
    /// The attempt of the innermost step around it, from 1.
    pub attempt: u32,
    /// What is asked for.
    pub kind: OpKind,
}

/// What a request asks for. All durations and instants are milliseconds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", rename_all_fields = "camelCase")]
pub enum OpKind {
    /// An HTTP call. Result: `{status, statusText, headers: [[name, value]], body, bodyBase64?, url}`.
    Fetch {
        /// In upper case.
        method: String,
        /// Absolute.
        url: String,
        /// Names in lower case, in the order given.
        #[serde(default)]
        headers: Vec<(String, String)>,
        /// None for no body.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        body: Option<FetchBody>,
        /// For the whole exchange.
        timeout_ms: u64,
        /// What to do about redirects.
        redirect: Redirect,
    },
    /// Wake at an instant. Result: `null`.
    Sleep {
        /// Milliseconds since the epoch, on the execution's own clock.
        until_ms: i64,
    },
    /// Wait for an event. Result: the event, or `null` when the time is over.
    WaitForEvent {
        /// The filter as written.
        filter: JsonText,
        /// None to wait without end.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        timeout_ms: Option<u64>,
    },
    /// Send an event. Result: `{id}`.
    Emit {
        /// The event as written.
        event: JsonText,
    },
    /// Ask a person. Result: the decision.
    Approval {
        /// The request as written.
        request: JsonText,
        /// None to wait without end.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        timeout_ms: Option<u64>,
    },
    /// Run another workflow. Result: its output if waited for, otherwise `{executionId}`.
    Invoke {
        /// Its slug.
        workflow: String,
        /// Its input.
        input: JsonText,
        /// Whether the output is waited for.
        wait: bool,
    },
    /// Read a state entry. Result: its value or `null`.
    StateGet {
        /// Whose entry.
        scope: StateScope,
        /// Its key.
        key: String,
    },
    /// Write a state entry. Result: `null`.
    StateSet {
        /// Whose entry.
        scope: StateScope,
        /// Its key.
        key: String,
        /// Its new value.
        value: JsonText,
        /// None to keep it without end.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ttl_ms: Option<u64>,
    },
    /// Delete a state entry. Result: `null`.
    StateDelete {
        /// Whose entry.
        scope: StateScope,
        /// Its key.
        key: String,
    },
    /// Read a secret. Result: its value as a JSON string, or `null`. The value must not be kept anywhere.
    SecretGet {
        /// Its name.
        name: String,
    },
    /// Read a value of the environment's configuration. Result: the value or `null`.
    ConfigGet {
        /// Its key.
        key: String,
    },
    /// Call a connector's action. Result: whatever the action gives.
    Connector {
        /// The connector.
        slug: String,
        /// The action.
        action: String,
        /// Its arguments.
        args: JsonText,
    },
}

impl OpKind {
    /// A short constant name, for step marks and metrics.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Fetch { .. } => "fetch",
            Self::Sleep { .. } => "sleep",
            Self::WaitForEvent { .. } => "wait_for_event",
            Self::Emit { .. } => "emit",
            Self::Approval { .. } => "approval",
            Self::Invoke { .. } => "invoke",
            Self::StateGet { .. } => "state_get",
            Self::StateSet { .. } => "state_set",
            Self::StateDelete { .. } => "state_delete",
            Self::SecretGet { .. } => "secret_get",
            Self::ConfigGet { .. } => "config_get",
            Self::Connector { .. } => "connector",
        }
    }
}

/// The body of a fetch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FetchBody {
    /// Sent as UTF-8.
    Text(String),
    /// Bytes in standard base64 with padding.
    Base64(String),
}

/// What a fetch does about redirects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Redirect {
    /// Go where it points.
    Follow,
    /// Fail.
    Error,
    /// Hand the redirect to the workflow.
    Manual,
}

/// Whose state an entry belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum StateScope {
    /// The workflow's, for this customer, across executions.
    Org,
    /// This execution's alone.
    Invocation,
}

/// The answer to one request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OpResult {
    /// The key of the request.
    pub key: String,
    /// When it came, in milliseconds since the epoch; the execution's clock moves there.
    pub at_ms: i64,
    /// The result as JSON text, or how it failed.
    pub outcome: Result<String, OpError>,
}

/// Why a request failed, as the workflow will see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OpError {
    /// The error's `name`; for a fetch it is `FetchError` whatever stands here.
    pub name: String,
    /// The error's `message`.
    pub message: String,
    /// The error's `code`.
    pub code: String,
    /// Whether a later attempt may succeed.
    pub retryable: bool,
}
