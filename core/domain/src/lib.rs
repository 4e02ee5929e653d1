//! Types and pure rules of fastn: no I/O, no runtime, no clock of its own.

pub mod catalog;
pub mod condition;
pub mod event;
pub mod flow;
pub mod ids;
pub mod journal;
mod long;
pub mod partition;
pub mod path;
pub mod poll;
pub mod quota;
pub mod replay;
pub mod residency;
pub mod retry;
pub mod route;
pub mod schedule;
pub mod scope;
pub mod signed_text;
pub mod span;
pub mod template;
pub mod time;
pub mod trace;

pub use ids::{AccountId, AppId, CustomerId, EndpointId, EnvironmentId, EventId, ExecutionId, TriggerId, WorkflowId};
pub use residency::Residency;
pub use scope::{Reach, Scope};
pub use time::{Agenda, Clock, Timestamp};
