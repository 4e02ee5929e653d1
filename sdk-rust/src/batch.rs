//! Events sent in the background, many in a request.
//!
//! ```text
//!   send ─▶ [queue, bounded in bytes] ─▶ a batch for each customer ─▶ POST /v1/events ─▶ settled
//!             waits when it is full          full, or old enough        again while it may succeed
//! ```
//!
//! Nothing is dropped silently: an event stays within the bound until the server has it, or until its failure is taken with
//! [`Batcher::flush`] or [`Batcher::close`]. Events of one customer go out in their order, one request at a time. Each has an id,
//! so that a request that is sent again, or an event that the caller sends again, is admitted once.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use fastn_contract::command::SendEvent;
use reqwest::Method;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::client::Fastn;
use crate::error::{Error, ErrorKind};
use crate::transport::{Call, Transport, random_key, wait_before};

/// What an event takes of the bound beside its text.
const OVERHEAD_BYTES: usize = 64;

/// How events are gathered.
#[derive(Clone, Debug)]
pub struct BatchOptions {
    /// Events in one request, at most 1,000.
    pub events_max: usize,
    /// Bytes of events in one request; the server takes a megabyte.
    pub bytes_max: usize,
    /// How long an event waits for others.
    pub wait_max: Duration,
    /// Bytes of events that are not settled, at most: `send` waits beyond it.
    pub buffer_bytes_max: usize,
    /// For how long a request that may still succeed is sent again before its events have failed.
    pub give_up_after: Duration,
}

impl Default for BatchOptions {
    fn default() -> Self {
        Self {
            events_max: 500,
            bytes_max: 512 * 1024,
            wait_max: Duration::from_millis(20),
            buffer_bytes_max: 16 * 1024 * 1024,
            give_up_after: Duration::from_secs(300),
        }
    }
}

/// An event that the server did not take.
#[derive(Clone, Debug)]
pub struct FailedEvent {
    /// Whose it was.
    pub customer: String,
    /// As JSON text, with the id that it was sent under: send it again as it is.
    pub json: Bytes,
    /// Why.
    pub error: Error,
}

impl FailedEvent {
    /// The event.
    ///
    /// # Errors
    /// When it came from [`Batcher::send_json`] and is none, which may be why it failed.
    pub fn event(&self) -> Result<SendEvent, serde_json::Error> {
        serde_json::from_slice(&self.json)
    }
}

/// What became of the events since the last time that somebody asked.
#[derive(Debug, Default)]
pub struct Flushed {
    /// How many the server has.
    pub sent: u64,
    /// Those that it has not.
    pub failed: Vec<FailedEvent>,
}

/// See the head of this file. When it is dropped without [`Batcher::close`], what is queued is sent as long as the runtime
/// lives, and failures are nobody's to take.
#[derive(Debug)]
pub struct Batcher {
    room: Arc<Semaphore>,
    room_bytes: usize,
    queue: mpsc::UnboundedSender<Message>,
    failures: Arc<AtomicU64>,
    unsettled: Arc<AtomicU64>,
}

#[derive(Debug)]
enum Message {
    Event(Queued),
    Flush(oneshot::Sender<Flushed>),
}

#[derive(Debug)]
struct Queued {
    customer: Arc<str>,
    body: Bytes,
    room: OwnedSemaphorePermit,
}

impl Batcher {
    /// Sends with `fastn`; must be called within a Tokio runtime.
    pub fn new(fastn: &Fastn, options: BatchOptions) -> Self {
        let room_bytes = options.buffer_bytes_max.clamp(1, Semaphore::MAX_PERMITS.min(u32::MAX as usize));
        let (queue, messages) = mpsc::unbounded_channel();
        let (failures, unsettled) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let worker = Worker {
            transport: fastn.transport().clone(),
            options,
            open: HashMap::new(),
            ages: VecDeque::new(),
            busy: HashSet::new(),
            flights: JoinSet::new(),
            settled: Flushed::default(),
            kept: Vec::new(),
            flushes: Vec::new(),
            failures: Arc::clone(&failures),
            unsettled: Arc::clone(&unsettled),
        };
        tokio::spawn(worker.run(messages));
        Self { room: Arc::new(Semaphore::new(room_bytes)), room_bytes, queue, failures, unsettled }
    }

