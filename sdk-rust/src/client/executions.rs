//! Runs and executions.

use std::time::Duration;

use bytes::Bytes;
use fastn_contract::activity::{ExecutionStatus, ExecutionView};
use fastn_contract::command::{Decision, ReplayExecution, RunAnswer, RunWorkflow};
use futures_util::{Stream, StreamExt};
use reqwest::Method;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{CustomerClient, Fastn, Request};
use crate::error::{Error, ErrorKind};
use crate::follow::{Follow, Update, follow};
use crate::page::Pager;

/// How often an awaited execution is looked at while no live update comes.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What must be known of an execution to wait for it.
#[derive(serde::Deserialize)]
struct Standing {
    status: ExecutionStatus,
}

fn decoded<T: DeserializeOwned>(text: &[u8]) -> Result<T, Error> {
    serde_json::from_slice(text).map_err(|error| {
        Error::new(ErrorKind::BadAnswer, "read an execution", format!("the answer was not understood: {error}"))
    })
}

/// The execution that a run started. An Instant run that failed has ended: its execution tells how.
fn started(answer: Result<RunAnswer, Error>) -> Result<String, Error> {
    match answer {
        Ok(answer) => Ok(answer.execution_id),
        Err(error) => error.execution_id.clone().ok_or(error),
    }
}

impl CustomerClient {
    /// Runs a workflow. An Instant one returns its result; a failed one is an error with the execution's id.
    pub async fn run(&self, workflow: &str, input: Value) -> Result<RunAnswer, Error> {
        self.run_in(workflow, &RunWorkflow { input, environment: None }).await
    }

    /// Runs a workflow in an environment.
    pub async fn run_in(&self, workflow: &str, run: &RunWorkflow) -> Result<RunAnswer, Error> {
        self.post(&["v1", "workflows", workflow, "run"], run).await
    }

    /// Runs a workflow and waits for its end, at most `limit`. Whether it succeeded is in the execution's status.
    ///
    /// ```no_run
    /// # async fn demo(fastn: fastn_sdk::Fastn) -> Result<(), fastn_sdk::Error> {
    /// let input = serde_json::json!({"issue": 7});
    /// let limit = std::time::Duration::from_secs(60);
    /// let execution = fastn.customer("cus_acme").run_and_wait("triage", input, limit).await?;
    /// println!("{:?}: {:?}", execution.status, execution.output);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As [`Fastn::wait`]; then the execution's id is in the error.
    pub async fn run_and_wait(&self, workflow: &str, input: Value, limit: Duration) -> Result<ExecutionView, Error> {
        let id = started(self.run(workflow, input).await)?;
        self.wait(&id, limit).await
    }

    /// The same with a request for the run, and the execution as JSON text, as bindings for other languages have them.
    ///
    /// # Errors
    /// As [`Fastn::wait`].
    pub async fn run_and_wait_raw(&self, run: Request, limit: Duration) -> Result<Bytes, Error> {
        let answer = self.request(run).await.and_then(|text| decoded(&text));
        self.wait_raw(&started(answer)?, limit).await
    }
}

impl Fastn {
    /// Executions, newest first. Filters: `status`, `workflow`, `trigger`, `eventId`, `since`, `until`.
    pub fn executions(&self) -> Pager<ExecutionView> {
        self.list(&["v1", "executions"])
    }

    /// One execution with everything.
    pub async fn execution(&self, id: &str) -> Result<ExecutionView, Error> {
        self.get(&["v1", "executions", id]).await
    }

    /// Waits until an execution has ended, at most `limit`. While the server is away it is asked again.
    ///
    /// # Errors
    /// `Unknown` when the time runs out: the execution goes on.
    pub async fn wait(&self, id: &str, limit: Duration) -> Result<ExecutionView, Error> {
        decoded(&self.wait_raw(id, limit).await?)
    }

    /// As [`Fastn::wait`], with the execution as JSON text.
    ///
    /// # Errors
    /// As [`Fastn::wait`].
    pub async fn wait_raw(&self, id: &str, limit: Duration) -> Result<Bytes, Error> {
        let deadline = tokio::time::Instant::now() + limit;
        let what = Follow { workflow: None, execution: Some(id.to_owned()) };
        let mut updates = std::pin::pin!(self.follow(what));
        let (mut live, mut seen) = (true, false);
        loop {
            let call = self.call(Method::GET, &["v1", "executions", id])?;
            let Ok(answer) = tokio::time::timeout_at(deadline, self.transport.bytes(call)).await else { break };
            match answer.and_then(|text| Ok((decoded::<Standing>(&text)?, text))) {
                Ok((standing, text)) if standing.status.is_final() => return Ok(text),
                Ok(_) => seen = true,
                // It is taken but not projected yet, or the server is away.
                Err(error) if error.is_not_found() || error.is_transient() => {}
                Err(error) => return Err(error),
            }
            tokio::select! {
                update = updates.next(), if live => live = matches!(update, Some(Ok(_))),
                () = tokio::time::sleep(LOOK_EVERY) => {}
                () = tokio::time::sleep_until(deadline) => break,
            }
        }
        let what = if seen { "has not ended" } else { "was not seen" };
        let detail = format!("execution {id} {what} within {} ms", limit.as_millis());
        let mut error = Error::new(ErrorKind::Unknown, "wait for an execution", detail);
        error.execution_id = Some(id.to_owned());
        Err(error)
    }

    /// Live updates, until the stream is dropped.
    pub fn follow(&self, what: Follow) -> impl Stream<Item = Result<Update, Error>> + Send + use<> {
        follow(self.transport.clone(), self.customer.clone(), what)
    }

    /// Asks for an execution's end.
    pub async fn cancel(&self, id: &str) -> Result<RunAnswer, Error> {
        self.transport.decode(self.call(Method::POST, &["v1", "executions", id, "cancel"])?).await
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
