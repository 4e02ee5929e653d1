//! A hand between the platform and the outside: whoever tests a workflow answers its calls.
//!
//! It is asked for every request that would leave: those of workflows, of polls, of connector apps and of alert channels.

use std::sync::Arc;

use fastn_domain::ids::{ExecutionId, WorkflowId};
use fastn_domain::scope::Scope;
use futures_util::future::BoxFuture;

/// Who makes an outside call.
#[derive(Clone, Debug)]
pub enum CallBy {
    /// A workflow.
    Workflow {
        /// Its execution.
        execution: ExecutionId,
        /// The workflow.
        workflow: WorkflowId,
        /// The key of the request, which begins with the step that it is made in.
        key: String,
        /// Whose.
        scope: Arc<Scope>,
    },
    /// The poll of a source.
    Poll,
    /// What a connector app needs: its subscriptions.
    App,
    /// The channel of an alert rule.
    Alert,
}

/// A call that would go out. It may hold secrets, so it does not show itself.
#[derive(Clone)]
pub struct OutsideCall {
    /// Whose.
    pub by: CallBy,
    /// The method, or `SMTP`.
    pub method: String,
    /// Where to.
    pub url: String,
    /// The headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Option<Vec<u8>>,
    /// How long the caller waits.
    pub timeout_ms: u64,
}

/// What is answered instead.
#[derive(Clone, Debug)]
pub enum Instead {
    /// This answer.
    Answer {
        /// The status.
        status: u16,
        /// The headers, names in lower case.
        headers: Vec<(String, String)>,
        /// The body.
        body: Vec<u8>,
    },
    /// No answer.
    Fails {
        /// As the system calls it: `ECONNREFUSED`.
        code: String,
        /// In words.
        message: String,
        /// Whether another attempt may have more luck.
        retryable: bool,
    },
    /// The call goes out.
    Goes,
}

/// Decides on a call.
pub type Decide = dyn Fn(OutsideCall) -> BoxFuture<'static, Instead> + Send + Sync;

/// See the head of this file.
#[derive(Clone)]
pub struct Intercept(pub Arc<Decide>);

impl Intercept {
    /// Asks for `call`.
    pub(crate) async fn ask(&self, call: OutsideCall) -> Instead {
        (self.0)(call).await
    }
}

impl std::fmt::Debug for Intercept {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Intercept")
    }
}

/// The headers whose values are text.
pub(crate) fn texts(headers: &reqwest::header::HeaderMap) -> Vec<(String, String)> {
    let text = |(name, value): (&reqwest::header::HeaderName, &reqwest::header::HeaderValue)| {
        Some((name.to_string(), value.to_str().ok()?.to_owned()))
    };
    headers.iter().filter_map(text).collect()
}
