//! Commands for alerts and their rules.

use std::path::PathBuf;

use anyhow::{Context, anyhow};
use clap::Subcommand;
use fastn_sdk::contract::alert::{AlertNotification, AlertRule, AlertStatus, AlertView};
use fastn_sdk::contract::quota::Dimension;
use fastn_sdk::contract::resource::Stored;

use super::activity::One;
use super::{Remote, print};

#[derive(Debug, Subcommand)]
pub(crate) enum AlertCommand {
    /// List alerts, newest first
    #[command(after_help = "Example: fastn alerts list --state firing")]
    List {
        /// Most rows
        #[arg(long, default_value_t = 30)]
        limit: usize,
        /// Only those that are firing, silenced or resolved
        #[arg(long)]
        state: Option<String>,
        /// Only those of this rule
        #[arg(long)]
        rule: Option<String>,
        #[command(flatten)]
        remote: Remote,
    },
    /// Show an alert, and who was told
    Show(One),
    /// List the rules
    Rules(Remote),
    /// Create or change a rule from a YAML file
    #[command(after_help = "Example: fastn alerts apply alerts/errors.yaml")]
    Apply {
        /// The file
        file: PathBuf,
        #[command(flatten)]
        remote: Remote,
    },
    /// Stop evaluating a rule
    Pause(One),
    /// Evaluate a rule again
    Resume(One),
    /// Tell nobody about a rule for a while
    #[command(after_help = "Example: fastn alerts silence errors --duration 2h")]
    Silence {
        #[command(flatten)]
        one: One,
        /// For how long, e.g. 30m, 2h, 1d
        #[arg(long = "duration", value_name = "TIME")]
        duration: String,
    },
    /// End a rule's silence
    Unsilence(One),
    /// Send a test to each channel of a rule
    Test(One),
    /// Delete a rule
    Delete(One),
}

pub(crate) async fn run(command: AlertCommand) -> anyhow::Result<()> {
    match command {
        AlertCommand::List { limit, state, rule, remote } => list(limit, state, rule, &remote).await,
        AlertCommand::Show(One { id, remote }) => show(&remote.client()?.alert(&id).await?, remote.json),
        AlertCommand::Rules(remote) => rules(&remote).await,
        AlertCommand::Apply { file, remote } => apply(&file, &remote).await,
        AlertCommand::Pause(one) => set_status(&one, AlertStatus::Paused).await,
        AlertCommand::Resume(one) => set_status(&one, AlertStatus::Enabled).await,
        AlertCommand::Silence { one: One { id, remote }, duration } => {
            told(&remote.client()?.silence_alert_rule(&id, &duration).await?, remote.json)
        }
        AlertCommand::Unsilence(One { id, remote }) => {
            told(&remote.client()?.unsilence_alert_rule(&id).await?, remote.json)
        }
        AlertCommand::Test(One { id, remote }) => test(&id, &remote).await,
        AlertCommand::Delete(One { id, remote }) => {
            remote.client()?.delete_alert_rule(&id).await?;
            print::line(format!("alert rule {id} is deleted"))
        }
    }
}

async fn list(limit: usize, state: Option<String>, rule: Option<String>, remote: &Remote) -> anyhow::Result<()> {
    let alerts = remote.client()?.alerts().filter("state", state).filter("rule", rule).take(limit).await?;
    print::rows(remote.json, &alerts, &["alert", "rule", "state", "value", "fired", "resolved"], |alert| {
        vec![
            alert.id.clone(),
            alert.rule.clone(),
            print::word(&alert.state),
            format!("{} ({})", alert.value, print::word(&alert.metric)),
            alert.fired_at.clone(),
            alert.resolved_at.clone().unwrap_or_default(),
        ]
    })
}

