//! Follows the head of the partitions that somebody asked the tail of: one consumer, one thread, all partitions.
//!
//! ```text
//! tail(p) ─► lookup thread: where is the end? ─► follower: assign p there ─► window of p, then tail of p
//! ```
//!
//! The lookup has a thread of its own because it asks and waits; a partition without a leader must not hold up the others.
//! A partition whose tail nobody holds any more is dropped after a while.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rdkafka::config::FromClientConfigAndContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaResult;
use rdkafka::message::Message;
use rdkafka::{Offset as KafkaOffset, TopicPartitionList};

use crate::kafka::admin::Admin;
use crate::kafka::client::{self, Context};
use crate::kafka::cursor::is_out_of_range;
use crate::kafka::failure;
use crate::kafka::options::KafkaOptions;
use crate::kafka::slot::{Slot, Slots};
use crate::kafka::stored::stored;
use crate::observe;
use crate::seam::{LogError, LogErrorKind, Offset, Outcome, StoredRecord};

/// How long one look at the consumer waits; a partition that is newly followed waits as long.
const POLL: Duration = Duration::from_millis(50);
/// Messages that are taken before their readers are woken.
const BATCH_MAX: usize = 512;
/// The longest that a broker holds a fetch when there is nothing; it answers at once when there is something.
const FETCH_WAIT_MS: u32 = 250;
/// Fetched and not taken over into windows yet.
const AHEAD_KBYTES_MAX: u32 = 4_096;
/// How often the books are kept: partitions to drop, lag.
const TIDY_EVERY: Duration = Duration::from_secs(1);
/// A partition whose tail nobody has held for so long is dropped.
const UNHELD_MAX: Duration = Duration::from_secs(10);
/// Time for one question of the lookup thread, and the pause before it is asked again.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(5);
const LOOKUP_AGAIN: Duration = Duration::from_millis(200);

