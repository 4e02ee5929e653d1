//! JSON that is checked once and then kept as text.
//!
//! The check accepts exactly what every later reader can read: serde_json's own skipping of ignored values lets lone
//! surrogates, numbers out of range and any depth pass, which would only fail later, in the processor.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

/// Deepest nesting of a payload. Readers stop at 128 levels, and a payload travels inside envelopes of a few levels.
pub const JSON_DEPTH_MAX: usize = 100;

/// Why a text is not taken as JSON, in words for its sender.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct JsonError(String);

/// Checks that `text` is one JSON value: every string is Unicode, every number has a value, and it nests at most
/// [`JSON_DEPTH_MAX`] levels.
///
/// # Errors
/// What is wrong, with line and column.
pub fn check(text: &str) -> Result<(), JsonError> {
    let mut reader = serde_json::Deserializer::from_str(text);
    let checked = Checked { depth_left: JSON_DEPTH_MAX }.deserialize(&mut reader).and_then(|()| reader.end());
    checked.map_err(|error| JsonError(error.to_string()))
}

/// One value that must be valid and is not kept.
#[derive(Clone, Copy)]
struct Checked {
    depth_left: usize,
}

impl Checked {
    fn deeper<E: Error>(self) -> Result<Self, E> {
        let deeper = self.depth_left.checked_sub(1);
        deeper
            .map(|depth_left| Self { depth_left })
            .ok_or_else(|| E::custom(format_args!("it nests more than {JSON_DEPTH_MAX} levels")))
    }
}

impl<'de> DeserializeSeed<'de> for Checked {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Checked {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let deeper = self.deeper()?;
        while items.next_element_seed(deeper)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        let deeper = self.deeper()?;
        while entries.next_key_seed(Checked { depth_left: 0 })?.is_some() {
            entries.next_value_seed(deeper)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn nested(levels: usize) -> String {
        format!("{}1{}", "[".repeat(levels), "]".repeat(levels))
    }

    /// Property: what a later reader would refuse is refused here, at the door.
    #[test]
    fn refuses_what_readers_refuse() {
        for bad in ["", "{", "[1,]", "1 2", "\"\\ud800\"", "1e999", "{\"a\":1e999}", "nul", "\u{feff}1", "\"\u{1}\""] {
            assert!(check(bad).is_err(), "{bad:?}");
            assert!(serde_json::from_str::<serde_json::Value>(bad).is_err(), "{bad:?}");
        }
        assert!(check(&nested(JSON_DEPTH_MAX)).is_ok());
        assert!(check(&nested(JSON_DEPTH_MAX + 1)).is_err());
        assert!(check(&"[".repeat(1_000_000)).is_err());
        assert!(check(&"{\"a\":".repeat(1_000_000)).is_err());
    }

    proptest! {
        /// Property: on any text, the check and serde_json's full parser agree.
        #[test]
        fn agrees_with_the_full_parser(text in "[\\[\\]{}\",:0-9eE.+\\-\\\\u dfa-ctrul]{0,24}") {
            prop_assert_eq!(check(&text).is_ok(), serde_json::from_str::<serde_json::Value>(&text).is_ok());
        }

        /// Property: no text makes the check panic.
        #[test]
        fn any_text_is_checked(text in "\\PC{0,200}") {
            let _ = check(&text);
        }
    }
}
