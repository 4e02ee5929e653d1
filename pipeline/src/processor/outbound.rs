//! Outbound HTTP for the server's own requests, under the rules for those of workflows: no address that is not public
//! unless allowed, no redirects, a time and a size.

use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};

use super::calls::{PublicOnly, check_url};

/// Longest time of one request.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Largest answer that is read.
const ANSWER_BYTES_MAX: usize = 256 * 1024;

/// Makes requests.
#[derive(Clone)]
pub struct Outbound {
    client: reqwest::Client,
    allow_private: bool,
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
    /// The body.
    pub body: Vec<u8>,
}

impl Outbound {
    /// A client.
    ///
    /// # Errors
    /// TLS cannot be set up.
    pub fn new(allow_private: bool) -> Result<Self, reqwest::Error> {
        let client = reqwest::Client::builder()
            .dns_resolver(Arc::new(PublicOnly { allow_private }))
            .redirect(reqwest::redirect::Policy::none())
            .timeout(TIMEOUT)
            .user_agent(concat!("fastn/", env!("CARGO_PKG_VERSION")))
            .no_proxy()
            .build()?;
        Ok(Self { client, allow_private })
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
        let mut call = self.client.request(method, url).headers(headers);
        if let Some(body) = request.body {
            call = call.body(body);
        }
        let mut response = call.send().await.map_err(told)?;
        let status = response.status().as_u16();
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(told)? {
            if body.len() + chunk.len() > ANSWER_BYTES_MAX {
                return Err(format!("the answer is larger than {ANSWER_BYTES_MAX} bytes"));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(OutboundAnswer { status, body })
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
