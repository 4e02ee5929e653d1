//! Outbound HTTP: one request of a workflow, with its limits.
//!
//! A call is made once here; whether it is made again is decided by the journal. Addresses that are not public are refused
//! unless allowed: as literals in the URL, after name resolution, and behind every redirect.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fastn_domain::journal::OpFailure;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use tokio::sync::Semaphore;

use super::intercept::{CallBy, Instead, Intercept, OutsideCall, texts};
use super::observe;
use crate::runtime::{FetchBody, OpKind, Redirect};

/// Largest response body that a workflow gets.
pub const CALL_RESPONSE_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Longest time of one call.
pub const CALL_TIMEOUT_MS_MAX: u64 = 120_000;
/// Calls under way to one origin; more wait, at a few hundred bytes each. A slow origin holds up only those who call it.
/// A connection under way costs about 30 KiB.
pub const CALLS_PER_ORIGIN_MAX: usize = 1_024;
/// Redirects followed.
const REDIRECTS_MAX: usize = 10;
/// Origins remembered; beyond it those without a call are forgotten.
const ORIGINS_MAX: usize = 4_096;

/// Makes calls.
pub(crate) struct Calls {
    following: reqwest::Client,
    plain: reqwest::Client,
    allow_private: bool,
    intercept: Option<Intercept>,
    origins: Mutex<HashMap<String, Arc<Semaphore>>>,
}

/// What a call needs beside the request.
pub(crate) struct CallContext {
    pub(crate) idempotency_key: String,
    pub(crate) traceparent: String,
    pub(crate) tracestate: Option<String>,
    pub(crate) by: CallBy,
}

/// What is told of a call when it has ended.
#[derive(Debug, Default)]
pub(crate) struct CallFacts {
    pub(crate) method: String,
    /// Scheme, host and port. Never the path or the query, which may be secrets.
    pub(crate) origin: String,
    pub(crate) status: Option<u32>,
    pub(crate) request_bytes: u64,
    pub(crate) response_bytes: u64,
}

/// Resolves names to public addresses only, unless others are allowed.
pub(crate) struct PublicOnly {
    pub(crate) allow_private: bool,
}

impl Resolve for PublicOnly {
    fn resolve(&self, name: Name) -> Resolving {
        let allow_private = self.allow_private;
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let allowed: Vec<SocketAddr> = found.filter(|address| allow_private || is_public(address.ip())).collect();
            if allowed.is_empty() {
                return Err(format!("{} resolves to no public address", name.as_str()).into());
            }
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}

impl Calls {
    pub(crate) fn new(allow_private: bool, intercept: Option<Intercept>) -> Result<Self, reqwest::Error> {
        let builder = || {
            reqwest::Client::builder()
                .dns_resolver(Arc::new(PublicOnly { allow_private }))
                .connect_timeout(Duration::from_secs(10))
                .pool_idle_timeout(Duration::from_secs(30))
                .pool_max_idle_per_host(128)
                .user_agent(concat!("fastn/", env!("CARGO_PKG_VERSION")))
                .no_proxy()
        };
        let policy = reqwest::redirect::Policy::custom(move |attempt| {
            if attempt.previous().len() > REDIRECTS_MAX {
                attempt.error("too many redirects")
            } else if let Err(reason) = check_url(attempt.url(), allow_private) {
                attempt.error(reason)
            } else {
                attempt.follow()
            }
        });
        Ok(Self {
            following: builder().redirect(policy).build()?,
            plain: builder().redirect(reqwest::redirect::Policy::none()).build()?,
            allow_private,
            intercept,
            origins: Mutex::default(),
        })
    }

