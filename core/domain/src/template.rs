//! Text with places to fill, `{{name}}`: what the requests of an app's subscription are written in.

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

#[cfg(test)]
mod tests {
    use super::*;

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
