//! The command line. Everything remote goes through the Rust SDK.
//!
//! Exit codes: 0 done; 1 failed; 2 the command line was wrong; 3 the server refused the request; 4 no server answered.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, Parser, Subcommand};
use fastn_sdk::{ErrorKind, Fastn};

use crate::config::{Layer, ServeConfig};

mod access_keys;
mod activity;
mod alerts;
mod apps;
mod bench;
mod configure;
mod customers;
mod doctor;
mod migrate;
mod openapi;
mod polls;
pub(crate) mod print;
mod progress;
mod replays;
mod run;
mod schedules;
pub(crate) mod send;
pub(crate) mod style;
mod test;
mod test_server;
mod usage;

const AFTER: &str = "\
Start:      fastn dev examples/github-triage
Send:       fastn send order.created --data '{\"id\": 7}' --customer cus_acme
Look:       fastn executions list   ·   fastn executions show exec_…
Change:     fastn apply -f DIR      ·   fastn publish workflows/triage.ts

Commands that talk to a server find it by their flags, then by FASTN_URL, FASTN_ACCESS_KEY,
FASTN_ACCOUNT_ID and FASTN_TENANT_ID, then by .fastn/config.json in this folder or above it.

Exit codes: 0 done, 1 failed, 2 wrong command line, 3 the server refused, 4 no server answered.";

