//! Appending: two lanes, each with a producer that is thrown away as a whole when one of its records does not come through.
//!
//! ```text
//! append ─► lane (lock) ─► generation n: one idempotent producer ─► delivery ─► pending append ─► answer
//!                             │ no acknowledgement in time, or an error
//!                             ▼
//!                          finished: all that waits hears Io/unknown, what is queued is purged; next append: generation n+1
//! ```
//!
//! **Prefix.** "A durable record means that all before it of that writer are durable." Within a generation Kafka holds it:
//! sequence numbers refuse a record whose predecessor is missing, and nothing is dropped out of the middle (no message
//! timeout, gapless). Between generations we hold it: of an unfinished append nobody knows what is there, so on the journal
//! an append is refused as long as an earlier one of that partition has failed and its caller has not heard
//! ([`crate::unheard`]). A writer that stops at the first failure that it hears therefore never leaves a hole, and what
//! the old generation's remainder may still do in the brokers lies before the new claim or is a zombie's.
//!
//! **Lanes.** Input (`events`) and journal (all else) have a producer each: a partition that is stuck past the deadline ends
//! its generation, and with it what waits for other partitions; ingest and processors do not do that to each other. One a
//! partition would be the clean cut and cost threads and connections by the dozen.
//!
//! Everything that waits longer than the deadline is *unknown*, even if it may never have been sent: librdkafka does not
//! tell us whether a queued record was on its way before.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use rdkafka::client::ClientContext;
use rdkafka::config::{FromClientConfigAndContext, RDKafkaLogLevel};
use rdkafka::error::KafkaError;
use rdkafka::message::{DeliveryResult, Header, Message, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, ProducerContext, PurgeConfig};
use tokio::sync::oneshot;

use crate::kafka::client::{self, Context};
use crate::kafka::clocks::Clocks;
use crate::kafka::failure;
use crate::kafka::line::{Line, Queued};
use crate::kafka::options::KafkaOptions;
use crate::kafka::pending::Pending;
use crate::kafka::slot::Slot;
use crate::observe::{self, Meters};
use crate::seam::{LogError, LogErrorKind, Outcome, Partition, Record, Topic};
use crate::unheard::Answer;

/// How often deadlines and the health of a producer are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// What a record costs in the queue beside its bytes.
const RECORD_OVERHEAD_BYTES: usize = 256;

/// See the head comment.
pub(crate) struct Lane {
    name: &'static str,
    options: Arc<KafkaOptions>,
    meters: Arc<Meters>,
    queued_bytes: Arc<AtomicUsize>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    closed: bool,
    current: Option<Arc<Generation>>,
    threads: Vec<JoinHandle<()>>,
}

/// One producer, as long as all goes well with it.
struct Generation {
    producer: BaseProducer<Deliveries>,
    ledger: Arc<Ledger>,
    closing: AtomicBool,
}

/// What a generation owes.
struct Ledger {
    waiting: Mutex<Waiting>,
    /// By topic and partition.
    lines: Mutex<HashMap<(Topic, Partition), Line>>,
    failed: Mutex<Option<String>>,
    queued_bytes: Arc<AtomicUsize>,
    meters: Arc<Meters>,
    clocks: Clocks,
}

/// Appends in the order in which they were made.
#[derive(Default)]
struct Waiting {
    next: u64,
    appends: BTreeMap<u64, Arc<Pending>>,
}

impl Ledger {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, slot: &Arc<Slot>, records: usize, bytes: usize) -> (Arc<Pending>, oneshot::Receiver<Answer>) {
        let (done, answer) = oneshot::channel();
        let mut waiting = self.waiting();
        let id = waiting.next;
        waiting.next += 1;
        let pending = Arc::new(Pending::new(id, Arc::clone(slot), records, bytes, done));
        waiting.appends.insert(id, Arc::clone(&pending));
        self.queued_bytes.fetch_add(bytes, Ordering::AcqRel);
        (pending, answer)
    }

    fn lines(&self) -> MutexGuard<'_, HashMap<(Topic, Partition), Line>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A record is durable.
    fn delivered(&self, pending: &Pending, offset: u64, stamped_ms: Option<i64>) {
        if !pending.delivered(offset) || self.waiting().appends.remove(&pending.id).is_none() {
            return;
        }
        self.queued_bytes.fetch_sub(pending.bytes, Ordering::AcqRel);
        pending.answer();
        observe::appended(&self.meters, pending.since);
        if let Some(stamped_ms) = stamped_ms {
            self.clocks.compare(stamped_ms, pending.since.elapsed());
        }
    }

    fn fail(&self, reason: String) {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(reason);
    }

    /// Tells all that wait that nobody knows. How many they were.
    fn give_up(&self, reason: &str) -> usize {
        self.lines().clear();
        let waiting = std::mem::take(&mut self.waiting().appends);
        for pending in waiting.values() {
            self.queued_bytes.fetch_sub(pending.bytes, Ordering::AcqRel);
            pending.fail(reason);
        }
        waiting.len()
    }
}

