//! The committed schemas, and the local ids under which records are written where no registry gave others.
//!
//! `schemas/<record>.<version>.avsc` is one version of one record. `schemas/index.json` gives each a local id and holds the
//! hash of the file, because neither ever changes once records were written with it. Local ids have the form `0xFA57_nnnn`.
//! A schema registry's ids are positive 32-bit integers, so no registry ever gives one of these, and a topic may hold
//! records of both kinds.

use apache_avro::Schema;
use serde::Deserialize;

/// The records that have a schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    Event,
    Claim,
    Admitted,
    Progress,
    Finished,
    Snapshot,
    DedupSnapshot,
    StateSnapshot,
    Checkpoint,
    Trace,
    Started,
    FlowSnapshot,
}

/// The namespace of every record.
const NAMESPACE: &str = "fastn.log.v1";

impl Kind {
    pub(crate) const ALL: [Kind; 12] = [
        Kind::Event,
        Kind::Claim,
        Kind::Admitted,
        Kind::Progress,
        Kind::Finished,
        Kind::Snapshot,
        Kind::DedupSnapshot,
        Kind::StateSnapshot,
        Kind::Checkpoint,
        Kind::Trace,
        Kind::Started,
        Kind::FlowSnapshot,
    ];

    /// The name of the struct, which the schema's record must have too.
    pub(crate) const fn name(self) -> &'static str {
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
            Kind::Trace => "Trace",
            Kind::Started => "Started",
            Kind::FlowSnapshot => "FlowSnapshot",
        }
    }

    /// The record that `schema` describes, if it is one of ours.
    pub(crate) fn of(schema: &Schema) -> Option<Kind> {
        let name = schema.name()?;
        let ours = name.namespace() == Some(NAMESPACE);
        Kind::ALL.into_iter().find(|kind| ours && kind.name() == name.name())
    }

    /// The record's full name. It is the subject in a registry too (RecordNameStrategy): a record may lie in two topics,
    /// and topics carry the prefix of their cell, but a record has one history of versions.
    pub(crate) fn full_name(self) -> String {
        format!("{NAMESPACE}.{}", self.name())
    }
}

const INDEX: &str = include_str!("../../schemas/index.json");

/// The files that the index names.
const FILES: &[(&str, &str)] = &[
    ("event_record.1.avsc", include_str!("../../schemas/event_record.1.avsc")),
    ("claim.1.avsc", include_str!("../../schemas/claim.1.avsc")),
    ("admitted.1.avsc", include_str!("../../schemas/admitted.1.avsc")),
    ("progress.1.avsc", include_str!("../../schemas/progress.1.avsc")),
    ("finished.1.avsc", include_str!("../../schemas/finished.1.avsc")),
    ("snapshot.1.avsc", include_str!("../../schemas/snapshot.1.avsc")),
    ("dedup_snapshot.1.avsc", include_str!("../../schemas/dedup_snapshot.1.avsc")),
    ("state_snapshot.1.avsc", include_str!("../../schemas/state_snapshot.1.avsc")),
    ("checkpoint.1.avsc", include_str!("../../schemas/checkpoint.1.avsc")),
    ("trace.1.avsc", include_str!("../../schemas/trace.1.avsc")),
    ("admitted.2.avsc", include_str!("../../schemas/admitted.2.avsc")),
    ("progress.2.avsc", include_str!("../../schemas/progress.2.avsc")),
    ("snapshot.2.avsc", include_str!("../../schemas/snapshot.2.avsc")),
    ("started.1.avsc", include_str!("../../schemas/started.1.avsc")),
    ("flow_snapshot.1.avsc", include_str!("../../schemas/flow_snapshot.1.avsc")),
    ("finished.2.avsc", include_str!("../../schemas/finished.2.avsc")),
    ("event_record.2.avsc", include_str!("../../schemas/event_record.2.avsc")),
];

/// A line of `schemas/index.json`.
#[derive(Deserialize)]
struct IndexEntry {
    id: u32,
    record: String,
    file: String,
    #[cfg_attr(not(test), expect(dead_code, reason = "a test holds the files against it"))]
    xxh3: String,
    /// Set for one release when a version is new: nodes of that release read it, and those of the next write it, so that
    /// a rolling upgrade has no node that meets what it cannot read.
    #[serde(default)]
    read_only: bool,
}

/// One version of one record.
pub(crate) struct Committed {
    pub(crate) id: u32,
    pub(crate) kind: Kind,
    pub(crate) file: &'static str,
    pub(crate) text: &'static str,
    /// Kept for the life of the process, like the readers and writers that borrow it.
    pub(crate) schema: &'static Schema,
    pub(crate) read_only: bool,
}

