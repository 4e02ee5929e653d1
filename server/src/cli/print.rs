//! Tables for people, JSON for programs.

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
        println!("nothing here");
        return Ok(());
    }
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic).set_header(head.to_vec());
    for item in items {
        table.add_row(cells(item));
    }
    println!("{table}");
    Ok(())
}

/// Prints JSON.
pub(crate) fn value<T: Serialize + ?Sized>(value: &T) -> anyhow::Result<()> {
    println!("{}", serde_json::to_string_pretty(value)?);
    Ok(())
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
