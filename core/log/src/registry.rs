//! A Confluent-compatible schema registry: our schemas are registered at start, its ids stand on the wire, and schemas that
//! other versions of fastn registered are looked up when their records are met.
//!
//! Without one nothing of this happens, and records carry the local ids of the committed schemas. Both kinds of ids stay
//! readable for ever, so a registry may be added to a log that has records already. It may not be exchanged for one that
//! gives other ids: its ids are in the log.
//!
//! Subjects are the records' full names (RecordNameStrategy), since one topic has several records, one record lies in two
//! topics, and topics carry the prefix of their cell.
//!
//! What was learned is kept in a file of the node, so that it starts while the registry is away. Only a node that has never
//! registered one of its schemas needs it there.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use self::client::{Client, Failure};
use self::reading::Reading;
use crate::codec::schemas::{self, Committed};
use crate::codec::{self, Codec};
use crate::observe;
use crate::seam::Log;

mod client;
mod reading;
#[cfg(test)]
mod tests;

/// How often a node that cannot start without the registry tries to reach it, and the wait between.
const START_TRIES_MAX: u32 = 3;
const START_AGAIN: Duration = Duration::from_secs(1);
/// An id that the registry does not have is asked for again after this time.
const MISSING_AGAIN: Duration = Duration::from_secs(60);
/// Ids remembered as missing. Beyond it all are forgotten, and asked for again when met.
const MISSING_MAX: usize = 1_024;

/// Where the registry is.
#[derive(Clone)]
pub struct RegistryOptions {
    /// Its base URL, e.g. `https://registry:8081` or `http://host/apis/ccompat/v7`. User and password may be part of it.
    pub url: String,
    /// User of basic authentication.
    pub user: Option<String>,
    /// Password of basic authentication.
    pub password: Option<String>,
    /// The file that keeps what was learned, in the node's data directory, e.g. `schema-ids.json`.
    pub cache: PathBuf,
}

impl fmt::Debug for RegistryOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mask = |secret: &Option<String>| secret.as_ref().map(|_| "***");
        let url = client::without_credentials(&self.url);
        let mut debug = f.debug_struct("RegistryOptions");
        debug.field("url", &url).field("user", &self.user).field("password", &mask(&self.password));
        debug.field("cache", &self.cache).finish()
    }
}

/// Why the schemas could not be registered. Nothing was written to the log.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// The URL is none.
    #[error("schema registry {url}: {reason}")]
    Url {
        /// The URL, without credentials.
        url: String,
        /// What is wrong.
        reason: String,
    },
    /// The registry says no: credentials, or a schema that it holds to be incompatible.
    #[error("register schema {file} as {subject} at {url}: {reason}")]
    Refused {
        /// The schema's file.
        file: &'static str,
        /// The subject.
        subject: String,
        /// The registry, without credentials.
        url: String,
        /// What it answered.
        reason: String,
    },
    /// The registry is away, and this node does not know all ids from before.
    #[error(
        "the schema registry {url} does not answer ({reason}), and this node has not registered {file} there yet, so it \
         cannot know its id. Start the registry, or start the node without one"
    )]
    NeverKnown {
        /// The registry, without credentials.
        url: String,
        /// What happened.
        reason: String,
        /// The schema without an id.
        file: &'static str,
    },
    /// The file of what was learned cannot be written.
    #[error("keep the ids of the schema registry in {}: {source}", path.display())]
    Cache {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

/// Registers every schema, and makes the codec of this process write the registry's ids. Called once, before the log is
/// opened; the log is then read through [`Registry::reading`].
///
/// # Errors
/// See [`RegistryError`].
pub async fn register(options: &RegistryOptions) -> Result<Registry, RegistryError> {
    Registry::start(options, codec::global()).await
}

/// A registry whose ids are in force.
pub struct Registry {
    client: Client,
    codec: &'static Codec,
    path: PathBuf,
    kept: Mutex<Kept>,
    missing: Mutex<HashMap<u32, Instant>>,
}

/// What is known of the registry's ids, as it is kept in a file.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Kept {
    /// The registry, without credentials: another one gives other ids.
    registry: String,
    /// The ids of our files.
    ids: BTreeMap<String, u32>,
    /// Schemas of other versions of fastn, by id.
    learned: BTreeMap<u32, String>,
}

impl Kept {
    /// What was kept of this registry; nothing, if there is no such file or it does not read.
    fn load(path: &Path, registry: &str) -> Self {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        let kept: Option<Kept> = serde_json::from_str(&text).ok();
        let fresh = || Kept { registry: registry.to_owned(), ..Kept::default() };
        kept.filter(|kept| kept.registry == registry).unwrap_or_else(fresh)
    }

