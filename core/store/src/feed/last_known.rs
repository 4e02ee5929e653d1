//! The configuration as a node last knew it, in a file, so that it can start while its store is away.
//!
//! The first line holds the version of the form, the count of rows and a checksum over the rest; each further line is a row
//! as the store holds it: secrets sealed, keys hashed. The file is written beside its place, synced and renamed, readable by
//! its owner only.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use aws_lc_rs::digest;
use fastn_domain::catalog::{ResourceKind, ResourceRow};
use fastn_domain::ids::{AccountId, CustomerId};
use fastn_domain::time::Timestamp;
use serde::{Deserialize, Serialize};

/// Grows when the file changes its form.
const VERSION: u32 = 1;
/// Shortest time between two writes.
const WRITE_INTERVAL: Duration = Duration::from_secs(1);

#[derive(Serialize, Deserialize)]
struct Head {
    version: u32,
    rows: usize,
    sha256: String,
}

#[derive(Serialize, Deserialize)]
struct Line {
    kind: ResourceKind,
    account: AccountId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    customer: Option<CustomerId>,
    id: String,
    revision: u64,
    version: u64,
    created: i64,
    updated: i64,
    deleted: bool,
    body: String,
}

/// The rows and their file. The newest of each resource is kept.
pub(super) struct LastKnown {
    path: PathBuf,
    rows: BTreeMap<(ResourceKind, AccountId, String), ResourceRow>,
    dirty: bool,
    written: Option<Instant>,
}

impl LastKnown {
    pub(super) fn at(path: PathBuf) -> Self {
        Self { path, rows: BTreeMap::new(), dirty: false, written: None }
    }

    pub(super) fn take(&mut self, rows: &[ResourceRow]) {
        for row in rows {
            self.rows.insert((row.kind, row.account.clone(), row.id.clone()), row.clone());
        }
        self.dirty |= !rows.is_empty();
    }

    /// When the next write is due; nothing when there is nothing to write.
    pub(super) fn due(&self) -> Option<Duration> {
        let waited = self.written.map_or(WRITE_INTERVAL, |written| written.elapsed());
        self.dirty.then(|| WRITE_INTERVAL.saturating_sub(waited))
    }

    /// Writes what has changed. Blocks.
    pub(super) fn write(&mut self) -> io::Result<()> {
        // A disk that refuses is not asked again at once.
        self.written = Some(Instant::now());
        let mut text = String::new();
        for row in self.rows.values() {
            text.push_str(&serde_json::to_string(&line(row)).map_err(io::Error::other)?);
            text.push('\n');
        }
        let head = Head { version: VERSION, rows: self.rows.len(), sha256: checksum(text.as_bytes()) };
        let head = serde_json::to_string(&head).map_err(io::Error::other)?;
        replace(&self.path, &[head.as_bytes(), b"\n", text.as_bytes()])?;
        self.dirty = false;
        Ok(())
    }

    /// Reads the file; nothing when there is none.
    ///
    /// # Errors
    /// Those of the file system; `InvalidData` when it was not written by [`LastKnown::write`].
    pub(super) fn read(&mut self) -> io::Result<Option<Vec<ResourceRow>>> {
        let text = match fs::read_to_string(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let invalid = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
        let (head, lines) = text.split_once('\n').ok_or_else(|| invalid("it is cut"))?;
        let head: Head = serde_json::from_str(head).map_err(|_| invalid("its first line is not ours"))?;
        if head.version != VERSION {
            return Err(invalid("it has another form"));
        }
        if head.sha256 != checksum(lines.as_bytes()) {
            return Err(invalid("its checksum is wrong"));
        }
        let read = |line: &str| serde_json::from_str(line).map(row).map_err(|_| invalid("a line is not ours"));
        let mut rows: Vec<ResourceRow> = lines.lines().map(read).collect::<io::Result<_>>()?;
        rows.sort_by_key(|row| row.revision);
        self.take(&rows);
        self.dirty = false;
        Ok(Some(rows))
    }
}

fn checksum(bytes: &[u8]) -> String {
    digest::digest(&digest::SHA256, bytes).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn replace(path: &Path, parts: &[&[u8]]) -> io::Result<()> {
    let beside = path.with_extension("new");
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&beside)?;
    for part in parts {
        file.write_all(part)?;
    }
    file.sync_all()?;
    fs::rename(&beside, path)
}

fn line(row: &ResourceRow) -> Line {
    Line {
        kind: row.kind,
        account: row.account.clone(),
        customer: row.customer.clone(),
        id: row.id.clone(),
        revision: row.revision,
        version: row.version,
        created: row.created.0,
        updated: row.updated.0,
        deleted: row.deleted,
        body: row.body.clone(),
    }
}

fn row(line: Line) -> ResourceRow {
    ResourceRow {
        kind: line.kind,
        account: line.account,
        customer: line.customer,
        id: line.id,
        revision: line.revision,
        version: line.version,
        created: Timestamp(line.created),
        updated: Timestamp(line.updated),
        deleted: line.deleted,
        body: line.body,
    }
}