    /// Makes the call. Anything that came back is a result, whatever its status.
    pub(crate) async fn fetch(
        &self,
        request: OpKind,
        context: CallContext,
        facts: &mut CallFacts,
    ) -> Result<String, OpFailure> {
        let began = Instant::now();
        // Tens of thousands may wait here: the place comes first, and the large future of the call is made after it.
        let origin = self.origin(&request);
        let outcome = match origin.acquire().await {
            Ok(_place) => Box::pin(self.try_fetch(request, context, facts)).await,
            Err(_) => Err(refused("ECANCELED", "the node stops".to_owned())),
        };
        let label = match &outcome {
            Ok(_) => "answered",
            Err(failure) if failure.retryable => "failed",
            Err(_) => "refused",
        };
        observe::call_done(label, began.elapsed());
        outcome
    }

    async fn try_fetch(
        &self,
        request: OpKind,
        context: CallContext,
        facts: &mut CallFacts,
    ) -> Result<String, OpFailure> {
        let OpKind::Fetch { method, url, headers, body, timeout_ms, redirect } = request else {
            return Err(refused("EINVAL", "not an HTTP call".to_owned()));
        };
        let url = reqwest::Url::parse(&url).map_err(|error| refused("EINVAL", format!("fetch {url}: {error}")))?;
        facts.origin = url.origin().ascii_serialization();
        facts.method.clone_from(&method);
        check_url(&url, self.allow_private)
            .map_err(|reason| refused("EADDRNOTALLOWED", format!("fetch {url}: {reason}")))?;
        let method = reqwest::Method::from_bytes(method.as_bytes())
            .map_err(|_| refused("EINVAL", format!("fetch {url}: {method:?} is no HTTP method")))?;
        let headers =
            header_map(headers, &context).map_err(|reason| refused("EINVAL", format!("fetch {url}: {reason}")))?;
        if let Some(intercept) = &self.intercept {
            let call = OutsideCall {
                by: context.by,
                method: method.to_string(),
                url: url.to_string(),
                headers: texts(&headers),
                body: body
                    .as_ref()
                    .map(bytes_of)
                    .transpose()
                    .map_err(|why| refused("EINVAL", format!("fetch {url}: {why}")))?,
                timeout_ms: timeout_ms.min(CALL_TIMEOUT_MS_MAX),
            };
            match intercept.ask(call).await {
                Instead::Goes => {}
                instead => return instead_of(&url, instead, facts),
            }
        }
        let client = if redirect == Redirect::Follow { &self.following } else { &self.plain };
        let mut call = client.request(method, url.clone()).headers(headers);
        match body {
            None => {}
            Some(FetchBody::Text(text)) => {
                facts.request_bytes = text.len() as u64;
                call = call.body(text);
            }
            Some(body @ FetchBody::Base64(_)) => {
                let bytes = bytes_of(&body).map_err(|why| refused("EINVAL", format!("fetch {url}: {why}")))?;
                facts.request_bytes = bytes.len() as u64;
                call = call.body(bytes);
            }
        }
        let limit = Duration::from_millis(timeout_ms.min(CALL_TIMEOUT_MS_MAX));
        let answer = tokio::time::timeout(limit, exchange(call, redirect, facts)).await;
        match answer {
            Ok(outcome) => {
                outcome.map_err(|failure| OpFailure { message: format!("fetch {url}: {}", failure.message), ..failure })
            }
            Err(_) => Err(failed("ETIMEDOUT", format!("fetch {url}: no answer within {} ms", limit.as_millis()))),
        }
    }

