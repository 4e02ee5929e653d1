//! The values of the log: Avro in the Confluent wire format.
//!
//! ```text
//! 0x00 │ schema id u32 big-endian │ Avro datum
//! ```
//!
//! The schema id says which record it is, so there is no union around them. Without a schema registry it is the local id of
//! a committed schema; with one, the registry's, and records of both kinds are read. Decoding reads with the schema that the
//! writer used: a field that it does not have comes from `#[serde(default)]`, and one that only it has is passed over.
//! Writing uses the newest version of a record. Whatever the bytes, decoding gives an error value, never a panic.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{LazyLock, OnceLock, PoisonError, RwLock};

use apache_avro::Schema;
use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::writer::datum::GenericDatumWriter;
use bytes::Bytes;
use fastn_domain::event::EventRecord;
use fastn_domain::journal::JournalRecord;
use fastn_domain::trace::Trace;
use serde::Serialize;
use serde::de::DeserializeOwned;

use self::schemas::Kind;

pub(crate) mod schemas;

/// Length of the magic byte and the schema id.
const PREFIX_BYTES: usize = 5;
const MAGIC: u8 = 0;
/// No string or array of a record is longer than the log's largest record.
const ALLOCATION_BYTES_MAX: usize = 16 << 20;
/// The largest id of a schema registry: they are positive 32-bit integers.
pub(crate) const REGISTRY_ID_MAX: u32 = i32::MAX as u32;
/// Schemas that are kept beside our own. A release adds one or two.
const SCHEMAS_LEARNED_MAX: usize = 1_024;

/// Why bytes are no record.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    /// They do not begin with a zero byte and a schema id.
    #[error("decode a record: {0} bytes that do not begin with a zero byte and a schema id")]
    NotFramed(usize),
    /// The schema id is none of ours: a newer version wrote it, or another program.
    #[error("decode a record: schema {0} is unknown; a newer version of fastn may have written it")]
    UnknownSchema(u32),
    /// It is a record, but not one that belongs there.
    #[error("decode a record: a {0} does not belong here")]
    WrongRecord(&'static str),
    /// The datum does not fit its schema.
    #[error("decode a {record}: the bytes do not fit schema {schema}")]
    Undecodable {
        /// The record's name.
        record: &'static str,
        /// The schema's id.
        schema: u32,
    },
}

/// A schema that records were written with, and the reader built for it.
struct Reader {
    kind: Kind,
    avro: GenericDatumReader<'static>,
}

struct Writer {
    /// The local id of the schema.
    local: u32,
    avro: GenericDatumWriter<'static>,
}

/// Readers and writers, built once.
pub(crate) struct Codec {
    local: HashMap<u32, &'static Reader>,
    writers: HashMap<Kind, Writer>,
    /// The registry's ids by local ones, once they are known.
    registered: OnceLock<HashMap<u32, u32>>,
    /// Readers by the registry's ids: of our own schemas, and of those of other versions of fastn.
    learned: RwLock<HashMap<u32, &'static Reader>>,
}

/// The one codec of the process. It is global because ids mean the same to all that a process reads and writes; with a
/// registry, [`Codec::register`] is called once, before the log is opened.
static CODEC: LazyLock<Codec> = LazyLock::new(Codec::new);

/// For the registry, which tells the codec what it learns.
pub(crate) fn global() -> &'static Codec {
    &CODEC
}

impl Codec {
    pub(crate) fn new() -> Self {
        apache_avro::util::max_allocation_bytes(ALLOCATION_BYTES_MAX);
        let mut codec = Self {
            local: HashMap::new(),
            writers: HashMap::new(),
            registered: OnceLock::new(),
            learned: RwLock::default(),
        };
        for committed in schemas::committed() {
            codec.local.insert(committed.id, Reader::leak(committed.kind, committed.schema));
            if committed.read_only {
                continue;
            }
            let avro = GenericDatumWriter::builder(committed.schema).human_readable(false).build();
            let avro = avro.expect("a schema that parsed resolves");
            // Ids grow, so the newest version stays.
            codec.writers.insert(committed.kind, Writer { local: committed.id, avro });
        }
        codec
    }

