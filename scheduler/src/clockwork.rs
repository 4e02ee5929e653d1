//! The node's coarse periodic work, on `tokio-cron-scheduler`: keeping the mark, and looking at failures.
//!
//! Each job is idempotent and may come late or not at all; nothing that a customer sees depends on its second. That is what
//! this scheduler is good for. Why triggers are not its jobs is in docs/adr/0006.

use std::sync::Arc;
use std::sync::atomic::AtomicI64;

use fastn_store::Store;
use tokio::sync::Mutex;
use tokio_cron_scheduler::{Job, JobScheduler, JobSchedulerError};

use crate::failures::Failures;
use crate::scheduler::keep_mark;

/// A crash makes the fires of so many seconds again, which changes nothing.
const MARK_EVERY: &str = "*/5 * * * * *";
/// A schedule that fails goes on for so long at most before it is switched off.
const FAILURES_EVERY: &str = "2/5 * * * * *";

/// Failures are looked at by one at a time.
pub(crate) type SharedFailures = Arc<Mutex<Failures>>;

/// The jobs, until this is dropped.
pub(crate) struct Clockwork(JobScheduler);

impl Clockwork {
    pub(crate) async fn start(
        store: Arc<dyn Store>,
        failures: SharedFailures,
        through: Arc<AtomicI64>,
    ) -> Result<Self, JobSchedulerError> {
        let jobs = JobScheduler::new().await?;
        let marks = store;
        let mark = Job::new_async(MARK_EVERY, move |_, _| {
            let (store, through) = (marks.clone(), through.clone());
            Box::pin(async move { keep_mark(store.as_ref(), &through).await })
        })?;
        let look = Job::new_async(FAILURES_EVERY, move |_, _| {
            let failures = failures.clone();
            Box::pin(async move {
                // The one before may still be at it.
                if let Ok(mut failures) = failures.try_lock() {
                    failures.look().await;
                }
            })
        })?;
        jobs.add(mark).await?;
        jobs.add(look).await?;
        jobs.start().await?;
        Ok(Self(jobs))
    }
}

impl Drop for Clockwork {
    fn drop(&mut self) {
        let mut jobs = self.0.clone();
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                let _it_ends_with_the_process = jobs.shutdown().await;
            });
        }
    }
}
