//! Sends messages to channels. One attempt; whether another follows is decided elsewhere.
//!
//! The rules of other outside calls hold: no address that is not public unless allowed, whatever a name resolves to, and no
//! redirect. What is secret is opened for the attempt and is in no error: an error is shown to people.

mod email;
mod slack;
mod webhook;

use std::sync::Arc;
use std::time::Duration;

use fastn_contract::alert::{AlertChannel, AlertComparison, AlertMetric, AlertView};
use fastn_domain::catalog::Catalog;
use fastn_domain::ids::{AccountId, CustomerId};
use fastn_store::{SecretText, Vault};
use reqwest::dns::Resolve as _;
use tokio::sync::watch;

use super::notice::Notice;
use crate::processor::calls::{PublicOnly, check_url};
use crate::processor::intercept::{CallBy, Instead, Intercept, OutsideCall, texts};

/// Longest time of one attempt.
const ATTEMPT_MAX: Duration = Duration::from_secs(15);

/// See the head of this file.
pub(crate) struct Notifier {
    http: reqwest::Client,
    allow_private: bool,
    vault: Arc<Vault>,
    catalog: watch::Receiver<Arc<Catalog>>,
    intercept: Option<Intercept>,
}

impl Notifier {
    pub(crate) fn new(
        allow_private: bool,
        vault: Arc<Vault>,
        catalog: watch::Receiver<Arc<Catalog>>,
    ) -> Result<Self, reqwest::Error> {
        let http = reqwest::Client::builder()
            .dns_resolver(Arc::new(PublicOnly { allow_private }))
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(Duration::from_secs(5))
            .timeout(ATTEMPT_MAX)
            .pool_max_idle_per_host(2)
            .user_agent(concat!("fastn/", env!("CARGO_PKG_VERSION")))
            .no_proxy()
            .build()?;
        Ok(Self { http, allow_private, vault, catalog, intercept: None })
    }

    pub(crate) fn asking(self, intercept: Option<Intercept>) -> Self {
        Self { intercept, ..self }
    }

    /// Makes one attempt.
    ///
    /// # Errors
    /// Why the channel has not taken the message, for people.
    pub(crate) async fn send(&self, notice: &Notice) -> Result<(), String> {
        let secret = self.secret(&notice.account, notice.customer.as_ref(), notice.channel.secret())?;
        let attempt = async {
            match &notice.channel {
                AlertChannel::Webhook { url, .. } => webhook::send(self, url, &secret, notice).await,
                AlertChannel::Slack { .. } => slack::send(self, &secret, notice).await,
                AlertChannel::Email { to, from, .. } => email::send(self, to, from, &secret, notice).await,
            }
        };
        let late = |_| format!("there was no answer within {} s", ATTEMPT_MAX.as_secs());
        tokio::time::timeout(ATTEMPT_MAX, attempt).await.map_err(late)?
    }

    /// The newest value of a secret.
    fn secret(&self, account: &AccountId, customer: Option<&CustomerId>, name: &str) -> Result<SecretText, String> {
        let catalog = self.catalog.borrow().clone();
        let newest = catalog.account(account).and_then(|account| account.newest_secret(customer, name));
        let newest = newest.ok_or_else(|| format!("there is no secret {name}; write it"))?;
        let opened = self.vault.open(account, newest.owner, name, newest.version, newest.sealed);
        opened.map_err(|_| format!("the secret {name} can't be opened; was the master key changed?"))
    }

    /// A request to `url`, if it may be called.
    fn post(&self, url: &str) -> Result<reqwest::RequestBuilder, String> {
        let url = reqwest::Url::parse(url).map_err(|_| "the URL is not valid".to_owned())?;
        check_url(&url, self.allow_private)?;
        Ok(self.http.post(url))
    }

