//! One call: its attempts, their waits, and what its answer becomes.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use fastn_contract::{HEADER_ACCESS_KEY, HEADER_ACCOUNT, HEADER_CUSTOMER, HEADER_IDEMPOTENCY_KEY, HEADER_REQUEST_ID};
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER};
use reqwest::{Method, Response, Url};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::Semaphore;

use crate::error::{Error, ErrorKind};

/// The first wait between two attempts; it doubles.
const WAIT_FIRST: Duration = Duration::from_millis(250);
/// Longest wait between two attempts, also when the server asks for more: then the error is the caller's to handle.
const WAIT_MAX: Duration = Duration::from_secs(30);
/// Times that one call follows a customer to another cell: one that is sent back and forth ends.
const MOVES_MAX: u32 = 2;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Requests of one client under way at once; more wait for their turn, before their time limit begins. Each may need a
/// connection, and the files that a process may open are often limited to 1,024. Streams do not count.
const REQUESTS_MAX: usize = 256;

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
    turns: Semaphore,
    settings: Settings,
}

/// One request.
#[derive(Debug)]
pub(crate) struct Call {
    method: Method,
    segments: Vec<String>,
    query: Vec<(Cow<'static, str>, String)>,
    body: Option<Bytes>,
    headers: HeaderMap,
    timeout: Option<Duration>,
    /// Why it must not be made.
    refused: Option<String>,
}

/// What a client is made of.
#[derive(Clone, Default)]
pub(crate) struct Settings {
    pub(crate) url: String,
    pub(crate) key: String,
    pub(crate) account: Option<String>,
    pub(crate) timeout: Duration,
    pub(crate) attempts_max: u32,
    pub(crate) proxy: Option<String>,
    /// Certificates of authorities, PEM, beside those that the machine trusts.
    pub(crate) authorities: Option<Vec<u8>>,
    /// The name of a binding and its version, e.g. `fastn-sdk-python/0.1.0`.
    pub(crate) agent: Option<String>,
}

impl std::fmt::Debug for Settings {
    /// Without the key and the proxy's password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Settings").field("url", &self.url).field("account", &self.account).finish_non_exhaustive()
    }
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
        Self { method, segments, query: Vec::new(), body: None, headers, timeout: None, refused: None }
    }

    /// With a key of the caller's instead of one by chance.
    ///
    /// # Errors
    /// `Config` when it cannot be a header's value.
    pub(crate) fn with_key(mut self, key: Option<&str>) -> Result<Self, Error> {
        if let Some(key) = key.filter(|_| self.method != Method::GET) {
            let value = HeaderValue::from_str(key).map_err(|_| {
                let detail = "the idempotency key is no plain text";
                Error::new(ErrorKind::Config, operation(&self), detail)
            })?;
            self.headers.insert(HEADER_IDEMPOTENCY_KEY, value);
        }
        Ok(self)
    }

    /// With a time limit for each attempt that is not the client's.
    pub(crate) fn timeout(mut self, timeout: Option<Duration>) -> Self {
        self.timeout = timeout.or(self.timeout);
        self
    }

    /// Without the idempotency key that a write carries otherwise.
    pub(crate) fn without_key(mut self) -> Self {
        self.headers.remove(HEADER_IDEMPOTENCY_KEY);
        self
    }

    /// What it is, for errors, e.g. `GET /v1/events`.
    pub(crate) fn name(&self) -> String {
        operation(self)
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
    pub(crate) fn query(mut self, name: impl Into<Cow<'static, str>>, value: Option<impl ToString>) -> Self {
        self.query.extend(value.map(|value| (name.into(), value.to_string())));
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

    /// With a header. A call with one that cannot be sent is not made: without its customer or its condition it would be
    /// another one.
    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        match (name.parse::<reqwest::header::HeaderName>(), HeaderValue::from_str(value)) {
            (Ok(name), Ok(value)) => drop(self.headers.insert(name, value)),
            _ => self.refused = Some(format!("{value:.64?} cannot be the value of the header {name:.64?}")),
        }
        self
    }

    /// For one customer.
    pub(crate) fn for_customer(self, customer: Option<&str>) -> Self {
        match customer {
            Some("") => Self { refused: Some("the customer's id is empty".to_owned()), ..self },
            Some(customer) => self.header(HEADER_CUSTOMER, customer),
            None => self,
        }
    }
}

