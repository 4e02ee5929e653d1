//! Puts the parts of a node together: the roles that its configuration names.

use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context;
use axum::Router;
use fastn_contract::activity::{ExecutionStatus, ExecutionUpdate, HealthCheck};
use fastn_domain::AccountId;
use fastn_domain::catalog::{AccessKey, Catalog, ResourceKind};
use fastn_domain::time::Clock;
use fastn_ingest::{Ingest, IngestConfig};
use fastn_log::Log;
use fastn_pipeline::alerts::{AlertParts, Alerts, Channels};
use fastn_pipeline::otlp::{Otlp, OtlpOptions};
use fastn_pipeline::processor::machine::Answer;
use fastn_pipeline::processor::{Answers, Pipeline, PipelineConfig};
use fastn_pipeline::projector::{self, Projector, ProjectorOptions, Retention};
use fastn_pipeline::sealing::SealedLog;
use fastn_scheduler::{Poller, PollerConfig, PollerParts, Scheduler};
use fastn_store::{CatalogFeed, Expect, FeedOptions, MasterKey, ResourceWrite, Store, Vault};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tokio::net::TcpListener;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::api::{ActivityChange, AwaitRun, CatalogView, Jobs, Ports, RunOutcome, RunTicket, SourceError};
use crate::config::{Role, ServeConfig};

mod answers;
mod apps;
mod backends;
mod polls;
mod rest;
mod surroundings;
mod upkeep;

pub(crate) use backends::{Found, examine, kafka_options, open_log, open_store};
pub(crate) use surroundings::Surroundings;

/// Changes that wait for the API's numbering.
const CHANGES_QUEUE_MAX: usize = 8_192;
/// How long a node of a cluster still takes what comes, after it has said that it is not ready: whoever shares out the
/// traffic looks every second or so. A lone node has nobody to send it to.
const LEAVING: std::time::Duration = std::time::Duration::from_secs(1);
/// Longest wait for requests under way, and for the projector.
const DRAIN: std::time::Duration = std::time::Duration::from_secs(10);
/// How often samples of histograms are folded into their buckets.
const FOLD_EVERY: std::time::Duration = std::time::Duration::from_secs(5);
/// Upper ends of the buckets of durations: from a turn of a sandbox to a slow endpoint.
const SECONDS_BUCKETS: &[f64] = &[
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0,
];

/// The steps in which a node stops.
struct Stopping {
    /// It is not ready any more, and still takes requests for so long.
    leaving: (CancellationToken, std::time::Duration),
    /// It takes no new requests.
    closed: CancellationToken,
    /// No caller waits for an answer of another node any more.
    answered: CancellationToken,
}

/// A node: log, store, roles and server, running.
pub(crate) struct Node {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    /// The account's key that this start of a lone node made or found.
    pub(crate) access_key: Option<String>,
    log: Arc<dyn Log>,
    store: Arc<dyn Store>,
    activity: broadcast::Sender<Arc<ActivityChange>>,
    stopping: Stopping,
    server: Option<JoinHandle<std::io::Result<()>>>,
    roles: Roles,
    trimmer: Option<JoinHandle<()>>,
    jobs: Option<Jobs>,
    clock: Arc<dyn Clock>,
    catalog: watch::Receiver<Arc<Catalog>>,
    /// Every HTTP route, for a node that does not listen itself.
    pub(crate) app: Router,
    _feed: CatalogFeed,
}

impl Node {
    /// Opens the data, starts the roles, and listens. `extra` are routes of the development mode.
    pub(crate) async fn start(config: &ServeConfig, extra: Router) -> anyhow::Result<Self> {
        let listener = listen(config.listen).await?;
        let address = listener.local_addr()?;
        let mut node = Self::start_in(Surroundings::default(), config, address, extra).await?;
        node.server = Some(serve(listener, node.app.clone(), &node.stopping.closed));
        Ok(node)
    }

