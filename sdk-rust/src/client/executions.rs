//! Runs and executions.

use std::time::Duration;

use fastn_contract::activity::ExecutionView;
use fastn_contract::command::{Decision, ReplayExecution, RunAnswer, RunWorkflow};
use futures_util::{Stream, StreamExt};
use reqwest::Method;
use serde_json::Value;

use super::Fastn;
use crate::error::{Error, ErrorKind};
use crate::follow::{Follow, Update, follow};
use crate::page::Pager;

/// How often an awaited execution is looked at while no live update comes.
const LOOK_EVERY: Duration = Duration::from_secs(1);

impl Fastn {
    /// Runs a workflow. An Instant one returns its result; a failed one is an error with the execution's id.
    pub async fn run(&self, workflow: &str, input: Value) -> Result<RunAnswer, Error> {
        self.run_in(workflow, &RunWorkflow { input, environment: None }).await
    }

    /// Runs a workflow in an environment.
    pub async fn run_in(&self, workflow: &str, run: &RunWorkflow) -> Result<RunAnswer, Error> {
        self.post(&["v1", "workflows", workflow, "run"], run).await
    }

    /// Executions, newest first. Filters: `status`, `workflow`, `trigger`, `eventId`, `since`, `until`.
    pub fn executions(&self) -> Pager<ExecutionView> {
        self.list(&["v1", "executions"])
    }

    /// One execution with everything.
    pub async fn execution(&self, id: &str) -> Result<ExecutionView, Error> {
        self.get(&["v1", "executions", id]).await
    }

    /// Waits until an execution has ended, at most `limit`.
    ///
    /// # Errors
    /// `Unknown` when the time runs out: the execution goes on.
    pub async fn wait(&self, id: &str, limit: Duration) -> Result<ExecutionView, Error> {
        let deadline = tokio::time::Instant::now() + limit;
        let what = Follow { workflow: None, execution: Some(id.to_owned()) };
        let mut updates = std::pin::pin!(self.follow(what));
        let mut live = true;
        loop {
            match self.execution(id).await {
                Ok(view) if view.status.is_final() => return Ok(view),
                Ok(_) => {}
                // It is taken but not projected yet.
                Err(error) if error.is_not_found() => {}
                Err(error) => return Err(error),
            }
            tokio::select! {
                update = updates.next(), if live => live = matches!(update, Some(Ok(_))),
                () = tokio::time::sleep(LOOK_EVERY) => {}
                () = tokio::time::sleep_until(deadline) => {
                    let detail = format!("execution {id} has not ended within {} ms", limit.as_millis());
                    return Err(Error::new(ErrorKind::Unknown, "wait for an execution", detail));
                }
            }
        }
    }

    /// Live updates, until the stream is dropped.
    pub fn follow(&self, what: Follow) -> impl Stream<Item = Result<Update, Error>> + Send + use<> {
        follow(self.transport.clone(), self.customer.clone(), what)
    }

    /// Asks for an execution's end.
    pub async fn cancel(&self, id: &str) -> Result<RunAnswer, Error> {
        self.transport.decode(self.call(Method::POST, &["v1", "executions", id, "cancel"])).await
    }

    /// Runs an ended execution again, as a new one.
    pub async fn replay(&self, id: &str, how: &ReplayExecution) -> Result<RunAnswer, Error> {
        self.post(&["v1", "executions", id, "replay"], how).await
    }

    /// Answers an approval.
    pub async fn decide(&self, id: &str, decision: &Decision) -> Result<RunAnswer, Error> {
        self.post(&["v1", "executions", id, "decisions"], decision).await
    }
}
