//! Progress of what takes longer than two seconds, on a terminal. What is quick shows nothing.

use std::future::Future;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// How long a command may take before it shows that it works.
const QUIET: Duration = Duration::from_secs(2);

/// A bar over a known number of parts.
pub(crate) struct Progress {
    bar: ProgressBar,
    began: std::time::Instant,
}

impl Progress {
    /// Over `total` parts of `what`.
    pub(crate) fn new(what: &str, total: usize) -> Self {
        let bar = ProgressBar::with_draw_target(Some(total as u64), ProgressDrawTarget::hidden());
        if let Ok(style) = ProgressStyle::with_template("{msg} {wide_bar} {pos}/{len}, {eta} left") {
            bar.set_style(style);
        }
        bar.set_message(what.to_owned());
        Self { bar, began: std::time::Instant::now() }
    }

    /// One more part is done.
    pub(crate) fn step(&self) {
        self.reach(self.bar.position() + 1);
    }

    /// So many parts are done.
    pub(crate) fn reach(&self, parts: u64) {
        if self.bar.is_hidden() && self.began.elapsed() > QUIET {
            self.bar.set_draw_target(ProgressDrawTarget::stderr());
        }
        self.bar.set_position(parts);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// Does `work`, and shows that it goes on if it takes long.
pub(crate) async fn shown<T>(what: &str, work: impl Future<Output = T>) -> T {
    let mut work = std::pin::pin!(work);
    tokio::select! {
        done = &mut work => return done,
        () = tokio::time::sleep(QUIET) => {}
    }
    let spinner = ProgressBar::new_spinner().with_message(what.to_owned());
    spinner.enable_steady_tick(Duration::from_millis(120));
    let done = work.await;
    spinner.finish_and_clear();
    done
}
