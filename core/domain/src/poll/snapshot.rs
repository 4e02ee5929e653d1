//! What a source listed last, by hashes alone, and what a new listing changes of it.
//!
//! Records are spread over chunks by the hash of their key, so that a change rewrites the chunk that it is in and no other.
//! A chunk is bytes that stand alone:
//!
//! ```text
//!   1, names: count, {length, text}…, records: count, {key length, key, whole:16, changed:8, fields: count, {name, hash:8}…}…
//! ```
//!
//! Counts, lengths and names (as their place in the list) are 32 bits, all little-endian.

use std::collections::{BTreeSet, HashMap};

use serde_json::Value;
use xxhash_rust::xxh3::xxh3_64;

use super::fields::View;

/// The first byte of a chunk.
const FORMAT: u8 = 1;
/// More records than this in the middle make more chunks. A chunk of records with ten fields is then about 20 kB.
const RECORDS_OF_CHUNK_MAX: usize = 256;
/// Names of fields that are told apart over all records. Others count as none.
const NAMES_MAX: usize = 10_000;

/// A chunk that does not read back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("chunk {0} of a snapshot does not read back")]
pub struct ChunkError(pub u32);

/// What a record turned out to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Observed {
    /// As it was.
    Unchanged,
    /// Not there before.
    Created,
    /// Changed in these fields.
    Updated(Vec<String>),
    /// Listed before in the same listing; this copy does not count.
    Repeated,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    whole: u128,
    /// The generation that changed it last.
    changed: u64,
    fields: Box<[(u32, u64)]>,
    listed: bool,
}

/// See the head of this file.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    chunks: Vec<HashMap<Box<str>, Entry>>,
    dirty: BTreeSet<u32>,
    /// Every chunk has to be written, and those that are stored to be forgotten.
    anew: bool,
    names: Vec<Box<str>>,
    places: HashMap<Box<str>, u32>,
    length: usize,
}

/// The number of a chunk and what it holds now; nothing if it holds no record.
pub type Chunk = (u32, Option<Vec<u8>>);

impl Snapshot {
    /// An empty one, which takes the place of whatever is stored.
    pub fn new() -> Self {
        Self { chunks: vec![HashMap::new()], anew: true, ..Self::default() }
    }

    /// Reads one back that was stored in `count` chunks; those that hold nothing may be missing.
    ///
    /// # Errors
    /// A chunk that is none, or one too many.
    pub fn decode(count: u32, stored: &[(u32, Vec<u8>)]) -> Result<Self, ChunkError> {
        let mut snapshot = Self { chunks: vec![HashMap::new(); count.max(1) as usize], ..Self::default() };
        for (at, bytes) in stored {
            let mut reader = Reader(bytes);
            let entries = snapshot.read(&mut reader).filter(|_| reader.0.is_empty()).ok_or(ChunkError(*at))?;
            snapshot.length += entries.len();
            *snapshot.chunks.get_mut(*at as usize).ok_or(ChunkError(*at))? = entries;
        }
        Ok(snapshot)
    }

