//! The one place that names back ends and puts the parts of a node together.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use axum::Router;
use fastn_contract::activity::{ExecutionError, ExecutionStatus, HealthCheck};
use fastn_domain::AccountId;
use fastn_domain::catalog::{AccessKey, Catalog, ResourceKind};
use fastn_domain::event::ReplyTo;
use fastn_ingest::{Ingest, IngestConfig};
use fastn_log::{EmbeddedLog, EmbeddedOptions, Log};
use fastn_store::{
    CatalogFeed, Expect, FeedOptions, MasterKey, ResourceWrite, SqliteOptions, SqliteStore, Store, Vault,
};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tokio::net::TcpListener;
use tokio::sync::{broadcast, oneshot, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::api::{ActivityChange, CatalogView, Ports, RunTicket, SourceError};
use crate::clock::SystemClock;
use crate::config::ServeConfig;

/// Changes that wait for the API's numbering.
const CHANGES_QUEUE_MAX: usize = 8_192;

/// A node: log, store, roles and server, running.
pub(crate) struct Node {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    /// The account's key that this start made or found.
    pub(crate) access_key: String,
    log: Arc<dyn Log>,
    store: Arc<dyn Store>,
    activity: broadcast::Sender<Arc<ActivityChange>>,
    stopping: CancellationToken,
    server: JoinHandle<std::io::Result<()>>,
    _feed: CatalogFeed,
}

impl Node {
    /// Opens the data, starts the roles, and listens. `extra` are routes of the development mode.
    pub(crate) async fn start(config: &ServeConfig, extra: Router) -> anyhow::Result<Self> {
        std::fs::create_dir_all(&config.data)
            .with_context(|| format!("make the data directory {}", config.data.display()))?;
        let metrics = metrics_recorder()?;
        let log = open_log(config).await?;
        let store: Arc<dyn Store> = Arc::new(SqliteStore::open(&config.data, SqliteOptions::default()).await?);
        let vault = Arc::new(Vault::new(&MasterKey::read_or_create(&config.data.join("master.key"))?));
        let account = AccountId::new(&config.account)?;
        let access_key = ensure_key(store.as_ref(), &account, config).await?;
        let (catalog, feed) = CatalogFeed::start(store.clone(), FeedOptions::default()).await?;
        let stopping = CancellationToken::new();
        let (activity, _) = broadcast::channel(CHANGES_QUEUE_MAX);

        let roles = Roles::start(&log, &store, &catalog, &vault, &activity, config, &stopping).await?;
        let ports = Ports {
            store: store.clone(),
            log: log.clone(),
            catalog: CatalogView(catalog.clone()),
            compile: Arc::new(compile),
            seal: seal_with(vault.clone()),
            await_run: roles.await_run,
            activity: activity.clone(),
            readiness: readiness(log.clone(), catalog.clone()),
            metrics: Arc::new(move || metrics.render()),
            stopping: stopping.clone(),
        };
        let edge = fastn_ingest::router(Ingest {
            log: log.clone(),
            encode: fastn_log::codec::encode_event,
            catalog,
            secrets: open_with(vault),
            clock: Arc::new(SystemClock),
            config: IngestConfig::default(),
        });
        let listener = TcpListener::bind(config.listen)
            .await
            .with_context(|| format!("listen on {}; is another fastn running there?", config.listen))?;
        let address = listener.local_addr()?;
        let app = crate::api::router(ports, edge.merge(extra));
        let stop = stopping.clone();
        let server = tokio::spawn(async move {
            axum::serve(listener, app).with_graceful_shutdown(async move { stop.cancelled().await }).await
        });
        Ok(Self { address, access_key, log, store, activity, stopping, server, _feed: feed })
    }

    /// Changes of executions as they come.
    pub(crate) fn activity(&self) -> broadcast::Receiver<Arc<ActivityChange>> {
        self.activity.subscribe()
    }

    /// Takes nothing new, answers what is under way, and closes log and store.
    pub(crate) async fn stop(self) -> anyhow::Result<()> {
        const DRAIN: std::time::Duration = std::time::Duration::from_secs(10);
        self.stopping.cancel();
        let _slow_readers_are_cut = tokio::time::timeout(DRAIN, self.server).await;
        self.log.close().await?;
        self.store.close().await;
        Ok(())
    }
}

/// The roles behind the log, and what the API needs of them.
struct Roles {
    await_run: Arc<dyn Fn() -> RunTicket + Send + Sync>,
}

impl Roles {
    // The processor and the projector start here.
    async fn start(
        _log: &Arc<dyn Log>,
        _store: &Arc<dyn Store>,
        _catalog: &watch::Receiver<Arc<Catalog>>,
        _vault: &Arc<Vault>,
        _activity: &broadcast::Sender<Arc<ActivityChange>>,
        _config: &ServeConfig,
        _stopping: &CancellationToken,
    ) -> anyhow::Result<Self> {
        let await_run = Arc::new(|| {
            // No processor answers yet: the run's end is found in activity.
            let (_, outcome) = oneshot::channel();
            RunTicket { reply_to: ReplyTo { node: "local".to_owned(), request: 0 }, outcome }
        });
        Ok(Self { await_run })
    }
}

/// Opens the log off the runtime's threads: it reads its journals.
pub(crate) async fn open_log(config: &ServeConfig) -> anyhow::Result<Arc<dyn Log>> {
    let directory = config.log_directory()?;
    let options = EmbeddedOptions { partitions: config.partitions, ..EmbeddedOptions::default() };
    let log = tokio::task::spawn_blocking(move || EmbeddedLog::open(&directory, options)).await??;
    Ok(Arc::new(log))
}

/// Opens the store in the data directory.
pub(crate) async fn open_store(data: &Path) -> anyhow::Result<Arc<dyn Store>> {
    Ok(Arc::new(SqliteStore::open(data, SqliteOptions::default()).await?))
}

fn metrics_recorder() -> anyhow::Result<PrometheusHandle> {
    PrometheusBuilder::new().install_recorder().context("install the metrics recorder")
}

fn compile(source: &str, file: &str) -> Result<(), SourceError> {
    fastn_pipeline::runtime::compile(source, file).map(drop).map_err(|error| SourceError {
        message: error.message,
        line: error.line,
        column: error.column,
    })
}

fn seal_with(vault: Arc<Vault>) -> crate::api::Seal {
    Arc::new(move |account, customer, name, version, value| {
        vault.seal(account, customer, name, version, value).map_err(|error| error.to_string())
    })
}

fn open_with(vault: Arc<Vault>) -> fastn_ingest::OpenSecret {
    Arc::new(move |at| {
        let (version, sealed) = at.secret.versions.last_key_value().ok_or("it has no version")?;
        let opened = vault.open(at.account, at.customer, &at.secret.name, *version, sealed);
        opened.map(|text| text.expose().to_owned()).map_err(|error| error.to_string())
    })
}

fn readiness(
    log: Arc<dyn Log>,
    catalog: watch::Receiver<Arc<Catalog>>,
) -> Arc<dyn Fn() -> Vec<HealthCheck> + Send + Sync> {
    Arc::new(move || {
        let check = |name: &str, ok: bool, reason: &str| HealthCheck {
            name: name.to_owned(),
            ok,
            reason: (!ok).then(|| reason.to_owned()),
        };
        let fed = catalog.has_changed().is_ok();
        vec![
            check("log", log.partitions() > 0, "the log has no partitions"),
            check("catalog", fed, "the configuration is not followed any more"),
        ]
    })
}

/// The account and a key of it. The key in the clear is kept beside the data, mode 0600, for the CLI on this machine.
async fn ensure_key(store: &dyn Store, account: &AccountId, config: &ServeConfig) -> anyhow::Result<String> {
    let file = key_file(&config.data);
    let known = std::fs::read_to_string(&file).ok().map(|text| text.trim().to_owned()).filter(|key| !key.is_empty());
    let prefix = if config.dev { "fsk_test_" } else { "fsk_live_" };
    let (key, hash) = match known {
        Some(key) => (key.clone(), fastn_store::hash_access_key(&key)),
        None => fastn_store::new_access_key(prefix),
    };
    let id = format!("key_{}", &hash[..12]);
    let stored = AccessKey { id: id.clone(), name: "made at start".to_owned(), hash, customer: None, expires: None };
    let row = |kind, id: String, body: String| ResourceWrite {
        kind,
        customer: None,
        id,
        body: Some(body),
        expect: Expect::Any,
    };
    let body = serde_json::to_string(&stored)?;
    let writes = vec![
        row(ResourceKind::Account, account.to_string(), format!("{{\"id\":\"{account}\"}}")),
        row(ResourceKind::AccessKey, id, body),
    ];
    store.write(account, writes).await.context("write the account's access key")?;
    write_private(&file, &key)?;
    Ok(key)
}

fn key_file(data: &Path) -> PathBuf {
    data.join("access.key")
}

/// Writes a file that only its owner may read.
pub(crate) fn write_private(path: &Path, text: &str) -> anyhow::Result<()> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
        .with_context(|| format!("write {}", path.display()))?;
    file.write_all(text.as_bytes()).with_context(|| format!("write {}", path.display()))
}

/// An ended run as the API answers it.
#[allow(dead_code, reason = "the processor's wiring uses it")]
fn outcome(status: ExecutionStatus, output: Option<String>, error: Option<ExecutionError>) -> crate::api::RunOutcome {
    crate::api::RunOutcome { status, output, error }
}

/// Makes the activity tables anew.
pub(crate) async fn rebuild(
    _log: Arc<dyn Log>,
    _store: Arc<dyn Store>,
    _progress: impl FnMut(u64, u64),
) -> anyhow::Result<()> {
    anyhow::bail!("the projector is not part of this program yet")
}