/// The embedded integration platform: webhooks and events in, workflows run, nothing lost
#[derive(Debug, Parser)]
#[command(name = "fastn", version, after_help = AFTER, max_term_width = 110)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a project's folder on this machine, watch its files, show its executions live
    #[command(after_help = "Example: fastn dev examples/github-triage")]
    Dev {
        /// The project's folder
        #[arg(default_value = ".")]
        directory: PathBuf,
        #[command(flatten)]
        layer: Layer,
    },
    /// Run a project's tests, or make one of an execution
    Test(test::Test),
    /// Run a platform for tests: empty, on a clock that the test moves, with calls to the outside answered by mocks
    TestServer(test_server::TestServerCommand),
    /// Run a node
    #[command(
        after_help = "Example: fastn serve --config fastn-server.yaml --data /var/lib/fastn --listen 0.0.0.0:7400"
    )]
    Serve {
        /// A YAML file with the keys of the flags, e.g. `log_level: info`
        #[arg(long, env = "FASTN_CONFIG", value_name = "FILE")]
        config: Option<PathBuf>,
        #[command(flatten)]
        layer: Layer,
    },
    /// Apply a folder of YAML and TypeScript to a server
    #[command(after_help = "Example: fastn apply -f examples/github-triage")]
    Apply {
        /// The project's folder
        #[arg(short = 'f', long = "file", value_name = "DIR")]
        directory: PathBuf,
        #[command(flatten)]
        remote: Remote,
    },
    /// Publish a workflow's code as its next version
    #[command(after_help = "Example: fastn publish workflows/triage.ts --deploy live")]
    Publish {
        /// The TypeScript file
        file: PathBuf,
        /// The workflow; the file's name when not given
        #[arg(long)]
        workflow: Option<String>,
        /// Deploy the version to this environment as well
        #[arg(long, value_name = "ENVIRONMENT")]
        deploy: Option<String>,
        #[command(flatten)]
        remote: Remote,
    },
    /// Triggers: list, show, url, subscription
    #[command(subcommand)]
    Trigger(configure::TriggerCommand),
    /// Polls of a trigger: show, now, reset
    #[command(subcommand)]
    Polls(polls::PollCommand),
    /// Schedules: list, show, run, backfill, pause, resume, history
    #[command(subcommand)]
    Schedules(schedules::ScheduleCommand),
    /// Connector apps: list, show, url, delete
    #[command(subcommand)]
    Apps(apps::AppCommand),
    /// Secrets: list, set, delete, captured token
    #[command(subcommand)]
    Secrets(configure::SecretCommand),
    /// Send an event, or a webhook with its provider's signature
    Send(send::Send),
    /// Run a workflow by hand
    Run(run::Run),
    /// Events: list, show, replay
    #[command(subcommand)]
    Events(activity::EventCommand),
    /// Executions: list, show, follow, cancel, replay
    #[command(subcommand)]
    Executions(activity::ExecutionCommand),
    /// Dead letters: list, show, replay
    #[command(subcommand)]
    DeadLetters(activity::DeadLetterCommand),
    /// Alerts: list, show; their rules: rules, apply, pause, resume, silence, unsilence, test, delete
    #[command(subcommand)]
    Alerts(alerts::AlertCommand),
    /// Limits: what is used of them, and what is left
    Usage(usage::Usage),
    /// Replays in bulk: preview, start, show, follow, list, cancel
    #[command(subcommand)]
    Replay(replays::ReplayCommand),
    /// Customers: list, export, erase, and the proof of an erasure
    #[command(subcommand)]
    Customers(customers::CustomerCommand),
    /// How long activity and payloads are kept: show, set
    #[command(subcommand)]
    Retention(customers::RetentionCommand),
    /// Access keys: create, list, revoke
    #[command(subcommand)]
    AccessKeys(access_keys::AccessKeyCommand),
    /// Bring the schema of PostgreSQL up to date
    Migrate(migrate::Migrate),
    /// Measure the main job on this machine
    Bench(bench::Bench),
    /// Check this machine, the data directory, Kafka, PostgreSQL and the server
    Doctor {
        /// A YAML file with the keys of the flags
        #[arg(long, env = "FASTN_CONFIG", value_name = "FILE")]
        config: Option<PathBuf>,
        #[command(flatten)]
        layer: Layer,
    },
    /// Make the activity tables anew from the log; no projector may run meanwhile
    Rebuild {
        /// A YAML file with the keys of the flags
        #[arg(long, env = "FASTN_CONFIG", value_name = "FILE")]
        config: Option<PathBuf>,
        #[command(flatten)]
        layer: Layer,
    },
    /// Print the OpenAPI document
    Openapi {
        /// Print who may call which operation instead, as Markdown
        #[arg(long, conflicts_with = "against")]
        access: bool,
        /// Print instead what breaks for clients of an earlier document, and fail if something does
        #[arg(long, value_name = "FILE")]
        against: Option<PathBuf>,
        /// With --against: a file of breaks that are meant, each with its reason
        #[arg(long, value_name = "FILE", requires = "against")]
        accepted: Option<PathBuf>,
    },
    /// Write the type declarations of workflows into a project, for editors
    Types {
        /// The project's folder
        #[arg(default_value = ".")]
        directory: PathBuf,
    },
}

/// How to reach a server.
#[derive(Debug, Default, Args)]
pub(crate) struct Remote {
    /// The server
    #[arg(long, help_heading = "Server", value_name = "URL")]
    url: Option<String>,
    /// The access key
    #[arg(long, help_heading = "Server", value_name = "KEY")]
    access_key: Option<String>,
    /// The account
    #[arg(long, help_heading = "Server", value_name = "ID")]
    account: Option<String>,
    /// The customer to act for
    #[arg(long, short, help_heading = "Server", value_name = "ID")]
    customer: Option<String>,
    /// Print JSON, for programs
    #[arg(long, help_heading = "Server")]
    pub(crate) json: bool,
}

impl Remote {
    /// The client.
    pub(crate) fn client(&self) -> Result<Fastn, fastn_sdk::Error> {
        let mut builder = Fastn::builder();
        if let Some(url) = &self.url {
            builder = builder.url(url);
        }
        if let Some(key) = &self.access_key {
            builder = builder.access_key(key);
        }
        if let Some(account) = &self.account {
            builder = builder.account(account);
        }
        if let Some(customer) = &self.customer {
            builder = builder.customer(customer);
        }
        builder.build()
    }
}

