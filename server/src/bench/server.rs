//! The server under measurement: this binary, as a process of its own, on a fresh directory.

use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use fastn_sdk::Fastn;
use fastn_sdk::contract::command::PublishVersion;
use fastn_sdk::contract::resource::{Customer, Trigger, Workflow};
use serde_json::json;
use tokio::process::{Child, Command};

pub(super) const ACCOUNT: &str = "acc_bench";
const READY: Duration = Duration::from_secs(120);

/// A running server.
pub(super) struct Server {
    pub(super) url: String,
    child: Child,
    data: tempfile::TempDir,
}

impl Server {
    /// Starts one with a webhook that runs `workflow`, whose calls go to `sink`.
    pub(super) async fn start(sink: &str, workflow: &str, concurrency: u32) -> anyhow::Result<Self> {
        let data = tempfile::tempdir()?;
        let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let address = format!("127.0.0.1:{port}");
        let child = spawn(data.path(), &address)?;
        let mut server = Self { url: format!("http://{address}"), child, data };
        server.ready().await?;
        server.configure(&workflow.replace("SINK", sink), concurrency).await?;
        Ok(server)
    }

    /// A client of the account.
    pub(super) fn client(&self) -> anyhow::Result<Fastn> {
        let key = std::fs::read_to_string(self.data.path().join("access.key"))?;
        Ok(Fastn::builder().url(&self.url).access_key(key.trim()).account(ACCOUNT).build()?)
    }

    async fn configure(&self, source: &str, concurrency: u32) -> anyhow::Result<()> {
        configure(&self.client()?, source, concurrency).await
    }

    /// Starts it again on the same directory.
    pub(super) async fn start_again(&mut self) -> anyhow::Result<()> {
        self.child = spawn(self.data.path(), self.url.trim_start_matches("http://"))?;
        self.ready().await
    }

    async fn ready(&mut self) -> anyhow::Result<()> {
        let began = Instant::now();
        while !matches!(get(&self.url, "/readyz").await, Ok((200, _))) {
            if let Some(status) = self.child.try_wait()? {
                bail!("the server ended at its start: {status}");
            }
            if began.elapsed() > READY {
                bail!("the server is not ready after {} s", READY.as_secs());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id().unwrap_or_default()
    }

    /// Waits until `finished` executions have ended and every row is written.
    pub(super) async fn settled(&self, finished: u64, limit: Duration) -> anyhow::Result<()> {
        self.metric_reaches("fastn_executions_finished_total", finished as f64, limit).await?;
        let began = Instant::now();
        while self.metric("fastn_projector_lag_records").await? > 0.0 {
            if began.elapsed() > limit {
                bail!("the projector does not catch up");
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }

    pub(super) async fn metric_reaches(&self, name: &str, value: f64, limit: Duration) -> anyhow::Result<()> {
        let began = Instant::now();
        loop {
            let now = self.metric(name).await?;
            if now >= value {
                return Ok(());
            }
            if began.elapsed() > limit {
                bail!("{name} is {now} after {} s, not {value}", limit.as_secs());
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// The sum over all labels.
    async fn metric(&self, name: &str) -> anyhow::Result<f64> {
        metric(&self.url, name).await
    }

    /// `kill -9`.
    pub(super) async fn kill(&mut self) -> anyhow::Result<()> {
        self.child.kill().await.context("kill the server")
    }

    pub(super) async fn stop(&mut self) -> anyhow::Result<()> {
        self.kill().await
    }
}

/// Makes the customer, the workflow `source` and the webhook of the bench.
pub(super) async fn configure(fastn: &Fastn, source: &str, concurrency: u32) -> anyhow::Result<()> {
    let customer: Customer = serde_json::from_value(json!({"id": "cus_bench", "concurrency": concurrency}))?;
    fastn.put_customer(&customer).await?;
    let workflow: Workflow = serde_json::from_value(json!({"id": "bench", "tier": "long"}))?;
    fastn.put_workflow(&workflow).await?;
    fastn.publish("bench", &PublishVersion { source: source.to_owned(), file: None }).await?;
    let trigger: Trigger = serde_json::from_value(json!({
        "id": "bench", "customer": "cus_bench",
        "source": {"type": "webhook", "verification": {"scheme": "public"}},
        "routes": [{"workflow": "bench"}],
    }))?;
    fastn.put_trigger(&trigger).await?;
    Ok(())
}

fn spawn(data: &std::path::Path, address: &str) -> anyhow::Result<Child> {
    Command::new(super::this_binary()?)
        .args(["serve", "--listen", address, "--account", ACCOUNT, "--log-level", "error"])
        .args(["--allow-private-addresses", "true", "--data"])
        .arg(data)
        .stdout(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .context("start the server")
}

/// The sum of a metric over all its labels.
pub(super) async fn metric(url: &str, name: &str) -> anyhow::Result<f64> {
    let (_, body) = get(url, "/metrics").await?;
    let of_name = |line: &&str| line.starts_with(name) && matches!(line.as_bytes().get(name.len()), Some(b' ' | b'{'));
    let values = body.lines().filter(of_name).filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
    Ok(values.sum())
}

/// A GET without a client of its own.
pub(super) async fn get(url: &str, path: &str) -> anyhow::Result<(u16, String)> {
    let mut wire = super::wire::Wire::connect(url).await?;
    wire.write(format!("GET {path} HTTP/1.1\r\nhost: bench\r\nconnection: close\r\n\r\n").as_bytes()).await?;
    let message = wire.read().await?.context("no answer")?;
    let status = message.first_line.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_default();
    Ok((status, String::from_utf8_lossy(&message.body).into_owned()))
}
