//! The schemas of the document, in the form from which types are generated.
//!
//! The derives write what serde does: rows of pages in line, variants without names, texts without a format. Here each
//! thing gets a name and each property its description, its format, its values and its limits, by rules that new types
//! fall under and by tables of what no rule can know.

use std::collections::BTreeMap;

use fastn_contract::error::ErrorCode;
use serde_json::{Map, Value, json};

/// Letters, digits and `- _ . : @`, as the domain's ids are.
pub(super) const ID_PATTERN: &str = "^[A-Za-z0-9_.:@-]{1,128}$";
/// A length of time as alert rules write it.
const DURATION_PATTERN: &str = "^[0-9]{1,9}[smhd]$";
/// A time of day.
const TIME_OF_DAY_PATTERN: &str = "^([01][0-9]|2[0-3]):[0-5][0-9]$";

/// Instants whose names do not end in `At`, in RFC 3339.
const INSTANTS: &[&str] = &[
    "since",
    "until",
    "time",
    "timestamp",
    "lastRun",
    "nextRun",
    "upcoming",
    "lastPoll",
    "lastSuccess",
    "nextPoll",
    "goneBy",
    "silencedUntil",
    "disabledUntil",
];
/// Instants that are only called `at`, or by what they bound.
const INSTANTS_OF: &[(&str, &str)] = &[
    ("BackfillSchedule", "from"),
    ("BackfillSchedule", "to"),
    ("ErasureStep", "at"),
    ("ExecutionUpdate", "at"),
    ("LogLineView", "at"),
    ("StatusChange", "at"),
];

/// Texts of answers that are one of a few words.
const WORDS: &[(&str, &str, &[&str])] = &[
    ("AlertNotice", "type", &["alert.firing", "alert.resolved", "alert.test"]),
    ("AlertNotification", "channel", &["webhook", "slack", "email"]),
    ("AlertNotification", "status", &["pending", "delivered", "failed"]),
    ("AlertView", "resolvedBy", &["recovered", "changed", "paused", "deleted"]),
    ("ErasedLog", "topic", &["events", "executions"]),
    ("ErasureStep", "step", &["refused", "stopped", "deleted", "key_destroyed", "forgotten", "compacted", "done"]),
    ("Health", "status", &["ok", "failing"]),
    ("LogLineView", "level", &["debug", "info", "warn", "error"]),
    ("PollRequest", "method", &["GET", "POST"]),
    ("StepView", "status", &["completed", "failed", "waiting"]),
];

/// Names the parts, and describes and limits every property.
pub(super) fn mend(schemas: &mut Map<String, Value>) {
    name_rows(schemas);
    flatten(schemas);
    name_variants(schemas);
    state_codes(schemas);
    state_formats(schemas);
    state_limits(schemas);
    state_words(schemas);
    describe(schemas);
}

fn schema_ref(name: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{name}")})
}

/// The name of the component that a schema only points to.
pub(super) fn referred(schema: &Value) -> Option<&str> {
    schema.get("$ref")?.as_str()?.rsplit('/').next()
}

/// Calls `change` with every value in `value`, from the outside in.
pub(super) fn visit(value: &mut Value, change: &mut impl FnMut(&mut Value)) {
    change(value);
    match value {
        Value::Object(fields) => fields.values_mut().for_each(|field| visit(field, change)),
        Value::Array(items) => items.iter_mut().for_each(|item| visit(item, change)),
        _ => {}
    }
}

/// A page's rows are the objects that are read alone too.
fn name_rows(schemas: &mut Map<String, Value>) {
    let pages: Vec<String> = schemas.keys().filter(|name| name.starts_with("Page_")).cloned().collect();
    for page in pages {
        let row = page.trim_start_matches("Page_").to_owned();
        let items = &mut schemas[&page]["properties"]["items"]["items"];
        let inline = std::mem::replace(items, schema_ref(&row));
        schemas.entry(row).or_insert(inline);
    }
}

/// What is made of several parts is written flat, and the parts forbid other fields: one object of all of them says what
/// is really sent. `Stored<T>` and the views of triggers are, and variants that hold another type.
fn flatten(schemas: &mut Map<String, Value>) {
    let known = schemas.clone();
    for (name, schema) in schemas.iter_mut() {
        if let Some((mut whole, what)) = merged(&known, schema) {
            let stored = name.starts_with("Stored_") || name.ends_with("View");
            let more = if stored { "\n\nAs it is stored: with its revision, and when it was written." } else { "" };
            whole["description"] = format!("{what}{more}").into();
            *schema = whole;
        }
        for variant in schema.get_mut("oneOf").and_then(Value::as_array_mut).into_iter().flatten() {
            if let Some((mut whole, what)) = merged(&known, variant) {
                whole["description"] = variant["description"].as_str().unwrap_or(&what).into();
                *variant = whole;
            }
        }
    }
}

