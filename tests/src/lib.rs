//! End-to-end tests that run the real binary.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

/// How long a condition may take to come true before a test gives up.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The repository's root.
pub fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests' crate lies in the repository")
}

/// The binary `fastn`, built as the tests are.
///
/// # Errors
/// It does not build.
pub fn fastn() -> anyhow::Result<&'static Path> {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    if let Some(path) = BUILT.get() {
        return Ok(path);
    }
    // <profile>/deps/<test>: the binary lies beside deps/.
    let test = std::env::current_exe()?;
    let profile = test.parent().and_then(Path::parent).context("a test lies in <profile>/deps")?;
    let mut build = Command::new(env!("CARGO"));
    build.current_dir(repository()).args(["build", "--quiet", "-p", "fastn-server", "--bin", "fastn"]);
    build.arg("--target-dir").arg(profile.parent().context("a profile lies in the target directory")?);
    if profile.file_name().is_some_and(|name| name == "release") {
        build.arg("--release");
    }
    if !build.status()?.success() {
        bail!("the binary fastn does not build");
    }
    Ok(BUILT.get_or_init(|| profile.join("fastn")))
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
        let child = Command::new(fastn()?)
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
    /// It does not stop within [`PATIENCE`].
    pub fn stop(mut self) -> anyhow::Result<Option<i32>> {
        Command::new("kill").args(["-TERM", &self.0.id().to_string()]).status()?;
        let until = Instant::now() + PATIENCE;
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
/// Nothing is found within [`PATIENCE`].
pub fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> anyhow::Result<T> {
    let until = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return Ok(found);
        }
        if Instant::now() > until {
            bail!("{what}: not seen within {PATIENCE:?}");
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}
