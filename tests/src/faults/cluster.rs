//! Processes of `fastn serve` with roles, on a Kafka and a PostgreSQL of their own; each can be killed, frozen and started
//! again. Or one process on its own folder: the rig itself is tested with that.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use fastn_sdk::Fastn;

use super::back_ends::{ACCESS_KEY, BackEnds, run};
use super::network::{self, Namespace};
use crate::DEADLINE;
use crate::clock::MovedClock;
use crate::server::{ACCOUNT, binary};

/// Partitions of every topic.
pub const PARTITIONS: u32 = 8;

/// Whose servers a cluster runs on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Servers {
    /// Three brokers and a PostgreSQL of its own, to be broken.
    #[default]
    OwnThree,
    /// One broker and a PostgreSQL of its own.
    Own,
    /// The Kafka that all tests share, with topics of its own, and a PostgreSQL of its own.
    SharedKafka,
    /// What all tests share, with topics and a database of its own.
    Shared,
}

/// What a cluster consists of.
#[derive(Debug, Default)]
pub struct Plan {
    /// `(name, roles)`. Without roles it is one process with an embedded log.
    pub nodes: Vec<(&'static str, &'static str)>,
    /// The node whose network can be cut.
    pub cut_off: Option<&'static str>,
    /// A folder for the log of broker 3, on a file system that a test can fill.
    pub small_disk: Option<PathBuf>,
    /// Whose servers it runs on.
    pub servers: Servers,
    /// The region of residency that it serves.
    pub region: Option<&'static str>,
    /// Where the cells of other regions answer.
    pub cells: Vec<(&'static str, String)>,
    /// The node that tells the others an address where nobody listens.
    pub unreachable: Option<&'static str>,
    /// The clock that its nodes go by, instead of the machine's.
    pub clock: Option<MovedClock>,
}

impl Plan {
    /// One process, embedded.
    pub fn embedded() -> Self {
        Self { nodes: vec![("all", "")], ..Self::default() }
    }

    /// One process with all roles, on the servers that all tests share.
    pub fn alone() -> Self {
        Self::shared(vec![("all", "ingest,api,pipeline,scheduler,projector")])
    }

