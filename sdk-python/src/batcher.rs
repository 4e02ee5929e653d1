//! Events that are sent in the background.

use std::mem::forget;
use std::sync::{Arc, Mutex, PoisonError};

use fastn_sdk::{BatchOptions, Flushed};
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
}

impl Batcher {
    pub(crate) fn new(engine: Arc<Engine>, options: BatchOptions) -> Self {
        Self { engine, options, state: Mutex::new(None) }
    }

    /// The open one of this process.
    fn open<T>(&self, py: Python<'_>, use_it: impl FnOnce(&Open) -> T) -> PyResult<T> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(open) = state.as_ref().filter(|open| open.process == std::process::id()) {
            return Ok(use_it(open));
        }
        let live = self.engine.live(py)?;
        let entered = live.handle.enter();
        let batcher = Arc::new(fastn_sdk::Batcher::new(&live.fastn, self.options.clone()));
        drop(entered);
        let open = Open { process: live.process, handle: live.handle, batcher };
        let used = use_it(&open);
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
        let queued = self.open(py, |open| match open.batcher.try_send_json(customer, &text) {
            Ok(true) => Ok(None),
            Ok(false) => Ok(Some((Arc::clone(&open.batcher), open.handle.clone()))),
            Err(error) => Err(error),
        })?;
        let Some((batcher, handle)) = queued.map_err(|error| raise(py, &error))? else { return Ok(None) };
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

    /// Events that were queued and not told of yet.
    #[getter]
    fn pending(&self) -> u64 {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let own = state.as_ref().filter(|open| open.process == std::process::id());
        own.map_or(0, |open| open.batcher.unsettled())
    }

    /// Waits until all that is queued is settled, at most so many seconds: how many were sent, and those that were not, each with
    /// its customer and why; `None` when the time ran out.
    fn flush<'py>(&self, py: Python<'py>, mailbox: Option<&Mailbox>, seconds: f64) -> PyResult<Bound<'py, PyAny>> {
        let (batcher, handle) = self.open(py, |open| (Arc::clone(&open.batcher), open.handle.clone()))?;
        run(
            py,
            &handle,
            mailbox,
            async move { told(tokio::time::timeout(duration(seconds), batcher.flush()).await.ok()) },
        )
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
            row.set_item(
                "event",
                decode(py, &lost.json, None).map_err(|why| not_understood(py, "flush events", &why))?,
            )?;
            row.set_item("error", exception(py, &lost.error)?)?;
            rows.append(row)?;
        }
        Ok((sent, rows).into_pyobject(py)?.into_any())
    })
}
