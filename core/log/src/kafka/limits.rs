//! What Kafka reaches without fastn around it: the limit that a bench puts beside its figures.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseRecord, Producer, ProducerContext, ThreadedProducer};
use rdkafka::{ClientConfig, ClientContext};

use crate::kafka::failure;
use crate::kafka::options::KafkaOptions;
use crate::seam::{LogErrorKind, LogResult, Outcome, Topic};

/// How long what was sent may take to be acknowledged at the end.
const FLUSH_MAX: Duration = Duration::from_secs(60);

#[derive(Clone, Default)]
struct Count(Arc<AtomicU64>);

impl ClientContext for Count {}

impl ProducerContext for Count {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if result.is_ok() {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Records a second that a plain idempotent producer with `acks=all` gets acknowledged on `traces`, when it sends as fast
/// as its queue takes them: `value_bytes` each, over all partitions, for `time`. The records stay in the topic; they decode
/// as nothing. Blocks.
///
/// # Errors
/// The producer cannot be made, or does not flush.
pub fn bare_producer(options: &KafkaOptions, value_bytes: usize, time: Duration) -> LogResult<f64> {
    let failed = |error: KafkaError| {
        failure::error(LogErrorKind::Io, Outcome::Unknown, "measure", options.brokers.clone(), error.to_string())
    };
    let count = Count::default();
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", &options.brokers).set("enable.idempotence", "true").set("acks", "all");
    let producer: ThreadedProducer<Count> = config.create_with_context(count.clone()).map_err(failed)?;
    let topic = options.topic(Topic::Traces);
    let (value, key) = (vec![7u8; value_bytes], b"acc/cus".as_slice());
    let (began, over) = (Instant::now(), AtomicBool::new(false));
    let mut sent = 0u64;
    while !over.load(Ordering::Relaxed) {
        let partition = (sent % u64::from(options.partitions)) as i32;
        let record = BaseRecord::<[u8], [u8]>::to(&topic).partition(partition).key(key).payload(&value);
        match producer.send(record) {
            Ok(()) => sent += 1,
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _)) => {
                std::thread::sleep(Duration::from_millis(1));
            }
            Err((error, _)) => return Err(failed(error)),
        }
        over.store(began.elapsed() > time, Ordering::Relaxed);
    }
    producer.flush(FLUSH_MAX).map_err(failed)?;
    Ok(count.0.load(Ordering::Relaxed) as f64 / began.elapsed().as_secs_f64())
}
