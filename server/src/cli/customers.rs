//! `fastn customers`: list, export, erase; and `fastn retention`.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Subcommand;
use fastn_sdk::contract::privacy::{ErasureStatus, ErasureView};
use futures_util::StreamExt as _;
use tokio::io::{AsyncWrite, AsyncWriteExt as _};

use super::{Remote, print};

/// How often an erasure that is waited for is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Rows of a list.
const ROWS_MAX: usize = 500;
/// Bytes of the end of an export that are looked at for its last line.
const END_BYTES: usize = 4_096;

#[derive(Debug, Subcommand)]
pub(crate) enum CustomerCommand {
    /// List customers
    List(Remote),
    /// Write everything that is kept of a customer as JSON lines
    #[command(after_help = "Example: fastn customers export cus_acme --output acme.ndjson")]
    Export {
        /// The customer
        id: String,
        /// The file; standard output when not given
        #[arg(long, short, value_name = "FILE")]
        output: Option<PathBuf>,
        #[command(flatten)]
        remote: Remote,
    },
    /// Erase a customer everywhere, for good
    #[command(after_help = "Example: fastn customers erase cus_acme --yes")]
    Erase {
        /// The customer
        id: String,
        /// There is no way back: say that you know
        #[arg(long)]
        yes: bool,
        /// Do not wait until it is done
        #[arg(long)]
        detach: bool,
        #[command(flatten)]
        remote: Remote,
    },
    /// Show the proof of an erasure
    Erasure {
        /// Its id
        id: String,
        #[command(flatten)]
        remote: Remote,
    },
    /// List erasures
    Erasures(Remote),
}

#[derive(Debug, Subcommand)]
pub(crate) enum RetentionCommand {
    /// Show how long activity is kept
    Show(Remote),
    /// Set how long activity is kept
    #[command(after_help = "Example: fastn retention set --activity-days 90 --payload-days 7")]
    Set {
        /// Days after which events, executions and dead letters are deleted
        #[arg(long, value_name = "DAYS")]
        activity_days: u32,
        /// Days after which their payloads are blanked; as long as the activity when not given
        #[arg(long, value_name = "DAYS")]
        payload_days: Option<u32>,
        #[command(flatten)]
        remote: Remote,
    },
}

pub(crate) async fn run(command: CustomerCommand) -> anyhow::Result<()> {
    match command {
        CustomerCommand::List(remote) => {
            let rows = remote.client()?.customers().take(ROWS_MAX).await?;
            print::rows(remote.json, &rows, &["ID", "NAME", "STATUS", "LOG"], |row| {
                let log = if row.body.encrypt_log { "sealed" } else { "" };
                vec![row.body.id.clone(), row.body.name.clone(), print::word(&row.body.status), log.to_owned()]
            })
        }
        CustomerCommand::Export { id, output, remote } => export(&id, output, &remote).await,
        CustomerCommand::Erase { id, yes, detach, remote } => {
            if !yes {
                bail!("erasing {id} cannot be taken back; say --yes if it is meant");
            }
            let client = remote.client()?;
            let mut erasure = client.erase_customer(&id).await?;
            while !detach && erasure.status != ErasureStatus::Done {
                tokio::time::sleep(LOOK_EVERY).await;
                erasure = client.erasure(&erasure.id).await?;
            }
            proof(&remote, &erasure)
        }
        CustomerCommand::Erasure { id, remote } => {
            let erasure = remote.client()?.erasure(&id).await?;
            proof(&remote, &erasure)
        }
        CustomerCommand::Erasures(remote) => {
            let rows = remote.client()?.erasures().take(ROWS_MAX).await?;
            print::rows(remote.json, &rows, &["REQUESTED", "ID", "STATUS", "DONE"], |row| {
                let done = row.finished_at.clone().unwrap_or_default();
                vec![row.requested_at.clone(), row.id.clone(), print::word(&row.status), done]
            })
        }
    }
}

pub(crate) async fn retention(command: RetentionCommand) -> anyhow::Result<()> {
    let (remote, settings) = match command {
        RetentionCommand::Show(remote) => {
            let settings = remote.client()?.retention().await?;
            (remote, settings)
        }
        RetentionCommand::Set { activity_days, payload_days, remote } => {
            let settings = fastn_sdk::contract::privacy::RetentionSettings { activity_days, payload_days };
            let settings = remote.client()?.put_retention(&settings).await?;
            (remote, settings)
        }
    };
    if remote.json {
        return print::value(&settings);
    }
    let payloads = settings.payload_days.unwrap_or(settings.activity_days);
    print::line(format_args!("activity {} days, payloads {payloads} days", settings.activity_days))
}

async fn export(id: &str, output: Option<PathBuf>, remote: &Remote) -> anyhow::Result<()> {
    let pieces = remote.client()?.export_customer(id).await?;
    let mut pieces = std::pin::pin!(pieces);
    let mut to: Box<dyn AsyncWrite + Unpin> = match &output {
        Some(path) => {
            let file = tokio::fs::File::create(path).await;
            Box::new(file.with_context(|| format!("write {}", path.display()))?)
        }
        None => Box::new(tokio::io::stdout()),
    };
    let mut end = Vec::new();
    while let Some(piece) = pieces.next().await {
        let piece = piece?;
        to.write_all(&piece).await?;
        end.extend_from_slice(&piece);
        end.drain(..end.len().saturating_sub(END_BYTES));
    }
    to.flush().await?;
    let last = String::from_utf8_lossy(&end);
    let last = last.trim_end().rsplit('\n').next().unwrap_or_default();
    let line: serde_json::Value = serde_json::from_str(last).unwrap_or_default();
    if line["type"] != "end" {
        bail!("the export was cut off: {}", print::plain(&line["detail"].to_string()));
    }
    if let Some(path) = output {
        let lines: u64 = line["counts"].as_object().into_iter().flatten().filter_map(|(_, rows)| rows.as_u64()).sum();
        print::line(format_args!("{lines} lines in {}", path.display()))?;
    }
    Ok(())
}

fn proof(remote: &Remote, erasure: &ErasureView) -> anyhow::Result<()> {
    if remote.json {
        return print::value(erasure);
    }
    print::line(format_args!("{}  {}", erasure.id, print::word(&erasure.status)))?;
    print::line(format_args!("  customer   SHA-256 {}", erasure.customer_hash))?;
    for step in &erasure.steps {
        print::line(format_args!("  {}   {}", step.at, step.step))?;
    }
    for rows in &erasure.rows {
        print::line(format_args!("  {} rows deleted from {}", rows.rows, rows.table))?;
    }
    for key in &erasure.keys {
        print::line(format_args!("  data key {} of {} destroyed", key.id, key.created_at))?;
    }
    for log in &erasure.log {
        let state = if log.unreadable { "unreadable" } else { "readable until trimmed" };
        print::line(format_args!(
            "  {}[{}] {}..{}: {state}; gone by {}",
            log.topic, log.partition, log.from, log.to, log.gone_by
        ))?;
    }
    Ok(())
}
