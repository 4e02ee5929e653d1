//! What the tests of the Kafka log share.
#![allow(dead_code, unreachable_pub, reason = "each test binary uses its part")]

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use fastn_log::{Appended, KafkaOptions, Log, Offset, Record, Topic};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{FutureProducer, FutureRecord};
use tokio::time::timeout;

/// Longer than anything that works takes.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// A log of its own in a cluster that others use too.
pub fn options(brokers: &str) -> KafkaOptions {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    let prefix = format!("t{:x}-{}.", since.as_nanos(), NUMBER.fetch_add(1, Ordering::Relaxed));
    let replication = if brokers.contains(',') { 3 } else { 1 };
    KafkaOptions {
        brokers: brokers.to_owned(),
        prefix,
        partitions: 2,
        replication,
        // Windows that the tests overflow, so that they read by cursor too.
        recent_bytes_max: 64 << 10,
        ..KafkaOptions::default()
    }
}

/// Appends values and waits for the answer.
pub async fn append(log: &dyn Log, topic: Topic, partition: u32, values: &[&str]) -> Appended {
    let records = values.iter().map(|value| Record::new("account/customer", value.to_string())).collect();
    timeout(DEADLINE, log.append(topic, partition, records)).await.expect("answers").expect("an append succeeds")
}

/// The values from `from` to the end.
pub async fn read_all(log: &dyn Log, topic: Topic, partition: u32, from: Offset) -> Vec<String> {
    let (mut next, mut values) = (from, Vec::new());
    loop {
        let records = log.read(topic, partition, next, 1_000, 1 << 20).await.expect("a read succeeds");
        let Some(last) = records.last() else { return values };
        next = last.offset + 1;
        values.extend(records.iter().map(|record| String::from_utf8_lossy(&record.value).into_owned()));
    }
}

fn client(options: &KafkaOptions) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", &options.brokers);
    config
}

/// Makes a topic as somebody else would.
pub async fn make_topic(options: &KafkaOptions, topic: Topic, partitions: i32, settings: &[(&str, &str)]) {
    let admin: AdminClient<DefaultClientContext> = client(options).create().expect("a client");
    let name = options.topic(topic);
    let new = NewTopic::new(&name, partitions, TopicReplication::Fixed(1));
    let new = settings.iter().fold(new, |new, (key, value)| new.set(key, value));
    let wait = AdminOptions::new().operation_timeout(Some(DEADLINE));
    admin.create_topics(&[new], &wait).await.expect("asks").remove(0).expect("makes the topic");
}

/// Two records of a stranger: one of nothing, one with headers that ours do not have.
pub async fn produce_raw(options: &KafkaOptions, topic: Topic, partition: i32) {
    let producer: FutureProducer = client(options).create().expect("a client");
    let name = options.topic(topic);
    let nothing = FutureRecord::<(), ()>::to(&name).partition(partition);
    producer.send(nothing, DEADLINE).await.expect("is written");
    let headers = OwnedHeaders::new()
        .insert(Header { key: "who", value: Some("stranger") })
        .insert(Header { key: "none", value: None::<&str> });
    let headed = FutureRecord::<(), str>::to(&name).partition(partition).payload("headed").headers(headers);
    producer.send(headed, DEADLINE).await.expect("is written");
}
