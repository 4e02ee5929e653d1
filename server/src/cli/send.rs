//! `fastn send`: an event from arguments, a file or standard input, or a webhook with its provider's signature.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::Args;
use fastn_sdk::contract::command::SendEvent;
use fastn_sdk::contract::flow::Priority;
use serde_json::Value;

use super::{Remote, print};

/// Send an event, or a webhook with its provider's signature
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  fastn send order.created --data '{\"id\": 7}' --customer cus_acme\n  \
    cat order.json | fastn send order.created --file - --customer cus_acme\n  \
    fastn send --webhook trg_github --github-event issues --github-secret s3cret --file issue.json")]
pub(crate) struct Send {
    /// The event's type, e.g. order.created
    #[arg(required_unless_present = "webhook")]
    kind: Option<String>,
    /// The payload as JSON
    #[arg(long, conflicts_with = "file")]
    data: Option<String>,
    /// A file with the payload; - reads standard input
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// The event's id; sending the same id twice is admitted once
    #[arg(long)]
    id: Option<String>,
    /// The event's subject
    #[arg(long)]
    subject: Option<String>,
    /// Its place in the customer's queue, before what its trigger says: P1, P2, P3 or P4
    #[arg(long, value_parser = priority, conflicts_with = "webhook")]
    priority: Option<Priority>,
    /// Send to this webhook trigger instead, as its provider would
    #[arg(long, value_name = "TRIGGER")]
    webhook: Option<String>,
    /// Sign the webhook as GitHub does, with this secret
    #[arg(long, value_name = "SECRET", requires = "webhook", env = "FASTN_GITHUB_SECRET", hide_env_values = true)]
    github_secret: Option<String>,
    /// GitHub's event name, e.g. issues
    #[arg(long, value_name = "EVENT", requires = "webhook")]
    github_event: Option<String>,
    #[command(flatten)]
    remote: Remote,
}

fn priority(text: &str) -> Result<Priority, String> {
    Priority::parse(text).ok_or_else(|| "must be P1, P2, P3 or P4".to_owned())
}

pub(crate) async fn run(send: Send) -> anyhow::Result<()> {
    let payload = payload(&send)?;
    let fastn = send.remote.client()?;
    let accepted = match &send.webhook {
        Some(trigger) => {
            let mut headers: Vec<(&str, String)> = Vec::new();
            if let Some(secret) = &send.github_secret {
                headers.push(("x-hub-signature-256", github_signature(secret, payload.as_bytes())));
            }
            if let Some(event) = &send.github_event {
                headers.push(("x-github-event", event.clone()));
            }
            if send.github_secret.is_some() || send.github_event.is_some() {
                let delivery = send.id.clone().unwrap_or_else(|| delivery_id(payload.as_bytes()));
                headers.push(("x-github-delivery", delivery));
            }
            let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
            fastn.send_webhook(trigger, &headers, payload.into_bytes()).await?
        }
        None => {
            let data: Value = serde_json::from_str(&payload).context("the payload is no JSON")?;
            let kind = send.kind.clone().context("name the event's type")?;
            let (id, subject) = (send.id.clone(), send.subject.clone());
            fastn
                .configured_customer()?
                .send(&SendEvent { id, kind, source: None, subject, time: None, priority: send.priority, data })
                .await?
        }
    };
    if send.remote.json {
        return print::value(&accepted);
    }
    print::line(format_args!("accepted  {}", accepted.event_id))?;
    print::line(format_args!("look      fastn events show {}", accepted.event_id))
}

fn payload(send: &Send) -> anyhow::Result<String> {
    match (&send.data, &send.file) {
        (Some(data), _) => Ok(data.clone()),
        (None, Some(path)) => read(path),
        (None, None) if send.webhook.is_some() => bail!("a webhook needs a payload: --file FILE or --data JSON"),
        (None, None) => Ok("null".to_owned()),
    }
}

/// The text of a file; `-` is standard input.
pub(crate) fn read(path: &Path) -> anyhow::Result<String> {
    if path.as_os_str() == "-" {
        return std::io::read_to_string(std::io::stdin()).context("read standard input");
    }
    std::fs::read_to_string(path).with_context(|| format!("read {}", path.display()))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// GitHub: `sha256=` and the HMAC-SHA-256 of the body, in hex.
pub(crate) fn github_signature(secret: &str, body: &[u8]) -> String {
    let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, secret.as_bytes());
    format!("sha256={}", hex(aws_lc_rs::hmac::sign(&key, body).as_ref()))
}

/// The id of one delivery, never the same again.
pub(crate) fn delivery_id(body: &[u8]) -> String {
    let mut hash = blake3::Hasher::new();
    hash.update(body).update(&crate::clock::now().as_micros().to_le_bytes());
    hash.finalize().to_hex()[..32].to_owned()
}

#[cfg(test)]
mod tests {
    /// Property: the signature equals the one of GitHub's documentation for its example.
    #[test]
    fn signs_as_github_does() {
        let signature = super::github_signature("It's a Secret to Everybody", b"Hello, World!");
        assert_eq!(signature, "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17");
    }
}
