//! Tables for people, JSON for programs. What came from outside (payloads, errors, log lines of workflows) reaches a
//! terminal without control characters.

use std::io::Write as _;

use comfy_table::{ContentArrangement, Table, presets};
use serde::Serialize;

/// Prints rows as a table, or as one JSON array.
pub(crate) fn rows<T: Serialize>(
    json: bool,
    items: &[T],
    head: &[&str],
    cells: impl Fn(&T) -> Vec<String>,
) -> anyhow::Result<()> {
    if json {
        return value(items);
    }
    if items.is_empty() {
        return line("nothing here");
    }
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic).set_header(head.to_vec());
    for item in items {
        table.add_row(cells(item).iter().map(|cell| plain(cell)));
    }
    line(table)
}

/// Prints JSON.
pub(crate) fn value<T: Serialize + ?Sized>(value: &T) -> anyhow::Result<()> {
    line(serde_json::to_string_pretty(value)?)
}

/// Prints a line. A reader that has gone (`fastn … | head`) is an error like any other, where `println!` panics.
pub(crate) fn line(text: impl std::fmt::Display) -> anyhow::Result<()> {
    Ok(writeln!(std::io::stdout().lock(), "{text}")?)
}

/// Text that does nothing to a terminal: control characters stand as `\u{1b}`.
pub(crate) fn plain(text: &str) -> String {
    let escaped = |c: char| if c.is_control() { c.escape_default().to_string() } else { c.to_string() };
    text.chars().map(escaped).collect()
}

/// The wire's own word for an enum, e.g. `completed`.
pub(crate) fn word(value: &impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word,
        Ok(other) => other.to_string(),
        Err(_) => String::new(),
    }
}

/// A value in one line, cut.
pub(crate) fn short(value: &serde_json::Value, chars_max: usize) -> String {
    let text = value.to_string();
    match text.char_indices().nth(chars_max) {
        Some((cut, _)) => format!("{}…", &text[..cut]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    /// Property: no control character of a text reaches the terminal; every other character does as it is.
    #[test]
    fn plain_text_does_nothing_to_a_terminal() {
        assert_eq!(super::plain("\u{1b}[31mrot\u{9b}2J\nß✓"), "\\u{1b}[31mrot\\u{9b}2J\\nß✓");
    }
}
