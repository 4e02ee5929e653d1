//! The topics: made as they must be, or held against it. An existing topic is never changed; the operator is told how.
//!
//! - **Retention is unlimited** for `events`, `executions` and `control`: what may go is known to the processors alone, which
//!   trim with DeleteRecords. Time says nothing: an execution that sleeps for a month needs its records. `traces` are
//!   nobody's state and are kept for a week.
//! - **No compaction.** Records of `control` and claims have no key, which a compacted topic refuses; in `events` and
//!   `executions` the key is the customer, and compaction would keep one record of each.
//! - **LogAppendTime**: a producer's clock is not believed, and time hardly goes back along a partition.
//! - **Segments** are smaller than Kafka's default of 1 GiB, because DeleteRecords frees disk by whole segments.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::admin::{ConfigResource, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::error::KafkaError;
use rdkafka::metadata::MetadataTopic;

use crate::kafka::admin::Admin;
use crate::kafka::client::RECORD_OVERHEAD_BYTES;
use crate::kafka::failure;
use crate::kafka::options::KafkaOptions;
use crate::seam::{LogError, LogErrorKind, Outcome, Topic};

/// A new topic must be known and have leaders within this, beside the time that making it takes.
const SETTLE_MAX: Duration = Duration::from_secs(15);
const SETTLE_LOOK: Duration = Duration::from_millis(50);

/// Something about the cluster that an operator should know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Whether fastn refuses to work with it.
    pub severity: Severity,
    /// On what: a topic, a broker, the cluster.
    pub on: String,
    /// What is wrong and what to do.
    pub what: String,
}

/// How bad a [`Finding`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// It works, and is not as safe or quick as it could be.
    Warning,
    /// It does not work, or would lose records.
    Error,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.on, self.what)
    }
}

impl Finding {
    pub(crate) fn error(on: impl Into<String>, what: impl Into<String>) -> Self {
        Self { severity: Severity::Error, on: on.into(), what: what.into() }
    }

    pub(crate) fn warning(on: impl Into<String>, what: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, on: on.into(), what: what.into() }
    }
}

/// Makes the topics that are missing, waits until they can be used, and returns what is wrong with those that are there.
pub(crate) async fn prepare(admin: &Arc<Admin>, options: &Arc<KafkaOptions>) -> Result<Vec<Finding>, LogError> {
    let missing: Vec<Topic> = present(admin, options)
        .await
        .map_err(|error| failure::not_done("look for the topics on", options.brokers.clone(), &error))?
        .into_iter()
        .filter_map(|(topic, present)| present.is_none().then_some(topic))
        .collect();
    if !missing.is_empty() {
        create(admin, options, &missing).await?;
    }
    let looked = |error| failure::not_done("look at the topics on", options.brokers.clone(), &error);
    let began = Instant::now();
    // Each of them was seen or made, but the broker that answers now may not have heard of it yet.
    let found = loop {
        let found = present(admin, options).await.map_err(looked)?;
        if found.iter().all(|(_, topic)| topic.is_some()) || began.elapsed() > SETTLE_MAX {
            break found;
        }
        tokio::time::sleep(SETTLE_LOOK).await;
    };
    judge(admin, options, found).await.map_err(looked)
}

async fn create(admin: &Arc<Admin>, options: &Arc<KafkaOptions>, topics: &[Topic]) -> Result<(), LogError> {
    let settings: Vec<(String, Vec<(&str, String)>)> =
        topics.iter().map(|topic| (options.topic(*topic), settings(options, *topic))).collect();
    let new: Vec<NewTopic<'_>> = settings
        .iter()
        .map(|(name, settings)| {
            let partitions = i32::try_from(options.partitions).unwrap_or(i32::MAX);
            let topic = NewTopic::new(name, partitions, TopicReplication::Fixed(i32::from(options.replication)));
            settings.iter().fold(topic, |topic, (key, value)| topic.set(key, value))
        })
        .collect();
    admin.create(&new, options.operation_timeout).await.map_err(|(topic, error)| {
        let on = if topic.is_empty() { options.brokers.clone() } else { topic };
        failure::error(LogErrorKind::Io, Outcome::Unknown, "make topic", on, failure::in_words(&error))
    })?;
    let began = Instant::now();
    loop {
        let settled = present(admin, options).await.is_ok_and(|topics| {
            topics.iter().all(|(_, topic)| {
                topic
                    .as_ref()
                    .is_some_and(|topic| topic.len() == options.partitions as usize && topic.iter().all(Part::led))
            })
        });
        if settled || began.elapsed() > SETTLE_MAX {
            // What is wrong then is found by looking at it.
            return Ok(());
        }
        tokio::time::sleep(SETTLE_LOOK).await;
    }
}

