//! The configuration of a node: built-in default → file → `FASTN_…` environment → flag. Unknown keys are refused.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use fastn_contract::resource::Region;
use fastn_domain::Residency;
use serde::{Deserialize, Serialize};

mod backend;
mod roles;

pub(crate) use backend::{Hidden, KafkaSettings, LogBackend, Masked, StoreBackend};
pub(crate) use roles::Role;

/// Where a node listens when nothing says otherwise.
pub(crate) const LISTEN_DEFAULT: &str = "127.0.0.1:7400";

/// What a node in service logs: the storage engine's own account of its work helps nobody who runs it.
const LOG_LEVEL_DEFAULT: &str = "info,fjall=warn,lsm_tree=warn";

/// The effective configuration.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct ServeConfig {
    /// The data directory.
    pub(crate) data: PathBuf,
    /// The address and port of every HTTP route.
    pub(crate) listen: SocketAddr,
    /// The parts of the work that this process takes.
    pub(crate) roles: Vec<Role>,
    /// The node's own name, which it keeps over restarts; absent for one that comes and goes.
    pub(crate) node: Option<String>,
    /// The address for the other nodes, apart from the public one; the public one serves them too when absent.
    pub(crate) internal_listen: Option<SocketAddr>,
    /// The host and port at which the other nodes reach this one; where it listens for them when absent.
    pub(crate) advertise: Option<String>,
    /// The base URL under which senders reach this node, for the URLs that connector apps are given; the one that the
    /// caller of the API used when absent.
    pub(crate) public_url: Option<String>,
    /// The region that this cell serves; absent for the only one.
    pub(crate) region: Option<Region>,
    /// Base URLs of the cells of all regions.
    pub(crate) cells: BTreeMap<Region, String>,
    /// `file:DIR` or `kafka://HOST:PORT,…`.
    pub(crate) log: String,
    /// What Kafka needs beside its URL.
    pub(crate) kafka: KafkaSettings,
    /// The schema registry, if there is one.
    pub(crate) schema_registry: Option<Masked>,
    /// `sqlite:DIR` or `postgres://…`, under the application's role.
    pub(crate) store: Masked,
    /// The same database under the projector's role.
    pub(crate) store_projector: Option<Masked>,
    /// The file of the master key; `master.key` in the data directory when absent.
    pub(crate) master_key: Option<PathBuf>,
    /// Partitions of a new log.
    pub(crate) partitions: u32,
    /// Bytes that the log may take on disk before it frees what nothing needs any more. Activity is rebuilt from what it
    /// keeps.
    pub(crate) log_bytes_max: u64,
    /// Whether workflows may call addresses that are not public, as in a network of one's own. Always in development.
    pub(crate) allow_private_addresses: bool,
    /// Hours for which the log keeps what nothing needs any more; activity is rebuilt from it.
    pub(crate) log_keep_hours: u32,
    /// The account that a new node starts with.
    pub(crate) account: String,
    /// A filter of `tracing`, e.g. `info`.
    pub(crate) log_level: String,
    /// Development mode: loopback calls allowed, human output.
    pub(crate) dev: bool,
}

