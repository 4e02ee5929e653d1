//! Commands on connector apps.

use anyhow::Context;
use clap::Subcommand;

use super::{Remote, print};

/// Rows of a list.
const ROWS_MAX: usize = 500;

#[derive(Debug, Subcommand)]
pub(crate) enum AppCommand {
    /// List connector apps
    List(Remote),
    /// Show a connector app
    Show {
        /// The app
        id: String,
        #[command(flatten)]
        remote: Remote,
    },
    /// Print the URL to which a connector app sends its events
    Url {
        /// The app
        id: String,
        #[command(flatten)]
        remote: Remote,
    },
    /// Delete a connector app that no trigger listens to
    Delete {
        /// The app
        id: String,
        #[command(flatten)]
        remote: Remote,
    },
}

pub(crate) async fn run(command: AppCommand) -> anyhow::Result<()> {
    match command {
        AppCommand::List(remote) => {
            let rows = remote.client()?.apps().take(ROWS_MAX).await?;
            print::rows(remote.json, &rows, &["ID", "NAME", "STATUS", "EVENTS", "ENDPOINT"], |row| {
                let app = &row.body;
                let events = app.events.len().to_string();
                let endpoint = app.endpoint.clone().unwrap_or_default();
                vec![app.id.clone(), app.name.clone(), print::word(&app.status), events, endpoint]
            })
        }
        AppCommand::Show { id, remote } => print::value(&remote.client()?.app(&id).await?),
        AppCommand::Url { id, remote } => {
            let fastn = remote.client()?;
            let endpoint = fastn.app(&id).await?.body.endpoint.context("the app has no endpoint; write it again")?;
            print::line(format_args!("{}/v1/apps/{endpoint}/events", fastn.url().trim_end_matches('/')))
        }
        AppCommand::Delete { id, remote } => {
            remote.client()?.delete_app(&id).await?;
            print::line(format_args!("{id} is deleted"))
        }
    }
}
