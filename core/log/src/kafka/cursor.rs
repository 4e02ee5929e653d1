//! Reads that the windows of followed partitions do not answer: a recovery from its checkpoint, a projector that catches
//! up, a single old record.
//!
//! A cursor is a consumer that is set to one partition and offset. It stays there when a read ended in the middle of things,
//! because most reads go on where the one before ended; at the tail it is let go, so that it does not ask for ever. There
//! are few of them, made when they are first needed, and a read that finds none waits.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::config::FromClientConfigAndContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::{Offset as KafkaOffset, TopicPartitionList};
use tokio::sync::Semaphore;

use crate::kafka::client::{self, Context};
use crate::kafka::failure;
use crate::kafka::options::KafkaOptions;
use crate::kafka::slot::Slot;
use crate::kafka::stored::stored;
use crate::kafka::window::{self, Budget};
use crate::seam::{Offset, StoredRecord};

/// Bytes that a cursor may have fetched and not handed out yet, beside one fetch under way.
const AHEAD_KBYTES_MAX: u32 = 2_048;
/// A broker waits at most for so long when there is nothing to read: the next read of this cursor waits for it.
const FETCH_WAIT_MS: u32 = 10;
/// How long one look at the consumer waits.
const POLL: Duration = Duration::from_millis(20);

/// What a read by cursor found.
pub(crate) enum Found {
    /// The records, at least one.
    Records(Vec<StoredRecord>),
    /// Nothing at or after the offset.
    End,
    /// The partition has no such offset: it was trimmed, or is not written yet.
    OutOfRange,
}

/// All cursors.
pub(crate) struct Cursors {
    options: Arc<KafkaOptions>,
    free: Semaphore,
    /// The least recently used first.
    idle: Mutex<Vec<Cursor>>,
}

struct Cursor {
    consumer: BaseConsumer<Context>,
    /// What it would read next.
    at: Option<(Arc<Slot>, Offset)>,
    /// Read already, but over the limit of that read.
    held: Option<StoredRecord>,
}

