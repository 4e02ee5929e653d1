//! JSON objects and arrays of a bounded number of parts, each kept as the text it was sent as.
//!
//! So each part can be named in an error, and payloads are never parsed into a tree and written again.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use fastn_contract::error::FieldError;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::problem::cut;

/// Most fields of one event, extension attributes included.
pub(crate) const FIELDS_MAX: usize = 64;

/// The fields of one object, in order, without repeated names.
#[derive(Debug)]
pub(crate) struct Fields<'a>(pub(crate) Vec<(Cow<'a, str>, &'a RawValue)>);

/// The items of one array: at most `MAX`.
#[derive(Debug)]
pub(crate) struct Items<'a, const MAX: usize>(pub(crate) Vec<&'a RawValue>);

impl<'a> Fields<'a> {
    /// Reads the object that `text` is.
    pub(crate) fn read(text: &'a str) -> Result<Self, String> {
        serde_json::from_str(text).map_err(|error| cut(&error.to_string(), 200).to_owned())
    }

    /// Takes the field `name` out. `null` counts as absent.
    pub(crate) fn take(&mut self, name: &str) -> Option<&'a RawValue> {
        let at = self.0.iter().position(|(field, _)| field == name)?;
        let (_, value) = self.0.swap_remove(at);
        (value.get() != "null").then_some(value)
    }

    /// Takes the text field `name` out, complaining when it is something else than a text.
    pub(crate) fn take_text(&mut self, name: &'static str, complaints: &mut Complaints) -> Option<Cow<'a, str>> {
        let text = text(self.take(name)?);
        if text.is_none() {
            complaints.add(name, "must be a text");
        }
        text
    }
}

/// The text that a JSON string stands for.
pub(crate) fn text(value: &RawValue) -> Option<Cow<'_, str>> {
    serde_json::from_str::<Text<'_>>(value.get()).ok().map(|text| text.0)
}

#[derive(serde::Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// Complaints about the parts of one event.
#[derive(Debug)]
pub(crate) struct Complaints {
    prefix: String,
    /// What there is to complain about.
    pub(crate) errors: Vec<FieldError>,
}

impl Complaints {
    /// Of an event at `prefix`, e.g. `events[3].`; empty for a single one.
    pub(crate) fn at(prefix: String) -> Self {
        Self { prefix, errors: Vec::new() }
    }

    /// Whether there is a complaint about `field` already.
    pub(crate) fn has(&self, field: &str) -> bool {
        self.errors.iter().any(|error| error.path.strip_prefix(&self.prefix) == Some(field))
    }

    /// One more. An empty `field` stands for the event as a whole.
    pub(crate) fn add(&mut self, field: &str, message: impl Into<String>) {
        let path = format!("{}{field}", self.prefix);
        let path = path.trim_end_matches('.');
        let path = if path.is_empty() { "body" } else { path }.to_owned();
        self.errors.push(FieldError { path, message: message.into() });
    }
}

impl<'de> Deserialize<'de> for Fields<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(FieldsVisitor)
    }
}

struct FieldsVisitor;

impl<'de> Visitor<'de> for FieldsVisitor {
    type Value = Fields<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields<'de>, A::Error> {
        let mut fields: Vec<(Cow<'de, str>, &'de RawValue)> = Vec::with_capacity(8);
        while let Some(Text(name)) = map.next_key()? {
            if fields.len() == FIELDS_MAX {
                return Err(A::Error::custom(format_args!("more than {FIELDS_MAX} fields")));
            }
            if fields.iter().any(|(known, _)| *known == name) {
                return Err(A::Error::custom(format_args!("the field {:?} stands there twice", cut(&name, 60))));
            }
            fields.push((name, map.next_value()?));
        }
        Ok(Fields(fields))
    }
}

impl<'de, const MAX: usize> Deserialize<'de> for Items<'de, MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(ItemsVisitor::<MAX>(PhantomData))
    }
}

struct ItemsVisitor<const MAX: usize>(PhantomData<()>);

impl<'de, const MAX: usize> Visitor<'de> for ItemsVisitor<MAX> {
    type Value = Items<'de, MAX>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Items<'de, MAX>, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            if items.len() == MAX {
                return Err(A::Error::custom(format_args!("more than {MAX} items")));
            }
            items.push(item);
        }
        Ok(Items(items))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Property: fields keep the text they were sent as, and a repeated or surplus one is refused.
    #[test]
    fn fields_are_kept_as_text() {
        let mut fields = Fields::read(r#"{"a": {"x" : 1.0}, "t\u0065xt": "\u00e9", "none": null}"#).unwrap();
        assert_eq!(fields.take("a").unwrap().get(), r#"{"x" : 1.0}"#);
        assert_eq!(text(fields.take("text").unwrap()).unwrap(), "é");
        assert!(fields.take("none").is_none() && fields.0.is_empty());
        assert!(Fields::read(r#"{"a":1,"a":2}"#).is_err());
        let many: Vec<String> = (0..=FIELDS_MAX).map(|at| format!("\"f{at}\":0")).collect();
        assert!(Fields::read(&format!("{{{}}}", many[1..].join(","))).is_ok());
        assert!(Fields::read(&format!("{{{}}}", many.join(","))).is_err());
    }

    /// Property: an array is cut off at its limit, not after reading all of it.
    #[test]
    fn items_are_bounded() {
        assert_eq!(serde_json::from_str::<Items<'_, 3>>("[1,\"a\",{}]").unwrap().0.len(), 3);
        assert!(serde_json::from_str::<Items<'_, 3>>("[1,2,3,4").unwrap_err().to_string().contains("more than 3"));
    }
}
