//! The bench of the cluster: three nodes with the roles of `make cluster`, on a Kafka and a PostgreSQL that somebody else
//! started and migrated for it, fresh.
//!
//! CPU time is that of all three nodes together: what Kafka and PostgreSQL take is not in it.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use fastn_log::bare_producer;
use fastn_sdk::Fastn;
use tokio::process::{Child, Command};

use super::process::Usage;
use super::server::{self, ACCOUNT};
use super::{Report, WORKFLOW, load, sink};
use crate::config::{Layer, LogBackend, ServeConfig};
use crate::wiring;

/// Longest wait for a node, and for what was sent to be done.
const READY: Duration = Duration::from_secs(120);
const SETTLED: Duration = Duration::from_secs(240);
/// Bytes of a record of `events` with the payload of the generator.
const RECORD_BYTES: usize = 1_200;
const BARE_TIME: Duration = Duration::from_secs(5);

/// Arguments of the cluster's bench. The key is taken from FASTN_ACCESS_KEY.
#[derive(Debug, clap::Args)]
pub(crate) struct ClusterBench {
    /// Executions of the throughput run
    #[arg(long, default_value_t = 10_000)]
    executions: u64,
    /// Events of the ingest run
    #[arg(long, default_value_t = 200_000)]
    events: u64,
    /// Events in one request of the ingest run
    #[arg(long, default_value_t = 500)]
    batch: u64,
    /// Machine-readable output
    #[arg(long)]
    json: bool,
    /// A YAML file with the keys of the flags
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    layer: Layer,
}

/// Three nodes; dropping them ends them.
struct Nodes {
    urls: Vec<String>,
    children: Vec<Child>,
    _data: tempfile::TempDir,
}

impl Nodes {
    async fn start(bench: &ClusterBench, config: &ServeConfig) -> anyhow::Result<Self> {
        let data = tempfile::tempdir()?;
        let (mut urls, mut children) = (Vec::new(), Vec::new());
        for roles in ["ingest,api", "pipeline,scheduler", "projector"] {
            let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
            let address = format!("127.0.0.1:{port}");
            let mut command = Command::new(super::this_binary()?);
            command.args(["serve", "--roles", roles, "--listen", &address, "--account", ACCOUNT]);
            command.args(["--log-level", "error", "--allow-private-addresses", "true", "--log", &config.log]);
            command.arg("--data").arg(data.path().join(roles)).args(["--store", &config.store.0]);
            command.args(["--partitions", &config.partitions.to_string()]);
            if let Some(projector) = &config.store_projector {
                command.args(["--store-projector", &projector.0]);
            }
            if let Some(key) = &config.master_key {
                command.arg("--master-key").arg(key);
            }
            if let Some(file) = &bench.config {
                command.arg("--config").arg(file);
            }
            children.push(command.stdout(Stdio::null()).kill_on_drop(true).spawn().context("start a node")?);
            urls.push(format!("http://{address}"));
        }
        let mut nodes = Self { urls, children, _data: data };
        nodes.ready().await?;
        Ok(nodes)
    }