    /// The same in other surroundings, behind somebody who listens at `address`.
    pub(crate) async fn start_in(
        surroundings: Surroundings,
        config: &ServeConfig,
        address: SocketAddr,
        extra: Router,
    ) -> anyhow::Result<Self> {
        // What is in it is the customers': no other user of the machine reads it.
        let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&config.data);
        made.with_context(|| format!("make the data directory {}", config.data.display()))?;
        let stopping = Stopping {
            leaving: (CancellationToken::new(), if config.alone() { std::time::Duration::ZERO } else { LEAVING }),
            closed: CancellationToken::new(),
            answered: CancellationToken::new(),
        };
        // Before anything else: what counts before there is a recorder counts for nobody.
        let metrics = metrics_recorder(&stopping.closed)?;
        let log = open_log(config, surroundings.clock.clone()).await?;
        let store = open_store(config, surroundings.clock.clone()).await?;
        let master = backends::master_key(config)?;
        let (vault, seed_key) = (Arc::new(Vault::new(&master)), master.derive("fastn 2026 execution seeds"));
        let access_key = if config.alone() { Some(ensure_key(store.as_ref(), config).await?) } else { None };
        // A lone node has its store at hand; one of a cell starts from what it knew while PostgreSQL is away.
        let last_known = (!config.alone()).then(|| config.data.join("catalog.json"));
        let options = FeedOptions { last_known, ..FeedOptions::default() };
        let (catalog, feed) = CatalogFeed::start(store.clone(), options).await?;
        let (activity, _) = broadcast::channel(CHANGES_QUEUE_MAX);

        let apart = match config.internal_listen {
            Some(internal) => Some(listen(internal).await?),
            None => None,
        };
        let internal = apart.as_ref().map_or(Ok(address), TcpListener::local_addr)?;
        let (answers, mut between) = between_nodes(config, internal, &master)?;
        if let Some(apart) = apart {
            serve(apart, std::mem::take(&mut between), &stopping.answered);
        }
        let (readers, _) = watch::channel(0);
        let (catalog, readers) = (&catalog, &readers);
        let log: Arc<dyn Log> = Arc::new(SealedLog::new(log, catalog.clone(), vault.clone()));
        let parts = Parts {
            surroundings: &surroundings,
            config,
            log: &log,
            store: &store,
            catalog,
            vault: &vault,
            activity: &activity,
            readers,
        };
        let open_secret = open_with(vault.clone());
        let Surroundings { clock, intercept, .. } = &surroundings;
        let allow_private = config.allow_private_addresses;
        let channels = Channels::asking(allow_private, vault.clone(), catalog.clone(), intercept.clone())?;
        let roles = Roles::start(&parts, &answers, &channels, seed_key).await?;
        let keep = upkeep::Keep {
            bytes: config.log_bytes_max,
            time: std::time::Duration::from_secs(3_600 * u64::from(config.log_keep_hours)),
        };
        let ports = Ports {
            apps: apps::ports(open_secret, allow_private, intercept.clone(), config.public_url.clone())?,
            clock: clock.clone(),
            store: store.clone(),
            log: log.clone(),
            catalog: CatalogView(catalog.clone()),
            log_keep: keep.time,
            residency: Arc::new(config.residency()),
            compile: Arc::new(compile),
            seal: seal_with(vault.clone()),
            test_channels: test_channels(channels.clone(), clock.clone()),
            await_run: await_run(answers),
            activity: activity.clone(),
            readers: readers.clone(),
            readiness: readiness(roles.pipeline.clone(), catalog.clone()),
            metrics: Arc::new(move || metrics.render()),
            stopping: stopping.leaving.0.clone(),
        };
        let jobs = config.has(Role::Api).then(|| Jobs::start(ports.clone()));
        let edge = if config.has(Role::Ingest) { edge(&parts) } else { Router::new() };
        let app = crate::api::router(ports, edge.merge(between).merge(extra), config.has(Role::Api));
        let trim = |pipeline| tokio::spawn(upkeep::trim(log.clone(), store.clone(), pipeline, clock.clone(), keep));
        let trimmer = roles.pipeline.clone().map(trim);
        Ok(Self {
            address,
            access_key,
            activity,
            stopping,
            server: None,
            roles,
            trimmer,
            jobs,
            clock: clock.clone(),
            catalog: catalog.clone(),
            app,
            _feed: feed,
            log,
            store,
        })
    }

    /// Changes of executions as they come.
    pub(crate) fn activity(&self) -> broadcast::Receiver<Arc<ActivityChange>> {
        self.activity.subscribe()
    }

    /// Says that it leaves, takes nothing new, answers what is under way, hands its partitions over, and closes log and
    /// store.
    pub(crate) async fn stop(mut self) -> anyhow::Result<()> {
        let (leaving, time) = &self.stopping.leaving;
        leaving.cancel();
        tokio::time::sleep(*time).await;
        self.stopping.closed.cancel();
        if let Some(server) = self.server {
            let _slow_readers_are_cut = tokio::time::timeout(DRAIN, server).await;
        }
        self.stopping.answered.cancel();
        drop(self.roles.poller.take());
        drop(self.jobs);
        if let Some(scheduler) = self.roles.scheduler.take() {
            scheduler.stop().await;
        }
        if let Some(trimmer) = self.trimmer {
            trimmer.abort();
        }
        if let Some(pipeline) = &self.roles.pipeline {
            pipeline.stop().await;
        }
        if let Some(projector) = &self.roles.projector {
            let _the_rest_at_the_next_start = projector.caught_up(DRAIN).await;
        }
        drop(self.roles);
        self.log.close().await?;
        self.store.close().await;
        Ok(())
    }
}

