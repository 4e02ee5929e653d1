//! The settings of every librdkafka client that the log makes, and what such a client tells us.
//!
//! A client that is kind to a healthy cluster may still be slow to see that a broker is gone: the defaults wait a minute
//! for the answer of a frozen one and up to ten seconds before they connect again. The times below are what a processor
//! can stand still.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use crate::kafka::options::KafkaOptions;
use crate::observe;

/// Bytes that a record may need beside what [`crate::Record::size`] counts: lengths, the batch around it, header framing.
pub(crate) const RECORD_OVERHEAD_BYTES: usize = 64 << 10;
/// A broker that does not answer for so long is left: its partitions may have a new leader.
const SOCKET_TIMEOUT_MS: u32 = 10_000;
/// How long a broker may wait for the other copies before it answers; less than the above.
const REQUEST_TIMEOUT_MS: u32 = 8_000;
/// Requests under way to one broker, the most that an idempotent producer may have. Each holds records of one partition,
/// of which one is under way at a time ([`crate::kafka::line`]), so partitions do not wait for each other.
const REQUESTS_IN_FLIGHT: u32 = 5;
/// From the first record of a batch to its request: time to hand over the others. Without it the first goes out alone.
const LINGER_MS: &str = "0.5";
/// Brokers that come back are met again within this.
const RECONNECT_MS_MAX: u32 = 1_000;
/// New leaders are heard of at the latest after this, also when the old one says nothing.
const METADATA_REFRESH_MS: u32 = 10_000;
/// What is told of trouble with brokers, at most once in this time.
const TROUBLE_EVERY: Duration = Duration::from_secs(10);
/// What a caller may ask for later.
const TROUBLES_MAX: usize = 16;

/// What all clients share.
pub(crate) fn base(options: &KafkaOptions) -> ClientConfig {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", &options.brokers)
        .set("client.id", options.node.as_deref().unwrap_or("fastn"))
        .set("socket.timeout.ms", SOCKET_TIMEOUT_MS.to_string())
        .set("socket.keepalive.enable", "true")
        .set("socket.connection.setup.timeout.ms", "5000")
        .set("reconnect.backoff.ms", "50")
        .set("reconnect.backoff.max.ms", RECONNECT_MS_MAX.to_string())
        .set("topic.metadata.refresh.interval.ms", METADATA_REFRESH_MS.to_string())
        .set("message.max.bytes", (options.record_bytes_max + RECORD_OVERHEAD_BYTES).to_string())
        .set_log_level(RDKafkaLogLevel::Warning);
    secure(&mut config, options);
    config
}

fn secure(config: &mut ClientConfig, options: &KafkaOptions) {
    let security = &options.security;
    let protocol = match (&security.tls, &security.sasl) {
        (None, None) => "plaintext",
        (Some(_), None) => "ssl",
        (None, Some(_)) => "sasl_plaintext",
        (Some(_), Some(_)) => "sasl_ssl",
    };
    config.set("security.protocol", protocol);
    if let Some(tls) = &security.tls {
        let files = [
            ("ssl.ca.location", &tls.ca_file),
            ("ssl.certificate.location", &tls.certificate_file),
            ("ssl.key.location", &tls.key_file),
        ];
        for (name, file) in files {
            if let Some(file) = file {
                config.set(name, file.to_string_lossy());
            }
        }
    }
    if let Some(sasl) = &security.sasl {
        config
            .set("sasl.mechanism", &sasl.mechanism)
            .set("sasl.username", &sasl.username)
            .set("sasl.password", &sasl.password);
    }
}

/// A producer. Idempotent, so that a retry neither doubles nor reorders; without an end to its patience (`message.timeout.ms`
/// 0), so that it never drops one record and sends the next: when we lose patience, the whole producer goes. Batches are
/// what gathered while the one before was under way ([`crate::kafka::line`]).
pub(crate) fn producer(options: &KafkaOptions) -> ClientConfig {
    let mut config = base(options);
    config
        .set("enable.idempotence", "true")
        .set("enable.gapless.guarantee", "true")
        .set("acks", "all")
        .set("message.timeout.ms", "0")
        .set("request.timeout.ms", REQUEST_TIMEOUT_MS.to_string())
        .set("max.in.flight.requests.per.connection", REQUESTS_IN_FLIGHT.to_string())
        .set("linger.ms", LINGER_MS)
        .set("retry.backoff.ms", "50")
        .set("retry.backoff.max.ms", "500")
        // We count what is queued ourselves, because an append of many records is taken whole or not at all.
        .set("queue.buffering.max.messages", "0")
        .set("queue.buffering.max.kbytes", "2147483647");
    config
}

/// A consumer that is told what to read and from where. It is in no group: the name is only there because librdkafka does
/// not assign without one.
pub(crate) fn reader(options: &KafkaOptions) -> ClientConfig {
    let mut config = base(options);
    config
        .set("group.id", options.group("reader"))
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("auto.offset.reset", "error")
        .set("check.crcs", "true")
        // Nobody who writes here uses transactions; a stranger who does must not be able to hold up a partition.
        .set("isolation.level", "read_uncommitted")
        .set("fetch.error.backoff.ms", "50")
        .set("fetch.queue.backoff.ms", "5")
        .set("fetch.message.max.bytes", "1048576");
    config
}

/// What a client tells: log lines, errors of connections.
#[derive(Clone, Default)]
pub(crate) struct Context {
    troubles: Arc<Mutex<Troubles>>,
}

#[derive(Default)]
struct Troubles {
    told: Option<Instant>,
    recent: Vec<(RDKafkaErrorCode, String)>,
}

impl Context {
    /// The newest errors of connections, oldest first.
    pub(crate) fn troubles(&self) -> Vec<(RDKafkaErrorCode, String)> {
        self.troubles.lock().unwrap_or_else(PoisonError::into_inner).recent.clone()
    }
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        observe::kafka_client_said(level as u8, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        let code = error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Fail);
        if code == RDKafkaErrorCode::PartitionEOF {
            return;
        }
        let mut troubles = self.troubles.lock().unwrap_or_else(PoisonError::into_inner);
        if troubles.recent.len() == TROUBLES_MAX {
            troubles.recent.remove(0);
        }
        troubles.recent.push((code, reason.to_owned()));
        if troubles.told.is_none_or(|told| told.elapsed() > TROUBLE_EVERY) {
            troubles.told = Some(Instant::now());
            observe::kafka_trouble(reason);
        }
    }
}

impl ConsumerContext for Context {}
