//! Processes of `fastn serve` with roles, on a Kafka and a PostgreSQL of their own; each can be killed, frozen and started
//! again. Or one process on its own folder: the rig itself is tested with that.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use fastn_sdk::Fastn;
use fastn_testkit::services::Services;

use super::network::{self, Namespace};
use crate::DEADLINE;
use crate::server::{ACCOUNT, binary};

/// Partitions of every topic.
pub const PARTITIONS: u32 = 8;

/// The access key of the account. It opens nothing but a cluster of this test.
const ACCESS_KEY: &str = "fsk_test_the-key-of-a-cluster-that-a-test-breaks";
/// The master key of the cell.
const MASTER_KEY: &str = "dGhlIG1hc3RlciBrZXkgb2YgYSB0ZXN0J3MgY2VsbCE=";
/// The password of both roles in PostgreSQL.
const PASSWORD: &str = "only-for-tests";

/// What a cluster consists of.
#[derive(Debug, Default)]
pub struct Plan {
    /// `(name, roles)`. Without roles it is one process with an embedded log.
    pub nodes: Vec<(&'static str, &'static str)>,
    /// The node whose network can be cut.
    pub cut_off: Option<&'static str>,
    /// A folder for the log of broker 3, on a file system that a test can fill.
    pub small_disk: Option<PathBuf>,
}

impl Plan {
    /// One process, embedded.
    pub fn embedded() -> Self {
        Self { nodes: vec![("all", "")], ..Self::default() }
    }

    /// Two nodes of each role whose loss would stop the load.
    pub fn cluster() -> Self {
        let nodes = vec![
            ("edge-1", "ingest"),
            ("edge-2", "ingest,api"),
            ("pipeline-1", "pipeline"),
            ("pipeline-2", "pipeline,scheduler"),
            ("projector-1", "projector"),
        ];
        Self { nodes, ..Self::default() }
    }
}

/// The running cluster; dropping it ends everything that it started.
pub struct Cluster {
    folder: PathBuf,
    services: Services,
    back_ends: Option<BackEnds>,
    nodes: BTreeMap<&'static str, Node>,
    keep: bool,
    /// The network of [`Plan::cut_off`].
    pub namespace: Option<Namespace>,
}

/// As this machine sees them.
#[derive(Clone)]
struct BackEnds {
    /// `host:port,…`
    kafka: String,
    /// The URL with the role that nodes serve with.
    application: String,
    /// The URL with the role of the projector.
    projector: String,
}

/// One process.
struct Node {
    roles: &'static str,
    url: String,
    internal: String,
    inside: bool,
    child: Option<Child>,
}