    /// The places of the origin that a request goes to. Those without a valid URL, which fail at once, share one.
    fn origin(&self, request: &OpKind) -> Arc<Semaphore> {
        let url = match request {
            OpKind::Fetch { url, .. } => reqwest::Url::parse(url).ok(),
            _ => None,
        };
        let mut origins = self.origins.lock().unwrap_or_else(PoisonError::into_inner);
        if origins.len() >= ORIGINS_MAX {
            origins.retain(|_, places| Arc::strong_count(places) > 1);
        }
        let key = url.map(|url| url.origin().ascii_serialization()).unwrap_or_default();
        Arc::clone(origins.entry(key).or_insert_with(|| Arc::new(Semaphore::new(CALLS_PER_ORIGIN_MAX))))
    }
}

async fn exchange(
    call: reqwest::RequestBuilder,
    redirect: Redirect,
    facts: &mut CallFacts,
) -> Result<String, OpFailure> {
    let mut response = call.send().await.map_err(transport)?;
    facts.status = Some(response.status().as_u16().into());
    if redirect == Redirect::Error && response.status().is_redirection() {
        return Err(refused("EREDIRECT", "the answer is a redirect".to_owned()));
    }
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(transport)? {
        if body.len() + chunk.len() > CALL_RESPONSE_BYTES_MAX {
            return Err(refused("EMSGSIZE", format!("the answer is larger than {CALL_RESPONSE_BYTES_MAX} bytes")));
        }
        body.extend_from_slice(&chunk);
        facts.response_bytes = body.len() as u64;
    }
    Ok(response_json(&response, body))
}

fn bytes_of(body: &FetchBody) -> Result<Vec<u8>, String> {
    match body {
        FetchBody::Text(text) => Ok(text.clone().into_bytes()),
        FetchBody::Base64(text) => STANDARD.decode(text).map_err(|error| error.to_string()),
    }
}

/// What the workflow sees of an answer that never was outside.
fn instead_of(url: &reqwest::Url, instead: Instead, facts: &mut CallFacts) -> Result<String, OpFailure> {
    match instead {
        Instead::Answer { status, headers, body } => {
            (facts.status, facts.response_bytes) = (Some(status.into()), body.len() as u64);
            let reason = reqwest::StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason());
            Ok(answer_json(status, reason.unwrap_or(""), &headers, body, url))
        }
        Instead::Fails { code, message, retryable } => {
            let name = "FetchError".to_owned();
            Err(OpFailure { name, message: format!("fetch {url}: {message}"), code, retryable })
        }
        Instead::Goes => Err(refused("EINVAL", format!("fetch {url}: not answered"))),
    }
}

/// `{status, statusText, headers, body, bodyBase64?, url}`, as the runtime's `fetch` reads it.
fn response_json(response: &reqwest::Response, body: Vec<u8>) -> String {
    let headers: Vec<(String, String)> = response
        .headers()
        .iter()
        .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
        .collect();
    let reason = response.status().canonical_reason().unwrap_or("");
    answer_json(response.status().as_u16(), reason, &headers, body, response.url())
}

fn answer_json(status: u16, reason: &str, headers: &[(String, String)], body: Vec<u8>, url: &reqwest::Url) -> String {
    let (text, is_base64) = match String::from_utf8(body) {
        Ok(text) => (text, false),
        Err(error) => (STANDARD.encode(error.as_bytes()), true),
    };
    serde_json::json!({
        "status": status,
        "statusText": reason,
        "headers": headers,
        "body": text,
        "bodyBase64": is_base64,
        "url": url.as_str(),
    })
    .to_string()
}

fn header_map(headers: Vec<(String, String)>, context: &CallContext) -> Result<HeaderMap, String> {
    let mut map = HeaderMap::with_capacity(headers.len() + 2);
    for (name, value) in headers {
        let parsed = HeaderName::from_bytes(name.as_bytes()).map_err(|_| format!("{name:?} is no header name"))?;
        let value = HeaderValue::from_str(&value).map_err(|_| format!("the value of header {name} is not valid"))?;
        map.append(parsed, value);
    }
    let key = HeaderValue::from_str(&context.idempotency_key).map_err(|_| "a step name cannot be sent".to_owned());
    map.entry("idempotency-key").or_insert(key?);
    // A workflow that sends a context of its own sends both halves of it.
    if let (false, Ok(value)) = (map.contains_key("traceparent"), HeaderValue::from_str(&context.traceparent)) {
        map.insert("traceparent", value);
        if let Some(Ok(value)) = context.tracestate.as_deref().map(HeaderValue::from_str) {
            map.entry("tracestate").or_insert(value);
        }
    }
    Ok(map)
}

