//! What the outside answers in a test, and what it was asked.
//!
//! Every call that would leave the platform comes by here: of workflows, of polls, of connector apps, of alert channels.
//! The first mock that matches and is not used up answers. A call that none answers fails, unless the network is allowed: a
//! test never reaches the internet by accident.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fastn_domain::time::{Clock, Timestamp};
use fastn_pipeline::processor::{CallBy, Instead, Intercept, OutsideCall};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::pattern::matches;

/// Calls that are kept, the oldest leave first.
const CALLS_MAX: usize = 10_000;
/// Bytes of a body that are kept.
const BODY_BYTES_MAX: usize = 1 << 20;
/// The code of a call that nothing answers.
const NOT_MOCKED: &str = "ENOTMOCKED";
/// Longest delay: what waits longer has run into its timeout.
const DELAY_MS_MAX: u64 = 24 * 3_600_000;

/// An answer of the outside.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Mock {
    /// The method; any when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// The URL. `*` stands for anything but a slash, `**` for anything; a query counts only where the pattern has one.
    pub url: String,
    /// The status: 200 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Headers of the answer.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// The body: a text as it is, anything else as JSON, `{"base64": "…"}` as bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<Value>,
    /// How often it answers; for ever when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<u32>,
    /// How long it takes on the test's clock, e.g. `30s`. A caller that waits for less long gets a timeout.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delay: Option<String>,
    /// No answer but this failure of the network, e.g. `ECONNREFUSED`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fails: Option<String>,
}

impl Mock {
    /// Answers `method` at `url` with 200 and nothing.
    pub fn new(method: &str, url: &str) -> Self {
        Self { method: Some(method.to_owned()), url: url.to_owned(), ..Self::default() }
    }

    /// Answers with this status.
    #[must_use]
    pub fn status(self, status: u16) -> Self {
        Self { status: Some(status), ..self }
    }

    /// Answers with this body.
    #[must_use]
    pub fn json(self, body: Value) -> Self {
        Self { body: Some(body), ..self }
    }

    /// Answers with this header too.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Answers so often.
    #[must_use]
    pub fn times(self, times: u32) -> Self {
        Self { times: Some(times), ..self }
    }

    /// Answers after so long on the test's clock.
    #[must_use]
    pub fn delay(self, delay: Duration) -> Self {
        Self { delay: Some(format!("{}ms", delay.as_millis())), ..self }
    }

    /// Does not answer: the network fails with this code.
    #[must_use]
    pub fn fails(self, code: &str) -> Self {
        Self { fails: Some(code.to_owned()), ..self }
    }

    fn delay_ms(&self) -> Result<u64, String> {
        let Some(text) = &self.delay else { return Ok(0) };
        let delay =
            super::duration_ms(text).ok_or_else(|| format!("delay {text:?} is no duration, e.g. 500ms, 30s, 5m"))?;
        Ok(delay.min(DELAY_MS_MAX))
    }

    /// # Errors
    /// What cannot be answered.
    pub(crate) fn check(&self) -> Result<(), String> {
        self.delay_ms()?;
        if self.url.is_empty() {
            return Err("a mock without a url answers nothing".to_owned());
        }
        if let Some(status) = self.status.filter(|status| !(200..=599).contains(status)) {
            return Err(format!("status {status} is no status of an answer"));
        }
        if let Some(Value::Object(body)) = &self.body
            && let Some(Value::String(text)) = body.get("base64").filter(|_| body.len() == 1)
        {
            STANDARD.decode(text).map_err(|error| format!("the base64 of a body: {error}"))?;
        }
        Ok(())
    }

    fn takes(&self, call: &OutsideCall) -> bool {
        self.method.as_ref().is_none_or(|method| method == "*" || method.eq_ignore_ascii_case(&call.method))
            && matches(&self.url, &call.url)
    }

