//! The values of the log: Avro in the Confluent wire format.
//!
//! ```text
//! 0x00 │ schema id u32 big-endian │ Avro datum
//! ```
//!
//! The schema id says which record it is, so there is no union around them. Schemas live in `schemas/`, one file a version
//! of a record, and `schemas/index.json` gives each its local id, which never changes. Decoding reads with the schema that
//! the writer used; a field that an older schema does not have comes from `#[serde(default)]`. Writing uses the highest id
//! of a record. Whatever the bytes, decoding gives an error value, never a panic.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::LazyLock;

use apache_avro::Schema;
use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::writer::datum::GenericDatumWriter;
use bytes::Bytes;
use fastn_domain::event::EventRecord;
use fastn_domain::journal::JournalRecord;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// Length of the magic byte and the schema id.
const PREFIX_BYTES: usize = 5;
const MAGIC: u8 = 0;
/// No string or array of a record is longer than the log's largest record.
const ALLOCATION_BYTES_MAX: usize = 16 << 20;

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

/// The records that have a schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Kind {
    Event,
    Claim,
    Admitted,
    Progress,
    Finished,
    Snapshot,
    DedupSnapshot,
    StateSnapshot,
    Checkpoint,
}

impl Kind {
    const ALL: [Kind; 9] = [
        Kind::Event,
        Kind::Claim,
        Kind::Admitted,
        Kind::Progress,
        Kind::Finished,
        Kind::Snapshot,
        Kind::DedupSnapshot,
        Kind::StateSnapshot,
        Kind::Checkpoint,
    ];

    /// The name of the struct, which the schema's record must have too.
    const fn name(self) -> &'static str {
        match self {
            Kind::Event => "EventRecord",
            Kind::Claim => "Claim",
            Kind::Admitted => "Admitted",
            Kind::Progress => "Progress",
            Kind::Finished => "Finished",
            Kind::Snapshot => "Snapshot",
            Kind::DedupSnapshot => "DedupSnapshot",
            Kind::StateSnapshot => "StateSnapshot",
            Kind::Checkpoint => "Checkpoint",
        }
    }
}

const INDEX: &str = include_str!("../schemas/index.json");

/// The files that the index names.
const FILES: &[(&str, &str)] = &[
    ("event_record.1.avsc", include_str!("../schemas/event_record.1.avsc")),
    ("claim.1.avsc", include_str!("../schemas/claim.1.avsc")),
    ("admitted.1.avsc", include_str!("../schemas/admitted.1.avsc")),
    ("progress.1.avsc", include_str!("../schemas/progress.1.avsc")),
    ("finished.1.avsc", include_str!("../schemas/finished.1.avsc")),
    ("snapshot.1.avsc", include_str!("../schemas/snapshot.1.avsc")),
    ("dedup_snapshot.1.avsc", include_str!("../schemas/dedup_snapshot.1.avsc")),
    ("state_snapshot.1.avsc", include_str!("../schemas/state_snapshot.1.avsc")),
    ("checkpoint.1.avsc", include_str!("../schemas/checkpoint.1.avsc")),
];

/// A line of `schemas/index.json`.
#[derive(Deserialize)]
struct IndexEntry {
    id: u32,
    record: String,
    file: String,
}