async fn listen(address: SocketAddr) -> anyhow::Result<TcpListener> {
    let listener = TcpListener::bind(address).await;
    listener.with_context(|| format!("listen on {address}; is another fastn running there?"))
}

/// Serves `app` until the node stops, and what is under way to its end.
fn serve(listener: TcpListener, app: Router, stopping: &CancellationToken) -> JoinHandle<std::io::Result<()>> {
    let stop = stopping.clone();
    tokio::spawn(async move {
        axum::serve(listener, app).with_graceful_shutdown(async move { stop.cancelled().await }).await
    })
}

/// What the roles are made of.
struct Parts<'a> {
    surroundings: &'a Surroundings,
    config: &'a ServeConfig,
    log: &'a Arc<dyn Log>,
    store: &'a Arc<dyn Store>,
    catalog: &'a watch::Receiver<Arc<Catalog>>,
    vault: &'a Arc<Vault>,
    activity: &'a broadcast::Sender<Arc<ActivityChange>>,
    readers: &'a watch::Sender<usize>,
}

/// The roles behind the log.
struct Roles {
    pipeline: Option<Arc<Pipeline>>,
    projector: Option<Projector>,
    _watcher: Option<Projector>,
    retention: Option<Retention>,
    scheduler: Option<Scheduler>,
    alerts: Option<Alerts>,
    _otlp: Option<Otlp>,
    poller: Option<Poller>,
}

impl Roles {
    async fn start(
        parts: &Parts<'_>,
        answers: &Arc<Answers>,
        channels: &Channels,
        seed_key: [u8; 32],
    ) -> anyhow::Result<Self> {
        let Parts { surroundings, config, log, store, catalog, vault, activity, readers } = parts;
        let clock = &surroundings.clock;
        let mut roles = Self {
            pipeline: None,
            projector: None,
            _watcher: None,
            retention: None,
            scheduler: None,
            poller: None,
            alerts: None,
            _otlp: None,
        };
        if config.has(Role::Pipeline) {
            let settings = PipelineConfig {
                node: config.node.clone().unwrap_or_else(|| "a node without a name".to_owned()),
                allow_private_addresses: config.allow_private_addresses,
                // Others read the topics of a cluster; nobody reads those of an embedded log.
                traces: !config.alone(),
                seed_key,
                intercept: surroundings.intercept.clone(),
                ..PipelineConfig::default()
            };
            let (log, catalog, vault) = (Arc::clone(log), watch::Receiver::clone(catalog), Arc::clone(vault));
            let pipeline = Pipeline::start(log, catalog, vault, clock.clone(), answers.clone(), settings).await?;
            roles.pipeline = Some(Arc::new(pipeline));
        }
        if config.has(Role::Projector) {
            let membership = log.join("projector").await?;
            let projector = Projector::start(Arc::clone(log), Arc::clone(store), membership, surroundings.projector());
            roles.projector = Some(projector);
            roles.alerts = Some(evaluate_alerts(parts, channels).await?);
            roles._otlp = export_traces(parts).await?;
        }
        // The API shows what all projectors write. One that is alone hears it from its own.
        if let (true, Some(projector)) = (config.alone(), &roles.projector) {
            relay(projector.changes(), broadcast::Sender::clone(activity));
        } else if config.has(Role::Api) {
            let (log, store, readers) = (Arc::clone(log), Arc::clone(store), readers.subscribe());
            let watcher = Projector::watch(log, store, readers, ProjectorOptions::default());
            relay(watcher.changes(), broadcast::Sender::clone(activity));
            roles._watcher = Some(watcher);
        }
        if config.has(Role::Scheduler) {
            let (of_store, of_catalog) = (Arc::clone(store), watch::Receiver::clone(catalog));
            let retention = Retention::start(of_store, of_catalog, clock.clone(), surroundings.retention());
            roles.retention = Some(retention);
            roles.poller = Some(Poller::start(parts.poller()?, PollerConfig::default()));
            let (log, store, catalog) = (Arc::clone(log), Arc::clone(store), watch::Receiver::clone(catalog));
            let (residency, settings) = (Arc::new(config.residency()), surroundings.scheduler());
            roles.scheduler = Some(Scheduler::start(log, store, catalog, clock.clone(), residency, settings).await?);
        }
        Ok(roles)
    }
}

