//! The binary `fastn` as a person starts it: on a folder, with a terminal that is a file.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use crate::DEADLINE;
use crate::server::binary;

/// The repository's root.
pub fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests' crate lies in the repository")
}

/// A process that ends with its test.
pub struct Process(Child);

impl Process {
    /// Starts `fastn` with `arguments`; what it prints goes into `output`.
    ///
    /// # Errors
    /// It does not build or start.
    pub fn start(arguments: &[&str], directory: &Path, output: &Path) -> anyhow::Result<Self> {
        let file = std::fs::File::create(output).with_context(|| format!("create {}", output.display()))?;
        let child = Command::new(binary()?)
            .args(arguments)
            .current_dir(directory)
            .stdin(Stdio::null())
            .stderr(file.try_clone()?)
            .stdout(file)
            .spawn()?;
        Ok(Self(child))
    }

    /// Ends it as a power cut would.
    ///
    /// # Errors
    /// The system refuses.
    pub fn kill(mut self) -> anyhow::Result<()> {
        self.0.kill()?;
        self.0.wait()?;
        Ok(())
    }

    /// Asks it to stop and returns its exit code.
    ///
    /// # Errors
    /// It does not stop within [`DEADLINE`].
    pub fn stop(mut self) -> anyhow::Result<Option<i32>> {
        Command::new("kill").args(["-TERM", &self.0.id().to_string()]).status()?;
        let until = Instant::now() + DEADLINE;
        while Instant::now() < until {
            if let Some(status) = self.0.try_wait()? {
                return Ok(status.code());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        bail!("process {} was asked to stop and runs on", self.0.id())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _already_gone = self.0.kill();
        let _reaped = self.0.wait();
    }
}

/// Looks until `look` finds something.
///
/// # Errors
/// Nothing is found within [`DEADLINE`].
pub fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> anyhow::Result<T> {
    let until = Instant::now() + DEADLINE;
    loop {
        if let Some(found) = look() {
            return Ok(found);
        }
        if Instant::now() > until {
            bail!("{what}: not seen within {DEADLINE:?}");
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}