    /// Sends a request. Any answer of the 200s means that the message was taken.
    async fn taken(&self, request: reqwest::RequestBuilder) -> Result<(), String> {
        let request = request.build().map_err(|_| "the message can't be sent".to_owned())?;
        let call = || OutsideCall {
            by: CallBy::Alert,
            method: request.method().to_string(),
            url: request.url().to_string(),
            headers: texts(request.headers()),
            body: request.body().and_then(reqwest::Body::as_bytes).map(<[u8]>::to_vec),
            timeout_ms: ATTEMPT_MAX.as_millis() as u64,
        };
        if let Some(status) = self.instead(call).await? {
            return took(status);
        }
        let answer = self.http.execute(request).await.map_err(|error| {
            // The URL may be all that protects the receiver.
            let error = error.without_url();
            if error.is_timeout() {
                "there was no answer in time".to_owned()
            } else if error.is_connect() {
                "the receiver can't be reached, or not at a public address".to_owned()
            } else {
                "the connection failed".to_owned()
            }
        })?;
        took(answer.status().as_u16())
    }

    /// The status that somebody answers in the receiver's place.
    async fn instead(&self, call: impl FnOnce() -> OutsideCall) -> Result<Option<u16>, String> {
        let Some(intercept) = &self.intercept else { return Ok(None) };
        match intercept.ask(call()).await {
            Instead::Answer { status, .. } => Ok(Some(status)),
            Instead::Fails { message, .. } => Err(message),
            Instead::Goes => Ok(None),
        }
    }

    /// The addresses of `host` that may be called.
    async fn addresses(&self, host: &str) -> Result<Vec<std::net::IpAddr>, String> {
        let name = host.parse().map_err(|_| "the host is no name".to_owned())?;
        let found = PublicOnly { allow_private: self.allow_private }.resolve(name).await;
        let found = found.map_err(|_| format!("{host} is not found, or not at a public address"))?;
        Ok(found.map(|address| address.ip()).collect())
    }
}

impl std::fmt::Debug for Notifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Notifier").field("allow_private", &self.allow_private).finish_non_exhaustive()
    }
}

fn took(status: u16) -> Result<(), String> {
    if (200..300).contains(&status) { Ok(()) } else { Err(format!("the receiver answered {status}")) }
}

/// The rule in a word, for people.
fn title(alert: &AlertView) -> &str {
    if alert.name.is_empty() { &alert.rule } else { &alert.name }
}

/// One line that says what happened.
fn headline(kind: &str, alert: &AlertView) -> String {
    let what = match kind {
        "alert.firing" => "is firing",
        "alert.resolved" => "is resolved",
        _ => "is only a test",
    };
    format!("{} {what}", title(alert))
}

/// What was measured, in words.
fn facts(alert: &AlertView) -> Vec<(&'static str, String)> {
    let (metric, unit) = match alert.metric {
        AlertMetric::ErrorRate => ("error rate", " %"),
        AlertMetric::LatencyP99 => ("latency p99", " ms"),
        AlertMetric::LatencyP95 => ("latency p95", " ms"),
        AlertMetric::LatencyAvg => ("latency on average", " ms"),
        AlertMetric::Throughput => ("ended executions", ""),
        AlertMetric::FailureCount => ("failures", ""),
        AlertMetric::DeadLetterDepth => ("pending dead letters", ""),
        AlertMetric::Lag => ("lag", " ms"),
        AlertMetric::QuotaUse => ("quota use", " %"),
    };
    let metric = match alert.dimension {
        Some(dimension) => format!("{metric}, {},", dimension.words()),
        None => metric.to_owned(),
    };
    let side = match alert.comparison {
        AlertComparison::Above => "above",
        AlertComparison::Below => "below",
    };
    let value = (alert.value * 100.0).round() / 100.0;
    let mut facts = vec![("When it fired", format!("{metric} {value}{unit}, {side} {}{unit}", alert.threshold))];
    facts.push(("Since", alert.fired_at.clone()));
    facts.extend(alert.resolved_at.clone().map(|at| ("Until", at)));
    let customer = alert.customer.clone().or_else(|| alert.value_of.clone());
    facts.extend(customer.map(|customer| ("Customer", customer)));
    facts.push(("Rule", alert.rule.clone()));
    facts.push(("Alert", alert.id.clone()));
    facts
}