    /// `nodes` on the servers that all tests share.
    pub fn shared(nodes: Vec<(&'static str, &'static str)>) -> Self {
        Self { nodes, servers: Servers::Shared, ..Self::default() }
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
    back_ends: Option<BackEnds>,
    nodes: BTreeMap<&'static str, Node>,
    clock: Option<MovedClock>,
    keep: bool,
    /// The network of [`Plan::cut_off`].
    pub namespace: Option<Namespace>,
}

/// One process.
struct Node {
    roles: &'static str,
    url: String,
    internal: String,
    place: Place,
    child: Option<Child>,
}

#[derive(Clone, Copy)]
struct Place {
    /// In the network that can be cut.
    inside: bool,
    /// It tells the others an address where nobody listens.
    hidden: bool,
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
        let namespace = plan.cut_off.map(|_| Namespace::create()).transpose()?;
        let mut cluster =
            Self { folder, back_ends: None, nodes: BTreeMap::new(), clock: plan.clock.clone(), keep: true, namespace };
        if plan.nodes.iter().any(|(_, roles)| !roles.is_empty()) {
            let inside = cluster.namespace.is_some();
            let start = || BackEnds::start(plan, &cluster.folder, number, inside);
            cluster.back_ends = Some(tokio::task::block_in_place(start)?);
            cluster.cli(&["access-keys", "create", "--given"])?;
            let key = cluster.folder.join("master.key");
            std::fs::write(&key, [7; 32])?;
            std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600))?;
        }
        for (name, roles) in &plan.nodes {
            let place = Place { inside: plan.cut_off == Some(*name), hidden: plan.unreachable == Some(*name) };
            cluster.add_at(name, roles, place).await?;
        }
        Ok(cluster)
    }

    /// Runs the binary to its end, on this cluster's database; what it printed.
    ///
    /// # Errors
    /// It fails.
    pub fn cli(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let back_ends = self.back_ends.as_ref().context("an embedded node has no database of others")?;
        let places = ["--account", ACCOUNT, "--store", &back_ends.application];
        tokio::task::block_in_place(|| run(&[arguments, &places].concat(), &self.folder))
    }

    /// Runs SQL as the superuser, whom no policy hides a row from; its output without decoration.
    ///
    /// # Errors
    /// It fails.
    pub fn psql(&self, sql: &str) -> anyhow::Result<String> {
        let back_ends = self.back_ends.as_ref().context("an embedded node has no PostgreSQL")?;
        let arguments = ["psql", "-qAt", "-c", &format!("\\c {}", back_ends.database), "-c", sql];
        let output = || back_ends.postgres.try_output("postgres.sh", &arguments).map_err(anyhow::Error::msg);
        tokio::task::block_in_place(output)
    }

    /// The folders that hold every byte of its Kafka and of its PostgreSQL, and of whoever else uses them.
    pub fn data_of_servers(&self) -> Option<(PathBuf, PathBuf)> {
        self.back_ends.as_ref().map(BackEnds::folders)
    }

    /// Runs a script of `tests/services` on this cluster's own servers; the last line of its output.
    ///
    /// # Errors
    /// It fails.
    pub fn script(&self, script: &str, arguments: &[&str]) -> anyhow::Result<String> {
        let services = &self.back_ends.as_ref().context("an embedded node has no servers")?.own;
        tokio::task::block_in_place(|| services.try_run(script, arguments)).map_err(anyhow::Error::msg)
    }

    /// Adds a node and starts it.
    ///
    /// # Errors
    /// It does not become ready.
    pub async fn add(&mut self, name: &'static str, roles: &'static str, inside: bool) -> anyhow::Result<()> {
        self.add_at(name, roles, Place { inside, hidden: false }).await
    }

    async fn add_at(&mut self, name: &'static str, roles: &'static str, place: Place) -> anyhow::Result<()> {
        let host = if place.inside { network::INSIDE } else { "127.0.0.1" };
        let (url, internal) = (format!("http://{host}:{}", free_port()?), format!("{host}:{}", free_port()?));
        self.nodes.insert(name, Node { roles, url, internal, place, child: None });
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
            Some(namespace) if node.place.inside => namespace.prefix(),
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
        command.envs(self.clock.iter().flat_map(MovedClock::environment));
        if let Some(back_ends) = &self.back_ends {
            let seen = if node.place.inside { back_ends.seen_from_inside() } else { back_ends.clone() };
            command.args(["--node", name, "--roles", node.roles, "--internal-listen", &node.internal]);
            command.args(["--log", &format!("kafka://{}", seen.kafka), "--store", &seen.application]);
            command.args(["--store-projector", &seen.projector, "--master-key"]).arg(self.folder.join("master.key"));
            command.arg("--config").arg(self.folder.join("node.yaml"));
            if node.place.hidden {
                command.args(["--advertise", &format!("127.0.0.1:{}", free_port()?)]);
            }
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
        self.ended(name).await
    }

    /// Waits for the end of a node that was told to end.
    ///
    /// # Errors
    /// It does not end in time, or not with 0.
    pub async fn ended(&mut self, name: &str) -> anyhow::Result<()> {
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

    /// The base URL of a node.
    ///
    /// # Errors
    /// There is no such node.
    pub fn url(&self, name: &str) -> anyhow::Result<&str> {
        self.nodes.get(name).map(|node| node.url.as_str()).with_context(|| format!("no node {name}"))
    }

    /// A client of the node `name`; it tries once.
    ///
    /// # Errors
    /// There is no such node.
    pub fn client_of(&self, name: &str) -> anyhow::Result<Fastn> {
        client(self.url(name)?, &self.access_key()?)
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
    ///
    /// # Errors
    /// No node has made it.
    pub fn access_key(&self) -> anyhow::Result<String> {
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

impl Drop for Cluster {
    fn drop(&mut self) {
        for node in self.nodes.values_mut() {
            if let Some(child) = &mut node.child {
                let _ended_already = child.kill();
                let _reaped = child.wait();
            }
        }
        if let Some(back_ends) = &self.back_ends {
            back_ends.stop();
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

pub(super) fn free_port() -> anyhow::Result<u16> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}
