//! The rules of schemas: what becomes of types, formats, words, limits, properties, items and unions.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{Comparison, Finding, Way, named, object, resolved};

/// Limits by which a value is too small, and too large.
const LEAST: [&str; 3] = ["minimum", "minLength", "minItems"];
const MOST: [&str; 3] = ["maximum", "maxLength", "maxItems"];

impl<'d> Comparison<'d> {
    /// Compares what stood at `at` with what stands there. Named schemas are compared under their own names, once.
    pub(super) fn schema(&mut self, way: Way, at: &str, old: &'d Value, new: &'d Value) {
        let name = named(new).or_else(|| named(old));
        if name.is_some() {
            // Two names are two comparisons: one of them may have become another.
            let pair = format!("{} {}", named(old).unwrap_or(at), named(new).unwrap_or(at));
            if !self.seen.insert((way, pair)) {
                return;
            }
        }
        let at = name.unwrap_or(at);
        let (was, is) = (Shape::of(self.old, old), Shape::of(self.new, new));
        if was.null != is.null {
            match way {
                Way::Request if was.null => self.breaks("request-null-refused", at, "must not be null any more"),
                Way::Answer if is.null => self.breaks("answer-null", at, "can be null now"),
                _ => {}
            }
        }
        if let ([before], [now]) = (was.kinds.as_slice(), is.kinds.as_slice()) {
            return self.kind(way, at, before, now);
        }
        // Of each kind that goes over the wire, the kind on the other side that fits best.
        let (from, to) = if way == Way::Request { (&was.kinds, &is.kinds) } else { (&is.kinds, &was.kinds) };
        for one in from {
            let tag = tag(one);
            let twin = to.iter().find(|other| tag.is_some() && tag == self::tag(other));
            if tag.is_some() && twin.is_none() && to.iter().any(|other| self::tag(other).is_some()) {
                let tag = tag.unwrap_or_default();
                match way {
                    Way::Request => self.breaks("request-kind-removed", at, format!("takes no {tag} any more")),
                    Way::Answer => self.warns("answer-kind-added", at, format!("can be of the kind {tag} now")),
                }
                continue;
            }
            let pair = |other: &&'d Value| if way == Way::Request { (*one, *other) } else { (*other, *one) };
            if let Some(twin) = twin {
                let (before, now) = pair(twin);
                self.kind(way, at, before, now);
                continue;
            }
            let best = to.iter().map(|other| self.tried(way, at, pair(other))).min_by_key(|tried| tried.0.len());
            if let Some((findings, seen)) = best {
                self.findings.extend(findings);
                self.seen.extend(seen);
            }
        }
    }

    /// What a comparison would find and look at, on top of what is there.
    fn tried(
        &self,
        way: Way,
        at: &str,
        (old, new): (&'d Value, &'d Value),
    ) -> (BTreeSet<Finding>, BTreeSet<(Way, String)>) {
        let mut tried = Comparison { old: self.old, new: self.new, findings: BTreeSet::new(), seen: self.seen.clone() };
        tried.kind(way, at, old, new);
        (tried.findings, tried.seen)
    }

    fn kind(&mut self, way: Way, at: &str, old: &'d Value, new: &'d Value) {
        let (was, is) = (types(old), types(new));
        let fits = match way {
            Way::Request => is.is_empty() || (!was.is_empty() && was.iter().all(|kind| accepts(&is, kind))),
            Way::Answer => was.is_empty() || (!is.is_empty() && is.iter().all(|kind| accepts(&was, kind))),
        };
        if !fits {
            let words = |types: &BTreeSet<&str>| match types.is_empty() {
                true => "anything".to_owned(),
                false => types.iter().copied().collect::<Vec<_>>().join(" or "),
            };
            let rule = if way == Way::Request { "request-type-changed" } else { "answer-type-changed" };
            return self.breaks(rule, at, format!("was {} and is {}", words(&was), words(&is)));
        }
        self.format(way, at, old, new);
        self.words(way, at, old, new);
        if way == Way::Request {
            self.limits(at, old, new);
        }
        self.properties(way, at, old, new);
        for part in ["items", "additionalProperties"] {
            if old[part].is_object() && new[part].is_object() {
                self.schema(way, &format!("{at}[]"), &old[part], &new[part]);
            }
        }
    }

    fn format(&mut self, way: Way, at: &str, old: &Value, new: &Value) {
        let (was, is) = (old["format"].as_str(), new["format"].as_str());
        if was == is {
            return;
        }
        let text = format!("had {} and has {}", said(was), said(is));
        match (way, was, is) {
            (Way::Request, _, Some(_)) => self.breaks("request-format-changed", at, text),
            (Way::Answer, Some(_), _) => self.breaks("answer-format-changed", at, text),
            (Way::Answer, None, _) => self.warns("answer-format-added", at, text),
            (Way::Request, _, None) => {}
        }
    }

