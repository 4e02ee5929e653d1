//! What the end-to-end tests share: the real binary as a process, and a sink that remembers what it was sent.

pub mod clock;
pub mod faults;
pub mod files;
pub mod process;
pub mod scenarios;
pub mod server;
pub mod sink;

pub use files::files_with;
pub use sink::Sink;

/// How long a test waits for anything that must happen. Generous: the machine may be busy.
pub const DEADLINE: std::time::Duration = std::time::Duration::from_secs(120);

/// Looks until `look` finds something.
///
/// # Errors
/// Those of `look`, and when nothing is found within [`DEADLINE`].
pub async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> anyhow::Result<Option<T>>) -> anyhow::Result<T> {
    let began = std::time::Instant::now();
    loop {
        if let Some(found) = look().await? {
            return Ok(found);
        }
        anyhow::ensure!(began.elapsed() < DEADLINE, "{what}: not seen in time");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}
