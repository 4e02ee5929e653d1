//! Conditions compiled once and evaluated on events.

use fastn_contract::condition::{Comparison, Condition, Operator};
use serde_json::Value;

use crate::event::Header;
use crate::path::{Path, PathError};

/// Deepest nesting of `all`, `any` and `not`.
pub const CONDITION_DEPTH_MAX: usize = 16;
/// Most comparisons in one condition.
pub const CONDITION_COMPARISONS_MAX: usize = 256;

/// What a condition reads.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'e> {
    /// CloudEvents `type`.
    pub kind: &'e str,
    /// CloudEvents `source`.
    pub source: &'e str,
    /// CloudEvents `subject`.
    pub subject: Option<&'e str>,
    /// Headers, names in lower case.
    pub headers: &'e [Header],
    /// The payload.
    pub data: &'e Value,
}

/// A condition that was checked and whose paths are parsed.
#[derive(Clone, Debug, PartialEq)]
pub struct Matcher {
    node: Node,
}

#[derive(Clone, Debug, PartialEq)]
enum Node {
    All(Vec<Node>),
    Any(Vec<Node>),
    Not(Box<Node>),
    Compare { left: Left, op: Operator, right: Value },
}

#[derive(Clone, Debug, PartialEq)]
enum Left {
    Data(Path),
    Kind,
    Source,
    Subject,
    Header(String),
}

/// Why a condition is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConditionError {
    /// A path does not parse.
    #[error(transparent)]
    Path(#[from] PathError),
    /// An attribute that does not exist.
    #[error("path {0:?} names no attribute; there are $type, $source, $subject and $headers.<name>")]
    Attribute(String),
    /// `in` without an array.
    #[error("`in` at path {0:?} needs an array as its value")]
    InWithoutArray(String),
    /// `exists` with something else than a boolean.
    #[error("`exists` at path {0:?} takes true, false or no value")]
    ExistsValue(String),
    /// Nested too deep.
    #[error("a condition nests at most {CONDITION_DEPTH_MAX} levels")]
    TooDeep,
    /// Too many comparisons.
    #[error("a condition has at most {CONDITION_COMPARISONS_MAX} comparisons")]
    TooMany,
}

impl Matcher {
    /// Checks `condition` and parses its paths.
    pub fn compile(condition: &Condition) -> Result<Self, ConditionError> {
        let mut comparisons_left = CONDITION_COMPARISONS_MAX;
        Ok(Self { node: compile(condition, CONDITION_DEPTH_MAX, &mut comparisons_left)? })
    }

    /// Whether it holds for `subject`.
    pub fn matches(&self, subject: &Subject<'_>) -> bool {
        self.node.holds(subject)
    }
}

fn compile(condition: &Condition, depth_left: usize, comparisons_left: &mut usize) -> Result<Node, ConditionError> {
    let depth_left = depth_left.checked_sub(1).ok_or(ConditionError::TooDeep)?;
    let mut list = |parts: &[Condition]| -> Result<Vec<Node>, ConditionError> {
        parts.iter().map(|part| compile(part, depth_left, comparisons_left)).collect()
    };
    Ok(match condition {
        Condition::All { all } => Node::All(list(all)?),
        Condition::Any { any } => Node::Any(list(any)?),
        Condition::Not { not } => Node::Not(Box::new(compile(not, depth_left, comparisons_left)?)),
        Condition::Compare(comparison) => {
            *comparisons_left = comparisons_left.checked_sub(1).ok_or(ConditionError::TooMany)?;
            compile_comparison(comparison)?
        }
    })
}

fn compile_comparison(comparison: &Comparison) -> Result<Node, ConditionError> {
    let path = &comparison.path;
    match comparison.op {
        Operator::In if !comparison.value.is_array() => return Err(ConditionError::InWithoutArray(path.clone())),
        Operator::Exists if !(comparison.value.is_boolean() || comparison.value.is_null()) => {
            return Err(ConditionError::ExistsValue(path.clone()));
        }
        _ => {}
    }
    let left = match path.strip_prefix('$') {
        None => Left::Data(Path::parse(path)?),
        Some("type") => Left::Kind,
        Some("source") => Left::Source,
        Some("subject") => Left::Subject,
        Some(attribute) => match attribute.strip_prefix("headers.") {
            Some(name) if !name.is_empty() => Left::Header(name.to_ascii_lowercase()),
            _ => return Err(ConditionError::Attribute(path.clone())),
        },
    };
    Ok(Node::Compare { left, op: comparison.op, right: comparison.value.clone() })
}

impl Node {
    fn holds(&self, subject: &Subject<'_>) -> bool {
        match self {
            Node::All(parts) => parts.iter().all(|part| part.holds(subject)),
            Node::Any(parts) => parts.iter().any(|part| part.holds(subject)),
            Node::Not(part) => !part.holds(subject),
            Node::Compare { left, op, right } => match left {
                Left::Data(path) => compare(path.find(subject.data), *op, right),
                Left::Kind => compare_text(Some(subject.kind), *op, right),
                Left::Source => compare_text(Some(subject.source), *op, right),
                Left::Subject => compare_text(subject.subject, *op, right),
                Left::Header(name) => {
                    let header = subject.headers.iter().find(|header| header.name == *name);
                    compare_text(header.map(|header| header.value.as_str()), *op, right)
                }
            },
        }
    }
}

