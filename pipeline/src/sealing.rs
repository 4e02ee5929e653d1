//! A log whose records of some customers lie sealed: payloads under the customer's data key, the rest readable by anybody.
//!
//! ```text
//!   plain record ─▶ value:  the same record without its payloads   ─▶ log
//!                   header `fastn_sealed`: key id, AES-256-GCM of the whole value
//! ```
//!
//! This is the one place that seals and opens. Who reads through it sees the records as they were appended; who reads the
//! topics beside it sees valid records without payloads. A record whose key is destroyed reads as the latter do: an event
//! then says so ([`EventRecord::is_erased`]), and a journal record still tells which executions began and ended, so that a
//! recovery gets past it. An `Admitted` record tells of several customers; each of its executions is sealed by itself, and what
//! it tells of each event.
//!
//! Sealed are the records of customers who have an active key in the catalog. Where nobody has one, an append costs one
//! look, and a read one comparison of names a header.
//!
//! A key that the catalog does not hold is destroyed only if the catalog is at least as new as the one that sealed; else
//! this node is behind, and the read waits, then fails: it must not take for erased what it can't open yet.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use fastn_domain::catalog::Catalog;
use fastn_domain::event::{EventRecord, Header, SEALED_HEADER};
use fastn_domain::journal::JournalRecord;
use fastn_domain::scope::Scope;
use fastn_log::{
    Appended, Bounds, Log, LogError, LogErrorKind, LogResult, Membership, Offset, Outcome, Partition, Record,
    StoredRecord, Topic, codec, event_record, revision_of, with_revision,
};
use fastn_store::{LogCipher, Vault};
use futures_util::future::BoxFuture;
use tokio::sync::watch;

use self::blob::{Blob, Part};
use self::strip::Admission;

mod blob;
mod strip;

/// The header that holds what is sealed. It is no attribute of an event: its name does not begin with `ce_`.
const HEADER: &str = "fastn_sealed";
/// Longest wait for a configuration that another node has already.
const CATALOG_WAIT_MAX: Duration = Duration::from_secs(3);

/// See the head of this file.
pub struct SealedLog {
    inner: Arc<dyn Log>,
    catalog: watch::Receiver<Arc<Catalog>>,
    vault: Arc<Vault>,
    /// Keys that were opened, by id.
    open: Mutex<HashMap<String, Arc<LogCipher>>>,
}

impl SealedLog {
    /// Seals and opens what goes through to `inner`, with the keys of `catalog`.
    pub fn new(inner: Arc<dyn Log>, catalog: watch::Receiver<Arc<Catalog>>, vault: Arc<Vault>) -> Self {
        Self { inner, catalog, vault, open: Mutex::default() }
    }