    /// From now on writes the registry's ids, given by local ones, and reads both. Only the first call counts.
    pub(crate) fn register(&self, ids: HashMap<u32, u32>) {
        let mut learned = self.learned.write().unwrap_or_else(PoisonError::into_inner);
        for (local, id) in &ids {
            if let Some(reader) = self.local.get(local) {
                learned.insert(*id, reader);
            }
        }
        drop(learned);
        let _first = self.registered.set(ids);
    }

    /// From now on reads records of `id`, written with `schema`; false if those are none of ours.
    pub(crate) fn learn(&self, id: u32, schema: &str) -> bool {
        let Ok(schema) = Schema::parse_str(schema) else { return false };
        let Some(kind) = Kind::of(&schema) else { return false };
        let mut learned = self.learned.write().unwrap_or_else(PoisonError::into_inner);
        if learned.len() >= SCHEMAS_LEARNED_MAX && !learned.contains_key(&id) {
            return false;
        }
        learned.entry(id).or_insert_with(|| Reader::leak(kind, Box::leak(Box::new(schema))));
        true
    }

    /// The schema id of framed bytes that cannot be decoded yet, though a registry may know the schema.
    pub(crate) fn unknown(&self, bytes: &[u8]) -> Option<u32> {
        match self.open(bytes) {
            Err(CodecError::UnknownSchema(id)) if id <= REGISTRY_ID_MAX => Some(id),
            _ => None,
        }
    }

    pub(crate) fn encode<T: Serialize>(&self, kind: Kind, record: &T, capacity: usize) -> Bytes {
        let writer = &self.writers[&kind];
        let registered = self.registered.get().and_then(|ids| ids.get(&writer.local));
        let mut out = Vec::with_capacity(PREFIX_BYTES + capacity);
        out.push(MAGIC);
        out.extend_from_slice(&registered.unwrap_or(&writer.local).to_be_bytes());
        writer
            .avro
            .write_ser(&mut out, record)
            .expect("the newest schema holds every field, as the round-trip test shows");
        Bytes::from(out)
    }

    /// The reader for the schema that the bytes name, the name, and the datum.
    fn open<'a>(&self, bytes: &'a [u8]) -> Result<(&'static Reader, Datum<'a>), CodecError> {
        let (prefix, rest) = bytes.split_first_chunk::<PREFIX_BYTES>().ok_or(CodecError::NotFramed(bytes.len()))?;
        let [magic, id @ ..] = *prefix;
        if magic != MAGIC {
            return Err(CodecError::NotFramed(bytes.len()));
        }
        let schema = u32::from_be_bytes(id);
        let learned = || self.learned.read().unwrap_or_else(PoisonError::into_inner).get(&schema).copied();
        let reader = self.local.get(&schema).copied().or_else(learned).ok_or(CodecError::UnknownSchema(schema))?;
        Ok((reader, Datum { schema, rest }))
    }

    pub(crate) fn encode_journal(&self, record: &JournalRecord) -> Bytes {
        const USUAL_BYTES: usize = 512;
        match record {
            JournalRecord::Claim(record) => self.encode(Kind::Claim, record, USUAL_BYTES),
            JournalRecord::Admitted(record) => self.encode(Kind::Admitted, record, USUAL_BYTES),
            JournalRecord::Progress(record) => self.encode(Kind::Progress, record, USUAL_BYTES),
            JournalRecord::Finished(record) => self.encode(Kind::Finished, record, USUAL_BYTES),
            JournalRecord::Snapshot(record) => self.encode(Kind::Snapshot, record, USUAL_BYTES),
            JournalRecord::DedupSnapshot(record) => self.encode(Kind::DedupSnapshot, record, USUAL_BYTES),
            JournalRecord::StateSnapshot(record) => self.encode(Kind::StateSnapshot, record, USUAL_BYTES),
            JournalRecord::Checkpoint(record) => self.encode(Kind::Checkpoint, record, USUAL_BYTES),
            JournalRecord::Started(record) => self.encode(Kind::Started, record, USUAL_BYTES),
            JournalRecord::FlowSnapshot(record) => self.encode(Kind::FlowSnapshot, record, USUAL_BYTES),
        }
    }

    pub(crate) fn decode_journal(&self, bytes: &[u8]) -> Result<JournalRecord, CodecError> {
        let (reader, datum) = self.open(bytes)?;
        Ok(match reader.kind {
            Kind::Event | Kind::Trace => return Err(CodecError::WrongRecord(reader.kind.name())),
            Kind::Claim => JournalRecord::Claim(reader.decode(datum)?),
            Kind::Admitted => JournalRecord::Admitted(reader.decode(datum)?),
            Kind::Progress => JournalRecord::Progress(reader.decode(datum)?),
            Kind::Finished => JournalRecord::Finished(reader.decode(datum)?),
            Kind::Snapshot => JournalRecord::Snapshot(reader.decode(datum)?),
            Kind::DedupSnapshot => JournalRecord::DedupSnapshot(reader.decode(datum)?),
            Kind::StateSnapshot => JournalRecord::StateSnapshot(reader.decode(datum)?),
            Kind::Checkpoint => JournalRecord::Checkpoint(reader.decode(datum)?),
            Kind::Started => JournalRecord::Started(reader.decode(datum)?),
            Kind::FlowSnapshot => JournalRecord::FlowSnapshot(reader.decode(datum)?),
        })
    }

    pub(crate) fn decode_event(&self, bytes: &[u8]) -> Result<EventRecord, CodecError> {
        self.decode_one(Kind::Event, bytes)
    }

    fn decode_one<T: DeserializeOwned>(&self, kind: Kind, bytes: &[u8]) -> Result<T, CodecError> {
        let (reader, datum) = self.open(bytes)?;
        if reader.kind == kind { reader.decode(datum) } else { Err(CodecError::WrongRecord(reader.kind.name())) }
    }
}

