//! The bench of the main job: a server, a load generator and a sink as three processes of this binary, on this machine.
//!
//! ```text
//!   load ── POST /v1/webhooks/bench ──▶ serve ── fetch ──▶ sink
//!     ▲                                                      │
//!     └────────── a line for each receipt ◀──────────────────┘
//! ```
//!
//! The generator keeps a fixed number of events in the air: an event lands when the sink has its call. CPU time is what the
//! kernel says of the server's process, from the first request until every row is in SQLite.

use std::time::{Duration, Instant};

use anyhow::Context;
use serde_json::json;

mod cluster;
mod fairness;
mod limits;
mod load;
mod process;
mod server;
mod sink;
mod wire;

use process::Usage;
use server::Server;

/// What to measure.
pub(crate) struct Plan {
    pub(crate) executions: u64,
    pub(crate) in_air: usize,
    pub(crate) full: bool,
    pub(crate) sleepers: u64,
    pub(crate) only: Vec<String>,
    pub(crate) json: bool,
}

impl Plan {
    fn wants(&self, part: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| only == part)
    }
}

/// What a process of the bench does.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Part {
    /// Send events
    Load(load::Load),
    /// Receive calls
    Sink(sink::Sink),
    /// Answer 202 and do nothing: the limit of HTTP
    Bare,
    /// Measure three nodes on a fresh Kafka and PostgreSQL; make bench-cluster starts them
    Cluster(Box<cluster::ClusterBench>),
}

impl Part {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        match self {
            Part::Load(load) => load.run().await,
            Part::Sink(sink) => sink.run().await,
            Part::Bare => limits::serve_bare().await,
            Part::Cluster(bench) => bench.run().await,
        }
    }
}

/// The workflow: transform, one HTTP call, transform.
const WORKFLOW: &str = r#"
interface Advisory { action: string; security_advisory: { ghsa_id: string; summary: string; severity: string } }
export default async function (ctx: WorkflowContext<Advisory>) {
  const advisory = ctx.input.security_advisory;
  const item = { id: advisory.ghsa_id, title: advisory.summary.slice(0, 80), urgent: advisory.severity === "high" };
  const answer = await fetch("SINK/" + ctx.event.id, { method: "POST", body: JSON.stringify(item) });
  const receipt = await answer.json();
  return { id: item.id, ok: receipt.ok, urgent: item.urgent };
}
"#;

/// The workflow of the sleepers.
const SLEEPER: &str = "export default async function (ctx) { await ctx.sleep('1h'); return 1; }";

/// Prints one figure.
struct Report {
    json: bool,
    rows: serde_json::Map<String, serde_json::Value>,
}

impl Report {
    fn row(&mut self, name: &str, value: f64, unit: &str, note: &str) {
        let value = (value * 1_000.0).round() / 1_000.0;
        self.rows.insert(name.to_owned(), json!({"value": value, "unit": unit}));
        if !self.json {
            println!("{name:<44} {value:>12} {unit:<12} {note}");
        }
    }
}

/// Measures and prints.
pub(crate) async fn run(plan: Plan) -> anyhow::Result<()> {
    let mut report = Report { json: plan.json, rows: serde_json::Map::new() };
    if !plan.json {
        println!(
            "fastn bench on {} cores; the generator and the sink share them\n",
            std::thread::available_parallelism()?
        );
    }
    if plan.wants("limits") {
        limits::measure(&mut report).await?;
    }
    if plan.wants("throughput") {
        throughput(&plan, &mut report).await?;
    }
    if plan.wants("latency") {
        latency(&mut report).await?;
    }
    if plan.wants("fairness") {
        fairness::measure(&mut report).await?;
    }
    if plan.wants("waiting") {
        waiting(5_000, &mut report).await?;
        if plan.full {
            waiting(50_000, &mut report).await?;
        }
    }
    if plan.wants("sleepers") && (plan.full || !plan.only.is_empty()) {
        sleepers(plan.sleepers, &mut report).await?;
    }
    if plan.json {
        println!("{}", serde_json::Value::Object(report.rows));
    }
    Ok(())
}

