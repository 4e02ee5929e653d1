//! The bodies of the operations that the ingest role serves: one event or many, plain or as CloudEvents.

use fastn_contract::app::APP_EVENTS_MAX;
use fastn_contract::command::BATCH_EVENTS_MAX;
use serde_json::{Map, Value, json};

/// Adds the bodies' schemas.
pub(super) fn add_schemas(schemas: &mut Map<String, Value>) {
    let mut add = |name: &str, schema: Value| {
        assert!(schemas.insert(name.to_owned(), schema).is_none(), "two schemas are called {name}");
    };
    let one_or_many = |what: &str, one: &str, most: usize| {
        json!({"description": what, "oneOf": [
            {"$ref": format!("#/components/schemas/{one}")},
            {"type": "array", "description": "All of them, or none.", "minItems": 1, "maxItems": most,
                "items": {"$ref": format!("#/components/schemas/{one}")}}]})
    };
    add("SendEvents", one_or_many("One event, or many at once.", "SendEvent", BATCH_EVENTS_MAX));
    add("SendAppEvents", one_or_many("One event of an app, or many at once.", "SendAppEvent", APP_EVENTS_MAX));
    add("CloudEvent", cloud_event());
    add(
        "CloudEvents",
        json!({"type": "array", "description": "CloudEvents: all of them, or none.", "minItems": 1,
            "maxItems": BATCH_EVENTS_MAX, "items": {"$ref": "#/components/schemas/CloudEvent"}}),
    );
}

/// The JSON format of CloudEvents 1.0.
fn cloud_event() -> Value {
    let text = |description: &str| json!({"type": "string", "description": description});
    let named = |description: &str| json!({"type": "string", "minLength": 1, "description": description});
    json!({
        "type": "object",
        "description": "A CloudEvent 1.0 in its JSON format. Other attributes become headers `ce-<name>`.",
        "required": ["specversion", "id", "source", "type"],
        "properties": {
            "specversion": {"type": "string", "enum": ["1.0"], "description": "Always `1.0`."},
            "id": named("Unique per source; the same id within the window is admitted once."),
            "source": named("Where it comes from, a URI reference."),
            "type": named("The type, e.g. `order.created`."),
            "subject": text("What it is about."),
            "time": {"type": "string", "format": "date-time", "description": "When it happened; now when absent."},
            "datacontenttype": text("The media type of the payload; `application/json` when absent."),
            "dataschema": text("The URI of the payload's schema. It is kept and not looked at."),
            "fastnpriority": {"$ref": "#/components/schemas/Priority",
                "description": "The place of its executions in the customer's queue."},
            "data": {"description": "The payload, as JSON."},
            "data_base64": text("The payload, as base64. Instead of `data`.")
        }
    })
}

/// The body of an operation, if it is one of these.
pub(super) fn body_of(operation: &str) -> Option<Value> {
    let schema = |name: &str| json!({"schema": {"$ref": format!("#/components/schemas/{name}")}});
    match operation {
        "sendEvents" => Some(json!({
            "application/json": schema("SendEvents"),
            "application/cloudevents+json": schema("CloudEvent"),
            "application/cloudevents-batch+json": schema("CloudEvents")
        })),
        "sendAppEvents" => Some(json!({"application/json": schema("SendAppEvents")})),
        _ => None,
    }
}