/// Alerts go with the projectors: the node that owns partition 0 as one evaluates.
async fn evaluate_alerts(parts: &Parts<'_>, channels: &Channels) -> anyhow::Result<Alerts> {
    let (log, store, catalog) = (parts.log.clone(), parts.store.clone(), parts.catalog.clone());
    let membership = log.join("projector").await?;
    let surroundings = parts.surroundings;
    let parts = AlertParts { log, store, catalog, clock: surroundings.clock.clone() };
    Ok(Alerts::start(parts, membership, channels.clone(), surroundings.alerts()))
}

/// Traces go with the projectors too, if there is a collector.
async fn export_traces(parts: &Parts<'_>) -> anyhow::Result<Option<Otlp>> {
    let Some(url) = &parts.config.otlp_url else { return Ok(None) };
    let options = OtlpOptions::to(&url.0, parts.config.node.as_deref().unwrap_or_default());
    let membership = parts.log.join("projector").await?;
    Ok(Some(Otlp::start(parts.log.clone(), parts.store.clone(), membership, options)?))
}

/// Tests channels for the API.
fn test_channels(channels: Channels, clock: Arc<dyn Clock>) -> crate::api::TestChannels {
    Arc::new(move |account, rule, id| {
        let (channels, now) = (channels.clone(), clock.now());
        Box::pin(async move { channels.test(&account, &rule, &id, now).await })
    })
}

impl Parts<'_> {
    fn poller(&self) -> anyhow::Result<PollerParts> {
        Ok(PollerParts {
            log: self.log.clone(),
            polls: self.store.clone().polls(),
            vault: self.vault.clone(),
            catalog: self.catalog.clone(),
            clock: self.surroundings.clock.clone(),
            residency: Arc::new(self.config.residency()),
            fetch: polls::fetch(self.config.allow_private_addresses, self.surroundings.intercept.clone())?,
            holder: PollerParts::new_holder(),
        })
    }
}

/// The routes of the ingest role.
fn edge(parts: &Parts<'_>) -> Router {
    fastn_ingest::router(Ingest {
        log: parts.log.clone(),
        catalog: parts.catalog.clone(),
        secrets: open_with(parts.vault.clone()),
        keep_secret: apps::keep_secret(parts.store.clone(), parts.vault.clone(), parts.catalog.clone()),
        clock: parts.surroundings.clock.clone(),
        residency: Arc::new(parts.config.residency()),
        config: IngestConfig::default(),
    })
}

/// Where callers of Instant runs wait, and how answers come from other nodes.
fn between_nodes(
    config: &ServeConfig,
    address: SocketAddr,
    master: &MasterKey,
) -> anyhow::Result<(Arc<Answers>, Router)> {
    if config.alone() {
        return Ok((Answers::new("local", None), Router::new()));
    }
    let node = config.advertise.clone().unwrap_or_else(|| address.to_string());
    let token = answers::Token::of(master);
    let desk = Answers::new(&node, Some(answers::forward(token.clone())?));
    let router = answers::router(desk.clone(), &node, token);
    Ok((desk, router))
}

/// Opens places where the answers of Instant runs are awaited.
fn await_run(answers: Arc<Answers>) -> AwaitRun {
    Arc::new(move || {
        let mut ticket = answers.open();
        let reply_to = ticket.reply_to.clone();
        let outcome = async move {
            match (&mut ticket.answer).await.ok()? {
                Answer::Finished { status, output, error, .. } => Some(Ok(RunOutcome { status, output, error })),
                Answer::Escalated { .. } => {
                    Some(Ok(RunOutcome { status: ExecutionStatus::Running, output: None, error: None }))
                }
                Answer::Rejected { code, reason } => Some(Err((code, reason))),
                // Activity knows how it ended.
                Answer::Seen => None,
            }
        };
        RunTicket { reply_to, outcome: Box::pin(outcome) }
    })
}

