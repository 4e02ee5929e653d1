use std::collections::BTreeMap;
use std::time::Instant;

use fastn_contract::poll::Compare;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn view() -> View {
    View::compile(&Compare::Record).unwrap()
}

type Records = BTreeMap<String, BTreeMap<String, u8>>;
type Told = (String, &'static str, Vec<String>);

/// The changes between two listings, the slow way.
fn naive(before: &Records, now: &Records) -> Vec<Told> {
    let mut told = Vec::new();
    for (key, record) in now {
        match before.get(key) {
            None => told.push((key.clone(), "created", Vec::new())),
            Some(old) if old != record => {
                let names: BTreeSet<&String> = old.keys().chain(record.keys()).collect();
                let changed = names.into_iter().filter(|name| old.get(*name) != record.get(*name)).cloned().collect();
                told.push((key.clone(), "updated", changed));
            }
            Some(_) => {}
        }
    }
    told.extend(before.keys().filter(|key| !now.contains_key(*key)).map(|key| (key.clone(), "deleted", Vec::new())));
    told.sort();
    told
}

fn listed(snapshot: &mut Snapshot, now: &Records, generation: u64) -> Vec<Told> {
    let mut told = Vec::new();
    for (key, record) in now {
        match snapshot.observe(key, &json!(record), &view(), generation) {
            Observed::Created => told.push((key.clone(), "created", Vec::new())),
            Observed::Updated(fields) => told.push((key.clone(), "updated", fields)),
            Observed::Unchanged => {}
            Observed::Repeated => panic!("{key} was listed once"),
        }
    }
    loop {
        let missing = snapshot.take_missing(3);
        if missing.is_empty() {
            break;
        }
        told.extend(missing.into_iter().map(|key| (key, "deleted", Vec::new())));
    }
    told.sort();
    told
}

/// A store of chunks.
#[derive(Default)]
struct Stored(BTreeMap<u32, Vec<u8>>);

impl Stored {
    fn take(&mut self, snapshot: &mut Snapshot) -> usize {
        let (anew, chunks) = snapshot.take_changed();
        if anew {
            self.0.clear();
        }
        let count = chunks.len();
        for (at, bytes) in chunks {
            match bytes {
                Some(bytes) => self.0.insert(at, bytes),
                None => self.0.remove(&at),
            };
        }
        count
    }

    fn read(&self, chunks: u32) -> Snapshot {
        let stored: Vec<_> = self.0.iter().map(|(at, bytes)| (*at, bytes.clone())).collect();
        Snapshot::decode(chunks, &stored).unwrap()
    }
}

fn records() -> impl Strategy<Value = Records> {
    let record = proptest::collection::btree_map("[a-d]", 0_u8..3, 0..4);
    proptest::collection::btree_map("[a-z]{1,2}", record, 0..40)
}

proptest! {
    /// Property: through any number of listings, each stored in chunks and read back, the changes are those that a
    /// comparison of the records themselves finds.
    #[test]
    fn changes_are_those_of_a_naive_comparison(listings in proptest::collection::vec(records(), 1..6)) {
        let mut stored = Stored::default();
        let mut snapshot = Snapshot::new();
        let mut before = Records::new();
        for (generation, now) in listings.into_iter().enumerate() {
            prop_assert_eq!(listed(&mut snapshot, &now, generation as u64), naive(&before, &now));
            prop_assert_eq!(snapshot.len(), now.len());
            stored.take(&mut snapshot);
            snapshot = stored.read(snapshot.chunks());
            before = now;
        }
    }

    /// Property: no bytes make the reader panic, and a chunk that was cut is refused.
    #[test]
    fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200), cut in 0_usize..1_000) {
        let _ = Snapshot::decode(1, &[(0, bytes)]);
        let mut snapshot = Snapshot::new();
        snapshot.observe("key", &json!({"a": 1, "b": {"c": 2}}), &view(), 7);
        let whole = snapshot.take_changed().1.remove(0).1.unwrap();
        let cut = cut % whole.len();
        prop_assert_eq!(Snapshot::decode(1, &[(0, whole[..cut].to_vec())]).unwrap_err(), ChunkError(0));
    }
}