/// Every committed schema, by growing id.
pub(crate) fn committed() -> Vec<Committed> {
    let index: Vec<IndexEntry> = serde_json::from_str(INDEX).expect("the committed index parses, as a test shows");
    let load = |entry: IndexEntry| {
        let named = FILES.iter().find(|(file, _)| *file == entry.file);
        let &(file, text) = named.expect("every file of the index is built in, as a test shows");
        let schema = Schema::parse_str(text).expect("committed schemas parse, as a test shows");
        let kind = Kind::ALL.into_iter().find(|kind| kind.name() == entry.record);
        Committed {
            id: entry.id,
            kind: kind.expect("the index names records that there are, as a test shows"),
            file,
            text,
            schema: Box::leak(Box::new(schema)),
            read_only: entry.read_only,
        }
    };
    index.into_iter().map(load).collect()
}

#[cfg(test)]
mod tests {
    use apache_avro::schema_compatibility::{Compatibility, SchemaCompatibility};
    use xxhash_rust::xxh3::xxh3_64;

    use super::*;

    /// Property: the index gives every record a schema, no id twice, only local ones, and names exactly the files that are
    /// built in; each parses, is valid for its record, and one version of each record may be written.
    #[test]
    fn committed_schemas_are_whole() {
        let all = committed();
        let ids: Vec<_> = all.iter().map(|schema| schema.id).collect();
        assert!(ids.windows(2).all(|pair| pair[0] < pair[1]), "ids grow: {ids:?}");
        assert!(ids.iter().all(|id| id >> 16 == 0xFA57), "local ids: {ids:x?}");
        let named: Vec<_> = all.iter().map(|schema| schema.file).collect();
        let built_in: Vec<_> = FILES.iter().map(|(file, _)| *file).collect();
        assert_eq!(named, built_in);
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/schemas");
        let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        assert_eq!(files.filter(|file| file.ends_with(".avsc")).count(), FILES.len(), "every file is built in");
        for kind in Kind::ALL {
            assert!(all.iter().any(|schema| schema.kind == kind && !schema.read_only), "{kind:?} can be written");
        }
        for schema in &all {
            assert_eq!(Kind::of(schema.schema), Some(schema.kind), "{}", schema.file);
        }
    }

    /// Property: a committed schema file is what it was when it got its id.
    #[test]
    fn committed_files_never_change() {
        let index: Vec<IndexEntry> = serde_json::from_str(INDEX).unwrap();
        for (entry, (file, text)) in index.iter().zip(FILES) {
            let hash = format!("{:016x}", xxh3_64(text.as_bytes()));
            let advice = "a schema that records were written with never changes: add a new version instead";
            assert_eq!(entry.xxh3, hash, "{file}: {advice}");
        }
    }

    const TOPICS: &str = include_str!("../../../../docs/TOPICS.md");
    const ASYNCAPI: &str = include_str!("../../../../docs/asyncapi.yaml");

    /// The newest version of each record.
    fn newest() -> impl Iterator<Item = Committed> {
        let all = committed();
        let last = |kind| all.iter().rposition(|schema| schema.kind == kind).unwrap();
        let newest: Vec<usize> = Kind::ALL.into_iter().map(last).collect();
        all.into_iter().enumerate().filter(move |(at, _)| newest.contains(at)).map(|(_, schema)| schema)
    }

    /// The records within `schema`, itself included, with the names of their fields; and the enums with their symbols.
    fn named(schema: &serde_json::Value, into: &mut Vec<(String, Vec<String>)>) {
        let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
        match schema {
            serde_json::Value::Array(branches) => branches.iter().for_each(|branch| named(branch, into)),
            serde_json::Value::Object(object) if object["type"] == "array" => named(&object["items"], into),
            serde_json::Value::Object(object) if object["type"] == "record" => {
                let fields = object["fields"].as_array().unwrap();
                into.push((text(&object["name"]), fields.iter().map(|field| text(&field["name"])).collect()));
                fields.iter().for_each(|field| named(&field["type"], into));
            }
            serde_json::Value::Object(object) if object["type"] == "enum" => {
                let symbols = object["symbols"].as_array().unwrap();
                into.push((text(&object["name"]), symbols.iter().map(text).collect()));
            }
            _ => {}
        }
    }