    /// Replaces the file as a whole.
    fn store(&self, path: &Path) -> std::io::Result<()> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let beside = path.with_extension("new");
        std::fs::write(&beside, serde_json::to_vec_pretty(self).map_err(std::io::Error::other)?)?;
        std::fs::rename(&beside, path)
    }
}

impl Registry {
    async fn start(options: &RegistryOptions, codec: &'static Codec) -> Result<Self, RegistryError> {
        let began = Instant::now();
        let client = Client::new(options)?;
        let mut kept = Kept::load(&options.cache, client.url());
        let committed = schemas::committed();
        let known: BTreeMap<String, u32> = kept.ids.clone();
        match register_all(&client, &committed, &known).await {
            Ok(ids) => {
                kept.ids = ids;
                let stored = kept.store(&options.cache);
                stored.map_err(|source| RegistryError::Cache { path: options.cache.clone(), source })?;
                observe::schemas_registered(client.url(), kept.ids.len(), began);
            }
            Err(Stopped::Away(reason)) => observe::registry_away_at_start(client.url(), &reason),
            Err(Stopped::For(error)) => return Err(error),
        }
        let ids = committed.iter().filter_map(|schema| Some((schema.id, *kept.ids.get(schema.file)?)));
        codec.register(ids.collect());
        for (id, schema) in &kept.learned {
            codec.learn(*id, schema);
        }
        let path = options.cache.clone();
        Ok(Self { client, codec, path, kept: Mutex::new(kept), missing: Mutex::default() })
    }

    /// The log, read so that no record is handed out before the schema that it was written with is known. A record whose
    /// schema cannot be looked up now makes the read fail, and is met again by the next one; a record whose schema the
    /// registry does not have is handed out, and does not decode.
    pub fn reading(self, log: Arc<dyn Log>) -> Arc<dyn Log> {
        Arc::new(Reading::new(self, log))
    }

    /// Learns the schema that `value` was written with, unless it is known or the registry does not have it.
    async fn learn(&self, value: &[u8]) -> Result<(), Failure> {
        let Some(id) = self.codec.unknown(value) else { return Ok(()) };
        let found = self.missing.lock().unwrap_or_else(PoisonError::into_inner).get(&id).copied();
        if found.is_some_and(|at| at.elapsed() < MISSING_AGAIN) {
            return Ok(());
        }
        let schema = self.client.schema(id).await.inspect_err(|failure| observe::lookup_failed(id, failure))?;
        match schema.filter(|schema| self.codec.learn(id, schema)) {
            Some(schema) => {
                observe::schema_learned(id);
                let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
                kept.learned.insert(id, schema);
                // Not kept: it is looked up again after the next start.
                let _again = kept.store(&self.path).inspect_err(|error| observe::ids_not_kept(&self.path, error));
            }
            None => {
                let mut missing = self.missing.lock().unwrap_or_else(PoisonError::into_inner);
                if missing.len() >= MISSING_MAX {
                    missing.clear();
                }
                missing.insert(id, Instant::now());
            }
        }
        Ok(())
    }
}

/// Why registering did not come to its end.
enum Stopped {
    /// The registry is away, and every id is known from before.
    Away(String),
    For(RegistryError),
}

async fn register_all(
    client: &Client,
    committed: &[Committed],
    known: &BTreeMap<String, u32>,
) -> Result<BTreeMap<String, u32>, Stopped> {
    let mut ids = BTreeMap::new();
    for schema in committed {
        ids.insert(schema.file.to_owned(), register_one(client, schema, committed, known).await?);
    }
    Ok(ids)
}

async fn register_one(
    client: &Client,
    schema: &Committed,
    committed: &[Committed],
    known: &BTreeMap<String, u32>,
) -> Result<u32, Stopped> {
    let (subject, file, url) = (schema.kind.full_name(), schema.file, client.url().to_owned());
    let unknown = committed.iter().find(|schema| !known.contains_key(schema.file));
    let mut tries = 1;
    loop {
        match (client.register(&subject, schema.text).await, unknown) {
            (Ok(id), _) => return Ok(id),
            (Err(Failure::Refused(reason)), _) => {
                return Err(Stopped::For(RegistryError::Refused { file, subject, url, reason }));
            }
            (Err(Failure::Away(reason)), None) => return Err(Stopped::Away(reason)),
            (Err(Failure::Away(reason)), Some(unknown)) if tries == START_TRIES_MAX => {
                return Err(Stopped::For(RegistryError::NeverKnown { url, reason, file: unknown.file }));
            }
            (Err(Failure::Away(_)), Some(_)) => {
                tries += 1;
                tokio::time::sleep(START_AGAIN).await;
            }
        }
    }
}
