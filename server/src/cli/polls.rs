//! `fastn polls`: triggers that poll a source.

use clap::Subcommand;
use fastn_sdk::contract::poll::PollView;

use super::{Remote, print};

/// Rows of a list.
const ROWS_MAX: usize = 500;

/// Polls of a trigger: show, now, reset
#[derive(Debug, Subcommand)]
#[command(after_help = "Example: fastn polls show crm-contacts")]
pub(crate) enum PollCommand {
    /// Show how the polls of a trigger stand, by customer
    Show {
        /// The trigger
        trigger: String,
        #[command(flatten)]
        remote: Remote,
    },
    /// Poll at once, for --customer or for every customer
    Now {
        /// The trigger
        trigger: String,
        #[command(flatten)]
        remote: Remote,
    },
    /// Forget what was listed: the next poll is as the first one
    Reset {
        /// The trigger
        trigger: String,
        #[command(flatten)]
        remote: Remote,
    },
}

pub(crate) async fn run(command: PollCommand) -> anyhow::Result<()> {
    match command {
        PollCommand::Show { trigger, remote } => {
            let rows = remote.client()?.polls(&trigger).take(ROWS_MAX).await?;
            let head = ["CUSTOMER", "RECORDS", "NEXT POLL", "EVERY", "LAST POLL", "OUTCOME", "CHANGES", "DETAIL"];
            print::rows(remote.json, &rows, &head, |row| {
                vec![
                    row.customer.clone(),
                    row.records.to_string(),
                    if row.running { "running".to_owned() } else { row.next_poll.clone() },
                    format!("{} s", row.interval_seconds),
                    or_dash(row.last_poll.as_deref()),
                    row.last_outcome.map_or_else(|| or_dash(None), |outcome| print::word(&outcome)),
                    changes(row),
                    or_dash(row.detail.as_deref()),
                ]
            })
        }
        PollCommand::Now { trigger, remote } => {
            let asked = remote.client()?.poll_now(&trigger).await?;
            match remote.json {
                true => print::value(&asked),
                false => print::line(format_args!("{} polls are due now", asked.polls)),
            }
        }
        PollCommand::Reset { trigger, remote } => {
            remote.client()?.reset_polls(&trigger).await?;
            print::line(format_args!("what {trigger} listed is forgotten"))
        }
    }
}

fn changes(row: &PollView) -> String {
    format!("+{} ~{} -{}", row.created, row.updated, row.deleted)
}

fn or_dash(text: Option<&str>) -> String {
    text.unwrap_or("—").to_owned()
}
