//! The event that a change is.

use std::sync::Arc;

use fastn_contract::activity::Origin;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::event::EventRecord;
use crate::ids::{EventId, EventIdError, TriggerId};
use crate::scope::Scope;
use crate::time::Timestamp;

/// What became of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change<'r> {
    /// It is new.
    Created(&'r Value),
    /// It has changed in these fields.
    Updated(&'r Value, &'r [String]),
    /// It is gone.
    Deleted,
}

impl Change<'_> {
    /// The last part of the event's type.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Created(_) => "created",
            Self::Updated(..) => "updated",
            Self::Deleted => "deleted",
        }
    }
}

/// A change as it waits in the store until its event is durable in the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    id: String,
    kind: String,
    at: Timestamp,
    data: String,
}

impl Told {
    /// The change of the record `key` that the save after `generation` tells. A generation is saved once, so no other
    /// change has this id.
    pub fn new(
        trigger: &TriggerId,
        entity: &str,
        generation: u64,
        key: &str,
        change: Change<'_>,
        at: Timestamp,
    ) -> Self {
        let name = change.name();
        let mut hasher = blake3::Hasher::new();
        hasher.update(name.as_bytes()).update(b"/").update(key.as_bytes());
        let hash = hasher.finalize().to_hex();
        let mut data = json!({ "entity": entity, "change": name, "key": key });
        match change {
            Change::Created(record) => data["record"] = record.clone(),
            Change::Updated(record, fields) => {
                data["record"] = record.clone();
                data["changedFields"] = json!(fields);
            }
            Change::Deleted => {}
        }
        Self {
            id: format!("poll/{trigger}/{generation}/{}", &hash[..32]),
            kind: format!("{entity}.{name}"),
            at,
            data: data.to_string(),
        }
    }

    /// About how much it takes.
    pub fn bytes(&self) -> usize {
        self.id.len() + self.kind.len() + self.data.len()
    }

    /// The size of the event's payload.
    pub fn data_bytes(&self) -> usize {
        self.data.len()
    }
}

/// The `source` of the events of a trigger.
pub fn source_of(trigger: &TriggerId) -> String {
    format!("poll/{trigger}")
}

/// The event that tells a change: only the trigger's own routes get it.
///
/// # Errors
/// When the id is longer than ids may be.
pub fn event(trigger: &TriggerId, scope: Scope, told: &Told) -> Result<EventRecord, EventIdError> {
    Ok(EventRecord {
        id: EventId::new(&told.id)?,
        source: source_of(trigger),
        kind: told.kind.clone(),
        subject: None,
        time: told.at,
        scope,
        origin: Origin::Polling,
        trigger: Some(trigger.clone()),
        workflow: None,
        environment: None,
        headers: Vec::new(),
        data: Arc::from(told.data.as_str()),
        reply_to: None,
        traceparent: None,
        priority: None,
    })
}
