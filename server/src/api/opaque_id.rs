//! Ids for public URLs: random, so that they tell nothing and cannot be guessed.

/// Lower-case Crockford base 32.
const BASE32: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
/// Letters of an id: 130 bits.
const LETTERS: usize = 26;

/// A new one.
pub(crate) fn random(prefix: &str) -> String {
    let mut bytes = [0_u8; LETTERS];
    aws_lc_rs::rand::fill(&mut bytes).expect("the system's random source does not fail once the process runs");
    of_bytes(prefix, &bytes)
}

/// The one that a caller gets for one idempotency key, always the same. It is made of the caller's access key too, which
/// nobody else knows, so nobody else can make it.
pub(crate) fn repeatable(prefix: &str, access_key: &str, idempotency_key: &str) -> String {
    let mut hash = blake3::Hasher::new_derive_key("fastn 2026 opaque ids");
    for part in [prefix, access_key, idempotency_key] {
        hash.update(&(part.len() as u64).to_le_bytes());
        hash.update(part.as_bytes());
    }
    of_bytes(prefix, hash.finalize().as_bytes())
}

fn of_bytes(prefix: &str, bytes: &[u8]) -> String {
    let letters = bytes.iter().take(LETTERS).map(|byte| char::from(BASE32[usize::from(byte & 31)]));
    prefix.chars().chain(letters).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Property: no two random ids are equal, and a repeatable one depends on all that it is made of.
    #[test]
    fn ids() {
        let ids: std::collections::HashSet<String> = (0..1_000).map(|_| random("whk_")).collect();
        assert_eq!(ids.len(), 1_000);
        assert!(ids.iter().all(|id| id.len() == 30 && fastn_domain::TriggerId::new(id).is_ok()));
        assert_eq!(repeatable("whk_", "a", "b"), repeatable("whk_", "a", "b"));
        assert_ne!(repeatable("whk_", "a", "b"), repeatable("whk_", "a", "c"));
        assert_ne!(repeatable("whk_", "ab", "c"), repeatable("whk_", "a", "bc"));
    }
}
