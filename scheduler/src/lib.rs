//! Fires triggers by the clock: each fire becomes an event in the log, under an id that its trigger and time decide.
//!
//! Any number of schedulers may run: what two of them fire is one event, since the processor drops the second copy. So
//! there is no lock and no leader. What a scheduler knows is the catalog, and one mark in the store that says how far all
//! fires were made, from which a restart makes up for what was missed (docs/adr/0006).
//!
//! ```text
//!                    ┌ making: events, before they are due
//!                    ▼
//!   catalog ─▶ timetable (line by due time) ─▶ firing ─▶ events[p]
//!                    ▲ missed since the mark            │ all durable
//!   store.mark ──────┘◀───────── every few seconds ─────┘
//!   activity  ─▶ failures ─▶ store: schedules switched off and on
//! ```
//!
//! It does not know what a workflow is, nor whether a fire may overlap a run: the processor decides that.

mod clockwork;
mod failures;
mod firing;
mod making;
mod observe;
mod poll;
mod scheduler;
mod timetable;

pub use failures::{FAILURES_LOOK_BACK, Failures};
pub use poll::{Fetch, FetchAnswer, FetchRequest, Poller, PollerConfig, PollerParts, Polling};
pub use scheduler::{MARK, Scheduler, SchedulerConfig, Turner};
pub use timetable::{Due, Timetable};
