//! One call: its attempts, their waits, and what its answer becomes.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use fastn_contract::{HEADER_ACCESS_KEY, HEADER_ACCOUNT, HEADER_CUSTOMER, HEADER_IDEMPOTENCY_KEY};
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER};
use reqwest::{Method, Response, Url};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{Error, ErrorKind};

/// The first wait between two attempts; it doubles.
const WAIT_FIRST: Duration = Duration::from_millis(250);
/// Longest wait between two attempts, also when the server asks for more: then the error is the caller's to handle.
const WAIT_MAX: Duration = Duration::from_secs(30);
/// Times that one call follows a customer to another cell: one that is sent back and forth ends.
const MOVES_MAX: u32 = 2;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// The connection to one server with one key. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Transport(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    http: reqwest::Client,
    url: Url,
    timeout: Duration,
    attempts_max: u32,
    /// The cells of customers that this one does not serve, as it told.
    homes: Mutex<HashMap<String, Url>>,
}

/// One request.
#[derive(Debug)]
pub(crate) struct Call {
    method: Method,
    segments: Vec<String>,
    query: Vec<(&'static str, String)>,
    body: Option<Bytes>,
    headers: HeaderMap,
}

impl Call {
    /// A request to the path made of `segments`, each encoded.
    pub(crate) fn new(method: Method, segments: &[impl AsRef<str>]) -> Self {
        let mut headers = HeaderMap::new();
        if method != Method::GET {
            let key = HeaderValue::from_str(&random_key()).expect("hex is plain text");
            headers.insert(HEADER_IDEMPOTENCY_KEY, key);
        }
        let segments = segments.iter().map(|segment| segment.as_ref().to_owned()).collect();
        Self { method, segments, query: Vec::new(), body: None, headers }
    }

    /// Without the idempotency key that a write carries otherwise.
    pub(crate) fn without_key(mut self) -> Self {
        self.headers.remove(HEADER_IDEMPOTENCY_KEY);
        self
    }

    /// The customer that it is for; empty for none.
    fn customer(&self) -> String {
        let named = self.headers.get(HEADER_CUSTOMER).and_then(|value| value.to_str().ok());
        named.unwrap_or_default().to_owned()
    }

    fn is_repeatable(&self) -> bool {
        self.method == Method::GET || self.headers.contains_key(HEADER_IDEMPOTENCY_KEY)
    }

    /// With a query parameter, if it has a value.
    pub(crate) fn query(mut self, name: &'static str, value: Option<impl ToString>) -> Self {
        self.query.extend(value.map(|value| (name, value.to_string())));
        self
    }

    /// With a JSON body.
    pub(crate) fn json(mut self, body: &impl Serialize) -> Result<Self, Error> {
        let bytes = serde_json::to_vec(body)
            .map_err(|error| Error::new(ErrorKind::Config, "write the request", error.to_string()))?;
        self.body = Some(bytes.into());
        self.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        Ok(self)
    }

    /// With a body as it is.
    pub(crate) fn raw(mut self, kind: &str, body: Bytes) -> Self {
        self.body = Some(body);
        if let Ok(kind) = HeaderValue::from_str(kind) {
            self.headers.insert(CONTENT_TYPE, kind);
        }
        self
    }

    /// With a header; one that cannot be sent is left out.
    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        if let (Ok(name), Ok(value)) = (name.parse::<reqwest::header::HeaderName>(), HeaderValue::from_str(value)) {
            self.headers.insert(name, value);
        }
        self
    }

    /// For one customer.
    pub(crate) fn for_customer(self, customer: Option<&str>) -> Self {
        match customer {
            Some(customer) => self.header(HEADER_CUSTOMER, customer),
            None => self,
        }
    }
}

