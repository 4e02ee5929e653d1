//! The configuration of a node: built-in default → file → `FASTN_…` environment → flag. Unknown keys are refused.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};

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
    /// `file:DIR`.
    pub(crate) log: String,
    /// `sqlite:DIR`.
    pub(crate) store: String,
    /// Partitions of a new log.
    pub(crate) partitions: u32,
    /// Bytes that the log may take on disk before it frees what nothing needs any more. Activity is rebuilt from what it
    /// keeps.
    pub(crate) log_bytes_max: u64,
    /// Whether workflows may call addresses that are not public, as in a network of one's own. Always in development.
    pub(crate) allow_private_addresses: bool,
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
    /// The log: file:DIR [default: file:<data>/log]
    #[arg(long, env = "FASTN_LOG", value_name = "URL")]
    pub(crate) log: Option<String>,
    /// The store: sqlite:DIR [default: sqlite:<data>]
    #[arg(long, env = "FASTN_STORE", value_name = "URL")]
    pub(crate) store: Option<String>,
    /// Partitions of a new log [default: 16]
    #[arg(long, env = "FASTN_PARTITIONS", value_name = "N")]
    pub(crate) partitions: Option<u32>,
    /// Bytes that the log may take before it frees what nothing needs any more [default: 4 GiB]
    #[arg(long, env = "FASTN_LOG_BYTES_MAX", value_name = "BYTES")]
    pub(crate) log_bytes_max: Option<u64>,
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
            log: self.log.or(below.log),
            store: self.store.or(below.store),
            partitions: self.partitions.or(below.partitions),
            log_bytes_max: self.log_bytes_max.or(below.log_bytes_max),
            account: self.account.or(below.account),
            allow_private_addresses: self.allow_private_addresses.or(below.allow_private_addresses),
            log_level: self.log_level.or(below.log_level),
        }
    }
}

impl ServeConfig {
    /// The layers together, checked. `flags` holds the environment too.
    pub(crate) fn of(flags: Layer, file: Option<&Path>, dev: bool) -> anyhow::Result<Self> {
        let below = file.map(Layer::read).transpose()?.unwrap_or_default();
        let layer = flags.over(below);
        let data = layer.data.unwrap_or_else(|| PathBuf::from("fastn-data"));
        let config = Self {
            listen: layer.listen.unwrap_or(LISTEN_DEFAULT.parse().context("the built-in address")?),
            log: layer.log.unwrap_or_else(|| format!("file:{}", data.join("log").display())),
            store: layer.store.unwrap_or_else(|| format!("sqlite:{}", data.display())),
            partitions: layer.partitions.unwrap_or(16),
            log_bytes_max: layer.log_bytes_max.unwrap_or(4 << 30),
            account: layer.account.unwrap_or_else(|| "acc_default".to_owned()),
            allow_private_addresses: layer.allow_private_addresses.unwrap_or(dev),
            log_level: layer.log_level.unwrap_or_else(|| (if dev { "warn" } else { LOG_LEVEL_DEFAULT }).to_owned()),
            data,
            dev,
        };
        if config.partitions == 0 || config.partitions > 1_024 {
            bail!("partitions must be 1 to 1024, got {}", config.partitions);
        }
        config.log_directory()?;
        config.store_directory()?;
        Ok(config)
    }

    /// Where the embedded log lies.
    pub(crate) fn log_directory(&self) -> anyhow::Result<PathBuf> {
        match self.log.strip_prefix("file:") {
            Some(directory) if !directory.is_empty() => Ok(PathBuf::from(directory)),
            _ => bail!(
                "log {:?} is not one of this version, which takes file:DIR; Kafka comes with the cluster version",
                self.log
            ),
        }
    }

    /// Where the databases of the store lie.
    pub(crate) fn store_directory(&self) -> anyhow::Result<PathBuf> {
        match self.store.strip_prefix("sqlite:") {
            Some(directory) if !directory.is_empty() => Ok(PathBuf::from(directory)),
            // The URL is not repeated: one of PostgreSQL holds a password.
            _ => bail!(
                "the store is not one of this version, which takes sqlite:DIR; PostgreSQL comes with the cluster version"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Property: a flag wins over the file, the file over the default; an unknown key is refused with its name, and a
    /// back end of another version without its password.
    #[test]
    fn layers_are_in_order() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "partitions: 4\naccount: acc_file\n").unwrap();
        let flags = Layer { account: Some("acc_flag".to_owned()), ..Layer::default() };
        let config = ServeConfig::of(flags, Some(file.path()), false).unwrap();
        assert_eq!((config.partitions, config.account.as_str()), (4, "acc_flag"));
        assert_eq!(config.listen.to_string(), LISTEN_DEFAULT);
        let store = Some("postgres://fastn:hidden@db/fastn".to_owned());
        let refused = ServeConfig::of(Layer { store, ..Layer::default() }, None, false).unwrap_err().to_string();
        assert!(refused.contains("cluster version") && !refused.contains("hidden"), "{refused}");
        std::fs::write(file.path(), "partitoins: 4\n").unwrap();
        let error = ServeConfig::of(Layer::default(), Some(file.path()), false).unwrap_err();
        assert!(error.to_string().contains("partitoins"), "{error}");
    }
}
