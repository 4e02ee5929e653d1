//! The little of Markdown that the error pages use: headings, paragraphs, lists, code blocks, `code`.

/// A whole page around `text`.
pub(super) fn page(title: &str, text: &str) -> String {
    format!(
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content=\"width=device-width\">\
         <title>{title}</title><style>body{{font:16px/1.6 system-ui,sans-serif;max-width:44rem;margin:3rem auto;\
         padding:0 1rem;color:#1c1c28}}pre,code{{font-family:ui-monospace,monospace;background:#f2f2f7;\
         border-radius:4px}}code{{padding:.1em .3em}}pre{{padding:.8rem;overflow:auto}}a{{color:#5146c4}}</style>\
         {}<p><a href=\"/docs\">API reference</a></html>",
        body(text)
    )
}

fn body(text: &str) -> String {
    let mut html = String::new();
    let (mut paragraph, mut list, mut code) = (Vec::new(), false, false);
    for line in text.lines() {
        if line.starts_with("```") {
            flush(&mut html, &mut paragraph, &mut list);
            html.push_str(if code { "</pre>\n" } else { "<pre>" });
            code = !code;
        } else if code {
            html.push_str(&escaped(line));
            html.push('\n');
        } else if let Some((level, heading)) = heading(line) {
            flush(&mut html, &mut paragraph, &mut list);
            html.push_str(&format!("<h{level}>{}</h{level}>\n", inline(heading)));
        } else if let Some(item) = line.strip_prefix("- ") {
            if !list {
                flush(&mut html, &mut paragraph, &mut list);
                html.push_str("<ul>\n");
                list = true;
            }
            html.push_str(&format!("<li>{}\n", inline(item)));
        } else if line.trim().is_empty() {
            flush(&mut html, &mut paragraph, &mut list);
        } else if list {
            html.push_str(&inline(line.trim()));
            html.push('\n');
        } else {
            paragraph.push(line.trim());
        }
    }
    flush(&mut html, &mut paragraph, &mut list);
    html
}

fn flush(html: &mut String, paragraph: &mut Vec<&str>, list: &mut bool) {
    if std::mem::take(list) {
        html.push_str("</ul>\n");
    }
    if !paragraph.is_empty() {
        html.push_str(&format!("<p>{}</p>\n", inline(&paragraph.join(" "))));
        paragraph.clear();
    }
}

fn heading(line: &str) -> Option<(usize, &str)> {
    let level = line.bytes().take_while(|byte| *byte == b'#').count();
    (1..=3).contains(&level).then(|| line[level..].strip_prefix(' ').map(|text| (level, text)))?
}

fn inline(text: &str) -> String {
    let mut html = String::new();
    for (at, part) in text.split('`').enumerate() {
        let part = escaped(part);
        if at % 2 == 1 { html.push_str(&format!("<code>{part}</code>")) } else { html.push_str(&part) }
    }
    html
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    /// Property: what a page's text holds cannot become markup.
    #[test]
    fn text_stays_text() {
        let html = super::body("# A\n\ntwo `a<b` words\n- one\n- <b>\n\n```\n<x>\n```\n");
        assert_eq!(
            html,
            "<h1>A</h1>\n<p>two <code>a&lt;b</code> words</p>\n<ul>\n<li>one\n<li>&lt;b&gt;\n</ul>\n<pre>&lt;x&gt;\n</pre>\n"
        );
    }
}
