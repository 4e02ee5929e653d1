//! The temporary directory of a test's node. It goes with the node; one that a killed process left goes with the next start.

use std::fs::{File, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use anyhow::Context as _;
use tempfile::TempDir;

const PREFIX: &str = "fastn-test-";
/// The file that its process holds locked while it lives.
const HELD: &str = "held";

/// See the head of this file.
pub(crate) struct Directory {
    directory: TempDir,
    _held: File,
}

impl Directory {
    pub(crate) fn make() -> anyhow::Result<Self> {
        let parent = std::env::temp_dir();
        sweep(&parent);
        let prefix = format!("{PREFIX}{}-", std::process::id());
        // As any other data directory: nobody else of the machine reads it.
        let mode = Permissions::from_mode(0o700);
        let made = tempfile::Builder::new().prefix(&prefix).permissions(mode).tempdir_in(&parent);
        let directory = made.with_context(|| format!("make a directory in {}", parent.display()))?;
        // Locked before it has its name: nobody meets it without its lock.
        let (new, file) = (directory.path().join("new"), directory.path().join(HELD));
        let held = File::create(&new).with_context(|| format!("make {}", new.display()))?;
        held.lock().with_context(|| format!("lock {}", new.display()))?;
        std::fs::rename(&new, &file).with_context(|| format!("make {}", file.display()))?;
        Ok(Self { directory, _held: held })
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }
}

/// Deletes what processes have left that are no more. By the lock and not by the number of the process, which may be one of
/// another container that shares this directory.
fn sweep(parent: &Path) {
    let Ok(entries) = std::fs::read_dir(parent) else { return };
    for entry in entries.flatten() {
        let is_ours = entry.file_name().to_str().is_some_and(|name| name.starts_with(PREFIX));
        if is_ours && File::open(entry.path().join(HELD)).is_ok_and(|held| held.try_lock().is_ok()) {
            let _another_may_be_at_it = std::fs::remove_dir_all(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Property: a directory that nobody holds any more goes with the next start, and one that is held stays.
    #[test]
    fn what_was_left_goes() {
        let (alive, left) = (Directory::make().unwrap(), Directory::make().unwrap());
        let path = left.path().to_owned();
        // As if the process had been killed: the lock goes, and the directory stays.
        let Directory { directory, _held } = left;
        drop(_held);
        let _kept = directory.keep();
        drop(Directory::make().unwrap());
        assert!(alive.path().join(HELD).is_file() && !path.exists());
    }
}