    /// Events that are queued, on their way, or have failed without anybody having taken that.
    pub fn unsettled(&self) -> u64 {
        self.unsettled.load(Ordering::Relaxed)
    }

    /// Queues an event of a customer; waits while there is no room. It is durable once `flush` says so.
    ///
    /// # Errors
    /// `Config` when failed events fill the room: take them with `flush`.
    pub async fn send(&self, customer: &str, mut event: SendEvent) -> Result<(), Error> {
        event.id.get_or_insert_with(random_key);
        let body = serde_json::to_vec(&event).map_err(|error| refused(error.to_string()))?;
        self.queue(customer, body.into()).await
    }

    /// The same for an event that is JSON text already, as bindings for other languages have it. It is read once, to be sure
    /// of it and to give it an id if it has none.
    ///
    /// # Errors
    /// As [`Batcher::send`], and `Config` when it is no event.
    pub async fn send_json(&self, customer: &str, event: &[u8]) -> Result<(), Error> {
        self.queue(customer, with_id(event)?).await
    }

    /// As [`Batcher::send_json`], for callers that cannot wait: false when there is no room now, and then nothing is queued.
    ///
    /// # Errors
    /// As [`Batcher::send_json`].
    pub fn try_send_json(&self, customer: &str, event: &[u8]) -> Result<bool, Error> {
        let body = with_id(event)?;
        let bytes = self.room_of(&body);
        let Ok(room) = Arc::clone(&self.room).try_acquire_many_owned(bytes) else {
            return if self.is_full_of_failures(bytes) { Err(full()) } else { Ok(false) };
        };
        self.hand_over(Queued { customer: Arc::from(customer), body, room }).map(|()| true)
    }

    async fn queue(&self, customer: &str, body: Bytes) -> Result<(), Error> {
        let bytes = self.room_of(&body);
        let mut waiting = std::pin::pin!(Arc::clone(&self.room).acquire_many_owned(bytes));
        let room = loop {
            if self.is_full_of_failures(bytes) {
                return Err(full());
            }
            tokio::select! {
                room = &mut waiting => break room.map_err(|_| refused("the batcher is closed".to_owned()))?,
                // Others may fail meanwhile, and then nobody makes room.
                () = tokio::time::sleep(Duration::from_millis(100)) => {}
            }
        };
        self.hand_over(Queued { customer: Arc::from(customer), body, room })
    }

    fn room_of(&self, body: &Bytes) -> u32 {
        (body.len() + OVERHEAD_BYTES).min(self.room_bytes) as u32
    }

    fn is_full_of_failures(&self, bytes: u32) -> bool {
        let failed = self.failures.load(Ordering::Relaxed) as usize;
        failed > self.room_bytes.saturating_sub(bytes as usize)
    }

    fn hand_over(&self, queued: Queued) -> Result<(), Error> {
        self.unsettled.fetch_add(1, Ordering::Relaxed);
        self.queue.send(Message::Event(queued)).map_err(|_| {
            self.unsettled.fetch_sub(1, Ordering::Relaxed);
            refused("the batcher has ended".to_owned())
        })
    }

    /// Waits until everything that was queued before is settled, and tells what became of it.
    pub async fn flush(&self) -> Flushed {
        let (tell, told) = oneshot::channel();
        let asked = self.queue.send(Message::Flush(tell));
        if asked.is_err() { Flushed::default() } else { told.await.unwrap_or_default() }
    }

    /// The last flush.
    pub async fn close(self) -> Flushed {
        self.flush().await
    }
}

fn refused(detail: String) -> Error {
    Error::new(ErrorKind::Config, "queue an event", detail)
}

fn full() -> Error {
    refused("failed events fill the buffer; take them with flush".to_owned())
}

/// What must be known of an event that is JSON text.
#[derive(serde::Deserialize)]
struct Outline {
    /// Absent, `null`, or there.
    #[serde(default, deserialize_with = "there")]
    id: Option<Option<serde::de::IgnoredAny>>,
    #[serde(rename = "type")]
    _kind: String,
}

fn there<'de, D: serde::Deserializer<'de>>(value: D) -> Result<Option<Option<serde::de::IgnoredAny>>, D::Error> {
    serde::Deserialize::deserialize(value).map(Some)
}

