//! What is other than expected, place by place.

use serde_json::Value;

/// Differences that are told of one value.
const DIFFERENCES_MAX: usize = 20;
/// Characters of a value that are told.
const CHARS_MAX: usize = 200;

/// Adds to `problems` where `got` is not what `expected` says. Unless `exactly`, an object may have more fields than those
/// named. `***` in an expected text stands for anything: it is what is shown in place of a secret.
pub(super) fn differences(at: &str, expected: &Value, got: &Value, exactly: bool, problems: &mut Vec<String>) {
    if problems.len() >= DIFFERENCES_MAX {
        return;
    }
    match (expected, got) {
        (Value::Object(expected), Value::Object(got)) => {
            for (name, value) in expected {
                let place = format!("{at}.{name}");
                match got.get(name) {
                    Some(found) => differences(&place, value, found, exactly, problems),
                    None => problems.push(format!("{place}\n  expected  {}\n  got       nothing", short(value))),
                }
            }
            for (name, value) in got.iter().filter(|(name, _)| exactly && !expected.contains_key(*name)) {
                problems.push(format!("{at}.{name}\n  expected  nothing\n  got       {}", short(value)));
            }
        }
        (Value::Array(expected), Value::Array(got)) if expected.len() == got.len() => {
            for (index, (expected, got)) in expected.iter().zip(got).enumerate() {
                differences(&format!("{at}[{index}]"), expected, got, exactly, problems);
            }
        }
        (Value::String(expected), Value::String(got)) if expected.contains("***") && text_fits(expected, got) => {}
        _ if same(expected, got) => {}
        _ => problems.push(format!("{at}\n  expected  {}\n  got       {}", short(expected), short(got))),
    }
}

/// `1` and `1.0` are the same number to a workflow.
fn same(expected: &Value, got: &Value) -> bool {
    match (expected, got) {
        (Value::Number(a), Value::Number(b)) => a == b || a.as_f64() == b.as_f64(),
        _ => expected == got,
    }
}

fn text_fits(expected: &str, got: &str) -> bool {
    let mut rest = got;
    let mut parts = expected.split("***");
    let Some(tail) = parts.next().and_then(|first| rest.strip_prefix(first)) else { return false };
    rest = tail;
    let mut parts: Vec<&str> = parts.collect();
    let last = parts.pop().unwrap_or_default();
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

pub(super) fn short(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(CHARS_MAX) {
        Some((cut, _)) => format!("{}…", &text[..cut]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn wrong(expected: Value, got: Value, exactly: bool) -> Vec<String> {
        let mut problems = Vec::new();
        differences("output", &expected, &got, exactly, &mut problems);
        problems
    }

    /// Property: named fields must be there and right, others may be there unless all must match, and each difference says
    /// its place.
    #[test]
    fn differences_have_places() {
        let got = json!({"a": {"b": [1, {"c": "x"}]}, "d": 1.0});
        assert!(wrong(json!({"a": {"b": [1, {"c": "x"}]}}), got.clone(), false).is_empty());
        assert_eq!(wrong(json!({"a": {"b": [1, {"c": "x"}]}}), got.clone(), true).len(), 1);
        assert!(wrong(json!({"d": 1}), got.clone(), false).is_empty());
        let found = wrong(json!({"a": {"b": [2, {"c": "y"}]}, "e": null}), got.clone(), false);
        assert_eq!(found.len(), 3, "{found:?}");
        assert!(found[1].starts_with("output.a.b[1].c") && found[1].contains("\"y\"") && found[1].contains("\"x\""));
        assert_eq!(wrong(json!({"a": {"b": [1]}}), got, false).len(), 1, "arrays are whole");
        assert!(wrong(json!("Bearer *** x ***!"), json!("Bearer s3cret x y!"), true).is_empty());
        assert_eq!(wrong(json!("Bearer ***!"), json!("Bearer s3cret"), true).len(), 1);
    }
}