/// The parts of `schema` as one object, and the description of the last part that has one.
fn merged(schemas: &Map<String, Value>, schema: &Value) -> Option<(Value, String)> {
    let (mut properties, mut required, mut what) = (Map::new(), Vec::new(), String::new());
    for part in schema.get("allOf")?.as_array()? {
        let part = referred(part).and_then(|name| schemas.get(name)).unwrap_or(part);
        properties.extend(part["properties"].as_object().cloned().unwrap_or_default());
        required.extend(part["required"].as_array().cloned().unwrap_or_default());
        what = part["description"].as_str().map_or(what, str::to_owned);
    }
    Some((json!({"type": "object", "properties": properties, "required": required}), what))
}

/// The variants of a union become components, `When` and `daily` make `WhenDaily`; the field that tells them apart is named.
fn name_variants(schemas: &mut Map<String, Value>) {
    let mut named = Map::new();
    for (union, schema) in schemas.iter_mut() {
        let Some(Value::Array(variants)) = schema.get_mut("oneOf") else { continue };
        let (mut tag, mut mapping, total) = (None, Map::new(), variants.len());
        for variant in variants.iter_mut().filter(|variant| variant["properties"].is_object()) {
            let found = variant["properties"].as_object().into_iter().flatten().find_map(|(field, property)| {
                let [only] = property["enum"].as_array()?.as_slice() else { return None };
                Some((field.clone(), only.as_str()?.to_owned()))
            });
            let first = variant["required"][0].as_str().unwrap_or_default();
            let word = found.as_ref().map_or(first, |(_, word)| word);
            let name = format!("{union}{}", camel(word));
            if let Some((field, word)) = found {
                mapping.insert(word, schema_ref(&name)["$ref"].clone());
                tag = Some(field);
            }
            let inline = std::mem::replace(variant, schema_ref(&name));
            named.insert(name, inline);
        }
        if let Some(tag) = tag.filter(|_| mapping.len() == total) {
            schema["discriminator"] = json!({"propertyName": tag, "mapping": mapping});
        }
    }
    for (name, schema) in named {
        assert!(schemas.insert(name.clone(), schema).is_none(), "two schemas are called {name}");
    }
}

/// `dead_letters` as `DeadLetters`.
pub(super) fn camel(word: &str) -> String {
    let mut text = String::new();
    let mut upper = true;
    for letter in word.chars() {
        if !letter.is_ascii_alphanumeric() {
            upper = true;
        } else if std::mem::take(&mut upper) {
            text.extend(letter.to_uppercase());
        } else {
            text.push(letter);
        }
    }
    text
}

/// The derive does not see names that a macro gives.
fn state_codes(schemas: &mut Map<String, Value>) {
    let codes: Vec<&str> = ErrorCode::ALL.iter().map(|code| code.as_str()).collect();
    schemas["ErrorCode"]["enum"] = json!(codes);
    let mut text = "A public error code; each has a page at `/errors/<code>`.\n".to_owned();
    for code in ErrorCode::ALL {
        text.push_str(&format!("\n- `{}` ({}): {}.", code.as_str(), code.status(), code.title()));
    }
    schemas["ErrorCode"]["description"] = text.into();
}

/// Calls `change` with the schema, the name and the value of every property of every object.
fn properties(schemas: &mut Map<String, Value>, mut change: impl FnMut(&str, &str, &mut Value)) {
    for (schema, value) in schemas {
        for (name, property) in value.get_mut("properties").and_then(Value::as_object_mut).into_iter().flatten() {
            change(schema, name, property);
        }
    }
}

fn is_text(property: &Value) -> bool {
    property["type"] == "string" || property["type"].as_array().is_some_and(|types| types.contains(&json!("string")))
}

fn state_formats(schemas: &mut Map<String, Value>) {
    properties(schemas, |schema, name, property| {
        let instant = name.ends_with("At") || INSTANTS.contains(&name) || INSTANTS_OF.contains(&(schema, name));
        let list = property.get("items").is_some();
        let text = if list { &mut property["items"] } else { property };
        if instant && is_text(text) {
            text["format"] = "date-time".into();
        }
        if (schema, name) == ("UsageRow", "day") {
            text["format"] = "date".into();
        }
        if (schema, name) == ("Problem", "baseUrl") {
            text["format"] = "uri".into();
        }
    });
}

fn state_words(schemas: &mut Map<String, Value>) {
    let absent = |property: &Value| property["type"].is_array();
    for (schema, field, words) in WORDS {
        let property = &mut schemas[*schema]["properties"][*field];
        let mut values: Vec<Value> = words.iter().map(|word| json!(word)).collect();
        if absent(property) {
            values.push(Value::Null);
        }
        property["enum"] = values.into();
    }
}

