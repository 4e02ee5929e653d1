//! The one place that names back ends.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, bail};
use fastn_log::{EmbeddedLog, EmbeddedOptions, Log};
use fastn_store::{MasterKey, SqliteOptions, SqliteStore, Store};

use crate::config::{LogBackend, ServeConfig, StoreBackend};

/// Opens the log off the runtime's threads: it reads its journals.
pub(crate) async fn open_log(config: &ServeConfig) -> anyhow::Result<Arc<dyn Log>> {
    match config.log_backend()? {
        LogBackend::File(directory) => {
            let options = EmbeddedOptions { partitions: config.partitions, ..EmbeddedOptions::default() };
            let log = tokio::task::spawn_blocking(move || EmbeddedLog::open(&directory, options)).await??;
            Ok(Arc::new(log))
        }
        LogBackend::Kafka(_) => bail!("not built yet"),
    }
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
