//! Cursors of lists: where a page ended, in a form that nobody has a reason to make by hand.
//!
//! A cursor is base64url of a version, the list's name hashed together with the values, and the values. The checksum
//! catches cursors of another list, cut ones and made-up ones; it protects nothing, since every read is bound to its reach.

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::seam::{Outcome, StoreError, StoreErrorKind, StoreResult};

/// Grows when the values of cursors change their meaning.
const VERSION: u8 = 1;
const CHECKSUM_BYTES: usize = 6;
/// Longest cursor that is looked at.
const CURSOR_CHARS_MAX: usize = 1_024;

/// A place in a list ordered by time and then by number, newest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TimeCursor {
    pub(crate) at: i64,
    pub(crate) seq: i64,
}

impl TimeCursor {
    pub(crate) fn encode(self, list: &str) -> String {
        let mut values = [0u8; 16];
        values[..8].copy_from_slice(&self.at.to_be_bytes());
        values[8..].copy_from_slice(&self.seq.to_be_bytes());
        seal(list, &values)
    }

    pub(crate) fn decode(list: &'static str, text: &str) -> StoreResult<Self> {
        let values = unseal(list, text)?;
        let values: [u8; 16] = values.try_into().map_err(|_| bad(list))?;
        let (at, seq) = values.split_at(8);
        let number = |bytes: &[u8]| bytes.try_into().map(i64::from_be_bytes).map_err(|_| bad(list));
        Ok(Self { at: number(at)?, seq: number(seq)? })
    }
}

/// A place in a list ordered by id.
pub(crate) fn encode_id(list: &str, id: &str) -> String {
    seal(list, id.as_bytes())
}

/// The inverse of [`encode_id`].
pub(crate) fn decode_id(list: &'static str, text: &str) -> StoreResult<String> {
    String::from_utf8(unseal(list, text)?).map_err(|_| bad(list))
}

fn seal(list: &str, values: &[u8]) -> String {
    let mut bytes = Vec::with_capacity(1 + CHECKSUM_BYTES + values.len());
    bytes.push(VERSION);
    bytes.extend_from_slice(&checksum(list, values));
    bytes.extend_from_slice(values);
    URL_SAFE_NO_PAD.encode(bytes)
}

fn unseal(list: &'static str, text: &str) -> StoreResult<Vec<u8>> {
    if text.len() > CURSOR_CHARS_MAX {
        return Err(bad(list));
    }
    let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| bad(list))?;
    let (head, values) = bytes.split_at_checked(1 + CHECKSUM_BYTES).ok_or_else(|| bad(list))?;
    if head[0] != VERSION || head[1..] != checksum(list, values) {
        return Err(bad(list));
    }
    Ok(values.to_vec())
}

fn checksum(list: &str, values: &[u8]) -> [u8; CHECKSUM_BYTES] {
    let mut hash = digest::Context::new(&digest::SHA256);
    hash.update(&[VERSION]);
    hash.update(&(list.len() as u64).to_be_bytes());
    hash.update(list.as_bytes());
    hash.update(values);
    let mut sum = [0; CHECKSUM_BYTES];
    sum.copy_from_slice(&hash.finish().as_ref()[..CHECKSUM_BYTES]);
    sum
}

fn bad(list: &'static str) -> StoreError {
    StoreError {
        kind: StoreErrorKind::BadCursor,
        outcome: Outcome::NotDone,
        operation: "read the cursor of",
        context: list.to_owned(),
        message: "it was not made by this list; start again without a cursor".to_owned(),
        source: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Property: a cursor reads back in its own list and nowhere else, and no changed, cut or made-up text is taken.
    #[test]
    fn only_own_cursors_are_taken() {
        let cursor = TimeCursor { at: -5, seq: i64::MAX };
        let text = cursor.encode("events");
        assert_eq!(TimeCursor::decode("events", &text).ok(), Some(cursor));
        assert!(TimeCursor::decode("executions", &text).is_err());
        for at in 0..text.len() {
            let mut changed = text.clone().into_bytes();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap();
            let read = TimeCursor::decode("events", &changed).ok();
            // The last character carries bits that are no part of the value; base64 refuses or ignores them.
            assert!(read.is_none() || read == Some(cursor) && at + 1 == text.len(), "{changed}");
            assert!(TimeCursor::decode("events", &text[..at]).is_err());
        }
        for made_up in ["", "AQ", "!!!", "eyJhIjoxfQ", &"A".repeat(4_000)] {
            assert!(TimeCursor::decode("events", made_up).is_err(), "{made_up}");
        }
        assert_eq!(decode_id("x", &encode_id("x", "a/ä")).ok().as_deref(), Some("a/ä"));
    }
}