impl Cluster {
    /// Starts the back ends, migrates, and starts every node.
    ///
    /// # Errors
    /// Something of it does not start.
    pub async fn start(plan: &Plan) -> anyhow::Result<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let folder = Path::new("/var/tmp").join(format!("fastn-faults-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&folder)?;
        let services = Services::own(folder.join("services"));
        let namespace = plan.cut_off.map(|_| Namespace::create()).transpose()?;
        let mut cluster = Self { folder, services, back_ends: None, nodes: BTreeMap::new(), keep: true, namespace };
        if plan.nodes.iter().any(|(_, roles)| !roles.is_empty()) {
            cluster.start_back_ends(plan)?;
        }
        for (name, roles) in &plan.nodes {
            cluster.add(name, roles, plan.cut_off == Some(*name)).await?;
        }
        Ok(cluster)
    }

    fn start_back_ends(&mut self, plan: &Plan) -> anyhow::Result<()> {
        let mut kafka = vec!["start", "--nodes", "3"];
        let mut postgres = vec!["start"];
        if self.namespace.is_some() {
            kafka.extend(["--also", network::KAFKA_HOST]);
            postgres.extend(["--also", network::HOST]);
        }
        let disk = plan.small_disk.as_ref().map(|folder| format!("3={}", folder.display()));
        if let Some(disk) = &disk {
            kafka.extend(["--log-dir", disk]);
        }
        let kafka = self.script("kafka.sh", &kafka)?;
        let owner = self.script("postgres.sh", &postgres)?;
        self.fastn(&["migrate", "--owner", &owner])?;
        let place = owner.split_once('@').context("the URL names a role")?.1;
        let role = |role: &str| format!("postgres://{role}:{PASSWORD}@{place}");
        let back_ends = BackEnds { kafka, application: role("fastn_app"), projector: role("fastn_projector") };
        let log = format!("kafka://{}", back_ends.kafka);
        let places = ["--roles", "api", "--account", ACCOUNT, "--log", &log, "--store", &back_ends.application];
        self.fastn(&[&["access-keys", "create", "--given"], &places[..]].concat())?;
        self.back_ends = Some(back_ends);
        Ok(())
    }

    /// Runs the binary to its end.
    fn fastn(&self, arguments: &[&str]) -> anyhow::Result<()> {
        let output = Command::new(binary()?)
            .args(arguments)
            .env("FASTN_APPLICATION_PASSWORD", PASSWORD)
            .env("FASTN_PROJECTOR_PASSWORD", PASSWORD)
            .env("FASTN_ACCESS_KEY", ACCESS_KEY)
            .env("FASTN_DATA", self.folder.join("none"))
            .output()?;
        ensure!(output.status.success(), "fastn {}: {}", arguments[0], String::from_utf8_lossy(&output.stderr));
        Ok(())
    }

    /// Runs a script of `tests/services` on this cluster's own servers; the last line of its output.
    ///
    /// # Errors
    /// It fails.
    pub fn script(&self, script: &str, arguments: &[&str]) -> anyhow::Result<String> {
        tokio::task::block_in_place(|| self.services.try_run(script, arguments)).map_err(anyhow::Error::msg)
    }

    /// Adds a node and starts it.
    ///
    /// # Errors
    /// It does not become ready.
    pub async fn add(&mut self, name: &'static str, roles: &'static str, inside: bool) -> anyhow::Result<()> {
        let host = if inside { network::INSIDE } else { "127.0.0.1" };
        let (url, internal) = (format!("http://{host}:{}", free_port()?), format!("{host}:{}", free_port()?));
        self.nodes.insert(name, Node { roles, url, internal, inside, child: None });
        self.start_node(name).await
    }

    /// Starts a node, on what it left behind if it ran before.
    ///
    /// # Errors
    /// It does not become ready.
    pub async fn start_node(&mut self, name: &str) -> anyhow::Result<()> {
        let mut command = self.command(name)?;
        let node = self.nodes.get_mut(name).context("no such node")?;
        node.child = Some(command.spawn().with_context(|| format!("start node {name}"))?);
        self.ready(name).await
    }

    fn command(&self, name: &str) -> anyhow::Result<Command> {
        let node = self.nodes.get(name).context("no such node")?;
        let mut line = match &self.namespace {
            Some(namespace) if node.inside => namespace.prefix(),
            _ => Vec::new(),
        };
        line.push(binary()?.display().to_string());
        let data = self.folder.join(name);
        let output =
            std::fs::OpenOptions::new().create(true).append(true).open(self.folder.join(format!("{name}.txt")))?;
        let mut command = Command::new(&line[0]);
        command
            .args(&line[1..])
            .args(["serve", "--listen", node.url.trim_start_matches("http://"), "--account", ACCOUNT])
            .args(["--log-level", "warn", "--allow-private-addresses", "true"])
            .args(["--partitions", &PARTITIONS.to_string(), "--data"])
            .arg(data)
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output);
        if let Some(back_ends) = &self.back_ends {
            let seen = if node.inside { back_ends.seen_from_inside() } else { back_ends.clone() };
            command.args(["--node", name, "--roles", node.roles, "--internal-listen", &node.internal]);
            command.args(["--log", &format!("kafka://{}", seen.kafka), "--store", &seen.application]);
            command.args(["--store-projector", &seen.projector]).env("FASTN_MASTER_KEY", MASTER_KEY);
        }
        Ok(command)
    }

    async fn ready(&mut self, name: &str) -> anyhow::Result<()> {
        let began = Instant::now();
        let output = self.folder.join(format!("{name}.txt"));
        let node = self.nodes.get_mut(name).context("no such node")?;
        let probe = client(&node.url, "none")?;
        while !probe.health().await.is_ok_and(|health| health.status == "ok") {
            if let Some(status) = node.child.as_mut().and_then(|child| child.try_wait().transpose()).transpose()? {
                let told = std::fs::read_to_string(&output)?;
                bail!("node {name} ended at its start: {status}; {}", told.lines().last().unwrap_or_default());
            }
            ensure!(began.elapsed() < DEADLINE, "node {name} is not ready in time; see {}", output.display());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }

    /// The process number of a running node.
    ///
    /// # Errors
    /// It does not run.
    pub fn pid(&self, name: &str) -> anyhow::Result<u32> {
        self.nodes
            .get(name)
            .and_then(|node| node.child.as_ref())
            .map(Child::id)
            .with_context(|| format!("{name} is down"))
    }

    /// Names of the nodes that have `role`.
    pub fn with_role(&self, role: &str) -> Vec<&'static str> {
        let has = |node: &Node| node.roles.is_empty() || node.roles.split(',').any(|own| own == role);
        self.nodes.iter().filter(|(_, node)| has(node)).map(|(name, _)| *name).collect()
    }

