//! What an HMAC scheme of one's own signs: text with places for parts of the request, e.g. `{timestamp}.{body}`.

/// Longest template.
pub const SIGNED_TEXT_BYTES_MAX: usize = 256;

/// A part of a signed text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// As it stands there.
    Text(String),
    /// The body as it was sent.
    Body,
    /// The timestamp as its header has it.
    Timestamp,
    /// The delivery's id as its header has it.
    Id,
    /// The method in capitals.
    Method,
    /// The URL as the sender called it.
    Url,
}

/// Reads a template. `{body}` stands there exactly once.
///
/// # Errors
/// What is wrong with it.
pub fn parse(template: &str) -> Result<Vec<Piece>, String> {
    if template.len() > SIGNED_TEXT_BYTES_MAX {
        return Err(format!("is longer than {SIGNED_TEXT_BYTES_MAX} bytes"));
    }
    let mut pieces = Vec::new();
    let mut rest = template;
    while let Some(at) = rest.find(['{', '}']) {
        if at > 0 {
            pieces.push(Piece::Text(rest[..at].to_owned()));
        }
        let inner = rest[at..].strip_prefix('{').ok_or("has a } without its {")?;
        let (name, after) = inner.split_once('}').ok_or("has a { without its }")?;
        pieces.push(match name {
            "body" => Piece::Body,
            "timestamp" => Piece::Timestamp,
            "id" => Piece::Id,
            "method" => Piece::Method,
            "url" => Piece::Url,
            _ => return Err("knows {body}, {timestamp}, {id}, {method} and {url}".to_owned()),
        });
        rest = after;
    }
    if !rest.is_empty() {
        pieces.push(Piece::Text(rest.to_owned()));
    }
    match pieces.iter().filter(|piece| **piece == Piece::Body).count() {
        1 => Ok(pieces),
        _ => Err("must hold {body} once".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Property: a template is read into its parts in order, and what is not one is refused.
    #[test]
    fn reads_templates() {
        let text = |text: &str| Piece::Text(text.to_owned());
        assert_eq!(parse("{body}"), Ok(vec![Piece::Body]));
        assert_eq!(
            parse("v0:{timestamp}:{body}:{url}{method}{id}!"),
            Ok(vec![
                text("v0:"),
                Piece::Timestamp,
                text(":"),
                Piece::Body,
                text(":"),
                Piece::Url,
                Piece::Method,
                Piece::Id,
                text("!")
            ])
        );
        for bad in ["", "x", "{body}{body}", "{body", "body}", "{bodies}{body}", "{{body}}", &"x".repeat(300)] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