    fn answer(&self) -> Instead {
        let (kind, body) = match &self.body {
            None | Some(Value::Null) => (None, Vec::new()),
            Some(Value::String(text)) => (Some("text/plain; charset=utf-8"), text.clone().into_bytes()),
            Some(Value::Object(body)) if body.len() == 1 && body.contains_key("base64") => {
                let bytes = body["base64"].as_str().and_then(|text| STANDARD.decode(text).ok());
                (Some("application/octet-stream"), bytes.unwrap_or_default())
            }
            Some(value) => (Some("application/json"), value.to_string().into_bytes()),
        };
        let mut headers: Vec<(String, String)> =
            self.headers.iter().map(|(name, value)| (name.to_lowercase(), value.clone())).collect();
        if let Some(kind) = kind.filter(|_| !headers.iter().any(|(name, _)| name == "content-type")) {
            headers.push(("content-type".to_owned(), kind.to_owned()));
        }
        Instead::Answer { status: self.status.unwrap_or(200), headers, body }
    }
}

/// A call to the outside that was made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Call {
    /// When, on the test's clock.
    pub at: String,
    /// `workflow`, `poll`, `app` or `alert`.
    pub by: String,
    /// The method; `SMTP` for a mail.
    pub method: String,
    /// Where to.
    pub url: String,
    /// The headers, names in lower case, without credentials.
    pub headers: BTreeMap<String, String>,
    /// The body: JSON where it is JSON, else a text, else `{"base64": "…"}`; null when there is none.
    pub body: Value,
    /// The customer whose workflow asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customer: Option<String>,
    /// The workflow that asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workflow: Option<String>,
    /// Its execution.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub execution: Option<String>,
    /// The step in which it asked; absent outside of any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    /// `mock`, `network`, or `nothing` for one that failed because no mock answers it.
    pub answered: String,
    /// The status of the mock's answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
}

/// See the head of this file.
pub(crate) struct Mocks {
    clock: Arc<dyn Clock>,
    allow_network: bool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    mocks: Vec<(Mock, u32)>,
    calls: std::collections::VecDeque<Call>,
    /// Until when calls are held up by the delay of a mock.
    waiting: HashMap<u64, Timestamp>,
    next: u64,
}

/// What becomes of a call.
struct Decided {
    instead: Instead,
    wait_ms: u64,
}

