//! The temporary directory of a test's node. It goes with the node; one that a killed process left goes with the next start.

use std::path::Path;

use anyhow::Context as _;
use tempfile::TempDir;

const PREFIX: &str = "fastn-test-";

/// See the head of this file.
pub(crate) struct Directory(TempDir);

impl Directory {
    pub(crate) fn make() -> anyhow::Result<Self> {
        let parent = std::env::temp_dir();
        sweep(&parent);
        let prefix = format!("{PREFIX}{}-", std::process::id());
        let made = tempfile::Builder::new().prefix(&prefix).tempdir_in(&parent);
        Ok(Self(made.with_context(|| format!("make a directory in {}", parent.display()))?))
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }
}

/// Deletes what processes have left that are no more.
fn sweep(parent: &Path) {
    let Ok(entries) = std::fs::read_dir(parent) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let pid = name.to_str().and_then(|name| name.strip_prefix(PREFIX)?.split('-').next()?.parse().ok());
        if let Some(pid) = pid.and_then(rustix::process::Pid::from_raw)
            && rustix::process::test_kill_process(pid) == Err(rustix::io::Errno::SRCH)
        {
            let _another_may_be_at_it = std::fs::remove_dir_all(entry.path());
        }
    }
}