    async fn ready(&mut self) -> anyhow::Result<()> {
        let began = Instant::now();
        for (url, child) in self.urls.iter().zip(&mut self.children) {
            while !matches!(server::get(url, "/readyz").await, Ok((200, _))) {
                if let Some(status) = child.try_wait()? {
                    bail!("a node ended at its start: {status}");
                }
                if began.elapsed() > READY {
                    bail!("a node is not ready after {} s", READY.as_secs());
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
        Ok(())
    }

    /// Waits until `finished` executions have ended and every row is in PostgreSQL.
    async fn settled(&self, finished: u64) -> anyhow::Result<()> {
        let began = Instant::now();
        let (pipeline, projector) = (&self.urls[1], &self.urls[2]);
        loop {
            let ended = server::metric(pipeline, "fastn_executions_finished_total").await?;
            let behind = server::metric(projector, "fastn_projector_lag_records").await?;
            if ended >= finished as f64 && behind <= 0.0 {
                return Ok(());
            }
            if began.elapsed() > SETTLED {
                bail!("{ended} of {finished} executions have ended, and {behind} records are not projected");
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Leaves the cores to ingest, as they are left to the bare producer.
    async fn stop_all_but_ingest(&mut self) -> anyhow::Result<()> {
        for child in &mut self.children[1..] {
            child.kill().await?;
        }
        Ok(())
    }

    /// What each node has used.
    fn used(&self) -> anyhow::Result<Vec<Usage>> {
        self.children.iter().map(|child| Usage::of(child.id().unwrap_or_default())).collect()
    }
}

impl ClusterBench {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        let mut report = Report { json: self.json, rows: serde_json::Map::new() };
        let config = ServeConfig::of(self.layer.clone(), self.config.as_deref(), false)?;
        let LogBackend::Kafka(brokers) = config.log_backend()? else { bail!("name a log in Kafka with --log") };
        let key = std::env::var("FASTN_ACCESS_KEY").context("FASTN_ACCESS_KEY holds no key")?;
        let sink = sink::start(0).await?;
        let mut nodes = Nodes::start(&self, &config).await?;
        let fastn = Fastn::builder().url(&nodes.urls[0]).access_key(&key).account(ACCOUNT).build()?;
        server::configure(&fastn, &WORKFLOW.replace("SINK", &sink.url), 100_000).await?;

        self.latency(&nodes, &sink, &mut report).await?;
        self.throughput(&nodes, &sink, &mut report).await?;
        nodes.stop_all_but_ingest().await?;
        let options = wiring::kafka_options(&config, brokers)?;
        let bare = tokio::task::spawn_blocking(move || bare_producer(&options, RECORD_BYTES, BARE_TIME)).await??;
        report.row(
            "bare producer, acks=all, of the same bytes",
            bare,
            "records/s",
            "sends as fast as its queue takes them",
        );
        self.ingest(&nodes, &fastn, &key, bare, &mut report).await?;
        if self.json {
            println!("{}", serde_json::Value::Object(report.rows));
        }
        Ok(())
    }

    async fn latency(&self, nodes: &Nodes, sink: &sink::Running, report: &mut Report) -> anyhow::Result<()> {
        load::run_child(&nodes.urls[0], &sink.url, 500, 4, 0).await?;
        let sent = load::run_child(&nodes.urls[0], &sink.url, 1_000, 64, 50).await?;
        report.row("POST to receipt at 50/s, p50", sent.p50_ms, "ms", "end to end, both hops of the log");
        report.row("POST to receipt at 50/s, p99", sent.p99_ms, "ms", "");
        Ok(())
    }

    async fn throughput(&self, nodes: &Nodes, sink: &sink::Running, report: &mut Report) -> anyhow::Result<()> {
        let before_it = 1_500 + 2_000;
        load::run_child(&nodes.urls[0], &sink.url, 2_000, 64, 0).await?;
        nodes.settled(before_it).await?;
        let before = nodes.used()?;
        let sent = load::run_child(&nodes.urls[0], &sink.url, self.executions, 64, 0).await?;
        nodes.settled(before_it + self.executions).await?;
        let mut total = 0.0;
        for ((now, before), roles) in
            nodes.used()?.iter().zip(&before).zip(["ingest, api", "pipeline, scheduler", "projector"])
        {
            let each = now.since(before).as_secs_f64() * 1_000.0 / self.executions as f64;
            report.row(&format!("CPU per execution: {roles}"), each, "ms", "");
            total += each;
        }
        report.row("CPU per execution: all nodes", total, "ms", "goal: at most 0.8");
        report.row("executions per second", self.executions as f64 / sent.seconds, "/s", "beside Kafka and PostgreSQL");
        Ok(())
    }

    async fn ingest(
        &self,
        nodes: &Nodes,
        fastn: &Fastn,
        key: &str,
        bare: f64,
        report: &mut Report,
    ) -> anyhow::Result<()> {
        for at in 0..load::BATCH_SENDERS {
            let id = format!("cus_bench_{at}");
            fastn.put_customer(&serde_json::from_value(serde_json::json!({"id": id}))?).await?;
        }
        let single = load::run_child(&nodes.urls[0], "", self.events / 4, 64, 0).await?;
        let rate = (self.events / 4) as f64 / single.seconds;
        report.row("ingest: one webhook a request, 64 in the air", rate, "events/s", "acknowledged");
        let sent = load::run_batches(&nodes.urls[0], key, self.events, self.batch).await?;
        let rate = self.events as f64 / sent.seconds;
        report.row(&format!("ingest: {} events a request", self.batch), rate, "events/s", "acknowledged");
        report.row("of the bare producer", 100.0 * rate / bare, "%", "goal: at least 70");
        Ok(())
    }
}
