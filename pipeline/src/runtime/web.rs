//! The parts of the web platform that the prelude leaves to the host: URLs and form encoding, by the `url` crate.

use serde_json::json;
use url::{Url, form_urlencoded, quirks};

/// Answers one call of the prelude's URL classes. `None` means that the URL is not valid.
///
/// * `parse`: `first` is the URL, `second` its base or empty; gives the parts as a JSON object.
/// * `href`: `first` is the URL; gives it in its normal form.
/// * `set:<part>`: `first` is the URL, `second` the new value; gives the parts, unchanged if the value does not fit.
/// * `parseQuery`: `first` is a query without its question mark; gives the pairs as JSON.
/// * `formatQuery`: `first` is the pairs as JSON; gives the query.
pub(crate) fn url(verb: &str, first: &str, second: &str) -> Option<String> {
    match verb {
        "parse" if second.is_empty() => Some(parts(&Url::parse(first).ok()?)),
        "parse" => Some(parts(&Url::parse(second).ok()?.join(first).ok()?)),
        "href" => Some(Url::parse(first).ok()?.into()),
        "parseQuery" => {
            let pairs: Vec<_> = form_urlencoded::parse(first.as_bytes()).collect();
            serde_json::to_string(&pairs).ok()
        }
        "formatQuery" => {
            let pairs: Vec<(String, String)> = serde_json::from_str(first).ok()?;
            Some(form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish())
        }
        _ => {
            let mut url = Url::parse(first).ok()?;
            set(&mut url, verb.strip_prefix("set:")?, second);
            Some(parts(&url))
        }
    }
}

/// A value that does not fit its part leaves the URL as it was, as the standard says.
fn set(url: &mut Url, part: &str, value: &str) {
    let _ = match part {
        "href" => Url::parse(value).map(|new| *url = new).map_err(drop),
        "protocol" => quirks::set_protocol(url, value),
        "username" => quirks::set_username(url, value),
        "password" => quirks::set_password(url, value),
        "host" => quirks::set_host(url, value),
        "hostname" => quirks::set_hostname(url, value),
        "port" => quirks::set_port(url, value),
        _ => {
            match part {
                "pathname" => quirks::set_pathname(url, value),
                "search" => quirks::set_search(url, value),
                "hash" => quirks::set_hash(url, value),
                _ => url.set_query((!value.is_empty()).then_some(value)),
            }
            Ok(())
        }
    };
}

fn parts(url: &Url) -> String {
    json!({
        "href": quirks::href(url),
        "origin": quirks::origin(url),
        "protocol": quirks::protocol(url),
        "username": quirks::username(url),
        "password": quirks::password(url),
        "host": quirks::host(url),
        "hostname": quirks::hostname(url),
        "port": quirks::port(url),
        "pathname": quirks::pathname(url),
        "search": quirks::search(url),
        "hash": quirks::hash(url),
    })
    .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Property: relative URLs are resolved, invalid ones give nothing, and a port that does not fit is ignored.
    #[test]
    fn urls() {
        let joined = url("parse", "../c?x=1#h", "https://u:p@example.com:8443/a/b").unwrap();
        assert!(joined.contains(r#""href":"https://u:p@example.com:8443/c?x=1#h""#), "{joined}");
        assert_eq!(url("parse", "no url", ""), None);
        let kept = url("set:port", "https://example.com:8443/", "no port").unwrap();
        assert!(kept.contains(r#""port":"8443""#), "{kept}");
    }

    /// Property: form pairs survive encoding and decoding.
    #[test]
    fn queries() {
        let query = url("formatQuery", r#"[["a b","1&2"],["ü","+"]]"#, "").unwrap();
        assert_eq!(query, "a+b=1%262&%C3%BC=%2B");
        assert_eq!(url("parseQuery", &query, "").unwrap(), r#"[["a b","1&2"],["ü","+"]]"#);
    }
}