impl Transport {
    pub(crate) fn new(settings: Settings) -> Result<Self, Error> {
        let refused = |detail: String| Error::new(ErrorKind::Config, "configure the client", detail);
        let Settings { url, key, account, timeout, attempts_max, proxy, authorities, agent } = settings.clone();
        let url: Url = url.parse().map_err(|error| refused(format!("the server is given by no URL: {error}")))?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(refused(
                "the URL must not hold a name or a password: the access key goes in a header".to_owned(),
            ));
        }
        if url.cannot_be_a_base() || !matches!(url.scheme(), "http" | "https") {
            return Err(refused(format!("{url} is no server's URL: it begins with https:// or http://")));
        }
        let mut headers = HeaderMap::new();
        let mut key = HeaderValue::from_str(&key).map_err(|_| refused("the access key is no plain text".to_owned()))?;
        key.set_sensitive(true);
        headers.insert(HEADER_ACCESS_KEY, key);
        if let Some(account) = account {
            let account =
                HeaderValue::from_str(&account).map_err(|_| refused("the account is no plain text".to_owned()))?;
            headers.insert(HEADER_ACCOUNT, account);
        }
        let agent = agent.unwrap_or_else(|| concat!("fastn-sdk-rust/", env!("CARGO_PKG_VERSION")).to_owned());
        let mut http = reqwest::Client::builder()
            .default_headers(headers)
            .user_agent(agent)
            .connect_timeout(CONNECT_TIMEOUT)
            .redirect(reqwest::redirect::Policy::none());
        if let Some(proxy) = proxy {
            // The proxy's URL may hold a password: the error names none of it.
            let proxy = reqwest::Proxy::all(proxy).map_err(|_| refused("the proxy is no URL".to_owned()))?;
            http = http.proxy(proxy);
        }
        if let Some(pem) = authorities {
            let certificates = reqwest::Certificate::from_pem_bundle(&pem)
                .map_err(|error| refused(format!("the certificates of authorities do not read as PEM: {error}")))?;
            if certificates.is_empty() {
                return Err(refused("the PEM of authorities holds no certificate".to_owned()));
            }
            http = http.tls_certs_merge(certificates);
        }
        let http = http.build().map_err(|error| refused(error.to_string()))?;
        let (homes, turns) = (Mutex::default(), Semaphore::new(REQUESTS_MAX));
        Ok(Self(Arc::new(Inner { http, url, timeout, attempts_max, homes, turns, settings })))
    }

    /// The same with connections of its own.
    pub(crate) fn reconnected(&self) -> Result<Self, Error> {
        Self::new(self.0.settings.clone())
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
            let wait = wait_before(attempt, &error);
            let safe = call.is_repeatable() || error.is_not_done();
            if attempt >= self.0.attempts_max || !error.is_transient() || !safe || error.retry_after > Some(WAIT_MAX) {
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
        let _turn = self.0.turns.acquire().await.expect("nobody closes it");
        let request = self.request(call)?.timeout(call.timeout.unwrap_or(self.0.timeout));
        let response = request.send().await.map_err(|error| not_sent(&operation, self.url(), &error))?;
        let head = Head::of(&response);
        let body = response.bytes().await.map_err(|error| not_sent(&operation, self.url(), &error))?;
        if head.is_success() {
            return Ok(body);
        }
        Err(Error::answered(&operation, head, &body))
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
        let request = self.request(call)?.header(ACCEPT, "text/event-stream");
        let response = match tokio::time::timeout(self.0.timeout, request.send()).await {
            Ok(sent) => sent.map_err(|error| not_sent(&operation, self.url(), &error))?,
            Err(_) => return Err(Error::new(ErrorKind::Unknown, operation, "the stream did not open in time")),
        };
        let head = Head::of(&response);
        if head.is_success() {
            return Ok(response);
        }
        let body = response.bytes().await.unwrap_or_default();
        Err(Error::answered(&operation, head, &body))
    }

    fn request(&self, call: &Call) -> Result<reqwest::RequestBuilder, Error> {
        if let Some(why) = &call.refused {
            return Err(Error::new(ErrorKind::Config, operation(call), why.clone()));
        }
        if let Some(part) = call.segments.iter().find(|part| matches!(part.as_str(), "" | "." | "..")) {
            let detail = format!("{part:?} cannot be part of a path; is an id missing?");
            return Err(Error::new(ErrorKind::Config, operation(call), detail));
        }
        let home = self.0.homes.lock().unwrap_or_else(PoisonError::into_inner).get(&call.customer()).cloned();
        let mut url = home.unwrap_or_else(|| self.0.url.clone());
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(&call.segments);
        }
        let request = self.0.http.request(call.method.clone(), url).headers(call.headers.clone()).query(&call.query);
        Ok(match &call.body {
            Some(body) => request.body(body.clone()),
            None => request,
        })
    }
}

