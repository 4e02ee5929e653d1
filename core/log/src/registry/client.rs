//! The three requests of the registry's HTTP API that are needed.
//!
//! A schema is looked up in its subject before it is registered, so that an account that may only read is enough once
//! another has registered.

use std::fmt;
use std::time::Duration;

use reqwest::{Method, RequestBuilder, StatusCode, Url};
use serde::{Deserialize, Serialize};

use super::{RegistryError, RegistryOptions};
use crate::codec::REGISTRY_ID_MAX;

/// Longest time of one request. A registry reads from memory; it waits for its own log when it registers.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// Largest answer: a schema of ours has a few kilobytes.
const ANSWER_BYTES_MAX: usize = 1 << 20;
const MEDIA_TYPE: &str = "application/vnd.schemaregistry.v1+json";

/// Why a request has no answer.
#[derive(Clone, Debug)]
pub(super) enum Failure {
    /// Nothing that a retry would change.
    Refused(String),
    /// The registry is away or fails; a retry may help.
    Away(String),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Failure::Refused(reason) | Failure::Away(reason)) = self;
        f.write_str(reason)
    }
}

pub(super) struct Client {
    http: reqwest::Client,
    base: Url,
    /// The base without credentials.
    url: String,
    user: Option<String>,
    password: Option<String>,
}

#[derive(Serialize)]
struct SchemaText<'a> {
    schema: &'a str,
    #[serde(rename = "schemaType")]
    schema_type: &'static str,
}

#[derive(Deserialize)]
struct SchemaId {
    id: u32,
}

#[derive(Deserialize)]
struct SchemaOfId {
    schema: String,
}

/// The URL without user, password and query, as it may be shown.
pub(super) fn without_credentials(url: &str) -> String {
    let Ok(mut url) = Url::parse(url) else { return "(not a URL)".to_owned() };
    // Fails for URLs without a host, which have no credentials either.
    let (_user, _password) = (url.set_username(""), url.set_password(None));
    url.set_query(None);
    url.as_str().trim_end_matches('/').to_owned()
}

impl Client {
    pub(super) fn new(options: &RegistryOptions) -> Result<Self, RegistryError> {
        let url = without_credentials(&options.url);
        let bad = |reason: String| RegistryError::Url { url: url.clone(), reason };
        let mut base = Url::parse(&options.url).map_err(|error| bad(error.to_string()))?;
        if !matches!(base.scheme(), "http" | "https") || !base.has_host() {
            return Err(bad("must begin with http:// or https:// and name a host".to_owned()));
        }
        let decoded = |text: &str| form_decode(text);
        let user = options.user.clone().or_else(|| Some(decoded(base.username())).filter(|user| !user.is_empty()));
        let password = options.password.clone().or_else(|| base.password().map(decoded));
        let (_user, _password) = (base.set_username(""), base.set_password(None));
        base.set_query(None);
        let http = reqwest::Client::builder().connect_timeout(CONNECT_TIMEOUT).timeout(REQUEST_TIMEOUT);
        let http = http.user_agent(concat!("fastn/", env!("CARGO_PKG_VERSION"))).no_proxy().build();
        Ok(Self { http: http.map_err(|error| bad(error.to_string()))?, base, url, user, password })
    }

    /// The base URL without credentials.
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// The id of `schema` in `subject`; registers it there if the subject does not have it.
    pub(super) async fn register(&self, subject: &str, schema: &str) -> Result<u32, Failure> {
        let text = SchemaText { schema, schema_type: "AVRO" };
        let found: Option<SchemaId> =
            self.answer(self.request(Method::POST, &["subjects", subject]).json(&text)).await?;
        let id = match found {
            Some(found) => found.id,
            None => {
                let request = self.request(Method::POST, &["subjects", subject, "versions"]).json(&text);
                let made: Option<SchemaId> = self.answer(request).await?;
                made.ok_or_else(|| Failure::Refused("HTTP 404; is this the base URL of its API?".to_owned()))?.id
            }
        };
        if id > REGISTRY_ID_MAX {
            return Err(Failure::Refused(format!("it gave id {id}, which is no positive 32-bit integer")));
        }
        Ok(id)
    }

