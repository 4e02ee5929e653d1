//! `fastn dev` on a copy of the example project, as a newcomer runs it.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;
use fastn_tests::process::{Process, eventually, repository};
use fastn_tests::server::binary;
use serde_json::Value;

/// A copy of the example, whose port is any free one.
struct Example {
    directory: tempfile::TempDir,
}

impl Example {
    fn copy() -> anyhow::Result<Self> {
        let directory = tempfile::tempdir()?;
        let example = repository().join("examples/github-triage");
        for folder in [".", "workflows", "triggers", "payloads"] {
            std::fs::create_dir_all(directory.path().join(folder))?;
            for entry in std::fs::read_dir(example.join(folder))? {
                let path = entry?.path();
                if path.is_file() {
                    std::fs::copy(&path, directory.path().join(path.strip_prefix(&example)?))?;
                }
            }
        }
        Ok(Self { directory })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn start(&self) -> anyhow::Result<Process> {
        // The address of the run before must not be taken for the one of this run.
        let _not_there_at_first = std::fs::remove_file(self.path(".fastn/config.json"));
        let arguments = ["dev", ".", "--listen", "127.0.0.1:0"];
        let process = Process::start(&arguments, self.directory.path(), &self.path("terminal.txt"))?;
        self.shown("workflow triage@")?;
        Ok(process)
    }

    fn terminal(&self) -> String {
        std::fs::read_to_string(self.path("terminal.txt")).unwrap_or_default()
    }

    fn shown(&self, text: &str) -> anyhow::Result<()> {
        eventually(text, || self.terminal().contains(text).then_some(())).with_context(|| self.terminal())
    }

    fn cli(&self, arguments: &[&str]) -> anyhow::Result<Value> {
        let output =
            Command::new(binary()?).args(arguments).arg("--json").current_dir(self.directory.path()).output()?;
        anyhow::ensure!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        Ok(serde_json::from_slice(&output.stdout)?)
    }

    fn send(&self, event: &str, payload: &str) -> anyhow::Result<Value> {
        let secret = "It's a Secret to Everybody";
        let file = format!("payloads/{payload}");
        let webhook = ["send", "--webhook", "github", "--github-secret", secret, "--github-event", event];
        self.cli(&[&webhook[..], &["--file", &file]].concat())
    }

    fn completed(&self) -> usize {
        let rows = self.cli(&["executions", "list"]).unwrap_or_default();
        let rows = rows.as_array().cloned().unwrap_or_default();
        rows.iter().filter(|row| row["status"] == "completed").count()
    }
}

fn mode(path: &Path) -> anyhow::Result<u32> {
    use std::os::unix::fs::PermissionsExt as _;
    Ok(std::fs::metadata(path)?.permissions().mode() & 0o777)
}

/// Property: a signed GitHub webhook runs the example's workflow to its end and is shown; after kill -9 its execution is
/// still there, the same issue runs nothing a second time, another event runs, and SIGTERM ends the process with 0.
#[test]
fn a_webhook_runs_and_outlives_a_kill() -> anyhow::Result<()> {
    let example = Example::copy()?;
    let process = example.start()?;
    assert_eq!(mode(&example.path(".fastn/config.json"))?, 0o600);
    assert!(example.path(".fastn/types/fastn.d.ts").is_file() && example.path("tsconfig.json").is_file());
    example.send("issues", "issues.opened.json")?;
    example.shown(" completed ")?;
    eventually("one completed execution", || (example.completed() == 1).then_some(()))?;
    process.kill()?;

    let process = example.start()?;
    assert_eq!(example.completed(), 1, "{}", example.terminal());
    example.send("issues", "issues.opened.json")?;
    example.send("pull_request", "pull_request.opened.json")?;
    eventually("a second completed execution", || (example.completed() >= 2).then_some(()))?;
    // Both webhooks are of one customer and so of one partition: the first was judged before the second ran.
    assert_eq!(example.completed(), 2, "{}", example.terminal());
    assert_eq!(process.stop()?, Some(0), "{}", example.terminal());
    Ok(())
}

/// Property: code that does not parse is refused with its line and column while the version before goes on, a second
/// process on the data is refused with the reason, and an unsigned webhook is refused.
#[test]
fn what_is_wrong_is_refused_and_told() -> anyhow::Result<()> {
    let example = Example::copy()?;
    let process = example.start()?;
    let good = std::fs::read_to_string(example.path("workflows/triage.ts"))?;
    std::fs::write(example.path("workflows/triage.ts"), format!("const broken = = 1;\n{good}"))?;
    example.shown("refused workflows/triage.ts:1:16")?;
    example.send("issues", "issues.opened.json")?;
    example.shown(" completed ")?;

    let second = Command::new(binary()?)
        .args(["dev", ".", "--listen", "127.0.0.1:0"])
        .current_dir(example.directory.path())
        .output()?;
    let told = String::from_utf8_lossy(&second.stderr).into_owned();
    assert_eq!(second.status.code(), Some(1), "{told}");
    assert!(told.contains("another process has this log open"), "{told}");

    let unsigned = example.cli(&["send", "--webhook", "github", "--file", "payloads/issues.opened.json"]);
    assert!(unsigned.is_err(), "{unsigned:?}");
    assert_eq!(process.stop()?, Some(0), "{}", example.terminal());
    Ok(())
}
