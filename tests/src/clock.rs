//! A clock that a test moves, before or while a process runs that goes by it: an outage of hours lasts no time.
//!
//! The process is the real one. A library of a few lines (`tests/clock/moved.c`) stands before the system's and adds to the
//! time of day what a file says; what measures durations, and the other processes of a test, are as they were.

use std::ffi::OsString;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::{Context, ensure};
use fastn_domain::Timestamp;

use crate::process::repository;

/// See the head of this file.
#[derive(Clone, Debug)]
pub struct MovedClock {
    folder: Arc<tempfile::TempDir>,
}

impl MovedClock {
    /// A clock that shows `at`, and goes on from there.
    ///
    /// # Errors
    /// There is no C compiler.
    pub fn at(at: Timestamp) -> anyhow::Result<Self> {
        let clock = Self { folder: Arc::new(tempfile::tempdir()?) };
        let source = repository().join("tests/clock/moved.c");
        let mut command = Command::new("cc");
        command.args(["-shared", "-fPIC", "-O1", "-o"]).arg(clock.library()).arg(&source);
        let compiled = command.status().with_context(|| format!("compile {} with cc", source.display()))?;
        ensure!(compiled.success(), "{} does not compile", source.display());
        clock.set(at)?;
        Ok(clock)
    }

    fn library(&self) -> PathBuf {
        self.folder.path().join("moved.so")
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("moved")
    }

    /// Moves it.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn set(&self, at: Timestamp) -> anyhow::Result<()> {
        let moved = (at.0 - now().0).div_euclid(1_000_000);
        let file = std::fs::File::options().create(true).truncate(false).write(true).open(self.file())?;
        file.write_all_at(&moved.to_ne_bytes(), 0)?;
        Ok(())
    }

    /// What it shows, to a second.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn now(&self) -> anyhow::Result<Timestamp> {
        let bytes = std::fs::read(self.file())?;
        let moved = i64::from_ne_bytes(bytes.as_slice().try_into().context("eight bytes")?);
        Ok(Timestamp(now().0 + moved * 1_000_000))
    }

    /// What a process needs in its environment to go by it.
    pub(crate) fn environment(&self) -> [(&'static str, OsString); 2] {
        let path = |path: &Path| path.as_os_str().to_owned();
        [("LD_PRELOAD", path(&self.library())), ("MOVED_CLOCK", path(&self.file()))]
    }
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
    Timestamp(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}
