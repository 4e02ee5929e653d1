//! Against a real registry. A registry that is away is a port that nobody listens on.

use bytes::Bytes;
use fastn_domain::Timestamp;
use fastn_domain::journal::{Claim, JournalRecord};
use fastn_testkit::services;

use super::*;
use crate::seam::{LogErrorKind, Record, Topic};
use crate::{EmbeddedLog, EmbeddedOptions};

fn codec() -> &'static Codec {
    Box::leak(Box::new(Codec::new()))
}

fn options(url: &str, dir: &Path) -> RegistryOptions {
    RegistryOptions { url: url.to_owned(), user: None, password: None, cache: dir.join("schema-ids.json") }
}

/// The URL of a registry that is away.
fn away() -> String {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    format!("http://127.0.0.1:{port}")
}

fn claim() -> Claim {
    Claim { epoch: 7, node: "node-1".into(), at: Timestamp(3) }
}

fn encode(codec: &Codec) -> Bytes {
    codec.encode_journal(&JournalRecord::Claim(claim()))
}

fn id(bytes: &[u8]) -> u32 {
    u32::from_be_bytes(bytes[1..5].try_into().unwrap())
}

/// What a later version of fastn writes: a claim with a field more.
const NEWER_CLAIM: &str = r#"{"type": "record", "name": "Claim", "namespace": "fastn.log.v1", "fields": [
    {"name": "epoch", "type": "long"}, {"name": "zone", "type": ["null", "string"], "default": null},
    {"name": "node", "type": "string"}, {"name": "at", "type": {"type": "long", "logicalType": "timestamp-micros"}}]}"#;

fn newer_claim(id: u32) -> Bytes {
    #[derive(Serialize)]
    struct Newer {
        epoch: i64,
        zone: Option<String>,
        node: String,
        at: Timestamp,
    }
    let schema = apache_avro::Schema::parse_str(NEWER_CLAIM).unwrap();
    let writer = apache_avro::writer::datum::GenericDatumWriter::builder(&schema).build().unwrap();
    let mut bytes = vec![0];
    bytes.extend_from_slice(&id.to_be_bytes());
    let newer = Newer { epoch: 7, zone: Some("z".into()), node: "node-1".into(), at: Timestamp(3) };
    writer.write_ser(&mut bytes, &newer).unwrap();
    Bytes::from(bytes)
}

async fn put(log: &dyn Log, value: Bytes) {
    log.append(Topic::Control, 0, vec![Record::new(Bytes::new(), value)]).await.unwrap();
}

/// Property: with a registry, records carry its ids, those with local ids stay readable, and a second node gives the
/// same schemas the same ids; with the registry away, a node that knows the ids starts with them.
#[tokio::test]
async fn ids_on_the_wire_are_the_registrys() {
    let url = services::registry();
    let (dir, other_dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (codec, other, late) = (codec(), codec(), codec());
    let before = encode(codec);
    assert_eq!(id(&before) >> 16, 0xFA57, "local without a registry");
    Registry::start(&options(&url, dir.path()), codec).await.unwrap();
    let after = encode(codec);
    assert!(id(&after) <= codec::REGISTRY_ID_MAX, "{}", id(&after));
    for bytes in [&before, &after] {
        assert_eq!(codec.decode_journal(bytes), Ok(JournalRecord::Claim(claim())));
    }
    Registry::start(&options(&url, other_dir.path()), other).await.unwrap();
    assert_eq!(encode(other), after, "the same ids on every node");

    let kept = std::fs::read_to_string(dir.path().join("schema-ids.json")).unwrap();
    let gone = away();
    std::fs::write(dir.path().join("schema-ids.json"), kept.replace(&url, &gone)).unwrap();
    Registry::start(&options(&gone, dir.path()), late).await.unwrap();
    assert_eq!(encode(late), after, "the ids known from before");
}

/// Property: a node that has never reached its registry does not start, and says what to do.
#[tokio::test]
async fn unknown_ids_stop_the_start() {
    let dir = tempfile::tempdir().unwrap();
    let gone = away().replace("//", "//ann:s3cret@");
    let error = Registry::start(&options(&gone, dir.path()), codec()).await.err().unwrap().to_string();
    assert!(error.contains("does not answer") && error.contains("Start the registry"), "{error}");
    assert!(!error.contains("s3cret"), "{error}");
}

/// Property: a schema that the registry holds to be incompatible stops the start, and the error names it.
#[tokio::test]
async fn a_refusal_stops_the_start() {
    let url = services::registry();
    let client = Client::new(&options(&url, Path::new("."))).unwrap();
    // A path that is no registry.
    let wrong = format!("{url}/nowhere");
    let dir = tempfile::tempdir().unwrap();
    let error = Registry::start(&options(&wrong, dir.path()), codec()).await.err().unwrap().to_string();
    assert!(error.contains("event_record.1.avsc") && error.contains("HTTP 40"), "{error}");
    assert_eq!(client.schema(2_000_000_000).await.map_err(|failure| failure.to_string()), Ok(None));
}

/// Property: a record that a newer version wrote is read with its schema, which is looked up once; while the registry is
/// away the reader gets what is before it and then an error, and the record afterwards.
#[tokio::test]
async fn newer_records_are_read_or_wait() {
    let url = services::registry();
    let dir = tempfile::tempdir().unwrap();
    let subject = format!("newer-{}", std::process::id());
    let newer = Client::new(&options(&url, dir.path())).unwrap().register(&subject, NEWER_CLAIM).await.unwrap();
    let codec = codec();
    let mut registry = Registry::start(&options(&url, dir.path()), codec).await.unwrap();
    let log = EmbeddedOptions { partitions: 1, disk_free_bytes_min: 0, ..Default::default() };
    let log: Arc<dyn Log> = Arc::new(EmbeddedLog::open(&dir.path().join("log"), log).unwrap());
    put(&*log, encode(codec)).await;
    put(&*log, newer_claim(newer)).await;
    put(&*log, newer_claim(2_000_000_000)).await;

    let gone = RegistryOptions { url: away(), ..options(&url, dir.path()) };
    let client = std::mem::replace(&mut registry.client, Client::new(&gone).unwrap());
    let mut reading = Reading::new(registry, Arc::clone(&log));
    let read = reading.read(Topic::Control, 0, 0, 10, 1 << 20).await.unwrap();
    assert_eq!(read.len(), 1, "what is before it");
    let error = reading.read(Topic::Control, 0, 1, 10, 1 << 20).await.unwrap_err();
    assert_eq!((error.kind, error.outcome), (LogErrorKind::Io, crate::Outcome::NotDone));

    reading.registry_mut().client = client;
    let read = reading.read(Topic::Control, 0, 1, 10, 1 << 20).await.unwrap();
    assert_eq!(codec.decode_journal(&read[0].value), Ok(JournalRecord::Claim(claim())));
    assert_eq!(codec.decode_journal(&read[1].value), Err(codec::CodecError::UnknownSchema(2_000_000_000)));

    let again = self::codec();
    Registry::start(&options(&url, dir.path()), again).await.unwrap();
    assert_eq!(again.decode_journal(&read[0].value), Ok(JournalRecord::Claim(claim())), "kept for the next start");
}
