//! `fastn run`: a workflow by hand.

use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use fastn_sdk::Fastn;
use fastn_sdk::contract::activity::{ExecutionStatus, ExecutionView};
use fastn_sdk::contract::command::RunWorkflow;
use serde_json::Value;

use super::style::Style;
use super::{Remote, activity, print, send};

/// Run a workflow by hand
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  fastn run triage --input '{\"issue\": 7}' --customer cus_acme\n  \
    fastn run import --file rows.json --customer cus_acme --wait 60\n\n\
    An Instant workflow answers with its result. Any other is queued; --wait shows its end.")]
pub(crate) struct Run {
    /// The workflow
    workflow: String,
    /// The input as JSON
    #[arg(long, value_name = "JSON", conflicts_with = "file")]
    input: Option<String>,
    /// A file with the input; - reads standard input
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// The environment whose version runs
    #[arg(long)]
    environment: Option<String>,
    /// Wait for the end, at most so many seconds
    #[arg(long, value_name = "SECONDS")]
    wait: Option<u64>,
    #[command(flatten)]
    remote: Remote,
}

pub(crate) async fn run(run: Run) -> anyhow::Result<()> {
    let input = match (&run.input, &run.file) {
        (Some(text), _) => text.clone(),
        (None, Some(path)) => send::read(path)?,
        (None, None) => "{}".to_owned(),
    };
    let input: Value = serde_json::from_str(&input).context("the input is no JSON")?;
    let fastn = run.remote.client()?;
    let request = RunWorkflow { input, environment: run.environment };
    let answer = fastn.configured_customer()?.run_in(&run.workflow, &request).await?;
    if let (Some(seconds), false) = (run.wait, answer.status.is_final()) {
        return ended(&wait(&fastn, &answer.execution_id, seconds).await?, run.remote.json);
    }
    match &answer.output {
        _ if run.remote.json => print::value(&answer),
        Some(output) => print::value(output),
        None => {
            print::line(format_args!("{}  {}", print::word(&answer.status), answer.execution_id))?;
            print::line(format_args!("look    fastn executions show {}", answer.execution_id))
        }
    }
}

async fn wait(fastn: &Fastn, execution: &str, seconds: u64) -> anyhow::Result<ExecutionView> {
    let spinner = if std::io::stderr().is_terminal() {
        indicatif::ProgressBar::new_spinner().with_message(format!("{execution} runs"))
    } else {
        indicatif::ProgressBar::hidden()
    };
    spinner.enable_steady_tick(Duration::from_millis(100));
    let view = fastn.wait(execution, Duration::from_secs(seconds)).await;
    spinner.finish_and_clear();
    Ok(view?)
}

/// Shows how it ended; any end but `completed` is a failure of the command.
fn ended(view: &ExecutionView, json: bool) -> anyhow::Result<()> {
    if json {
        print::value(view)?;
    } else {
        activity::tree(Style::detect(), view)?;
    }
    let done = view.status == ExecutionStatus::Completed;
    anyhow::ensure!(done, "{} ended as {}", view.id, print::word(&view.status));
    Ok(())
}
