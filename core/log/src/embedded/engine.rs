//! The storage engine behind the embedded log: all that is said to fjall is said here.
//!
//! One keyspace per topic and partition, made when the first record comes. Offsets only grow, so every flushed table lies
//! behind the one before it: tables are moved down, never merged, and trimming is dropping whole files.
//!
//! Invariant: the last frame of a partition is never dropped. It holds the partition's end offset, so offsets are not
//! reused after a trim that left nothing readable; and it keeps the keyspace's highest flushed sequence number, without
//! which fjall could not tell that old journals are done with.

use std::fs::File;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use bytes::Bytes;
use fastn_domain::time::Timestamp;
use fjall::config::{BlockSizePolicy, FilterPolicy};
use fjall::{AbstractTree, Database, Keyspace, KeyspaceCreateOptions, PersistMode};

use crate::embedded::failure::Failure;
use crate::embedded::frame::{self, Budget};
use crate::embedded::journal_check::{self, Verdict};
use crate::embedded::options::EmbeddedOptions;
use crate::embedded::recent::Frame;
use crate::observe;
use crate::seam::{Offset, StoredRecord, Topic};

/// Keyspace of the trim marks: topic name and partition to the first readable offset.
const MARKS: &str = "trim-marks";
/// Blocks are read whole; a scan wants them larger than a look-up does.
const TABLE_BLOCK_BYTES: u32 = 16 << 10;
/// Sealed journals past this make fjall flush the partitions that still need them. A journal is 64 MiB.
const JOURNALS_BYTES_MAX: u64 = 128 << 20;
/// fjall flushes by itself what grew so large; the committer's budget for all partitions together asks long before.
const MEMTABLE_BYTES_MAX: u64 = 64 << 20;
/// Tables are only moved, so one thread has time for everything. With more, fjall's first worker hands a compaction back to
/// the queue again and again while the others are busy: a quarter of all CPU time at 60,000 appends a second.
const WORKER_THREADS: usize = 1;
/// Open table files.
const TABLE_FILES_MAX: usize = 256;

/// What a partition holds on the disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Extent {
    pub(crate) start: Offset,
    pub(crate) end: Offset,
}

/// See the head comment.
pub(crate) struct Engine {
    dir: PathBuf,
    partitions: u32,
    database: Database,
    marks: Keyspace,
    keyspaces: Box<[OnceLock<Keyspace>]>,
}

impl Engine {
    /// Opens the engine in `dir`, which the caller has locked.
    pub(crate) fn open(dir: &Path, options: &EmbeddedOptions) -> Result<Self, Failure> {
        if dir.try_exists()? {
            match journal_check::check(dir)? {
                Verdict::Sound => {}
                Verdict::Repaired { bytes } => observe::torn_tail_cut(dir, bytes),
                Verdict::Damaged { file, at } => {
                    return Err(Failure::corrupt(format!("{} is damaged at byte {at}", file.display())));
                }
            }
        }
        let opened = catch_unwind(AssertUnwindSafe(|| Self::open_unchecked(dir, options)));
        opened.unwrap_or_else(|panic| Err(Failure::from_panic(panic.as_ref())))
    }

    fn open_unchecked(dir: &Path, options: &EmbeddedOptions) -> Result<Self, Failure> {
        let database = Database::builder(dir)
            .cache_size(options.block_cache_bytes)
            .max_journaling_size(JOURNALS_BYTES_MAX)
            .worker_threads(WORKER_THREADS)
            .max_cached_files(Some(TABLE_FILES_MAX))
            .open()?;
        let marks = database.keyspace(MARKS, keyspace_options)?;
        let count = Topic::ALL.len() * options.partitions as usize;
        let keyspaces: Box<[OnceLock<Keyspace>]> = (0..count).map(|_| OnceLock::new()).collect();
        let engine = Self { dir: dir.to_owned(), partitions: options.partitions, database, marks, keyspaces };
        for slot in 0..count {
            if engine.database.keyspace_exists(&engine.name(slot)) {
                engine.keyspace_or_create(slot)?;
            }
        }
        Ok(engine)
    }