impl Transport {
    pub(crate) fn new(
        url: &str,
        key: &str,
        account: Option<&str>,
        timeout: Duration,
        attempts_max: u32,
    ) -> Result<Self, Error> {
        let refused = |detail: String| Error::new(ErrorKind::Config, "configure the client", detail);
        let url: Url = url.parse().map_err(|error| refused(format!("{url:?} is no URL: {error}")))?;
        if url.cannot_be_a_base() {
            return Err(refused(format!("{url} is no server's URL")));
        }
        let mut headers = HeaderMap::new();
        let mut key = HeaderValue::from_str(key).map_err(|_| refused("the access key is no plain text".to_owned()))?;
        key.set_sensitive(true);
        headers.insert(HEADER_ACCESS_KEY, key);
        if let Some(account) = account {
            let account =
                HeaderValue::from_str(account).map_err(|_| refused("the account is no plain text".to_owned()))?;
            headers.insert(HEADER_ACCOUNT, account);
        }
        let http = reqwest::Client::builder()
            .default_headers(headers)
            .user_agent(concat!("fastn-sdk-rust/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|error| refused(error.to_string()))?;
        Ok(Self(Arc::new(Inner { http, url, timeout, attempts_max, homes: Mutex::default() })))
    }

    /// The server.
    pub(crate) fn url(&self) -> &Url {
        &self.0.url
    }

    /// Attempts of a call, the first included.
    pub(crate) fn attempts_max(&self) -> u32 {
        self.0.attempts_max
    }

    /// Makes the call and decodes its answer. An empty answer decodes as JSON `null`.
    pub(crate) async fn decode<T: DeserializeOwned>(&self, call: Call) -> Result<T, Error> {
        let operation = operation(&call);
        let bytes = self.bytes(call).await?;
        let text: &[u8] = if bytes.is_empty() { b"null" } else { &bytes };
        serde_json::from_slice(text).map_err(|error| {
            Error::new(ErrorKind::BadAnswer, operation, format!("the answer was not understood: {error}"))
        })
    }

    /// Makes the call: attempts until one succeeds, fails for good, or there are no more. A read, and a write with an
    /// idempotency key, may be sent again whatever became of it; any other only when it was certainly not taken.
    pub(crate) async fn bytes(&self, call: Call) -> Result<Bytes, Error> {
        self.attempts(&call).await
    }

    /// As [`Transport::bytes`]; the same call again is the same request to the server.
    pub(crate) async fn attempts(&self, call: &Call) -> Result<Bytes, Error> {
        let mut attempt = 1;
        let mut moves = 0;
        loop {
            let error = match self.once(call).await {
                Ok(bytes) => return Ok(bytes),
                Err(error) => error,
            };
            if moves < MOVES_MAX && self.moved(call, &error) {
                moves += 1;
                continue;
            }
            let wait = error.retry_after.unwrap_or_else(|| backoff(attempt));
            let safe = call.is_repeatable() || error.is_not_done();
            if attempt >= self.0.attempts_max || !error.is_transient() || !safe || wait > WAIT_MAX {
                return Err(error);
            }
            tokio::time::sleep(wait).await;
            attempt += 1;
        }
    }

    /// Remembers the cell that the answer names as the customer's own. False when it names none, or none that may be
    /// trusted with the key: a server that was reached over TLS cannot lead to one that is not.
    fn moved(&self, call: &Call, error: &Error) -> bool {
        let Some(url) = error.base_url.as_deref().filter(|_| error.status == Some(421)) else { return false };
        let Ok(url) = url.parse::<Url>() else { return false };
        let safe = url.scheme() == "https" || (url.scheme() == "http" && self.url().scheme() == "http");
        if !safe || url.cannot_be_a_base() {
            return false;
        }
        self.0.homes.lock().unwrap_or_else(PoisonError::into_inner).insert(call.customer(), url);
        true
    }

    async fn once(&self, call: &Call) -> Result<Bytes, Error> {
        let operation = operation(call);
        let request = self.request(call).timeout(self.0.timeout);
        let response = request.send().await.map_err(|error| not_sent(&operation, self.url(), &error))?;
        let (status, retry_after) = (response.status(), retry_after(response.headers()));
        let body = response.bytes().await.map_err(|error| not_sent(&operation, self.url(), &error))?;
        if status.is_success() {
            return Ok(body);
        }
        Err(Error::answered(&operation, status.as_u16(), retry_after, &body))
    }

    /// Opens a stream: its head has a time limit, its body none.
    pub(crate) async fn open(&self, call: &Call) -> Result<Response, Error> {
        match self.open_once(call).await {
            Err(error) if self.moved(call, &error) => self.open_once(call).await,
            opened => opened,
        }
    }

    async fn open_once(&self, call: &Call) -> Result<Response, Error> {
        let operation = operation(call);
        let request = self.request(call).header(ACCEPT, "text/event-stream");
        let response = match tokio::time::timeout(self.0.timeout, request.send()).await {
            Ok(sent) => sent.map_err(|error| not_sent(&operation, self.url(), &error))?,
            Err(_) => return Err(Error::new(ErrorKind::Unknown, operation, "the stream did not open in time")),
        };
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let retry_after = retry_after(response.headers());
        let body = response.bytes().await.unwrap_or_default();
        Err(Error::answered(&operation, status.as_u16(), retry_after, &body))
    }

    fn request(&self, call: &Call) -> reqwest::RequestBuilder {
        let home = self.0.homes.lock().unwrap_or_else(PoisonError::into_inner).get(&call.customer()).cloned();
        let mut url = home.unwrap_or_else(|| self.0.url.clone());
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(&call.segments);
        }
        let request = self.0.http.request(call.method.clone(), url).headers(call.headers.clone()).query(&call.query);
        match &call.body {
            Some(body) => request.body(body.clone()),
            None => request,
        }
    }
}

fn operation(call: &Call) -> String {
    format!("{} /{}", call.method, call.segments.join("/"))
}

fn not_sent(operation: &str, url: &Url, error: &reqwest::Error) -> Error {
    if error.is_connect() {
        let detail = format!("no server answers at {url}; is it running, and is FASTN_URL right?");
        return Error::new(ErrorKind::Unreachable, operation, detail);
    }
    let detail = if error.is_timeout() { "the time ran out" } else { "the connection broke" };
    Error::new(ErrorKind::Unknown, operation, format!("{detail}; it is not known whether the server took the request"))
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok().map(Duration::from_secs)
}

/// Doubles with each attempt; half of it is left to chance, so that clients that failed together come back apart.
pub(crate) fn backoff(attempt: u32) -> Duration {
    let whole = WAIT_FIRST.saturating_mul(1 << attempt.saturating_sub(1).min(6));
    let share = (RandomState::new().hash_one(attempt) % 1_000) as f64 / 1_000.0;
    whole.mul_f64(0.5 + share / 2.0)
}

/// 128 random bits in hex. The hasher's keys are random in each process and change with each use.
pub(crate) fn random_key() -> String {
    let [high, low] = [RandomState::new().hash_one(1), RandomState::new().hash_one(2)];
    let nanos = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default().as_nanos();
    format!("sdk-{:016x}{:016x}", high ^ (nanos as u64), low)
}
