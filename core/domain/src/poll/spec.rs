//! A declaration of a poll, checked once, with its paths parsed.

use fastn_contract::error::FieldError;
use fastn_contract::poll::{Compare, CursorOf, Incremental, Paging, Poll as Spec};
use serde_json::Value;

use super::KEY_BYTES_MAX;
use super::fields::View;
use super::links::next_link;
use super::pace::Pace;
use crate::path::Path;
use crate::template::fill;
use crate::time::parse_rfc3339;

/// Types that start so are the system's own.
const TYPE_PREFIX_RESERVED: &str = "fastn.";
/// Longest name of an entity.
const ENTITY_BYTES_MAX: usize = 64;
/// Longest template.
const TEMPLATE_BYTES_MAX: usize = 16 * 1024;
/// Deepest nesting of a request's body.
const BODY_DEPTH_MAX: usize = 16;
/// Most paths that are compared or left out.
const COMPARED_MAX: usize = 100;
/// Limits of the interval, in seconds.
const INTERVAL_SECONDS: std::ops::RangeInclusive<u32> = 5..=86_400;

/// See the head of this file.
#[derive(Clone, Debug)]
pub struct Poll {
    /// As it was written.
    pub spec: Spec,
    /// What is compared.
    pub view: View,
    /// How often.
    pub pace: Pace,
    /// What a snapshot made with this declaration can be compared with: a hash of what decides what is listed and compared.
    pub shape: String,
    records: Path,
    key: Path,
    next: Option<Path>,
    cursor: Option<Path>,
}

/// What follows a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NextPage {
    /// Nothing: the listing is complete.
    End,
    /// A request with this for `{{page}}`.
    Page(String),
    /// This URL, which may be relative.
    Link(String),
}

/// Which places the templates of a request use.
#[derive(Default)]
struct Places {
    page: bool,
    cursor: bool,
}

impl Poll {
    /// Checks `spec` as a whole.
    ///
    /// # Errors
    /// Every part that is not valid, with its path.
    pub fn compile(spec: &Spec) -> Result<Self, Vec<FieldError>> {
        let mut errors = Vec::new();
        let mut complain = |path: &str, message: String| {
            errors.push(FieldError { path: format!("source.{path}"), message });
        };
        check_limits(spec, &mut complain);
        check_request(spec, &mut complain);
        let mut path =
            |field: &str, text: &str| Path::parse(text).map_err(|error| complain(field, error.to_string())).ok();
        let records = path("records", &spec.records);
        let key = path("key", &spec.key);
        let next = match &spec.paging {
            Paging::Cursor { path: text } => path("paging.path", text),
            Paging::Link { path: Some(text) } => path("paging.path", text),
            _ => None,
        };
        let cursor = spec.incremental.as_ref().and_then(|incremental| path("incremental.path", &incremental.path));
        let view = View::compile(&spec.compare).map_err(|error| complain("compare.fields", error.to_string())).ok();
        match (records, key, view) {
            (Some(records), Some(key), Some(view)) if errors.is_empty() => Ok(Self {
                view,
                pace: Pace::new(&spec.interval),
                shape: shape(spec),
                spec: spec.clone(),
                records,
                key,
                next,
                cursor,
            }),
            _ => Err(errors),
        }
    }