/// Runs the command line of this process.
pub fn run() -> ExitCode {
    let cli = Cli::parse();
    raise_open_files();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("fastn: the runtime does not start: {error}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(Box::pin(dispatch(cli.command))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => told(&error),
    }
}

async fn dispatch(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Dev { directory, layer } => crate::dev::run(directory, layer).await,
        Command::Test(command) => test::run(command).await,
        Command::TestServer(command) => test_server::run(command).await,
        Command::Serve { config, layer } => serve(config, layer).await,
        Command::Apply { directory, remote } => configure::apply(&directory, &remote).await,
        Command::Publish { file, workflow, deploy, remote } => {
            configure::publish(&file, workflow, deploy, &remote).await
        }
        Command::Trigger(command) => configure::trigger(command).await,
        Command::Polls(command) => polls::run(command).await,
        Command::Schedules(command) => schedules::run(command).await,
        Command::Apps(command) => apps::run(command).await,
        Command::Secrets(command) => configure::secret(command).await,
        Command::Send(send) => send::run(send).await,
        Command::Run(run) => run::run(run).await,
        Command::Events(command) => activity::events(command).await,
        Command::Executions(command) => activity::executions(command).await,
        Command::Usage(usage) => usage::run(usage).await,
        Command::Migrate(arguments) => migrate::run(arguments).await,
        Command::Alerts(command) => alerts::run(command).await,
        Command::AccessKeys(command) => access_keys::run(command).await,
        Command::DeadLetters(command) => activity::dead_letters(command).await,
        Command::Replay(command) => replays::run(command).await,
        Command::Customers(command) => customers::run(command).await,
        Command::Retention(command) => customers::retention(command).await,
        Command::Bench(bench) => bench::run(bench).await,
        Command::Doctor { config, layer } => doctor::run(config.as_deref(), layer).await,
        Command::Rebuild { config, layer } => doctor::rebuild(config.as_deref(), layer).await,
        Command::Openapi { access: true, .. } => openapi::access(),
        Command::Openapi { against: Some(earlier), accepted, .. } => openapi::compare(&earlier, accepted.as_deref()),
        Command::Openapi { .. } => print::value(&crate::api::document()),
        Command::Types { directory } => configure::types(&directory),
    }
}

async fn serve(file: Option<PathBuf>, layer: Layer) -> anyhow::Result<()> {
    let config = ServeConfig::of(layer, file.as_deref(), false)?;
    tracing_for(&config)?;
    // Passwords show themselves as ***.
    tracing::info!(config = %serde_json::to_string(&config)?, "the effective configuration");
    let node = crate::wiring::Node::start(&config, axum::Router::new()).await?;
    tracing::info!(address = %node.address, "fastn listens on {}", node.address);
    if node.access_key.is_some() {
        tracing::info!(
            account = config.account,
            file = %crate::wiring::key_file(&config.data).display(),
            "the access key of {} lies in {}, readable by this user only",
            config.account,
            crate::wiring::key_file(&config.data).display()
        );
    }
    stop_signal().await?;
    tracing::info!("stopping");
    node.stop().await.context("stop the node")
}

/// Log lines for people in development, JSON in service.
pub(crate) fn tracing_for(config: &ServeConfig) -> anyhow::Result<()> {
    let filter = tracing_subscriber::EnvFilter::try_new(&config.log_level)
        .with_context(|| format!("log level {:?} is no filter", config.log_level))?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    if config.dev {
        builder.compact().init()
    } else {
        builder.json().init()
    }
    Ok(())
}

/// Resolves when the process is asked to stop.
pub(crate) async fn stop_signal() -> anyhow::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        result = tokio::signal::ctrl_c() => result?,
        _ = terminate.recv() => {}
    }
    Ok(())
}

/// Connections and tables need descriptors: takes as many as the system lets us have.
fn raise_open_files() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let _kept_as_it_is = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
}

