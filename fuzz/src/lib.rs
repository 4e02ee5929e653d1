//! What the fuzz targets share: requests as readable text, and a log that only takes.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use fastn_log::{Appended, Bounds, Log, LogResult, Membership, Offset, Partition, Record, StoredRecord, Topic};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::watch;

/// Reads a request as people write it: lines `name: value`, an empty line, the body. Lines that are no header are left
/// out, so every input is a request and a mutation of one byte changes little.
pub fn request(input: &[u8]) -> (HeaderMap, &[u8]) {
    let mut headers = HeaderMap::new();
    let mut rest = input;
    while !rest.is_empty() {
        let end = rest.iter().position(|byte| *byte == b'\n');
        let (line, after) = match end {
            Some(end) => (&rest[..end], &rest[end + 1..]),
            None => (rest, &rest[rest.len()..]),
        };
        rest = after;
        if line.is_empty() {
            break;
        }
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        let value = line[colon + 1..].trim_ascii();
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(&line[..colon]), HeaderValue::from_bytes(value)) {
            headers.append(name, value);
        }
    }
    (headers, rest)
}

/// A log that keeps the last append and does nothing else.
#[derive(Default)]
pub struct SinkLog {
    /// The records of the last append.
    pub last: Mutex<Vec<Record>>,
}

#[async_trait]
impl Log for SinkLog {
    fn partitions(&self) -> u32 {
        16
    }

    fn append(&self, _: Topic, _: Partition, records: Vec<Record>) -> BoxFuture<'static, LogResult<Appended>> {
        let count = records.len() as u64;
        *self.last.lock().expect("one thread") = records;
        async move { Ok(Appended { first: 0, count }) }.boxed()
    }

    async fn read(&self, _: Topic, _: Partition, _: Offset, _: usize, _: usize) -> LogResult<Vec<StoredRecord>> {
        unimplemented!("the edge only appends")
    }

    fn tail(&self, _: Topic, _: Partition) -> watch::Receiver<Offset> {
        unimplemented!("the edge only appends")
    }

    async fn bounds(&self, _: Topic, _: Partition) -> LogResult<Bounds> {
        unimplemented!("the edge only appends")
    }

    async fn trim(&self, _: Topic, _: Partition, _: Offset) -> LogResult<()> {
        unimplemented!("the edge only appends")
    }

    async fn join(&self, _: &str) -> LogResult<Membership> {
        Ok(Membership { owned: watch::channel(Arc::from([0].as_slice())).1 })
    }

    fn disk_bytes(&self) -> u64 {
        0
    }

    async fn close(&self) -> LogResult<()> {
        Ok(())
    }
}
