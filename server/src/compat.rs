//! Whether a client that was made for an earlier OpenAPI document still works with this one.
//!
//! Requests may only be taken more widely, answers may only be given more narrowly:
//!
//! ```text
//!   request   every value that was allowed still is       removed or newly required things break
//!   answer    every value that comes was expected          removed, newly absent or newly null things break
//! ```
//!
//! What a careful client gets over (one more word in an answer's enum, one more kind of object in a union) is a warning.
//! Named schemas are compared once for each direction, however many operations use them, and findings name them.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

mod schema;

/// A difference that a client can notice.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// Whether clients break on it; else it is a warning.
    pub breaks: bool,
    /// Which rule it offends, e.g. `request-property-required`.
    pub rule: &'static str,
    /// Where, e.g. `putWorkflow` or `Workflow.retry`.
    pub at: String,
    /// What is different, in words.
    pub text: String,
}

impl Finding {
    /// How the list of accepted breaks names it.
    pub fn key(&self) -> String {
        format!("{} {}", self.rule, self.at)
    }
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {} [{}]", self.at, self.text, self.rule)
    }
}

/// Every difference between the documents that a client of `old` can notice, each once.
pub fn compare(old: &Value, new: &Value) -> Vec<Finding> {
    let mut comparison = Comparison { old, new, findings: BTreeSet::new(), seen: BTreeSet::new() };
    for (path, item) in object(&old["paths"]) {
        for (method, operation) in object(item) {
            let name = operation["operationId"].as_str().unwrap_or(path);
            match new["paths"].get(path).and_then(|item| item.get(method)) {
                Some(now) => comparison.operation(name, operation, now),
                None => {
                    let text = format!("{} {path} is gone", method.to_uppercase());
                    comparison.breaks("operation-removed", name, text);
                }
            }
        }
    }
    comparison.findings.into_iter().collect()
}

/// The breaks that are not accepted, and what is accepted and breaks nothing.
pub fn unaccepted<'f>(findings: &'f [Finding], accepted: &BTreeMap<String, String>) -> (Vec<&'f Finding>, Vec<String>) {
    let breaks = || findings.iter().filter(|finding| finding.breaks);
    let left = breaks().filter(|finding| !accepted.contains_key(&finding.key())).collect();
    let known: BTreeSet<String> = breaks().map(Finding::key).collect();
    (left, accepted.keys().filter(|key| !known.contains(*key)).cloned().collect())
}

/// Which way a value goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Way {
    Request,
    Answer,
}

struct Comparison<'d> {
    old: &'d Value,
    new: &'d Value,
    findings: BTreeSet<Finding>,
    /// Pairs of named schemas that were compared, or are being compared: schemas hold themselves.
    seen: BTreeSet<(Way, String)>,
}

impl<'d> Comparison<'d> {
    fn add(&mut self, breaks: bool, rule: &'static str, at: &str, text: impl Into<String>) {
        self.findings.insert(Finding { breaks, rule, at: at.to_owned(), text: text.into() });
    }

    fn breaks(&mut self, rule: &'static str, at: &str, text: impl Into<String>) {
        self.add(true, rule, at, text);
    }

    fn warns(&mut self, rule: &'static str, at: &str, text: impl Into<String>) {
        self.add(false, rule, at, text);
    }

    fn operation(&mut self, name: &str, old: &'d Value, new: &'d Value) {
        if old["operationId"] != new["operationId"] {
            let text = format!("is called {} now; generated clients name their methods by it", new["operationId"]);
            self.breaks("operation-id-changed", name, text);
        }
        let open = |operation: &Value| match operation["security"].as_array() {
            Some(ways) => ways.is_empty() || ways.iter().any(|way| object(way).next().is_none()),
            None => true,
        };
        if open(old) && !open(new) {
            self.breaks("operation-needs-key", name, "needs an access key now");
        }
        self.parameters(name, old, new);
        self.body(name, old, new);
        self.answers(name, old, new);
    }

    fn parameters(&mut self, name: &str, old: &'d Value, new: &'d Value) {
        let (was, is) = (parameters(old), parameters(new));
        for (key, before) in &was {
            let at = format!("{name}.{}", key.1);
            match is.get(key) {
                None => self.breaks("parameter-removed", &at, format!("the {} parameter is gone", key.0)),
                Some(now) => {
                    if now["required"] == true && before["required"] != true {
                        self.breaks("parameter-required", &at, format!("the {} parameter is required now", key.0));
                    }
                    self.schema(Way::Request, &at, &before["schema"], &now["schema"]);
                }
            }
        }
        for (key, now) in is.iter().filter(|(key, now)| !was.contains_key(*key) && now["required"] == true) {
            let at = format!("{name}.{}", key.1);
            let text = format!("the {} parameter is new and required", now["in"].as_str().unwrap_or_default());
            self.breaks("parameter-required", &at, text);
        }
    }

    fn body(&mut self, name: &str, old: &'d Value, new: &'d Value) {
        let (before, now) = (&old["requestBody"], &new["requestBody"]);
        if now["required"] == true && before["required"] != true {
            self.breaks("body-required", name, "a body is required now");
        }
        for (media, content) in object(&before["content"]) {
            match now["content"].get(media) {
                Some(there) => self.schema(Way::Request, &format!("{name}.body"), &content["schema"], &there["schema"]),
                None => self.breaks("body-media-removed", name, format!("takes no {media} any more")),
            }
        }
    }

    fn answers(&mut self, name: &str, old: &'d Value, new: &'d Value) {
        for (status, before) in object(&old["responses"]) {
            let before = resolved(self.old, before);
            let good = status.starts_with('2');
            let Some(now) = new["responses"].get(status).map(|answer| resolved(self.new, answer)) else {
                let text = format!("does not answer {status} any more");
                self.add(good, "answer-removed", name, text);
                continue;
            };
            for (media, content) in object(&before["content"]) {
                let at = format!("{name}.{status}");
                match now["content"].get(media) {
                    Some(there) => self.schema(Way::Answer, &at, &content["schema"], &there["schema"]),
                    None => self.breaks("answer-media-removed", &at, format!("answers no {media} any more")),
                }
            }
        }
        let known = |status: &&String| old["responses"].get(status.as_str()).is_some();
        for status in object(&new["responses"]).map(|(status, _)| status).filter(|status| !known(status)) {
            self.warns("answer-added", name, format!("can answer {status} now"));
        }
    }
}

fn parameters(operation: &Value) -> BTreeMap<(&str, &str), &Value> {
    let list = operation["parameters"].as_array().into_iter().flatten();
    list.filter_map(|one| Some(((one["in"].as_str()?, one["name"].as_str()?), one))).collect()
}

fn object(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flat_map(Map::iter)
}

/// What a reference leads to.
fn resolved<'d>(document: &'d Value, value: &'d Value) -> &'d Value {
    let there = value["$ref"].as_str().and_then(|to| document.pointer(to.trim_start_matches('#')));
    there.unwrap_or(value)
}

/// The name of the component that a reference leads to.
fn named(value: &Value) -> Option<&str> {
    value["$ref"].as_str()?.rsplit('/').next()
}
