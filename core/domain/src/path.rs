//! Dotted and indexed paths into JSON: `data.event.id`, `items[0].id`, `["odd key"].x`.

use serde_json::Value;

/// Longest path that is accepted.
pub const PATH_BYTES_MAX: usize = 512;
/// Most segments in a path.
pub const PATH_SEGMENTS_MAX: usize = 64;

/// One step down.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Segment {
    Key(String),
    Index(usize),
}

/// A parsed path. The empty path is the value itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path {
    segments: Vec<Segment>,
}

/// Why a text is not a path.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("path {path:?} is not valid at character {at}: {reason}; write it like data.items[0].id")]
pub struct PathError {
    /// The text, cut to 80 characters.
    pub path: String,
    /// Where, from 1.
    pub at: usize,
    /// Why.
    pub reason: &'static str,
}

impl Path {
    /// Parses `text`.
    pub fn parse(text: &str) -> Result<Self, PathError> {
        let fail = |at: usize, reason| PathError { path: text.chars().take(80).collect(), at: at + 1, reason };
        if text.len() > PATH_BYTES_MAX {
            return Err(fail(PATH_BYTES_MAX, "it is longer than 512 bytes"));
        }
        let mut segments = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            let at = text.len() - rest.len();
            if segments.len() == PATH_SEGMENTS_MAX {
                return Err(fail(at, "it has more than 64 segments"));
            }
            let (segment, after) = if let Some(inner) = rest.strip_prefix('[') {
                parse_bracket(inner).map_err(|reason| fail(at, reason))?
            } else {
                let name = match rest.strip_prefix('.') {
                    Some(name) if at > 0 => name,
                    Some(_) => return Err(fail(at, "it starts with a dot")),
                    None if at == 0 => rest,
                    None => return Err(fail(at, "a dot or [ is missing")),
                };
                let end = name.find(['.', '[']).unwrap_or(name.len());
                if end == 0 {
                    return Err(fail(at, "a name is missing"));
                }
                (Segment::Key(name[..end].to_owned()), &name[end..])
            };
            segments.push(segment);
            rest = after;
        }
        Ok(Self { segments })
    }

    /// The value at this path, if there is one. A number in a name position finds an array's element too.
    pub fn find<'v>(&self, value: &'v Value) -> Option<&'v Value> {
        self.segments.iter().try_fold(value, |value, segment| match (segment, value) {
            (Segment::Key(key), Value::Object(map)) => map.get(key),
            (Segment::Index(index), Value::Array(items)) => items.get(*index),
            (Segment::Key(key), Value::Array(items)) => items.get(key.parse::<usize>().ok()?),
            _ => None,
        })
    }
}

/// Parses what follows `[`: an index or a quoted key, and the closing bracket.
fn parse_bracket(inner: &str) -> Result<(Segment, &str), &'static str> {
    if let Some(quote) = inner.chars().next().filter(|c| matches!(c, '"' | '\'')) {
        let body = &inner[1..];
        let end = body.find(quote).ok_or("the quote is not closed")?;
        let after = body[end + 1..].strip_prefix(']').ok_or("the bracket is not closed")?;
        return Ok((Segment::Key(body[..end].to_owned()), after));
    }
    let (digits, after) = inner.split_once(']').ok_or("the bracket is not closed")?;
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err("an index is digits, a key is quoted");
    }
    let index = digits.parse().map_err(|_| "the index is too large")?;
    Ok((Segment::Index(index), after))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// Property: a path finds what JSON access by hand finds, and nothing where nothing is.
    #[test]
    fn finds_by_name_index_and_quoted_key() {
        let value = json!({"data": {"items": [{"id": 7}], "odd key": {"x": null}}});
        let find = |path: &str| Path::parse(path).unwrap().find(&value).cloned();
        assert_eq!(find("data.items[0].id"), Some(json!(7)));
        assert_eq!(find("data.items.0.id"), Some(json!(7)));
        assert_eq!(find("data[\"odd key\"].x"), Some(Value::Null));
        assert_eq!(find("data.items[1].id"), None);
        assert_eq!(find("data.items[0].id.deeper"), None);
        assert_eq!(find(""), Some(value.clone()));
    }

    /// Property: a text that is no path is refused with the place where it goes wrong.
    #[test]
    fn refuses_nonsense_with_its_place() {
        for (bad, at) in
            [(".a", 1), ("a..b", 2), ("a[", 2), ("a[x]", 2), ("a[0]b", 5), ("a['b]", 2), ("a[99999999999999999999]", 2)]
        {
            assert_eq!(Path::parse(bad).unwrap_err().at, at, "{bad}");
        }
        assert!(Path::parse(&"a.".repeat(400)).is_err());
    }

    proptest::proptest! {
        /// Property: no text makes the parser panic.
        #[test]
        fn any_text_is_parsed_or_refused(text in "\\PC{0,80}") {
            let _ = Path::parse(&text);
        }
    }
}