pub(crate) fn check_url(url: &reqwest::Url, allow_private: bool) -> Result<(), String> {
    if !matches!(url.scheme(), "http" | "https") {
        return Err(format!("scheme {} is not allowed, only http and https", url.scheme()));
    }
    let host = url.host_str().ok_or("the URL has no host")?;
    let literal = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    match literal {
        Ok(address) if !allow_private && !is_public(address) => Err(format!("address {address} is not public")),
        _ => Ok(()),
    }
}

/// Whether an address may be called from a server that shares a network with others.
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            let [a, b, ..] = v4.octets();
            let shared = a == 100 && (64..128).contains(&b);
            let benchmark = a == 198 && (b == 18 || b == 19);
            let special = v4.is_private() || v4.is_loopback() || v4.is_link_local() || v4.is_multicast();
            !(special || v4.is_unspecified() || v4.is_documentation() || v4.is_broadcast())
                && !(shared || benchmark || a == 0 || a >= 240 || (a == 192 && b == 0 && v4.octets()[2] == 0))
        }
        IpAddr::V6(v6) => {
            if let Some(v4) = v6.to_ipv4_mapped() {
                return is_public(IpAddr::V4(v4));
            }
            let first = v6.segments()[0];
            let embeds_v4 = first == 0x2002 || (first == 0x64 && v6.segments()[1] == 0xff9b);
            let special = v6.is_loopback() || v6.is_unspecified() || v6.is_multicast() || v6.is_unique_local();
            !(special || v6.is_unicast_link_local() || embeds_v4)
        }
    }
}

fn transport(error: reqwest::Error) -> OpFailure {
    let code = if error.is_timeout() {
        "ETIMEDOUT"
    } else if error.is_connect() {
        "ECONNREFUSED"
    } else if error.is_redirect() {
        return refused("EREDIRECT", chain(&error));
    } else {
        "ECONNRESET"
    };
    failed(code, chain(&error))
}

/// The causes of an error, without its URL: that is told by the caller.
fn chain(error: &reqwest::Error) -> String {
    let mut text = String::new();
    let mut cause: Option<&dyn std::error::Error> = std::error::Error::source(error);
    while let Some(error) = cause {
        if !text.is_empty() {
            text.push_str(": ");
        }
        text.push_str(&error.to_string());
        cause = error.source();
    }
    if text.is_empty() { "the connection failed".to_owned() } else { text }
}

fn failed(code: &str, message: String) -> OpFailure {
    OpFailure { name: "FetchError".to_owned(), message, code: code.to_owned(), retryable: true }
}

fn refused(code: &str, message: String) -> OpFailure {
    OpFailure { name: "FetchError".to_owned(), message, code: code.to_owned(), retryable: false }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Property: no address of a private, local or special network counts as public, in whatever notation.
    #[test]
    fn private_addresses_are_refused() {
        for bad in [
            "http://127.0.0.1/",
            "http://10.1.2.3/",
            "http://[::1]/",
            "http://169.254.169.254/latest",
            "http://0x7f.1/",
            "http://[::ffff:192.168.0.1]/",
            "http://100.64.0.1/",
            "http://0/",
            "http://[fd00::1]/",
            "http://[64:ff9b::a00:1]/",
            "file:///etc/passwd",
            "http://2130706433/",
        ] {
            let url = reqwest::Url::parse(bad).unwrap();
            assert!(check_url(&url, false).is_err(), "{bad}");
        }
        for good in ["http://93.184.216.34/", "https://[2606:4700::1111]/", "https://example.com/"] {
            assert!(check_url(&reqwest::Url::parse(good).unwrap(), false).is_ok(), "{good}");
        }
    }
}
