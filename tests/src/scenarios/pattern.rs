//! Variables, and what a result must look like.

use std::collections::BTreeMap;

use serde_json::Value;

/// With every `${name}` replaced. A text that is nothing but a variable becomes its value.
pub(super) fn fill(value: &Value, variables: &BTreeMap<String, Value>) -> Value {
    match value {
        Value::String(text) => match whole(text).and_then(|name| variables.get(name)) {
            Some(value) => value.clone(),
            None => Value::String(self::text(text, variables)),
        },
        Value::Array(items) => items.iter().map(|item| fill(item, variables)).collect(),
        Value::Object(fields) => {
            Value::Object(fields.iter().map(|(name, value)| (name.clone(), fill(value, variables))).collect())
        }
        other => other.clone(),
    }
}

fn whole(text: &str) -> Option<&str> {
    text.strip_prefix("${")?.strip_suffix('}').filter(|name| !name.contains('$'))
}

/// The same for text.
pub(super) fn text(text: &str, variables: &BTreeMap<String, Value>) -> String {
    let mut filled = text.to_owned();
    for (name, value) in variables {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        filled = filled.replace(&format!("${{{name}}}"), &value);
    }
    filled
}

/// The part of a value that a path such as `0.id` names; all of it for none.
pub(super) fn at<'a>(value: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('.').filter(|name| !name.is_empty()).try_fold(value, |value, name| match name.parse::<usize>() {
        Ok(index) if value.is_array() => value.get(index),
        _ => value.get(name),
    })
}

/// How a value does not match a pattern, if it does not.
pub(super) fn differs(pattern: &Value, value: &Value, at: &str) -> Option<String> {
    match pattern {
        Value::String(any) if any == "$any" => value.is_null().then(|| format!("{at} is missing")),
        Value::Object(fields) => {
            if let Some(count) = fields.get("$count") {
                let rows = value.as_array().map(Vec::len);
                return (rows.map(Value::from).as_ref() != Some(count)).then(|| format!("{at} has not {count} rows"));
            }
            if let Some(row) = fields.get("$has") {
                let mut rows = value.as_array().into_iter().flatten();
                let found = rows.any(|value| differs(row, value, at).is_none());
                return (!found).then(|| format!("{at} has no row like {row}"));
            }
            fields.iter().find_map(|(name, pattern)| {
                differs(pattern, value.get(name).unwrap_or(&Value::Null), &format!("{at}.{name}"))
            })
        }
        Value::Array(patterns) => {
            let Some(values) = value.as_array().filter(|values| values.len() == patterns.len()) else {
                return Some(format!("{at} is no list of {}", patterns.len()));
            };
            let rows = patterns.iter().zip(values).enumerate();
            rows.filter_map(|(n, (pattern, value))| differs(pattern, value, &format!("{at}.{n}"))).next()
        }
        Value::Number(number) => {
            (value.as_f64() != number.as_f64()).then(|| format!("{at} is {value} and not {number}"))
        }
        other => (other != value).then(|| format!("{at} is {value} and not {other}")),
    }
}