/// Which ids stand on the wire for which of our schemas. Local ids today; a schema registry will give others.
struct SchemaIds {
    to_write: HashMap<Kind, u32>,
    to_read: HashMap<u32, (Kind, &'static Schema)>,
}

impl SchemaIds {
    fn local() -> Self {
        let index: Vec<IndexEntry> = serde_json::from_str(INDEX).expect("the committed index parses, as a test shows");
        let mut ids = Self { to_write: HashMap::new(), to_read: HashMap::new() };
        for entry in index {
            let text = FILES.iter().find(|(file, _)| *file == entry.file).map(|(_, text)| *text);
            let schema = Schema::parse_str(text.expect("every file of the index is built in, as a test shows"));
            // Kept for the life of the process, like the readers and writers that borrow it.
            let schema: &'static Schema =
                Box::leak(Box::new(schema.expect("committed schemas parse, as a test shows")));
            let kind = Kind::ALL.into_iter().find(|kind| kind.name() == entry.record);
            let kind = kind.expect("the index names records that there are, as a test shows");
            ids.to_read.insert(entry.id, (kind, schema));
            let newest = ids.to_write.entry(kind).or_insert(entry.id);
            *newest = entry.id.max(*newest);
        }
        ids
    }
}

struct Reader {
    kind: Kind,
    schema: u32,
    avro: GenericDatumReader<'static>,
}

struct Writer {
    schema: u32,
    avro: GenericDatumWriter<'static>,
}

/// Readers and writers, built once.
struct Codec {
    readers: HashMap<u32, Reader>,
    writers: HashMap<Kind, Writer>,
}

static CODEC: LazyLock<Codec> = LazyLock::new(|| {
    apache_avro::util::max_allocation_bytes(ALLOCATION_BYTES_MAX);
    Codec::new(&SchemaIds::local())
});

impl Codec {
    fn new(ids: &SchemaIds) -> Self {
        let reader = |(id, (kind, schema)): (&u32, &(Kind, &'static Schema))| {
            let avro = GenericDatumReader::builder(schema).human_readable(false).build();
            (*id, Reader { kind: *kind, schema: *id, avro: avro.expect("a schema that parsed resolves") })
        };
        let writer = |(kind, id): (&Kind, &u32)| {
            let avro = GenericDatumWriter::builder(ids.to_read[id].1).human_readable(false).build();
            (*kind, Writer { schema: *id, avro: avro.expect("a schema that parsed resolves") })
        };
        Self { readers: ids.to_read.iter().map(reader).collect(), writers: ids.to_write.iter().map(writer).collect() }
    }

    fn encode<T: Serialize>(&self, kind: Kind, record: &T, capacity: usize) -> Bytes {
        let writer = &self.writers[&kind];
        let mut out = Vec::with_capacity(PREFIX_BYTES + capacity);
        out.push(MAGIC);
        out.extend_from_slice(&writer.schema.to_be_bytes());
        writer
            .avro
            .write_ser(&mut out, record)
            .expect("the newest schema holds every field, as the round-trip test shows");
        Bytes::from(out)
    }

    /// The reader for the schema that the bytes name, and the datum.
    fn open<'a>(&self, bytes: &'a [u8]) -> Result<(&Reader, &'a [u8]), CodecError> {
        let (prefix, datum) = bytes.split_first_chunk::<PREFIX_BYTES>().ok_or(CodecError::NotFramed(bytes.len()))?;
        let [magic, id @ ..] = *prefix;
        if magic != MAGIC {
            return Err(CodecError::NotFramed(bytes.len()));
        }
        let id = u32::from_be_bytes(id);
        Ok((self.readers.get(&id).ok_or(CodecError::UnknownSchema(id))?, datum))
    }
}

impl Reader {
    fn decode<T: DeserializeOwned>(&self, datum: &[u8]) -> Result<T, CodecError> {
        let mut rest = datum;
        // A guard: nothing in the Avro crate should panic on any bytes, and one record must not stop a partition if it does.
        match catch_unwind(AssertUnwindSafe(|| self.avro.read_deser(&mut rest))) {
            Ok(Ok(record)) if rest.is_empty() => Ok(record),
            _ => Err(CodecError::Undecodable { record: self.kind.name(), schema: self.schema }),
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
    let (reader, datum) = CODEC.open(bytes)?;
    if reader.kind != Kind::Event {
        return Err(CodecError::WrongRecord(reader.kind.name()));
    }
    reader.decode(datum)
}

/// The value of a record in `executions`.
pub fn encode_journal(record: &JournalRecord) -> Bytes {
    const USUAL_BYTES: usize = 512;
    match record {
        JournalRecord::Claim(record) => CODEC.encode(Kind::Claim, record, USUAL_BYTES),
        JournalRecord::Admitted(record) => CODEC.encode(Kind::Admitted, record, USUAL_BYTES),
        JournalRecord::Progress(record) => CODEC.encode(Kind::Progress, record, USUAL_BYTES),
        JournalRecord::Finished(record) => CODEC.encode(Kind::Finished, record, USUAL_BYTES),
        JournalRecord::Snapshot(record) => CODEC.encode(Kind::Snapshot, record, USUAL_BYTES),
        JournalRecord::DedupSnapshot(record) => CODEC.encode(Kind::DedupSnapshot, record, USUAL_BYTES),
        JournalRecord::StateSnapshot(record) => CODEC.encode(Kind::StateSnapshot, record, USUAL_BYTES),
        JournalRecord::Checkpoint(record) => CODEC.encode(Kind::Checkpoint, record, USUAL_BYTES),
    }
}

/// Decodes the value of a record in `executions`, or of a checkpoint in `control`.
///
/// # Errors
/// Whatever is wrong with the bytes.
pub fn decode_journal(bytes: &[u8]) -> Result<JournalRecord, CodecError> {
    let (reader, datum) = CODEC.open(bytes)?;
    Ok(match reader.kind {
        Kind::Event => return Err(CodecError::WrongRecord(Kind::Event.name())),
        Kind::Claim => JournalRecord::Claim(reader.decode(datum)?),
        Kind::Admitted => JournalRecord::Admitted(reader.decode(datum)?),
        Kind::Progress => JournalRecord::Progress(reader.decode(datum)?),
        Kind::Finished => JournalRecord::Finished(reader.decode(datum)?),
        Kind::Snapshot => JournalRecord::Snapshot(reader.decode(datum)?),
        Kind::DedupSnapshot => JournalRecord::DedupSnapshot(reader.decode(datum)?),
        Kind::StateSnapshot => JournalRecord::StateSnapshot(reader.decode(datum)?),
        Kind::Checkpoint => JournalRecord::Checkpoint(reader.decode(datum)?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Property: the index gives every record a schema, no id twice, and names exactly the files that are built in; each
    /// parses, and its record has the name of the struct, without which decoding fails.
    #[test]
    fn committed_schemas_are_whole() {
        let index: Vec<IndexEntry> = serde_json::from_str(INDEX).unwrap();
        let mut ids: Vec<_> = index.iter().map(|entry| entry.id).collect();
        ids.dedup();
        assert!(ids.is_sorted() && ids.len() == index.len(), "ids grow: {ids:?}");
        let named: Vec<_> = index.iter().map(|entry| entry.file.as_str()).collect();
        let built_in: Vec<_> = FILES.iter().map(|(file, _)| *file).collect();
        assert_eq!(named, built_in);
        let schemas = SchemaIds::local();
        for kind in Kind::ALL {
            let (of, schema) = &schemas.to_read[&schemas.to_write[&kind]];
            assert_eq!(*of, kind);
            assert_eq!(schema.name().map(|name| name.name()), Some(kind.name()));
        }
    }
}
