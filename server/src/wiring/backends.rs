//! The one place that names back ends.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, bail};
use fastn_log::{EmbeddedLog, EmbeddedOptions, KafkaLog, KafkaOptions, Log, Sasl, Security, Tls};
use fastn_store::{MasterKey, SqliteOptions, SqliteStore, Store};

use crate::config::{Hidden, KafkaSettings, LogBackend, ServeConfig, StoreBackend};

/// Opens the log off the runtime's threads: it reads its journals.
pub(crate) async fn open_log(config: &ServeConfig) -> anyhow::Result<Arc<dyn Log>> {
    match config.log_backend()? {
        LogBackend::File(directory) => {
            let options = EmbeddedOptions { partitions: config.partitions, ..EmbeddedOptions::default() };
            let log = tokio::task::spawn_blocking(move || EmbeddedLog::open(&directory, options)).await??;
            Ok(Arc::new(log))
        }
        LogBackend::Kafka(brokers) => {
            let options = kafka_options(config, brokers)?;
            let log = tokio::task::spawn_blocking(move || KafkaLog::open(options)).await??;
            Ok(Arc::new(log))
        }
    }
}

/// What the configuration says of Kafka.
pub(crate) fn kafka_options(config: &ServeConfig, brokers: String) -> anyhow::Result<KafkaOptions> {
    let KafkaSettings { replication, min_insync, prefix, tls, tls_ca, tls_certificate, tls_key, .. } = &config.kafka;
    let KafkaSettings { sasl_mechanism, sasl_user, sasl_password, .. } = &config.kafka;
    let defaults = KafkaOptions::default();
    let replication = replication.unwrap_or(defaults.replication);
    // A cell's topics are told from those of another in the same cluster.
    let of_region = || config.region.map(|region| format!("{}.", region.as_str().to_lowercase()));
    let sasl = match (sasl_mechanism, sasl_user, sasl_password) {
        (None, None, None) => None,
        (Some(mechanism), Some(username), Some(Hidden(password))) => {
            Some(Sasl { mechanism: mechanism.clone(), username: username.clone(), password: password.clone() })
        }
        _ => bail!("SASL to Kafka needs kafka.sasl_mechanism, kafka.sasl_user and a password in FASTN_KAFKA_PASSWORD"),
    };
    let tls = (*tls || tls_ca.is_some() || tls_certificate.is_some()).then(|| Tls {
        ca_file: tls_ca.clone(),
        certificate_file: tls_certificate.clone(),
        key_file: tls_key.clone(),
    });
    Ok(KafkaOptions {
        brokers,
        prefix: prefix.clone().or_else(of_region).unwrap_or_default(),
        partitions: config.partitions,
        replication,
        min_insync: min_insync.unwrap_or_else(|| replication.saturating_sub(1).max(1)),
        node: config.node.clone(),
        security: Security { tls, sasl },
        ..defaults
    })
}

/// Opens the store.
pub(crate) async fn open_store(config: &ServeConfig) -> anyhow::Result<Arc<dyn Store>> {
    match config.store_backend()? {
        StoreBackend::Sqlite(directory) => {
            std::fs::create_dir_all(&directory)
                .with_context(|| format!("make the directory {}", directory.display()))?;
            Ok(Arc::new(SqliteStore::open(&directory, SqliteOptions::default()).await?))
        }
        StoreBackend::Postgres(_) => bail!("not built yet"),
    }
}

/// The key that seals secrets: `FASTN_MASTER_KEY`, else a file. A lone node makes its own; nodes that share a database
/// must be given the same.
pub(crate) fn master_key(config: &ServeConfig) -> anyhow::Result<MasterKey> {
    if let Ok(text) = std::env::var("FASTN_MASTER_KEY") {
        return Ok(MasterKey::from_base64(&text, "FASTN_MASTER_KEY")?);
    }
    let path: PathBuf = config.master_key.clone().unwrap_or_else(|| config.data.join("master.key"));
    match config.store_backend()? {
        StoreBackend::Sqlite(_) => Ok(MasterKey::read_or_create(&path)?),
        StoreBackend::Postgres(_) => Ok(MasterKey::read(Path::new(&path)).context(
            "every node of a cell needs the same master key: make one with `openssl rand 32 > master.key`, keep it \
             safe, and name it with --master-key",
        )?),
    }
}