/// One layer: what it does not name, the layer below says.
#[derive(Clone, Debug, Default, Deserialize, clap::Args)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(crate) struct Layer {
    /// The data directory
    #[arg(long, env = "FASTN_DATA", value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// The address and port to listen on [default: 127.0.0.1:7400]
    #[arg(long, env = "FASTN_LISTEN", value_name = "ADDRESS")]
    pub(crate) listen: Option<SocketAddr>,
    /// The parts of the work: ingest, api, pipeline, scheduler, projector [default: all]
    #[arg(long, env = "FASTN_ROLES", value_name = "ROLE,…", value_delimiter = ',')]
    pub(crate) roles: Option<Vec<Role>>,
    /// A name that this node keeps over restarts; its partitions then wait for it a moment
    #[arg(long, env = "FASTN_NODE", value_name = "NAME")]
    pub(crate) node: Option<String>,
    /// An address for the other nodes only [default: they use the public one]
    #[arg(long, env = "FASTN_INTERNAL_LISTEN", value_name = "ADDRESS")]
    pub(crate) internal_listen: Option<SocketAddr>,
    /// The host and port at which the other nodes reach this one [default: where it listens for them]
    #[arg(long, env = "FASTN_ADVERTISE", value_name = "HOST:PORT")]
    pub(crate) advertise: Option<String>,
    /// The base URL under which senders reach this node [default: the one that the caller of the API used]
    #[arg(long, env = "FASTN_PUBLIC_URL", value_name = "URL")]
    pub(crate) public_url: Option<String>,
    /// The region that this cell serves: US, EU or APAC
    #[arg(long, env = "FASTN_REGION", value_name = "REGION", value_parser = region)]
    pub(crate) region: Option<Region>,
    /// Base URLs of the cells of all regions.
    #[arg(skip)]
    pub(crate) cells: Option<BTreeMap<Region, String>>,
    /// What Kafka needs beside its URL.
    #[arg(skip)]
    pub(crate) kafka: Option<KafkaSettings>,
    /// The log: file:DIR or kafka://HOST:PORT,… [default: file:<data>/log]
    #[arg(long, env = "FASTN_LOG", value_name = "URL")]
    pub(crate) log: Option<String>,
    /// A schema registry that speaks Confluent's protocol, for a log in Kafka
    #[arg(long, env = "FASTN_SCHEMA_REGISTRY", value_name = "URL", hide_env_values = true)]
    pub(crate) schema_registry: Option<Masked>,
    /// The store: sqlite:DIR or postgres://…, under the role of the application [default: sqlite:<data>]
    #[arg(long, env = "FASTN_STORE", value_name = "URL", hide_env_values = true)]
    pub(crate) store: Option<Masked>,
    /// The same PostgreSQL under the role of the projector
    #[arg(long, env = "FASTN_STORE_PROJECTOR", value_name = "URL", hide_env_values = true)]
    pub(crate) store_projector: Option<Masked>,
    /// The file of the master key that seals secrets [default: <data>/master.key]
    #[arg(long, env = "FASTN_MASTER_KEY_FILE", value_name = "FILE")]
    pub(crate) master_key: Option<PathBuf>,
    /// Partitions of a new log [default: 16]
    #[arg(long, env = "FASTN_PARTITIONS", value_name = "N")]
    pub(crate) partitions: Option<u32>,
    /// Bytes that the log may take before it frees what nothing needs any more [default: 4 GiB]
    #[arg(long, env = "FASTN_LOG_BYTES_MAX", value_name = "BYTES")]
    pub(crate) log_bytes_max: Option<u64>,
    /// Hours for which the log keeps what nothing needs any more [default: 720]
    #[arg(long, env = "FASTN_LOG_KEEP_HOURS", value_name = "HOURS")]
    pub(crate) log_keep_hours: Option<u32>,
    /// The account that a new node starts with [default: acc_default]
    #[arg(long, env = "FASTN_ACCOUNT", value_name = "ID")]
    pub(crate) account: Option<String>,
    /// Let workflows call addresses that are not public, e.g. 127.0.0.1
    #[arg(long, env = "FASTN_ALLOW_PRIVATE_ADDRESSES", num_args = 0..=1, default_missing_value = "true", value_name = "BOOL")]
    pub(crate) allow_private_addresses: Option<bool>,
    /// What is logged, e.g. info or fastn_pipeline=debug [default: info]
    #[arg(long, env = "FASTN_LOG_LEVEL", value_name = "FILTER")]
    pub(crate) log_level: Option<String>,
}

impl Layer {
    /// Reads a YAML file.
    pub(crate) fn read(path: &Path) -> anyhow::Result<Self> {
        let text =
            std::fs::read_to_string(path).with_context(|| format!("read the configuration {}", path.display()))?;
        serde_saphyr::from_str(&text).map_err(|error| anyhow::anyhow!("{}: {error}", path.display()))
    }

    /// This layer above `below`.
    fn over(self, below: Self) -> Self {
        Self {
            data: self.data.or(below.data),
            listen: self.listen.or(below.listen),
            roles: self.roles.or(below.roles),
            node: self.node.or(below.node),
            internal_listen: self.internal_listen.or(below.internal_listen),
            advertise: self.advertise.or(below.advertise),
            public_url: self.public_url.or(below.public_url),
            region: self.region.or(below.region),
            cells: self.cells.or(below.cells),
            kafka: self.kafka.or(below.kafka),
            log: self.log.or(below.log),
            schema_registry: self.schema_registry.or(below.schema_registry),
            store: self.store.or(below.store),
            store_projector: self.store_projector.or(below.store_projector),
            master_key: self.master_key.or(below.master_key),
            partitions: self.partitions.or(below.partitions),
            log_bytes_max: self.log_bytes_max.or(below.log_bytes_max),
            log_keep_hours: self.log_keep_hours.or(below.log_keep_hours),
            account: self.account.or(below.account),
            allow_private_addresses: self.allow_private_addresses.or(below.allow_private_addresses),
            log_level: self.log_level.or(below.log_level),
        }
    }
}

impl ServeConfig {
    /// The layers together, checked for a node. `flags` holds the environment too.
    pub(crate) fn of(flags: Layer, file: Option<&Path>, dev: bool) -> anyhow::Result<Self> {
        Self::layered(flags, file, dev)?.checked()
    }