    /// `kill -9`, at once.
    ///
    /// # Errors
    /// It does not run.
    pub fn kill(&mut self, name: &str) -> anyhow::Result<()> {
        let mut child = self.nodes.get_mut(name).and_then(|node| node.child.take()).context("no such process")?;
        child.kill()?;
        child.wait()?;
        Ok(())
    }

    /// SIGTERM, and waits for its end.
    ///
    /// # Errors
    /// It does not end in time, or not with 0.
    pub async fn stop(&mut self, name: &str) -> anyhow::Result<()> {
        self.signal(name, "TERM")?;
        let mut child = self.nodes.get_mut(name).and_then(|node| node.child.take()).context("no such process")?;
        let began = Instant::now();
        loop {
            if let Some(status) = child.try_wait()? {
                ensure!(status.success(), "node {name} ended with {status}");
                return Ok(());
            }
            if began.elapsed() > DEADLINE {
                child.kill()?;
                bail!("node {name} did not drain in time");
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Sends a signal: `STOP` freezes the node, `CONT` thaws it.
    ///
    /// # Errors
    /// It does not run.
    pub fn signal(&self, name: &str, signal: &str) -> anyhow::Result<()> {
        let status = Command::new("kill").arg(format!("-{signal}")).arg(self.pid(name)?.to_string()).status()?;
        ensure!(status.success(), "kill -{signal} of {name} failed");
        Ok(())
    }

    /// A client of the first node with `role`.
    ///
    /// # Errors
    /// There is none.
    pub fn client(&self, role: &str) -> anyhow::Result<Fastn> {
        self.clients(role)?.into_iter().next().with_context(|| format!("no node has the role {role}"))
    }

    /// A client of each node with `role`. They try once: who uses them decides about a second time.
    ///
    /// # Errors
    /// No node has made the access key.
    pub fn clients(&self, role: &str) -> anyhow::Result<Vec<Fastn>> {
        let key = self.access_key()?;
        self.with_role(role).iter().map(|name| client(&self.nodes[name].url, &key)).collect()
    }

    /// The access key: the one that was made for the cluster, or that one process made for itself.
    fn access_key(&self) -> anyhow::Result<String> {
        if self.back_ends.is_some() {
            return Ok(ACCESS_KEY.to_owned());
        }
        let mut found = self.nodes.keys().map(|name| self.folder.join(name).join("access.key"));
        let path = found.find(|path| path.is_file()).context("no node has an access.key")?;
        Ok(std::fs::read_to_string(path)?.trim().to_owned())
    }

    /// All is well: the folder with the output of the nodes goes too.
    pub fn forget(&mut self) {
        self.keep = std::env::var_os("FASTN_KEEP").is_some();
    }

    /// The folder with the output of every node.
    pub fn folder(&self) -> &Path {
        &self.folder
    }
}

impl BackEnds {
    /// As the namespace sees them. Kafka's second listener is two ports above its first.
    fn seen_from_inside(&self) -> Self {
        let ports = self.kafka.split(',').filter_map(|address| address.rsplit(':').next()?.parse::<u16>().ok());
        let kafka: Vec<String> = ports.map(|port| format!("{}:{}", network::KAFKA_HOST, port + 2)).collect();
        let there = |url: &str| url.replace("127.0.0.1", network::HOST);
        Self { kafka: kafka.join(","), application: there(&self.application), projector: there(&self.projector) }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for node in self.nodes.values_mut() {
            if let Some(child) = &mut node.child {
                let _ended_already = child.kill();
                let _reaped = child.wait();
            }
        }
        if self.back_ends.is_some() {
            for script in ["kafka.sh", "postgres.sh"] {
                let _told_on_stderr = self.services.try_run(script, &["stop", "--wipe"]);
            }
        }
        if self.keep {
            eprintln!("the output of the nodes is kept in {}", self.folder.display());
        } else {
            let _nothing_to_do_about_it = std::fs::remove_dir_all(&self.folder);
        }
    }
}

fn client(url: &str, key: &str) -> anyhow::Result<Fastn> {
    Ok(Fastn::builder().url(url).access_key(key).account(ACCOUNT).attempts_max(1).build()?)
}

fn free_port() -> anyhow::Result<u16> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}