    /// The opened key; nothing if the catalog does not hold it.
    fn cipher(&self, catalog: &Catalog, id: &str) -> LogResult<Option<(Scope, Arc<LogCipher>)>> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((scope, key)) = catalog.log_keys().get(id) else {
            open.remove(id);
            return Ok(None);
        };
        if let Some(cipher) = open.get(id) {
            return Ok(Some((scope.clone(), Arc::clone(cipher))));
        }
        let cipher = self
            .vault
            .log_cipher(scope, id, &key.sealed)
            .map_err(|error| failed(LogErrorKind::Io, "open the data key of", scope.to_string(), error.to_string()))?;
        let cipher = Arc::new(cipher);
        open.insert(id.to_owned(), Arc::clone(&cipher));
        Ok(Some((scope.clone(), cipher)))
    }

    /// The key under which new records of `scope` are sealed, with its id.
    fn active(&self, catalog: &Catalog, scope: &Scope) -> LogResult<Option<(String, Arc<LogCipher>)>> {
        let Some(key) = catalog.log_keys().active(scope) else { return Ok(None) };
        Ok(self.cipher(catalog, &key.id)?.map(|(_, cipher)| (key.id.clone(), cipher)))
    }

    fn sealed(&self, catalog: &Catalog, topic: Topic, record: Record) -> LogResult<Record> {
        let scope = std::str::from_utf8(&record.key).ok().and_then(Scope::from_key);
        match (topic, scope) {
            (Topic::Events, Some(scope)) => self.sealed_event(catalog, &scope, record),
            (Topic::Executions, Some(scope)) => self.sealed_journal(catalog, &scope, record),
            (Topic::Executions, None) => self.sealed_admissions(catalog, record),
            _ => Ok(record),
        }
    }

    fn sealed_event(&self, catalog: &Catalog, scope: &Scope, record: Record) -> LogResult<Record> {
        let Some((id, cipher)) = self.active(catalog, scope)? else { return Ok(record) };
        let Ok(event) = codec::decode_event(&record.value) else { return Ok(record) };
        if event.is_erasure() {
            return Ok(record);
        }
        let marker = Header { name: SEALED_HEADER.to_owned(), value: id.clone() };
        let bare = EventRecord { subject: None, headers: vec![marker], data: Arc::from("null"), ..event };
        let mut stripped = event_record(&bare);
        let sealed = seal(&cipher, scope, &id, Part::Whole, &stripped.value, &record.value);
        stripped.headers.push(sealed);
        Ok(with_revision(stripped, catalog.revision))
    }

    fn sealed_journal(&self, catalog: &Catalog, scope: &Scope, record: Record) -> LogResult<Record> {
        let Some((id, cipher)) = self.active(catalog, scope)? else { return Ok(record) };
        let Ok(mut bare) = codec::decode_journal(&record.value) else { return Ok(record) };
        strip::journal(&mut bare);
        let mut stripped = Record::new(record.key, codec::encode_journal(&bare));
        let sealed = seal(&cipher, scope, &id, Part::Whole, &stripped.value, &record.value);
        stripped.headers.push(sealed);
        Ok(with_revision(stripped, catalog.revision))
    }

    fn sealed_admissions(&self, catalog: &Catalog, record: Record) -> LogResult<Record> {
        let Ok(JournalRecord::Admitted(mut admitted)) = codec::decode_journal(&record.value) else {
            return Ok(record);
        };
        let mut blobs = Vec::new();
        for event in &mut admitted.events {
            let Some((id, cipher)) = self.active(catalog, &event.scope)? else { continue };
            let told = Admission::take(event).map(|plain| (Part::Event(event.offset), plain));
            let starts = event.executions.iter_mut();
            let starts = starts.filter_map(|start| Some((Part::Execution(start.id), strip::start(start)?)));
            let parts = told.into_iter().chain(starts);
            blobs.extend(parts.map(|(part, plain)| seal(&cipher, &event.scope, &id, part, &[], plain.as_bytes())));
        }
        if blobs.is_empty() {
            return Ok(record);
        }
        let value = codec::encode_journal(&JournalRecord::Admitted(admitted));
        let stripped = Record { key: record.key, headers: blobs, value };
        Ok(with_revision(stripped, catalog.revision))
    }

    /// The record as it was appended, or as far as its keys still open it.
    async fn opened(&self, mut stored: StoredRecord) -> LogResult<StoredRecord> {
        let (blobs, headers): (Vec<_>, Vec<_>) =
            std::mem::take(&mut stored.headers).into_iter().partition(|(name, _)| name == HEADER);
        stored.headers = headers;
        let mut parts = HashMap::new();
        for (_, bytes) in blobs {
            let Some(blob) = Blob::read(&bytes) else { return Err(damaged(&stored)) };
            let Some((scope, cipher)) = self.key_of(&stored, blob.key).await? else { continue };
            let place = blob::place(&scope, blob.key, &blob.part.bound_to(&stored.value));
            let plain = cipher.open(&place, blob.sealed).ok_or_else(|| damaged(&stored))?;
            match blob.part {
                Part::Whole => stored.value = Bytes::from(plain),
                part => drop(parts.insert(part, plain)),
            }
        }
        if !parts.is_empty()
            && let Ok(JournalRecord::Admitted(mut admitted)) = codec::decode_journal(&stored.value)
        {
            for event in &mut admitted.events {
                if let Some(plain) = parts.remove(&Part::Event(event.offset)) {
                    let told: Admission = serde_json::from_slice(&plain).map_err(|_| damaged(&stored))?;
                    told.put(event);
                }
                for start in &mut event.executions {
                    if let Some(plain) = parts.remove(&Part::Execution(start.id)) {
                        *start = serde_json::from_slice(&plain).map_err(|_| damaged(&stored))?;
                    }
                }
            }
            stored.value = codec::encode_journal(&JournalRecord::Admitted(admitted));
        }
        Ok(stored)
    }

    /// The key that a record names; nothing once it is destroyed.
    async fn key_of(&self, stored: &StoredRecord, id: &str) -> LogResult<Option<(Scope, Arc<LogCipher>)>> {
        let catalog = self.catalog.borrow().clone();
        if let Some(found) = self.cipher(&catalog, id)? {
            return Ok(Some(found));
        }
        let sealed_at = revision_of(stored).unwrap_or_default();
        if catalog.revision >= sealed_at {
            return Ok(None);
        }
        let mut newest = self.catalog.clone();
        let learned = newest.wait_for(|catalog| catalog.revision >= sealed_at);
        match tokio::time::timeout(CATALOG_WAIT_MAX, learned).await {
            Ok(Ok(catalog)) => {
                let catalog = Arc::clone(&catalog);
                self.cipher(&catalog, id)
            }
            _ => Err(failed(
                LogErrorKind::Io,
                "open",
                format!("the record at offset {}", stored.offset),
                "it is sealed under a key that this node's configuration does not hold yet".to_owned(),
            )),
        }
    }
}

