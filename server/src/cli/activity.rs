//! Commands that show what happened, and act on it.

use clap::{Args, Subcommand};
use fastn_sdk::contract::activity::{ExecutionStatus, ExecutionUpdate, ExecutionView};
use fastn_sdk::contract::command::{ReplayDeadLetters, ReplayExecution, ReplayFrom};
use fastn_sdk::contract::error::ErrorCode;
use fastn_sdk::{Follow, Update};
use futures_util::StreamExt as _;

use super::style::Style;
use super::{Remote, print};

/// Characters of a value in the tree of an execution.
const VALUE_CHARS_MAX: usize = 400;

#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// Most rows
    #[arg(long, default_value_t = 30)]
    limit: usize,
    /// Only with this status
    #[arg(long)]
    status: Option<String>,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Debug, Args)]
pub(crate) struct One {
    /// Its id
    pub(super) id: String,
    #[command(flatten)]
    pub(super) remote: Remote,
}

#[derive(Debug, Args)]
pub(crate) struct ReplayArgs {
    /// Keep the results before the step that failed
    #[arg(long)]
    from_failed_step: bool,
    /// The version to run; 0 is the latest
    #[arg(long)]
    version: Option<u32>,
}

impl ReplayArgs {
    fn from(&self) -> ReplayFrom {
        if self.from_failed_step { ReplayFrom::FailedStep } else { ReplayFrom::Start }
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum EventCommand {
    /// List events, newest first
    List(ListArgs),
    /// Show an event with its payload
    Show(One),
    /// Take events that a quota refused once more
    #[command(after_help = "Example: fastn events replay --blocked --customer cus_acme")]
    Replay {
        /// Their ids
        #[arg(required_unless_present = "blocked", conflicts_with = "blocked")]
        ids: Vec<String>,
        /// All that were refused, the oldest first
        #[arg(long)]
        blocked: bool,
        /// Most of those that were refused
        #[arg(long, default_value_t = 1_000, requires = "blocked")]
        limit: usize,
        #[command(flatten)]
        remote: Remote,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum ExecutionCommand {
    /// List executions, newest first
    List {
        #[command(flatten)]
        list: ListArgs,
        /// Only of this workflow
        #[arg(long)]
        workflow: Option<String>,
        /// Only those that this event started
        #[arg(long)]
        event: Option<String>,
    },
    /// Show an execution with every step's input, output, duration and attempts
    Show(One),
    /// Follow executions live
    Follow {
        /// One execution; all when not given
        id: Option<String>,
        #[command(flatten)]
        remote: Remote,
    },
    /// Ask for an execution's end
    Cancel(One),
    /// Run an ended execution again, as a new one
    Replay {
        #[command(flatten)]
        one: One,
        #[command(flatten)]
        how: ReplayArgs,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum DeadLetterCommand {
    /// List dead letters, newest first
    List(ListArgs),
    /// Show a dead letter
    Show(One),
    /// Replay dead letters: those named, or the pending ones of a workflow, or all that are pending
    #[command(after_help = "Examples:\n  fastn dead-letters replay exec_…\n  \
        fastn dead-letters replay --workflow triage --from-failed-step\n  fastn dead-letters replay --all --limit 1000")]
    Replay {
        /// Their ids
        #[arg(required_unless_present_any = ["workflow", "all"], conflicts_with_all = ["workflow", "all"])]
        ids: Vec<String>,
        /// The pending ones of this workflow
        #[arg(long)]
        workflow: Option<String>,
        /// All that are pending
        #[arg(long, conflicts_with = "workflow")]
        all: bool,
        /// At most so many
        #[arg(long, default_value_t = 100)]
        limit: u32,
        #[command(flatten)]
        how: ReplayArgs,
        #[command(flatten)]
        remote: Remote,
    },
}

pub(crate) async fn events(command: EventCommand) -> anyhow::Result<()> {
    match command {
        EventCommand::List(list) => {
            let pager = list.remote.client()?.events().filter("status", list.status.as_ref());
            let rows = pager.take(list.limit).await?;
            print::rows(list.remote.json, &rows, &["RECEIVED", "ID", "TYPE", "CUSTOMER", "STATUS", "WHY"], |event| {
                let why = event.reason.clone().unwrap_or_default();
                let (id, kind) = (event.id.clone(), event.kind.clone());
                vec![event.received_at.clone(), id, kind, event.customer.clone(), print::word(&event.status), why]
            })
        }
        EventCommand::Show(one) => print::value(&one.remote.client()?.event(&one.id).await?),
        EventCommand::Replay { ids, blocked, limit, remote } => replay_events(ids, blocked, limit, &remote).await,
    }
}

/// Takes refused events once more. Of those that are listed some may have been taken since; they are passed over.
async fn replay_events(ids: Vec<String>, blocked: bool, limit: usize, remote: &Remote) -> anyhow::Result<()> {
    let client = remote.client()?;
    let ids = if blocked {
        let rows = client.events().filter("quota", Some("blocked")).take(limit).await?;
        let mut seen = std::collections::HashSet::new();
        let mut ids: Vec<String> = rows.into_iter().map(|row| row.id).filter(|id| seen.insert(id.clone())).collect();
        ids.reverse();
        ids
    } else {
        ids
    };
    let mut replayed = Vec::new();
    for id in ids {
        match client.replay_event(&id).await {
            Ok(answer) => replayed.push(answer.event_id),
            Err(error) if blocked && error.code == Some(ErrorCode::Conflict) => {}
            Err(error) => return Err(error.into()),
        }
    }
    if remote.json {
        return print::value(&replayed);
    }
    print::line(format_args!("{} taken once more; `fastn events list` shows what became of them", replayed.len()))
}

pub(crate) async fn executions(command: ExecutionCommand) -> anyhow::Result<()> {
    match command {
        ExecutionCommand::List { list, workflow, event } => {
            let pager = list.remote.client()?.executions().filter("status", list.status.as_ref());
            let rows = pager.filter("workflow", workflow).filter("eventId", event).take(list.limit).await?;
            let head = ["ADMITTED", "ID", "WORKFLOW", "CUSTOMER", "STATUS", "MS", "STEPS", "WHY"];
            print::rows(list.remote.json, &rows, &head, |row| {
                vec![
                    row.created_at.clone(),
                    row.id.clone(),
                    format!("{}@{}", row.workflow, row.version),
                    row.customer.clone(),
                    print::word(&row.status),
                    row.duration_ms.map_or_else(String::new, |ms| ms.to_string()),
                    row.step_count.to_string(),
                    why(row),
                ]
            })
        }
        ExecutionCommand::Show(one) => {
            let view = one.remote.client()?.execution(&one.id).await?;
            if one.remote.json {
                return print::value(&view);
            }
            tree(Style::detect(), &view)
        }
        ExecutionCommand::Follow { id, remote } => follow(id, &remote).await,
        ExecutionCommand::Cancel(one) => {
            let answer = one.remote.client()?.cancel(&one.id).await?;
            if one.remote.json {
                return print::value(&answer);
            }
            print::line(format_args!("asked for the end of {}", one.id))
        }
        ExecutionCommand::Replay { one, how } => {
            let request = ReplayExecution { from: how.from(), version: how.version };
            let answer = one.remote.client()?.replay(&one.id, &request).await?;
            if one.remote.json {
                return print::value(&answer);
            }
            print::line(format_args!("replayed as {}", answer.execution_id))
        }
    }
}

pub(crate) async fn dead_letters(command: DeadLetterCommand) -> anyhow::Result<()> {
    match command {
        DeadLetterCommand::List(list) => {
            let pager = list.remote.client()?.dead_letters().filter("status", list.status.as_ref());
            let rows = pager.take(list.limit).await?;
            let head = ["CREATED", "ID", "WORKFLOW", "CUSTOMER", "STATUS", "ATTEMPTS", "ERROR"];
            print::rows(list.remote.json, &rows, &head, |row| {
                vec![
                    row.created_at.clone(),
                    row.id.clone(),
                    row.workflow.clone(),
                    row.customer.clone(),
                    print::word(&row.status),
                    row.attempts.to_string(),
                    row.error.message.clone(),
                ]
            })
        }
        DeadLetterCommand::Show(one) => print::value(&one.remote.client()?.dead_letter(&one.id).await?),
        DeadLetterCommand::Replay { ids, workflow, all: _, limit, how, remote } => {
            let which = ReplayDeadLetters {
                ids: (!ids.is_empty()).then_some(ids),
                workflow,
                limit: Some(limit),
                from: how.from(),
                version: how.version,
            };
            let client = remote.client()?;
            let answer = super::progress::shown("replaying dead letters", client.replay_dead_letters(&which)).await?;
            if remote.json {
                return print::value(&answer);
            }
            print::line(format_args!("{} replayed", answer.count))?;
            for replay in &answer.replays {
                print::line(format_args!("  {} → {}", replay.dead_letter, replay.execution_id))?;
            }
            for id in &answer.skipped {
                print::line(format_args!("  {id} skipped: not there, or cannot be replayed"))?;
            }
            Ok(())
        }
    }
}

async fn follow(id: Option<String>, remote: &Remote) -> anyhow::Result<()> {
    let style = Style::detect();
    let fastn = remote.client()?;
    let mut updates = std::pin::pin!(fastn.follow(Follow { workflow: None, execution: id.clone() }));
    while let Some(update) = updates.next().await {
        match update? {
            Update::Execution(update) => tell(style, &update, remote.json)?,
            Update::Missed => eprintln!("some updates were missed"),
        }
    }
    Ok(())
}

/// One line, or one JSON object, for one change.
fn tell(style: Style, update: &ExecutionUpdate, json: bool) -> anyhow::Result<()> {
    if json {
        return print::line(serde_json::to_string(update)?);
    }
    let workflow = update.workflow.as_deref().unwrap_or("?");
    let took = update.duration_ms.map_or_else(String::new, |ms| format!("{ms} ms"));
    let (status, ExecutionUpdate { at, customer, id, .. }) = (status(style, update.status), update);
    print::line(format_args!("{at} {customer:<14} {workflow:<20} {status} {took:>8} {id}"))?;
    match &update.error {
        Some(error) => print::line(format_args!("    {}", style.red(&print::plain(error)))),
        None => Ok(()),
    }
}

fn status(style: Style, status: ExecutionStatus) -> String {
    let word = format!("{:<9}", print::word(&status));
    match status {
        ExecutionStatus::Completed => style.green(&word),
        ExecutionStatus::Failed | ExecutionStatus::Timeout => style.red(&word),
        _ => style.dim(&word),
    }
}

/// Why it failed, or what it waits for.
fn why(row: &ExecutionView) -> String {
    let error = row.error.as_ref().map(|error| error.message.clone());
    error.or_else(|| row.waiting_on.as_ref().map(|waiting| waiting.text.clone())).unwrap_or_default()
}

/// An execution for people: head, steps, result.
pub(super) fn tree(style: Style, view: &ExecutionView) -> anyhow::Result<()> {
    let took = view.duration_ms.map_or_else(|| "still going".to_owned(), |ms| format!("{ms} ms"));
    print::line(format_args!(
        "{}  {}@{}  {}  {took}",
        style.bold(&view.id),
        view.workflow,
        view.version,
        status(style, view.status)
    ))?;
    print::line(format_args!("├ customer    {}", view.customer))?;
    print::line(format_args!("├ event       {}   {}", view.event_id, print::word(&view.triggered_by)))?;
    print::line(format_args!("├ admitted    {}   attempt {}", view.created_at, view.attempt))?;
    if let Some(waiting) = &view.waiting_on {
        print::line(format_args!("├ {}", waiting.text))?;
    }
    if let Some(of) = &view.replay_of {
        print::line(format_args!("├ replay of   {of}"))?;
    }
    if let Some(input) = &view.input {
        print::line(format_args!("├ input       {}", print::short(input, VALUE_CHARS_MAX)))?;
    }
    for step in view.steps.iter().flatten() {
        let mark = match step.status.as_str() {
            "completed" => style.green("✓"),
            "failed" => style.red("✗"),
            _ => style.dim("…"),
        };
        let attempts = if step.attempts > 1 { format!(", {} attempts", step.attempts) } else { String::new() };
        print::line(format_args!(
            "├ {mark} {}  {}  {} ms{attempts}",
            style.bold(&step.name),
            style.dim(&step.kind),
            step.duration_ms
        ))?;
        for (name, value) in [("in ", &step.input), ("out", &step.output)] {
            if let Some(value) = value {
                print::line(format_args!("│   {name} {}", print::short(value, VALUE_CHARS_MAX)))?;
            }
        }
        if let Some(error) = &step.error {
            print::line(format_args!("│   {}", style.red(&print::plain(error))))?;
        }
    }
    for line in view.logs.iter().flatten() {
        print::line(format_args!("├ {} {:<5} {}", style.dim("log"), line.level, print::plain(&line.message)))?;
    }
    match (&view.error, &view.output) {
        (Some(error), _) => {
            let place = match (&error.file, error.line) {
                (Some(file), Some(line)) => format!("  {file}:{line}:{}", error.column.unwrap_or(1)),
                _ => String::new(),
            };
            print::line(format_args!(
                "└ {}{place}",
                style.red(&print::plain(&format!("{}: {}", error.name, error.message)))
            ))?;
            if let Some(source) = &error.source_line {
                print::line(format_args!("    {}", print::plain(source)))?;
            }
        }
        (None, Some(output)) => {
            print::line(format_args!("└ output      {}", print::short(output, VALUE_CHARS_MAX)))?;
        }
        (None, None) => print::line("└ no result yet")?,
    }
    Ok(())
}
