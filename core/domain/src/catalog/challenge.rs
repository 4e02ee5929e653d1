//! What a handshake must be to be usable.

use fastn_contract::verification::{Challenge, ChallengeAnswer, ChallengeIn};

use crate::path::Path;

/// Longest name of a parameter, of a field, and longest value that a handshake is known by.
const NAME_BYTES_MAX: usize = 256;

/// Complains about every part of `challenge` that is not valid; `path` is where it stands in the body.
pub(super) fn check(path: &str, challenge: Option<&Challenge>, complain: &mut impl FnMut(&str, String)) {
    let Some(challenge) = challenge else { return };
    let mut part = |name: &str, message: String| complain(&format!("{path}.{name}"), message);
    let mut place = |name: &str, text: &str| match challenge.place {
        _ if text.is_empty() => part(name, "name it".to_owned()),
        ChallengeIn::Query => check_name(name, text, &mut part),
        ChallengeIn::Body => {
            if let Err(error) = Path::parse(text) {
                part(name, error.to_string());
            }
        }
    };
    place("field", &challenge.field);
    if let Some(when) = &challenge.when {
        place("when.field", &when.field);
        check_name("when.value", &when.value, &mut part);
    }
    match (challenge.answer, &challenge.answer_field) {
        (ChallengeAnswer::Text, Some(_)) => part("answerField", "belongs to a JSON answer only".to_owned()),
        (ChallengeAnswer::Json, Some(field)) => check_name("answerField", field, &mut part),
        (_, None) => {}
    }
}

fn check_name(name: &str, text: &str, part: &mut impl FnMut(&str, String)) {
    if text.is_empty() || text.len() > NAME_BYTES_MAX || text.chars().any(char::is_control) {
        part(name, format!("must be 1 to {NAME_BYTES_MAX} bytes without control characters"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn paths(challenge: Value) -> Vec<String> {
        let challenge: Challenge = serde_json::from_value(challenge).unwrap();
        let mut paths = Vec::new();
        check("c", Some(&challenge), &mut |path, _| paths.push(path.to_owned()));
        paths
    }

    /// Property: what is documented is taken, and each part that is not usable is named.
    #[test]
    fn every_part() {
        for good in [
            json!({"in": "query", "field": "hub.challenge", "when": {"field": "hub.mode", "value": "subscribe"}}),
            json!({"in": "body", "field": "data.items[0]", "answer": "json", "answerField": "challenge_response"}),
            json!({"in": "body", "field": "challenge", "answer": "json"}),
        ] {
            assert_eq!(paths(good.clone()), Vec::<String>::new(), "{good}");
        }
        for (bad, path) in [
            (json!({"in": "query", "field": ""}), "c.field"),
            (json!({"in": "body", "field": "a..b"}), "c.field"),
            (json!({"in": "body", "field": "a", "when": {"field": "", "value": "x"}}), "c.when.field"),
            (json!({"in": "query", "field": "a", "when": {"field": "b", "value": ""}}), "c.when.value"),
            (json!({"in": "query", "field": "a", "answerField": "b"}), "c.answerField"),
            (json!({"in": "query", "field": "a", "answer": "json", "answerField": ""}), "c.answerField"),
        ] {
            assert_eq!(paths(bad.clone()), [path], "{bad}");
        }
    }
}