async fn throughput(plan: &Plan, report: &mut Report) -> anyhow::Result<()> {
    let sink = sink::start(0).await?;
    let mut server = Server::start(&sink.url, WORKFLOW, 100_000).await?;
    load::run_child(&server.url, &sink.url, 2_000, plan.in_air, 0).await?;
    server.settled(2_000, Duration::from_secs(60)).await?;
    let before = Usage::of(server.pid())?;
    let began = Instant::now();
    let sent = load::run_child(&server.url, &sink.url, plan.executions, plan.in_air, 0).await?;
    let took = began.elapsed();
    server.settled(2_000 + plan.executions, Duration::from_secs(120)).await?;
    let used = Usage::of(server.pid())?.since(&before);
    let per_execution = used.as_secs_f64() * 1_000.0 / plan.executions as f64;
    report.row("executions per second", plan.executions as f64 / sent.seconds, "/s", "goal: at least 4,000");
    report.row("server CPU per execution", per_execution, "ms", "goal: at most 0.4, socket to SQLite row");
    report.row("POST to receipt under load, p50", sent.p50_ms, "ms", "");
    report.row("POST to receipt under load, p99", sent.p99_ms, "ms", "");
    report.row("resident after it", Usage::of(server.pid())?.resident_mib, "MiB", "");
    report.row("wall time of the run", took.as_secs_f64(), "s", "");
    server.stop().await
}

async fn latency(report: &mut Report) -> anyhow::Result<()> {
    let sink = sink::start(0).await?;
    let mut server = Server::start(&sink.url, WORKFLOW, 100_000).await?;
    load::run_child(&server.url, &sink.url, 200, 4, 0).await?;
    let sent = load::run_child(&server.url, &sink.url, 1_000, 64, 50).await?;
    report.row("POST to receipt at 50/s, p50", sent.p50_ms, "ms", "goal: at most 4");
    report.row("POST to receipt at 50/s, p99", sent.p99_ms, "ms", "goal: at most 15");
    server.stop().await
}

async fn waiting(count: u64, report: &mut Report) -> anyhow::Result<()> {
    let sink = sink::start(120_000).await?;
    let mut server = Server::start(&sink.url, WORKFLOW, 100_000).await?;
    load::run_child(&server.url, "", count, 64, 0).await?;
    server.metric_reaches("fastn_sandbox_starts_total", count as f64, Duration::from_secs(120)).await?;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let name = format!("resident with {count} executions waiting");
    report.row(&name, Usage::of(server.pid())?.resident_mib, "MiB", "goal: at most 400");
    server.stop().await
}

async fn sleepers(count: u64, report: &mut Report) -> anyhow::Result<()> {
    let sink = sink::start(0).await?;
    let mut server = Server::start(&sink.url, SLEEPER, 100_000).await?;
    load::run_child(&server.url, "", count, 64, 0).await?;
    server.metric_reaches("fastn_executions_parked", count as f64, Duration::from_secs(900)).await?;
    report.row(
        &format!("resident with {count} sleepers"),
        Usage::of(server.pid())?.resident_mib,
        "MiB",
        "goal: at most 1,024",
    );
    server.kill().await?;
    let began = Instant::now();
    server.start_again().await?;
    server.metric_reaches("fastn_executions_parked", count as f64, Duration::from_secs(300)).await?;
    report.row(&format!("recovery of {count} sleepers"), began.elapsed().as_secs_f64(), "s", "goal: at most 30");
    report.row("resident after it", Usage::of(server.pid())?.resident_mib, "MiB", "goal: at most 1,024");
    server.stop().await
}

/// This binary, to be started again as another process of the bench.
fn this_binary() -> anyhow::Result<std::path::PathBuf> {
    std::env::current_exe().context("find this binary")
}