    /// What `docs/TOPICS.md` tells of a record or an enum: the names of its fields, or its symbols.
    fn documented(name: &str) -> Vec<&'static str> {
        let quoted = |text: &'static str| text.split('`').skip(1).step_by(2);
        if let Some((_, symbols)) = TOPICS.split_once(&format!("\n- **{name}**:")) {
            return quoted(symbols.lines().next().unwrap()).collect();
        }
        let (_, section) = TOPICS.split_once(&format!("# {name}\n")).unwrap_or_else(|| panic!("no section {name}"));
        let section = section.split("\n#").next().unwrap();
        section.lines().filter(|line| line.starts_with("| `")).map(|line| quoted(line).next().unwrap()).collect()
    }

    /// Property: the document for consumers tells every field and every symbol of the newest schemas, and no other.
    #[test]
    fn topics_are_documented() {
        for schema in newest() {
            let mut names = Vec::new();
            named(&serde_json::from_str(schema.text).unwrap(), &mut names);
            assert!(!names.is_empty());
            for (name, parts) in names {
                assert_eq!(documented(&name), parts, "{name} in docs/TOPICS.md; see {}", schema.file);
            }
        }
    }

    /// Property: the AsyncAPI document has a message for every record, with the newest version of its schema.
    #[test]
    fn asyncapi_has_every_record() {
        for schema in newest() {
            let message = format!("name: {}\n", schema.kind.full_name());
            let payload = format!("$ref: ../core/log/schemas/{} }}\n", schema.file);
            assert_eq!(ASYNCAPI.matches(&message).count(), 1, "{message}");
            assert_eq!(ASYNCAPI.matches(&payload).count(), 1, "{payload}");
        }
        assert_eq!(ASYNCAPI.matches("/schemas/").count() - 1, Kind::ALL.len(), "no older version");
    }

    /// Why `newer` may not follow `older`, if so. FULL: a reader with the newer schema must read all that lies in the log
    /// (BACKWARD), and a consumer that still has the older one must read what is written now (FORWARD).
    fn objection(older: &Schema, newer: &Schema) -> Option<String> {
        let whole = |direction: &str, answer| match answer {
            Ok(Compatibility::Full) => None,
            Ok(Compatibility::Partial) => Some(format!("{direction}: some values cannot be read")),
            Err(error) => Some(format!("{direction}: {error}")),
        };
        whole("the newer reads the older's records", SchemaCompatibility::can_read(older, newer))
            .or_else(|| whole("the older reads the newer's records", SchemaCompatibility::can_read(newer, older)))
    }

    /// Property: every version of a record is fully compatible with every older version of it.
    #[test]
    fn versions_are_compatible() {
        let all = committed();
        for (at, newer) in all.iter().enumerate() {
            for older in all[..at].iter().filter(|older| older.kind == newer.kind) {
                assert_eq!(objection(older.schema, newer.schema), None, "{} after {}", newer.file, older.file);
            }
        }
    }

    /// Property: the rule above refuses what breaks readers, new or old, and allows what does not.
    #[test]
    fn incompatible_versions_are_refused() {
        let claim = |fields: &str| {
            Schema::parse_str(&format!(
                r#"{{"type": "record", "name": "Claim", "namespace": "fastn.log.v1", "fields": [
                    {{"name": "epoch", "type": "long"}}, {{"name": "node", "type": "string"}}{fields}]}}"#
            ))
            .unwrap()
        };
        let one = claim("");
        let kind = |symbols: &str| {
            claim(&format!(
                r#", {{"name": "kind", "type": {{"type": "enum", "name": "K", "symbols": [{symbols}]}}, "default": "a"}}"#
            ))
        };
        let good = [
            claim(r#", {"name": "zone", "type": ["null", "string"], "default": null}"#),
            claim(r#", {"name": "weight", "type": "long", "default": 1}"#),
        ];
        for newer in &good {
            assert_eq!(objection(&one, newer), None);
        }
        let bad = [
            ("a field without default", one.clone(), claim(r#", {"name": "zone", "type": "string"}"#)),
            ("a required field removed", claim(r#", {"name": "zone", "type": "string"}"#), one.clone()),
            ("a symbol more", kind(r#""a", "b""#), kind(r#""a", "b", "c""#)),
            (
                "a wider type",
                claim(r#", {"name": "n", "type": "int", "default": 1}"#),
                claim(r#", {"name": "n", "type": "long", "default": 1}"#),
            ),
        ];
        for (what, older, newer) in bad {
            assert!(objection(&older, &newer).is_some(), "{what}");
        }
    }
}
