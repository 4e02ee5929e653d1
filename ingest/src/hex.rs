//! Hexadecimal text of digests.

const DIGITS: &[u8; 16] = b"0123456789abcdef";

/// `bytes` in lower-case hex.
pub(crate) fn encode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        text.push(char::from(DIGITS[usize::from(byte >> 4)]));
        text.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
    text
}

/// The 32 bytes that 64 hex digits of either case stand for.
pub(crate) fn decode_32(text: &[u8]) -> Option<[u8; 32]> {
    let mut bytes = [0u8; 32];
    if text.len() != 64 {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
        *byte = (digit(pair[0])? << 4) | digit(pair[1])?;
    }
    Some(bytes)
}

/// The value of one hex digit.
pub(crate) fn digit(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Property: encoding and decoding are inverse, and what is not 64 hex digits is refused.
    #[test]
    fn round_trips_and_refuses() {
        let bytes: [u8; 32] = std::array::from_fn(|at| (at * 37) as u8);
        assert_eq!(decode_32(encode(&bytes).as_bytes()), Some(bytes));
        assert_eq!(decode_32(encode(&bytes).to_uppercase().as_bytes()), Some(bytes));
        assert_eq!(decode_32(b"00"), None);
        assert_eq!(decode_32("g".repeat(64).as_bytes()), None);
    }
}
