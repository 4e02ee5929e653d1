//! Where the client's settings come from: arguments, then `FASTN_…` in the environment, then `.fastn/config.json` in the
//! working directory or above it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::client::Fastn;
use crate::error::{Error, ErrorKind};
use crate::transport::{Settings, Transport};

/// The server when nothing names one: `fastn dev` on this machine.
const URL_DEFAULT: &str = "http://127.0.0.1:7400";
/// Longest time of one attempt. An Instant run may take 60 s.
const TIMEOUT_DEFAULT: Duration = Duration::from_secs(75);
/// Attempts of a call, the first included.
const ATTEMPTS_DEFAULT: u32 = 4;

/// What `.fastn/config.json` holds. `fastn dev` writes it with mode 0600.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FileConfig {
    /// The server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// The key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access_key: Option<String>,
    /// The account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// The customer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customer: Option<String>,
}

impl std::fmt::Debug for FileConfig {
    /// All but the key.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let key = self.access_key.as_ref().map(|_| "…");
        let mut told = f.debug_struct("FileConfig");
        told.field("url", &self.url).field("access_key", &key).field("account", &self.account);
        told.field("customer", &self.customer).finish()
    }
}

impl FileConfig {
    /// Reads the nearest `.fastn/config.json` at `from` or above it. One that does not read counts as absent.
    pub fn find(from: &Path) -> Option<Self> {
        let file = |directory: &Path| directory.join(".fastn").join("config.json");
        let found: PathBuf = from.ancestors().map(file).find(|path| path.is_file())?;
        serde_json::from_slice(&std::fs::read(found).ok()?).ok()
    }
}

/// Settings on their way to a [`Fastn`].
#[derive(Clone, Default)]
pub struct Builder {
    given: FileConfig,
    timeout: Option<Duration>,
    attempts_max: Option<u32>,
    proxy: Option<String>,
    authorities: Option<Vec<u8>>,
    agent: Option<String>,
}

impl std::fmt::Debug for Builder {
    /// Without the proxy's password and the key.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut told = f.debug_struct("Builder");
        told.field("given", &self.given).field("timeout", &self.timeout);
        told.field("attempts_max", &self.attempts_max).finish_non_exhaustive()
    }
}

impl Builder {
    /// The server, e.g. `https://fastn.example.com`.
    pub fn url(mut self, url: impl Into<String>) -> Self {
        self.given.url = Some(url.into());
        self
    }

    /// The access key.
    pub fn access_key(mut self, key: impl Into<String>) -> Self {
        self.given.access_key = Some(key.into());
        self
    }

    /// The account.
    pub fn account(mut self, account: impl Into<String>) -> Self {
        self.given.account = Some(account.into());
        self
    }

    /// The customer that calls are for, as `FASTN_TENANT_ID`: lists and reads show this one only.
    pub fn customer(mut self, customer: impl Into<String>) -> Self {
        self.given.customer = Some(customer.into());
        self
    }

    /// Longest time of one attempt; 75 seconds when not set.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Attempts of a call, the first included; 4 when not set.
    pub fn attempts_max(mut self, attempts: u32) -> Self {
        self.attempts_max = Some(attempts.max(1));
        self
    }

    /// Goes through this proxy, e.g. `http://proxy.example.com:3128`. Without one, `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY`
    /// in the environment are heeded.
    pub fn proxy(mut self, url: impl Into<String>) -> Self {
        self.proxy = Some(url.into());
        self
    }

    /// Trusts these authorities too, beside those that the machine trusts: one or more certificates as PEM.
    pub fn ca_certificates(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.authorities = Some(pem.into());
        self
    }

    /// How the client names itself to the server, for those who build on this crate.
    pub fn user_agent(mut self, agent: impl Into<String>) -> Self {
        self.agent = Some(agent.into());
        self
    }

    /// Fills what was not given from the environment and the file, and makes the client.
    ///
    /// # Errors
    /// `Config` when there is no key or the URL is none.
    pub fn build(self) -> Result<Fastn, Error> {
        let file = std::env::current_dir().ok().and_then(|here| FileConfig::find(&here)).unwrap_or_default();
        let named = |given: Option<String>, name: &str| {
            given.or_else(|| std::env::var(name).ok().filter(|value| !value.is_empty()))
        };
        let pick = |given: Option<String>, name: &str, file: Option<String>| named(given, name).or(file);
        let named_url = named(self.given.url, "FASTN_URL");
        let named_key = named(self.given.access_key, "FASTN_ACCESS_KEY");
        // A folder that somebody else made must not lead a key of this user to a server of theirs.
        if named_url.is_none() && named_key.is_some() && file.url.is_some() && named_key != file.access_key {
            let detail = "the key was given, but the server is named by .fastn/config.json of this folder: name the server \
                          too, with FASTN_URL or --url";
            return Err(Error::new(ErrorKind::Config, "configure the client", detail));
        }
        // Nor must the key of a project go to another server than the project's.
        let other = |url: &String| file.url.as_ref().is_some_and(|files| !is_same_server(files, url));
        if named_key.is_none() && file.access_key.is_some() && named_url.as_ref().is_some_and(other) {
            let detail = "the server was given, but the key is the one of .fastn/config.json of this folder, for another \
                          server: give the key too, with FASTN_ACCESS_KEY or --access-key";
            return Err(Error::new(ErrorKind::Config, "configure the client", detail));
        }
        let url = named_url.or(file.url).unwrap_or_else(|| URL_DEFAULT.to_owned());
        let key = named_key.or(file.access_key).ok_or_else(|| {
            let detail = "no access key: give one, set FASTN_ACCESS_KEY, or run within a project of `fastn dev`";
            Error::new(ErrorKind::Config, "configure the client", detail)
        })?;
        let account = pick(self.given.account, "FASTN_ACCOUNT_ID", file.account);
        let customer = pick(self.given.customer, "FASTN_TENANT_ID", file.customer);
        let timeout = self.timeout.unwrap_or(TIMEOUT_DEFAULT);
        let attempts = self.attempts_max.unwrap_or(ATTEMPTS_DEFAULT);
        let transport = Transport::new(Settings {
            url,
            key,
            account,
            timeout,
            attempts_max: attempts,
            proxy: self.proxy,
            authorities: self.authorities,
            agent: self.agent,
        })?;
        Ok(Fastn::over(transport, customer))
    }
}

fn is_same_server(one: &str, other: &str) -> bool {
    let parsed = |text: &str| text.trim_end_matches('/').parse::<reqwest::Url>().ok();
    one == other || (parsed(one).is_some() && parsed(one) == parsed(other))
}