    /// Records.
    pub fn len(&self) -> usize {
        self.length
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// The number of chunks.
    pub fn chunks(&self) -> u32 {
        self.chunks.len() as u32
    }

    fn place(&self, key: &str) -> usize {
        (xxh3_64(key.as_bytes()) % self.chunks.len() as u64) as usize
    }

    /// Takes a record of a listing and says what it changes.
    pub fn observe(&mut self, key: &str, record: &Value, view: &View, generation: u64) -> Observed {
        let whole = view.whole(record);
        let at = self.place(key);
        if let Some(entry) = self.chunks[at].get_mut(key) {
            if std::mem::replace(&mut entry.listed, true) {
                return Observed::Repeated;
            }
            if entry.whole == whole {
                return Observed::Unchanged;
            }
        }
        let entry = Entry { whole, changed: generation, fields: self.fields_of(record, view), listed: true };
        self.dirty.insert(at as u32);
        let now = entry.fields.clone();
        match self.chunks[at].insert(key.into(), entry) {
            Some(before) => Observed::Updated(self.differing(&before.fields, &now)),
            None => {
                self.length += 1;
                if self.length > self.chunks.len() * RECORDS_OF_CHUNK_MAX {
                    self.spread(self.chunks.len() * 4);
                }
                Observed::Created
            }
        }
    }

    /// Counts a record as listed without looking at it.
    pub fn pass(&mut self, key: &str) {
        let at = self.place(key);
        if let Some(entry) = self.chunks[at].get_mut(key) {
            entry.listed = true;
        }
    }

    /// Takes out what the listing did not have, at most `max` records at a time, and says their keys.
    pub fn take_missing(&mut self, max: usize) -> Vec<String> {
        let mut missing = Vec::new();
        for (at, chunk) in self.chunks.iter_mut().enumerate() {
            if missing.len() >= max {
                break;
            }
            let room = max - missing.len();
            let gone: Vec<Box<str>> =
                chunk.iter().filter(|(_, entry)| !entry.listed).take(room).map(|(key, _)| key.clone()).collect();
            if gone.is_empty() {
                continue;
            }
            self.dirty.insert(at as u32);
            self.length -= gone.len();
            for key in gone {
                chunk.remove(&key);
                missing.push(key.into());
            }
        }
        missing
    }

    /// Forgets the records that changed longest ago, so that at most `max` are left.
    pub fn keep_newest(&mut self, max: usize) {
        let Some(excess) = self.length.checked_sub(max).filter(|excess| *excess > 0) else { return };
        let mut ages: Vec<(u64, usize, Box<str>)> = Vec::with_capacity(self.length);
        for (at, chunk) in self.chunks.iter().enumerate() {
            ages.extend(chunk.iter().map(|(key, entry)| (entry.changed, at, key.clone())));
        }
        ages.sort_unstable();
        for (_, at, key) in ages.into_iter().take(excess) {
            self.chunks[at].remove(&key);
            self.dirty.insert(at as u32);
        }
        self.length = max;
    }

    /// The chunks that have changed since the last call, and whether they take the place of all that is stored. A chunk
    /// without records is nothing.
    pub fn take_changed(&mut self) -> (bool, Vec<Chunk>) {
        let anew = std::mem::take(&mut self.anew);
        let dirty = std::mem::take(&mut self.dirty);
        let places: Vec<u32> = if anew { (0..self.chunks()).collect() } else { dirty.into_iter().collect() };
        let written = places.into_iter().map(|at| (at, self.encode(at as usize)));
        (anew, written.filter(|(_, bytes)| !anew || bytes.is_some()).collect())
    }

    fn spread(&mut self, count: usize) {
        let before = std::mem::replace(&mut self.chunks, vec![HashMap::new(); count]);
        for (key, entry) in before.into_iter().flatten() {
            let at = self.place(&key);
            self.chunks[at].insert(key, entry);
        }
        self.anew = true;
    }

    fn fields_of(&mut self, record: &Value, view: &View) -> Box<[(u32, u64)]> {
        let mut fields = Vec::new();
        view.fields(record, |name, hash| {
            if let Some(at) = self.name(name) {
                fields.push((at, hash));
            }
        });
        fields.sort_unstable();
        fields.into()
    }

    fn name(&mut self, name: &str) -> Option<u32> {
        if let Some(at) = self.places.get(name) {
            return Some(*at);
        }
        if self.names.len() >= NAMES_MAX {
            return None;
        }
        let at = self.names.len() as u32;
        self.names.push(name.into());
        self.places.insert(name.into(), at);
        Some(at)
    }

    /// The names of fields that one side lacks or that differ, in order. Both sides are sorted.
    fn differing(&self, before: &[(u32, u64)], now: &[(u32, u64)]) -> Vec<String> {
        let mut names = BTreeSet::new();
        let (mut b, mut n) = (before.iter().peekable(), now.iter().peekable());
        loop {
            let at = match (b.peek(), n.peek()) {
                (None, None) => break,
                (Some(old), Some(new)) if old.0 == new.0 => {
                    let same = old.1 == new.1;
                    let at = old.0;
                    b.next();
                    n.next();
                    if same {
                        continue;
                    }
                    at
                }
                (Some(old), Some(new)) if old.0 > new.0 => {
                    let at = new.0;
                    n.next();
                    at
                }
                (Some(old), _) => {
                    let at = old.0;
                    b.next();
                    at
                }
                (None, Some(new)) => {
                    let at = new.0;
                    n.next();
                    at
                }
            };
            names.extend(self.names.get(at as usize).map(|name| name.to_string()));
        }
        names.into_iter().collect()
    }

    fn encode(&self, at: usize) -> Option<Vec<u8>> {
        let chunk = self.chunks.get(at).filter(|chunk| !chunk.is_empty())?;
        let mut own: HashMap<u32, u32> = HashMap::new();
        let mut names: Vec<u32> = Vec::new();
        for (name, _) in chunk.values().flat_map(|entry| entry.fields.iter()) {
            own.entry(*name).or_insert_with(|| {
                names.push(*name);
                names.len() as u32 - 1
            });
        }
        let mut bytes = vec![FORMAT];
        put_number(&mut bytes, names.len());
        for name in names {
            put_text(&mut bytes, &self.names[name as usize]);
        }
        put_number(&mut bytes, chunk.len());
        for (key, entry) in chunk {
            put_text(&mut bytes, key);
            bytes.extend_from_slice(&entry.whole.to_le_bytes());
            bytes.extend_from_slice(&entry.changed.to_le_bytes());
            put_number(&mut bytes, entry.fields.len());
            for (name, hash) in &entry.fields {
                put_number(&mut bytes, own[name] as usize);
                bytes.extend_from_slice(&hash.to_le_bytes());
            }
        }
        Some(bytes)
    }

    fn read(&mut self, reader: &mut Reader<'_>) -> Option<HashMap<Box<str>, Entry>> {
        (reader.take::<1>()? == [FORMAT]).then_some(())?;
        let mut names = Vec::new();
        for _ in 0..reader.number()? {
            let name = reader.text()?;
            names.push(self.name(name));
        }
        let mut entries = HashMap::new();
        for _ in 0..reader.number()? {
            let key = reader.text()?;
            let whole = u128::from_le_bytes(reader.take()?);
            let changed = u64::from_le_bytes(reader.take()?);
            let mut fields = Vec::new();
            for _ in 0..reader.number()? {
                let name = names.get(reader.number()? as usize)?;
                let hash = u64::from_le_bytes(reader.take()?);
                fields.extend(name.map(|name| (name, hash)));
            }
            fields.sort_unstable();
            entries.insert(key.into(), Entry { whole, changed, fields: fields.into(), listed: false });
        }
        Some(entries)
    }
}

fn put_number(bytes: &mut Vec<u8>, number: usize) {
    bytes.extend_from_slice(&u32::try_from(number).unwrap_or(u32::MAX).to_le_bytes());
}

fn put_text(bytes: &mut Vec<u8>, text: &str) {
    put_number(bytes, text.len());
    bytes.extend_from_slice(text.as_bytes());
}

/// Bytes that are left to read. Nothing is allocated for a count that they cannot hold.
struct Reader<'b>(&'b [u8]);

impl<'b> Reader<'b> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*taken)
    }

    fn number(&mut self) -> Option<u32> {
        self.take().map(u32::from_le_bytes)
    }

    fn text(&mut self) -> Option<&'b str> {
        let length = self.number()? as usize;
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        std::str::from_utf8(taken).ok()
    }
}

#[cfg(test)]
mod tests;