/// Prints what failed, why, and what to do; the exit code tells programs the kind.
fn told(error: &anyhow::Error) -> ExitCode {
    let Some(failed) = error.downcast_ref::<fastn_sdk::Error>() else {
        // Whoever read our output has what it wanted.
        let closed = |error: &std::io::Error| error.kind() == std::io::ErrorKind::BrokenPipe;
        if error.downcast_ref().is_some_and(closed) {
            return ExitCode::SUCCESS;
        }
        eprintln!("fastn: {error:#}");
        return ExitCode::FAILURE;
    };
    eprintln!("fastn: {} failed", failed.operation);
    eprintln!("  why    {}", failed.detail);
    for field in &failed.fields {
        eprintln!("         {}: {}", field.path, field.message);
    }
    if let Some(code) = failed.code {
        eprintln!("  code   {}   (explained at /errors/{} of the server)", code.as_str(), code.as_str());
    }
    if let Some(execution) = &failed.execution_id {
        eprintln!("  look   fastn executions show {execution}");
    }
    match failed.kind {
        ErrorKind::Answered => ExitCode::from(3),
        ErrorKind::Unreachable | ErrorKind::Unknown => ExitCode::from(4),
        ErrorKind::Config | ErrorKind::BadAnswer => ExitCode::FAILURE,
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    /// Property: the command line is consistent, and its help names every command that a person needs.
    #[test]
    fn help_names_every_command() {
        let mut command = super::Cli::command();
        command.clone().debug_assert();
        let help = command.render_long_help().to_string();
        for name in [
            "dev",
            "serve",
            "apply",
            "publish",
            "trigger",
            "polls",
            "schedules",
            "apps",
            "secrets",
            "send",
            "run",
            "events",
            "executions",
            "dead-letters",
            "alerts",
            "replay",
            "customers",
            "retention",
            "access-keys",
            "usage",
            "migrate",
            "doctor",
            "test",
            "test-server",
            "rebuild",
            "openapi",
            "types",
        ] {
            assert!(help.contains(&format!("  {name}")), "{name} is missing in\n{help}");
        }
        assert!(help.contains("Exit codes"));
    }

    /// Property: the command lines that the help shows are ones that the program takes.
    #[test]
    fn takes_the_lines_that_its_help_shows() {
        for line in [
            "fastn apply -f DIR",
            "fastn publish workflows/triage.ts --deploy live",
            "fastn send order.created --data {} --customer cus_acme",
            "fastn run triage --input {} --customer cus_acme --wait 60",
            "fastn executions show exec_1",
            "fastn polls show crm-contacts",
            "fastn events replay --blocked --customer cus_acme",
            "fastn usage --by-day --measure events",
            "fastn schedules backfill nightly --from 2026-11-01T00:00:00Z --to 2026-11-08T00:00:00Z",
            "fastn dead-letters replay --workflow triage --from-failed-step",
            "fastn dead-letters replay --all --limit 1000",
            "fastn alerts list --state firing",
            "fastn alerts apply alerts/errors.yaml",
            "fastn alerts silence errors --duration 2h",
            "fastn replay preview executions --status failed --workflow triage --since 2026-11-01T00:00:00Z",
            "fastn replay start dead-letters --workflow triage --from-failed-step --rate 50",
            "fastn replay start executions --status failed --error TypeError --version 0",
            "fastn replay start events --status rejected --type order.created --detach",
            "fastn customers export cus_acme --output acme.ndjson",
            "fastn customers erase cus_acme --yes",
            "fastn retention set --activity-days 90 --payload-days 7",
            "fastn test my-project triage",
            "fastn test --record exec_1 --customer cus_acme",
            "fastn test-server my-project --at 2026-03-29T00:00:00Z --frozen",
        ] {
            super::Cli::command().try_get_matches_from(line.split(' ')).expect(line);
        }
        for line in ["fastn dead-letters replay", "fastn dead-letters replay exec_1 --all"] {
            assert!(super::Cli::command().try_get_matches_from(line.split(' ')).is_err(), "{line}");
        }
    }
}
