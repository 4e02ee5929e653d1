//! `fastn test-server`: a platform for the tests of another process. All of it is in [`crate::testing`].

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;
use fastn_domain::time::{Timestamp, parse_rfc3339};
use serde_json::json;
use tokio::io::AsyncReadExt as _;

use super::print;
use crate::testing::TestServer;

/// Run a platform for tests
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  fastn test-server\n  fastn test-server my-project --at 2026-03-29T00:00:00Z --frozen\n\n\
    Prints one line of JSON when it is ready: url, accessKey, account, customer, clock. How to move its clock and to\n\
    answer calls is in docs/TESTING.md. It keeps nothing."
)]
pub(crate) struct TestServerCommand {
    /// A project's folder to fill it with
    directory: Option<PathBuf>,
    /// The port on 127.0.0.1 [default: one that is free]
    #[arg(long, value_name = "PORT")]
    port: Option<u16>,
    /// Where the clock starts [default: now]
    #[arg(long, value_name = "INSTANT", value_parser = instant)]
    at: Option<Timestamp>,
    /// Let the clock stand still but for when it is moved [default: it runs on with real time]
    #[arg(long)]
    frozen: bool,
    /// Let calls go out that no mock answers
    #[arg(long)]
    allow_network: bool,
    /// End when standard input is closed, so that a test runner that is killed leaves nothing behind
    #[arg(long)]
    with_stdin: bool,
    /// Write log lines to standard error
    #[arg(long)]
    verbose: bool,
}

fn instant(text: &str) -> Result<Timestamp, String> {
    parse_rfc3339(text).ok_or_else(|| "is no instant, e.g. 2026-03-29T00:00:00Z".to_owned())
}

pub(crate) async fn run(command: TestServerCommand) -> anyhow::Result<()> {
    if command.verbose {
        let filter = tracing_subscriber::EnvFilter::try_new("info,fjall=warn,lsm_tree=warn")?;
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).compact().init();
    }
    let mut builder = TestServer::builder().port(command.port.unwrap_or_default());
    if let Some(directory) = command.directory {
        builder = builder.project(directory);
    }
    if let Some(at) = command.at {
        builder = builder.at(at);
    }
    if command.frozen {
        builder = builder.frozen();
    }
    if command.allow_network {
        builder = builder.allow_network();
    }
    let server = builder.start().await.context("start the test server")?;
    print::line(json!({
        "url": server.url(),
        "accessKey": server.access_key(),
        "account": server.account(),
        "customer": server.customer(),
        "clock": server.now().to_string(),
    }))?;
    let closed = async {
        match command.with_stdin {
            true => at_the_end_of_stdin().await,
            false => std::future::pending().await,
        }
    };
    tokio::select! {
        asked = super::stop_signal() => asked?,
        () = closed => {}
    }
    server.stop().await.context("stop the test server")?;
    // The read of standard input holds up a thread that nothing else ends.
    std::process::exit(0)
}

async fn at_the_end_of_stdin() {
    let mut input = tokio::io::stdin();
    let mut some = [0; 1_024];
    while matches!(input.read(&mut some).await, Ok(read) if read > 0) {}
}
