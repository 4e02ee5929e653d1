//! Questions to the cluster, and what the log orders it to do: make topics, delete records.

use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, ConfigResource, NewTopic, ResourceSpecifier};
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::metadata::Metadata;
use rdkafka::types::RDKafkaErrorCode as Code;
use rdkafka::{Offset as KafkaOffset, TopicPartitionList};

use crate::kafka::client::{self, Context};
use crate::kafka::options::KafkaOptions;
use crate::kafka::slot::Slot;
use crate::seam::Offset;

/// See the head comment.
pub(crate) struct Admin {
    client: AdminClient<Context>,
}

impl Admin {
    pub(crate) fn new(options: &KafkaOptions) -> KafkaResult<Self> {
        let client = AdminClient::from_config_and_context(&client::base(options), Context::default())?;
        Ok(Self { client })
    }

    /// The first readable offset of a partition and one past the last. Blocks.
    pub(crate) fn watermarks(&self, slot: &Slot, timeout: Duration) -> KafkaResult<(Offset, Offset)> {
        let (low, high) = self.client.inner().fetch_watermarks(&slot.name, slot.number(), timeout)?;
        // Kafka's offsets start at zero; -1 means that it does not know yet.
        match (u64::try_from(low), u64::try_from(high)) {
            (Ok(low), Ok(high)) => Ok((low, high)),
            _ => Err(KafkaError::MetadataFetch(RDKafkaErrorCode::LeaderNotAvailable)),
        }
    }

    /// The brokers, and the topic if one is named. Blocks.
    pub(crate) fn metadata(&self, topic: Option<&str>, timeout: Duration) -> KafkaResult<Metadata> {
        self.client.inner().fetch_metadata(topic, timeout)
    }

    /// Deletes the records before `before`. Returns the first offset that is left.
    pub(crate) async fn delete_before(&self, slot: &Slot, before: Offset, timeout: Duration) -> KafkaResult<Offset> {
        let mut list = TopicPartitionList::new();
        let offset = KafkaOffset::Offset(i64::try_from(before).unwrap_or(i64::MAX));
        list.add_partition_offset(&slot.name, slot.number(), offset)?;
        let answer = self.client.delete_records(&list, &request(timeout)).await?;
        for element in answer.elements() {
            element.error()?;
            if let KafkaOffset::Offset(low) = element.offset() {
                return Ok(u64::try_from(low).unwrap_or(before));
            }
        }
        Ok(before)
    }

    /// Makes topics. One that another node has just made is as good.
    pub(crate) async fn create(&self, topics: &[NewTopic<'_>], timeout: Duration) -> Result<(), (String, KafkaError)> {
        let options = request(timeout).operation_timeout(Some(timeout));
        let results = self.client.create_topics(topics, &options).await.map_err(|error| (String::new(), error))?;
        for result in results {
            match result {
                Ok(_) | Err((_, Code::TopicAlreadyExists)) => {}
                Err((topic, code)) => return Err((topic, KafkaError::AdminOp(code))),
            }
        }
        Ok(())
    }

    /// The settings of topics and brokers.
    pub(crate) async fn settings(
        &self,
        of: &[ResourceSpecifier<'_>],
        timeout: Duration,
    ) -> KafkaResult<Vec<Result<ConfigResource, RDKafkaErrorCode>>> {
        self.client.describe_configs(of, &request(timeout)).await
    }
}

fn request(timeout: Duration) -> AdminOptions {
    AdminOptions::new().request_timeout(Some(timeout))
}
