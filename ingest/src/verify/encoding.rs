//! Signatures as text: hexadecimal and base 64.

use base64::Engine;
use base64::alphabet::{STANDARD, URL_SAFE};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::Refusal;
use crate::hex;

/// Padding is written or not.
const LENIENT: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const BASE64: GeneralPurpose = GeneralPurpose::new(&STANDARD, LENIENT);
const BASE64_URL: GeneralPurpose = GeneralPurpose::new(&URL_SAFE, LENIENT);

/// The bytes that `text` stands for, in the standard alphabet.
pub(crate) fn base64(text: &str) -> Option<Vec<u8>> {
    BASE64.decode(text).ok()
}

/// The bytes that `text` stands for, in either alphabet.
pub(crate) fn any_base64(text: &str) -> Option<Vec<u8>> {
    base64(text).or_else(|| BASE64_URL.decode(text).ok())
}

/// The signature of header `name`: base 64 of `bytes` bytes.
pub(crate) fn base64_signature(text: &str, bytes: usize, name: &str) -> Result<Vec<u8>, Refusal> {
    base64(text).filter(|decoded| decoded.len() == bytes).ok_or_else(|| Refusal::malformed(name))
}

/// The signature of header `name`: hexadecimal of `bytes` bytes, of either case.
pub(crate) fn hex_signature(text: &str, bytes: usize, name: &str) -> Result<Vec<u8>, Refusal> {
    hex::decode(text.as_bytes()).filter(|decoded| decoded.len() == bytes).ok_or_else(|| Refusal::malformed(name))
}
