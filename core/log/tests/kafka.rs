//! The Kafka log over a real cluster: the contract of the seam, and what is Kafka's own.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use fastn_log::{KafkaLog, KafkaOptions, Log};
use fastn_testkit::log_suite::{self, LogHarness};

/// A log of its own in a cluster that others use too.
fn options(brokers: &str) -> KafkaOptions {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    let prefix = format!("t{:x}-{}.", since.as_nanos(), NUMBER.fetch_add(1, Ordering::Relaxed));
    let replication = if brokers.contains(',') { 3 } else { 1 };
    KafkaOptions {
        brokers: brokers.to_owned(),
        prefix,
        partitions: 2,
        replication,
        // Windows that the suite overflows, so that it reads by cursor too.
        recent_bytes_max: 64 << 10,
        ..KafkaOptions::default()
    }
}

fn brokers() -> String {
    std::env::var("FASTN_TEST_KAFKA").unwrap_or_else(|_| "127.0.0.1:21000,127.0.0.1:21010,127.0.0.1:21020".to_owned())
}

struct Kafka {
    options: KafkaOptions,
    log: Arc<KafkaLog>,
}

#[async_trait]
impl LogHarness for Kafka {
    fn log(&self) -> Arc<dyn Log> {
        Arc::clone(&self.log) as Arc<dyn Log>
    }

    async fn reopen(&mut self) -> Option<Arc<dyn Log>> {
        self.log.close().await.expect("closes");
        self.log = Arc::new(KafkaLog::open(self.options.clone()).expect("opens"));
        Some(self.log())
    }

    fn too_large_bytes(&self) -> usize {
        self.options.record_bytes_max + 1
    }
}

/// Property: the Kafka log holds the contract.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kafka_log_holds_the_contract() {
    log_suite::run(async || {
        let options = options(&brokers());
        let log = Arc::new(KafkaLog::open(options.clone()).expect("opens"));
        Box::new(Kafka { options, log }) as Box<dyn LogHarness>
    })
    .await;
}
