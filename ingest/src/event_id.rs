//! Fresh event ids: `evt_` and 26 characters of base 32, ordered by time.

use aws_lc_rs::rand;
use fastn_domain::{EventId, Timestamp};

/// Lower-case Crockford base 32, as execution ids use it: its order is the order of the numbers.
const BASE32: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
const RANDOM_BITS: u32 = 80;

/// A new id at `now`: 48 bits of milliseconds, then 80 random bits. So ids of different milliseconds sort by time, and two
/// ids of one millisecond collide with a chance of 2⁻⁸⁰.
pub fn new_event_id(now: Timestamp) -> EventId {
    let mut random = [0u8; 16];
    rand::fill(&mut random[6..]).expect("the system's random source does not fail once the process runs");
    let ms = u128::try_from(now.as_millis()).unwrap_or(0) & ((1 << 48) - 1);
    let number = (ms << RANDOM_BITS) | u128::from_be_bytes(random);
    let mut text = [0u8; 30];
    text[..4].copy_from_slice(b"evt_");
    for (at, digit) in text[4..].iter_mut().enumerate() {
        let shift = 125 - 5 * at;
        *digit = BASE32[((number >> shift) & 31) as usize];
    }
    let text = std::str::from_utf8(&text).expect("base 32 is ASCII");
    EventId::new(text).expect("30 ASCII letters are an event id")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    /// Property: fresh ids differ from each other, and sort by their millisecond.
    #[test]
    fn fresh_ids_are_distinct_and_ordered() {
        let at = |ms| new_event_id(Timestamp::from_millis(ms)).as_str().to_owned();
        let ids: HashSet<String> = (0..1_000).map(|_| at(1_764_000_000_000)).collect();
        assert_eq!(ids.len(), 1_000);
        assert!(ids.iter().all(|id| id.len() == 30 && id.starts_with("evt_")));
        assert!(at(1) < at(2) && at(1_764_000_000_000) < at(1_764_000_000_001) && at(-5) < at(1));
    }
}
