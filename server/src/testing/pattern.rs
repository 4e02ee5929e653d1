//! Patterns of URLs: `*` stands for anything but a slash, `**` for anything, also nothing.

/// Whether `url` is one of `pattern`. A pattern without a query takes URLs with any.
pub(crate) fn matches(pattern: &str, url: &str) -> bool {
    let url = url.split('#').next().unwrap_or(url);
    let url = if pattern.contains('?') { url } else { url.split('?').next().unwrap_or(url) };
    let (pattern, url) = (pattern.as_bytes(), url.as_bytes());
    // `https://a.example` is `https://a.example/`, which is how a URL is written when it is parsed.
    glob(pattern, url)
        || url.strip_suffix(b"/").is_some_and(|url| url.ends_with(authority_end(url)) && glob(pattern, url))
}

/// All of a URL that has no path, nothing of any other.
fn authority_end(url: &[u8]) -> &[u8] {
    let slashes = url.iter().filter(|byte| **byte == b'/').count();
    if slashes == 2 { url } else { b"/" }
}

/// Greedy, going back to the last wildcard: no more than pattern times text steps for each kind of wildcard.
fn glob(pattern: &[u8], text: &[u8]) -> bool {
    let (width, height) = (text.len() + 1, pattern.len() + 1);
    // Whether the pattern read so far takes each beginning of the text.
    let mut takes = vec![false; width];
    takes[0] = true;
    let mut at = 0;
    while at + 1 < height {
        let star = pattern[at] == b'*';
        let double = star && pattern.get(at + 1) == Some(&b'*');
        if star {
            for to in 1..width {
                takes[to] |= takes[to - 1] && (double || text[to - 1] != b'/');
            }
        } else {
            for to in (1..width).rev() {
                takes[to] = takes[to - 1] && text[to - 1] == pattern[at];
            }
            takes[0] = false;
        }
        at += if double { 2 } else { 1 };
    }
    takes[width - 1]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Property: a star stays within its part of the path, two go over all, and a query counts only where it is asked for.
    #[test]
    fn patterns_take_what_they_say() {
        for (pattern, url, takes) in [
            ("https://a.example/x", "https://a.example/x", true),
            ("https://a.example/x", "https://a.example/x?q=1#f", true),
            ("https://a.example/x?q=1", "https://a.example/x?q=2", false),
            ("https://a.example/x?q=*", "https://a.example/x?q=2", true),
            ("https://a.example/*", "https://a.example/x", true),
            ("https://a.example/*", "https://a.example/x/y", false),
            ("https://a.example/**", "https://a.example/x/y", true),
            ("https://*.example/*/c", "https://a.example/b/c", true),
            ("**/c", "https://a.example/b/c", true),
            ("**", "https://a.example/", true),
            ("https://a.example", "https://a.example/", true),
            ("https://a.example/x", "https://a.example/x/", false),
            ("https://a.example/*b*", "https://a.example/abcb", true),
            ("", "https://a.example/", false),
        ] {
            assert_eq!(matches(pattern, url), takes, "{pattern} {url}");
        }
    }
}
