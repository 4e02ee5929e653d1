//! Conditions on an event: what a route, a `waitForEvent` or a replay filter matches.

use serde::{Deserialize, Serialize};

/// A comparison of one value of the event with a constant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Operator {
    /// Equal, by JSON type and value.
    Eq,
    /// Not equal; a missing value is not equal to anything.
    Neq,
    /// Greater: two numbers, or two texts in code-point order.
    Gt,
    /// Less: two numbers, or two texts in code-point order.
    Lt,
    /// Is one of the elements of the given array.
    In,
    /// A text contains the given text, or an array the given element.
    Contains,
    /// Present and not null (`value` true or absent), or the contrary (`value` false).
    Exists,
}

/// A condition: one comparison, or a combination.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(untagged)]
pub enum Condition {
    /// All of them hold. An empty list holds.
    All {
        /// The parts.
        #[cfg_attr(feature = "openapi", schema(no_recursion))]
        all: Vec<Condition>,
    },
    /// At least one of them holds. An empty list does not.
    Any {
        /// The parts.
        #[cfg_attr(feature = "openapi", schema(no_recursion))]
        any: Vec<Condition>,
    },
    /// The part does not hold.
    Not {
        /// The part.
        #[cfg_attr(feature = "openapi", schema(no_recursion))]
        not: Box<Condition>,
    },
    /// One comparison.
    Compare(Comparison),
}

/// One comparison of a condition.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Comparison {
    /// A dotted and indexed path into the payload, e.g. `data.items[0].id`. `$type`, `$source`, `$subject` and
    /// `$headers.<name>` read the event's attributes instead.
    pub path: String,
    /// How to compare.
    pub op: Operator,
    /// With what.
    #[serde(default, skip_serializing_if = "serde_json::Value::is_null")]
    pub value: serde_json::Value,
}