/// What a topic is made with.
fn settings(options: &KafkaOptions, topic: Topic) -> Vec<(&'static str, String)> {
    let (retention_ms, segment_bytes) = match topic {
        Topic::Events | Topic::Executions => (-1, 256 << 20),
        Topic::Control => (-1, 16 << 20),
        Topic::Traces => (i64::try_from(options.traces_retention.as_millis()).unwrap_or(i64::MAX), 256 << 20),
    };
    vec![
        ("cleanup.policy", "delete".to_owned()),
        ("retention.ms", retention_ms.to_string()),
        ("retention.bytes", "-1".to_owned()),
        ("segment.bytes", segment_bytes.to_string()),
        ("min.insync.replicas", options.min_insync.min(options.replication).to_string()),
        ("unclean.leader.election.enable", "false".to_owned()),
        ("message.timestamp.type", "LogAppendTime".to_owned()),
        ("max.message.bytes", message_bytes(options).to_string()),
        ("compression.type", "producer".to_owned()),
    ]
}

fn message_bytes(options: &KafkaOptions) -> usize {
    options.record_bytes_max + RECORD_OVERHEAD_BYTES
}

/// A partition as the cluster has it.
pub(crate) struct Part {
    leader: i32,
    replicas: usize,
    in_sync: usize,
}

impl Part {
    fn led(&self) -> bool {
        self.leader >= 0
    }
}

/// The topics with their partitions, `None` for one that is missing.
async fn present(
    admin: &Arc<Admin>,
    options: &Arc<KafkaOptions>,
) -> Result<Vec<(Topic, Option<Vec<Part>>)>, KafkaError> {
    let (admin, options) = (Arc::clone(admin), Arc::clone(options));
    let look = move || {
        let mut found = Vec::new();
        for topic in Topic::ALL {
            let name = options.topic(topic);
            let metadata = admin.metadata(Some(&name), options.operation_timeout)?;
            let topic_found = metadata.topics().iter().find(|found| found.name() == name);
            found.push((topic, topic_found.and_then(parts)));
        }
        Ok(found)
    };
    let looked = tokio::task::spawn_blocking(look).await;
    looked.unwrap_or_else(|panic| Err(KafkaError::ClientCreation(panic.to_string())))
}

fn parts(topic: &MetadataTopic) -> Option<Vec<Part>> {
    let part = |part: &rdkafka::metadata::MetadataPartition| Part {
        leader: part.leader(),
        replicas: part.replicas().len(),
        in_sync: part.isr().len(),
    };
    (topic.error().is_none() && !topic.partitions().is_empty()).then(|| topic.partitions().iter().map(part).collect())
}

/// What is wrong with the topics.
pub(crate) async fn inspect(admin: &Arc<Admin>, options: &Arc<KafkaOptions>) -> Result<Vec<Finding>, KafkaError> {
    judge(admin, options, present(admin, options).await?).await
}

