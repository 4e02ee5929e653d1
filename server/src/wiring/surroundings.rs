//! What a node stands in: its clock, and who sees its calls before the outside does. Those of a test differ from those of a
//! node in service in nothing else but some pauses.

use std::sync::Arc;
use std::time::Duration;

use fastn_domain::time::Clock;
use fastn_pipeline::alerts::AlertOptions;
use fastn_pipeline::processor::Intercept;
use fastn_pipeline::projector::{ProjectorOptions, RetentionOptions};
use fastn_scheduler::SchedulerConfig;

use crate::clock::SystemClock;

/// The pause that gathers work in service is only waited for by a test.
const HURRIED: Duration = Duration::from_millis(1);

const DAY: Duration = Duration::from_secs(86_400);

/// See the head of this file.
pub(crate) struct Surroundings {
    /// The time.
    pub(crate) clock: Arc<dyn Clock>,
    /// Who is asked before each call to the outside.
    pub(crate) intercept: Option<Intercept>,
    /// Whether somebody waits until the node has done everything: then it gathers no work.
    pub(crate) hurried: bool,
}

impl Default for Surroundings {
    fn default() -> Self {
        Self { clock: Arc::new(SystemClock), intercept: None, hurried: false }
    }
}

impl Surroundings {
    pub(super) fn projector(&self) -> ProjectorOptions {
        let usual = ProjectorOptions::default();
        match self.hurried {
            true => ProjectorOptions { delay: HURRIED, delay_busy: HURRIED, ..usual },
            false => usual,
        }
    }

    pub(super) fn scheduler(&self) -> SchedulerConfig {
        let usual = SchedulerConfig::default();
        match self.hurried {
            // What is made ahead costs a turn for each stop of the clock.
            true => SchedulerConfig { follow_every: HURRIED, ahead: Duration::ZERO, ..usual },
            false => usual,
        }
    }

    pub(super) fn retention(&self) -> RetentionOptions {
        let usual = RetentionOptions::default();
        match self.hurried {
            // What is kept is counted in days; a round each hour would stop the clock as often.
            true => RetentionOptions { every: DAY, pause: HURRIED, ..usual },
            false => usual,
        }
    }

    pub(super) fn alerts(&self) -> AlertOptions {
        let usual = AlertOptions::default();
        match self.hurried {
            true => AlertOptions { gather: HURRIED, ..usual },
            false => usual,
        }
    }
}