    /// The records of an answer, if it has them where they should be.
    pub fn records<'a>(&self, answer: &'a Value) -> Option<&'a Vec<Value>> {
        self.records.find(answer)?.as_array()
    }

    /// The key of a record, if it has one that may be one.
    pub fn key(&self, record: &Value) -> Option<String> {
        text_of(self.key.find(record)?).filter(|key| !key.is_empty() && key.len() <= KEY_BYTES_MAX)
    }

    /// What `{{page}}` is in the first request.
    pub fn first_page(&self) -> String {
        match &self.spec.paging {
            Paging::Page { first, .. } => first.to_string(),
            _ => String::new(),
        }
    }

    /// What follows the page `page`, whose answer had so many records and this header `Link`.
    pub fn next_page(&self, page: &str, answer: &Value, records: usize, link: Option<&str>) -> NextPage {
        let said = || self.next.as_ref().and_then(|path| path.find(answer)).and_then(text_of);
        let next = match &self.spec.paging {
            Paging::None => None,
            Paging::Page { step, .. } => {
                let next = page.parse::<u64>().ok().map(|page| page.saturating_add(u64::from(*step)));
                next.filter(|_| records > 0).map(|page| NextPage::Page(page.to_string()))
            }
            Paging::Cursor { .. } => said().filter(|next| !next.is_empty()).map(NextPage::Page),
            Paging::Link { path: Some(_) } => said().filter(|next| !next.is_empty()).map(NextPage::Link),
            Paging::Link { path: None } => link.and_then(next_link).map(|link| NextPage::Link(link.to_owned())),
        };
        next.unwrap_or(NextPage::End)
    }

    /// Whether a listing that came to its end shows what was deleted.
    pub fn sees_deletes(&self) -> bool {
        self.spec.detect_deletes && self.spec.incremental.is_none()
    }

    /// What the first incremental poll goes on from.
    pub fn first_cursor(&self) -> String {
        self.spec.incremental.as_ref().map(|incremental| incremental.start.clone()).unwrap_or_default()
    }

    /// Takes what a page says about where the next poll goes on.
    pub fn follow(&self, greatest: &mut Greatest, answer: &Value, records: &[Value]) {
        let (Some(path), Some(incremental)) = (&self.cursor, &self.spec.incremental) else { return };
        match incremental.of {
            CursorOf::Records => {
                for found in records.iter().filter_map(|record| path.find(record)).filter_map(text_of) {
                    greatest.offer(found);
                }
            }
            CursorOf::Answer => {
                if let Some(found) = path.find(answer).and_then(text_of).filter(|found| !found.is_empty()) {
                    greatest.0 = found;
                }
            }
        }
    }
}

/// The greatest value seen: by number if both are, by instant if both are, else as text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Greatest(pub String);

impl Greatest {
    fn offer(&mut self, value: String) {
        let number = |text: &str| text.parse::<f64>().ok();
        let greater = match (number(&self.0), number(&value)) {
            (Some(known), Some(new)) => new > known,
            _ => match (parse_rfc3339(&self.0), parse_rfc3339(&value)) {
                (Some(known), Some(new)) => new > known,
                _ => value > self.0,
            },
        };
        if greater {
            self.0 = value;
        }
    }
}

fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

fn shape(spec: &Spec) -> String {
    let Spec { entity, request, key, incremental, compare, .. } = spec;
    // Without headers, so that another way to sign in keeps what is known.
    let parts = serde_json::json!([entity, request.url, request.body, key, incremental, compare]);
    blake3::hash(parts.to_string().as_bytes()).to_hex()[..16].to_owned()
}

fn check_limits(spec: &Spec, complain: &mut impl FnMut(&str, String)) {
    let entity = &spec.entity;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    if entity.is_empty() || entity.len() > ENTITY_BYTES_MAX || !entity.bytes().all(plain) {
        complain("entity", format!("must be 1 to {ENTITY_BYTES_MAX} letters, digits, dots, hyphens or underscores"));
    } else if format!("{entity}.").starts_with(TYPE_PREFIX_RESERVED) {
        complain("entity", format!("types that start with {TYPE_PREFIX_RESERVED:?} are the system's own"));
    }
    if spec.key.is_empty() {
        complain("key", "name the field that tells a record from others".to_owned());
    }
    let (min, max) = (spec.interval.min_seconds, spec.interval.max_seconds);
    let (least, most) = (INTERVAL_SECONDS.start(), INTERVAL_SECONDS.end());
    if !INTERVAL_SECONDS.contains(&min) {
        complain("interval.minSeconds", format!("must be {least} to {most}"));
    }
    if !INTERVAL_SECONDS.contains(&max) || max < min {
        complain("interval.maxSeconds", format!("must be {least} to {most}, and not below minSeconds"));
    }
    if let Compare::Fields { fields } | Compare::Except { fields } = &spec.compare
        && (fields.is_empty() || fields.len() > COMPARED_MAX || fields.iter().any(String::is_empty))
    {
        complain("compare.fields", format!("must be 1 to {COMPARED_MAX} paths"));
    }
    match &spec.paging {
        Paging::Page { step: 0, .. } => complain("paging.step", "must be at least 1".to_owned()),
        Paging::Cursor { path } | Paging::Link { path: Some(path) } if path.is_empty() => {
            complain("paging.path", "must name a place in the answer".to_owned());
        }
        _ => {}
    }
    if let Some(Incremental { path, start, .. }) = &spec.incremental {
        if path.is_empty() {
            complain("incremental.path", "must name a value".to_owned());
        }
        if start.len() > KEY_BYTES_MAX {
            complain("incremental.start", format!("must be at most {KEY_BYTES_MAX} bytes"));
        }
    }
}

