//! Answers that come in pieces, each of which JavaScript asks for, so that it is never ahead of its reader.

use std::pin::Pin;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use fastn_sdk::{Error, RawUpdate};
use futures_util::{Stream, StreamExt as _};
use napi_derive::napi;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::task::AbortHandle;

use crate::client::Shared;
use crate::completions::Outcome;
use crate::told::{refused, told};

/// Longest JSON line that is taken.
const LINE_BYTES_MAX: usize = 64 * 1024 * 1024;

/// A stream; its connection closes with it.
#[napi]
pub struct NativeStream {
    shared: Arc<Shared>,
    pulls: UnboundedSender<u32>,
    task: Option<AbortHandle>,
}

impl NativeStream {
    pub(crate) fn new(shared: &Arc<Shared>, stream: impl Stream<Item = Outcome> + Send + 'static) -> Self {
        let (pulls, mut pulled) = unbounded_channel::<u32>();
        let completions = Arc::clone(&shared.completions);
        let read = async move {
            let mut stream = std::pin::pin!(stream.fuse());
            while let Some(call) = pulled.recv().await {
                completions.put(call, stream.next().await.unwrap_or(Outcome::End));
            }
        };
        let task = shared.with(|open| open.runtime.spawn(read).abort_handle());
        Self { shared: Arc::clone(shared), pulls, task }
    }
}

#[napi]
impl NativeStream {
    /// The call ends with the next piece.
    #[napi]
    pub fn next(&self, call: u32) {
        if self.task.is_none() || self.pulls.send(call).is_err() {
            let closed = refused("read a stream", "the client is closed");
            self.shared.completions.put(call, Outcome::Failed(closed));
        }
    }

    /// Ends it. A call that waits for a piece ends no more.
    #[napi]
    pub fn close(&mut self) {
        if let Some(task) = self.task.take() {
            task.abort();
        }
    }
}

/// Updates of executions.
pub(crate) fn updates(
    stream: impl Stream<Item = Result<RawUpdate, Error>> + Send + 'static,
) -> impl Stream<Item = Outcome> + Send + 'static {
    stream.map(|update| match update {
        Ok(RawUpdate::Execution(text)) => Outcome::text(text.into_bytes()),
        Ok(RawUpdate::Missed) => Outcome::text(b"null".to_vec()),
        Err(error) => Outcome::Failed(told(&error)),
    })
}

type Pieces = Pin<Box<dyn Stream<Item = Result<Bytes, Error>> + Send>>;

/// Whole lines of what comes in pieces.
pub(crate) struct Rows {
    pieces: Pieces,
    rest: BytesMut,
    ended: bool,
}

impl Rows {
    pub(crate) fn of(pieces: Pieces) -> impl Stream<Item = Outcome> + Send + 'static {
        let start = Self { pieces, rest: BytesMut::new(), ended: false };
        futures_util::stream::unfold(start, |mut rows| async move {
            let outcome = rows.next().await?;
            Some((outcome, rows))
        })
    }

    async fn next(&mut self) -> Option<Outcome> {
        while !self.ended {
            match self.pieces.next().await {
                Some(Ok(piece)) => self.rest.extend_from_slice(&piece),
                Some(Err(error)) => {
                    self.ended = true;
                    return Some(Outcome::Failed(told(&error)));
                }
                None => {
                    self.ended = true;
                    self.rest.extend_from_slice(b"\n");
                }
            }
            if let Some(end) = self.rest.iter().rposition(|byte| *byte == b'\n') {
                let whole = self.rest.split_to(end + 1);
                let lines: Vec<&[u8]> =
                    whole[..].split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty()).collect();
                if !lines.is_empty() {
                    return Some(Outcome::text([b"[".as_slice(), &lines.join(&b','), b"]"].concat()));
                }
            } else if self.rest.len() > LINE_BYTES_MAX {
                let detail = "a line of the answer is too long";
                let mut error = refused("read an answer", detail);
                error["name"] = "BadAnswerError".into();
                self.ended = true;
                return Some(Outcome::Failed(error));
            }
        }
        None
    }
}
