//! The record of the topic `traces`: one outside call of a step.
//!
//! Traces are for people who look at what their workflows call. Nothing is decided by them: they are written best-effort,
//! and a lost one is no lost execution. They hold no payload, no header, no path and no query: any of those may be a secret.

use serde::{Deserialize, Serialize};

use crate::ids::{ExecutionId, WorkflowId};
use crate::journal::Epoch;
use crate::scope::Scope;
use crate::time::Timestamp;

/// One outside call of a step, as it ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trace {
    /// The epoch of the processor that made the call.
    #[serde(with = "crate::long")]
    pub epoch: Epoch,
    /// When the call was asked for; it may have waited for a place first.
    pub started: Timestamp,
    /// From `started` to the end of the answer.
    #[serde(with = "crate::long")]
    pub duration_ms: u64,
    /// The execution.
    pub execution: ExecutionId,
    /// The attempt of the execution, from 1.
    pub attempt: u32,
    /// The account and the customer.
    pub scope: Scope,
    /// The workflow.
    pub workflow: WorkflowId,
    /// The key of the step within the execution, as in the journal's results.
    pub step: String,
    /// `http`; the slug of a connector, once there are any.
    pub via: String,
    /// The HTTP method.
    pub method: String,
    /// Scheme, host and port, e.g. `https://api.example.com`. Empty when the URL was not one.
    pub origin: String,
    /// The HTTP status of the answer.
    pub status: Option<u32>,
    /// Why there is no answer, e.g. `ETIMEDOUT`.
    pub error: Option<String>,
    /// Bytes of the request's body.
    #[serde(with = "crate::long")]
    pub request_bytes: u64,
    /// Bytes of the answer's body.
    #[serde(with = "crate::long")]
    pub response_bytes: u64,
}
