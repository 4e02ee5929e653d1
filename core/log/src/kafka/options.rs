//! What an operator or a test may turn on the Kafka log.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use crate::seam::Topic;

/// Options of [`crate::KafkaLog::open`].
#[derive(Clone, Debug)]
pub struct KafkaOptions {
    /// Where to ask for the cluster first: `host:port`, several with commas.
    pub brokers: String,
    /// Put before every topic and group, e.g. `eu.` for a residency cell.
    pub prefix: String,
    /// Partitions of every topic. Fixed when the topics are made; another number is refused.
    pub partitions: u32,
    /// Copies of every partition, for topics that are made here.
    pub replication: u16,
    /// Copies that have a record before it is acknowledged, for topics that are made here.
    pub min_insync: u16,
    /// This process's name in its groups. A named member that dies and is back within the session keeps its partitions
    /// without a rebalance; two processes of one name shut each other out. `None`: a new name each time.
    pub node: Option<String>,
    /// How to talk to the brokers.
    pub security: Security,
    /// How long an append may wait for its acknowledgement before its outcome is called unknown.
    pub delivery_timeout: Duration,
    /// How long a read, a trim or a question for the bounds may wait for brokers.
    pub operation_timeout: Duration,
    /// After how much silence the group takes a member for dead, and a member itself for shut out. Brokers allow no less
    /// than their `group.min.session.timeout.ms`, 6 s if untouched.
    pub session_timeout: Duration,
    /// Appended bytes that may wait for their acknowledgement; past it appends are refused as `Busy`. Ingest and the
    /// journal each have as much.
    pub queue_bytes_max: usize,
    /// The largest record taken.
    pub record_bytes_max: usize,
    /// Memory for the newest records of followed partitions, from which their readers are served.
    pub recent_bytes_max: usize,
    /// Consumers for reads that are not near the head of a followed partition.
    pub cursors_max: usize,
    /// How long `traces` are kept, for a topic that is made here. The other topics are trimmed by fastn alone.
    pub traces_retention: Duration,
}

impl Default for KafkaOptions {
    fn default() -> Self {
        Self {
            brokers: String::new(),
            prefix: String::new(),
            partitions: 16,
            replication: 3,
            min_insync: 2,
            node: None,
            security: Security::default(),
            delivery_timeout: Duration::from_secs(60),
            operation_timeout: Duration::from_secs(30),
            session_timeout: Duration::from_secs(6),
            queue_bytes_max: 64 << 20,
            record_bytes_max: 8 << 20,
            recent_bytes_max: 16 << 20,
            cursors_max: 4,
            traces_retention: Duration::from_secs(7 * 24 * 3_600),
        }
    }
}

impl KafkaOptions {
    /// The topic's name in the cluster.
    pub fn topic(&self, topic: Topic) -> String {
        format!("{}{topic}", self.prefix)
    }

    /// The group's name in the cluster.
    pub(crate) fn group(&self, group: &str) -> String {
        format!("{}fastn-{group}", self.prefix)
    }

    /// The member's name in a group, if it has one.
    pub(crate) fn member(&self, group: &str) -> Option<String> {
        self.node.as_ref().map(|node| format!("{node}-{group}"))
    }
}

/// How to talk to the brokers.
#[derive(Clone, Debug, Default)]
pub struct Security {
    /// TLS, if any.
    pub tls: Option<Tls>,
    /// Who we are, if the brokers ask.
    pub sasl: Option<Sasl>,
}

/// TLS to the brokers.
#[derive(Clone, Debug, Default)]
pub struct Tls {
    /// Certificates that the brokers' are checked against (PEM); `None`: those of the system.
    pub ca_file: Option<PathBuf>,
    /// Our own certificate (PEM), for brokers that ask for one.
    pub certificate_file: Option<PathBuf>,
    /// The key of our certificate (PEM).
    pub key_file: Option<PathBuf>,
}

/// A user of the cluster.
#[derive(Clone)]
pub struct Sasl {
    /// `SCRAM-SHA-512`, `SCRAM-SHA-256` or `PLAIN`.
    pub mechanism: String,
    /// The user's name.
    pub username: String,
    /// The user's password. Never printed.
    pub password: String,
}

impl fmt::Debug for Sasl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { mechanism, username, password: _ } = self;
        let mut shown = f.debug_struct("Sasl");
        shown.field("mechanism", mechanism).field("username", username).field("password", &"***").finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Property: printing the options does not print the password.
    #[test]
    fn debug_masks_the_password() {
        let sasl =
            Sasl { mechanism: "PLAIN".to_owned(), username: "fastn".to_owned(), password: "top-secret".to_owned() };
        let security = Security { tls: None, sasl: Some(sasl) };
        let shown = format!("{:?}", KafkaOptions { security, ..KafkaOptions::default() });
        assert!(shown.contains("PLAIN") && !shown.contains("top-secret"), "{shown}");
    }
}
