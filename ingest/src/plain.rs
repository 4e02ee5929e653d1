//! The plain form of an event, `SendEvent` of the contract, read field by field so that its data stays the text it is.

use fastn_contract::error::Problem;

use crate::cloudevents::structured::checked;
use crate::draft::{self, ATTRIBUTE_BYTES_MAX, Draft};
use crate::fields::{Complaints, Fields};
use crate::problem::{cut, invalid};

/// The source of an event that names none.
const SOURCE_DEFAULT: &str = "api";

/// Reads one event. `prefix` names it in errors, e.g. `events[3].`.
///
/// # Errors
/// `VALIDATION_ERROR` with every part that is not valid, `PAYLOAD_TOO_LARGE`.
pub(crate) fn read(text: &str, prefix: String) -> Result<Draft, Problem> {
    match Fields::read(text) {
        Ok(fields) => from_fields(fields, prefix),
        Err(message) => {
            let mut complaints = Complaints::at(prefix);
            complaints.add("", format!("is no event: {message}"));
            Err(invalid(complaints.errors))
        }
    }
}

/// [`read`] of an object whose fields are known.
pub(crate) fn from_fields(mut fields: Fields<'_>, prefix: String) -> Result<Draft, Problem> {
    let mut complaints = Complaints::at(prefix);
    let mut text = |name| fields.take_text(name, &mut complaints);
    let (id, kind, source) = (text("id"), text("type"), text("source"));
    let (subject, time, priority) = (text("subject"), text("time"), text("priority"));
    let data = match fields.take("data") {
        Some(data) => checked(data, &mut complaints)?,
        None => "null".into(),
    };
    for (name, _) in &fields.0 {
        complaints.add(cut(name, 60), "is not known; an event has id, type, source, subject, time, priority and data");
    }
    let draft = Draft {
        id: draft::id(id, &mut complaints),
        kind: draft::kind(kind, &mut complaints),
        source: draft::optional("source", source, ATTRIBUTE_BYTES_MAX, &mut complaints)
            .unwrap_or_else(|| SOURCE_DEFAULT.to_owned()),
        subject: draft::optional("subject", subject, ATTRIBUTE_BYTES_MAX, &mut complaints),
        time: draft::time(time, &mut complaints),
        extensions: Vec::new(),
        priority: draft::priority("priority", priority, &mut complaints),
        data,
    };
    if complaints.errors.is_empty() { Ok(draft) } else { Err(invalid(complaints.errors)) }
}
