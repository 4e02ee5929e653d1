//! The runtime and the connections of a client: one set in each process, made by the first call.
//!
//! A process that was forked has a copy of the memory of its parent, but none of its threads. What it finds here of its parent
//! is left alone, for ever: it may be half written, and its sockets are the parent's. The lock is only taken by threads that are
//! attached to Python and is let go before they detach, so that no fork finds it taken.

use std::mem::forget;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use fastn_sdk::Fastn;
use pyo3::prelude::*;
use tokio::runtime::{Builder, Handle, Runtime};

use crate::failure::{closed, raise};

/// Threads that speak to the server. One decrypts while the other sends; what is made of answers is done by Python's threads.
const WORKERS: usize = 2;
/// Threads that look up names, and that wake event loops.
const HELPERS_MAX: usize = 8;
/// How long `close` waits for them.
const CLOSE_MAX: Duration = Duration::from_secs(5);

/// See the head of this file.
pub(crate) struct Engine {
    /// What the clients of this process are made from; it has no connections.
    origin: Fastn,
    state: Mutex<State>,
}

enum State {
    Idle,
    Running(Running),
    Closed,
}

struct Running {
    process: u32,
    runtime: Runtime,
    fastn: Fastn,
}

/// What a call needs.
pub(crate) struct Live {
    pub(crate) handle: Handle,
    pub(crate) fastn: Fastn,
    pub(crate) process: u32,
}

impl Engine {
    pub(crate) fn new(origin: Fastn) -> Self {
        Self { origin, state: Mutex::new(State::Idle) }
    }

    pub(crate) fn origin(&self) -> &Fastn {
        &self.origin
    }

    /// The runtime and the client of this process.
    ///
    /// # Errors
    /// `ConfigError` after `close`, and when the machine has no more threads.
    pub(crate) fn live(&self, py: Python<'_>) -> PyResult<Live> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let process = std::process::id();
        match &*state {
            State::Closed => return Err(closed(py)),
            State::Running(running) if running.process == process => return Ok(running.live()),
            State::Running(_) | State::Idle => {}
        }
        let fastn = self.origin.reconnected().map_err(|error| raise(py, &error))?;
        let mut threads = Builder::new_multi_thread();
        threads.worker_threads(WORKERS).max_blocking_threads(HELPERS_MAX).thread_name("fastn").enable_all();
        let running = Running { process, runtime: threads.build()?, fastn };
        let live = running.live();
        // What was there is the parent's.
        forget(std::mem::replace(&mut *state, State::Running(running)));
        Ok(live)
    }

    /// Ends connections and threads. Calls under way fail.
    pub(crate) fn close(&self, py: Python<'_>) {
        let state = std::mem::replace(&mut *self.state.lock().unwrap_or_else(PoisonError::into_inner), State::Closed);
        match state {
            State::Running(running) if running.process == std::process::id() => {
                py.detach(move || running.runtime.shutdown_timeout(CLOSE_MAX));
            }
            parents => forget(parents),
        }
    }
}

impl Drop for Engine {
    /// Without waiting: a thread may wait for Python, which this one holds.
    fn drop(&mut self) {
        let state = std::mem::replace(self.state.get_mut().unwrap_or_else(PoisonError::into_inner), State::Closed);
        match state {
            State::Running(running) if running.process == std::process::id() => running.runtime.shutdown_background(),
            parents => forget(parents),
        }
    }
}

impl Running {
    fn live(&self) -> Live {
        Live { handle: self.runtime.handle().clone(), fastn: self.fastn.clone(), process: self.process }
    }
}