impl Mocks {
    pub(crate) fn new(clock: Arc<dyn Clock>, allow_network: bool) -> Arc<Self> {
        Arc::new(Self { clock, allow_network, state: Mutex::default() })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the place of all mocks before.
    ///
    /// # Errors
    /// The first that cannot answer.
    pub(crate) fn set(&self, mocks: Vec<Mock>) -> Result<(), String> {
        for (at, mock) in mocks.iter().enumerate() {
            mock.check().map_err(|why| format!("mock {}: {why}", at + 1))?;
        }
        self.state().mocks = mocks.into_iter().map(|mock| (mock, 0)).collect();
        Ok(())
    }

    /// Adds one behind the others.
    ///
    /// # Errors
    /// It cannot answer.
    pub(crate) fn add(&self, mock: Mock) -> Result<(), String> {
        mock.check()?;
        self.state().mocks.push((mock, 0));
        Ok(())
    }

    /// The calls that were made, in order.
    pub(crate) fn calls(&self) -> Vec<Call> {
        self.state().calls.iter().cloned().collect()
    }

    /// Calls that wait for the clock to move beyond now.
    pub(crate) fn held_up(&self) -> usize {
        let now = self.clock.now();
        self.state().waiting.values().filter(|until| **until > now).count()
    }

    /// When the first of them goes on.
    pub(crate) fn next_due(&self) -> Option<Timestamp> {
        self.state().waiting.values().min().copied()
    }

    /// The hand in front of the outside.
    pub(crate) fn intercept(self: &Arc<Self>) -> Intercept {
        let mocks = Arc::clone(self);
        Intercept(Arc::new(move |call| {
            let mocks = Arc::clone(&mocks);
            Box::pin(async move { mocks.answer(call).await })
        }))
    }

    async fn answer(&self, call: OutsideCall) -> Instead {
        let Decided { instead, wait_ms } = self.decide(&call);
        if wait_ms > 0 {
            let until = self.clock.now().plus(Duration::from_millis(wait_ms));
            let waiting = Waiting::until(self, until);
            if let Some(alarm) = self.clock.alarm(until) {
                alarm.await;
            }
            drop(waiting);
        }
        instead
    }

    fn decide(&self, call: &OutsideCall) -> Decided {
        let at = self.clock.now();
        let mut state = self.state();
        let found =
            state.mocks.iter_mut().find(|(mock, used)| mock.takes(call) && mock.times.is_none_or(|max| *used < max));
        let decided = match found {
            Some((mock, used)) => {
                *used += 1;
                let delay_ms = mock.delay_ms().unwrap_or_default();
                if delay_ms >= call.timeout_ms {
                    let message = format!("no answer within {} ms", call.timeout_ms);
                    Decided { instead: fails("ETIMEDOUT", message, true), wait_ms: call.timeout_ms }
                } else {
                    let instead = match &mock.fails {
                        Some(code) => fails(code, "the network fails, as the test wants it".to_owned(), true),
                        None => mock.answer(),
                    };
                    Decided { instead, wait_ms: delay_ms }
                }
            }
            None if self.allow_network => Decided { instead: Instead::Goes, wait_ms: 0 },
            None => {
                let message = format!(
                    "no mock answers {} {}; add one, or allow the network with --allow-network",
                    call.method, call.url
                );
                Decided { instead: fails(NOT_MOCKED, message, false), wait_ms: 0 }
            }
        };
        if state.calls.len() == CALLS_MAX {
            state.calls.pop_front();
        }
        state.calls.push_back(record(at, call, &decided.instead));
        decided
    }
}

fn fails(code: &str, message: String, retryable: bool) -> Instead {
    Instead::Fails { code: code.to_owned(), message, retryable }
}

/// Keeps a call among those that wait, for as long as it does.
struct Waiting<'m>(&'m Mocks, u64);

impl<'m> Waiting<'m> {
    fn until(mocks: &'m Mocks, until: Timestamp) -> Self {
        let mut state = mocks.state();
        state.next += 1;
        let id = state.next;
        state.waiting.insert(id, until);
        Self(mocks, id)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.state().waiting.remove(&self.1);
    }
}

fn record(at: Timestamp, call: &OutsideCall, instead: &Instead) -> Call {
    let (answered, status) = match instead {
        Instead::Answer { status, .. } => ("mock", Some(*status)),
        Instead::Fails { code, .. } if code == NOT_MOCKED => ("nothing", None),
        Instead::Fails { .. } => ("mock", None),
        Instead::Goes => ("network", None),
    };
    let (mut customer, mut workflow, mut execution, mut step) = (None, None, None, None);
    let by = match &call.by {
        CallBy::Workflow { execution: id, workflow: of, key, scope } => {
            customer = Some(scope.customer.to_string());
            workflow = Some(of.to_string());
            execution = Some(id.to_string());
            step = step_of(key);
            "workflow"
        }
        CallBy::Poll => "poll",
        CallBy::App => "app",
        CallBy::Alert => "alert",
    };
    Call {
        at: at.to_string(),
        by: by.to_owned(),
        method: call.method.clone(),
        url: call.url.clone(),
        headers: call.headers.iter().filter(|(name, _)| !is_credential(name)).cloned().collect(),
        body: call.body.as_deref().map_or(Value::Null, body_value),
        customer,
        workflow,
        execution,
        step,
        answered: answered.to_owned(),
        status,
    }
}

/// The step around a request, by its key `charge~2/fetch#1`; none for a request outside of any.
fn step_of(key: &str) -> Option<String> {
    let (steps, _) = key.rsplit_once('/')?;
    let step = steps.rsplit('/').next().unwrap_or(steps);
    let step = step.split('~').next().unwrap_or(step);
    Some(step.to_owned())
}

