//! Who owns which partition: a consumer group over `executions`, of which only the assignment is used. All topics are
//! divided alike, so one of them decides for all. Nothing is fetched and no offset is committed.
//!
//! **Protocol.** The classic one with the cooperative assignor: a partition that stays with its owner is not interrupted,
//! and the session is the member's own setting, so that the partitions of a dead process move within ten seconds. In the
//! newer protocol (KIP-848) brokers set the session, with 45 s as the least unless an operator changes them, and a member
//! that reaches no broker goes on as if it owned. The classic client counts its own session: a member that nobody answers
//! gives its partitions up by itself. Claims make a late one harmless all the same.
//!
//! **Named members** (`node`) are static: killed and back within the session, they have their partitions again at once,
//! where a nameless one waits for its own ghost to time out. A static member does not leave when its client is closed; we
//! leave by unsubscribing first, which does, so that a drained node hands over within a second.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rdkafka::client::ClientContext;
use rdkafka::config::{FromClientConfigAndContext, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{Offset as KafkaOffset, TopicPartitionList};
use tokio::sync::watch;

use crate::kafka::client::{self, Context};
use crate::kafka::failure;
use crate::kafka::options::KafkaOptions;
use crate::observe;
use crate::seam::{Partition, Topic};

/// How often a member is served: callbacks run in there.
const POLL: Duration = Duration::from_millis(100);
/// A change of the group is heard with a heartbeat.
const HEARTBEAT_MS: u32 = 500;
/// Trouble with the group is told at most once in this time.
const TELL_EVERY: Duration = Duration::from_secs(10);
/// How long leaving may take before the group is left to find out by itself.
const LEAVE_MAX: Duration = Duration::from_secs(3);

/// A membership of a group.
pub(crate) struct Member {
    pub(crate) group: String,
    pub(crate) owned: watch::Receiver<Arc<[Partition]>>,
    stop: Arc<AtomicBool>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Member {
    pub(crate) fn join(options: &KafkaOptions, group: &str) -> KafkaResult<Self> {
        let mut config = client::reader(options);
        config
            .set("group.id", options.group(group))
            .set("group.protocol", "classic")
            .set("partition.assignment.strategy", "cooperative-sticky")
            .set("session.timeout.ms", options.session_timeout.as_millis().to_string())
            .set("heartbeat.interval.ms", HEARTBEAT_MS.to_string())
            .set("max.poll.interval.ms", "60000");
        if let Some(name) = options.member(group) {
            config.set("group.instance.id", name);
        }
        let (owned, watched) = watch::channel(Arc::from([]));
        let held =
            Held { group: options.group(group), owned, partitions: Mutex::default(), context: Context::default() };
        let consumer = BaseConsumer::from_config_and_context(&config, held)?;
        consumer.subscribe(&[&options.topic(Topic::Executions)])?;
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::Builder::new().name("log-member".into());
        let thread = thread.spawn(move || serve(consumer, &stopped));
        let thread = thread.map_err(|error| KafkaError::ClientCreation(error.to_string()))?;
        Ok(Self { group: group.to_owned(), owned: watched, stop, thread: Mutex::new(Some(thread)) })
    }

    /// Leaves without waiting.
    pub(crate) fn stop(&self) {
        self.stop.store(true, Ordering::Release);
    }

    /// Waits until the group is left, after [`Self::stop`].
    pub(crate) fn wait(&self) {
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            let _ = thread.join();
        }
    }
}

fn serve(consumer: BaseConsumer<Held>, stop: &AtomicBool) {
    let mut told: Option<Instant> = None;
    while !stop.load(Ordering::Acquire) {
        // Messages are not fetched: everything is paused.
        let Some(Err(error)) = consumer.poll(POLL) else { continue };
        if is_shut_out(&error) {
            consumer.context().shut_out(&error);
            // librdkafka uses this client for nothing any more. A second try would shut out the other one in turn.
            while !stop.load(Ordering::Acquire) {
                std::thread::sleep(POLL);
            }
            return;
        }
        if told.is_none_or(|told| told.elapsed() > TELL_EVERY) {
            told = Some(Instant::now());
            observe::background_failed("take part in the group", &failure::in_words(&error));
        }
    }
    consumer.unsubscribe();
    let began = Instant::now();
    // Leaving is under way once the revocation is served; one more look lets the request go out.
    while began.elapsed() < LEAVE_MAX && !consumer.context().is_empty() {
        consumer.poll(Duration::from_millis(10));
    }
    consumer.poll(POLL);
    consumer.context().clear();
}

fn is_shut_out(error: &KafkaError) -> bool {
    matches!(error, KafkaError::MessageConsumptionFatal(_))
        || matches!(error.rdkafka_error_code(), Some(RDKafkaErrorCode::Fatal | RDKafkaErrorCode::FencedInstanceId))
}

/// What a member holds, and where it hears of it.
struct Held {
    group: String,
    owned: watch::Sender<Arc<[Partition]>>,
    partitions: Mutex<BTreeSet<Partition>>,
    context: Context,
}

impl Held {
    fn partitions(&self) -> MutexGuard<'_, BTreeSet<Partition>> {
        self.partitions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_empty(&self) -> bool {
        self.partitions().is_empty()
    }

    fn clear(&self) {
        self.change(BTreeSet::clear);
    }

    fn change(&self, change: impl FnOnce(&mut BTreeSet<Partition>)) {
        let mut partitions = self.partitions();
        change(&mut partitions);
        let owned: Arc<[Partition]> = partitions.iter().copied().collect();
        self.owned.send_if_modified(|before| {
            let changed = before[..] != owned[..];
            *before = owned;
            changed
        });
    }

    fn shut_out(&self, error: &KafkaError) {
        self.clear();
        observe::shut_out(&self.group, &error.to_string());
    }
}

impl ClientContext for Held {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.context.log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.context.error(error, reason);
    }
}

impl ConsumerContext for Held {
    fn rebalance(&self, consumer: &BaseConsumer<Self>, event: RDKafkaRespErr, list: &mut TopicPartitionList) {
        let named: Vec<Partition> =
            list.elements().iter().filter_map(|element| u32::try_from(element.partition()).ok()).collect();
        let done = if event == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS {
            observe::assigned(&self.group, &named);
            // At the end and paused: the assignment is all that we want.
            let done = list
                .set_all_offsets(KafkaOffset::End)
                .and_then(|()| consumer.incremental_assign(list))
                .and_then(|()| consumer.pause(list));
            self.change(|owned| owned.extend(&named));
            done
        } else {
            observe::revoked(&self.group, &named, consumer.assignment_lost());
            // First here, then there: whoever gets them next must not find us still at it for longer than needed.
            self.change(|owned| named.iter().for_each(|partition| _ = owned.remove(partition)));
            consumer.incremental_unassign(list)
        };
        if let Err(error) = done {
            observe::background_failed("follow a change of the group", &error.to_string());
        }
    }
}
