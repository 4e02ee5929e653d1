//! Commands to the processor that owns a customer. They travel as events: durable, ordered, admitted once.

use fastn_contract::activity::Origin;
use fastn_contract::error::ErrorCode;
use fastn_domain::event::{COMMAND_TYPE, Command, EventRecord};
use fastn_domain::partition::partition_of;
use fastn_domain::{EventId, Scope};
use fastn_log::{Topic, event_record_at};

use super::Api;
use super::idempotency::IdempotencyKey;
use super::ports::Ports;
use super::problem::{ApiError, ApiResult};

/// The `source` of events that the API itself makes.
pub(crate) const SOURCE: &str = "fastn.api";

/// The id of a request: derived from its idempotency key, so that a repeat names the same; else a new one.
pub(crate) fn request_id(prefix: &str, scope: &Scope, key: Option<&IdempotencyKey>) -> String {
    request_id_of(prefix, &scope.key(), key)
}

/// See [`request_id`]; for requests about `what`, which is more or less than one customer.
pub(crate) fn request_id_of(prefix: &str, what: &str, key: Option<&IdempotencyKey>) -> String {
    match key {
        Some(IdempotencyKey(key)) => {
            let mut hash = blake3::Hasher::new_derive_key("fastn 2026 api request id");
            for part in [prefix, what, key] {
                hash.update(&(part.len() as u64).to_le_bytes());
                hash.update(part.as_bytes());
            }
            format!("{prefix}_{}", &hash.finalize().to_hex()[..32])
        }
        None => format!("{prefix}_{}", random_hex()),
    }
}

/// 128 random bits.
pub(crate) fn random_hex() -> String {
    let mut bytes = [0u8; 16];
    // The generator of the TLS library; it fails only when the system has no randomness at all.
    aws_lc_rs::rand::fill(&mut bytes).expect("the system gives random bytes");
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Makes `command` durable in the customer's partition.
pub(crate) async fn append_command(api: &Api, scope: &Scope, id: &str, command: &Command) -> ApiResult<()> {
    append_to(api, scope, id, command).await
}

/// The same where there is no request.
pub(crate) async fn append_to(ports: &Ports, scope: &Scope, id: &str, command: &Command) -> ApiResult<()> {
    let data = serde_json::to_string(command)
        .map_err(|error| ApiError::new(ErrorCode::InternalError, format!("the command does not serialize: {error}")))?;
    let event = EventRecord {
        id: event_id(id)?,
        source: SOURCE.to_owned(),
        kind: COMMAND_TYPE.to_owned(),
        subject: None,
        time: ports.clock.now(),
        scope: scope.clone(),
        origin: Origin::Command,
        trigger: None,
        workflow: None,
        environment: None,
        headers: Vec::new(),
        data: data.into(),
        reply_to: None,
        traceparent: None,
        priority: None,
    };
    append(ports, &event).await
}

/// Makes `event` durable in its customer's partition.
pub(crate) async fn append(ports: &Ports, event: &EventRecord) -> ApiResult<()> {
    let partition = partition_of(&event.scope, ports.log.partitions());
    let record = event_record_at(event, ports.catalog.current().revision);
    ports.log.append(Topic::Events, partition, vec![record]).await?;
    Ok(())
}

/// The id as an event's.
pub(crate) fn event_id(id: &str) -> ApiResult<EventId> {
    EventId::new(id).map_err(|error| ApiError::new(ErrorCode::InternalError, error.to_string()))
}
