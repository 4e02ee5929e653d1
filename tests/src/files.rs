//! Which files hold a text.

use std::path::Path;
use std::process::Command;

use anyhow::Context as _;

/// The files below `folder` that hold `text`, but for the indexes of Kafka, which hold no payload.
///
/// # Errors
/// `grep` does not run.
pub fn files_with(text: &str, folder: &Path) -> anyhow::Result<Vec<String>> {
    let grep = Command::new("grep")
        .args(["-rlsaF", "--exclude=*index", "--", text])
        .arg(folder)
        .env("LC_ALL", "C")
        .output()
        .context("run grep")?;
    Ok(String::from_utf8_lossy(&grep.stdout).lines().map(str::to_owned).collect())
}
