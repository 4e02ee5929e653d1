//! CloudEvents 1.0: the rules on attributes, for the structured, batch and binary content modes alike.
//!
//! Source: CloudEvents 1.0.2, its JSON format and its HTTP protocol binding.

use std::borrow::Cow;

use axum::http::HeaderMap;
use fastn_contract::flow::Priority;
use fastn_domain::event::Header;

use crate::draft::{self, ATTRIBUTE_BYTES_MAX};
use crate::fields::Complaints;

pub(crate) mod binary;
pub(crate) mod structured;

/// The one version that is spoken.
const SPEC_VERSION: &str = "1.0";
/// Longest name of an extension attribute: the specification recommends 20 and allows more.
const NAME_BYTES_MAX: usize = 64;
/// Longest value of an extension attribute.
const EXTENSION_BYTES_MAX: usize = 4_096;
/// The extension attribute of an event's priority, P1 to P4. Not `priority` alone, which others give other meanings.
const PRIORITY: &str = "fastnpriority";
/// Prefix of attributes as headers.
const HEADER_PREFIX: &str = "ce-";

/// Whether a request is a CloudEvent in binary mode: it says so by any of the required attributes.
pub(crate) fn is_binary(headers: &HeaderMap) -> bool {
    ["ce-specversion", "ce-id", "ce-type", "ce-source"].iter().any(|name| headers.contains_key(*name))
}

/// The attributes that every mode has, as texts that still have to be checked.
#[derive(Debug, Default)]
struct Attributes<'a> {
    specversion: Option<Cow<'a, str>>,
    id: Option<Cow<'a, str>>,
    source: Option<Cow<'a, str>>,
    kind: Option<Cow<'a, str>>,
    subject: Option<Cow<'a, str>>,
    time: Option<Cow<'a, str>>,
    dataschema: Option<Cow<'a, str>>,
    extensions: Vec<Header>,
}

impl Attributes<'_> {
    /// Checks them all and makes a draft without data of them.
    fn check(mut self, complaints: &mut Complaints) -> draft::Draft {
        let priority = self.priority(complaints);
        match self.specversion.as_deref() {
            Some(SPEC_VERSION) => {}
            Some(_) => complaints.add("specversion", format!("must be {SPEC_VERSION}")),
            None if complaints.has("specversion") => {}
            None => complaints.add("specversion", "is required"),
        }
        if self.id.is_none() && !complaints.has("id") {
            complaints.add("id", "is required");
        }
        if let Some(schema) = draft::optional("dataschema", self.dataschema, ATTRIBUTE_BYTES_MAX, complaints) {
            if !is_uri(&schema) {
                complaints.add("dataschema", "must be an absolute URI");
            }
            self.extensions.push(Header { name: "ce-dataschema".to_owned(), value: schema });
        }
        let source = draft::required("source", self.source, ATTRIBUTE_BYTES_MAX, complaints);
        if !is_uri_reference(&source) {
            complaints.add("source", "must be a URI reference");
        }
        draft::Draft {
            id: draft::id(self.id, complaints),
            kind: draft::kind(self.kind, complaints),
            source,
            subject: draft::optional("subject", self.subject, ATTRIBUTE_BYTES_MAX, complaints),
            time: draft::time(self.time, complaints),
            priority,
            extensions: self.extensions,
            data: "null".into(),
        }
    }

    /// Takes the extension attribute that says the lane of the event's executions.
    fn priority(&mut self, complaints: &mut Complaints) -> Option<Priority> {
        let name = format!("{HEADER_PREFIX}{PRIORITY}");
        let at = self.extensions.iter().position(|header| header.name == name)?;
        let text = self.extensions.remove(at).value;
        draft::priority(PRIORITY, Some(Cow::Owned(text)), complaints)
    }

    /// Adds an extension attribute.
    fn extend(&mut self, name: &str, value: String, complaints: &mut Complaints) {
        if !is_attribute_name(name) {
            let message = format!("is no attribute name: 1 to {NAME_BYTES_MAX} lower-case letters and digits");
            complaints.add(crate::problem::cut(name, NAME_BYTES_MAX), message);
        } else if value.len() > EXTENSION_BYTES_MAX || value.chars().any(char::is_control) {
            complaints.add(name, format!("must be at most {EXTENSION_BYTES_MAX} bytes without control characters"));
        } else {
            self.extensions.push(Header { name: format!("{HEADER_PREFIX}{name}"), value });
        }
    }
}

fn is_attribute_name(name: &str) -> bool {
    (1..=NAME_BYTES_MAX).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
}

/// A loose look at RFC 3986: no character that can stand in no URI. Letters beyond ASCII pass, since senders use them.
fn is_uri_reference(text: &str) -> bool {
    !text.chars().any(|c| c.is_whitespace() || matches!(c, '"' | '<' | '>' | '\\' | '^' | '`' | '{' | '|' | '}'))
}

fn is_uri(text: &str) -> bool {
    let scheme = text.split_once(':').map_or("", |(scheme, _)| scheme);
    let starts = scheme.bytes().next().is_some_and(|b| b.is_ascii_alphabetic());
    starts && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b)) && is_uri_reference(text)
}

/// An RFC 2046 media type: `type/subtype`, with parameters or not.
fn is_media_type(text: &str) -> bool {
    let token = |part: &str| {
        !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
    };
    let essence = text.split(';').next().unwrap_or("").trim();
    essence.split_once('/').is_some_and(|(kind, subtype)| token(kind) && token(subtype))
}
