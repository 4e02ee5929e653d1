//! The two URLs that choose the back ends, and what Kafka needs beside its URL.

use std::fmt;
use std::path::PathBuf;

use anyhow::bail;
use serde::{Deserialize, Serialize};

/// Where the log is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum LogBackend {
    /// Embedded, in this directory.
    File(PathBuf),
    /// Kafka, at these brokers: `host:port,host:port`.
    Kafka(String),
}

impl LogBackend {
    /// Reads `file:DIR` or `kafka://host:port,…`.
    pub(crate) fn parse(url: &str) -> anyhow::Result<Self> {
        match (url.strip_prefix("file:"), url.strip_prefix("kafka://")) {
            (Some(directory), _) if !directory.is_empty() => Ok(Self::File(PathBuf::from(directory))),
            (_, Some(brokers)) if !brokers.is_empty() && !brokers.contains(['/', '@']) => {
                Ok(Self::Kafka(brokers.to_owned()))
            }
            _ => bail!("the log {url:?} is neither file:DIR nor kafka://HOST:PORT,…; users and TLS go under `kafka`"),
        }
    }
}

/// Where the store is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum StoreBackend {
    /// SQLite, in this directory.
    Sqlite(PathBuf),
    /// PostgreSQL, with this URL.
    Postgres(Masked),
}

impl StoreBackend {
    /// Reads `sqlite:DIR` or `postgres://…`.
    pub(crate) fn parse(url: &Masked) -> anyhow::Result<Self> {
        match url.0.strip_prefix("sqlite:") {
            Some(directory) if !directory.is_empty() => Ok(Self::Sqlite(PathBuf::from(directory))),
            _ if url.0.starts_with("postgres://") || url.0.starts_with("postgresql://") => {
                Ok(Self::Postgres(url.clone()))
            }
            // The URL is not repeated: one of a database may hold a password.
            _ => bail!("the store is neither sqlite:DIR nor postgres://USER:PASSWORD@HOST/DATABASE"),
        }
    }
}

/// A URL whose password is not shown.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub(crate) struct Masked(pub(crate) String);

impl fmt::Display for Masked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some((scheme, rest)) = self.0.split_once("://") else { return f.write_str(&self.0) };
        // The query may name a password too.
        let rest = rest.split_once('?').map_or(rest, |(rest, _)| rest);
        match rest.rsplit_once('@') {
            Some((user, place)) => {
                let user = user.split_once(':').map_or(user, |(user, _)| user);
                write!(f, "{scheme}://{user}:***@{place}")
            }
            None => write!(f, "{scheme}://{rest}"),
        }
    }
}

impl fmt::Debug for Masked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Masked {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl std::str::FromStr for Masked {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self(text.to_owned()))
    }
}

/// A value that is never shown.
#[derive(Clone, Deserialize)]
#[serde(transparent)]
pub(crate) struct Hidden(pub(crate) String);

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl Serialize for Hidden {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str("***")
    }
}

/// What Kafka needs beside the addresses of its brokers.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct KafkaSettings {
    /// Copies of each partition of new topics; 3 when absent.
    pub(crate) replication: Option<u16>,
    /// Copies that must have a record before it counts; one less than `replication`, at least 1, when absent.
    pub(crate) min_insync: Option<u16>,
    /// What the names of topics and groups begin with; the region, as in `eu.`, when absent.
    pub(crate) prefix: Option<String>,
    /// Whether connections are encrypted.
    pub(crate) tls: bool,
    /// The authorities that vouch for the brokers, PEM; the system's when absent.
    pub(crate) tls_ca: Option<PathBuf>,
    /// This client's certificate, PEM.
    pub(crate) tls_certificate: Option<PathBuf>,
    /// The key of the certificate, PEM.
    pub(crate) tls_key: Option<PathBuf>,
    /// `PLAIN`, `SCRAM-SHA-256` or `SCRAM-SHA-512`.
    pub(crate) sasl_mechanism: Option<String>,
    /// The user.
    pub(crate) sasl_user: Option<String>,
    /// The password; `FASTN_KAFKA_PASSWORD` wins.
    pub(crate) sasl_password: Option<Hidden>,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Property: each URL names its back end, everything else is refused, and no password is shown or repeated.
    #[test]
    fn urls_choose_back_ends() {
        assert_eq!(LogBackend::parse("file:a/b").unwrap(), LogBackend::File("a/b".into()));
        assert_eq!(LogBackend::parse("kafka://a:1,b:2").unwrap(), LogBackend::Kafka("a:1,b:2".to_owned()));
        for url in ["file:", "kafka://", "kafka://user:pw@a:1", "nats://a"] {
            assert!(LogBackend::parse(url).is_err(), "{url}");
        }
        let url = Masked("postgres://app:hid@den@db:5432/fastn?sslkey=hidden".to_owned());
        assert_eq!(url.to_string(), "postgres://app:***@db:5432/fastn");
        assert!(matches!(StoreBackend::parse(&url), Ok(StoreBackend::Postgres(_))));
        let refused = StoreBackend::parse(&Masked("mysql://u:hidden@db".to_owned())).unwrap_err().to_string();
        assert!(!refused.contains("hidden"), "{refused}");
        assert_eq!(serde_json::to_string(&Hidden("pw".to_owned())).unwrap(), "\"***\"");
    }
}