impl Generation {
    /// Hands a batch of one partition to librdkafka.
    fn launch(&self, batch: Vec<Queued>) {
        for Queued { records, pending } in batch {
            for record in &records {
                if let Err(error) = send(&self.producer, &pending.slot, record, &pending) {
                    // Records before it may be on their way.
                    return self.ledger.fail(error.to_string());
                }
            }
        }
    }

    /// Why this producer must not be used any more, if so.
    fn ailing(&self, patience: Duration) -> Option<String> {
        if let Some(reason) = self.ledger.failed.lock().unwrap_or_else(PoisonError::into_inner).clone() {
            return Some(reason);
        }
        if let Some((code, reason)) = self.producer.client().fatal_error() {
            return Some(format!("{reason} ({code})"));
        }
        let oldest = self.ledger.waiting().appends.first_key_value().map(|(_, pending)| pending.since);
        let waited = oldest.map(|since| since.elapsed()).filter(|waited| *waited > patience)?;
        Some(format!("no acknowledgement within {} ms", waited.as_millis()))
    }
}

impl Lane {
    /// A lane with its first producer.
    pub(crate) fn open(
        name: &'static str,
        options: &Arc<KafkaOptions>,
        meters: &Arc<Meters>,
    ) -> Result<Arc<Self>, LogError> {
        let lane = Arc::new(Self {
            name,
            options: Arc::clone(options),
            meters: Arc::clone(meters),
            queued_bytes: Arc::default(),
            state: Mutex::default(),
        });
        lane.generation(&mut lane.state())?;
        Ok(lane)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues the records as one append: all of them, or none.
    pub(crate) fn append(
        self: &Arc<Self>,
        slot: &Arc<Slot>,
        records: Vec<Record>,
    ) -> Result<oneshot::Receiver<Answer>, LogError> {
        let refuse =
            |kind, message: &str| Err(failure::error(kind, Outcome::NotDone, "append to", slot.context(), message));
        let bytes: usize = records.iter().map(|record| record.size() + RECORD_OVERHEAD_BYTES).sum();
        // The lock orders the appends, keeps the records of one together, and keeps new ones out while a generation ends.
        let mut state = self.state();
        if state.closed {
            return refuse(LogErrorKind::Closed, "the log is closed");
        }
        if slot.topic == Topic::Executions && slot.failures.any() {
            return refuse(LogErrorKind::Busy, "an append before it failed, and its writer has not heard of that yet");
        }
        let queued = self.queued_bytes.load(Ordering::Acquire);
        if queued > 0 && queued + bytes > self.options.queue_bytes_max {
            return refuse(LogErrorKind::Busy, "the append queue is full; try again after a moment");
        }
        let generation = self.generation(&mut state)?;
        let (pending, answer) = generation.ledger.add(slot, records.len(), bytes);
        let place = (slot.topic, slot.partition);
        let batch = generation.ledger.lines().entry(place).or_default().push(Queued { records, pending });
        generation.launch(batch);
        Ok(answer)
    }

    /// The producer in use, or a new one.
    fn generation(self: &Arc<Self>, state: &mut State) -> Result<Arc<Generation>, LogError> {
        if let Some(current) = &state.current {
            return Ok(Arc::clone(current));
        }
        let unusable = |message: String| {
            failure::error(LogErrorKind::Io, Outcome::NotDone, "make a producer for", self.name, message)
        };
        let ledger = Arc::new(Ledger {
            waiting: Mutex::default(),
            lines: Mutex::default(),
            failed: Mutex::default(),
            queued_bytes: Arc::clone(&self.queued_bytes),
            meters: Arc::clone(&self.meters),
            clocks: Clocks::default(),
        });
        let home = Arc::new(OnceLock::new());
        let deliveries =
            Deliveries { ledger: Arc::clone(&ledger), home: Arc::clone(&home), context: Context::default() };
        let producer = BaseProducer::from_config_and_context(&client::producer(&self.options), deliveries)
            .map_err(|error| unusable(error.to_string()))?;
        let generation = Arc::new(Generation { producer, ledger, closing: AtomicBool::new(false) });
        let _the_first = home.set(Arc::downgrade(&generation));
        let (lane, watched) = (Arc::clone(self), Arc::clone(&generation));
        let thread = std::thread::Builder::new().name(format!("log-{}", self.name));
        let thread = thread.spawn(move || lane.watch(&watched)).map_err(|error| unusable(error.to_string()))?;
        state.threads.retain(|thread| !thread.is_finished());
        state.threads.push(thread);
        state.current = Some(Arc::clone(&generation));
        Ok(generation)
    }

    /// The thread of a generation: hands out acknowledgements until it is over with its producer, one way or the other.
    fn watch(&self, generation: &Arc<Generation>) {
        loop {
            generation.producer.poll(LOOK_EVERY);
            observe::queue(&self.meters, self.queued_bytes.load(Ordering::Acquire));
            if let Some(reason) = generation.ailing(self.options.delivery_timeout) {
                self.finish(generation, &reason);
                break;
            }
            if generation.closing.load(Ordering::Acquire) && generation.ledger.waiting().appends.is_empty() {
                break;
            }
        }
        generation.producer.purge(PurgeConfig::default().queue().inflight());
    }

    /// Ends a generation. All that wait are told before the next append is taken.
    fn finish(&self, generation: &Arc<Generation>, reason: &str) {
        let mut state = self.state();
        if state.current.as_ref().is_some_and(|current| Arc::ptr_eq(current, generation)) {
            state.current = None;
        }
        let waiting = generation.ledger.give_up(reason);
        observe::producer_replaced(self.name, waiting, reason);
    }

    /// Takes no more appends; what waits is still seen through.
    pub(crate) fn refuse(&self) {
        let mut state = self.state();
        state.closed = true;
        if let Some(current) = state.current.take() {
            current.closing.store(true, Ordering::Release);
        }
    }

    /// Waits until nothing waits any more after [`Self::refuse`]. Blocks, at most for the deadline of an append.
    pub(crate) fn join(&self) {
        let threads = std::mem::take(&mut self.state().threads);
        for thread in threads {
            // A panic in there is a bug; the waiters hear of it as a lost answer.
            let _ = thread.join();
        }
    }
}

fn send(
    producer: &BaseProducer<Deliveries>,
    slot: &Slot,
    record: &Record,
    pending: &Arc<Pending>,
) -> Result<(), KafkaError> {
    let mut message = BaseRecord::<[u8], [u8], Arc<Pending>>::with_opaque_to(&slot.name, Arc::clone(pending))
        .partition(slot.number())
        .payload(&record.value);
    if !record.key.is_empty() {
        message = message.key(&record.key);
    }
    if !record.headers.is_empty() {
        let headers = OwnedHeaders::new_with_capacity(record.headers.len());
        let add = |headers: OwnedHeaders, (key, value): &(Cow<'static, str>, Bytes)| {
            headers.insert(Header { key, value: Some(&value[..]) })
        };
        message = message.headers(record.headers.iter().fold(headers, add));
    }
    producer.send(message).map_err(|(error, _record)| error)
}

/// Where a producer's acknowledgements arrive, on the thread of its generation.
struct Deliveries {
    ledger: Arc<Ledger>,
    /// Whose they are.
    home: Arc<OnceLock<Weak<Generation>>>,
    context: Context,
}

impl ClientContext for Deliveries {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.context.log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.context.error(error, reason);
    }
}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = Arc<Pending>;

    fn delivery(&self, result: &DeliveryResult<'_>, pending: Arc<Pending>) {
        match result {
            Ok(message) => {
                // An offset of -1 would be an acknowledgement without a place: there is none with acks=all.
                let offset = u64::try_from(message.offset()).unwrap_or_default();
                self.ledger.delivered(&pending, offset, message.timestamp().to_millis());
                let place = (pending.slot.topic, pending.slot.partition);
                let next = self.ledger.lines().get_mut(&place).map(Line::landed).unwrap_or_default();
                let home = self.home.get().and_then(Weak::upgrade);
                if let (false, Some(home)) = (next.is_empty(), home) {
                    home.launch(next);
                }
            }
            Err((error, _)) => self.ledger.fail(error.to_string()),
        }
    }
}
