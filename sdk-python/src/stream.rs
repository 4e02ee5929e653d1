//! What comes piece by piece: live updates, and exports.

use std::mem::forget;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use fastn_sdk::{Error, RawUpdate};
use futures_util::StreamExt as _;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use tokio::sync;

use crate::bridge::{Answer, Mailbox, run};
use crate::decode::decode;
use crate::engine::Engine;
use crate::failure::{not_understood, raise, refuse};

/// One of what comes.
pub(crate) enum Item {
    Update(RawUpdate),
    Piece(Bytes),
}

type Items = Pin<Box<dyn futures_util::Stream<Item = Result<Item, Error>> + Send>>;
type Shared = Arc<sync::Mutex<Option<Items>>>;

/// Asked for the next item, it answers the item, `False` for updates that were missed, or `None` at its end. A call that is
/// given up loses nothing: what it would have answered comes next.
#[pyclass(frozen)]
pub(crate) struct Stream {
    engine: Arc<Engine>,
    process: u32,
    items: Mutex<Option<Shared>>,
    /// Closed with the stream, which ends whoever waits for its next item.
    closed: Arc<sync::Semaphore>,
}

impl Stream {
    pub(crate) fn new(engine: Arc<Engine>, items: Items) -> Self {
        let items = Arc::new(sync::Mutex::new(Some(items)));
        let closed = Arc::new(sync::Semaphore::new(0));
        Self { engine, process: std::process::id(), items: Mutex::new(Some(items)), closed }
    }

    fn items(&self) -> Option<Shared> {
        self.items.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[pymethods]
impl Stream {
    fn next<'py>(&self, py: Python<'py>, mailbox: Option<&Mailbox>) -> PyResult<Bound<'py, PyAny>> {
        if self.process != std::process::id() {
            return Err(refuse(
                py,
                "ConfigError",
                "read a stream",
                "it belongs to the process before the fork; open another",
            ));
        }
        let (items, closed) = (self.items(), Arc::clone(&self.closed));
        run(py, &self.engine.live(py)?.handle, mailbox, async move {
            let Some(items) = items else { return answer(None) };
            let mut items = items.lock().await;
            let Some(open) = items.as_mut() else { return answer(None) };
            let item = tokio::select! {
                item = open.next() => item,
                _closed = closed.acquire() => None,
            };
            if item.is_none() {
                *items = None;
            }
            answer(item)
        })
    }

    /// Ends it and its connection, also for whoever waits for its next item.
    fn close(&self) {
        let items = self.items.lock().unwrap_or_else(PoisonError::into_inner).take();
        if self.process == std::process::id() {
            self.closed.close();
        } else {
            forget(items);
        }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.close();
    }
}

fn answer(item: Option<Result<Item, Error>>) -> Answer {
    Box::new(move |py| match item {
        None => Ok(py.None().into_bound(py)),
        Some(Ok(Item::Piece(bytes))) => Ok(PyBytes::new(py, &bytes).into_any()),
        Some(Ok(Item::Update(RawUpdate::Missed))) => Ok(false.into_pyobject(py)?.to_owned().into_any()),
        Some(Ok(Item::Update(RawUpdate::Execution(text)))) => {
            decode(py, text.as_bytes(), None).map_err(|why| not_understood(py, "follow executions", &why))
        }
        Some(Err(error)) => Err(raise(py, &error)),
    })
}
