//! A log that is read through a registry: see [`Registry::reading`]. Everything but reading is the inner log's own.

use std::sync::Arc;

use async_trait::async_trait;
use futures_util::future::BoxFuture;
use tokio::sync::watch;

use super::Registry;
use crate::seam::{
    Appended, Bounds, Log, LogError, LogErrorKind, LogResult, Membership, Offset, Outcome, Partition, Record,
    StoredRecord, Topic,
};

pub(super) struct Reading {
    registry: Registry,
    log: Arc<dyn Log>,
}

impl Reading {
    pub(super) fn new(registry: Registry, log: Arc<dyn Log>) -> Self {
        Self { registry, log }
    }

    #[cfg(test)]
    pub(super) fn registry_mut(&mut self) -> &mut Registry {
        &mut self.registry
    }
}

#[async_trait]
impl Log for Reading {
    fn partitions(&self) -> u32 {
        self.log.partitions()
    }

    fn append(
        &self,
        topic: Topic,
        partition: Partition,
        records: Vec<Record>,
    ) -> BoxFuture<'static, LogResult<Appended>> {
        self.log.append(topic, partition, records)
    }

    async fn read(
        &self,
        topic: Topic,
        partition: Partition,
        from: Offset,
        records_max: usize,
        bytes_max: usize,
    ) -> LogResult<Vec<StoredRecord>> {
        let mut records = self.log.read(topic, partition, from, records_max, bytes_max).await?;
        for at in 0..records.len() {
            if let Err(failure) = self.registry.learn(&records[at].value).await {
                if at > 0 {
                    records.truncate(at);
                    break;
                }
                return Err(LogError {
                    kind: LogErrorKind::Io,
                    outcome: Outcome::NotDone,
                    operation: "read",
                    context: format!("{topic}[{partition}] at {}", records[at].offset),
                    message: format!(
                        "another version of fastn wrote it, and the schema registry {} does not tell its schema: {failure}",
                        self.registry.client.url()
                    ),
                });
            }
        }
        Ok(records)
    }

    fn tail(&self, topic: Topic, partition: Partition) -> watch::Receiver<Offset> {
        self.log.tail(topic, partition)
    }

    async fn bounds(&self, topic: Topic, partition: Partition) -> LogResult<Bounds> {
        self.log.bounds(topic, partition).await
    }

    async fn trim(&self, topic: Topic, partition: Partition, before: Offset) -> LogResult<()> {
        self.log.trim(topic, partition, before).await
    }

    async fn join(&self, group: &str) -> LogResult<Membership> {
        self.log.join(group).await
    }

    fn disk_bytes(&self) -> u64 {
        self.log.disk_bytes()
    }

    async fn close(&self) -> LogResult<()> {
        self.log.close().await
    }
}
