//! How what happens on the client's threads comes back to Python's.
//!
//! ```text
//!   sync    call ─▶ task ─▶ channel ─▶ the caller's thread, which was detached and looked for Ctrl-C
//!   async   call ─▶ task ─▶ letters of the event loop ─▶ one wake-up ─▶ futures are set, as many as there are letters
//! ```
//!
//! A task never waits for Python: it leaves its answer, and a helper thread wakes the loop.

use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use pyo3::prelude::*;
use tokio::runtime::Handle;
use tokio::task::AbortHandle;

use crate::failure::closed;

/// How often a waiting thread looks whether a signal has come, such as Ctrl-C.
const SIGNALS_EVERY: Duration = Duration::from_millis(50);

/// What becomes of an answer once a thread of Python has it.
pub(crate) type Answer = Box<dyn for<'py> FnOnce(Python<'py>) -> PyResult<Bound<'py, PyAny>> + Send>;

/// Does the work and waits for its answer, for whoever has no event loop; else answers a [`Call`].
pub(crate) fn run<'py>(
    py: Python<'py>,
    handle: &Handle,
    mailbox: Option<&Mailbox>,
    work: impl Future<Output = Answer> + Send + 'static,
) -> PyResult<Bound<'py, PyAny>> {
    match mailbox {
        None => wait_for(py, handle, work),
        Some(mailbox) => Ok(Bound::new(py, mailbox.start(py, handle, work)?)?.into_any()),
    }
}

fn wait_for<'py>(
    py: Python<'py>,
    handle: &Handle,
    work: impl Future<Output = Answer> + Send + 'static,
) -> PyResult<Bound<'py, PyAny>> {
    let (tell, mut told) = sync_channel(1);
    let task = handle.spawn(async move {
        let _nobody_waits = tell.send(work.await);
    });
    loop {
        let (received, back) = py.detach(move || (told.recv_timeout(SIGNALS_EVERY), told));
        told = back;
        match received {
            Ok(answer) => return answer(py),
            Err(RecvTimeoutError::Timeout) => py.check_signals().inspect_err(|_| task.abort())?,
            Err(RecvTimeoutError::Disconnected) => return Err(closed(py)),
        }
    }
}

/// The answers for one event loop.
#[pyclass(frozen)]
pub(crate) struct Mailbox {
    post: Arc<Post>,
}

struct Post {
    /// A weak reference: a loop that has ended goes, with its mailbox.
    event_loop: Py<PyAny>,
    letters: Mutex<Vec<Letter>>,
    /// Whether the loop has been woken for what lies here.
    woken: AtomicBool,
}

struct Letter {
    future: Py<PyAny>,
    answer: Answer,
}

#[pymethods]
impl Mailbox {
    #[new]
    fn new(event_loop: &Bound<'_, PyAny>) -> PyResult<Self> {
        let event_loop = event_loop.py().import("weakref")?.call_method1("ref", (event_loop,))?.unbind();
        Ok(Self { post: Arc::new(Post { event_loop, letters: Mutex::default(), woken: AtomicBool::new(false) }) })
    }
}

impl Mailbox {
    fn start(
        &self,
        py: Python<'_>,
        handle: &Handle,
        work: impl Future<Output = Answer> + Send + 'static,
    ) -> PyResult<Call> {
        let future = self.post.event_loop.call0(py)?.call_method0(py, "create_future")?;
        let reply = Reply { post: Arc::clone(&self.post), handle: handle.clone(), future: Some(future.clone_ref(py)) };
        let task = handle.spawn(async move { reply.send(work.await) });
        Ok(Call { future: Mutex::new(Some(future)), task: Mutex::new(Some(task.abort_handle())) })
    }
}

/// The one answer of a task. One that never comes, as its task was ended, is an error.
struct Reply {
    post: Arc<Post>,
    handle: Handle,
    future: Option<Py<PyAny>>,
}

impl Reply {
    fn send(mut self, answer: Answer) {
        self.leave(answer);
    }

    fn leave(&mut self, answer: Answer) {
        let Some(future) = self.future.take() else { return };
        self.post.letters.lock().unwrap_or_else(PoisonError::into_inner).push(Letter { future, answer });
        if !self.post.woken.swap(true, Ordering::AcqRel) {
            let wake = Wake(Arc::clone(&self.post));
            self.handle.spawn_blocking(move || drop(wake));
        }
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        self.leave(Box::new(|py| Err(closed(py))));
    }
}

/// Asks the loop to read its letters when it is dropped: by a helper thread, or by whoever ends the runtime before one could.
struct Wake(Arc<Post>);

impl Drop for Wake {
    fn drop(&mut self) {
        let told = Python::try_attach(|py| {
            let read = Reader { post: Arc::clone(&self.0) };
            self.0.event_loop.call0(py)?.call_method1(py, "call_soon_threadsafe", (read,)).map(drop)
        });
        if !matches!(told, Some(Ok(()))) {
            // The loop or the interpreter has ended, and nobody waits.
            let letters = std::mem::take(&mut *self.0.letters.lock().unwrap_or_else(PoisonError::into_inner));
            drop(letters);
        }
    }
}

/// Reads letters, on the thread of the loop.
#[pyclass(frozen)]
struct Reader {
    post: Arc<Post>,
}

#[pymethods]
impl Reader {
    fn __call__(&self, py: Python<'_>) -> PyResult<()> {
        // Before they are taken: what comes later wakes the loop again.
        self.post.woken.store(false, Ordering::Release);
        let letters = std::mem::take(&mut *self.post.letters.lock().unwrap_or_else(PoisonError::into_inner));
        for Letter { future, answer } in letters {
            let future = future.into_bound(py);
            if future.call_method0("done")?.is_truthy()? {
                continue;
            }
            match answer(py) {
                Ok(value) => future.call_method1("set_result", (value,))?,
                Err(error) => future.call_method1("set_exception", (error.into_value(py),))?,
            };
        }
        Ok(())
    }
}

/// A call that an event loop waits for.
#[pyclass(frozen)]
pub(crate) struct Call {
    future: Mutex<Option<Py<PyAny>>>,
    task: Mutex<Option<AbortHandle>>,
}

#[pymethods]
impl Call {
    /// Its future, which is given away: a failed one leads to the frame that waits for it, and that to the call.
    fn future(&self) -> Option<Py<PyAny>> {
        self.future.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Ends it if it has not ended, and lets go of its task.
    fn abort(&self) {
        let task = self.task.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(task) = task {
            task.abort();
        }
    }
}
