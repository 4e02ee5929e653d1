//! The real binary on a directory of its own.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use fastn_sdk::Fastn;
use fastn_sdk::contract::command::PublishVersion;
use fastn_sdk::contract::resource::{Customer, Trigger, Workflow};
use serde_json::{Value, json};

use crate::DEADLINE;

/// The account of every test.
pub const ACCOUNT: &str = "acc_test";

/// A running server; dropping it kills it.
pub struct Server {
    /// Its URL, the same after every start.
    pub url: String,
    child: Child,
    data: tempfile::TempDir,
}

/// The binary beside the test's own: `cargo build --bin fastn` puts it there, which `make test` does first.
///
/// # Errors
/// It is not there.
pub fn binary() -> anyhow::Result<PathBuf> {
    let test = std::env::current_exe()?;
    let folder = test.parent().and_then(|deps| deps.parent()).context("find the folder of the build")?;
    let binary = folder.join("fastn");
    if !binary.is_file() {
        bail!("there is no {}; run `cargo build --bin fastn` first, or use `make test`", binary.display());
    }
    Ok(binary)
}

impl Server {
    /// Starts one on a fresh directory.
    pub async fn start() -> anyhow::Result<Self> {
        let data = tempfile::tempdir()?;
        let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let url = format!("http://127.0.0.1:{port}");
        let child = spawn(&data, &url)?;
        let mut server = Self { url, child, data };
        server.ready().await?;
        Ok(server)
    }

    /// `kill -9`, at once.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Starts it again on the same directory.
    pub async fn start_again(&mut self) -> anyhow::Result<()> {
        self.child = spawn(&self.data, &self.url)?;
        self.ready().await
    }

    async fn ready(&mut self) -> anyhow::Result<()> {
        let began = Instant::now();
        let probe = Fastn::builder().url(&self.url).access_key("none").account(ACCOUNT).build()?;
        while !probe.health().await.is_ok_and(|health| health.status == "ok") {
            if let Some(status) = self.child.try_wait()? {
                bail!("the server ended at its start: {status}");
            }
            if began.elapsed() > DEADLINE {
                bail!("the server is not ready after {} s", DEADLINE.as_secs());
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        Ok(())
    }

    /// The access key that the first start made.
    pub fn access_key(&self) -> anyhow::Result<String> {
        Ok(std::fs::read_to_string(self.data.path().join("access.key"))?.trim().to_owned())
    }

    /// A client of the account.
    pub fn client(&self) -> anyhow::Result<Fastn> {
        Ok(Fastn::builder().url(&self.url).access_key(&self.access_key()?).account(ACCOUNT).build()?)
    }

    /// See [`put_customer`].
    pub async fn customer(&self, id: &str, settings: Value) -> anyhow::Result<()> {
        put_customer(&self.client()?, id, settings).await
    }

    /// See [`put_workflow`].
    pub async fn workflow(&self, id: &str, settings: Value, source: &str) -> anyhow::Result<()> {
        put_workflow(&self.client()?, id, settings, source).await
    }
}

/// Adds a customer, with further settings.
///
/// # Errors
/// The server refuses.
pub async fn put_customer(fastn: &Fastn, id: &str, settings: Value) -> anyhow::Result<()> {
    let mut body = json!({"id": id});
    merge(&mut body, settings);
    let customer: Customer = serde_json::from_value(body)?;
    fastn.put_customer(&customer).await?;
    Ok(())
}

/// Publishes a workflow with settings, and a trigger that runs it for events of the type `<id>`.
///
/// # Errors
/// The server refuses.
pub async fn put_workflow(fastn: &Fastn, id: &str, settings: Value, source: &str) -> anyhow::Result<()> {
    let mut body = json!({"id": id});
    merge(&mut body, settings);
    let workflow: Workflow = serde_json::from_value(body)?;
    fastn.put_workflow(&workflow).await?;
    fastn.publish(id, &PublishVersion { source: source.to_owned(), file: None }).await?;
    let trigger: Trigger = serde_json::from_value(json!({
        "id": format!("on_{id}"), "source": {"type": "event", "types": [id]}, "routes": [{"workflow": id}],
    }))?;
    fastn.put_trigger(&trigger).await?;
    Ok(())
}

fn merge(body: &mut Value, settings: Value) {
    if let (Value::Object(body), Value::Object(settings)) = (body, settings) {
        body.extend(settings);
    }
}

fn spawn(data: &tempfile::TempDir, url: &str) -> anyhow::Result<Child> {
    Command::new(binary()?)
        .args(["serve", "--listen", url.trim_start_matches("http://"), "--account", ACCOUNT])
        .args(["--log-level", "error", "--allow-private-addresses", "true", "--partitions", "4", "--data"])
        .arg(data.path())
        .stdout(Stdio::null())
        .spawn()
        .context("start the server")
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ended_already = self.kill();
    }
}
