//! What a record's header holds, as bytes.
//!
//! ```text
//! version u8 │ key id's length u8 │ key id │ kind u8 │ of what │ nonce 12 │ ciphertext │ tag 16
//! ```
//!
//! Kind 0 is the whole value of the record. Of an `Admitted` record, kind 1 is one execution, by its id (16 bytes), and kind
//! 2 what is told of one event, by its offset (8 bytes); both as JSON.

use bytes::Bytes;
use fastn_domain::ids::ExecutionId;
use fastn_domain::scope::Scope;

const VERSION: u8 = 1;
const WHOLE: u8 = 0;
const EXECUTION: u8 = 1;
const EVENT: u8 = 2;
/// Of the id or offset.
const PART_BYTES_MAX: usize = 16;

/// See the head of this file.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Blob<'b> {
    /// The key's id.
    pub(super) key: &'b str,
    pub(super) part: Part,
    /// Nonce, ciphertext and tag.
    pub(super) sealed: &'b [u8],
}

/// What of a record is sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Part {
    Whole,
    Execution(ExecutionId),
    /// By its offset in `events[p]`.
    Event(u64),
}

impl Part {
    /// What it is bound to beside its customer and key: what it is of, or what stands in the record in its stead.
    pub(super) fn bound_to(self, value: &[u8]) -> Vec<u8> {
        match self {
            Self::Whole => value.to_vec(),
            Self::Execution(id) => id.to_bytes().to_vec(),
            Self::Event(offset) => offset.to_be_bytes().to_vec(),
        }
    }
}

impl<'b> Blob<'b> {
    /// Nothing if the bytes are none.
    pub(super) fn read(bytes: &'b [u8]) -> Option<Self> {
        let (&[version, length], rest) = bytes.split_first_chunk::<2>()?;
        let (key, rest) = rest.split_at_checked(usize::from(length))?;
        let (kind, rest) = rest.split_first()?;
        let (part, sealed) = match *kind {
            WHOLE => (Part::Whole, rest),
            EXECUTION => {
                let (id, rest) = rest.split_first_chunk::<16>()?;
                (Part::Execution(ExecutionId(u128::from_be_bytes(*id))), rest)
            }
            EVENT => {
                let (offset, rest) = rest.split_first_chunk::<8>()?;
                (Part::Event(u64::from_be_bytes(*offset)), rest)
            }
            _ => return None,
        };
        (version == VERSION).then_some(Self { key: std::str::from_utf8(key).ok()?, part, sealed })
    }
}

/// Nonce, ciphertext and tag as a header holds them.
pub(super) fn write(key: &str, part: Part, sealed: &[u8]) -> Bytes {
    let length = u8::try_from(key.len()).expect("ids of keys are made here and short");
    let mut bytes = Vec::with_capacity(3 + key.len() + PART_BYTES_MAX + sealed.len());
    bytes.extend_from_slice(&[VERSION, length]);
    bytes.extend_from_slice(key.as_bytes());
    match part {
        Part::Whole => bytes.push(WHOLE),
        Part::Execution(id) => {
            bytes.push(EXECUTION);
            bytes.extend_from_slice(&id.to_bytes());
        }
        Part::Event(offset) => {
            bytes.push(EVENT);
            bytes.extend_from_slice(&offset.to_be_bytes());
        }
    }
    bytes.extend_from_slice(sealed);
    Bytes::from(bytes)
}

/// What a sealed value is bound to: its customer, its key, and what stands in the record in its stead.
pub(super) fn place(scope: &Scope, key: &str, beside: &[u8]) -> Vec<u8> {
    let mut bytes = b"fastn log 1".to_vec();
    for part in [scope.account.as_str().as_bytes(), scope.customer.as_str().as_bytes(), key.as_bytes(), beside] {
        bytes.extend_from_slice(&(part.len() as u64).to_be_bytes());
        bytes.extend_from_slice(part);
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Property: what is written reads back, and cut or strange bytes are none.
    #[test]
    fn reads_back_or_not_at_all() {
        for part in [Part::Whole, Part::Execution(ExecutionId(7)), Part::Event(7)] {
            let bytes = write("lk_1", part, b"sealed");
            assert_eq!(Blob::read(&bytes), Some(Blob { key: "lk_1", part, sealed: b"sealed" }));
            assert_eq!(Blob::read(&bytes[..6]), None);
        }
        for strange in [&b""[..], b"\x01", b"\x02\x00\x00rest", b"\x01\x00\x09rest", b"\x01\xffshort"] {
            assert_eq!(Blob::read(strange), None, "{strange:?}");
        }
    }
}