/// See the head comment.
pub(crate) struct Follower {
    asked: Mutex<Sender<Arc<Slot>>>,
    stop: Arc<AtomicBool>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Follower {
    pub(crate) fn start(options: &Arc<KafkaOptions>, slots: &Arc<Slots>, admin: &Arc<Admin>) -> Result<Self, LogError> {
        let unusable = |message: String| {
            failure::error(LogErrorKind::Io, Outcome::NotDone, "start a reader of", options.brokers.clone(), message)
        };
        let mut config = client::reader(options);
        config
            .set("fetch.wait.max.ms", FETCH_WAIT_MS.to_string())
            .set("queued.max.messages.kbytes", AHEAD_KBYTES_MAX.to_string());
        let consumer = BaseConsumer::from_config_and_context(&config, Context::default())
            .map_err(|error| unusable(error.to_string()))?;
        let stop = Arc::new(AtomicBool::new(false));
        let (asked, asks) = mpsc::channel();
        let (found, finds) = mpsc::channel();
        let follow = Follow {
            consumer,
            admin: Arc::clone(admin),
            slots: Arc::clone(slots),
            topics: by_topic(slots),
            asked: asked.clone(),
            finds,
            stop: Arc::clone(&stop),
            order: VecDeque::new(),
            held_bytes: 0,
            recent_bytes_max: options.recent_bytes_max,
            unheld: HashMap::new(),
        };
        let (lookup_stop, lookup_admin) = (Arc::clone(&stop), Arc::clone(admin));
        let spawn = |name: &str, work: Box<dyn FnOnce() + Send>| {
            std::thread::Builder::new().name(name.into()).spawn(work).map_err(|error| unusable(error.to_string()))
        };
        let threads = vec![
            spawn("log-follow", Box::new(move || follow.run()))?,
            spawn("log-lookup", Box::new(move || lookup(&lookup_admin, &asks, &found, &lookup_stop)))?,
        ];
        Ok(Self { asked: Mutex::new(asked), stop, threads: Mutex::new(threads) })
    }

    /// Follows the partition from now on, if it does not yet.
    pub(crate) fn follow(&self, slot: &Arc<Slot>) {
        if !slot.following.swap(true, Ordering::AcqRel) {
            // Nobody listens only when the log is closed.
            let _ = self.asked.lock().unwrap_or_else(PoisonError::into_inner).send(Arc::clone(slot));
        }
    }

    /// Stops without waiting.
    pub(crate) fn stop(&self) {
        self.stop.store(true, Ordering::Release);
    }

    /// Waits for the threads after [`Self::stop`].
    pub(crate) fn join(&self) {
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        for thread in threads {
            let _ = thread.join();
        }
    }
}

/// Finds the ends of partitions, one after the other; one that does not answer goes to the back.
fn lookup(admin: &Admin, asks: &Receiver<Arc<Slot>>, found: &Sender<(Arc<Slot>, Offset)>, stop: &AtomicBool) {
    let mut open: VecDeque<Arc<Slot>> = VecDeque::new();
    while !stop.load(Ordering::Acquire) {
        let pause = if open.is_empty() { LOOKUP_AGAIN } else { Duration::ZERO };
        match asks.recv_timeout(pause) {
            Ok(slot) => open.push_back(slot),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        let Some(slot) = open.pop_front() else { continue };
        match admin.watermarks(&slot, LOOKUP_TIMEOUT) {
            Ok((_, end)) => {
                if found.send((slot, end)).is_err() {
                    return;
                }
            }
            Err(error) => {
                observe::background_failed("find the end of a partition", &failure::in_words(&error));
                open.push_back(slot);
                std::thread::sleep(LOOKUP_AGAIN);
            }
        }
    }
}

struct Follow {
    consumer: BaseConsumer<Context>,
    admin: Arc<Admin>,
    slots: Arc<Slots>,
    /// By name; index: partition.
    topics: HashMap<String, Vec<Arc<Slot>>>,
    asked: Sender<Arc<Slot>>,
    finds: Receiver<(Arc<Slot>, Offset)>,
    stop: Arc<AtomicBool>,
    /// Slots in the order of their records, for eviction.
    order: VecDeque<Arc<Slot>>,
    held_bytes: usize,
    recent_bytes_max: usize,
    /// Since when nobody holds the tail, by name and partition.
    unheld: HashMap<String, Instant>,
}

impl Follow {
    fn run(mut self) {
        let mut tidied = Instant::now();
        let mut batch: Vec<(Arc<Slot>, StoredRecord)> = Vec::with_capacity(BATCH_MAX);
        while !self.stop.load(Ordering::Acquire) {
            while let Ok((slot, end)) = self.finds.try_recv() {
                self.begin(&slot, end);
            }
            let mut out_of_range = false;
            let mut wait = POLL;
            while batch.len() < BATCH_MAX {
                match self.consumer.poll(wait) {
                    Some(Ok(message)) => {
                        if let Some(slot) = self.slot(message.topic(), message.partition()) {
                            batch.push((slot, stored(&message)));
                        }
                        wait = Duration::ZERO;
                    }
                    Some(Err(error)) => out_of_range |= is_out_of_range(&error),
                    None => break,
                }
            }
            self.take_over(&mut batch);
            if out_of_range {
                self.set_right();
            }
            if tidied.elapsed() > TIDY_EVERY {
                tidied = Instant::now();
                self.tidy();
            }
        }
        for slot in self.slots.iter() {
            slot.window().close();
        }
    }

    fn slot(&self, topic: &str, partition: i32) -> Option<Arc<Slot>> {
        self.topics.get(topic)?.get(usize::try_from(partition).ok()?).map(Arc::clone)
    }

    fn begin(&mut self, slot: &Arc<Slot>, end: Offset) {
        self.forget(slot);
        slot.window().open(end);
        slot.fetched.send_replace(end);
        slot.reaches(end);
        if let Err(error) = self.assign(slot, end) {
            observe::background_failed("follow a partition", &error.to_string());
            let _ = self.unassign(slot);
            self.forget(slot);
            let _ = self.asked.send(Arc::clone(slot));
        }
    }

    fn assign(&self, slot: &Slot, from: Offset) -> KafkaResult<()> {
        let mut list = TopicPartitionList::new();
        let offset = KafkaOffset::Offset(i64::try_from(from).unwrap_or(i64::MAX));
        list.add_partition_offset(&slot.name, slot.number(), offset)?;
        self.consumer.incremental_assign(&list)
    }

    fn unassign(&self, slot: &Slot) -> KafkaResult<()> {
        let mut list = TopicPartitionList::new();
        list.add_partition(&slot.name, slot.number());
        self.consumer.incremental_unassign(&list)
    }

    /// Reads go by cursor from now on.
    fn forget(&mut self, slot: &Arc<Slot>) {
        self.held_bytes -= slot.window().close().min(self.held_bytes);
        self.order.retain(|other| !Arc::ptr_eq(other, slot));
    }

    /// Puts the messages into their windows, then moves the tails and wakes their readers, once for each partition. Readers
    /// see the records of a partition that came together, together.
    fn take_over(&mut self, batch: &mut Vec<(Arc<Slot>, StoredRecord)>) {
        let mut by_slot: Vec<(Arc<Slot>, Vec<StoredRecord>)> = Vec::new();
        for (slot, record) in batch.drain(..) {
            match by_slot.iter_mut().find(|(other, _)| Arc::ptr_eq(other, &slot)) {
                Some((_, records)) => records.push(record),
                None => by_slot.push((slot, vec![record])),
            }
        }
        for (slot, records) in by_slot {
            let mut window = slot.window();
            for record in records {
                let bytes = window.push(record);
                if bytes > 0 {
                    self.held_bytes += bytes;
                    self.order.push_back(Arc::clone(&slot));
                }
            }
            let until = window.next();
            drop(window);
            if let Some(until) = until {
                slot.fetched.send_replace(until);
                slot.reaches(until);
            }
        }
        while self.held_bytes > self.recent_bytes_max {
            let Some(slot) = self.order.pop_front() else { break };
            self.held_bytes -= slot.window().evict().min(self.held_bytes);
        }
    }

    /// Some partition was trimmed past where we are: it goes on at its end.
    fn set_right(&mut self) {
        for slot in self.slots.iter().map(Arc::clone).collect::<Vec<_>>() {
            let Some(next) = slot.window().next() else { continue };
            match self.admin.watermarks(&slot, LOOKUP_TIMEOUT) {
                Ok((start, end)) if next < start || next > end => {
                    observe::follower_reset(&slot.context(), next, start, end);
                    // A partition that is not assigned is no error worth more than what comes next.
                    let _ = self.unassign(&slot);
                    self.begin(&slot, end);
                }
                Ok(_) => {}
                Err(error) => observe::background_failed("find the end of a partition", &failure::in_words(&error)),
            }
        }
    }

    /// Drops what nobody follows any more, and says how far behind the readers are.
    fn tidy(&mut self) {
        for slot in self.slots.iter().map(Arc::clone).collect::<Vec<_>>() {
            if slot.window().next().is_none() {
                continue;
            }
            let name = slot.context();
            if slot.tail.receiver_count() > 0 {
                self.unheld.remove(&name);
                if let Some(lag) = slot.lag() {
                    observe::lag(slot.topic.name(), slot.partition, lag);
                }
                continue;
            }
            if self.unheld.entry(name.clone()).or_insert_with(Instant::now).elapsed() > UNHELD_MAX {
                self.unheld.remove(&name);
                let _ = self.unassign(&slot);
                self.forget(&slot);
                slot.following.store(false, Ordering::Release);
                // Somebody came between: as if they came now.
                if slot.tail.receiver_count() > 0 && !slot.following.swap(true, Ordering::AcqRel) {
                    let _ = self.asked.send(Arc::clone(&slot));
                }
            }
        }
    }
}

fn by_topic(slots: &Slots) -> HashMap<String, Vec<Arc<Slot>>> {
    let mut topics: HashMap<String, Vec<Arc<Slot>>> = HashMap::new();
    for slot in slots.iter() {
        topics.entry(slot.name.to_string()).or_default().push(Arc::clone(slot));
    }
    topics
}