fn is_credential(name: &str) -> bool {
    let exactly = ["authorization", "proxy-authorization", "cookie", "webhook-signature"];
    let endings = ["-token", "-secret", "api-key", "apikey", "access-key", "-signature"];
    exactly.contains(&name) || endings.iter().any(|ending| name.ends_with(ending))
}

fn body_value(body: &[u8]) -> Value {
    let body = &body[..body.len().min(BODY_BYTES_MAX)];
    if let Ok(value) = serde_json::from_slice(body) {
        return value;
    }
    match std::str::from_utf8(body) {
        Ok(text) => Value::String(text.to_owned()),
        Err(_) => json!({ "base64": STANDARD.encode(body) }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::clock::VirtualClock;

    fn call(method: &str, url: &str) -> OutsideCall {
        OutsideCall {
            by: CallBy::Poll,
            method: method.to_owned(),
            url: url.to_owned(),
            headers: vec![("authorization".to_owned(), "Bearer hidden".to_owned()), ("x-a".to_owned(), "1".to_owned())],
            body: Some(b"{\"n\":1}".to_vec()),
            timeout_ms: 10_000,
        }
    }

    /// Property: mocks answer in order as often as they may, what none answers fails, and no credential is kept of a call.
    #[tokio::test]
    async fn answers_in_order_and_refuses_the_rest() {
        let mocks = Mocks::new(Arc::new(VirtualClock::standing(Timestamp(0))), false);
        let once = Mock::new("POST", "https://a.example/x").status(503).times(1);
        mocks.set(vec![once, Mock::new("POST", "https://a.example/*").json(json!({"ok": true}))]).unwrap();
        let status = |instead: Instead| match instead {
            Instead::Answer { status, .. } => Ok(status),
            Instead::Fails { code, .. } => Err(code),
            Instead::Goes => Err("goes".to_owned()),
        };
        assert_eq!(status(mocks.answer(call("POST", "https://a.example/x")).await), Ok(503));
        assert_eq!(status(mocks.answer(call("post", "https://a.example/x?q=1")).await), Ok(200));
        assert_eq!(status(mocks.answer(call("GET", "https://a.example/x")).await), Err(NOT_MOCKED.to_owned()));
        let calls = mocks.calls();
        assert_eq!(calls.iter().map(|call| call.answered.as_str()).collect::<Vec<_>>(), ["mock", "mock", "nothing"]);
        assert!(!serde_json::to_string(&calls).unwrap().contains("hidden"));
        assert_eq!(calls[0].body, json!({"n": 1}));
    }

    /// Property: a delay passes on the clock only, and one that is longer than the caller waits is a timeout.
    #[tokio::test]
    async fn delays_pass_on_the_clock() {
        let clock = VirtualClock::standing(Timestamp(0));
        let mocks = Mocks::new(Arc::new(clock.clone()), false);
        let slow = |seconds| Mock::new("GET", "https://a.example/").delay(Duration::from_secs(seconds));
        mocks.set(vec![slow(5).times(1), slow(50)]).unwrap();
        for (seconds, times_out) in [(5, false), (10, true)] {
            let mut answer = Box::pin(mocks.answer(call("GET", "https://a.example/")));
            assert!(futures_util::poll!(&mut answer).is_pending());
            assert_eq!(mocks.held_up(), 1);
            let due = clock.now().plus(Duration::from_secs(seconds));
            assert_eq!(mocks.next_due(), Some(due));
            clock.move_to(due);
            assert_eq!(matches!(answer.await, Instead::Fails { .. }), times_out);
        }
        assert_eq!(mocks.next_due(), None);
    }

    /// Property: a call is told with the step that a person knows.
    #[test]
    fn steps_are_named() {
        assert_eq!(step_of("charge~2/fetch#1").as_deref(), Some("charge"));
        assert_eq!(step_of("outer#2/inner/fetch#1").as_deref(), Some("inner"));
        assert_eq!(step_of("fetch#1"), None);
    }
}