fn check_request(spec: &Spec, complain: &mut impl FnMut(&str, String)) {
    let request = &spec.request;
    if !matches!(request.method.as_str(), "GET" | "POST") {
        complain("request.method", "must be GET or POST".to_owned());
    }
    let mut places = Places::default();
    let rest = request.url.strip_prefix("https://").or_else(|| request.url.strip_prefix("http://"));
    match rest.map(|rest| rest.split(['/', '?', '#']).next().unwrap_or_default()) {
        None | Some("") => complain("request.url", "must begin with https:// or http:// and a host".to_owned()),
        Some(host) => {
            let mut in_host = Places::default();
            let _checked_below = check_template(host, &mut in_host);
            if in_host.page || in_host.cursor {
                complain("request.url", "the host must not depend on what the source answers".to_owned());
            }
        }
    }
    if let Err(message) = check_template(&request.url, &mut places) {
        complain("request.url", message);
    }
    for (name, value) in &request.headers {
        if let Err(message) = check_template(value, &mut places) {
            complain(&format!("request.headers.{name}"), message);
        }
    }
    if let Some(body) = &request.body
        && let Err(message) = check_body(body, BODY_DEPTH_MAX, &mut places)
    {
        complain("request.body", message);
    }
    let pages = matches!(spec.paging, Paging::Page { .. } | Paging::Cursor { .. });
    if pages != places.page {
        let message = if pages { "needs {{page}} somewhere for this paging" } else { "{{page}} needs a paging" };
        complain("request", message.to_owned());
    }
    if spec.incremental.is_some() != places.cursor {
        let message = match spec.incremental {
            Some(_) => "needs {{cursor}} somewhere to be incremental",
            None => "{{cursor}} needs `incremental`",
        };
        complain("request", message.to_owned());
    }
}

fn check_body(value: &Value, depth: usize, places: &mut Places) -> Result<(), String> {
    match value {
        _ if depth == 0 => Err(format!("nests deeper than {BODY_DEPTH_MAX} levels")),
        Value::String(text) => check_template(text, places),
        Value::Array(items) => items.iter().try_for_each(|item| check_body(item, depth - 1, places)),
        Value::Object(map) => map.values().try_for_each(|item| check_body(item, depth - 1, places)),
        _ => Ok(()),
    }
}

fn check_template(template: &str, places: &mut Places) -> Result<(), String> {
    if template.len() > TEMPLATE_BYTES_MAX {
        return Err(format!("is longer than {TEMPLATE_BYTES_MAX} bytes"));
    }
    let found = std::cell::RefCell::new(places);
    fill(template, |name| {
        match name {
            "page" => found.borrow_mut().page = true,
            "cursor" => found.borrow_mut().cursor = true,
            "customer" | "trigger" => {}
            name if name.strip_prefix("secret.").is_some_and(|name| !name.is_empty()) => {}
            name => {
                let known = "page, cursor, customer, trigger and secret.NAME";
                return Err(format!("knows no {{{{{name}}}}}; there are {known}"));
            }
        }
        Ok(String::new())
    })
    .map(drop)
}

#[cfg(test)]
mod tests;