    fn words(&mut self, way: Way, at: &str, old: &Value, new: &Value) {
        let list = |schema: &Value| -> Option<BTreeSet<String>> {
            Some(schema["enum"].as_array()?.iter().filter(|word| !word.is_null()).map(Value::to_string).collect())
        };
        let join = |words: Vec<&String>| words.into_iter().map(String::as_str).collect::<Vec<_>>().join(", ");
        match (way, list(old), list(new)) {
            (Way::Request, Some(was), Some(is)) if !was.is_subset(&is) => {
                let text = format!("takes no {} any more", join(was.difference(&is).collect()));
                self.breaks("request-word-removed", at, text);
            }
            (Way::Request, None, Some(is)) => {
                self.breaks("request-words-only", at, format!("takes only {} now", join(is.iter().collect())));
            }
            (Way::Answer, Some(was), Some(is)) if !is.is_subset(&was) => {
                let text = format!("can be {} now", join(is.difference(&was).collect()));
                self.warns("answer-word-added", at, text);
            }
            (Way::Answer, Some(_), None) => self.warns("answer-word-added", at, "can be any text now"),
            _ => {}
        }
    }

    fn limits(&mut self, at: &str, old: &Value, new: &Value) {
        let bound = |schema: &Value, name: &str| schema[name].as_f64();
        for (names, raised) in [(LEAST, true), (MOST, false)] {
            for name in names {
                let narrower = match (bound(old, name), bound(new, name)) {
                    (Some(was), Some(is)) => {
                        if raised {
                            is > was
                        } else {
                            is < was
                        }
                    }
                    // That a count is not negative says nothing new.
                    (None, Some(is)) => !(raised && is <= 0.0),
                    _ => false,
                };
                if narrower {
                    let text = format!("{name} is {} and was {}", new[name], said_number(&old[name]));
                    self.breaks("request-limit-narrowed", at, text);
                }
            }
        }
        if new["pattern"].is_string() && old["pattern"] != new["pattern"] {
            self.breaks("request-pattern-changed", at, format!("must fit {} now", new["pattern"]));
        }
    }

    fn properties(&mut self, way: Way, at: &str, old: &'d Value, new: &'d Value) {
        let required = |schema: &Value, name: &str| {
            schema["required"].as_array().is_some_and(|names| names.iter().any(|one| one == name))
        };
        for (name, before) in object(&old["properties"]) {
            let at = format!("{at}.{name}");
            let Some(now) = new["properties"].get(name) else {
                match way {
                    Way::Request if new["additionalProperties"] == true => {}
                    Way::Request => self.breaks("request-property-removed", &at, "is not known any more"),
                    Way::Answer => self.breaks("answer-property-removed", &at, "is gone"),
                }
                continue;
            };
            if way == Way::Answer && required(old, name) && !required(new, name) {
                self.breaks("answer-property-optional", &at, "can be absent now");
            }
            if way == Way::Request && required(new, name) && !required(old, name) {
                self.breaks("request-property-required", &at, "is required now");
            }
            self.schema(way, &at, before, now);
        }
        if way == Way::Request {
            let known = |name: &str| old["properties"].get(name).is_some();
            for (name, _) in object(&new["properties"]).filter(|(name, _)| !known(name) && required(new, name)) {
                self.breaks("request-property-required", &format!("{at}.{name}"), "is new and required");
            }
        }
    }
}

/// The kinds of values that a schema allows, each followed to where it is written, and whether null is one.
struct Shape<'d> {
    kinds: Vec<&'d Value>,
    null: bool,
}

impl<'d> Shape<'d> {
    fn of(document: &'d Value, schema: &'d Value) -> Self {
        let schema = resolved(document, schema);
        let mut shape = Self { kinds: Vec::new(), null: false };
        let choices = schema["oneOf"].as_array().or_else(|| schema["anyOf"].as_array());
        match choices {
            None => {
                shape.null = schema["type"].as_array().is_some_and(|types| types.iter().any(|kind| kind == "null"));
                shape.kinds.push(schema);
            }
            Some(choices) => {
                for choice in choices {
                    if choice["type"] == "null" {
                        shape.null = true;
                        continue;
                    }
                    let inner = Self::of(document, choice);
                    shape.null |= inner.null;
                    shape.kinds.extend(inner.kinds);
                }
            }
        }
        shape
    }
}

/// The one word that tells a variant of a union from the others.
fn tag(schema: &Value) -> Option<String> {
    object(&schema["properties"]).find_map(|(name, property)| match property["enum"].as_array()?.as_slice() {
        [only] => Some(format!("{name} {only}")),
        _ => None,
    })
}

/// The types but null; none stands for any.
fn types(schema: &Value) -> BTreeSet<&str> {
    let one = schema["type"].as_str();
    let many = schema["type"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let stated: BTreeSet<&str> = one.into_iter().chain(many).filter(|kind| *kind != "null").collect();
    if stated.is_empty() && schema["properties"].is_object() { BTreeSet::from(["object"]) } else { stated }
}

/// Whether a value of this type is among those types; a whole number is a number.
fn accepts(types: &BTreeSet<&str>, kind: &str) -> bool {
    types.contains(kind) || (kind == "integer" && types.contains("number"))
}

fn said(format: Option<&str>) -> String {
    format.map_or_else(|| "no format".to_owned(), |format| format!("the format {format}"))
}

fn said_number(limit: &Value) -> String {
    if limit.is_null() { "not limited".to_owned() } else { limit.to_string() }
}