fn numbered(n: usize, version: usize) -> Value {
    json!({
        "id": format!("rec_{n:08}"), "name": format!("Person {n}"), "email": format!("person.{n}@example.com"),
        "version": version, "active": true, "owner": {"id": n % 97, "team": "north"},
        "tags": ["a", "b"], "note": "as long as notes tend to be, which is not very long", "score": n as f64 / 7.0,
    })
}

fn filled(count: usize) -> (Snapshot, Stored) {
    let (mut snapshot, mut stored) = (Snapshot::new(), Stored::default());
    for n in 0..count {
        snapshot.observe(&format!("rec_{n:08}"), &numbered(n, 0), &view(), 1);
    }
    stored.take(&mut snapshot);
    (stored.read(snapshot.chunks()), stored)
}

/// Property: a change rewrites the chunk that it is in and no other, and growing keeps all records.
#[test]
fn only_changed_chunks_are_written() {
    let (mut snapshot, mut stored) = filled(3_000);
    assert!(snapshot.chunks() >= 12 && snapshot.len() == 3_000);
    let fields = match snapshot.observe("rec_00000007", &numbered(7, 1), &view(), 2) {
        Observed::Updated(fields) => fields,
        other => panic!("{other:?}"),
    };
    assert_eq!(fields, ["version"]);
    assert_eq!(snapshot.observe("rec_00000008", &numbered(8, 0), &view(), 2), Observed::Unchanged);
    assert_eq!(snapshot.observe("rec_00000008", &numbered(8, 5), &view(), 2), Observed::Repeated);
    assert_eq!(stored.take(&mut snapshot), 1);
    assert_eq!(stored.read(snapshot.chunks()).len(), 3_000);
}

/// Property: what is kept beyond a limit is what changed last.
#[test]
fn the_oldest_are_forgotten() {
    let mut snapshot = Snapshot::new();
    for n in 0..100_u64 {
        snapshot.observe(&format!("{n}"), &json!({ "n": n }), &view(), n / 10);
    }
    snapshot.keep_newest(25);
    assert_eq!(snapshot.len(), 25);
    let mut stored = Stored::default();
    stored.take(&mut snapshot);
    let mut back = stored.read(snapshot.chunks());
    for n in 80..100 {
        back.pass(&format!("{n}"));
    }
    assert_eq!(back.take_missing(100).len(), 5);
}

/// Property: 100,000 records are read back and compared within a second. A ratio, since machines differ: it takes no longer
/// than reading the same records as JSON three times. With `--nocapture` it prints figures.
#[test]
fn a_large_snapshot_is_compared_fast() {
    let count = 100_000;
    let (mut snapshot, stored) = filled(count);
    let text = Value::Array((0..count).map(|n| numbered(n, usize::from(n % 100 == 0))).collect()).to_string();
    let read = Instant::now();
    let listing: Vec<Value> = serde_json::from_str(&text).unwrap();
    let read = read.elapsed();

    let decode = Instant::now();
    let mut decoded = stored.read(snapshot.chunks());
    let decode = decode.elapsed();
    let compare = Instant::now();
    let mut changed = 0;
    for record in &listing {
        let key = record["id"].as_str().unwrap();
        changed += usize::from(decoded.observe(key, record, &view(), 2) != Observed::Unchanged);
    }
    let gone = decoded.take_missing(usize::MAX);
    let compare = compare.elapsed();
    let write = Instant::now();
    let (_, chunks) = decoded.take_changed();
    let write = write.elapsed();
    let bytes: usize = stored.0.values().map(Vec::len).sum();
    println!(
        "{count} records, snapshot of {bytes} bytes: read {decode:?}, compare {compare:?}, write {} chunks {write:?}; \
         their JSON of {} bytes {read:?}",
        chunks.len(),
        text.len()
    );
    assert_eq!((changed, gone.len()), (count / 100, 0));
    assert!(decode + compare <= read * 3, "{decode:?} + {compare:?} against {read:?}");
    snapshot.pass("rec_00000000");
}
