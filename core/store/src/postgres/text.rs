//! What PostgreSQL's texts can't hold.

use std::borrow::Cow;

/// PostgreSQL refuses the character NUL in a text. JSON escapes it, but a CloudEvents attribute may hold it, and one such
/// event must not stop the projector: it is shown as the replacement character.
pub(super) fn clean(text: &str) -> Cow<'_, str> {
    if text.as_bytes().contains(&0) { Cow::Owned(text.replace('\0', "\u{fffd}")) } else { Cow::Borrowed(text) }
}