/// The event as it is sent: with an id by chance if it has none.
fn with_id(event: &[u8]) -> Result<Bytes, Error> {
    let no_event = |error: serde_json::Error| refused(format!("it is no event: {error}"));
    let outline: Outline = serde_json::from_slice(event).map_err(no_event)?;
    match outline.id {
        Some(Some(_)) => Ok(Bytes::copy_from_slice(event)),
        Some(None) => {
            let mut fields: serde_json::Map<String, serde_json::Value> =
                serde_json::from_slice(event).map_err(no_event)?;
            fields.insert("id".to_owned(), random_key().into());
            serde_json::to_vec(&fields).map(Bytes::from).map_err(no_event)
        }
        None => {
            let at = event.iter().position(|byte| *byte == b'{').map_or(0, |at| at + 1);
            let mut body = BytesMut::with_capacity(event.len() + 48);
            body.put_slice(&event[..at]);
            body.put_slice(format!("\"id\":\"{}\",", random_key()).as_bytes());
            body.put_slice(&event[at..]);
            Ok(body.freeze())
        }
    }
}

type Customer = Arc<str>;

/// Events of one customer that gather.
#[derive(Debug)]
struct Open {
    events: Vec<Queued>,
    bytes: usize,
    since: Instant,
}

struct Worker {
    transport: Transport,
    options: BatchOptions,
    open: HashMap<Customer, Open>,
    /// When batches were opened, the oldest first; those that were sent meanwhile are passed over.
    ages: VecDeque<(Instant, Customer)>,
    /// Customers with a request under way.
    busy: HashSet<Customer>,
    flights: JoinSet<(Customer, u64, Vec<Lost>)>,
    settled: Flushed,
    /// The room that failed events take until they are taken.
    kept: Vec<OwnedSemaphorePermit>,
    flushes: Vec<oneshot::Sender<Flushed>>,
    failures: Arc<AtomicU64>,
    unsettled: Arc<AtomicU64>,
}

struct Lost {
    queued: Queued,
    error: Error,
}

impl Worker {
    async fn run(mut self, mut messages: mpsc::UnboundedReceiver<Message>) {
        let mut is_open = true;
        while is_open || !self.open.is_empty() || !self.flights.is_empty() {
            let due = self.oldest().map(|since| since + self.options.wait_max);
            tokio::select! {
                // While a flush is under way nothing new is taken: it would be waited for too.
                message = messages.recv(), if is_open && self.flushes.is_empty() => match message {
                    Some(Message::Event(queued)) => self.gather(queued),
                    Some(Message::Flush(tell)) => {
                        self.flushes.push(tell);
                        self.ship_all();
                    }
                    None => {
                        is_open = false;
                        self.ship_all();
                    }
                },
                Some(landed) = self.flights.join_next(), if !self.flights.is_empty() => {
                    if let Ok((customer, sent, lost)) = landed {
                        self.settle(&customer, sent, lost);
                        self.ship(customer.clone(), !is_open || !self.flushes.is_empty());
                        if let Some(open) = self.open.get(&customer).filter(|_| !self.busy.contains(&customer)) {
                            self.ages.push_front((open.since, customer));
                        }
                    }
                }
                () = tokio::time::sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {
                    if let Some((_, customer)) = self.ages.pop_front() {
                        self.ship(customer, true);
                    }
                }
            }
            if self.open.is_empty() && self.flights.is_empty() {
                self.answer();
            }
        }
    }

    /// When the oldest batch was opened that may be sent.
    fn oldest(&mut self) -> Option<Instant> {
        while let Some((since, customer)) = self.ages.front() {
            let waits = self.open.get(customer).is_some_and(|open| open.since == *since);
            // What has a request under way is looked at when that has landed.
            if waits && !self.busy.contains(customer) {
                return Some(*since);
            }
            self.ages.pop_front();
        }
        None
    }

    fn gather(&mut self, queued: Queued) {
        let customer = queued.customer.clone();
        let open = self.open.entry(customer.clone()).or_insert_with(|| {
            let since = Instant::now();
            self.ages.push_back((since, customer.clone()));
            Open { events: Vec::new(), bytes: 0, since }
        });
        open.bytes += queued.body.len() + 1;
        open.events.push(queued);
        self.ship(customer, false);
    }

    fn ship_all(&mut self) {
        let customers: Vec<Customer> = self.open.keys().cloned().collect();
        for customer in customers {
            self.ship(customer, true);
        }
    }

