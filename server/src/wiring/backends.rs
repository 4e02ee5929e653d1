//! The one place that names back ends.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, bail};
use fastn_domain::Clock;
use fastn_log::registry::{self, Registry, RegistryOptions};
use fastn_log::{EmbeddedLog, EmbeddedOptions, Finding, KafkaLog, KafkaOptions, Log, Sasl, Security, Severity, Tls};
use fastn_store::{
    Finding as PostgresFinding, MasterKey, PostgresOptions, PostgresStore, SqliteOptions, SqliteStore, Store,
    examine as examine_postgres,
};

use crate::config::{Hidden, KafkaSettings, LogBackend, Masked, ServeConfig, StoreBackend};

/// Opens the log off the runtime's threads: it reads its journals.
pub(crate) async fn open_log(config: &ServeConfig, clock: Arc<dyn Clock>) -> anyhow::Result<Arc<dyn Log>> {
    match config.log_backend()? {
        LogBackend::File(directory) => {
            let options = EmbeddedOptions { partitions: config.partitions, clock, ..EmbeddedOptions::default() };
            let log = tokio::task::spawn_blocking(move || EmbeddedLog::open(&directory, options)).await??;
            Ok(Arc::new(log))
        }
        LogBackend::Kafka(brokers) => {
            let registry = schema_registry(config).await?;
            let options = kafka_options(config, brokers)?;
            let log = tokio::task::spawn_blocking(move || KafkaLog::open(options)).await??;
            Ok(match registry {
                Some(registry) => registry.reading(Arc::new(log)),
                None => Arc::new(log),
            })
        }
    }
}

/// What the doctor of a back end found: a failure, or something that could be better.
pub(crate) struct Found {
    /// Whether fastn refuses to work with it.
    pub(crate) fails: bool,
    /// What is wrong, on what, and what to do.
    pub(crate) what: String,
}

/// Looks at the back ends of a cluster, by name, without changing anything and beside any node that runs.
pub(crate) async fn examine(config: &ServeConfig) -> anyhow::Result<Vec<(&'static str, Vec<Found>)>> {
    let mut looks = Vec::new();
    if let LogBackend::Kafka(brokers) = config.log_backend()? {
        let findings = KafkaLog::examine(kafka_options(config, brokers)?).await;
        let found = |finding: Finding| Found { fails: finding.severity == Severity::Error, what: finding.to_string() };
        looks.push(("kafka", findings.into_iter().map(found).collect()));
    }
    if let StoreBackend::Postgres(url) = config.store_backend()? {
        let findings = examine_postgres(&postgres_options(config, &url)).await;
        let wrong = findings.into_iter().filter(|finding| !finding.ok);
        let found =
            |finding: PostgresFinding| Found { fails: true, what: format!("{}; {}", finding.what, finding.advice) };
        looks.push(("postgres", wrong.map(found).collect()));
    }
    Ok(looks)
}

/// Registers the schemas, where a registry is configured.
async fn schema_registry(config: &ServeConfig) -> anyhow::Result<Option<Registry>> {
    let Some(Masked(url)) = config.schema_registry.clone() else { return Ok(None) };
    let cache = config.data.join("schema-ids.json");
    let options = RegistryOptions { url, user: None, password: None, cache };
    Ok(Some(registry::register(&options).await?))
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
pub(crate) async fn open_store(config: &ServeConfig, clock: Arc<dyn Clock>) -> anyhow::Result<Arc<dyn Store>> {
    match config.store_backend()? {
        StoreBackend::Sqlite(directory) => {
            std::fs::create_dir_all(&directory)
                .with_context(|| format!("make the directory {}", directory.display()))?;
            Ok(Arc::new(SqliteStore::open(&directory, SqliteOptions { clock, ..SqliteOptions::default() }).await?))
        }
        StoreBackend::Postgres(url) => {
            let mut options = postgres_options(config, &url);
            options.clock = clock;
            // A node goes on with the configuration that it knew.
            options.start_without_server = true;
            Ok(Arc::new(PostgresStore::open(options).await?))
        }
    }
}

fn postgres_options(config: &ServeConfig, url: &Masked) -> PostgresOptions {
    let options = PostgresOptions::new(&url.0);
    match &config.store_projector {
        Some(projector) => options.with_projector(&projector.0),
        None => options,
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