/// What follows the prefix, and the schema that it was written with.
struct Datum<'a> {
    schema: u32,
    rest: &'a [u8],
}

impl Reader {
    fn leak(kind: Kind, schema: &'static Schema) -> &'static Self {
        let avro = GenericDatumReader::builder(schema).human_readable(false).build();
        Box::leak(Box::new(Self { kind, avro: avro.expect("a schema that parsed resolves") }))
    }

    fn decode<T: DeserializeOwned>(&self, datum: Datum<'_>) -> Result<T, CodecError> {
        let mut rest = datum.rest;
        // A guard: nothing in the Avro crate should panic on any bytes, and one record must not stop a partition if it does.
        match catch_unwind(AssertUnwindSafe(|| self.avro.read_deser(&mut rest))) {
            Ok(Ok(record)) if rest.is_empty() => Ok(record),
            _ => Err(CodecError::Undecodable { record: self.kind.name(), schema: datum.schema }),
        }
    }
}

/// The value of a record in `events`.
pub fn encode_event(event: &EventRecord) -> Bytes {
    const OTHER_FIELDS_BYTES: usize = 512;
    let headers: usize = event.headers.iter().map(|header| header.name.len() + header.value.len() + 4).sum();
    CODEC.encode(Kind::Event, event, event.data.len() + headers + OTHER_FIELDS_BYTES)
}

/// Decodes the value of a record in `events`.
///
/// # Errors
/// Whatever is wrong with the bytes.
pub fn decode_event(bytes: &[u8]) -> Result<EventRecord, CodecError> {
    CODEC.decode_event(bytes)
}

/// The value of a record in `traces`.
pub fn encode_trace(trace: &Trace) -> Bytes {
    const USUAL_BYTES: usize = 256;
    CODEC.encode(Kind::Trace, trace, USUAL_BYTES)
}

/// Decodes the value of a record in `traces`.
///
/// # Errors
/// Whatever is wrong with the bytes.
pub fn decode_trace(bytes: &[u8]) -> Result<Trace, CodecError> {
    CODEC.decode_one(Kind::Trace, bytes)
}

/// The value of a record in `executions` or `control`.
pub fn encode_journal(record: &JournalRecord) -> Bytes {
    CODEC.encode_journal(record)
}

/// Decodes the value of a record in `executions` or `control`.
///
/// # Errors
/// Whatever is wrong with the bytes.
pub fn decode_journal(bytes: &[u8]) -> Result<JournalRecord, CodecError> {
    CODEC.decode_journal(bytes)
}
