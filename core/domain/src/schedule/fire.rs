//! The event that a fire is.

use std::sync::Arc;

use fastn_contract::activity::Origin;
use fastn_contract::resource::TriggerSource;

use crate::catalog::CompiledTrigger;
use crate::event::EventRecord;
use crate::ids::{EventId, EventIdError, TriggerId};
use crate::scope::Scope;
use crate::time::Timestamp;

/// The type of these events.
pub const EVENT_TYPE: &str = "fastn.schedule";
/// The `source` of these events.
pub const SOURCE: &str = "fastn.scheduler";

/// The `subject` of those that a backfill makes.
pub const BACKFILL: &str = "backfill";

/// The id of the fire of `trigger` scheduled for `at`: the same wherever and however often it is made.
pub fn fire_id(trigger: &TriggerId, at: Timestamp) -> String {
    format!("schedule/{trigger}/{at}")
}

/// The id of a run by hand that the request `request` asks for.
pub fn run_id(trigger: &TriggerId, request: &str) -> String {
    format!("schedule/{trigger}/{request}")
}

/// The event `id` of `trigger` for one customer. Its time is the scheduled one.
///
/// # Errors
/// When the id is longer than ids may be.
pub fn event(
    trigger: &CompiledTrigger,
    scope: Scope,
    id: &str,
    at: Timestamp,
    origin: Origin,
) -> Result<EventRecord, EventIdError> {
    let payload = match &trigger.spec.source {
        TriggerSource::Schedule(schedule) => schedule.payload.as_ref(),
        _ => None,
    };
    let data: Arc<str> = payload.map_or_else(|| Arc::from("{}"), |payload| payload.to_string().into());
    Ok(EventRecord {
        id: EventId::new(id)?,
        source: SOURCE.to_owned(),
        kind: EVENT_TYPE.to_owned(),
        subject: None,
        time: at,
        scope,
        origin,
        trigger: Some(trigger.id.clone()),
        workflow: None,
        environment: None,
        headers: Vec::new(),
        data,
        reply_to: None,
        traceparent: None,
        priority: None,
    })
}
