//! The OpenAPI document: whole, and good for making types of.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

/// Calls `look` with every value of the document and the way to it.
fn walk(value: &Value, path: &str, look: &mut impl FnMut(&str, &Value)) {
    look(path, value);
    match value {
        Value::Object(fields) => fields.iter().for_each(|(name, field)| walk(field, &format!("{path}/{name}"), look)),
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(at, item)| walk(item, &format!("{path}/{at}"), look));
        }
        _ => {}
    }
}

fn schemas(document: &Value) -> &Map<String, Value> {
    document["components"]["schemas"].as_object().unwrap()
}

fn is_described(value: &Value) -> bool {
    value["description"].as_str().is_some_and(|text| !text.trim().is_empty())
}

fn is_of(schema: &Value, kind: &str) -> bool {
    schema["type"] == kind || schema["type"].as_array().is_some_and(|types| types.contains(&json!(kind)))
}

/// Property: the document is OpenAPI 3.1, every operation has an id, a summary and problem answers, and no id is twice.
#[test]
fn the_document_is_whole() {
    let document = fastn_server::api::document();
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
    let codes = document["components"]["schemas"]["ErrorCode"]["enum"].as_array().unwrap();
    assert!(codes.contains(&json!("NOT_FOUND")) && codes.contains(&json!("WF-EXEC-FAILED")));
    let mut ids = BTreeSet::new();
    for item in document["paths"].as_object().unwrap().values() {
        for operation in item.as_object().unwrap().values() {
            let id = operation["operationId"].as_str().unwrap();
            assert!(ids.insert(id.to_owned()), "{id} is twice");
            assert!(!operation["summary"].as_str().unwrap_or_default().is_empty(), "{id}");
            assert!(operation["responses"]["500"].is_object(), "{id}");
        }
    }
}

/// Property: every schema, property and parameter has a description, in words that need no Rust; what is an instant or a
/// whole number says its format.
#[test]
fn everything_is_described() {
    let document = fastn_server::api::document();
    let mut missing = Vec::new();
    for (name, schema) in schemas(&document) {
        if !is_described(schema) {
            missing.push(name.clone());
        }
        for (field, property) in schema["properties"].as_object().into_iter().flatten() {
            if !is_described(property) {
                missing.push(format!("{name}.{field}"));
            }
            let instant = property["description"].as_str().is_some_and(|text| text.starts_with("When "));
            let text = if property["items"].is_object() { &property["items"] } else { property };
            if instant && is_of(text, "string") && text["format"] != "date-time" {
                missing.push(format!("format of {name}.{field}"));
            }
        }
    }
    walk(&document, "", &mut |path, value| {
        if is_of(value, "integer") && value["format"].is_null() {
            missing.push(format!("format of {path}"));
        }
        let text = value["description"].as_str().unwrap_or_default();
        if ["[`", "See [", "::"].iter().any(|rust| text.contains(rust)) {
            missing.push(format!("plain words at {path}: {text}"));
        }
        if value["in"].is_string() && value["name"].is_string() && !is_described(value) {
            missing.push(path.to_owned());
        }
    });
    assert_eq!(missing, Vec::<String>::new());
}

/// Property: every reference leads somewhere, and no object or union stands unnamed inside another schema or a body.
#[test]
fn everything_has_its_name() {
    let document = fastn_server::api::document();
    let mut wrong = Vec::new();
    let inside = |path: &str| {
        let within = path.strip_prefix("/components/schemas/").is_some_and(|rest| rest.contains('/'));
        within || path.ends_with("/schema")
    };
    walk(&document, "", &mut |path, value| {
        if let Some(there) = value["$ref"].as_str()
            && document.pointer(there.trim_start_matches('#')).is_none()
        {
            wrong.push(format!("{path} leads to {there}"));
        }
        if !inside(path) || path.contains("/example") {
            return;
        }
        let choice = value["oneOf"].as_array().is_some_and(|parts| !parts.iter().any(|part| part["type"] == "null"));
        let object = value["properties"].is_object() && !path.ends_with("/properties");
        if choice || object || value["allOf"].is_array() {
            wrong.push(path.to_owned());
        }
    });
    assert_eq!(wrong, Vec::<String>::new());
}
