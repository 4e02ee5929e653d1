//! The dedup window: hashes of event ids and deduplication keys seen lately.

use std::collections::{HashSet, VecDeque};
use std::time::Duration;

use fastn_domain::journal::DedupHash;
use fastn_domain::time::Timestamp;

/// Hashes by age. What leaves the window may be admitted again.
#[derive(Debug, Default)]
pub(super) struct Dedup {
    known: HashSet<DedupHash>,
    by_age: VecDeque<Entry>,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    hash: DedupHash,
    seen: Timestamp,
    /// The journal record that says so.
    seq: u64,
}

impl Dedup {
    pub(super) fn contains(&self, hash: DedupHash) -> bool {
        self.known.contains(&hash)
    }

    pub(super) fn insert(&mut self, hash: DedupHash, seen: Timestamp, seq: u64) {
        if self.known.insert(hash) {
            self.by_age.push_back(Entry { hash, seen, seq });
        }
    }

    /// Forgets what is older than `window` at `now`, and the oldest beyond `hashes_max`.
    pub(super) fn expire(&mut self, now: Timestamp, window: Duration, hashes_max: usize) {
        while let Some(oldest) = self.by_age.front() {
            if self.by_age.len() <= hashes_max && now.since(oldest.seen) < window {
                break;
            }
            self.known.remove(&oldest.hash);
            self.by_age.pop_front();
        }
    }

    /// The hashes that only records below `seq` tell, in chunks of at most `chunk_max`, each with the time of its youngest.
    /// They count as told by record `next` on, one record a chunk.
    pub(super) fn say_again(&mut self, seq: u64, next: u64, chunk_max: usize) -> Vec<(Timestamp, Vec<DedupHash>)> {
        let mut chunks: Vec<(Timestamp, Vec<DedupHash>)> = Vec::new();
        for entry in self.by_age.iter_mut().filter(|entry| entry.seq < seq) {
            match chunks.last_mut() {
                Some((seen, hashes)) if hashes.len() < chunk_max => {
                    *seen = entry.seen.max(*seen);
                    hashes.push(entry.hash);
                }
                _ => chunks.push((entry.seen, vec![entry.hash])),
            }
            entry.seq = next + chunks.len() as u64 - 1;
        }
        chunks
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Property: a hash is known within the window and the count limit, and not after either.
    #[test]
    fn forgets_by_age_and_count() {
        let mut dedup = Dedup::default();
        for n in 0..10 {
            dedup.insert(DedupHash(n), Timestamp::from_millis(n as i64), n as u64);
        }
        dedup.expire(Timestamp::from_millis(10), Duration::from_millis(6), 100);
        assert!(!dedup.contains(DedupHash(4)) && dedup.contains(DedupHash(5)));
        dedup.expire(Timestamp::from_millis(10), Duration::from_millis(6), 2);
        assert!(!dedup.contains(DedupHash(7)) && dedup.contains(DedupHash(8)));
    }

    /// Property: saying again covers exactly the hashes that older records tell, once.
    #[test]
    fn says_again_what_old_records_told() {
        let mut dedup = Dedup::default();
        for n in 0..5 {
            dedup.insert(DedupHash(n), Timestamp::from_millis(n as i64), n as u64);
        }
        let chunks = dedup.say_again(3, 10, 2);
        let hashes: Vec<_> = chunks.iter().map(|(_, hashes)| hashes.len()).collect();
        assert_eq!(hashes, [2, 1]);
        assert!(dedup.say_again(3, 20, 2).is_empty());
        assert_eq!(dedup.say_again(11, 20, 9).len(), 1, "records 3, 4 and 10");
    }
}
