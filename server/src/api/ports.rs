//! What the API needs of the rest of the process. The wiring file fills it; tests fill it with less.

use std::sync::Arc;
use std::time::Duration;

use fastn_contract::activity::{ExecutionError, ExecutionStatus, ExecutionUpdate, HealthCheck};
use fastn_contract::alert::AlertNotification;
use fastn_contract::error::ErrorCode;
use fastn_domain::catalog::{Catalog, CompiledAlert, SealedSecret};
use fastn_domain::event::ReplyTo;
use fastn_domain::{AccountId, Clock, CustomerId, Residency, Scope};
use fastn_log::Log;
use fastn_store::Store;
use futures_util::future::BoxFuture;
use tokio::sync::{broadcast, watch};

/// Longest wait after a write until this node's own catalog shows it.
const CATALOG_WAIT: Duration = Duration::from_secs(2);

/// Checks the source of a workflow without running it.
pub(crate) type Compile = Arc<dyn Fn(&str, &str) -> Result<(), SourceError> + Send + Sync>;
/// Seals version `u32` of the secret with this name, of the customer or the account.
pub(crate) type Seal =
    Arc<dyn Fn(&AccountId, Option<&CustomerId>, &str, u32, &str) -> Result<SealedSecret, String> + Send + Sync>;
/// Sends a test to each channel of an account's rule; the text makes the messages' ids.
pub(crate) type TestChannels =
    Arc<dyn Fn(AccountId, CompiledAlert, String) -> BoxFuture<'static, Vec<AlertNotification>> + Send + Sync>;
/// Opens a place where the answer of an Instant run is awaited.
pub(crate) type AwaitRun = Arc<dyn Fn() -> RunTicket + Send + Sync>;

/// The seams that the API stands on.
#[derive(Clone)]
pub struct Ports {
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Configuration and activity.
    pub store: Arc<dyn Store>,
    /// Where commands and runs go.
    pub log: Arc<dyn Log>,
    /// The configuration as this node sees it.
    pub catalog: CatalogView,
    /// How long the log keeps what nobody needs any more.
    pub log_keep: Duration,
    /// Whose requests are answered here.
    pub residency: Arc<Residency>,
    /// The workflow compiler.
    pub compile: Compile,
    /// The vault.
    pub seal: Seal,
    /// The way to the channels of alert rules.
    pub test_channels: TestChannels,
    /// The processor's answers to Instant runs.
    pub await_run: AwaitRun,
    /// What subscriptions of connector apps need.
    pub apps: super::AppPorts,
    /// Changes of executions as the projector sees them.
    pub activity: broadcast::Sender<Arc<ActivityChange>>,
    /// How many follow these changes: nobody has to tell them while it is zero.
    pub readers: watch::Sender<usize>,
    /// Whether the process may take traffic.
    pub readiness: Arc<dyn Fn() -> Vec<HealthCheck> + Send + Sync>,
    /// The metrics in Prometheus' text form.
    pub metrics: Arc<dyn Fn() -> String + Send + Sync>,
    /// Ends when the process stops: long answers end with it.
    pub stopping: tokio_util::sync::CancellationToken,
}

/// The newest catalog as the feed keeps it.
#[derive(Clone)]
pub struct CatalogView(pub watch::Receiver<Arc<Catalog>>);

impl CatalogView {
    /// The newest catalog.
    pub(crate) fn current(&self) -> Arc<Catalog> {
        self.0.borrow().clone()
    }

    /// Waits until this node sees `revision`, so that a caller that writes and then uses finds what it wrote. Gives up
    /// after a while: the write itself is done.
    pub(crate) async fn reaches(&self, revision: u64) {
        let mut newest = self.0.clone();
        let seen = newest.wait_for(|catalog| catalog.revision >= revision);
        let _late_is_no_failure = tokio::time::timeout(CATALOG_WAIT, seen).await;
    }
}

/// Why a workflow's source was refused.
#[derive(Clone, Debug)]
pub struct SourceError {
    /// What is wrong.
    pub message: String,
    /// From 1; 0 when unknown.
    pub line: u32,
    /// From 1; 0 when unknown.
    pub column: u32,
}

/// A place where the answer of one Instant run is awaited.
pub struct RunTicket {
    /// Goes into the event.
    pub reply_to: ReplyTo,
    /// Resolves with the answer, with the code and the reason of why nothing was started, or with nothing when no answer will come.
    /// Dropping it ends the waiting.
    pub outcome: BoxFuture<'static, Option<Result<RunOutcome, (ErrorCode, String)>>>,
}

/// How a run ended.
#[derive(Clone, Debug)]
pub struct RunOutcome {
    /// Final.
    pub status: ExecutionStatus,
    /// The result as JSON text.
    pub output: Option<String>,
    /// Why it failed.
    pub error: Option<ExecutionError>,
}

/// An execution that went on.
#[derive(Clone, Debug)]
pub struct ActivityChange {
    /// Whose.
    pub scope: Scope,
    /// Where it stands.
    pub execution: ExecutionUpdate,
}
