//! What of a record is compared, as hashes: one of all of it, and one of each field, to say which have changed.
//!
//! The hashes are xxHash 3. Nobody gains by two records that hash alike: the source would hide a change of its own.

use fastn_contract::poll::Compare;
use serde_json::Value;
use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

use crate::path::{Path, PathError};

/// Objects are opened so deep to tell their fields apart; what lies deeper is one field.
pub const FIELD_DEPTH_MAX: usize = 4;
/// Room for what is hashed of a record; it grows if that is not enough.
const RECORD_BYTES_LIKELY: usize = 1_024;
/// Fields of a record that are told apart. A change of others is seen, and not named.
pub const FIELDS_OF_RECORD_MAX: usize = 200;

/// What of a record is compared.
#[derive(Clone, Debug)]
pub enum View {
    /// All but what lies at these paths.
    Except(Vec<Path>),
    /// What lies at these paths, by their texts.
    Only(Vec<(String, Path)>),
}

impl View {
    /// Parses the paths of `compare`.
    pub(super) fn compile(compare: &Compare) -> Result<Self, PathError> {
        match compare {
            Compare::Record => Ok(Self::Except(Vec::new())),
            Compare::Except { fields } => {
                fields.iter().map(|text| Path::parse(text)).collect::<Result<_, _>>().map(Self::Except)
            }
            Compare::Fields { fields } => {
                let field = |text: &String| Ok((text.clone(), Path::parse(text)?));
                fields.iter().map(field).collect::<Result<_, _>>().map(Self::Only)
            }
        }
    }

    /// The hash of all that is compared. Two records have the same if and only if they agree in it, but for chance.
    pub fn whole(&self, record: &Value) -> u128 {
        let mut bytes = Vec::with_capacity(RECORD_BYTES_LIKELY);
        match self {
            Self::Except(paths) => feed(&mut bytes, record, &excluded(paths, record)),
            Self::Only(fields) => {
                for (_, path) in fields {
                    match path.find(record) {
                        Some(value) => feed(&mut bytes, value, &[]),
                        None => bytes.push(b'-'),
                    }
                }
            }
        }
        xxh3_128(&bytes)
    }

    /// Calls `field` with the name and the hash of each field, at most [`FIELDS_OF_RECORD_MAX`].
    pub fn fields(&self, record: &Value, mut field: impl FnMut(&str, u64)) {
        match self {
            Self::Except(paths) => {
                let excluded = excluded(paths, record);
                let mut left = FIELDS_OF_RECORD_MAX;
                leaves(record, &mut String::new(), FIELD_DEPTH_MAX, &excluded, &mut left, &mut field);
            }
            Self::Only(fields) => {
                for (name, path) in fields {
                    if let Some(value) = path.find(record) {
                        field(name, hash_of(value, &[]));
                    }
                }
            }
        }
    }
}

fn excluded<'v>(paths: &[Path], record: &'v Value) -> Vec<&'v Value> {
    paths.iter().filter_map(|path| path.find(record)).collect()
}

fn is_in(excluded: &[&Value], value: &Value) -> bool {
    excluded.iter().any(|other| std::ptr::eq(*other, value))
}

fn leaves(
    value: &Value,
    name: &mut String,
    depth: usize,
    excluded: &[&Value],
    left: &mut usize,
    field: &mut impl FnMut(&str, u64),
) {
    if is_in(excluded, value) {
        return;
    }
    if let Value::Object(map) = value
        && depth > 0
        && (!map.is_empty() || name.is_empty())
    {
        let length = name.len();
        for (key, value) in sorted(map) {
            if !name.is_empty() {
                name.push('.');
            }
            name.push_str(key);
            leaves(value, name, depth - 1, excluded, left, field);
            name.truncate(length);
        }
        return;
    }
    if *left > 0 {
        *left -= 1;
        field(name, hash_of(value, excluded));
    }
}

fn hash_of(value: &Value, excluded: &[&Value]) -> u64 {
    let mut bytes = Vec::new();
    feed(&mut bytes, value, excluded);
    xxh3_64(&bytes)
}

/// Entries in the order of their names, whatever order the map keeps.
fn sorted(map: &serde_json::Map<String, Value>) -> Vec<(&String, &Value)> {
    let mut entries: Vec<_> = map.iter().collect();
    if !entries.is_sorted_by(|a, b| a.0 <= b.0) {
        entries.sort_unstable_by(|a, b| a.0.cmp(b.0));
    }
    entries
}