    /// The layers together, for a tool that needs one part of them.
    pub(crate) fn layered(flags: Layer, file: Option<&Path>, dev: bool) -> anyhow::Result<Self> {
        let below = file.map(Layer::read).transpose()?.unwrap_or_default();
        let layer = flags.over(below);
        let data = layer.data.unwrap_or_else(|| PathBuf::from("fastn-data"));
        let config = Self {
            listen: layer.listen.unwrap_or(LISTEN_DEFAULT.parse().context("the built-in address")?),
            roles: layer.roles.unwrap_or_else(|| Role::ALL.to_vec()),
            node: layer.node,
            internal_listen: layer.internal_listen,
            advertise: layer.advertise,
            public_url: layer.public_url,
            region: layer.region,
            cells: layer.cells.unwrap_or_default(),
            log: layer.log.unwrap_or_else(|| format!("file:{}", data.join("log").display())),
            kafka: kafka_of(layer.kafka),
            schema_registry: layer.schema_registry,
            store: layer.store.unwrap_or_else(|| Masked(format!("sqlite:{}", data.display()))),
            store_projector: layer.store_projector,
            master_key: layer.master_key,
            partitions: layer.partitions.unwrap_or(16),
            log_bytes_max: layer.log_bytes_max.unwrap_or(4 << 30),
            log_keep_hours: layer.log_keep_hours.unwrap_or(30 * 24),
            account: layer.account.unwrap_or_else(|| "acc_default".to_owned()),
            allow_private_addresses: layer.allow_private_addresses.unwrap_or(dev),
            log_level: layer.log_level.unwrap_or_else(|| (if dev { "warn" } else { LOG_LEVEL_DEFAULT }).to_owned()),
            data,
            dev,
        };
        if config.partitions == 0 || config.partitions > 1_024 {
            bail!("partitions must be 1 to 1024, got {}", config.partitions);
        }
        if config.public_url.as_ref().is_some_and(|url| !url.starts_with("http://") && !url.starts_with("https://")) {
            bail!("public_url must start with http:// or https://");
        }
        config.log_backend()?;
        config.store_backend()?;
        Ok(config)
    }

    fn checked(self) -> anyhow::Result<Self> {
        let (log, store) = (self.log_backend()?, self.store_backend()?);
        if self.roles.is_empty() {
            bail!("a node without a role does nothing; name some with --roles, or leave it out for all");
        }
        let embedded = matches!(log, LogBackend::File(_)) || matches!(store, StoreBackend::Sqlite(_));
        if embedded && self.roles.len() < Role::ALL.len() {
            bail!(
                "roles are shared out with a log in Kafka and a store in PostgreSQL; embedded, one process has them all"
            );
        }
        if matches!(log, LogBackend::Kafka(_)) != matches!(store, StoreBackend::Postgres(_)) {
            bail!(
                "a log in Kafka goes with a store in PostgreSQL, and an embedded log with SQLite: other nodes need both"
            );
        }
        let projects = self.has(Role::Projector) || self.has(Role::Scheduler);
        if matches!(store, StoreBackend::Postgres(_)) && projects && self.store_projector.is_none() {
            bail!("the roles projector and scheduler need --store-projector, the URL with the projector's role");
        }
        Ok(self)
    }

    /// Whether this process has the role.
    pub(crate) fn has(&self, role: Role) -> bool {
        self.roles.contains(&role)
    }

    /// Whether this is a lone node, whose data no other shares.
    pub(crate) fn alone(&self) -> bool {
        self.store.0.starts_with("sqlite:")
    }

    /// Where the log is.
    pub(crate) fn log_backend(&self) -> anyhow::Result<LogBackend> {
        LogBackend::parse(&self.log)
    }

    /// Where the store is.
    pub(crate) fn store_backend(&self) -> anyhow::Result<StoreBackend> {
        StoreBackend::parse(&self.store)
    }

    /// Whose requests are answered here.
    pub(crate) fn residency(&self) -> Residency {
        let cells = self.cells.iter().map(|(region, url)| (*region, url.trim_end_matches('/').to_owned()));
        Residency { region: self.region, cells: cells.collect() }
    }
}

fn region(text: &str) -> Result<Region, String> {
    let all = [Region::Us, Region::Eu, Region::Apac];
    let found = all.into_iter().find(|region| region.as_str().eq_ignore_ascii_case(text));
    found.ok_or_else(|| "the regions are US, EU and APAC".to_owned())
}

/// The settings of the file, with the password of the environment before its own.
fn kafka_of(settings: Option<KafkaSettings>) -> KafkaSettings {
    let mut settings = settings.unwrap_or_default();
    if let Ok(password) = std::env::var("FASTN_KAFKA_PASSWORD") {
        settings.sasl_password = Some(Hidden(password));
    }
    settings
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Property: a flag wins over the file, the file over the default; an unknown key is refused with its name, and
    /// back ends that do not go together without a password.
    #[test]
    fn layers_are_in_order() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "partitions: 4\naccount: acc_file\n").unwrap();
        let flags = Layer { account: Some("acc_flag".to_owned()), ..Layer::default() };
        let config = ServeConfig::of(flags, Some(file.path()), false).unwrap();
        assert_eq!((config.partitions, config.account.as_str()), (4, "acc_flag"));
        assert_eq!(config.listen.to_string(), LISTEN_DEFAULT);
        let store = Some(Masked("postgres://fastn:hidden@db/fastn".to_owned()));
        let refused = ServeConfig::of(Layer { store, ..Layer::default() }, None, false).unwrap_err().to_string();
        assert!(refused.contains("Kafka") && !refused.contains("hidden"), "{refused}");
        std::fs::write(file.path(), "partitoins: 4\n").unwrap();
        let error = ServeConfig::of(Layer::default(), Some(file.path()), false).unwrap_err();
        assert!(error.to_string().contains("partitoins"), "{error}");
    }
}
