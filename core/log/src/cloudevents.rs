//! An event as a record of the topic `events`: its Avro value, and its attributes as the headers of the CloudEvents Kafka
//! protocol binding 1.0.2, in binary mode.
//!
//! To a CloudEvents consumer the data of the event is the value, an [`EventRecord`] in Avro, as `content-type` and
//! `ce_dataschema` say; what the sender sent is the text `data` within it. Structured mode would need the CloudEvents Avro
//! format as the value, which has no place for what fastn keeps beside the attributes, and would have to be decoded in
//! order to route by type. The record's key is the extension `partitionkey`, as the binding maps it.

use std::borrow::Cow;

use bytes::Bytes;
use fastn_domain::event::EventRecord;

use crate::codec::encode_event;
use crate::seam::{Record, StoredRecord};

/// The media type of every value. Its framing is that of schema registries, see `docs/TOPICS.md`.
const CONTENT_TYPE: &str = "application/avro";
/// Names the record, not a version of it: which one it was written with says the id in front of the datum.
const DATA_SCHEMA: &str = "urn:fastn:log:v1:EventRecord";
/// How the edge keeps the sender's extension attributes among an event's headers.
const KEPT_PREFIX: &str = "ce-";
/// Longest name of an extension, as the specification recommends.
const EXTENSION_NAME_BYTES_MAX: usize = 20;
/// What the values of all extensions may have together. Those beyond it are in the value only: every broker and every
/// reader carries the headers of every record.
const EXTENSION_BYTES_MAX: usize = 512;
/// Attributes that the record itself says.
const OWN: [&str; 9] =
    ["specversion", "id", "source", "type", "subject", "time", "dataschema", "datacontenttype", "partitionkey"];

/// The record of an event.
pub fn event_record(event: &EventRecord) -> Record {
    Record { key: Bytes::from(event.scope.key()), headers: headers(event), value: encode_event(event) }
}

/// The header that names the configuration under which an event was accepted. No attribute of the event: its name does not
/// begin with `ce_`.
const REVISION: &str = "fastn_revision";

/// The record of an event that was accepted under the configuration of `revision`. Whoever judges it must have seen as
/// much: a node that lags would reject what another has answered with 202.
pub fn event_record_at(event: &EventRecord, revision: u64) -> Record {
    with_revision(event_record(event), revision)
}

/// The record, naming the configuration under which it was made.
pub fn with_revision(mut record: Record, revision: u64) -> Record {
    record.headers.push((Cow::Borrowed(REVISION), Bytes::from(revision.to_string())));
    record
}

/// The configuration under which the event of a record was accepted, if the record says.
pub fn revision_of(record: &StoredRecord) -> Option<u64> {
    let (_, value) = record.headers.iter().find(|(name, _)| name == REVISION)?;
    std::str::from_utf8(value).ok()?.parse().ok()
}

fn headers(event: &EventRecord) -> Vec<(Cow<'static, str>, Bytes)> {
    fn fixed(name: &'static str, value: &'static str) -> (Cow<'static, str>, Bytes) {
        (Cow::Borrowed(name), Bytes::from_static(value.as_bytes()))
    }
    fn given(name: &'static str, value: &str) -> (Cow<'static, str>, Bytes) {
        (Cow::Borrowed(name), Bytes::copy_from_slice(value.as_bytes()))
    }
    let mut headers = Vec::with_capacity(9);
    headers.push(fixed("content-type", CONTENT_TYPE));
    headers.push(fixed("ce_specversion", "1.0"));
    headers.push(given("ce_id", event.id.as_str()));
    headers.push(given("ce_source", &event.source));
    headers.push(given("ce_type", &event.kind));
    headers.push(given("ce_time", &event.time.to_string()));
    headers.push(fixed("ce_dataschema", DATA_SCHEMA));
    headers.extend(event.subject.as_deref().map(|subject| given("ce_subject", subject)));
    headers.extend(event.traceparent.as_deref().map(|traceparent| given("ce_traceparent", traceparent)));
    let mut room_bytes = EXTENSION_BYTES_MAX;
    for header in &event.headers {
        let Some(name) = header.name.strip_prefix(KEPT_PREFIX).filter(|name| is_extension(name)) else { continue };
        if (name == "traceparent" && event.traceparent.is_some()) || header.value.len() > room_bytes {
            continue;
        }
        room_bytes -= header.value.len();
        headers.push((Cow::Owned(format!("ce_{name}")), Bytes::copy_from_slice(header.value.as_bytes())));
    }
    headers
}

