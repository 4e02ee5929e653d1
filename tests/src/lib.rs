//! What the end-to-end tests share: the real binary as a process, and a sink that remembers what it was sent.

pub mod clock;
pub mod faults;
pub mod files;
pub mod process;
pub mod server;
pub mod sink;

pub use files::files_with;
pub use sink::Sink;

/// How long a test waits for anything that must happen. Generous: the machine may be busy.
pub const DEADLINE: std::time::Duration = std::time::Duration::from_secs(120);