    fn name(&self, slot: usize) -> String {
        let (topic, partition) = (slot / self.partitions as usize, slot % self.partitions as usize);
        format!("{}-{partition}", Topic::ALL[topic])
    }

    fn keyspace_or_create(&self, slot: usize) -> Result<&Keyspace, Failure> {
        if let Some(keyspace) = self.keyspaces[slot].get() {
            return Ok(keyspace);
        }
        let keyspace = self.database.keyspace(&self.name(slot), keyspace_options)?;
        Ok(self.keyspaces[slot].get_or_init(|| keyspace))
    }

    /// The readable range of a partition. The trim mark may be lost in a crash, never the end.
    pub(crate) fn extent(&self, slot: usize) -> Result<Extent, Failure> {
        let Some(keyspace) = self.keyspaces[slot].get() else { return Ok(Extent::default()) };
        let (Some(first), Some(last)) = (keyspace.first_key_value(), keyspace.last_key_value()) else {
            return Ok(Extent::default());
        };
        let (first_key, first_frame) = first.into_inner()?;
        let first = (offset_of(&first_key)? + 1).saturating_sub(u64::from(frame::records_in(&first_frame)?));
        let end = offset_of(&last.key()?)? + 1;
        let mark = self.marks.get(self.name(slot))?.map(|mark| offset_of(&mark)).transpose()?.unwrap_or(0);
        Ok(Extent { start: first.max(mark).min(end), end })
    }

    /// When the log took a partition's last record.
    pub(crate) fn last_timestamp(&self, slot: usize) -> Result<Timestamp, Failure> {
        let Some(last) = self.keyspaces[slot].get().and_then(Keyspace::last_key_value) else {
            return Ok(Timestamp::default());
        };
        let (key, frame) = last.into_inner()?;
        let last = offset_of(&key)?;
        let mut records = Vec::new();
        frame::decode(&Bytes::from(frame), last, last, &mut Budget::new(1, 0), &mut records)?;
        Ok(records.first().map(|record| record.timestamp).unwrap_or_default())
    }

    /// Bytes of a partition that are not in a table yet.
    pub(crate) fn unflushed_bytes(&self, slot: usize) -> u64 {
        self.keyspaces[slot].get().map_or(0, |keyspace| keyspace.tree.active_memtable().size())
    }

    /// Makes frames durable, all or none.
    pub(crate) fn commit(&self, frames: &[Frame]) -> Result<(), Failure> {
        let mut batch = fjall::OwnedWriteBatch::with_capacity(self.database.clone(), frames.len());
        for frame in frames {
            let keyspace = self.keyspace_or_create(frame.slot)?;
            batch.insert(keyspace, frame.last.to_be_bytes(), frame.bytes.clone());
        }
        Ok(batch.durability(Some(PersistMode::SyncData)).commit()?)
    }

    /// Reads from `from`, which lies before `end`.
    pub(crate) fn scan(
        &self,
        slot: usize,
        from: Offset,
        end: Offset,
        mut budget: Budget,
    ) -> Result<Vec<StoredRecord>, Failure> {
        let mut out = Vec::new();
        let Some(keyspace) = self.keyspaces[slot].get() else { return Ok(out) };
        for entry in keyspace.range(from.to_be_bytes()..) {
            let (key, frame) = entry.into_inner()?;
            let last = offset_of(&key)?;
            if last >= end {
                break;
            }
            if !frame::decode(&Bytes::from(frame), last, from, &mut budget, &mut out)? || last + 1 == end {
                break;
            }
        }
        Ok(out)
    }

    /// Starts to write a partition's unflushed frames into a table.
    pub(crate) fn flush(&self, slot: usize) -> Result<(), Failure> {
        if let Some(keyspace) = self.keyspaces[slot].get() {
            keyspace.rotate_memtable()?;
        }
        Ok(())
    }