/// Tells the API and the terminal what the projector has written.
fn relay(mut from: broadcast::Receiver<projector::ActivityChange>, to: broadcast::Sender<Arc<ActivityChange>>) {
    tokio::spawn(async move {
        loop {
            match from.recv().await {
                Ok(projector::ActivityChange::Execution(change)) => {
                    let _nobody_listens = to.send(Arc::new(update(change)));
                }
                Ok(projector::ActivityChange::Event(_)) | Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return,
            }
        }
    });
}

fn update(change: projector::ExecutionChange) -> ActivityChange {
    let execution = ExecutionUpdate {
        id: change.id.to_string(),
        customer: change.scope.customer.to_string(),
        workflow: change.workflow.map(|workflow| workflow.to_string()),
        trigger: change.trigger.map(|trigger| trigger.to_string()),
        status: change.status,
        attempt: change.attempt,
        at: change.at.to_string(),
        duration_ms: change.duration.map(|took| u64::try_from(took.as_millis()).unwrap_or(u64::MAX)),
        step_count: change.steps.map(|steps| u32::try_from(steps).unwrap_or(u32::MAX)),
        error: change.error.map(|error| error.to_string()),
    };
    ActivityChange { scope: change.scope, execution }
}

/// The recorder behind `/metrics`. Its samples are folded on a timer: left to the scraper, they would pile up in memory
/// on a node that nobody scrapes. A process has one recorder, however many nodes it starts.
fn metrics_recorder(stopping: &CancellationToken) -> anyhow::Result<PrometheusHandle> {
    static RECORDER: Mutex<Option<PrometheusHandle>> = Mutex::new(None);
    let mut installed = RECORDER.lock().unwrap_or_else(PoisonError::into_inner);
    let recorder = match &*installed {
        Some(recorder) => recorder.clone(),
        None => PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), SECONDS_BUCKETS)
            .and_then(PrometheusBuilder::install_recorder)
            .context("install the metrics recorder")?,
    };
    *installed = Some(recorder.clone());
    crate::observe::show_alerted();
    let (folded, stopping) = (recorder.clone(), stopping.clone());
    tokio::spawn(stopping.run_until_cancelled_owned(async move {
        let mut ticks = tokio::time::interval(FOLD_EVERY);
        loop {
            ticks.tick().await;
            folded.run_upkeep();
        }
    }));
    Ok(recorder)
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
        let opened = vault.open(at.account, at.customer, at.name, at.version, at.sealed);
        opened.map(|text| text.expose().to_owned()).map_err(|error| error.to_string())
    })
}

fn readiness(
    pipeline: Option<Arc<Pipeline>>,
    catalog: watch::Receiver<Arc<Catalog>>,
) -> Arc<dyn Fn() -> Vec<HealthCheck> + Send + Sync> {
    Arc::new(move || {
        let check = |name: &str, ok: bool, reason: &str| HealthCheck {
            name: name.to_owned(),
            ok,
            reason: (!ok).then(|| reason.to_owned()),
        };
        let fed = catalog.has_changed().is_ok();
        let partitions = pipeline.as_ref().map(|pipeline| {
            check("partitions", pipeline.ready(), "not every partition of this node has recovered yet")
        });
        let catalog = check("catalog", fed, "the configuration is not followed any more");
        partitions.into_iter().chain([catalog]).collect()
    })
}

/// The account and a key of it. The key in the clear is kept beside the data, mode 0600, for the CLI on this machine.
async fn ensure_key(store: &dyn Store, config: &ServeConfig) -> anyhow::Result<String> {
    let account = AccountId::new(&config.account)?;
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
    store.write(&account, writes).await.context("write the account's access key")?;
    write_private(&file, &key)?;
    Ok(key)
}

/// Where the key in the clear lies.
pub(crate) fn key_file(data: &Path) -> PathBuf {
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

/// Makes the activity tables anew from what the log keeps.
pub(crate) async fn rebuild(
    config: &ServeConfig,
    log: Arc<dyn Log>,
    store: Arc<dyn Store>,
    progress: impl FnMut(u64, u64),
) -> anyhow::Result<()> {
    let vault = Arc::new(Vault::new(&backends::master_key(config)?));
    let (catalog, _feed) = CatalogFeed::start(store.clone(), FeedOptions::default()).await?;
    let log = Arc::new(SealedLog::new(log, catalog, vault));
    Ok(projector::rebuild(log, store, ProjectorOptions::default(), progress).await?)
}