/// Writes a value so that no two values are the same bytes: a letter for its kind, and a length before what has one.
fn feed(bytes: &mut Vec<u8>, value: &Value, excluded: &[&Value]) {
    match value {
        Value::Null => bytes.push(b'n'),
        Value::Bool(true) => bytes.push(b't'),
        Value::Bool(false) => bytes.push(b'f'),
        Value::Number(number) => {
            if let Some(number) = number.as_i64() {
                bytes.push(b'i');
                bytes.extend_from_slice(&number.to_le_bytes());
            } else {
                bytes.push(b'#');
                feed_text(bytes, &number.to_string());
            }
        }
        Value::String(text) => {
            bytes.push(b's');
            feed_text(bytes, text);
        }
        Value::Array(items) => {
            bytes.push(b'[');
            for item in items.iter().filter(|item| !is_in(excluded, item)) {
                feed(bytes, item, excluded);
            }
            bytes.push(b']');
        }
        Value::Object(map) => {
            bytes.push(b'{');
            for (key, value) in sorted(map) {
                if !is_in(excluded, value) {
                    bytes.push(b'k');
                    feed_text(bytes, key);
                    feed(bytes, value, excluded);
                }
            }
            bytes.push(b'}');
        }
    }
}

fn feed_text(bytes: &mut Vec<u8>, text: &str) {
    bytes.extend_from_slice(&(text.len() as u64).to_le_bytes());
    bytes.extend_from_slice(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn view(compare: Value) -> View {
        View::compile(&serde_json::from_value(compare).unwrap()).unwrap()
    }

    fn names(view: &View, record: &Value) -> Vec<String> {
        let mut names = Vec::new();
        view.fields(record, |name, _| names.push(name.to_owned()));
        names
    }

    /// Property: the order of names does not matter, everything else does; what is left out does not.
    #[test]
    fn only_what_is_compared_changes_the_hash() {
        let all = view(json!({"what": "record"}));
        let record: Value = serde_json::from_str(r#"{"a":1,"b":{"c":[1,2],"d":null}}"#).unwrap();
        let turned: Value = serde_json::from_str(r#"{"b":{"d":null,"c":[1,2]},"a":1}"#).unwrap();
        assert_eq!(all.whole(&record), all.whole(&turned));
        for other in [
            json!({"a": 1, "b": {"c": [2, 1], "d": null}}),
            json!({"a": 1, "b": {"c": [1, 2]}}),
            json!({"a": "1", "b": {"c": [1, 2], "d": null}}),
            json!({"a": 1.5, "b": {"c": [1, 2], "d": null}}),
            json!({"a": 1, "b": {"c": [[1, 2]], "d": null}}),
        ] {
            assert_ne!(all.whole(&record), all.whole(&other), "{other}");
        }
        let except = view(json!({"what": "except", "fields": ["b.d", "x"]}));
        assert_eq!(except.whole(&record), except.whole(&json!({"a": 1, "b": {"c": [1, 2], "d": 7}, "x": 8})));
        assert_ne!(except.whole(&record), except.whole(&json!({"a": 1, "b": {"c": [1], "d": 7}})));
        let only = view(json!({"what": "fields", "fields": ["b.d", "x"]}));
        assert_eq!(only.whole(&record), only.whole(&json!({"b": {"d": null}})));
        assert_ne!(only.whole(&record), only.whole(&json!({"b": {}, "x": null})));
    }

    /// Property: fields are named by dotted paths down to the limit, and no record has more than the limit of them.
    #[test]
    fn fields_have_names() {
        let all = view(json!({"what": "record"}));
        let record = json!({"id": 1, "p": {"q": {"r": {"s": {"deep": 1}}}, "list": [{"x": 1}], "none": {}}});
        assert_eq!(names(&all, &record), ["id", "p.list", "p.none", "p.q.r.s"]);
        assert_eq!(names(&view(json!({"what": "except", "fields": ["p.q"]})), &record), ["id", "p.list", "p.none"]);
        assert_eq!(names(&view(json!({"what": "fields", "fields": ["p.q", "y"]})), &record), ["p.q"]);
        assert_eq!(names(&all, &json!("text")), [""]);
        let wide: serde_json::Map<_, _> = (0..300).map(|n| (format!("f{n}"), json!(n))).collect();
        assert_eq!(names(&all, &Value::Object(wide)).len(), FIELDS_OF_RECORD_MAX);
    }
}