async fn judge(
    admin: &Arc<Admin>,
    options: &Arc<KafkaOptions>,
    found: Vec<(Topic, Option<Vec<Part>>)>,
) -> Result<Vec<Finding>, KafkaError> {
    let mut findings = Vec::new();
    let names = Topic::ALL.map(|topic| options.topic(topic));
    let mut replicas = HashMap::new();
    for (topic, parts) in found {
        let name = options.topic(topic);
        match parts {
            None => findings.push(Finding::error(name, "there is no such topic; `fastn serve` makes it at its start")),
            Some(parts) => {
                judge_parts(options, &name, &parts, &mut findings);
                replicas.insert(name, parts.iter().map(|part| part.replicas).min().unwrap_or_default());
            }
        }
    }
    let asked: Vec<_> =
        names.iter().filter(|name| replicas.contains_key(*name)).map(|name| ResourceSpecifier::Topic(name)).collect();
    let described =
        if asked.is_empty() { Vec::new() } else { admin.settings(&asked, options.operation_timeout).await? };
    for (at, resource) in described.into_iter().enumerate() {
        let ResourceSpecifier::Topic(name) = asked[at] else { continue };
        match resource {
            Ok(resource) => {
                let topic = Topic::ALL[names.iter().position(|other| other == name).unwrap_or_default()];
                judge_settings(options, topic, name, replicas[name], &resource, &mut findings);
            }
            Err(code) => {
                let what = format!("its settings can't be read ({code}); grant DESCRIBE_CONFIGS to check them");
                findings.push(Finding::warning(name, what));
            }
        }
    }
    Ok(findings)
}

fn judge_parts(options: &KafkaOptions, name: &str, parts: &[Part], findings: &mut Vec<Finding>) {
    let expected = options.partitions as usize;
    if parts.len() != expected {
        let what = format!(
            "it has {} partitions, and {expected} are configured. The number is fixed when the topics are made: configure \
             {}, or use another prefix",
            parts.len(),
            parts.len()
        );
        findings.push(Finding::error(name, what));
    }
    let headless = parts.iter().filter(|part| !part.led()).count();
    if headless > 0 {
        let what = format!("{headless} of its partitions have no leader: too few of their brokers run");
        findings.push(Finding::error(name, what));
    }
    let short = parts.iter().filter(|part| part.in_sync < part.replicas).count();
    if short > 0 {
        let what = format!("{short} of its partitions lack a copy that is in sync: a broker is away or behind");
        findings.push(Finding::warning(name, what));
    }
    let replicas = parts.iter().map(|part| part.replicas).min().unwrap_or_default();
    if replicas < 3 {
        let what =
            format!("it is kept {replicas} times: the death of a broker can lose records or stop all work; keep 3");
        findings.push(Finding::warning(name, what));
    }
}

fn judge_settings(
    options: &KafkaOptions,
    topic: Topic,
    name: &str,
    replicas: usize,
    resource: &ConfigResource,
    findings: &mut Vec<Finding>,
) {
    let text = |key: &str| resource.get(key).and_then(|entry| entry.value.as_deref()).unwrap_or_default();
    let number = |key: &str| text(key).parse::<i64>().ok();
    let mut require = |key: &str, sound: bool, must: &str, why: &str| {
        if !sound {
            findings.push(Finding::error(name, format!("{key} is {}, and must be {must}: {why}", text(key))));
        }
    };
    require("cleanup.policy", text("cleanup.policy") == "delete", "delete", "compaction would drop records that count");
    let why = "the log's times must be the brokers'";
    require("message.timestamp.type", text("message.timestamp.type") == "LogAppendTime", "LogAppendTime", why);
    let bytes = message_bytes(options) as i64;
    let fits = number("max.message.bytes").is_none_or(|most| most >= bytes);
    require("max.message.bytes", fits, &format!("{bytes} or more"), "fastn writes records of that size");
    let clean = text("unclean.leader.election.enable") != "true";
    require("unclean.leader.election.enable", clean, "false", "acknowledged records could be lost");
    if topic != Topic::Traces {
        for key in ["retention.ms", "retention.bytes"] {
            let why = "fastn itself trims what no execution needs; age and size do not say";
            require(key, number(key).is_none_or(|limit| limit == -1), "-1", why);
        }
    }
    let insync = number("min.insync.replicas").unwrap_or(1);
    let sound = replicas < 3 || insync >= 2;
    require("min.insync.replicas", sound, "2", "a record must survive the broker that took it");
    let possible = insync <= replicas as i64;
    require(
        "min.insync.replicas",
        possible,
        &format!("{replicas} or less"),
        "more copies than there are can't be in sync",
    );
}
