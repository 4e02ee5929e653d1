//! Access keys: made here, shown once, kept as hashes.

use aws_lc_rs::{digest, rand};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// Random bytes of a key: far beyond guessing, so a plain hash is enough to keep it.
const KEY_BYTES: usize = 32;

/// A new key, e.g. `fsk_test_…` for the prefix `fsk_test_`, and its hash. The key itself is not kept anywhere.
pub fn new_access_key(prefix: &str) -> (String, String) {
    let mut bytes = [0; KEY_BYTES];
    rand::fill(&mut bytes).expect("the system's random numbers are there from boot on");
    let key = format!("{prefix}{}", URL_SAFE_NO_PAD.encode(bytes));
    let hash = hash_access_key(&key);
    (key, hash)
}

/// SHA-256 of a key, in lower-case hex: how the catalog finds it.
pub fn hash_access_key(key: &str) -> String {
    use std::fmt::Write as _;
    let hash = digest::digest(&digest::SHA256, key.as_bytes());
    hash.as_ref().iter().fold(String::with_capacity(64), |mut hex, byte| {
        write!(hex, "{byte:02x}").expect("writing to a string cannot fail");
        hex
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Property: no two keys are alike, and the hash is SHA-256 of the whole key as any other program computes it.
    #[test]
    fn keys_are_random_and_hashed() {
        let (key, hash) = new_access_key("fsk_test_");
        assert!(key.starts_with("fsk_test_") && key.len() >= 9 + 43);
        assert_eq!(hash, hash_access_key(&key));
        assert_ne!(key, new_access_key("fsk_test_").0);
        // FIPS 180-2, appendix B.1.
        assert_eq!(hash_access_key("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }
}