/// Limits that the handlers check and that the derives do not know.
fn state_limits(schemas: &mut Map<String, Value>) {
    for limit in ["minItems", "maxItems"] {
        schemas["SecretNames"]["oneOf"][1][limit] = json!(2);
    }
    let mut limit = |schema: &str, field: &str, limits: Value| {
        let Some(property) = schemas.get_mut(schema).and_then(|schema| schema["properties"].get_mut(field)) else {
            return;
        };
        for (name, value) in limits.as_object().into_iter().flatten() {
            property[name] = value.clone();
        }
    };
    for schema in ["Customer", "Workflow", "Trigger", "App", "AlertRule", "Plan", "CustomerTier"] {
        limit(schema, "id", json!({"pattern": ID_PATTERN}));
    }
    for field in ["concurrency", "weight"] {
        limit("Customer", field, json!({"minimum": 1, "maximum": 10_000}));
    }
    limit("CustomerTier", "weight", json!({"minimum": 1, "maximum": 10_000}));
    limit("Limit", "limit", json!({"minimum": 0, "maximum": 1_u64 << 53}));
    for (schema, field, most) in [
        ("Concurrency", "limit", 1_000_000),
        ("Rate", "limit", 1_000_000),
        ("Rate", "periodMs", 86_400_000),
        ("Debounce", "periodMs", 86_400_000),
        ("Debounce", "maxWaitMs", 86_400_000),
        ("BatchWindow", "maxSize", 1_000),
        ("BatchWindow", "maxWaitMs", 86_400_000),
    ] {
        limit(schema, field, json!({"minimum": 1, "maximum": most}));
    }
    limit("Trigger", "maxAttempts", json!({"minimum": 1, "maximum": 10}));
    limit("App", "endpoint", json!({"readOnly": true}));
    limit("App", "events", json!({"minItems": 1, "maxItems": 1_000}));
    limit("Trigger", "routes", json!({"minItems": 1, "maxItems": 64}));
    for schema in ["Schedule", "TriggerSourceSchedule"] {
        limit(schema, "jitterSeconds", json!({"maximum": 3_600}));
        limit(schema, "delayMinutes", json!({"maximum": 1_440}));
    }
    for schema in ["Poll", "TriggerSourcePoll"] {
        limit(schema, "entity", json!({"minLength": 1, "maxLength": 64, "pattern": "^[A-Za-z0-9_.-]+$"}));
    }
    for field in ["minSeconds", "maxSeconds"] {
        limit("PollInterval", field, json!({"minimum": 5, "maximum": 86_400}));
    }
    limit("AutoDisable", "failures", json!({"maximum": 1_000}));
    limit("AutoDisable", "cooldownMinutes", json!({"maximum": 43_200}));
    limit("ChangeStatus", "reason", json!({"maxLength": 500}));
    for schema in ["WhenDaily", "WhenWeekly", "WhenMonthly"] {
        limit(schema, "at", json!({"pattern": TIME_OF_DAY_PATTERN}));
    }
    limit("RetryPolicy", "maxAttempts", json!({"minimum": 1, "maximum": 10}));
    limit("RetryPolicy", "backoffCoefficient", json!({"minimum": 1, "maximum": 100}));
    limit("RetryPolicy", "initialInterval", json!({"maximum": 86_400_000}));
    limit("RetryPolicy", "maxInterval", json!({"maximum": 86_400_000}));
    limit("Workflow", "timeoutMs", json!({"minimum": 1, "maximum": 21_600_000}));
    limit("Route", "workflow", json!({"pattern": ID_PATTERN}));
    limit("Route", "environment", json!({"pattern": ID_PATTERN}));
    limit("SecretWrite", "name", json!({"pattern": "^[A-Z][A-Z0-9_]{0,127}$"}));
    limit("SecretWrite", "value", json!({"minLength": 1, "maxLength": 65_536}));
    limit("EnvConfig", "key", json!({"pattern": ID_PATTERN}));
    limit("EnvConfig", "environment", json!({"pattern": ID_PATTERN}));
    limit("AlertRule", "threshold", json!({"minimum": 0}));
    for field in ["window", "hold", "resolveAfter"] {
        limit("AlertRule", field, json!({"pattern": DURATION_PATTERN}));
    }
    limit("AlertRule", "channels", json!({"maxItems": 20}));
    limit("SilenceAlert", "duration", json!({"pattern": DURATION_PATTERN}));
    limit("PublishVersion", "file", json!({"minLength": 1, "maxLength": 255}));
}

/// Puts every description where generators look for it, in words that stand alone.
fn describe(schemas: &mut Map<String, Value>) {
    let known: BTreeMap<String, Value> =
        schemas.iter().map(|(name, schema)| (name.clone(), schema["description"].clone())).collect();
    properties(schemas, |_, _, property| {
        // A reference that may be absent is written as a choice, with the description inside.
        let choice = property.pointer_mut("/oneOf/0").and_then(Value::as_object_mut);
        if let Some(description) = choice.and_then(|first| first.remove("description")) {
            property["description"] = description;
        }
        if let Some([only]) = property["enum"].as_array().map(Vec::as_slice)
            && property["description"].is_null()
        {
            property["description"] = format!("Always `{}`.", only.as_str().unwrap_or_default()).into();
        }
        // "See [`Tier`].": what is to be seen there.
        if property["description"].as_str().is_some_and(|text| text.starts_with("See ["))
            && let Some(there) = referred(property).and_then(|name| known.get(name))
        {
            property["description"] = there.clone();
        }
    });
    for schema in schemas.values_mut() {
        visit(schema, &mut |value| {
            if let Some(Value::String(text)) = value.get_mut("description") {
                *text = text.replace("[`", "`").replace("`]", "`");
            }
        });
    }
}
