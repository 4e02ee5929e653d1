//! Callers of Instant runs that wait on this node. The answer is a convenience: a lost one costs the caller a look at the
//! execution, never a second run.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use fastn_domain::event::ReplyTo;
use tokio::sync::oneshot;

use super::machine::Answer;

/// The waiting callers of a node.
#[derive(Debug)]
pub struct Answers {
    node: String,
    next: AtomicU64,
    waiting: Mutex<HashMap<u64, oneshot::Sender<Answer>>>,
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
    /// For the node with this internal address.
    pub fn new(node: &str) -> Arc<Self> {
        Arc::new(Self { node: node.to_owned(), next: AtomicU64::new(1), waiting: Mutex::default() })
    }

    /// Begins to wait.
    pub fn open(self: &Arc<Self>) -> Ticket {
        let request = self.next.fetch_add(1, Ordering::Relaxed);
        let (sender, answer) = oneshot::channel();
        self.lock().insert(request, sender);
        let reply_to = ReplyTo { node: self.node.clone(), request };
        Ticket { reply_to, answer, answers: Arc::clone(self) }
    }

    /// Answers the caller that waits, if it is here and still does.
    pub(crate) fn give(&self, to: &ReplyTo, answer: Answer) {
        if to.node == self.node
            && let Some(waiting) = self.take(to.request)
        {
            let _gone = waiting.send(answer);
        }
    }

    fn take(&self, request: u64) -> Option<oneshot::Sender<Answer>> {
        self.lock().remove(&request)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<u64, oneshot::Sender<Answer>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
