//! Live updates of executions, from server-sent events. A broken connection is opened again where it was.

use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use fastn_contract::activity::ExecutionUpdate;
use futures_util::{Stream, StreamExt};
use reqwest::Method;
use reqwest::header::CONTENT_TYPE;
use tokio::time::Instant;

use crate::error::{Error, ErrorKind};
use crate::transport::{Call, Transport, backoff};

/// Attempts to come back before the error is told. The first connection gets the attempts of any other call, so that a
/// server that is not there is told soon.
const RECONNECTS_MAX: u32 = 8;
/// A connection on which nothing came for so long is dead: the server sends a comment every 15 s.
const SILENCE_MAX: Duration = Duration::from_secs(45);
/// A connection that lasted so long was a good one: losing it is no failure.
const STEADY_AFTER: Duration = Duration::from_secs(10);
/// Longest event that is taken.
const EVENT_BYTES_MAX: usize = 4 * 1024 * 1024;

/// One update as the server sent it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RawUpdate {
    /// An [`ExecutionUpdate`] as JSON text.
    Execution(String),
    /// Updates were missed.
    Missed,
}

/// What a follower is told.
#[derive(Clone, Debug, PartialEq)]
pub enum Update {
    /// An execution changed.
    Execution(Box<ExecutionUpdate>),
    /// Updates were missed: list executions once if you need them all.
    Missed,
}

/// Which executions to follow.
#[derive(Clone, Debug, Default)]
pub struct Follow {
    /// Of one workflow.
    pub workflow: Option<String>,
    /// One execution; the stream ends with it.
    pub execution: Option<String>,
}

type Chunks = std::pin::Pin<Box<dyn Stream<Item = reqwest::Result<Bytes>> + Send>>;

struct Follower {
    transport: Transport,
    customer: Option<String>,
    what: Follow,
    last: Option<String>,
    chunks: Option<Chunks>,
    buffer: BytesMut,
    failures: u32,
    /// When the connection was opened.
    since: Instant,
    connected: bool,
    ended: bool,
}

pub(crate) fn follow(
    transport: Transport,
    customer: Option<String>,
    what: Follow,
) -> impl Stream<Item = Result<Update, Error>> + Send {
    follow_raw(transport, customer, what).map(|update| match update? {
        RawUpdate::Missed => Ok(Update::Missed),
        RawUpdate::Execution(text) => match serde_json::from_str(&text) {
            Ok(update) => Ok(Update::Execution(Box::new(update))),
            Err(error) => {
                let detail = format!("an update was not understood: {error}");
                Err(Error::new(ErrorKind::BadAnswer, "follow executions", detail))
            }
        },
    })
}

pub(crate) fn follow_raw(
    transport: Transport,
    customer: Option<String>,
    what: Follow,
) -> impl Stream<Item = Result<RawUpdate, Error>> + Send {
    let start = Follower {
        transport,
        customer,
        what,
        last: None,
        chunks: None,
        buffer: BytesMut::new(),
        failures: 0,
        since: Instant::now(),
        connected: false,
        ended: false,
    };
    futures_util::stream::unfold(start, |mut follower| async move {
        let update = follower.next().await?;
        Some((update, follower))
    })
}

impl Follower {
    async fn next(&mut self) -> Option<Result<RawUpdate, Error>> {
        while !self.ended {
            if let Some(event) = take_event(&mut self.buffer) {
                match self.understand(&event) {
                    Some(update) => return Some(Ok(update)),
                    None => continue,
                }
            }
            let Some(chunks) = self.chunks.as_mut() else {
                let again = self.connected;
                match self.connect().await {
                    // The first connection broke before it told where it was.
                    Ok(()) if again && self.last.is_none() => return Some(Ok(RawUpdate::Missed)),
                    Ok(()) => continue,
                    Err(error) => {
                        self.ended = true;
                        return Some(Err(error));
                    }
                }
            };
            match tokio::time::timeout(SILENCE_MAX, chunks.next()).await {
                Ok(Some(Ok(chunk))) if self.buffer.len() + chunk.len() <= EVENT_BYTES_MAX => {
                    if self.since.elapsed() >= STEADY_AFTER {
                        self.failures = 0;
                    }
                    self.buffer.extend_from_slice(&chunk);
                }
                _ => {
                    self.chunks = None;
                    self.buffer.clear();
                }
            }
        }
        None
    }

    async fn connect(&mut self) -> Result<(), Error> {
        let attempts_max = if self.connected { RECONNECTS_MAX } else { self.transport.attempts_max() };
        loop {
            let mut call = Call::new(Method::GET, &["v1", "executions", "stream"])
                .for_customer(self.customer.as_deref())
                .query("workflow", self.what.workflow.as_ref())
                .query("execution", self.what.execution.as_ref());
            if let Some(last) = &self.last {
                call = call.header("last-event-id", last);
            }
            if self.failures > 0 {
                tokio::time::sleep(backoff(self.failures)).await;
            }
            self.failures += 1;
            match self.transport.open(&call).await {
                Ok(response) => {
                    let kind =
                        response.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
                    if !kind.starts_with("text/event-stream") {
                        let detail =
                            format!("the answer is {kind:?} and no stream of events; does a proxy answer in between?");
                        return Err(Error::new(ErrorKind::BadAnswer, call.name(), detail));
                    }
                    self.since = Instant::now();
                    self.chunks = Some(Box::pin(response.bytes_stream()));
                    self.connected = true;
                    return Ok(());
                }
                Err(error) if error.is_transient() && self.failures < attempts_max => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn understand(&mut self, event: &str) -> Option<RawUpdate> {
        let (mut kind, mut data) = ("", String::new());
        for line in event.lines() {
            match line.split_once(':') {
                Some(("event", value)) => kind = value.trim_start(),
                Some(("id", value)) => self.last = Some(value.trim_start().to_owned()),
                Some(("data", value)) => data.push_str(value.strip_prefix(' ').unwrap_or(value)),
                _ => {}
            }
        }
        match kind {
            "execution" => {
                self.failures = 0;
                if self.what.execution.is_some() {
                    let told = serde_json::from_str::<ExecutionUpdate>(&data);
                    self.ended = told.is_ok_and(|view| view.status.is_final());
                }
                Some(RawUpdate::Execution(data))
            }
            "reset" => Some(RawUpdate::Missed),
            "dropped" => {
                self.chunks = None;
                self.buffer.clear();
                None
            }
            _ => None,
        }
    }
}

/// Takes one whole event, up to its empty line.
fn take_event(buffer: &mut BytesMut) -> Option<String> {
    let end = buffer.windows(2).position(|pair| pair == b"\n\n")?;
    let event = buffer.split_to(end);
    buffer.advance(2);
    Some(String::from_utf8_lossy(&event).into_owned())
}
