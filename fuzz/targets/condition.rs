//! Conditions: read, compiled and evaluated. The first line is a condition, the rest the payload it looks at.
#![no_main]

use fastn_contract::condition::Condition;
use fastn_domain::condition::{Matcher, Subject};
use fastn_domain::event::Header;
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

fuzz_target!(|input: &str| {
    let (condition, data) = input.split_once('\n').unwrap_or((input, "null"));
    let Ok(condition) = serde_json::from_str::<Condition>(condition) else { return };
    let written = serde_json::to_string(&condition).expect("a condition is JSON");
    assert_eq!(serde_json::from_str::<Condition>(&written).expect("reads back"), condition);
    let Ok(matcher) = Matcher::compile(&condition) else { return };
    let data = serde_json::from_str(data).unwrap_or(Value::Null);
    let headers = [Header { name: "x-a".to_owned(), value: "b".to_owned() }];
    let subject = Subject { kind: "t", source: "s", subject: None, headers: &headers, data: &data };
    let holds = matcher.matches(&subject);
    let not = Matcher::compile(&Condition::Not { not: Box::new(condition) });
    if let Ok(not) = not {
        assert_ne!(not.matches(&subject), holds, "not is the contrary");
    }
});
