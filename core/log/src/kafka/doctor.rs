//! What is wrong with a cluster, in words, without changing anything in it.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rdkafka::admin::ResourceSpecifier;
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::message::Message;
use rdkafka::{Offset as KafkaOffset, TopicPartitionList};

use crate::kafka::admin::Admin;
use crate::kafka::client::{self, Context};
use crate::kafka::failure;
use crate::kafka::options::KafkaOptions;
use crate::kafka::topics::{self, Finding};
use crate::seam::Topic;

/// Records that seem to come from later than this are a sign of clocks that differ.
const SKEW_MAX: Duration = Duration::from_secs(2);
/// How long the newest record of a partition may take to arrive.
const NEWEST_WAIT: Duration = Duration::from_secs(2);
/// How long a connection is watched for what is wrong with it.
const TROUBLE_WAIT: Duration = Duration::from_secs(2);
/// The oldest version that has all that the log uses (static members are from 2.3).
const VERSION_MIN: (u32, u32) = (2, 3);

/// Looks at the cluster.
pub(crate) async fn examine(options: KafkaOptions) -> Vec<Finding> {
    let options = Arc::new(options);
    let admin = match Admin::new(&options) {
        Ok(admin) => Arc::new(admin),
        Err(error) => return vec![Finding::error(&options.brokers, format!("the settings are not usable: {error}"))],
    };
    let (asked, patience) = (Arc::clone(&admin), options.operation_timeout);
    let answer = tokio::task::spawn_blocking(move || {
        asked.metadata(None, patience).map(|found| found.brokers().iter().map(|broker| broker.id()).collect::<Vec<_>>())
    });
    let brokers = match answer.await {
        Ok(Ok(brokers)) => brokers,
        Ok(Err(error)) => {
            let otherwise = failure::in_words(&error);
            let told = Arc::clone(&options);
            let what = tokio::task::spawn_blocking(move || trouble(&told)).await.ok().flatten();
            return vec![Finding::error(&options.brokers, what.unwrap_or(otherwise))];
        }
        Err(panic) => return vec![Finding::error(&options.brokers, panic.to_string())],
    };
    let mut findings = Vec::new();
    if brokers.len() < usize::from(options.replication) {
        let (have, want) = (brokers.len(), options.replication);
        let what = format!("{have} brokers answer, and topics are to be kept {want} times: new topics can't be made");
        findings.push(Finding::error(&options.brokers, what));
    }
    for broker in brokers {
        findings.extend(version(&admin, broker, patience).await);
    }
    match topics::inspect(&admin, &options).await {
        Ok(found) => findings.extend(found),
        Err(error) => findings.push(Finding::error(&options.brokers, failure::in_words(&error))),
    }
    let skew = tokio::task::spawn_blocking(move || skew(&options)).await;
    findings.extend(skew.ok().flatten());
    findings
}

/// Why nobody answers, as far as a connection tells. Blocks. An admin client keeps it to itself, so a consumer tries.
pub(crate) fn trouble(options: &KafkaOptions) -> Option<String> {
    let context = Context::default();
    let consumer: BaseConsumer<Context> =
        BaseConsumer::from_config_and_context(&client::base(options), context.clone()).ok()?;
    // What it answers is known; this makes it connect.
    let _ = consumer.fetch_metadata(None, TROUBLE_WAIT);
    let began = Instant::now();
    while began.elapsed() < TROUBLE_WAIT {
        let _ = consumer.poll(Duration::from_millis(100));
        let troubles = context.troubles();
        let told = |wanted: &dyn Fn(&RDKafkaErrorCode) -> bool| {
            troubles.iter().rev().find(|(code, _)| wanted(code)).map(|(_, reason)| reason.clone())
        };
        let refused = |code: &RDKafkaErrorCode| {
            matches!(code, RDKafkaErrorCode::Authentication | RDKafkaErrorCode::SaslAuthenticationFailed)
        };
        if let Some(reason) = told(&refused) {
            return Some(format!("the brokers refused the user or password: {reason}"));
        }
        if let Some(reason) = told(&|code| *code == RDKafkaErrorCode::Resolve) {
            return Some(format!("a broker's name does not resolve: {reason}"));
        }
        if let Some(reason) = told(&|code| *code != RDKafkaErrorCode::AllBrokersDown) {
            // A handshake that fails is reported like a connection that does.
            let over = match options.security.tls {
                Some(_) => " over TLS; check the CA file, and whether this is the TLS listener",
                None => "",
            };
            return Some(format!("no broker can be reached{over}: {reason}"));
        }
    }
    None
}

/// Brokers before 4.0 name the version that they speak among themselves; a client learns nothing better.
async fn version(admin: &Admin, broker: i32, patience: Duration) -> Option<Finding> {
    let described = admin.settings(&[ResourceSpecifier::Broker(broker)], patience).await;
    // Not being allowed to see a broker's settings is nothing that the log needs.
    let settings = described.ok()?.into_iter().next()?.ok()?;
    let text = settings.get("inter.broker.protocol.version")?.value.clone()?;
    let mut numbers = text.split(['.', '-']).map_while(|part| part.parse::<u32>().ok());
    let found = (numbers.next()?, numbers.next().unwrap_or_default());
    let (major, minor) = VERSION_MIN;
    let what = format!("it speaks version {text}, and {major}.{minor} or newer is needed; upgrade it");
    (found < VERSION_MIN).then(|| Finding::error(format!("broker {broker}"), what))
}

/// Compares our clock with the newest record of the journal: the brokers stamp them, and none can be from later than now.
fn skew(options: &KafkaOptions) -> Option<Finding> {
    let config = client::reader(options);
    let consumer: BaseConsumer<Context> = BaseConsumer::from_config_and_context(&config, Context::default()).ok()?;
    let mut list = TopicPartitionList::new();
    for topic in [Topic::Executions, Topic::Events] {
        for partition in 0..options.partitions {
            let number = i32::try_from(partition).ok()?;
            list.add_partition_offset(&options.topic(topic), number, KafkaOffset::OffsetTail(1)).ok()?;
        }
    }
    consumer.assign(&list).ok()?;
    let mut newest = None;
    let mut wait = NEWEST_WAIT;
    while let Some(message) = consumer.poll(wait) {
        let Ok(message) = message else { continue };
        newest = newest.max(message.timestamp().to_millis());
        wait = Duration::from_millis(200);
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?.as_millis();
    let ahead = u128::try_from(newest?).ok()?.saturating_sub(now);
    let what = format!(
        "its newest record is {ahead} ms from the future: the clocks of this machine and of the brokers differ. Set them by \
         NTP; deadlines and windows are counted by both"
    );
    (ahead > SKEW_MAX.as_millis()).then(|| Finding::error(&options.brokers, what))
}
