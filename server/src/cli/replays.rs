//! `fastn replay`: many executions or events once more.

use std::time::Duration;

use anyhow::bail;
use clap::{Args, Subcommand, ValueEnum};
use fastn_sdk::Fastn;
use fastn_sdk::contract::command::ReplayFrom;
use fastn_sdk::contract::replay::{ReplayPreviewItem, ReplaySelection, ReplayView, StartReplay};
use serde::de::DeserializeOwned;

use super::progress::Progress;
use super::{Remote, print};

/// How often a replay that is followed is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Rows of the list.
const ROWS_MAX: usize = 500;

#[derive(Debug, Subcommand)]
pub(crate) enum ReplayCommand {
    /// Show what a replay would do; nothing is started
    #[command(
        after_help = "Example: fastn replay preview executions --status failed --workflow triage --since 2026-11-01T00:00:00Z"
    )]
    Preview(Which),
    /// Start a replay, and follow it to its end
    #[command(
        after_help = "Examples:\n  fastn replay start dead-letters --workflow triage --from-failed-step --rate 50\n  \
        fastn replay start executions --status failed --error TypeError --version 0\n  \
        fastn replay start events --status rejected --type 'order.created' --detach"
    )]
    Start {
        #[command(flatten)]
        which: Which,
        /// Do not wait for its end
        #[arg(long)]
        detach: bool,
    },
    /// Show a replay with its progress
    Show(One),
    /// Follow a replay to its end
    Follow(One),
    /// List replays
    List(Remote),
    /// Start nothing more of a replay
    Cancel(One),
}

