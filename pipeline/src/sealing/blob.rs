//! What a record's header holds, as bytes.
//!
//! ```text
//! version u8 │ key id's length u8 │ key id │ kind u8 │ execution 16 bytes, if kind is 1 │ nonce 12 │ ciphertext │ tag 16
//! ```
//!
//! Kind 0 is the whole value of the record, kind 1 one execution of an `Admitted` record as JSON.

use bytes::Bytes;
use fastn_domain::ids::ExecutionId;
use fastn_domain::scope::Scope;

const VERSION: u8 = 1;
const WHOLE: u8 = 0;
const EXECUTION: u8 = 1;
const EXECUTION_BYTES: usize = 16;

/// See the head of this file.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Blob<'b> {
    /// The key's id.
    pub(super) key: &'b str,
    /// The execution that it is; the whole value otherwise.
    pub(super) execution: Option<ExecutionId>,
    /// Nonce, ciphertext and tag.
    pub(super) sealed: &'b [u8],
}

impl<'b> Blob<'b> {
    pub(super) fn whole(key: &str, sealed: Vec<u8>) -> Bytes {
        write(key, None, &sealed)
    }

    pub(super) fn of(key: &str, execution: ExecutionId, sealed: Vec<u8>) -> Bytes {
        write(key, Some(execution), &sealed)
    }

    /// Nothing if the bytes are none.
    pub(super) fn read(bytes: &'b [u8]) -> Option<Self> {
        let (&[version, length], rest) = bytes.split_first_chunk::<2>()?;
        let (key, rest) = rest.split_at_checked(usize::from(length))?;
        let (kind, rest) = rest.split_first()?;
        let (execution, sealed) = match *kind {
            WHOLE => (None, rest),
            EXECUTION => {
                let (id, rest) = rest.split_first_chunk::<EXECUTION_BYTES>()?;
                (Some(ExecutionId(u128::from_be_bytes(*id))), rest)
            }
            _ => return None,
        };
        (version == VERSION).then_some(Self { key: std::str::from_utf8(key).ok()?, execution, sealed })
    }
}

fn write(key: &str, execution: Option<ExecutionId>, sealed: &[u8]) -> Bytes {
    let length = u8::try_from(key.len()).expect("ids of keys are made here and short");
    let mut bytes = Vec::with_capacity(3 + key.len() + EXECUTION_BYTES + sealed.len());
    bytes.extend_from_slice(&[VERSION, length]);
    bytes.extend_from_slice(key.as_bytes());
    match execution {
        None => bytes.push(WHOLE),
        Some(id) => {
            bytes.push(EXECUTION);
            bytes.extend_from_slice(&id.to_bytes());
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
        for execution in [None, Some(ExecutionId(7))] {
            let bytes = write("lk_1", execution, b"sealed");
            assert_eq!(Blob::read(&bytes), Some(Blob { key: "lk_1", execution, sealed: b"sealed" }));
            assert_eq!(Blob::read(&bytes[..6]), None);
        }
        for strange in [&b""[..], b"\x01", b"\x02\x00\x00rest", b"\x01\x00\x09rest", b"\x01\xffshort"] {
            assert_eq!(Blob::read(strange), None, "{strange:?}");
        }
    }
}
