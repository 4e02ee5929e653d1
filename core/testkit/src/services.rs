//! The real servers that tests need, started by the scripts of `tests/services/`. Every call starts what is not running yet
//! and returns its address, so that a bare `cargo test` works. They go on running; `tests/run.sh` stops them at the end, and
//! so does `<script> stop` by hand. `FASTN_SERVICES` names the folder of a set of servers; two sets run side by side.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// One set of servers: its scripts run with this set's folder.
#[derive(Debug, Clone)]
pub struct Services {
    folder: Option<PathBuf>,
}

impl Services {
    /// The set that every test shares: `FASTN_SERVICES`, or `target/services` of the repository.
    #[must_use]
    pub fn shared() -> Self {
        Self { folder: None }
    }

    /// A set of its own in `folder`, for tests that break their servers. Everyone must be able to enter the folder, since
    /// PostgreSQL does not run as root.
    #[must_use]
    pub fn own(folder: impl Into<PathBuf>) -> Self {
        Self { folder: Some(folder.into()) }
    }

    /// Where its servers keep their data, one folder a service.
    #[must_use]
    pub fn folder(&self) -> PathBuf {
        let named = || std::env::var_os("FASTN_SERVICES").map(PathBuf::from);
        let usual = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/services");
        self.folder.clone().or_else(named).unwrap_or_else(usual)
    }

    /// Runs `tests/services/<script>` with `arguments` and returns the last line of its output. Its progress goes to stderr.
    ///
    /// # Errors
    /// The script can't be run, or fails.
    pub fn try_run(&self, script: &str, arguments: &[&str]) -> Result<String, String> {
        let output = self.try_output(script, arguments)?;
        Ok(output.lines().last().unwrap_or_default().to_owned())
    }

    /// The same with its whole output.
    ///
    /// # Errors
    /// The script can't be run, or fails.
    pub fn try_output(&self, script: &str, arguments: &[&str]) -> Result<String, String> {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/services").join(script);
        let mut command = Command::new(&path);
        command.args(arguments).stdin(Stdio::null()).stderr(Stdio::inherit());
        if let Some(folder) = &self.folder {
            // The shared ports belong to the shared set; this one finds free ones.
            command.env("FASTN_SERVICES", folder);
            for port in ["FASTN_KAFKA_PORT", "FASTN_POSTGRES_PORT", "FASTN_REGISTRY_PORT"] {
                command.env_remove(port);
            }
        }
        let output = command.output().map_err(|error| format!("can't run {}: {error}", path.display()))?;
        if !output.status.success() {
            return Err(format!("{script} {} failed ({}); see stderr", arguments.join(" "), output.status));
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// The same for a test that can't do without.
    ///
    /// # Panics
    /// If the script fails.
    pub fn run(&self, script: &str, arguments: &[&str]) -> String {
        self.try_run(script, arguments).unwrap_or_else(|error| panic!("{error}"))
    }

    /// Kafka with one node; `127.0.0.1:port`.
    pub fn kafka(&self) -> String {
        self.run("kafka.sh", &["start"])
    }

    /// PostgreSQL; the URL of its superuser. A test makes a database of its own in it.
    pub fn postgres(&self) -> String {
        self.run("postgres.sh", &["start"])
    }

    /// The schema registry; the base URL for a Confluent client.
    pub fn registry(&self) -> String {
        self.run("registry.sh", &["start"])
    }
}

/// The shared Kafka: `127.0.0.1:port`. Use topics with a prefix of your own.
pub fn kafka() -> String {
    Services::shared().kafka()
}

/// The shared PostgreSQL: the URL of its superuser.
pub fn postgres() -> String {
    Services::shared().postgres()
}

/// The shared schema registry: the base URL for a Confluent client.
pub fn registry() -> String {
    Services::shared().registry()
}
