//! What breaks clients of an earlier document: each rule, and this document against the release before it.

use std::collections::BTreeMap;

use fastn_server::compat::{compare, unaccepted};
use serde_json::{Value, json};

/// A document with one operation that is sent and answers `Thing`.
fn document(sent: Value, answered: Value) -> Value {
    let content =
        |name: &str| json!({"application/json": {"schema": {"$ref": format!("#/components/schemas/{name}")}}});
    json!({
        "paths": {"/things/{id}": {"put": {
            "operationId": "putThing",
            "security": [{"accessKey": []}],
            "parameters": [{"in": "query", "name": "dry", "schema": {"type": "boolean"}}],
            "requestBody": {"required": false, "content": content("Sent")},
            "responses": {"200": {"content": content("Thing")}, "404": {"$ref": "#/components/responses/NotFound"}}
        }}},
        "components": {
            "schemas": {"Sent": sent, "Thing": answered},
            "responses": {"NotFound": {"description": "NOT_FOUND", "content": {}}}
        }
    })
}

fn things() -> Value {
    let union = json!({"oneOf": [
        {"type": "object", "properties": {"kind": {"enum": ["a"]}, "n": {"type": "integer"}}},
        {"type": "object", "properties": {"kind": {"enum": ["b"]}}}]});
    let thing = |own: &str| {
        json!({
            "type": "object", "required": ["id"],
            "properties": {
                "id": {"type": "string"},
                "at": {"type": "string", "format": "date-time"},
                "count": {"type": "integer", "minimum": 1, "maximum": 10},
                "status": {"type": "string", "enum": ["on", "off"]},
                "maybe": {"type": ["string", "null"]},
                "rows": {"type": "array", "items": {"type": "object", "required": ["n"], "properties": {"n": {"type": "integer"}}}},
                "union": union,
                "self": {"$ref": format!("#/components/schemas/{own}")}
            }
        })
    };
    document(thing("Sent"), thing("Thing"))
}

const SENT: &str = "/components/schemas/Sent";
const THING: &str = "/components/schemas/Thing";
const OPERATION: &str = "/paths/~1things~1{id}/put";

/// The rules that a change offends, breaks and warnings apart.
fn offended(change: impl FnOnce(&mut Value)) -> (Vec<String>, Vec<String>) {
    let (old, mut new) = (things(), things());
    change(&mut new);
    let (breaks, warnings): (Vec<_>, Vec<_>) = compare(&old, &new).into_iter().partition(|finding| finding.breaks);
    let keys = |findings: Vec<fastn_server::compat::Finding>| findings.iter().map(|finding| finding.key()).collect();
    (keys(breaks), keys(warnings))
}

fn set(document: &mut Value, at: &str, value: Value) {
    let (parent, name) = at.rsplit_once('/').unwrap();
    document.pointer_mut(parent).unwrap()[name] = value;
}

fn remove(document: &mut Value, at: &str) {
    let (parent, name) = at.rsplit_once('/').unwrap();
    document.pointer_mut(parent).unwrap().as_object_mut().unwrap().remove(name).unwrap();
}

