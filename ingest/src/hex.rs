//! Hexadecimal text of digests.

const DIGITS: &[u8; 16] = b"0123456789abcdef";
/// Longest text that is decoded: twice the longest digest.
const TEXT_BYTES_MAX: usize = 256;

/// `bytes` in lower-case hex.
pub(crate) fn encode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        text.push(char::from(DIGITS[usize::from(byte >> 4)]));
        text.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
    text
}

/// The bytes that an even number of hex digits of either case stands for.
pub(crate) fn decode(text: &[u8]) -> Option<Vec<u8>> {
    if text.len() > TEXT_BYTES_MAX || text.len() % 2 == 1 {
        return None;
    }
    text.chunks_exact(2).map(|pair| Some((digit(pair[0])? << 4) | digit(pair[1])?)).collect()
}

/// The value of one hex digit.
pub(crate) fn digit(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Property: encoding and decoding are inverse, and what is not pairs of hex digits is refused.
    #[test]
    fn round_trips_and_refuses() {
        let bytes: Vec<u8> = (0..64).map(|at: u8| at.wrapping_mul(37)).collect();
        assert_eq!(decode(encode(&bytes).as_bytes()), Some(bytes.clone()));
        assert_eq!(decode(encode(&bytes).to_uppercase().as_bytes()), Some(bytes));
        for bad in ["0", "g0", "0g", &"0".repeat(TEXT_BYTES_MAX + 2)] {
            assert_eq!(decode(bad.as_bytes()), None, "{bad}");
        }
    }
}
