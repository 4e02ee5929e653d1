//! Live updates of executions as server-sent events.
//!
//! ```text
//!   projector ──broadcast──▶ Live: numbers each change, keeps the newest in a ring ──broadcast──▶ one stream a reader
//! ```
//!
//! Who follows one execution is told first where it stands: it may have ended before. A reader that comes back with `Last-Event-ID` gets what the ring still holds, else a `reset` event that tells it to list
//! executions once. A reader that is too slow gets a last `dropped` event and is let go; it may come back.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Sse;
use axum::response::sse::{Event, KeepAlive};
use fastn_contract::activity::ExecutionUpdate;
use fastn_contract::error::ErrorCode;
use fastn_domain::Scope;
use futures_util::Stream;
use serde::Deserialize;
use tokio::sync::broadcast::{self, error::RecvError};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use utoipa::IntoParams;

use super::caller::Caller;
use super::extract::Params;
use super::problem::{ApiError, ApiResult};
use super::{ActivityChange, Api, executions};
use crate::observe;

/// Changes that a reader who comes back can catch up with.
const RING_CHANGES_MAX: usize = 4_096;
/// Changes that a reader may be behind before it is let go.
const READER_CHANGES_MAX: usize = 1_024;
/// A comment is sent when nothing else was for so long, so that proxies keep the connection.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// Most readers at once.
const READERS_MAX: usize = 1_024;

/// A change with its number.
type Numbered = (u64, Arc<ActivityChange>);

/// The numbered changes of this process.
pub(crate) struct Live {
    /// Tells numbers of this process from those of an earlier one.
    boot: i64,
    ring: Mutex<VecDeque<Numbered>>,
    sender: broadcast::Sender<Numbered>,
}

impl Live {
    /// Numbers what `activity` sends until the process stops.
    pub(crate) fn start(activity: &broadcast::Sender<Arc<ActivityChange>>, stopping: CancellationToken) -> Arc<Self> {
        let (sender, _) = broadcast::channel(READER_CHANGES_MAX);
        let boot = crate::clock::now().as_micros();
        let live = Arc::new(Self { boot, ring: Mutex::default(), sender });
        let (mut changes, pump) = (activity.subscribe(), live.clone());
        tokio::spawn(async move {
            let mut number = 0;
            loop {
                let change = tokio::select! {
                    change = changes.recv() => change,
                    () = stopping.cancelled() => break,
                };
                match change {
                    Ok(change) => {
                        number += 1;
                        pump.push((number, change));
                    }
                    // Numbers that are never given: a reader that comes back from before them is told to reset.
                    Err(RecvError::Lagged(missed)) => {
                        number += missed;
                        pump.ring.lock().unwrap_or_else(PoisonError::into_inner).clear();
                    }
                    Err(RecvError::Closed) => break,
                }
            }
        });
        live
    }

    fn push(&self, change: Numbered) {
        let mut ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
        if ring.len() == RING_CHANGES_MAX {
            ring.pop_front();
        }
        ring.push_back(change.clone());
        // Under the lock, so that a reader that subscribes under it misses nothing and sees nothing twice.
        let _nobody_listens = self.sender.send(change);
    }

    /// What came after `last`, as far as it is kept, and the receiver of what comes next. `None`: it is not all kept.
    fn since(&self, last: Option<u64>) -> (Option<Vec<Numbered>>, u64, broadcast::Receiver<Numbered>) {
        let ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
        let receiver = self.sender.subscribe();
        let newest = ring.back().map_or(0, |(number, _)| *number);
        let Some(last) = last else { return (Some(Vec::new()), newest, receiver) };
        let complete = last == newest || ring.front().is_some_and(|(number, _)| *number <= last + 1 && last < newest);
        let missed = || ring.iter().filter(|(number, _)| *number > last).cloned().collect();
        (complete.then(missed), newest, receiver)
    }
}

/// The query of the stream.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct StreamParams {
    /// Only executions of this workflow.
    workflow: Option<String>,
    /// Only this execution; the stream ends with it.
    execution: Option<String>,
}

/// Follow executions live
///
/// Server-sent events: `position` comes first and has the id to come back with; `execution` carries an `ExecutionUpdate`: where an execution stands now. Send `Last-Event-ID` to go
/// on where you were; who follows one execution and does not is told first where it stands. `reset` tells that this is not possible and that you should list executions once. `dropped` is the
/// last event for a reader that was too slow.
#[utoipa::path(get, path = "/v1/executions/stream", operation_id = "followExecutions", tag = "Executions",
    params(StreamParams),
    responses((status = 200, description = "The stream", content_type = "text/event-stream", body = String)))]