impl Cursors {
    pub(crate) fn new(options: &Arc<KafkaOptions>) -> Self {
        let free = Semaphore::new(options.cursors_max.max(1));
        Self { options: Arc::clone(options), free, idle: Mutex::default() }
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Cursor>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads at `from` or after it. `known` is one past what is known to be there: before it, the end of what a broker
    /// shows is not believed, because a new leader may not know yet what the old one acknowledged.
    pub(crate) async fn read(
        self: &Arc<Self>,
        slot: &Arc<Slot>,
        from: Offset,
        known: Offset,
        budget: Budget,
        deadline: Instant,
    ) -> Result<Found, KafkaError> {
        // Never closed.
        let Ok(_permit) = self.free.acquire().await else { return Ok(Found::End) };
        let (cursors, slot) = (Arc::clone(self), Arc::clone(slot));
        let work = move || {
            let mut cursor = cursors.take(&slot, from)?;
            let found = cursor.read(&slot, from, known, budget, deadline);
            // One that met an error is not trusted any more.
            if found.is_ok() {
                cursors.idle().push(cursor);
            }
            found
        };
        let joined = tokio::task::spawn_blocking(work).await;
        joined.unwrap_or(Err(KafkaError::MessageConsumption(RDKafkaErrorCode::Fail)))
    }

    /// The cursor that stands at the offset, or one that can be set to it.
    fn take(&self, slot: &Arc<Slot>, from: Offset) -> Result<Cursor, KafkaError> {
        let mut idle = self.idle();
        let stands =
            |cursor: &Cursor| cursor.at.as_ref().is_some_and(|(at, next)| Arc::ptr_eq(at, slot) && *next == from);
        if let Some(at) = idle.iter().position(stands) {
            return Ok(idle.remove(at));
        }
        if let Some(at) = idle.iter().position(|cursor| cursor.at.is_none()) {
            return Ok(idle.remove(at));
        }
        if idle.len() == self.options.cursors_max.max(1) {
            return Ok(idle.remove(0));
        }
        drop(idle);
        let mut config = client::reader(&self.options);
        config
            .set("enable.partition.eof", "true")
            .set("fetch.wait.max.ms", FETCH_WAIT_MS.to_string())
            .set("queued.max.messages.kbytes", AHEAD_KBYTES_MAX.to_string());
        let consumer = BaseConsumer::from_config_and_context(&config, Context::default())?;
        Ok(Cursor { consumer, at: None, held: None })
    }

    /// Lets go of all connections.
    pub(crate) fn close(&self) {
        self.idle().clear();
    }
}

impl Cursor {
    fn read(
        &mut self,
        slot: &Arc<Slot>,
        from: Offset,
        known: Offset,
        mut budget: Budget,
        deadline: Instant,
    ) -> Result<Found, KafkaError> {
        let stands = self.at.as_ref().is_some_and(|(at, next)| Arc::ptr_eq(at, slot) && *next == from);
        if !stands {
            self.held = None;
            self.set(slot, from)?;
        }
        self.at = None;
        let mut records: Vec<StoredRecord> = Vec::new();
        let (mut at_end, mut doubted) = (false, true);
        if let Some(held) = self.held.take() {
            budget.take(window::bytes(&held));
            records.push(held);
        }
        while !budget.is_spent() {
            // What is here already is handed out; nobody waits for more.
            let wait = if records.is_empty() { POLL } else { Duration::ZERO };
            match self.consumer.poll(wait) {
                Some(Ok(message)) => {
                    let record = stored(&message);
                    if record.offset < from {
                        continue;
                    }
                    if !budget.take(window::bytes(&record)) {
                        self.held = Some(record);
                        break;
                    }
                    records.push(record);
                }
                Some(Err(KafkaError::PartitionEOF(_))) => {
                    if !records.is_empty() || self.is_end(slot, from, known, &mut doubted, deadline)? {
                        at_end = true;
                        break;
                    }
                }
                Some(Err(error)) if is_out_of_range(&error) => {
                    self.release();
                    return Ok(Found::OutOfRange);
                }
                // Errors of connections: librdkafka goes on by itself.
                Some(Err(error)) if failure::is_lasting(&error) => return Err(error),
                None if !records.is_empty() => break,
                None | Some(Err(_)) if Instant::now() < deadline => {}
                None | Some(Err(_)) => {
                    return Err(KafkaError::MessageConsumption(RDKafkaErrorCode::OperationTimedOut));
                }
            }
        }
        if at_end {
            self.release();
        } else if let Some(last) = records.last() {
            self.at = Some((Arc::clone(slot), last.offset + 1));
        }
        Ok(if records.is_empty() { Found::End } else { Found::Records(records) })
    }

    /// Whether an end before `known` is one. What lies between may be no records (the marks of a stranger's transaction), or
    /// the leader is new and does not show yet what it has. The second look, at a leader that shows all, decides.
    fn is_end(
        &self,
        slot: &Slot,
        from: Offset,
        known: Offset,
        doubted: &mut bool,
        deadline: Instant,
    ) -> Result<bool, KafkaError> {
        if from >= known || !*doubted {
            return Ok(true);
        }
        let left = deadline.saturating_duration_since(Instant::now());
        // No answer is as good as one that shows too little.
        let shown = self.consumer.fetch_watermarks(&slot.name, slot.number(), left).map_or(0, |(_, high)| high);
        *doubted = u64::try_from(shown).unwrap_or_default() < known;
        if *doubted {
            std::thread::sleep(POLL);
        }
        self.set(slot, from)?;
        Ok(false)
    }

    fn set(&self, slot: &Slot, from: Offset) -> Result<(), KafkaError> {
        let mut list = TopicPartitionList::new();
        let offset = KafkaOffset::Offset(i64::try_from(from).unwrap_or(i64::MAX));
        list.add_partition_offset(&slot.name, slot.number(), offset)?;
        self.consumer.assign(&list)
    }

    /// Stops fetching.
    fn release(&mut self) {
        self.held = None;
        self.at = None;
        // If it fails, the consumer fetches what nobody reads until it is set anew, within its limits.
        let _ = self.consumer.unassign();
    }
}

pub(crate) fn is_out_of_range(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange | RDKafkaErrorCode::LogTruncation)
    )
}
