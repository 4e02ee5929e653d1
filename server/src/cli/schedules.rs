//! `fastn schedules`: triggers that fire by the clock.

use clap::Subcommand;
use fastn_sdk::contract::schedule::{BackfillSchedule, ChangeStatus, ScheduleFired, ScheduleView};

use super::{Remote, print};

/// Rows of a list.
const ROWS_MAX: usize = 500;

/// Schedules: list, show, run, backfill, pause, resume, history
#[derive(Debug, Subcommand)]
#[command(
    after_help = "Example: fastn schedules backfill nightly --from 2026-11-01T00:00:00Z --to 2026-11-08T00:00:00Z"
)]
pub(crate) enum ScheduleCommand {
    /// List schedules with their next and last runs
    List(Remote),
    /// Show a schedule and its next times
    Show {
        /// The trigger
        id: String,
        #[command(flatten)]
        remote: Remote,
    },
    /// Fire it once now, for --customer or for every customer that it fires for
    Run {
        /// The trigger
        id: String,
        #[command(flatten)]
        remote: Remote,
    },
    /// Make up for the scheduled times of a range that have no event
    Backfill {
        /// The trigger
        id: String,
        /// The first instant, RFC 3339
        #[arg(long)]
        from: String,
        /// The first instant after them, RFC 3339
        #[arg(long)]
        to: String,
        /// Only say what would be done
        #[arg(long)]
        dry_run: bool,
        #[command(flatten)]
        remote: Remote,
    },
    /// Let it fire no more until it is resumed
    Pause {
        /// The trigger
        id: String,
        /// Why, for its history
        #[arg(long, default_value = "")]
        reason: String,
        #[command(flatten)]
        remote: Remote,
    },
    /// Let it fire again
    Resume {
        /// The trigger
        id: String,
        /// Why, for its history
        #[arg(long, default_value = "")]
        reason: String,
        #[command(flatten)]
        remote: Remote,
    },
    /// Show the last changes of its status
    History {
        /// The trigger
        id: String,
        #[command(flatten)]
        remote: Remote,
    },
}

pub(crate) async fn run(command: ScheduleCommand) -> anyhow::Result<()> {
    match command {
        ScheduleCommand::List(remote) => {
            let rows = remote.client()?.schedules().take(ROWS_MAX).await?;
            let head = ["ID", "SCHEDULE", "TIMEZONE", "STATUS", "NEXT RUN", "LAST RUN", "FAILURES", "CUSTOMER"];
            print::rows(remote.json, &rows, &head, |row| {
                vec![
                    row.id.clone(),
                    schedule(row),
                    row.timezone.clone(),
                    print::word(&row.status),
                    or_dash(row.next_run.as_deref()),
                    last(row),
                    row.failures.to_string(),
                    or_dash(row.customer.as_deref()),
                ]
            })
        }
        ScheduleCommand::Show { id, remote } => print::value(&remote.client()?.schedule(&id).await?),
        ScheduleCommand::Run { id, remote } => fired(&remote, &remote.client()?.run_schedule(&id).await?, "made"),
        ScheduleCommand::Backfill { id, from, to, dry_run, remote } => {
            let range = BackfillSchedule { from, to, dry_run };
            let answer = remote.client()?.backfill_schedule(&id, &range).await?;
            fired(&remote, &answer, if dry_run { "would be made" } else { "made" })
        }
        ScheduleCommand::Pause { id, reason, remote } => {
            let view = remote.client()?.pause_schedule(&id, &ChangeStatus { reason }).await?;
            stands(&remote, &view)
        }
        ScheduleCommand::Resume { id, reason, remote } => {
            let view = remote.client()?.resume_schedule(&id, &ChangeStatus { reason }).await?;
            stands(&remote, &view)
        }
        ScheduleCommand::History { id, remote } => {
            let history = remote.client()?.schedule(&id).await?.history;
            print::rows(remote.json, &history, &["AT", "STATUS", "BY", "REASON"], |change| {
                let by = if change.automatic { "the platform" } else { "a person" };
                vec![change.at.clone(), print::word(&change.status), by.to_owned(), change.reason.clone()]
            })
        }
    }
}

/// The cron expression, or the mode where there is none.
fn schedule(view: &ScheduleView) -> String {
    view.cron.clone().unwrap_or_else(|| print::short(&serde_json::json!(view.when), 60))
}

fn last(view: &ScheduleView) -> String {
    match (&view.last_run, &view.last_status) {
        (Some(at), Some(status)) => format!("{at} {}", print::word(status)),
        _ => or_dash(None),
    }
}

fn or_dash(text: Option<&str>) -> String {
    text.unwrap_or("—").to_owned()
}

fn fired(remote: &Remote, answer: &ScheduleFired, what: &str) -> anyhow::Result<()> {
    if remote.json {
        return print::value(answer);
    }
    print::line(format_args!("{} events {what}, {} there already", answer.events, answer.already_there))?;
    for id in &answer.event_ids {
        print::line(format_args!("look  fastn events show {id}"))?;
    }
    Ok(())
}

fn stands(remote: &Remote, view: &ScheduleView) -> anyhow::Result<()> {
    if remote.json {
        return print::value(view);
    }
    let next = or_dash(view.next_run.as_deref());
    print::line(format_args!("{} is {}, next run {next}", view.id, print::word(&view.status)))
}