fn compare_text(left: Option<&str>, op: Operator, right: &Value) -> bool {
    compare(left.map(Value::from).as_ref(), op, right)
}

fn compare(left: Option<&Value>, op: Operator, right: &Value) -> bool {
    match op {
        Operator::Eq => left.is_some_and(|left| same(left, right)),
        Operator::Neq => !left.is_some_and(|left| same(left, right)),
        Operator::Gt => left.is_some_and(|left| order(left, right) == Some(std::cmp::Ordering::Greater)),
        Operator::Lt => left.is_some_and(|left| order(left, right) == Some(std::cmp::Ordering::Less)),
        Operator::In => left.is_some_and(|left| {
            right.as_array().is_some_and(|options| options.iter().any(|option| same(left, option)))
        }),
        Operator::Contains => match left {
            Some(Value::String(text)) => right.as_str().is_some_and(|part| text.contains(part)),
            Some(Value::Array(items)) => items.iter().any(|item| same(item, right)),
            _ => false,
        },
        Operator::Exists => left.is_some_and(|left| !left.is_null()) == right.as_bool().unwrap_or(true),
    }
}

/// Equality of JSON values in which 1 and 1.0 are the same number.
fn same(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Number(_), Value::Number(_)) => order(left, right) == Some(std::cmp::Ordering::Equal),
        _ => left == right,
    }
}

fn order(left: &Value, right: &Value) -> Option<std::cmp::Ordering> {
    match (left, right) {
        (Value::Number(left), Value::Number(right)) => match (left.as_i64(), right.as_i64()) {
            (Some(left), Some(right)) => Some(left.cmp(&right)),
            _ => left.as_f64()?.partial_cmp(&right.as_f64()?),
        },
        (Value::String(left), Value::String(right)) => Some(left.cmp(right)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn holds(condition: Value, data: &Value) -> bool {
        let condition: Condition = serde_json::from_value(condition).unwrap();
        let headers = [Header { name: "x-github-event".into(), value: "issues".into() }];
        let subject = Subject { kind: "order.created", source: "shop", subject: None, headers: &headers, data };
        Matcher::compile(&condition).unwrap().matches(&subject)
    }

    /// Property: each operator of the inventory holds exactly where its definition says.
    #[test]
    fn every_operator() {
        let data = json!({"n": 5, "big": 9007199254740993i64, "s": "order", "list": [1, "two"], "nothing": null});
        for (condition, expected) in [
            (json!({"path": "n", "op": "eq", "value": 5.0}), true),
            (json!({"path": "n", "op": "eq", "value": "5"}), false),
            (json!({"path": "big", "op": "eq", "value": 9007199254740992i64}), false),
            (json!({"path": "absent", "op": "neq", "value": 1}), true),
            (json!({"path": "n", "op": "neq", "value": 5}), false),
            (json!({"path": "n", "op": "gt", "value": 4}), true),
            (json!({"path": "n", "op": "gt", "value": 5}), false),
            (json!({"path": "n", "op": "gt", "value": "4"}), false),
            (json!({"path": "s", "op": "lt", "value": "p"}), true),
            (json!({"path": "n", "op": "in", "value": [1, 5]}), true),
            (json!({"path": "n", "op": "in", "value": []}), false),
            (json!({"path": "s", "op": "contains", "value": "rde"}), true),
            (json!({"path": "list", "op": "contains", "value": "two"}), true),
            (json!({"path": "n", "op": "contains", "value": 5}), false),
            (json!({"path": "nothing", "op": "exists"}), false),
            (json!({"path": "nothing", "op": "exists", "value": false}), true),
            (json!({"path": "list[1]", "op": "exists"}), true),
            (json!({"path": "$type", "op": "eq", "value": "order.created"}), true),
            (json!({"path": "$subject", "op": "exists"}), false),
            (json!({"path": "$headers.X-GitHub-Event", "op": "in", "value": ["issues"]}), true),
        ] {
            assert_eq!(holds(condition.clone(), &data), expected, "{condition}");
        }
    }

    /// Property: all, any and not combine as in logic, empty lists included.
    #[test]
    fn combinations() {
        let yes = json!({"path": "n", "op": "eq", "value": 1});
        let no = json!({"path": "n", "op": "eq", "value": 2});
        let data = json!({"n": 1});
        assert!(holds(json!({"all": []}), &data));
        assert!(!holds(json!({"any": []}), &data));
        assert!(!holds(json!({"all": [yes, no]}), &data));
        assert!(holds(json!({"any": [no, {"not": no}]}), &data));
    }

    /// Property: conditions that could not be evaluated, or would cost without bound, are refused.
    #[test]
    fn refuses_what_it_cannot_evaluate() {
        let compile = |condition: Value| Matcher::compile(&serde_json::from_value(condition).unwrap());
        assert!(compile(json!({"path": "a..b", "op": "eq", "value": 1})).is_err());
        assert!(compile(json!({"path": "$nope", "op": "exists"})).is_err());
        assert!(compile(json!({"path": "a", "op": "in", "value": 1})).is_err());
        let mut deep = json!({"path": "a", "op": "exists"});
        for _ in 0..CONDITION_DEPTH_MAX {
            deep = json!({"not": deep});
        }
        assert_eq!(compile(deep), Err(ConditionError::TooDeep));
    }
}