    /// Remembers the first readable offsets across restarts. Synced, so that the journal's last batch stays the only one
    /// that a crash can tear.
    pub(crate) fn mark_trimmed(&self, marks: &[(usize, Offset)]) -> Result<(), Failure> {
        let mut batch = self.database.batch().durability(Some(PersistMode::SyncData));
        for (slot, start) in marks {
            batch.insert(&self.marks, self.name(*slot), start.to_be_bytes());
        }
        Ok(batch.commit()?)
    }

    /// Drops the tables whose records all lie before `start`, but never the last frame.
    pub(crate) fn drop_trimmed(&self, slot: usize, start: Offset) -> Result<(), Failure> {
        let Some(keyspace) = self.keyspaces[slot].get() else { return Ok(()) };
        let Some(last) = keyspace.last_key_value() else { return Ok(()) };
        let bound = start.min(offset_of(&last.key()?)?);
        keyspace.tree.drop_range(..bound.to_be_bytes()).map_err(fjall::Error::from)?;
        Ok(())
    }

    /// Deletes the files that nothing refers to any more. fjall does that when it flushes a memtable; the marks always
    /// have something to flush after [`Engine::mark_trimmed`].
    pub(crate) fn sweep(&self) -> Result<(), Failure> {
        self.marks.rotate_memtable()?;
        Ok(())
    }

    /// Removes frames at `from` and behind it, which nobody was told about. Returns one past the last of them, if any.
    pub(crate) fn remove_from(&self, slot: usize, from: Offset) -> Result<Option<Offset>, Failure> {
        let Some(keyspace) = self.keyspaces[slot].get() else { return Ok(None) };
        let mut batch = self.database.batch().durability(Some(PersistMode::SyncData));
        let mut end = None;
        for entry in keyspace.range(from.to_be_bytes()..) {
            let key = entry.key()?;
            end = Some(offset_of(&key)? + 1);
            batch.remove(keyspace, key);
        }
        batch.commit()?;
        Ok(end)
    }

    /// Bytes on the disk: tables, and what the journals really occupy of the space that they are allocated.
    pub(crate) fn disk_bytes(&self) -> u64 {
        let tables: u64 = self.keyspaces.iter().filter_map(OnceLock::get).map(Keyspace::disk_space).sum();
        let journals = journal_check::journals(&self.dir).unwrap_or_default();
        tables + journals.iter().filter_map(|path| path.metadata().ok()).map(|file| occupied(&file)).sum::<u64>()
    }
}

/// Bytes that the device of `dir` still has for us.
pub(crate) fn disk_free_bytes(dir: &Path) -> io::Result<u64> {
    let stat = rustix::fs::statvfs(dir)?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}

#[cfg(unix)]
fn occupied(file: &std::fs::Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::blocks(file) * 512
}

#[cfg(not(unix))]
fn occupied(file: &std::fs::Metadata) -> u64 {
    file.len()
}

fn keyspace_options() -> KeyspaceCreateOptions {
    KeyspaceCreateOptions::default()
        .max_memtable_size(MEMTABLE_BYTES_MAX)
        .data_block_size_policy(BlockSizePolicy::all(TABLE_BLOCK_BYTES))
        .filter_policy(FilterPolicy::disabled())
}

fn offset_of(bytes: &[u8]) -> Result<Offset, Failure> {
    let bytes: [u8; 8] = bytes.try_into().map_err(|_| Failure::corrupt("a key is no offset".into()))?;
    Ok(Offset::from_be_bytes(bytes))
}

/// Takes the lock of a log directory for as long as the returned file lives.
pub(crate) fn lock(dir: &Path) -> Result<File, Failure> {
    let file = File::options().create(true).truncate(false).write(true).open(dir.join("lock"))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => Err(Failure::locked()),
        Err(std::fs::TryLockError::Error(error)) => Err(error.into()),
    }
}