/// The header that holds `plain`. The whole value is bound to `stripped`, which stands in its stead.
fn seal(
    cipher: &LogCipher,
    scope: &Scope,
    key: &str,
    part: Part,
    stripped: &[u8],
    plain: &[u8],
) -> (Cow<'static, str>, Bytes) {
    let place = blob::place(scope, key, &part.bound_to(stripped));
    (Cow::Borrowed(HEADER), blob::write(key, part, &cipher.seal(&place, plain)))
}

fn failed(kind: LogErrorKind, operation: &'static str, context: String, message: String) -> LogError {
    LogError { kind, outcome: Outcome::NotDone, operation, context, message }
}

fn damaged(stored: &StoredRecord) -> LogError {
    let context = format!("the record at offset {}", stored.offset);
    failed(LogErrorKind::Corrupt, "open", context, "it was sealed for another place, or was changed".to_owned())
}

#[async_trait]
impl Log for SealedLog {
    fn partitions(&self) -> u32 {
        self.inner.partitions()
    }

    fn append(
        &self,
        topic: Topic,
        partition: Partition,
        records: Vec<Record>,
    ) -> BoxFuture<'static, LogResult<Appended>> {
        let catalog = self.catalog.borrow().clone();
        if catalog.log_keys().is_empty() {
            return self.inner.append(topic, partition, records);
        }
        let sealed = records.into_iter().map(|record| self.sealed(&catalog, topic, record));
        match sealed.collect::<LogResult<Vec<_>>>() {
            Ok(records) => self.inner.append(topic, partition, records),
            Err(error) => Box::pin(std::future::ready(Err(error))),
        }
    }

    async fn read(
        &self,
        topic: Topic,
        partition: Partition,
        from: Offset,
        records_max: usize,
        bytes_max: usize,
    ) -> LogResult<Vec<StoredRecord>> {
        let records = self.inner.read(topic, partition, from, records_max, bytes_max).await?;
        let is_sealed = |stored: &StoredRecord| stored.headers.iter().any(|(name, _)| name == HEADER);
        if !records.iter().any(is_sealed) {
            return Ok(records);
        }
        let mut opened = Vec::with_capacity(records.len());
        for stored in records {
            opened.push(if is_sealed(&stored) { self.opened(stored).await? } else { stored });
        }
        Ok(opened)
    }

    fn tail(&self, topic: Topic, partition: Partition) -> watch::Receiver<Offset> {
        self.inner.tail(topic, partition)
    }

    async fn bounds(&self, topic: Topic, partition: Partition) -> LogResult<Bounds> {
        self.inner.bounds(topic, partition).await
    }

    async fn trim(&self, topic: Topic, partition: Partition, before: Offset) -> LogResult<()> {
        self.inner.trim(topic, partition, before).await
    }

    async fn join(&self, group: &str) -> LogResult<Membership> {
        self.inner.join(group).await
    }

    fn disk_bytes(&self) -> u64 {
        self.inner.disk_bytes()
    }

    async fn close(&self) -> LogResult<()> {
        self.inner.close().await
    }
}
