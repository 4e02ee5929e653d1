//! No body, however odd, makes a parser of the API fail. The fuzz targets look at the same parsers for longer.

use fastn_contract::command::{Decision, ReplayExecution, RunWorkflow, SendEvent};
use fastn_contract::condition::Condition;
use fastn_contract::resource::{Trigger, Workflow};
use fastn_domain::catalog::compile_trigger;
use fastn_domain::condition::{Matcher, Subject};
use proptest::prelude::*;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Names that the bodies have, so that many of them nearly fit.
const NAMES: [&str; 24] = [
    "id",
    "type",
    "source",
    "routes",
    "workflow",
    "filter",
    "path",
    "op",
    "value",
    "all",
    "any",
    "not",
    "types",
    "verification",
    "scheme",
    "secret",
    "headers",
    "mode",
    "maxAttempts",
    "input",
    "environment",
    "data",
    "status",
    "tier",
];
const TEXTS: [&str; 18] = [
    "a",
    "a.b[0]",
    "a..b",
    "$type",
    "$headers.x",
    "eq",
    "in",
    "gt",
    "contains",
    "exists",
    "webhook",
    "event",
    "github",
    "accessKey",
    "order.*",
    "sequential",
    "instant",
    "",
];

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        proptest::sample::select(&TEXTS[..]).prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 40, 6, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::vec((proptest::sample::select(&NAMES[..]), inner), 0..6)
                .prop_map(|fields| fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()),
        ]
    })
}

/// What reads must be the same when it is written and read again.
fn reads_back<T: DeserializeOwned + Serialize>(body: &str) -> Option<T> {
    let value: T = serde_json::from_str(body).ok()?;
    let written = serde_json::to_string(&value).unwrap();
    let again: T = serde_json::from_str(&written).unwrap();
    assert_eq!(serde_json::to_string(&again).unwrap(), written);
    Some(value)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    /// Property: every body either is refused or reads back the same, and a trigger that reads compiles or says why not.
    #[test]
    fn bodies_read_back(body in any_json().prop_map(|body| body.to_string())) {
        reads_back::<SendEvent>(&body);
        reads_back::<RunWorkflow>(&body);
        reads_back::<ReplayExecution>(&body);
        reads_back::<Decision>(&body);
        reads_back::<Workflow>(&body);
        if let Some(trigger) = reads_back::<Trigger>(&body) {
            let routes = trigger.routes.len();
            match compile_trigger(trigger) {
                Ok(compiled) => prop_assert_eq!(compiled.routes.len(), routes),
                Err(errors) => prop_assert!(!errors.is_empty()),
            }
        }
    }

    /// Property: a condition that compiles gives an answer for any payload, and its contrary the contrary one.
    #[test]
    fn conditions_have_a_contrary(
        path in proptest::sample::select(&TEXTS[..]),
        op in proptest::sample::select(&["eq", "neq", "gt", "lt", "in", "contains", "exists"][..]),
        value in any_json(),
        data in any_json(),
    ) {
        let condition: Condition = serde_json::from_value(serde_json::json!({"path": path, "op": op, "value": value})).unwrap();
        let Ok(matcher) = Matcher::compile(&condition) else { return Ok(()) };
        let contrary = Matcher::compile(&Condition::Not { not: Box::new(condition) }).unwrap();
        let subject = Subject { kind: "a", source: "s", subject: None, headers: &[], data: &data };
        prop_assert_ne!(matcher.matches(&subject), contrary.matches(&subject));
    }
}