fn show(alert: &AlertView, json: bool) -> anyhow::Result<()> {
    if json {
        return print::value(alert);
    }
    let (metric, side) = (print::word(&alert.metric), print::word(&alert.comparison));
    print::line(format!("{}  {}", alert.id, print::word(&alert.state)))?;
    print::line(format!("rule      {}  {}", alert.rule, print::plain(&alert.name)))?;
    let metric = named(&metric, alert.dimension);
    print::line(format!("value     {} {metric}, {side} {}", alert.value, alert.threshold))?;
    if let Some(customer) = &alert.value_of {
        print::line(format!("customer  {customer}"))?;
    }
    print::line(format!("fired     {}", alert.fired_at))?;
    if let (Some(at), Some(by)) = (&alert.resolved_at, &alert.resolved_by) {
        print::line(format!("resolved  {at}, {by}"))?;
    }
    notifications(&alert.notifications)
}

/// A metric, with the quota that it is about.
fn named(metric: &str, dimension: Option<Dimension>) -> String {
    dimension.map_or_else(|| metric.to_owned(), |dimension| format!("{metric} of {}", dimension.as_str()))
}

fn notifications(told: &[AlertNotification]) -> anyhow::Result<()> {
    if told.is_empty() {
        return print::line("nobody was told");
    }
    print::rows(false, told, &["channel", "about", "status", "attempts", "error"], |told| {
        vec![
            told.channel.clone(),
            print::word(&told.about),
            told.status.clone(),
            told.attempts.to_string(),
            told.error.clone().unwrap_or_default(),
        ]
    })
}

async fn rules(remote: &Remote) -> anyhow::Result<()> {
    let rules = remote.client()?.alert_rules().take(usize::MAX).await?;
    print::rows(remote.json, &rules, &["rule", "status", "watches", "window", "about", "channels"], |stored| {
        let rule = &stored.body;
        let about = [&rule.customer, &rule.workflow, &rule.connector];
        let about: Vec<&str> = about.into_iter().flatten().map(String::as_str).collect();
        vec![
            rule.id.clone(),
            rule.silenced_until.as_ref().map_or_else(|| print::word(&rule.status), |at| format!("silenced until {at}")),
            {
                let metric = named(&print::word(&rule.metric), rule.dimension);
                format!("{metric} {} {}", print::word(&rule.comparison), rule.threshold)
            },
            rule.window.clone(),
            if about.is_empty() { "everything".to_owned() } else { about.join(", ") },
            rule.channels.len().to_string(),
        ]
    })
}

async fn apply(file: &std::path::Path, remote: &Remote) -> anyhow::Result<()> {
    let text = std::fs::read_to_string(file).with_context(|| format!("read {}", file.display()))?;
    let rule: AlertRule = serde_saphyr::from_str(&text).map_err(|error| anyhow!("{}: {error}", file.display()))?;
    told(&remote.client()?.put_alert_rule(&rule).await?, remote.json)
}

async fn set_status(One { id, remote }: &One, status: AlertStatus) -> anyhow::Result<()> {
    let fastn = remote.client()?;
    let rule = AlertRule { status, ..fastn.alert_rule(id).await?.body };
    told(&fastn.put_alert_rule(&rule).await?, remote.json)
}

fn told(rule: &Stored<AlertRule>, json: bool) -> anyhow::Result<()> {
    if json {
        return print::value(rule);
    }
    let rule = &rule.body;
    match &rule.silenced_until {
        Some(until) => {
            print::line(format!("alert rule {}: {}, silenced until {until}", rule.id, print::word(&rule.status)))
        }
        None => print::line(format!("alert rule {}: {}", rule.id, print::word(&rule.status))),
    }
}

async fn test(id: &str, remote: &Remote) -> anyhow::Result<()> {
    let tested = remote.client()?.test_alert_rule(id).await?;
    if remote.json {
        return print::value(&tested);
    }
    notifications(&tested.notifications)?;
    let failed = tested.notifications.iter().filter(|told| told.error.is_some()).count();
    if failed > 0 {
        Err(anyhow!("{failed} of {} channels have not taken it", tested.notifications.len()))
    } else {
        Ok(())
    }
}
