//! The header `Link` (RFC 8288), as far as the next page is concerned.

/// The target of the first link whose relation is `next`, as it is written: it may be relative.
pub fn next_link(header: &str) -> Option<&str> {
    let mut rest = header;
    while let Some((_, after)) = rest.split_once('<') {
        let (target, after) = after.split_once('>')?;
        let end = end_of_parameters(after);
        let next = parameters(&after[..end]).any(|(name, value)| {
            name.eq_ignore_ascii_case("rel")
                && value.split_ascii_whitespace().any(|rel| rel.eq_ignore_ascii_case("next"))
        });
        if next {
            return Some(target.trim());
        }
        rest = &after[end..];
    }
    None
}

/// Where the comma is that ends a link: one that is not in quotes.
fn end_of_parameters(text: &str) -> usize {
    let mut quoted = false;
    for (at, letter) in text.char_indices() {
        match letter {
            '"' => quoted = !quoted,
            ',' if !quoted => return at,
            _ => {}
        }
    }
    text.len()
}

fn parameters(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.split(';').filter_map(|part| {
        let (name, value) = part.split_once('=')?;
        Some((name.trim(), value.trim().trim_matches('"')))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Property: the next page is found wherever it stands, and nothing else is taken for it.
    #[test]
    fn finds_the_next_page() {
        let github =
            r#"<https://api.example.com/r?page=1>; rel="prev", <https://api.example.com/r?page=3>; rel="next""#;
        assert_eq!(next_link(github), Some("https://api.example.com/r?page=3"));
        assert_eq!(next_link("</r?a=1,2>; title=\"a, b\"; rel=\"last next\""), Some("/r?a=1,2"));
        assert_eq!(next_link("<a>; rel=nextish, <b>; REL=Next"), Some("b"));
        for none in ["", "<a", "<a>; rel=prev", "a; rel=next", "<a>; rev=next"] {
            assert_eq!(next_link(none), None, "{none}");
        }
    }

    proptest::proptest! {
        /// Property: no text makes the parser panic.
        #[test]
        fn any_text_is_read(text in "[<>;,=\" a-z\u{e4}]{0,60}") {
            let _ = next_link(&text);
        }
    }
}
