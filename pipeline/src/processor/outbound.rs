//! Outbound HTTP for the server's own requests, under the rules for those of workflows: no address that is not public
//! unless allowed, no redirects, a time and a size.

use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};

use super::calls::{PublicOnly, check_url};
use super::intercept::{CallBy, Instead, Intercept, OutsideCall, texts};

/// What one request may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutboundLimits {
    /// Longest time, until the answer's last byte.
    pub timeout: Duration,
    /// Largest answer that is read.
    pub answer_bytes_max: usize,
}

impl Default for OutboundLimits {
    fn default() -> Self {
        Self { timeout: Duration::from_secs(10), answer_bytes_max: 256 * 1024 }
    }
}

/// Makes requests.
#[derive(Clone)]
pub struct Outbound {
    client: reqwest::Client,
    allow_private: bool,
    limits: OutboundLimits,
    intercept: Option<(Intercept, CallBy)>,
}

/// A request that is ready to go out. It may hold secrets, so it does not show itself.
#[derive(Clone)]
pub struct OutboundRequest {
    /// The method.
    pub method: String,
    /// The URL.
    pub url: String,
    /// The headers.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Option<String>,
}

/// An answer, whatever its status.
#[derive(Clone)]
pub struct OutboundAnswer {
    /// The HTTP status.
    pub status: u16,
    /// The headers whose values are text, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Outbound {
    /// A client.
    ///
    /// # Errors
    /// TLS cannot be set up.
    pub fn new(allow_private: bool) -> Result<Self, reqwest::Error> {
        Self::with_limits(allow_private, OutboundLimits::default())
    }

    /// A client with limits of its own.
    ///
    /// # Errors
    /// TLS cannot be set up.
    pub fn with_limits(allow_private: bool, limits: OutboundLimits) -> Result<Self, reqwest::Error> {
        let client = reqwest::Client::builder()
            .dns_resolver(Arc::new(PublicOnly { allow_private }))
            .redirect(reqwest::redirect::Policy::none())
            .timeout(limits.timeout)
            .user_agent(concat!("fastn/", env!("CARGO_PKG_VERSION")))
            .no_proxy()
            .build()?;
        Ok(Self { client, allow_private, limits, intercept: None })
    }

    /// The same, which asks `intercept` first.
    #[must_use]
    pub fn asking(self, intercept: Option<Intercept>, by: CallBy) -> Self {
        Self { intercept: intercept.map(|intercept| (intercept, by)), ..self }
    }

    /// Makes the request once.
    ///
    /// # Errors
    /// Why there is no answer, without anything of the request.
    pub async fn send(&self, request: OutboundRequest) -> Result<OutboundAnswer, String> {
        let url = reqwest::Url::parse(&request.url).map_err(|error| format!("the URL is not valid: {error}"))?;
        check_url(&url, self.allow_private)?;
        let method = reqwest::Method::from_bytes(request.method.as_bytes());
        let method = method.map_err(|_| "the method is not valid".to_owned())?;
        let mut headers = HeaderMap::with_capacity(request.headers.len());
        for (name, value) in &request.headers {
            let parsed = HeaderName::from_bytes(name.as_bytes());
            let parsed = parsed.map_err(|_| format!("{name:?} is not the name of a header"))?;
            let value = HeaderValue::from_str(value);
            headers.append(parsed, value.map_err(|_| format!("the value of header {name} is not valid"))?);
        }
        if let Some((intercept, by)) = &self.intercept {
            let call = OutsideCall {
                by: by.clone(),
                method: method.to_string(),
                url: url.to_string(),
                headers: texts(&headers),
                body: request.body.clone().map(String::into_bytes),
                timeout_ms: u64::try_from(self.limits.timeout.as_millis()).unwrap_or(u64::MAX),
            };
            match intercept.ask(call).await {
                Instead::Answer { status, headers, body } => return Ok(OutboundAnswer { status, headers, body }),
                Instead::Fails { message, .. } => return Err(message),
                Instead::Goes => {}
            }
        }
        let mut call = self.client.request(method, url).headers(headers);
        if let Some(body) = request.body {
            call = call.body(body);
        }
        let mut response = call.send().await.map_err(told)?;
        let status = response.status().as_u16();
        let headers = texts(response.headers());
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(told)? {
            if body.len() + chunk.len() > self.limits.answer_bytes_max {
                return Err(format!("the answer is larger than {} bytes", self.limits.answer_bytes_max));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(OutboundAnswer { status, headers, body })
    }
}

/// What failed, in words that hold nothing of the request.
fn told(error: reqwest::Error) -> String {
    let what = if error.is_timeout() {
        "no answer came in time"
    } else if error.is_connect() {
        "no connection could be made; the address may not be allowed, or nobody listens there"
    } else {
        "the connection failed"
    };
    what.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Property: an address that is not public is not called, and what cannot be sent is told without the request.
    #[tokio::test]
    async fn refuses_private_addresses() {
        let outbound = Outbound::new(false).unwrap();
        let request = |url: &str, header: &str| OutboundRequest {
            method: "POST".to_owned(),
            url: url.to_owned(),
            headers: vec![("x-key".to_owned(), header.to_owned())],
            body: None,
        };
        for url in ["http://127.0.0.1:1/hidden", "http://169.254.169.254/hidden", "http://localhost:1/hidden"] {
            let refused = outbound.send(request(url, "hidden")).await.err().unwrap();
            assert!(!refused.contains("hidden"), "{refused}");
        }
        let refused = outbound.send(request("http://93.184.216.34/", "hid\nden")).await.err().unwrap();
        assert!(refused.contains("x-key") && !refused.contains("den"), "{refused}");
    }
}
