//! Commands that change or show configuration.

use std::io::Read as _;
use std::path::Path;

use anyhow::{Context, bail};
use clap::Subcommand;
use fastn_sdk::contract::command::PublishVersion;
use fastn_sdk::contract::resource::{SecretWrite, TriggerSource};

use super::{Remote, print};
use crate::project::{self, Project};

/// Rows of a list when nothing says otherwise.
const ROWS_MAX: usize = 500;

#[derive(Debug, Subcommand)]
pub(crate) enum TriggerCommand {
    /// List triggers
    List(Remote),
    /// Show a trigger
    Show {
        /// The trigger
        id: String,
        #[command(flatten)]
        remote: Remote,
    },
    /// Show whether a connector app knows of a trigger
    Subscription {
        /// The trigger
        id: String,
        #[command(flatten)]
        remote: Remote,
    },
    /// Ask the connector app of a trigger again to subscribe it
    RetrySubscription {
        /// The trigger
        id: String,
        #[command(flatten)]
        remote: Remote,
    },
    /// Print a webhook trigger's URL
    Url {
        /// The trigger
        id: String,
        #[command(flatten)]
        remote: Remote,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum SecretCommand {
    /// List secrets, without values
    List(Remote),
    /// Write a secret; its value is read from standard input
    #[command(after_help = "Example: printf %s \"$VALUE\" | fastn secrets set GITHUB_WEBHOOK_SECRET")]
    Set {
        /// UPPER_SNAKE_CASE
        name: String,
        #[command(flatten)]
        remote: Remote,
    },
    /// Print the token that a provider's handshake stored within the last hour, to give it back to the provider
    CapturedToken {
        /// UPPER_SNAKE_CASE
        name: String,
        #[command(flatten)]
        remote: Remote,
    },
    /// Delete a secret
    Delete {
        /// UPPER_SNAKE_CASE
        name: String,
        #[command(flatten)]
        remote: Remote,
    },
}

pub(crate) async fn apply(directory: &Path, remote: &Remote) -> anyhow::Result<()> {
    let mut project = Project::read(directory)?;
    project.fill(None)?;
    let fastn = remote.client()?;
    // A server that is not there or a key that it does not know is told once, not for each part of the project.
    fastn.customers().page(None, Some(1)).await?;
    let progress = super::progress::Progress::new("applying", project.parts());
    let applied = project::apply(&fastn, &project, || progress.step()).await;
    drop(progress);
    if remote.json {
        print::value(&serde_json::json!({"applied": applied.done, "refused": applied.refused}))?;
    } else {
        for (word, lines) in [("applied", &applied.done), ("refused", &applied.refused)] {
            for line in lines {
                print::line(format_args!("{word}  {}", print::plain(line)))?;
            }
        }
    }
    if !applied.refused.is_empty() {
        bail!("{} of the project's parts were refused; correct them and apply again", applied.refused.len());
    }
    Ok(())
}

pub(crate) async fn publish(
    file: &Path,
    workflow: Option<String>,
    deploy: Option<String>,
    remote: &Remote,
) -> anyhow::Result<()> {
    let source = std::fs::read_to_string(file).with_context(|| format!("read {}", file.display()))?;
    let stem = file.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
    let workflow = workflow.unwrap_or_else(|| stem.to_owned());
    let fastn = remote.client()?;
    let name = file.file_name().and_then(|name| name.to_str()).map(str::to_owned);
    let version = fastn.publish(&workflow, &PublishVersion { source, file: name }).await?;
    if let Some(environment) = &deploy {
        fastn.deploy(&workflow, environment, version.version).await?;
    }
    if remote.json {
        return print::value(&version);
    }
    let deployed = deploy.map_or_else(String::new, |to| format!(" and deployed to {to}"));
    print::line(format_args!("{workflow}@{} is published{deployed}", version.version))
}

pub(crate) async fn trigger(command: TriggerCommand) -> anyhow::Result<()> {
    match command {
        TriggerCommand::List(remote) => {
            let rows = remote.client()?.triggers().take(ROWS_MAX).await?;
            print::rows(remote.json, &rows, &["ID", "TYPE", "STATUS", "SUBSCRIPTION", "CUSTOMER", "ROUTES"], |row| {
                let trigger = &row.body;
                let kind = match &trigger.source {
                    TriggerSource::Webhook { .. } => "webhook".to_owned(),
                    TriggerSource::Event { types } => format!("event {}", types.join(", ")),
                    TriggerSource::Schedule(_) => "schedule".to_owned(),
                    TriggerSource::Poll(poll) => format!("poll {}", poll.entity),
                    TriggerSource::AppEvent { app, event, .. } => format!("app event {app} {event}"),
                };
                let routes: Vec<&str> = trigger.routes.iter().map(|route| route.workflow.as_str()).collect();
                let customer = trigger.customer.clone().unwrap_or_else(|| "—".to_owned());
                let subscription = row.subscription.map_or_else(|| "—".to_owned(), |state| print::word(&state));
                vec![trigger.id.clone(), kind, print::word(&trigger.status), subscription, customer, routes.join(", ")]
            })
        }
        TriggerCommand::Show { id, remote } => print::value(&remote.client()?.trigger(&id).await?),
        TriggerCommand::Subscription { id, remote } => print::value(&remote.client()?.subscription(&id).await?),
        TriggerCommand::RetrySubscription { id, remote } => {
            print::value(&remote.client()?.retry_subscription(&id).await?)
        }
        TriggerCommand::Url { id, remote } => {
            let fastn = remote.client()?;
            let trigger = fastn.trigger(&id).await?;
            if !matches!(trigger.body.source, TriggerSource::Webhook { .. }) {
                bail!("trigger {id} is no webhook trigger; those alone have a URL of their own");
            }
            print::line(format_args!("{}/v1/webhooks/{id}", fastn.url().trim_end_matches('/')))
        }
    }
}

pub(crate) async fn secret(command: SecretCommand) -> anyhow::Result<()> {
    match command {
        SecretCommand::List(remote) => {
            let rows = remote.client()?.secrets().take(ROWS_MAX).await?;
            print::rows(remote.json, &rows, &["NAME", "CUSTOMER", "VERSION", "UPDATED"], |row| {
                let customer = row.customer.clone().unwrap_or_else(|| "—".to_owned());
                vec![row.name.clone(), customer, row.version.to_string(), row.updated_at.clone()]
            })
        }
        SecretCommand::Set { name, remote } => {
            let mut value = String::new();
            std::io::stdin().read_to_string(&mut value).context("read the value from standard input")?;
            let value = value.strip_suffix('\n').unwrap_or(&value).to_owned();
            let secret = SecretWrite { name, value, customer: remote.customer.clone() };
            let view = remote.client()?.put_secret(&secret).await?;
            if remote.json {
                return print::value(&view);
            }
            print::line(format_args!("{} has version {}", view.name, view.version))
        }
        SecretCommand::CapturedToken { name, remote } => {
            let captured = remote.client()?.captured_token(&name, remote.customer.as_deref()).await?;
            print::line(format_args!("{}", captured.token))
        }
        SecretCommand::Delete { name, remote } => {
            remote.client()?.delete_secret(&name, remote.customer.as_deref()).await?;
            print::line(format_args!("{name} is deleted"))
        }
    }
}

pub(crate) fn types(directory: &Path) -> anyhow::Result<()> {
    crate::project::write_types(directory)?;
    println!("wrote .fastn/types/fastn.d.ts into {}", directory.display());
    Ok(())
}
