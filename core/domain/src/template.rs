//! Text with places to fill, `{{name}}`: what the requests of subscriptions and polls are written in.

use std::collections::BTreeMap;

use serde_json::Value;

/// Longest template.
pub const TEMPLATE_BYTES_MAX: usize = 16 * 1024;

/// The places that a subscription's requests may have, beside `secret.<NAME>`.
const PLACES: [&str; 7] = ["app", "event", "accountId", "customer", "trigger", "webhookUrl", "subscriptionId"];

/// The first place that is not known, or what else is wrong.
///
/// # Errors
/// For people.
pub fn check(template: &str) -> Result<(), String> {
    if template.len() > TEMPLATE_BYTES_MAX {
        return Err(format!("is longer than {TEMPLATE_BYTES_MAX} bytes"));
    }
    let known =
        |name: &str| PLACES.contains(&name) || name.strip_prefix("secret.").is_some_and(|name| !name.is_empty());
    fill(template, |name| match known(name) {
        true => Ok(String::new()),
        false => Err(format!("knows no {{{{{name}}}}}; there are {} and secret.NAME", PLACES.join(", "))),
    })
    .map(drop)
}

/// `template` with each place filled by `value`.
///
/// # Errors
/// The first that `value` gives, or a `{{` without its `}}`.
pub fn fill(template: &str, value: impl Fn(&str) -> Result<String, String>) -> Result<String, String> {
    let (mut out, mut rest) = (String::with_capacity(template.len()), template);
    while let Some((before, after)) = rest.split_once("{{") {
        let (name, tail) = after.split_once("}}").ok_or("has a {{ without its }}")?;
        out.push_str(before);
        out.push_str(&value(name.trim())?);
        rest = tail;
    }
    out.push_str(rest);
    Ok(out)
}

/// `value` with each place in each of its texts filled; names of fields stay as they are.
///
/// # Errors
/// As [`fill`].
pub fn fill_json(value: &Value, place: &impl Fn(&str) -> Result<String, String>) -> Result<Value, String> {
    Ok(match value {
        Value::String(text) => Value::String(fill(text, place)?),
        Value::Array(items) => Value::Array(items.iter().map(|item| fill_json(item, place)).collect::<Result<_, _>>()?),
        Value::Object(fields) => {
            let field = |(name, value): (&String, &Value)| Ok((name.clone(), fill_json(value, place)?));
            Value::Object(fields.iter().map(field).collect::<Result<_, String>>()?)
        }
        other => other.clone(),
    })
}

/// Names and values of headers.
pub type Headers = Vec<(String, String)>;

/// The headers and the body of a request. A body that is a text is sent as it is, any other as JSON, of which a header tells
/// unless the template has one.
///
/// # Errors
/// As [`fill`].
pub fn fill_request(
    headers: &BTreeMap<String, String>,
    body: Option<&Value>,
    place: &impl Fn(&str) -> Result<String, String>,
) -> Result<(Headers, Option<String>), String> {
    let mut filled = Headers::with_capacity(headers.len() + 2);
    for (name, value) in headers {
        filled.push((name.clone(), fill(value, place)?));
    }
    let body = match body {
        None => None,
        Some(Value::String(text)) => Some(fill(text, place)?),
        Some(json) => {
            if !filled.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type")) {
                filled.push(("content-type".to_owned(), "application/json".to_owned()));
            }
            Some(fill_json(json, place)?.to_string())
        }
    };
    Ok((filled, body))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// Property: texts at any depth are filled, and a JSON body says what it is unless the template does.
    #[test]
    fn fills_requests() {
        let value = |name: &str| Ok(name.to_uppercase());
        let body = json!({"{{a}}": [{"b": "{{c}}", "n": 1}]});
        let (headers, sent) = fill_request(&BTreeMap::new(), Some(&body), &value).unwrap();
        assert_eq!(headers, [("content-type".to_owned(), "application/json".to_owned())]);
        assert_eq!(sent.unwrap(), r#"{"{{a}}":[{"b":"C","n":1}]}"#);
        let own = BTreeMap::from([("Content-Type".to_owned(), "text/{{x}}".to_owned())]);
        let (headers, sent) = fill_request(&own, Some(&json!("{{y}}")), &value).unwrap();
        assert_eq!((headers, sent.as_deref()), (vec![("Content-Type".to_owned(), "text/X".to_owned())], Some("Y")));
    }

    /// Property: every place is filled once, what is filled in is not read again, and unknown places are refused.
    #[test]
    fn fills_places() {
        let value = |name: &str| Ok(format!("<{name}{{{{event}}}}>"));
        assert_eq!(fill("a {{ app }} b {{secret.K}}", value).unwrap(), "a <app{{event}}> b <secret.K{{event}}>");
        assert_eq!(fill("{\"query\": \"{ x { y } }\"}", value).unwrap(), "{\"query\": \"{ x { y } }\"}");
        assert!(check("{{event}} {{secret.API_KEY}} {{webhookUrl}}").is_ok());
        for bad in ["{{events}}", "{{secret.}}", "{{event", &"x".repeat(TEMPLATE_BYTES_MAX + 1)] {
            assert!(check(bad).is_err(), "{bad}");
        }
    }
}
