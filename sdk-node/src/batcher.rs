//! Events sent in the background. Where there is room, an event is queued within the call of JavaScript; else it waits here,
//! behind those that wait already, so that their order stays.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use fastn_sdk::{BatchOptions, Batcher, Fastn, Flushed};
use napi_derive::napi;
use serde_json::json;
use serde_json::value::RawValue;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::client::{Shared, millis};
use crate::completions::{Completions, Outcome};
use crate::told::{refused, told};

/// How events are gathered; the core's own where absent.
#[napi(object, object_to_js = false)]
pub struct Gathering {
    /// Events in one request.
    pub events_max: Option<u32>,
    /// Bytes in one request.
    pub bytes_max: Option<u32>,
    /// Milliseconds that an event waits for others.
    pub wait_max: Option<f64>,
    /// Bytes of unsettled events.
    pub buffer_bytes_max: Option<u32>,
    /// Milliseconds for which a request is sent again.
    pub give_up_after: Option<f64>,
}

impl Gathering {
    fn options(self) -> BatchOptions {
        let mut options = BatchOptions::default();
        let sizes = [
            (&mut options.events_max, self.events_max),
            (&mut options.bytes_max, self.bytes_max),
            (&mut options.buffer_bytes_max, self.buffer_bytes_max),
        ];
        for (option, given) in sizes {
            *option = given.map_or(*option, |given| given.max(1) as usize);
        }
        options.wait_max = self.wait_max.map_or(options.wait_max, millis);
        options.give_up_after = self.give_up_after.map_or(options.give_up_after, millis);
        options
    }
}

/// What waits for room.
enum Waiting {
    Send { call: u32, customer: String, event: String },
    Flush { call: u32 },
}

/// What waits, told to the thread of JavaScript.
#[derive(Default)]
struct Queue {
    events: AtomicU32,
    bytes: AtomicUsize,
}

/// A batcher.
#[napi]
pub struct NativeBatcher {
    shared: Arc<Shared>,
    parts: Option<Parts>,
}

struct Parts {
    batcher: Arc<Batcher>,
    waiting: UnboundedSender<Waiting>,
    queue: Arc<Queue>,
    waiting_bytes_max: usize,
}

impl NativeBatcher {
    pub(crate) fn new(shared: &Arc<Shared>, fastn: &Fastn, gathering: Gathering) -> Option<Self> {
        let options = gathering.options();
        let waiting_bytes_max = options.buffer_bytes_max;
        let (waiting, waits) = unbounded_channel();
        let queue = Arc::new(Queue::default());
        let batcher = shared.with(|open| {
            let _within = open.runtime.enter();
            let batcher = Arc::new(Batcher::new(fastn, options));
            let completions = Arc::clone(&shared.completions);
            open.runtime.spawn(wait(waits, Arc::clone(&batcher), Arc::clone(&queue), completions));
            batcher
        })?;
        let parts = Parts { batcher, waiting, queue, waiting_bytes_max };
        Some(Self { shared: Arc::clone(shared), parts: Some(parts) })
    }

    fn closed(&self, call: u32) {
        let closed = refused("queue an event", "the batcher is closed");
        self.shared.completions.put(call, Outcome::Failed(closed));
    }
}

#[napi]
impl NativeBatcher {
    /// Queues an event, JSON text. True when that is done and the call ends no more; else it ends when it is.
    #[napi]
    pub fn send(&self, call: u32, customer: String, event: String) -> bool {
        let Some(parts) = &self.parts else {
            self.closed(call);
            return false;
        };
        let refuse = |error| self.shared.completions.put(call, Outcome::Failed(error));
        if parts.queue.events.load(Ordering::Acquire) == 0 {
            match parts.batcher.try_send_json(&customer, event.as_bytes()) {
                Ok(true) => return true,
                Ok(false) => {}
                Err(error) => {
                    refuse(told(&error));
                    return false;
                }
            }
        }
        // Whoever does not wait would fill the memory without end.
        let bytes = parts.queue.bytes.fetch_add(event.len(), Ordering::Relaxed) + event.len();
        if bytes > parts.waiting_bytes_max && bytes > event.len() {
            parts.queue.bytes.fetch_sub(event.len(), Ordering::Relaxed);
            let detail =
                "as many bytes of events wait as the buffer holds: await what send returns before the next one";
            refuse(refused("queue an event", detail));
            return false;
        }
        parts.queue.events.fetch_add(1, Ordering::Release);
        if parts.waiting.send(Waiting::Send { call, customer, event }).is_err() {
            self.closed(call);
        }
        false
    }

    /// The call ends when everything before is settled, with what became of it.
    #[napi]
    pub fn flush(&self, call: u32) {
        let sent = self.parts.as_ref().is_some_and(|parts| parts.waiting.send(Waiting::Flush { call }).is_ok());
        if !sent {
            self.closed(call);
        }
    }

    /// Events that are not settled.
    #[napi]
    pub fn unsettled(&self) -> f64 {
        let Some(parts) = &self.parts else { return 0.0 };
        parts.batcher.unsettled() as f64 + f64::from(parts.queue.events.load(Ordering::Relaxed))
    }

    /// Lets go of it. What is queued is sent while the client is open.
    #[napi]
    pub fn close(&mut self) {
        self.parts = None;
    }
}

/// Queues what waits, in its order. A flush waits in the same line, and no longer in it once it is asked for.
async fn wait(
    mut waits: UnboundedReceiver<Waiting>,
    batcher: Arc<Batcher>,
    queue: Arc<Queue>,
    completions: Arc<Completions>,
) {
    while let Some(next) = waits.recv().await {
        match next {
            Waiting::Send { call, customer, event } => {
                let queued = batcher.send_json(&customer, event.as_bytes()).await;
                queue.bytes.fetch_sub(event.len(), Ordering::Relaxed);
                queue.events.fetch_sub(1, Ordering::Release);
                completions.put(call, queued.map_or_else(|error| Outcome::Failed(told(&error)), |()| Outcome::End));
            }
            Waiting::Flush { call } => {
                let (batcher, completions) = (Arc::clone(&batcher), Arc::clone(&completions));
                tokio::spawn(async move { completions.put(call, settled(batcher.flush().await)) });
            }
        }
    }
}

fn settled(flushed: Flushed) -> Outcome {
    let failed: Vec<_> = flushed
        .failed
        .iter()
        .map(|failed| {
            let event: Option<&RawValue> = serde_json::from_slice(&failed.json).ok();
            json!({"customer": failed.customer, "event": event, "error": told(&failed.error)})
        })
        .collect();
    Outcome::text(json!({"sent": flushed.sent, "failed": failed}).to_string().into_bytes())
}
