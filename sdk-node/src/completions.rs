//! Calls that have ended, until JavaScript fetches them, and the tasks of those that have not.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use fastn_sdk::Error;
use napi::bindgen_prelude::{Either3, Latin1String};
use napi::threadsafe_function::{ThreadsafeFunction, ThreadsafeFunctionCallMode};
use napi::{Env, Status};
use serde_json::{Value, json};
use tokio::task::AbortHandle;

use crate::told::told;

/// Calls that JavaScript is told of in one go; then its other work has a turn.
const DRAINED_CALLS_MAX: usize = 256;
/// Bytes of answers in one go, at least one answer.
const DRAINED_BYTES_MAX: usize = 1024 * 1024;

/// How a call ended.
pub(crate) enum Outcome {
    /// With text, which is ASCII: V8 keeps one byte for each character.
    Ascii(String),
    /// With text.
    Text(String),
    /// With an error, as JSON text.
    Failed(Value),
    /// With nothing, or it was the end of a stream.
    End,
}

impl Outcome {
    /// The answer of a request.
    pub(crate) fn of(answer: Result<Bytes, Error>) -> Self {
        match answer {
            Ok(body) if body.is_empty() => Outcome::End,
            Ok(body) => Outcome::text(body.into()),
            Err(error) => Outcome::Failed(told(&error)),
        }
    }

    /// Text of a server.
    pub(crate) fn text(bytes: Vec<u8>) -> Self {
        match String::from_utf8(bytes) {
            Ok(text) if text.is_ascii() => Outcome::Ascii(text),
            Ok(text) => Outcome::Text(text),
            Err(_) => {
                let detail = "the answer is no UTF-8";
                let operation = "read an answer";
                Outcome::Failed(json!({"name": "BadAnswerError", "operation": operation, "detail": detail}))
            }
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Outcome::Ascii(text) | Outcome::Text(text) => text.len(),
            Outcome::Failed(_) | Outcome::End => 0,
        }
    }
}

/// What JavaScript reads: a number, or text of either kind.
pub(crate) type Told = Either3<u32, Latin1String, String>;

/// The function that makes JavaScript fetch. It keeps the process alive only while something is awaited.
pub(crate) type Wake = ThreadsafeFunction<(), (), (), Status, false, true>;

/// See the head of this file.
pub(crate) struct Completions {
    ended: Mutex<VecDeque<(u32, Outcome)>>,
    running: Mutex<HashMap<u32, AbortHandle>>,
    wake: Mutex<Wake>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Completions {
    pub(crate) fn new(wake: Wake) -> Self {
        Self { ended: Mutex::default(), running: Mutex::default(), wake: Mutex::new(wake) }
    }

    /// A call has ended. JavaScript is woken once for all that end before it looks.
    pub(crate) fn put(&self, call: u32, outcome: Outcome) {
        let first = {
            let mut ended = locked(&self.ended);
            ended.push_back((call, outcome));
            ended.len() == 1
        };
        if first {
            // Where it is closing, nobody waits any more.
            let _closing = locked(&self.wake).call((), ThreadsafeFunctionCallMode::NonBlocking);
        }
    }

    /// Keeps the task of a call that `start` starts, so that it can be cancelled, until [`Completions::done`].
    pub(crate) fn run(&self, call: u32, start: impl FnOnce() -> AbortHandle) {
        // The task may end before it is known: it waits here.
        let mut running = locked(&self.running);
        let task = start();
        running.insert(call, task);
    }

    /// The task of a call has come to its end.
    pub(crate) fn done(&self, call: u32, outcome: Outcome) {
        locked(&self.running).remove(&call);
        self.put(call, outcome);
    }

    /// Ends a call that nobody waits for any more.
    pub(crate) fn cancel(&self, call: u32) {
        if let Some(task) = locked(&self.running).remove(&call) {
            task.abort();
        }
    }

    /// Forgets all tasks, which the end of the runtime ends.
    pub(crate) fn forget(&self) {
        locked(&self.running).clear();
    }

    /// What has ended: whether there is more, then for each call its number, how it ended (0 with text, 1 with an error, 2
    /// with nothing) and the text.
    pub(crate) fn drain(&self) -> Vec<Told> {
        let mut taken = vec![Either3::A(0)];
        let mut bytes = 0;
        let mut ended = locked(&self.ended);
        while let Some((call, outcome)) = ended.pop_front() {
            bytes += outcome.bytes();
            let (how, text) = match outcome {
                Outcome::Ascii(text) => (0, Either3::B(text.into())),
                Outcome::Text(text) => (0, Either3::C(text)),
                Outcome::Failed(error) => (1, Either3::C(error.to_string())),
                Outcome::End => (2, Either3::A(0)),
            };
            taken.extend([Either3::A(call), Either3::A(how), text]);
            if taken.len() > DRAINED_CALLS_MAX * 3 || bytes > DRAINED_BYTES_MAX {
                break;
            }
        }
        taken[0] = Either3::A(u32::from(!ended.is_empty()));
        taken
    }

    /// Whether the process lives on until what is awaited has ended.
    #[expect(deprecated, reason = "a weak function cannot be made a strong one for a while otherwise")]
    pub(crate) fn hold(&self, env: &Env, awaited: bool) -> napi::Result<()> {
        let mut wake = locked(&self.wake);
        if awaited { wake.refer(env) } else { wake.unref(env) }
    }
}
