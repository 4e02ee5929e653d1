//! Events that are sent in the background.

use std::mem::forget;
use std::sync::{Arc, Mutex, PoisonError};

use fastn_sdk::{BatchOptions, Flushed};
use futures_util::FutureExt as _;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};
use tokio::runtime::Handle;

use crate::bridge::{Answer, Mailbox, run};
use crate::client::duration;
use crate::decode::decode;
use crate::encode::encode;
use crate::engine::Engine;
use crate::failure::{exception, not_understood, raise};

/// The batcher of this process. One that was there before a fork is the parent's, with what is queued in it.
#[pyclass(frozen)]
pub(crate) struct Batcher {
    engine: Arc<Engine>,
    options: BatchOptions,
    state: Mutex<Option<Open>>,
}

struct Open {
    process: u32,
    handle: Handle,
    batcher: Arc<fastn_sdk::Batcher>,
    /// Events that were queued and not told of yet.
    pending: u64,
}

impl Batcher {
    pub(crate) fn new(engine: Arc<Engine>, options: BatchOptions) -> Self {
        Self { engine, options, state: Mutex::new(None) }
    }

    /// The open one of this process.
    fn open<T>(&self, py: Python<'_>, use_it: impl FnOnce(&mut Open) -> T) -> PyResult<T> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(open) = state.as_mut().filter(|open| open.process == std::process::id()) {
            return Ok(use_it(open));
        }
        let live = self.engine.live(py)?;
        let entered = live.handle.enter();
        let batcher = Arc::new(fastn_sdk::Batcher::new(&live.fastn, self.options.clone()));
        drop(entered);
        let mut open = Open { process: live.process, handle: live.handle, batcher, pending: 0 };
        let used = use_it(&mut open);
        forget(state.replace(open));
        Ok(used)
    }
}

#[pymethods]
impl Batcher {
    /// Queues an event. `None` once it is queued; for an event loop a call when that takes until there is room.
    fn send<'py>(
        &self,
        py: Python<'py>,
        mailbox: Option<&Mailbox>,
        customer: &str,
        event: &Bound<'py, PyAny>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        let text = encode(event)?;
        let (batcher, handle, queued) = self.open(py, |open| {
            let entered = open.handle.enter();
            let queued = open.batcher.send_json(customer, &text).now_or_never();
            drop(entered);
            // Counted before it is queued, so that what is lost is told of rather than not.
            open.pending += u64::from(!matches!(queued, Some(Err(_))));
            let needed = queued.is_none().then(|| (Arc::clone(&open.batcher), open.handle.clone()));
            let (batcher, handle) = needed.unzip();
            (batcher, handle, queued)
        })?;
        let (batcher, handle) = match (queued, batcher, handle) {
            (Some(Err(error)), ..) => return Err(raise(py, &error)),
            (None, Some(batcher), Some(handle)) => (batcher, handle),
            _ => return Ok(None),
        };
        let customer = customer.to_owned();
        run(py, &handle, mailbox, async move {
            let queued = batcher.send_json(&customer, &text).await;
            let answer: Answer = Box::new(move |py| match queued {
                Ok(()) => Ok(py.None().into_bound(py)),
                Err(error) => Err(raise(py, &error)),
            });
            answer
        })
        .map(Some)
    }

    /// What was queued and not told of yet.
    #[getter]
    fn pending(&self) -> u64 {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.as_ref().filter(|open| open.process == std::process::id()).map_or(0, |open| open.pending)
    }

    /// Counts events off that were told of, or that were not queued after all.
    fn settled(&self, events: u64) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(open) = state.as_mut() {
            open.pending = open.pending.saturating_sub(events);
        }
    }

    /// Waits until all that is queued is settled, at most so many seconds: how many were sent, and those that were not, each with
    /// its customer and why; `None` when the time ran out.
    fn flush<'py>(&self, py: Python<'py>, mailbox: Option<&Mailbox>, seconds: f64) -> PyResult<Bound<'py, PyAny>> {
        let (batcher, handle) = self.open(py, |open| (Arc::clone(&open.batcher), open.handle.clone()))?;
        run(py, &handle, mailbox, async move {
            told(tokio::time::timeout(duration(seconds), batcher.flush()).await.ok())
        })
    }
}

impl Drop for Batcher {
    fn drop(&mut self) {
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        if state.as_ref().is_some_and(|open| open.process != std::process::id()) {
            forget(state);
        }
    }
}

fn told(flushed: Option<Flushed>) -> Answer {
    Box::new(move |py| {
        let Some(Flushed { sent, failed }) = flushed else { return Ok(py.None().into_bound(py)) };
        let rows = PyList::empty(py);
        for lost in failed {
            let row = PyDict::new(py);
            row.set_item("customer", &lost.customer)?;
            let text = serde_json::to_vec(&lost.event).unwrap_or_default();
            row.set_item("event", decode(py, &text, None).map_err(|why| not_understood(py, "flush events", &why))?)?;
            row.set_item("error", exception(py, &lost.error)?)?;
            rows.append(row)?;
        }
        Ok((sent, rows).into_pyobject(py)?.into_any())
    })
}