/// Property: each way to break a client is found by its rule at its place.
#[test]
fn what_breaks_is_found() {
    type Case = (&'static str, String, Option<Value>);
    let case = |found, at: String, value: Value| -> Case { (found, at, Some(value)) };
    let gone = |found, at: String| -> Case { (found, at, None) };
    let body = format!("{OPERATION}/requestBody");
    for (found, at, value) in [
        gone("operation-removed putThing", OPERATION.to_owned()),
        case("operation-id-changed putThing", format!("{OPERATION}/operationId"), json!("writeThing")),
        case("parameter-required putThing.dry", format!("{OPERATION}/parameters/0/required"), json!(true)),
        case("parameter-removed putThing.dry", format!("{OPERATION}/parameters"), json!([])),
        case(
            "parameter-required putThing.more",
            format!("{OPERATION}/parameters"),
            json!([{"in": "query", "name": "dry", "schema": {"type": "boolean"}},
                {"in": "header", "name": "more", "required": true, "schema": {"type": "string"}}]),
        ),
        case("body-required putThing", format!("{body}/required"), json!(true)),
        case("body-media-removed putThing", format!("{body}/content"), json!({"text/plain": {}})),
        gone("request-property-removed Sent.count", format!("{SENT}/properties/count")),
        case("request-property-required Sent.at", format!("{SENT}/required"), json!(["id", "at"])),
        case("request-word-removed Sent.status", format!("{SENT}/properties/status/enum"), json!(["on"])),
        case("request-words-only Sent.id", format!("{SENT}/properties/id/enum"), json!(["a"])),
        case("request-type-changed Sent.count", format!("{SENT}/properties/count"), json!({"type": "string"})),
        case("request-format-changed Sent.id", format!("{SENT}/properties/id/format"), json!("uuid")),
        case("request-null-refused Sent.maybe", format!("{SENT}/properties/maybe/type"), json!("string")),
        case("request-limit-narrowed Sent.count", format!("{SENT}/properties/count/maximum"), json!(5)),
        case("request-limit-narrowed Sent.count", format!("{SENT}/properties/count/minimum"), json!(2)),
        case("request-pattern-changed Sent.id", format!("{SENT}/properties/id/pattern"), json!("^a$")),
        gone("request-kind-removed Sent.union", format!("{SENT}/properties/union/oneOf/1")),
        case(
            "request-type-changed Sent.rows[].n",
            format!("{SENT}/properties/rows/items/properties/n/type"),
            json!("string"),
        ),
        gone("answer-removed putThing", format!("{OPERATION}/responses/200")),
        case("answer-media-removed putThing.200", format!("{OPERATION}/responses/200/content"), json!({})),
        gone("answer-property-removed Thing.at", format!("{THING}/properties/at")),
        case("answer-property-optional Thing.id", format!("{THING}/required"), json!([])),
        case("answer-null Thing.id", format!("{THING}/properties/id/type"), json!(["string", "null"])),
        case("answer-type-changed Thing.id", format!("{THING}/properties/id/type"), json!("integer")),
        case("answer-format-changed Thing.at", format!("{THING}/properties/at/format"), json!("date")),
        case("answer-property-optional Thing.rows[].n", format!("{THING}/properties/rows/items/required"), json!([])),
    ] {
        let (breaks, _) = offended(|document| match value {
            Some(value) => set(document, &at, value),
            None if at.ends_with("/1") => {
                document.pointer_mut(at.trim_end_matches("/1")).unwrap().as_array_mut().unwrap().pop();
            }
            None => remove(document, &at),
        });
        assert_eq!(breaks, [found], "{at}");
    }
    let mut open = things();
    set(&mut open, &format!("{OPERATION}/security"), json!([]));
    let found: Vec<String> = compare(&open, &things()).iter().map(|finding| finding.key()).collect();
    assert_eq!(found, ["operation-needs-key putThing"]);
}

/// Property: what a careful client gets over is a warning, and what no client notices is nothing.
#[test]
fn what_does_not_break_is_let_through() {
    let (words, formats, kinds) = (
        format!("{THING}/properties/status/enum"),
        format!("{THING}/properties/id/format"),
        format!("{THING}/properties/union/oneOf"),
    );
    for (at, value, warned) in [
        (words, json!(["on", "off", "broken"]), "answer-word-added Thing.status"),
        (formats, json!("uuid"), "answer-format-added Thing.id"),
        (
            kinds,
            json!([{"type": "object", "properties": {"kind": {"enum": ["a"]}, "n": {"type": "integer"}}},
                {"type": "object", "properties": {"kind": {"enum": ["b"]}}},
                {"type": "object", "properties": {"kind": {"enum": ["c"]}}}]),
            "answer-kind-added Thing.union",
        ),
        (format!("{OPERATION}/responses/429"), json!({"description": "RATE_LIMITED"}), "answer-added putThing"),
    ] {
        assert_eq!(offended(|document| set(document, &at, value)), (vec![], vec![warned.to_owned()]), "{at}");
    }
    for (at, value) in [
        (format!("{SENT}/properties/new"), json!({"type": "string"})),
        (format!("{SENT}/required"), json!([])),
        (format!("{SENT}/properties/status/enum"), json!(["on", "off", "half"])),
        (format!("{SENT}/properties/count"), json!({"type": "number"})),
        (format!("{SENT}/properties/id/type"), json!(["string", "null"])),
        (format!("{SENT}/properties/id"), json!({"oneOf": [{"type": "array", "items": {}}, {"type": "string"}]})),
        (format!("{THING}/properties/new"), json!({"type": "string"})),
        (format!("{THING}/required"), json!(["id", "at"])),
        (format!("{THING}/properties/maybe/type"), json!("string")),
        (
            format!("{OPERATION}/parameters"),
            json!([{"in": "query", "name": "dry", "schema": {"type": "boolean"}},
            {"in": "query", "name": "more", "schema": {"type": "string"}}]),
        ),
    ] {
        assert_eq!(offended(|document| set(document, &at, value)), (vec![], vec![]), "{at}");
    }
    // A variant that gets a name of its own is the same variant.
    let named = offended(|document| {
        let variant = document.pointer(&format!("{THING}/properties/union/oneOf/0")).unwrap().clone();
        set(document, "/components/schemas/ThingA", variant);
        document.pointer_mut(&format!("{THING}/properties/union/oneOf")).unwrap()[0] =
            json!({"$ref": "#/components/schemas/ThingA"});
    });
    assert_eq!(named, (vec![], vec![]));
}

/// Property: clients of the release before this one still work, but for the breaks that are accepted with a reason each.
#[test]
fn clients_of_the_release_before_still_work() {
    let read =
        |name: &str| std::fs::read_to_string(format!("{}/../docs/api/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap();
    let old: Value = serde_json::from_str(&read("previous.json")).unwrap();
    let accepted: BTreeMap<String, String> = serde_json::from_str(&read("accepted-breaks.json")).unwrap();
    assert!(accepted.values().all(|reason| reason.len() > 20), "each needs its reason");
    let findings = compare(&old, &fastn_server::api::document());
    let (breaks, idle) = unaccepted(&findings, &accepted);
    let told: Vec<String> = breaks.iter().map(ToString::to_string).collect();
    assert_eq!((told, idle), (vec![], vec![]));
    // It can fail: without a word about them, the accepted ones break.
    assert_eq!(unaccepted(&findings, &BTreeMap::new()).0.is_empty(), accepted.is_empty());
}
