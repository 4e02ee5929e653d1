//! A partition of a topic as all parts of the Kafka log see it.
//!
//! ```text
//!   start                 window            tail
//!   ──┬───────────────┬─────────────┬───────┬────────▶ offsets
//!     │ cursors read  │ from memory │ known to be there (acknowledged to us), not fetched yet
//! ```

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use crate::kafka::options::KafkaOptions;
use crate::kafka::window::Window;
use crate::seam::{Offset, Partition, Topic};
use crate::unheard::Failures;

/// See the head comment.
pub(crate) struct Slot {
    pub(crate) topic: Topic,
    pub(crate) partition: Partition,
    /// The topic's name in the cluster.
    pub(crate) name: Arc<str>,
    /// Everything before it was trimmed, as far as we know.
    start: AtomicU64,
    /// One past the newest record that we know to be there. Never goes back.
    pub(crate) tail: watch::Sender<Offset>,
    /// One past the newest record in the window.
    pub(crate) fetched: watch::Sender<Offset>,
    pub(crate) window: Mutex<Window>,
    /// Somebody has asked for the tail, and the follower knows or will.
    pub(crate) following: AtomicBool,
    /// One past the newest record that was handed to a reader here.
    read_to: AtomicU64,
    pub(crate) failures: Failures,
}

impl Slot {
    pub(crate) fn new(options: &KafkaOptions, name: &Arc<str>, topic: Topic, partition: Partition) -> Self {
        debug_assert_eq!(**name, *options.topic(topic));
        Self {
            topic,
            partition,
            name: Arc::clone(name),
            start: AtomicU64::new(0),
            tail: watch::Sender::new(0),
            fetched: watch::Sender::new(0),
            window: Mutex::default(),
            following: AtomicBool::new(false),
            read_to: AtomicU64::new(0),
            failures: Failures::default(),
        }
    }

    /// How librdkafka counts partitions.
    pub(crate) fn number(&self) -> i32 {
        // No cluster has two thousand million partitions.
        i32::try_from(self.partition).unwrap_or(i32::MAX)
    }

    pub(crate) fn context(&self) -> String {
        format!("{}[{}]", self.name, self.partition)
    }

    pub(crate) fn window(&self) -> MutexGuard<'_, Window> {
        // Nothing under this lock can panic half way.
        self.window.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn start(&self) -> Offset {
        self.start.load(Ordering::Acquire)
    }

    pub(crate) fn end(&self) -> Offset {
        *self.tail.borrow()
    }

    /// Learns that everything before `start` is gone.
    pub(crate) fn starts_at(&self, start: Offset) {
        self.start.fetch_max(start, Ordering::AcqRel);
        self.reaches(start);
    }

    /// Learns that there are records up to `end`.
    pub(crate) fn reaches(&self, end: Offset) {
        self.tail.send_if_modified(|tail| {
            let further = end > *tail;
            *tail = end.max(*tail);
            further
        });
    }

    pub(crate) fn was_read_to(&self, next: Offset) {
        self.read_to.fetch_max(next, Ordering::Relaxed);
    }

    /// Records that nobody in this process has read yet, once somebody has read any.
    pub(crate) fn lag(&self) -> Option<u64> {
        match self.read_to.load(Ordering::Relaxed) {
            0 => None,
            read_to => Some(self.end().saturating_sub(read_to)),
        }
    }
}

/// All partitions of all topics.
pub(crate) struct Slots {
    partitions: u32,
    slots: Box<[Arc<Slot>]>,
}

impl Slots {
    pub(crate) fn new(options: &KafkaOptions) -> Self {
        let mut slots = Vec::with_capacity(Topic::ALL.len() * options.partitions as usize);
        for topic in Topic::ALL {
            let name: Arc<str> = options.topic(topic).into();
            slots.extend((0..options.partitions).map(|at| Arc::new(Slot::new(options, &name, topic, at))));
        }
        Self { partitions: options.partitions, slots: slots.into() }
    }

    pub(crate) fn get(&self, topic: Topic, partition: Partition) -> &Arc<Slot> {
        let partitions = self.partitions;
        assert!(partition < partitions, "{topic}[{partition}] of a log with {partitions} partitions");
        &self.slots[topic as usize * partitions as usize + partition as usize]
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<Slot>> {
        self.slots.iter()
    }
}