    /// Sends the batch of a customer, if it has no request under way, when it is full, old enough, or `now`.
    fn ship(&mut self, customer: Customer, now: bool) {
        let options = &self.options;
        if self.busy.contains(&customer) {
            return;
        }
        let Some(mut open) = self.open.remove(&customer) else { return };
        let full = open.events.len() >= options.events_max || open.bytes >= options.bytes_max;
        if !now && !full && open.since.elapsed() < options.wait_max {
            self.open.insert(customer, open);
            return;
        }
        let mut bytes = 0;
        let fits = open.events.iter().take(options.events_max).take_while(|queued| {
            bytes += queued.body.len() + 1;
            bytes <= options.bytes_max
        });
        let rest = open.events.split_off(fits.count().clamp(1, open.events.len()));
        if !rest.is_empty() {
            let bytes = rest.iter().map(|queued| queued.body.len() + 1).sum();
            self.open.insert(customer.clone(), Open { events: rest, bytes, since: open.since });
        }
        self.busy.insert(customer.clone());
        let (transport, batch, give_up) = (self.transport.clone(), open.events, Instant::now() + options.give_up_after);
        self.flights.spawn(async move {
            let (sent, lost) = deliver(&transport, &customer, batch, give_up).await;
            (customer, sent, lost)
        });
    }

    fn settle(&mut self, customer: &Customer, sent: u64, lost: Vec<Lost>) {
        self.busy.remove(customer);
        self.settled.sent += sent;
        self.unsettled.fetch_sub(sent, Ordering::Relaxed);
        for Lost { queued, error } in lost {
            let (customer, json) = (queued.customer.to_string(), queued.body);
            self.settled.failed.push(FailedEvent { customer, json, error });
            self.failures.fetch_add(queued.room.num_permits() as u64, Ordering::Relaxed);
            self.kept.push(queued.room);
        }
    }

    fn answer(&mut self) {
        for tell in self.flushes.drain(..) {
            let failed = self.settled.failed.len() as u64;
            self.unsettled.fetch_sub(failed, Ordering::Relaxed);
            match tell.send(std::mem::take(&mut self.settled)) {
                Ok(()) => {
                    self.kept.clear();
                    self.failures.store(0, Ordering::Relaxed);
                }
                // Whoever asked has gone: the next who asks is told.
                Err(settled) => {
                    self.unsettled.fetch_add(failed, Ordering::Relaxed);
                    self.settled = settled;
                }
            }
        }
    }
}

/// Sends a batch until it is taken, or certainly is not. A request that is refused is halved until the events are found that
/// are at fault, so that these alone fail.
async fn deliver(transport: &Transport, customer: &str, batch: Vec<Queued>, give_up: Instant) -> (u64, Vec<Lost>) {
    let (mut sent, mut lost, mut todo) = (0, Vec::new(), vec![batch]);
    while let Some(mut batch) = todo.pop() {
        match post(transport, customer, &batch, give_up).await {
            Ok(()) => sent += batch.len() as u64,
            Err(error) if batch.len() > 1 && is_about_content(&error) => {
                let second = batch.split_off(batch.len() / 2);
                todo.push(second);
                todo.push(batch);
            }
            Err(error) => lost.extend(batch.into_iter().map(|queued| Lost { queued, error: error.clone() })),
        }
    }
    (sent, lost)
}

fn is_about_content(error: &Error) -> bool {
    matches!(error.status, Some(400 | 413 | 422))
}

async fn post(transport: &Transport, customer: &str, batch: &[Queued], give_up: Instant) -> Result<(), Error> {
    let mut body = BytesMut::with_capacity(batch.iter().map(|queued| queued.body.len() + 1).sum::<usize>() + 1);
    for (at, queued) in batch.iter().enumerate() {
        body.put_u8(if at == 0 { b'[' } else { b',' });
        body.put_slice(&queued.body);
    }
    body.put_u8(b']');
    let call =
        Call::new(Method::POST, &["v1", "events"]).for_customer(Some(customer)).raw("application/json", body.freeze());
    let mut attempt = 1;
    loop {
        match transport.attempts(&call).await {
            Ok(_) => return Ok(()),
            Err(error) => {
                let wait = wait_before(attempt, &error);
                if !error.is_transient() || Instant::now() + wait >= give_up {
                    return Err(error);
                }
                tokio::time::sleep(wait).await;
                attempt += 1;
            }
        }
    }
}