#[derive(Debug, Args)]
pub(crate) struct One {
    /// Its id
    id: String,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Of {
    /// Executions that have ended
    Executions,
    /// Dead letters, the pending ones unless --status says otherwise
    DeadLetters,
    /// Events, those rejected or unmatched unless --status says otherwise
    Events,
}

/// What to replay, and how.
#[derive(Debug, Args)]
pub(crate) struct Which {
    /// What
    #[arg(value_enum)]
    of: Of,
    /// These; all that the filters let through when not given
    ids: Vec<String>,
    /// Only with this status
    #[arg(long)]
    status: Option<String>,
    /// Only of this workflow
    #[arg(long)]
    workflow: Option<String>,
    /// Only those that ran this version
    #[arg(long, value_name = "VERSION")]
    ran_version: Option<u32>,
    /// Only of this trigger
    #[arg(long)]
    trigger: Option<String>,
    /// Only events of this type
    #[arg(long = "type", value_name = "TYPE")]
    kind: Option<String>,
    /// Only events that a quota did this to: blocked, over, queued, shadowed
    #[arg(long)]
    quota: Option<String>,
    /// Only from this instant on, RFC 3339
    #[arg(long)]
    since: Option<String>,
    /// Only before this instant, RFC 3339
    #[arg(long)]
    until: Option<String>,
    /// Only those whose error has this class, e.g. TypeError
    #[arg(long, value_name = "CLASS")]
    error: Option<String>,
    /// Only those whose error has this code
    #[arg(long, value_name = "CODE")]
    error_code: Option<String>,
    /// Only those that failed in this step
    #[arg(long, value_name = "STEP")]
    error_step: Option<String>,
    /// Keep the results before the step that failed
    #[arg(long)]
    from_failed_step: bool,
    /// The version to run; 0 is the latest, each one's own when not given
    #[arg(long)]
    version: Option<u32>,
    /// How many are started a second
    #[arg(long)]
    rate: Option<u32>,
    /// At most so many, newest first
    #[arg(long)]
    limit: Option<u64>,
    #[command(flatten)]
    remote: Remote,
}

impl Which {
    fn request(&self) -> anyhow::Result<StartReplay> {
        let strange: &[(&str, bool)] = match self.of {
            Of::Executions => &[("--type", self.kind.is_some()), ("--quota", self.quota.is_some())],
            Of::DeadLetters => &[
                ("--type", self.kind.is_some()),
                ("--quota", self.quota.is_some()),
                ("--trigger", self.trigger.is_some()),
                ("--ran-version", self.ran_version.is_some()),
            ],
            Of::Events => &[
                ("--workflow", self.workflow.is_some()),
                ("--ran-version", self.ran_version.is_some()),
                ("--error", self.error.is_some()),
                ("--error-code", self.error_code.is_some()),
                ("--error-step", self.error_step.is_some()),
            ],
        };
        if let Some((flag, _)) = strange.iter().find(|(_, given)| *given) {
            bail!("{flag} does not go with this kind of replay; see `fastn replay start --help`");
        }
        let ids = (!self.ids.is_empty()).then(|| self.ids.clone());
        let (since, until) = (self.since.clone(), self.until.clone());
        let (error_name, error_code, error_step) =
            (self.error.clone(), self.error_code.clone(), self.error_step.clone());
        let (workflow, trigger) = (self.workflow.clone(), self.trigger.clone());
        let select = match self.of {
            Of::Executions => ReplaySelection::Executions {
                ids,
                customer: None,
                status: word("--status", self.status.as_deref())?,
                workflow,
                version: self.ran_version,
                trigger,
                since,
                until,
                error_name,
                error_code,
                error_step,
            },
            Of::DeadLetters => ReplaySelection::DeadLetters {
                ids,
                customer: None,
                status: word("--status", self.status.as_deref())?,
                workflow,
                since,
                until,
                error_name,
                error_code,
                error_step,
            },
            Of::Events => ReplaySelection::Events {
                ids,
                customer: None,
                status: word("--status", self.status.as_deref())?,
                kind: self.kind.clone(),
                trigger,
                quota: word("--quota", self.quota.as_deref())?,
                since,
                until,
            },
        };
        let from = if self.from_failed_step { ReplayFrom::FailedStep } else { ReplayFrom::Start };
        Ok(StartReplay { select, from, version: self.version, rate_per_second: self.rate, limit: self.limit })
    }
}

/// The wire's own word as the enum that it is.
fn word<T: DeserializeOwned>(flag: &str, text: Option<&str>) -> anyhow::Result<Option<T>> {
    let read = |text: &str| serde_json::from_value(serde_json::Value::from(text));
    match text.map(read) {
        None => Ok(None),
        Some(Ok(status)) => Ok(Some(status)),
        Some(Err(error)) => bail!("{flag}: {error}"),
    }
}

pub(crate) async fn run(command: ReplayCommand) -> anyhow::Result<()> {
    match command {
        ReplayCommand::Preview(which) => preview(&which).await,
        ReplayCommand::Start { which, detach } => {
            let client = which.remote.client()?;
            let started = client.start_replay(&which.request()?).await?;
            if detach {
                return show(&which.remote, &started);
            }
            follow(&client, &which.remote, &started.id).await
        }
        ReplayCommand::Show(one) => {
            let view = one.remote.client()?.replay_job(&one.id).await?;
            show(&one.remote, &view)
        }
        ReplayCommand::Follow(one) => follow(&one.remote.client()?, &one.remote, &one.id).await,
        ReplayCommand::List(remote) => {
            let rows = remote.client()?.replays().take(ROWS_MAX).await?;
            let head = ["CREATED", "ID", "CUSTOMER", "STATUS", "TOTAL", "STARTED", "SUCCEEDED", "FAILED", "SKIPPED"];
            print::rows(remote.json, &rows, &head, |row| {
                vec![
                    row.created_at.clone(),
                    row.id.clone(),
                    row.customer.clone().unwrap_or_default(),
                    print::word(&row.status),
                    row.total.map_or_else(String::new, |total| total.to_string()),
                    row.started.to_string(),
                    row.succeeded.to_string(),
                    row.failed.to_string(),
                    row.skipped.to_string(),
                ]
            })
        }
        ReplayCommand::Cancel(one) => {
            let view = one.remote.client()?.cancel_replay(&one.id).await?;
            show(&one.remote, &view)
        }
    }
}

async fn preview(which: &Which) -> anyhow::Result<()> {
    let preview = which.remote.client()?.preview_replay(&which.request()?).await?;
    if which.remote.json {
        return print::value(&preview);
    }
    let more = if preview.more { "at least " } else { "" };
    print::line(format_args!("{more}{} would run, within about {} s", preview.total, preview.seconds))?;
    print::rows(false, &preview.sample, &["ID", "CUSTOMER", "RUNS", "KEPT", "CALLS AGAIN", "LEFT OUT"], would_do)
}

fn would_do(item: &ReplayPreviewItem) -> Vec<String> {
    let runs = match (&item.workflow, item.version) {
        (Some(workflow), Some(version)) => format!("{workflow}@{version}"),
        (Some(workflow), None) => workflow.clone(),
        _ => "what its triggers say".to_owned(),
    };
    let (kept, again) = (item.kept.join(" "), item.calls_again.join(" "));
    vec![item.id.clone(), item.customer.clone(), runs, kept, again, item.skipped.clone().unwrap_or_default()]
}

fn show(remote: &Remote, view: &ReplayView) -> anyhow::Result<()> {
    if remote.json {
        return print::value(view);
    }
    let total = view.total.map_or_else(|| "?".to_owned(), |total| total.to_string());
    print::line(format_args!("{}  {}", view.id, print::word(&view.status)))?;
    print::line(format_args!(
        "  {} of {total} started, {} succeeded, {} failed, {} left out",
        view.started, view.succeeded, view.failed, view.skipped
    ))?;
    for skip in &view.skips {
        print::line(format_args!("  {} left out: {}", skip.id, print::plain(&skip.reason)))?;
    }
    Ok(())
}

/// Shows a bar until the replay is over. Interrupting it leaves the replay at work.
async fn follow(client: &Fastn, remote: &Remote, id: &str) -> anyhow::Result<()> {
    let mut bar: Option<Progress> = None;
    loop {
        let view = client.replay_job(id).await?;
        if view.status.is_final() {
            drop(bar);
            show(remote, &view)?;
            if view.failed > 0 {
                bail!(
                    "{} of {} did not succeed; see `fastn executions list --status failed`",
                    view.failed,
                    view.started
                );
            }
            return Ok(());
        }
        if let Some(total) = view.total {
            let bar = bar.get_or_insert_with(|| Progress::new(&format!("replay {id}"), total as usize));
            bar.reach(view.succeeded + view.failed + view.skipped);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
