//! Callers of Instant runs that wait on this node, and the way to those who wait on another. The answer is a convenience:
//! a lost one costs the caller a look at the execution, never a second run.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use fastn_domain::event::ReplyTo;
use tokio::sync::oneshot;

use super::machine::Answer;

/// Numbers of requests are Avro longs.
const REQUEST_MAX: u64 = i64::MAX as u64;

/// Carries an answer to the node that is named in it. Best effort.
pub type Forward = Box<dyn Fn(ReplyTo, Answer) + Send + Sync>;

/// The waiting callers of a node.
pub struct Answers {
    node: String,
    forward: Option<Forward>,
    next: AtomicU64,
    waiting: Mutex<HashMap<u64, oneshot::Sender<Answer>>>,
}

impl fmt::Debug for Answers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answers").field("node", &self.node).finish_non_exhaustive()
    }
}

/// A caller that waits. Dropping it ends the waiting.
#[derive(Debug)]
pub struct Ticket {
    /// Goes into the event.
    pub reply_to: ReplyTo,
    /// Resolves with the answer; an error means that this node stops.
    pub answer: oneshot::Receiver<Answer>,
    answers: Arc<Answers>,
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.answers.take(self.reply_to.request);
    }
}

impl Answers {
    /// For the node with this internal address. Answers for callers of other nodes go through `forward`.
    pub fn new(node: &str, forward: Option<Forward>) -> Arc<Self> {
        // A caller of this process must not be taken for one of the process that had the address before it.
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let first = u64::try_from(since_1970.as_nanos()).unwrap_or_default() & REQUEST_MAX;
        Arc::new(Self { node: node.to_owned(), forward, next: AtomicU64::new(first), waiting: Mutex::default() })
    }

    /// Begins to wait.
    pub fn open(self: &Arc<Self>) -> Ticket {
        let request = self.next.fetch_add(1, Ordering::Relaxed);
        let (sender, answer) = oneshot::channel();
        self.lock().insert(request, sender);
        let reply_to = ReplyTo { node: self.node.clone(), request };
        Ticket { reply_to, answer, answers: Arc::clone(self) }
    }

    /// Answers the caller that waits, here or on another node, if it still does.
    pub fn give(&self, to: &ReplyTo, answer: Answer) {
        if to.node == self.node {
            if let Some(waiting) = self.take(to.request) {
                let _gone = waiting.send(answer);
            }
        } else if let Some(forward) = &self.forward {
            forward(to.clone(), answer);
        }
    }

    fn take(&self, request: u64) -> Option<oneshot::Sender<Answer>> {
        self.lock().remove(&request)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<u64, oneshot::Sender<Answer>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
