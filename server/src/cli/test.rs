//! `fastn test`: the tests of a project, and tests made of executions.

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context as _, bail};
use clap::Args;
use serde::Serialize;

use super::style::Style;
use super::{Remote, print};
use crate::suite::case::{self, Case};
use crate::suite::{record, runner};

/// Run the tests of a project
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  fastn test\n  fastn test my-project triage\n  fastn test --record exec_… --customer cus_acme\n\n\
    Tests are files in tests/ beside workflows/; docs/TESTING.md says what stands in them. Each runs on a platform of its\n\
    own, on a clock that stands still, and reaches nothing outside that the test does not answer."
)]
pub(crate) struct Test {
    /// The project's folder
    #[arg(default_value = ".")]
    directory: PathBuf,
    /// Only tests whose name or file has this in it
    filter: Option<String>,
    /// Let calls go out that no mock answers
    #[arg(long)]
    allow_network: bool,
    /// Make a test of this execution of a running server instead
    #[arg(long, value_name = "EXECUTION")]
    record: Option<String>,
    /// Where the recorded test goes [default: tests/<workflow>-<execution>.yaml of the project]
    #[arg(long, value_name = "FILE", requires = "record")]
    output: Option<PathBuf>,
    #[command(flatten)]
    remote: Remote,
}

/// How a test went.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Ran {
    file: String,
    name: String,
    passed: bool,
    duration_ms: u64,
    problems: Vec<String>,
}

/// How all went.
#[derive(Debug, Serialize)]
struct Report {
    passed: usize,
    failed: usize,
    tests: Vec<Ran>,
}

pub(crate) async fn run(test: Test) -> anyhow::Result<()> {
    match &test.record {
        Some(execution) => record_one(&test, execution).await,
        None => run_all(&test).await,
    }
}

async fn run_all(test: &Test) -> anyhow::Result<()> {
    let (style, json) = (Style::detect(), test.remote.json);
    let mut cases = case::read(&test.directory)?;
    if let Some(filter) = &test.filter {
        cases.retain(|case| {
            case.title().contains(filter.as_str()) || shown(&test.directory, case).contains(filter.as_str())
        });
    }
    if cases.is_empty() {
        bail!("there is no test to run in {}", test.directory.join("tests").display());
    }
    let mut report = Report { passed: 0, failed: 0, tests: Vec::new() };
    for case in &cases {
        let began = Instant::now();
        // What cannot be run has failed like what is not as expected, and the others go on.
        let problems = match runner::run(&test.directory, case, test.allow_network).await {
            Ok(problems) => problems,
            Err(error) => vec![error_line(&error)],
        };
        let ran = Ran {
            file: shown(&test.directory, case),
            name: case.title(),
            passed: problems.is_empty(),
            duration_ms: u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
            problems,
        };
        if !json {
            tell(style, &ran)?;
        }
        match ran.passed {
            true => report.passed += 1,
            false => report.failed += 1,
        }
        report.tests.push(ran);
    }
    match json {
        true => print::value(&report)?,
        false => print::line(format_args!("\n{} passed, {} failed", report.passed, report.failed))?,
    }
    if report.failed > 0 {
        bail!("{} of {} tests failed", report.failed, report.passed + report.failed);
    }
    Ok(())
}

fn error_line(error: &anyhow::Error) -> String {
    match error.downcast_ref::<fastn_sdk::Error>() {
        Some(refused) => format!("{} failed\n  {}", refused.operation, refused.detail),
        None => format!("{error:#}"),
    }
}

fn shown(directory: &Path, case: &Case) -> String {
    case.file.strip_prefix(directory).unwrap_or(&case.file).display().to_string()
}

fn tell(style: Style, ran: &Ran) -> anyhow::Result<()> {
    let mark = if ran.passed { style.green("ok  ") } else { style.red("FAIL") };
    let place = style.dim(&format!("{}  {} ms", ran.file, ran.duration_ms));
    print::line(format_args!("{mark}  {}  {place}", print::plain(&ran.name)))?;
    for problem in &ran.problems {
        for line in problem.lines() {
            let line = print::plain(line);
            let line = match line.trim_start() {
                text if text.starts_with("expected") => style.green(&line),
                text if text.starts_with("got") => style.red(&line),
                _ => line,
            };
            print::line(format_args!("        {line}"))?;
        }
    }
    Ok(())
}

async fn record_one(test: &Test, execution: &str) -> anyhow::Result<()> {
    let view = test.remote.client()?.execution(execution).await?;
    if !view.status.is_final() {
        bail!("{execution} has not ended yet; what came of it is what a test expects");
    }
    let (case, missing) = record::record(&view);
    let text = serde_saphyr::to_string(&case).context("write the test")?;
    let folder = test.directory.join("tests");
    let file =
        test.output.clone().unwrap_or_else(|| folder.join(format!("{}-{}.yaml", view.workflow, short(execution))));
    if let Some(parent) = file.parent() {
        std::fs::create_dir_all(parent).with_context(|| format!("make {}", parent.display()))?;
    }
    let made = std::fs::OpenOptions::new().write(true).create_new(true).open(&file);
    let mut made = made.with_context(|| format!("make {}", file.display()))?;
    std::io::Write::write_all(&mut made, text.as_bytes()).with_context(|| format!("write {}", file.display()))?;
    if test.remote.json {
        return print::value(&serde_json::json!({"file": file.display().to_string(), "missing": missing}));
    }
    print::line(format_args!("wrote   {}", file.display()))?;
    for what in missing {
        print::line(format_args!("look    {}", print::plain(&what)))?;
    }
    print::line("look    it holds what came in and out, as the server shows it: read it before others do")
}

/// Enough of an id to tell files apart.
fn short(execution: &str) -> &str {
    let id = execution.strip_prefix("exec_").unwrap_or(execution);
    id.get(..8).unwrap_or(id)
}
