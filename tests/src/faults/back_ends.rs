//! The Kafka and the PostgreSQL of a cluster: of its own, or a corner of what all tests share.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};
use fastn_testkit::services::Services;

use super::cluster::{Plan, Servers, free_port};
use super::network;
use crate::server::binary;

/// The access key of the account. It opens nothing but a cluster of this test.
pub(super) const ACCESS_KEY: &str = "fsk_test_the-key-of-a-cluster-that-a-test-breaks";
/// The password of both roles in PostgreSQL, which checks none.
const PASSWORD: &str = "only-for-tests";

/// As this machine sees them.
#[derive(Clone)]
pub(super) struct BackEnds {
    /// `host:port,…`
    pub(super) kafka: String,
    /// The URL with the role that nodes serve with.
    pub(super) application: String,
    /// The URL with the role of the projector.
    pub(super) projector: String,
    /// The database.
    pub(super) database: String,
    /// The cluster's own servers; those it shares are never in there.
    pub(super) own: Services,
    /// The set that its PostgreSQL is of.
    pub(super) postgres: Services,
    servers: Servers,
}

impl BackEnds {
    /// Starts what does not run, makes the schema, and writes what nodes are told about Kafka and residency to `node.yaml`.
    pub(super) fn start(plan: &Plan, folder: &Path, number: u32, inside: bool) -> anyhow::Result<Self> {
        let own = Services::own(folder.join("services"));
        let (kafka_of, postgres) = match plan.servers {
            Servers::OwnThree | Servers::Own => (own.clone(), own.clone()),
            Servers::SharedKafka => (Services::shared(), own.clone()),
            Servers::Shared => (Services::shared(), Services::shared()),
        };
        let kafka = start_kafka(plan, &kafka_of, inside)?;
        // A port of its own choice would be one that the next cluster takes while this PostgreSQL is away.
        let port = free_port()?.to_string();
        let mut start = vec!["start"];
        if inside {
            start.extend(["--also", network::HOST]);
        }
        if plan.servers != Servers::Shared {
            start.extend(["--port", &port]);
        }
        let superuser = script(&postgres, "postgres.sh", &start)?;
        let (server, mut database) = superuser.rsplit_once('/').context("the URL names a database")?;
        let own_name = format!("cluster_{}_{number}", std::process::id());
        if plan.servers == Servers::Shared {
            let make = format!("CREATE DATABASE {own_name}");
            script(&postgres, "postgres.sh", &["psql", "-q", "-c", &make])?;
            database = &own_name;
        }
        run(&["migrate", "--owner", &format!("{server}/{database}")], folder)?;
        std::fs::write(folder.join("node.yaml"), told(plan, &own_name))?;
        let (_, host) = server.split_once('@').context("the URL names a role")?;
        let role = |role: &str| format!("postgres://{role}:{PASSWORD}@{host}/{database}");
        let (application, projector) = (role("fastn_app"), role("fastn_projector"));
        let database = database.to_owned();
        Ok(Self { kafka, application, projector, database, own, postgres, servers: plan.servers })
    }

    /// As the namespace sees them. Kafka's second listener is two ports above its first.
    pub(super) fn seen_from_inside(&self) -> Self {
        let ports = self.kafka.split(',').filter_map(|address| address.rsplit(':').next()?.parse::<u16>().ok());
        let kafka: Vec<String> = ports.map(|port| format!("{}:{}", network::KAFKA_HOST, port + 2)).collect();
        let there = |url: &str| url.replace("127.0.0.1", network::HOST);
        let (application, projector) = (there(&self.application), there(&self.projector));
        Self { kafka: kafka.join(","), application, projector, ..self.clone() }
    }

    /// Where Kafka and PostgreSQL keep their data.
    pub(super) fn folders(&self) -> (PathBuf, PathBuf) {
        let own_kafka = matches!(self.servers, Servers::OwnThree | Servers::Own);
        let kafka = if own_kafka { self.own.folder() } else { Services::shared().folder() };
        let postgres = self.postgres.folder().join("postgres");
        let elsewhere = std::fs::read_to_string(postgres.join("place")).map(|place| PathBuf::from(place.trim()));
        (kafka.join("kafka"), elsewhere.unwrap_or_else(|_| postgres.join("data")))
    }

    /// Stops the cluster's own servers and wipes their data.
    pub(super) fn stop(&self) {
        let scripts: &[&str] = match self.servers {
            Servers::OwnThree | Servers::Own => &["kafka.sh", "postgres.sh"],
            Servers::SharedKafka => &["postgres.sh"],
            Servers::Shared => &[],
        };
        for script in scripts {
            let _told_on_stderr = self.own.try_run(script, &["stop", "--wipe"]);
        }
    }
}

fn start_kafka(plan: &Plan, services: &Services, inside: bool) -> anyhow::Result<String> {
    let mut arguments = vec!["start"];
    match plan.servers {
        Servers::OwnThree => arguments.extend(["--nodes", "3"]),
        Servers::Own => arguments.extend(["--nodes", "1"]),
        Servers::SharedKafka | Servers::Shared => {}
    }
    if inside {
        arguments.extend(["--also", network::KAFKA_HOST]);
    }
    let disk = plan.small_disk.as_ref().map(|folder| format!("3={}", folder.display()));
    if let Some(disk) = &disk {
        arguments.extend(["--log-dir", disk]);
    }
    script(services, "kafka.sh", &arguments)
}

/// What the file says that has no flag.
fn told(plan: &Plan, own_name: &str) -> String {
    let mut text = String::from("kafka:\n");
    match plan.servers {
        Servers::OwnThree => text.push_str("  replication: 3\n"),
        Servers::Own => text.push_str("  replication: 1\n"),
        Servers::SharedKafka | Servers::Shared => {
            text.push_str(&format!("  replication: 1\n  prefix: {own_name}.\n"));
        }
    }
    if let Some(region) = plan.region {
        text.push_str(&format!("region: {region}\n"));
    }
    if !plan.cells.is_empty() {
        text.push_str("cells:\n");
        text.extend(plan.cells.iter().map(|(region, url)| format!("  {region}: {url}\n")));
    }
    text
}

/// The last line of what a script says.
fn script(services: &Services, script: &str, arguments: &[&str]) -> anyhow::Result<String> {
    services.try_run(script, arguments).map_err(anyhow::Error::msg)
}

/// Runs the binary to its end; what it printed.
pub(super) fn run(arguments: &[&str], folder: &Path) -> anyhow::Result<String> {
    let output = Command::new(binary()?)
        .args(arguments)
        .env("FASTN_ACCESS_KEY", ACCESS_KEY)
        .env("FASTN_DATA", folder.join("none"))
        .output()?;
    ensure!(output.status.success(), "fastn {}: {}", arguments[0], String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