fn operation(call: &Call) -> String {
    format!("{} /{}", call.method, call.segments.join("/"))
}

fn not_sent(operation: &str, url: &Url, error: &reqwest::Error) -> Error {
    if error.is_connect() {
        // What went wrong at the bottom, e.g. that the certificate's authority is not known.
        let mut cause: &dyn std::error::Error = error;
        while let Some(inner) = cause.source() {
            cause = inner;
        }
        let detail = format!("no server answers at {url} ({cause}); is it running, and is FASTN_URL right?");
        return Error::new(ErrorKind::Unreachable, operation, detail);
    }
    let detail = if error.is_timeout() { "the time ran out" } else { "the connection broke" };
    Error::new(ErrorKind::Unknown, operation, format!("{detail}; it is not known whether the server took the request"))
}

/// What the head of an answer tells about how it failed.
pub(crate) struct Head {
    pub(crate) status: u16,
    pub(crate) retry_after: Option<Duration>,
    pub(crate) request_id: Option<String>,
}

impl Head {
    fn of(response: &Response) -> Self {
        let headers = response.headers();
        let request_id = headers.get(HEADER_REQUEST_ID).and_then(|value| value.to_str().ok()).map(str::to_owned);
        Self { status: response.status().as_u16(), retry_after: retry_after(headers), request_id }
    }

    fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

/// Seconds, or an instant by the machine's clock (RFC 9110, section 10.2.3).
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let at = httpdate::parse_http_date(text).ok()?;
    Some(at.duration_since(SystemTime::now()).unwrap_or_default())
}

/// How long to wait after the attempt that failed. What the server asks for is the least; up to a quarter of it, at least
/// 100 ms, is added by chance, so that clients that were told the same come back apart.
pub(crate) fn wait_before(attempt: u32, error: &Error) -> Duration {
    match error.retry_after {
        Some(told) => told + (told / 4).max(Duration::from_millis(100)).mul_f64(chance()),
        None => backoff(attempt),
    }
}

/// Doubles with each attempt; half of it is left to chance, so that clients that failed together come back apart.
pub(crate) fn backoff(attempt: u32) -> Duration {
    let whole = WAIT_FIRST.saturating_mul(1 << attempt.saturating_sub(1).min(6));
    whole.mul_f64(0.5 + chance() / 2.0)
}

/// From 0 to 1.
fn chance() -> f64 {
    f64::from(u16::from_ne_bytes(random())) / f64::from(u16::MAX)
}

/// Bytes of the operating system's generator; a forked process gets others than its parent.
fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    aws_lc_rs::rand::fill(&mut bytes).expect("the system has random bytes");
    bytes
}

/// 128 random bits in hex.
pub(crate) fn random_key() -> String {
    format!("sdk-{:032x}", u128::from_ne_bytes(random()))
}
