//! Judges the engine's journal files before the engine opens them.
//!
//! The committer syncs after every batch, so at a crash at most the last batch of the newest journal is not durable.
//! What that batch left behind is cut off: nobody was told that it happened. Anything else that does not read back is
//! damage to acknowledged records, and opening is refused: the engine alone would cut the journal at the first damaged
//! byte and lose everything behind it without a word, and would refuse to open for a torn batch whose end is on the disk
//! and whose middle is not.
//!
//! ```text
//! journal  batch … zeros            (the file is allocated ahead; a sealed one ends in zeros too)
//! batch    1 │ items u32 │ seqno u64 │ item … │ 3 │ xxh3 of the items u64 │ "FJL" 3
//! item     2 │ type u8 │ compression u8 │ keyspace u64 │ key u16 │ value u32 │ stored u32 │ key │ stored value
//!          4 │ keyspace u64
//! ```
//!
//! Numbers are little-endian. The layout is fjall's, format version 3.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use xxhash_rust::xxh3::Xxh3;

const TRAILER: &[u8] = b"FJL\x03";
const TAG_START: u8 = 1;
const TAG_ITEM: u8 = 2;
const TAG_END: u8 = 3;
const TAG_CLEAR: u8 = 4;
/// How far a sequence number may be ahead of the batch before it; flushes take a few in between.
const SEQNO_AHEAD_MAX: u64 = 1 << 20;

/// What the journals are like.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Every batch reads back.
    Sound,
    /// The last batch of the newest journal was torn; so many bytes were cut off.
    Repaired { bytes: u64 },
    /// Acknowledged records are damaged.
    Damaged { file: PathBuf, at: u64 },
}

/// Checks all journals in `dir` and cuts off a torn last batch. Only for a directory that nobody else has open.
pub(crate) fn check(dir: &Path) -> io::Result<Verdict> {
    let mut journals = journals(dir)?;
    let Some(newest) = journals.pop() else { return Ok(Verdict::Sound) };
    let mut seqno = None;
    for sealed in journals {
        let bytes = std::fs::read(&sealed)?;
        let prefix = sound_prefix(&bytes, seqno);
        if !is_blank(&bytes[prefix.end..]) {
            return Ok(Verdict::Damaged { file: sealed, at: prefix.end as u64 });
        }
        seqno = prefix.seqno;
    }
    let bytes = std::fs::read(&newest)?;
    let prefix = sound_prefix(&bytes, seqno);
    let rest = &bytes[prefix.end..];
    if is_blank(rest) {
        return Ok(Verdict::Sound);
    }
    if has_batch(rest) {
        return Ok(Verdict::Damaged { file: newest, at: prefix.end as u64 });
    }
    let file = OpenOptions::new().write(true).open(&newest)?;
    file.set_len(prefix.end as u64)?;
    file.sync_all()?;
    File::open(dir)?.sync_all()?;
    let torn = rest.len() - rest.iter().rev().take_while(|byte| **byte == 0).count();
    Ok(Verdict::Repaired { bytes: torn as u64 })
}

/// Journal files, oldest first.
pub(crate) fn journals(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        let id = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_suffix(".jnl"));
        if let Some(id) = id.and_then(|id| id.parse::<u64>().ok()) {
            found.push((id, path));
        }
    }
    found.sort();
    Ok(found.into_iter().map(|(_, path)| path).collect())
}

fn is_blank(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| *byte == 0)
}

struct Prefix {
    end: usize,
    seqno: Option<u64>,
}

/// The batches that read back, given the sequence number before them. The number is not part of a batch's checksum, but it
/// only grows, and never by much.
fn sound_prefix(bytes: &[u8], seqno_before: Option<u64>) -> Prefix {
    let mut prefix = Prefix { end: 0, seqno: seqno_before };
    while let Some((len, seqno)) = batch(&bytes[prefix.end..]).filter(|(_, seqno)| follows(prefix.seqno, *seqno)) {
        prefix = Prefix { end: prefix.end + len, seqno: Some(seqno) };
    }
    prefix
}

fn follows(before: Option<u64>, seqno: u64) -> bool {
    before.is_none_or(|before| seqno > before && seqno - before <= SEQNO_AHEAD_MAX)
}

/// Whether a whole batch lies anywhere in `bytes`, whatever its sequence number.
fn has_batch(bytes: &[u8]) -> bool {
    (0..bytes.len()).any(|at| bytes[at] == TAG_START && batch(&bytes[at..]).is_some())
}

/// The length and sequence number of the batch at the start of `bytes`, if there is a whole one.
fn batch(bytes: &[u8]) -> Option<(usize, u64)> {
    let mut fields = Fields { bytes, at: 0 };
    if fields.u8()? != TAG_START {
        return None;
    }
    let items = fields.u32()?;
    let seqno = fields.u64()?;
    let items_at = fields.at;
    for _ in 0..items {
        match fields.u8()? {
            TAG_ITEM => {
                fields.skip(2 + 8)?;
                let key = usize::from(fields.u16()?);
                fields.skip(4)?;
                let stored = fields.u32()? as usize;
                fields.skip(key + stored)?;
            }
            TAG_CLEAR => fields.skip(8)?,
            _ => return None,
        }
    }
    let items_end = fields.at;
    if fields.u8()? != TAG_END {
        return None;
    }
    let expected = fields.u64()?;
    if bytes.get(fields.at..fields.at + TRAILER.len())? != TRAILER {
        return None;
    }
    let mut hasher = Xxh3::new();
    hasher.update(&bytes[items_at..items_end]);
    (hasher.digest() == expected).then_some((fields.at + TRAILER.len(), seqno))
}

struct Fields<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Fields<'_> {
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let part = *self.bytes.get(self.at..)?.first_chunk::<N>()?;
        self.at += N;
        Some(part)
    }

    fn u8(&mut self) -> Option<u8> {
        self.array().map(u8::from_le_bytes)
    }

    fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    fn skip(&mut self, bytes: usize) -> Option<()> {
        (bytes <= self.bytes.len().checked_sub(self.at)?).then(|| self.at += bytes)
    }
}