pub(crate) async fn follow(
    State(api): State<Api>,
    caller: Caller,
    headers: HeaderMap,
    Params(params): Params<StreamParams>,
) -> ApiResult<Sse<impl Stream<Item = Result<Event, Infallible>>>> {
    let live = api.live.clone();
    if live.sender.receiver_count() >= READERS_MAX {
        let detail = format!("{READERS_MAX} readers follow already");
        return Err(ApiError::new(ErrorCode::RateLimited, detail).retry_after(5));
    }
    let asked = headers.get("last-event-id").and_then(|id| id.to_str().ok());
    let known = asked.map(|id| id.split_once('-').filter(|(boot, _)| *boot == live.boot.to_string()));
    let number = known.flatten().and_then(|(_, number)| number.parse().ok());
    let (missed, newest, receiver) = live.since(number);
    let lost = missed.is_none() || (asked.is_some() && number.is_none());
    // Looked up after the changes are listened to, so that none falls between.
    let current = match &params.execution {
        Some(id) if number.is_none() || lost => match executions::found(&api, &caller, id).await {
            Ok(view) => Some(view.into()),
            // It may be taken and not projected yet.
            Err(error) if error.0.code == ErrorCode::NotFound => None,
            Err(error) => return Err(error),
        },
        _ => None,
    };
    let reader = Reader {
        boot: live.boot,
        account: caller.account.clone(),
        customer: caller.reach().customer().map(ToString::to_string),
        params,
        missed: missed.unwrap_or_default().into(),
        reset: lost,
        position: (number.is_none() || lost).then_some(newest),
        current,
        receiver,
        stopping: api.stopping.clone(),
        readers: api.readers.clone(),
        ended: false,
    };
    reader.readers.send_modify(|readers| *readers += 1);
    observe::stream_opened();
    let stream = futures_util::stream::unfold(reader, |mut reader| async move {
        let event = reader.next().await?;
        Some((Ok(event), reader))
    });
    Ok(Sse::new(stream).keep_alive(KeepAlive::new().interval(HEARTBEAT).text("heartbeat")))
}

/// One reader of the stream.
struct Reader {
    boot: i64,
    account: fastn_domain::AccountId,
    customer: Option<String>,
    params: StreamParams,
    missed: VecDeque<Numbered>,
    reset: bool,
    /// The newest change at the start, for a reader that does not know it: what comes after can be caught up with.
    position: Option<u64>,
    current: Option<ExecutionUpdate>,
    receiver: broadcast::Receiver<Numbered>,
    stopping: CancellationToken,
    readers: watch::Sender<usize>,
    ended: bool,
}

impl Reader {
    async fn next(&mut self) -> Option<Event> {
        if self.ended {
            return None;
        }
        if std::mem::take(&mut self.reset) {
            return Some(Event::default().event("reset").data("the history is gone; list executions once"));
        }
        if let Some(number) = self.position.take() {
            return Some(Event::default().event("position").id(format!("{}-{number}", self.boot)).data(""));
        }
        if let Some(update) = self.current.take() {
            self.ended = update.status.is_final();
            return Some(Event::default().event("execution").data(serde_json::to_string(&update).unwrap_or_default()));
        }
        loop {
            let change = match self.missed.pop_front() {
                Some(change) => Ok(change),
                None => tokio::select! {
                    change = self.receiver.recv() => change,
                    () = self.stopping.cancelled() => return None,
                },
            };
            match change {
                Ok((number, change)) if self.wants(&change) => {
                    self.ended = self.params.execution.is_some() && change.execution.status.is_final();
                    let data = serde_json::to_string(&change.execution).unwrap_or_default();
                    let id = format!("{}-{number}", self.boot);
                    return Some(Event::default().event("execution").id(id).data(data));
                }
                Ok(_) => {}
                Err(RecvError::Lagged(missed)) => {
                    self.ended = true;
                    observe::stream_dropped(missed);
                    let data = format!("you were {missed} changes too slow; come back with Last-Event-ID");
                    return Some(Event::default().event("dropped").data(data));
                }
                Err(RecvError::Closed) => return None,
            }
        }
    }

    fn wants(&self, change: &ActivityChange) -> bool {
        let Scope { account, customer } = &change.scope;
        let (workflow, execution) = (&self.params.workflow, &self.params.execution);
        *account == self.account
            && self.customer.as_ref().is_none_or(|wanted| wanted == customer.as_str())
            && workflow.as_ref().is_none_or(|wanted| Some(wanted) == change.execution.workflow.as_ref())
            && execution.as_ref().is_none_or(|wanted| *wanted == change.execution.id)
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.readers.send_modify(|readers| *readers = readers.saturating_sub(1));
        observe::stream_closed();
    }
}