fn is_extension(name: &str) -> bool {
    let plain = name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    plain && !name.is_empty() && name.len() <= EXTENSION_NAME_BYTES_MAX && !OWN.contains(&name)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use fastn_contract::activity::Origin;
    use fastn_domain::event::Header;
    use fastn_domain::{EventId, Scope, Timestamp};

    use super::*;
    use crate::codec::decode_event;

    fn event(headers: &[(&str, &str)]) -> EventRecord {
        let header = |(name, value): &(&str, &str)| Header { name: (*name).to_owned(), value: (*value).to_owned() };
        EventRecord {
            id: EventId::new("72d3162e").unwrap(),
            source: "github".to_owned(),
            kind: "github.push".to_owned(),
            subject: Some("refs/heads/ü".to_owned()),
            time: Timestamp::from_millis(1_709_164_800_123),
            scope: Scope::parse("acc_demo", "cus_acme").unwrap(),
            origin: Origin::Webhook,
            trigger: None,
            workflow: None,
            environment: None,
            headers: headers.iter().map(header).collect(),
            data: "{}".into(),
            reply_to: None,
            traceparent: None,
            priority: None,
        }
    }

    fn shown(record: &Record) -> BTreeMap<&str, &str> {
        record.headers.iter().map(|(name, value)| (&**name, std::str::from_utf8(value).unwrap())).collect()
    }

    /// Property: the configuration that accepted an event is read back from its record, and nothing from one without it or
    /// with a stranger's.
    #[test]
    fn revision_is_read_back() {
        let stored = |record: Record| StoredRecord {
            offset: 0,
            timestamp: Timestamp(0),
            key: record.key,
            headers: record.headers,
            value: record.value,
        };
        assert_eq!(revision_of(&stored(event_record_at(&event(&[]), 7))), Some(7));
        assert_eq!(revision_of(&stored(event_record(&event(&[])))), None);
        let mut odd = event_record(&event(&[]));
        odd.headers.push((REVISION.into(), Bytes::from_static(b"x")));
        assert_eq!(revision_of(&stored(odd)), None);
    }

    /// Property: a record of `events` has the headers of the Kafka binding's binary mode, and its value is the event.
    #[test]
    fn attributes_are_headers() {
        let event = event(&[]);
        let record = event_record(&event);
        let expected = BTreeMap::from([
            ("content-type", "application/avro"),
            ("ce_specversion", "1.0"),
            ("ce_id", "72d3162e"),
            ("ce_source", "github"),
            ("ce_type", "github.push"),
            ("ce_subject", "refs/heads/ü"),
            ("ce_time", "2024-02-29T00:00:00.123Z"),
            ("ce_dataschema", "urn:fastn:log:v1:EventRecord"),
        ]);
        assert_eq!(shown(&record), expected);
        assert_eq!(record.key, "acc_demo/cus_acme");
        assert_eq!(decode_event(&record.value), Ok(event));
    }

    /// Property: the sender's extensions are headers too, but what it sends as one can neither replace an attribute, nor
    /// be no extension's name, nor be large, nor stand there twice.
    #[test]
    fn extensions_are_headers_within_limits() {
        let large = "x".repeat(EXTENSION_BYTES_MAX - 1);
        let mut event = event(&[
            ("ce-region", "eu"),
            ("ce-id", "forged"),
            ("ce-dataschema", "https://example.com/schema"),
            ("ce-Bad_Name", "1"),
            ("ce-", "1"),
            ("x-github-event", "push"),
            ("ce-traceparent", "theirs"),
            ("ce-toolarge", &large),
            ("ce-more", "1"),
        ]);
        event.traceparent = Some("ours".to_owned());
        let record = event_record(&event);
        let shown = shown(&record);
        assert_eq!(shown.len(), record.headers.len(), "no name stands there twice");
        let extra: Vec<_> = shown.iter().filter(|(name, _)| !OWN.contains(&&name.replace("ce_", "")[..])).collect();
        let expected = [
            (&"ce_more", &"1"),
            (&"ce_region", &"eu"),
            (&"ce_traceparent", &"ours"),
            (&"content-type", &"application/avro"),
        ];
        assert_eq!(extra, expected);
        assert_eq!(shown["ce_id"], "72d3162e");
    }
}