    /// The schema of an id, if there is one.
    pub(super) async fn schema(&self, id: u32) -> Result<Option<String>, Failure> {
        let request = self.request(Method::GET, &["schemas", "ids", &id.to_string()]);
        let found: Option<SchemaOfId> = self.answer(request).await?;
        Ok(found.map(|found| found.schema))
    }

    fn request(&self, method: Method, path: &[&str]) -> RequestBuilder {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        let request = self.http.request(method, url).header("accept", MEDIA_TYPE);
        match &self.user {
            Some(user) => request.basic_auth(user, self.password.as_deref()),
            None => request,
        }
    }

    /// The answer's JSON; nothing for 404.
    async fn answer<T: for<'de> Deserialize<'de>>(&self, request: RequestBuilder) -> Result<Option<T>, Failure> {
        // Without its URL, which the caller names.
        let away = |error: reqwest::Error| Failure::Away(causes(&error.without_url()));
        let mut response = request.send().await.map_err(away)?;
        let status = response.status();
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(away)? {
            if body.len() + chunk.len() > ANSWER_BYTES_MAX {
                return Err(Failure::Refused(format!("an answer of more than {ANSWER_BYTES_MAX} bytes")));
            }
            body.extend_from_slice(&chunk);
        }
        match status {
            StatusCode::NOT_FOUND => Ok(None),
            _ if status.is_success() => serde_json::from_slice(&body)
                .map(Some)
                .map_err(|error| Failure::Refused(format!("an answer that is not its API's: {error}"))),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                Err(Failure::Refused(format!("HTTP {}; check its user and password", status.as_u16())))
            }
            StatusCode::TOO_MANY_REQUESTS => Err(Failure::Away("HTTP 429".to_owned())),
            _ if status.is_server_error() => Err(Failure::Away(format!("HTTP {}", status.as_u16()))),
            _ => Err(Failure::Refused(format!("HTTP {}{}", status.as_u16(), told(&body)))),
        }
    }
}

/// What the registry tells of an error, cut to a line.
fn told(body: &[u8]) -> String {
    #[derive(Deserialize)]
    struct Told {
        message: String,
    }
    match serde_json::from_slice::<Told>(body) {
        Ok(Told { message }) => format!(": {}", message.chars().take(300).collect::<String>()),
        Err(_) => String::new(),
    }
}

fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

/// Percent-decoding of the user or the password of a URL.
fn form_decode(text: &str) -> String {
    percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(url: &str) -> RegistryOptions {
        RegistryOptions { url: url.to_owned(), user: None, password: Some("hidden".to_owned()), cache: "ids".into() }
    }

    /// Property: neither the options nor an error shows a password, wherever it was given.
    #[test]
    fn passwords_are_masked() {
        let options = options("ftp://ann:s3cret@registry/base?token=abc");
        let error = Client::new(&options).err().map(|error| error.to_string()).unwrap();
        let shown = format!("{options:?} {error}");
        assert!(shown.contains("ftp://registry/base"), "{shown}");
        assert!(!["s3cret", "hidden", "abc", "ann"].iter().any(|secret| shown.contains(secret)), "{shown}");
    }

    /// Property: a base URL with a path keeps it, with or without a slash at its end, and names of subjects are escaped.
    #[test]
    fn paths_follow_the_base() {
        for base in ["http://registry/apis/ccompat/v7", "http://registry/apis/ccompat/v7/"] {
            let client = Client::new(&options(base)).unwrap();
            assert_eq!(client.url(), "http://registry/apis/ccompat/v7");
            let request = client.request(Method::GET, &["subjects", "a/b"]).build().unwrap();
            assert_eq!(request.url().as_str(), "http://registry/apis/ccompat/v7/subjects/a%2Fb");
        }
    }
}
