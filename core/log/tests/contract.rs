//! The contract of the log seam over every implementation.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use fastn_log::{EmbeddedLog, EmbeddedOptions, Log};
use fastn_testkit::log_suite::{self, LogHarness};
use fastn_testkit::{MemoryLog, memory_log};
use tempfile::TempDir;

fn options() -> EmbeddedOptions {
    // A write buffer that these tests overflow, so that they read tables too.
    EmbeddedOptions {
        partitions: 2,
        write_buffer_bytes: 64 << 10,
        recent_bytes_max: 8 << 10,
        disk_free_bytes_min: 0,
        ..Default::default()
    }
}

fn open(dir: &Path) -> Arc<dyn Log> {
    Arc::new(EmbeddedLog::open(dir, options()).expect("opens"))
}

struct Embedded {
    dir: TempDir,
    log: Arc<dyn Log>,
}

#[async_trait]
impl LogHarness for Embedded {
    fn log(&self) -> Arc<dyn Log> {
        Arc::clone(&self.log)
    }

    async fn reopen(&mut self) -> Option<Arc<dyn Log>> {
        self.log.close().await.expect("closes");
        self.log = open(self.dir.path());
        Some(self.log())
    }

    fn too_large_bytes(&self) -> usize {
        options().record_bytes_max + 1
    }
}

struct Memory(Arc<MemoryLog>);

#[async_trait]
impl LogHarness for Memory {
    fn log(&self) -> Arc<dyn Log> {
        Arc::clone(&self.0) as Arc<dyn Log>
    }

    async fn reopen(&mut self) -> Option<Arc<dyn Log>> {
        None
    }

    fn too_large_bytes(&self) -> usize {
        memory_log::RECORD_BYTES_MAX + 1
    }
}

/// Property: the embedded log holds the contract.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn embedded_log_holds_the_contract() {
    log_suite::run(async || {
        let dir = tempfile::tempdir().expect("a directory");
        let log = open(dir.path());
        Box::new(Embedded { dir, log }) as Box<dyn LogHarness>
    })
    .await;
}

/// Property: the log in memory holds the contract, except that nothing survives it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_log_holds_the_contract() {
    log_suite::run(async || Box::new(Memory(Arc::new(MemoryLog::new(2)))) as Box<dyn LogHarness>).await;
}
