//! Frames: the unit that the tree stores, so that a group commit costs one entry a partition instead of one a record.
//!
//! ```text
//! key    offset of the frame's last record, 8 bytes big-endian   (so `range(from..)` starts in the frame that holds `from`)
//! frame  version u8 │ records u32 │ chunk …
//! chunk  timestamp_us i64 │ records u32 │ bytes u32 │ record …      one chunk an append call
//! record key_len u32 │ value_len u32 │ headers u16 │ (name_len u16 │ len u32 │ name │ bytes) … │ key │ value
//! ```
//!
//! All numbers are big-endian. Offsets inside a frame are dense. Integrity is the engine's: it checks a checksum of every
//! journal batch and of every table block; the bounds checks here only keep damage from becoming a panic.

use bytes::Bytes;
use fastn_domain::time::Timestamp;

use crate::seam::{Offset, Record, StoredRecord};

const VERSION: u8 = 1;
const FRAME_HEADER_BYTES: usize = 5;
const CHUNK_HEADER_BYTES: usize = 16;

/// What does not read back.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Malformed(pub(crate) &'static str);

/// Whether the header fields of the format can hold this record.
pub(crate) fn fits(record: &Record) -> bool {
    record.headers.len() <= usize::from(u16::MAX)
        && record.headers.iter().all(|(name, _)| name.len() <= usize::from(u16::MAX))
        && record.size() <= u32::MAX as usize
}

/// Encodes one append call as a frame of one chunk, with no timestamp yet. The records must [fit](fits).
pub(crate) fn encode(records: &[Record]) -> Vec<u8> {
    let body: usize = records.iter().map(|record| record.size() + 10 + record.headers.len() * 6).sum();
    let mut out = Vec::with_capacity(FRAME_HEADER_BYTES + CHUNK_HEADER_BYTES + body);
    let count = (records.len() as u32).to_be_bytes();
    out.push(VERSION);
    out.extend_from_slice(&count);
    out.extend_from_slice(&[0; 8]);
    out.extend_from_slice(&count);
    out.extend_from_slice(&(body as u32).to_be_bytes());
    for record in records {
        out.extend_from_slice(&(record.key.len() as u32).to_be_bytes());
        out.extend_from_slice(&(record.value.len() as u32).to_be_bytes());
        out.extend_from_slice(&(record.headers.len() as u16).to_be_bytes());
        for (name, value) in &record.headers {
            out.extend_from_slice(&(name.len() as u16).to_be_bytes());
            out.extend_from_slice(&(value.len() as u32).to_be_bytes());
            out.extend_from_slice(name.as_bytes());
            out.extend_from_slice(value);
        }
        out.extend_from_slice(&record.key);
        out.extend_from_slice(&record.value);
    }
    out
}

/// Writes the timestamp into a frame that [`encode`] made.
pub(crate) fn stamp(frame: &mut [u8], at: Timestamp) {
    frame[FRAME_HEADER_BYTES..FRAME_HEADER_BYTES + 8].copy_from_slice(&at.as_micros().to_be_bytes());
}

/// Appends the chunks of `next` to `frame` and corrects its count.
pub(crate) fn merge(frame: &mut Vec<u8>, next: &[u8]) {
    let count = count_of(frame) + count_of(next);
    frame[1..FRAME_HEADER_BYTES].copy_from_slice(&count.to_be_bytes());
    frame.extend_from_slice(&next[FRAME_HEADER_BYTES..]);
}

fn count_of(frame: &[u8]) -> u32 {
    u32::from_be_bytes([frame[1], frame[2], frame[3], frame[4]])
}

/// How many records a stored frame holds.
pub(crate) fn records_in(frame: &[u8]) -> Result<u32, Malformed> {
    match frame.first() {
        Some(&VERSION) if frame.len() >= FRAME_HEADER_BYTES => Ok(count_of(frame)),
        Some(&VERSION) => Err(Malformed("frame header")),
        _ => Err(Malformed("frame version")),
    }
}

/// What a read may still take.
#[derive(Debug)]
pub(crate) struct Budget {
    records: usize,
    bytes: usize,
    first: bool,
}

impl Budget {
    pub(crate) fn new(records_max: usize, bytes_max: usize) -> Self {
        Self { records: records_max, bytes: bytes_max, first: true }
    }

    /// Takes a record of `bytes`, unless that would pass a limit. The first record always fits the bytes.
    fn take(&mut self, bytes: usize) -> bool {
        if self.records == 0 || (bytes > self.bytes && !self.first) {
            return false;
        }
        self.first = false;
        self.records -= 1;
        self.bytes = self.bytes.saturating_sub(bytes);
        true
    }
}

/// Decodes the records at `from` or after it into `out` until the budget is spent; `false` once it is. The slices share
/// the frame's allocation.
pub(crate) fn decode(
    frame: &Bytes,
    last: Offset,
    from: Offset,
    budget: &mut Budget,
    out: &mut Vec<StoredRecord>,
) -> Result<bool, Malformed> {
    let count = u64::from(records_in(frame)?);
    let mut offset = (last + 1).checked_sub(count).ok_or(Malformed("frame count"))?;
    let mut at = Cursor { frame, at: FRAME_HEADER_BYTES };
    while at.at < frame.len() {
        let timestamp = Timestamp(i64::from_be_bytes(at.array()?));
        let records = u32::from_be_bytes(at.array()?);
        let bytes = u32::from_be_bytes(at.array()?) as usize;
        if offset + u64::from(records) <= from {
            at.skip(bytes)?;
            offset += u64::from(records);
            continue;
        }
        for _ in 0..records {
            if !at.record(offset, timestamp, offset >= from, budget, out)? {
                return Ok(false);
            }
            offset += 1;
        }
    }
    if offset == last + 1 { Ok(true) } else { Err(Malformed("frame count")) }
}

struct Cursor<'a> {
    frame: &'a Bytes,
    at: usize,
}

impl Cursor<'_> {
    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let part = self.frame.get(self.at..).and_then(|rest| rest.first_chunk::<N>()).ok_or(Malformed("cut short"))?;
        self.at += N;
        Ok(*part)
    }

    fn skip(&mut self, bytes: usize) -> Result<(), Malformed> {
        if bytes > self.frame.len() - self.at {
            return Err(Malformed("cut short"));
        }
        self.at += bytes;
        Ok(())
    }

    fn slice(&mut self, bytes: usize) -> Result<Bytes, Malformed> {
        let start = self.at;
        self.skip(bytes)?;
        Ok(self.frame.slice(start..self.at))
    }

    /// Passes one record; `false` when it is wanted and does not fit the budget.
    fn record(
        &mut self,
        offset: Offset,
        timestamp: Timestamp,
        wanted: bool,
        budget: &mut Budget,
        out: &mut Vec<StoredRecord>,
    ) -> Result<bool, Malformed> {
        let key_len = u32::from_be_bytes(self.array()?) as usize;
        let value_len = u32::from_be_bytes(self.array()?) as usize;
        let header_count = u16::from_be_bytes(self.array()?);
        let mut headers = Vec::new();
        let mut size = key_len + value_len;
        for _ in 0..header_count {
            let name_len = usize::from(u16::from_be_bytes(self.array()?));
            let len = u32::from_be_bytes(self.array()?) as usize;
            size += name_len + len;
            if wanted {
                let name = self.slice(name_len)?;
                let name = std::str::from_utf8(&name).map_err(|_| Malformed("header name"))?.to_owned().into();
                headers.push((name, self.slice(len)?));
            } else {
                self.skip(name_len + len)?;
            }
        }
        if !wanted {
            self.skip(key_len + value_len)?;
            return Ok(true);
        }
        if !budget.take(size) {
            return Ok(false);
        }
        let key = self.slice(key_len)?;
        let value = self.slice(value_len)?;
        out.push(StoredRecord { offset, timestamp, key, headers, value });
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Vec<Record> {
        vec![
            Record::new("a/b", "one"),
            Record {
                key: Bytes::new(),
                headers: vec![("ce_id".into(), Bytes::from_static(b"7")), ("".into(), Bytes::new())],
                value: Bytes::new(),
            },
            Record::new("", "three"),
        ]
    }

    fn frame() -> Bytes {
        let mut frame = encode(&sample());
        stamp(&mut frame, Timestamp(5));
        let mut next = encode(&sample()[..1]);
        stamp(&mut next, Timestamp(6));
        merge(&mut frame, &next);
        Bytes::from(frame)
    }

    fn read(
        frame: &Bytes,
        last: Offset,
        from: Offset,
        records: usize,
        bytes: usize,
    ) -> Result<Vec<StoredRecord>, Malformed> {
        let mut out = Vec::new();
        decode(frame, last, from, &mut Budget::new(records, bytes), &mut out)?;
        Ok(out)
    }

    /// Property: what is encoded reads back, from every offset on, with the offsets and timestamps that it was given.
    #[test]
    fn round_trip_from_every_offset() {
        let frame = frame();
        assert_eq!(records_in(&frame), Ok(4));
        for from in 0..16 {
            let records = read(&frame, 13, from, 99, 9_999).expect("decodes");
            assert_eq!(records.len() as u64, 14u64.saturating_sub(from.max(10)), "from {from}");
            for stored in &records {
                let (source, at) = if stored.offset == 13 { (0, 6) } else { (stored.offset as usize - 10, 5) };
                let expected = &sample()[source];
                assert_eq!(
                    (&stored.key, &stored.headers, &stored.value),
                    (&expected.key, &expected.headers, &expected.value)
                );
                assert_eq!(stored.timestamp, Timestamp(at));
            }
        }
    }

    /// Property: a read stops at its limits, but always gives one record.
    #[test]
    fn limits_hold_and_one_record_always_fits() {
        let frame = frame();
        assert_eq!(read(&frame, 3, 0, 2, 9_999).expect("decodes").len(), 2);
        assert_eq!(read(&frame, 3, 0, 9, 0).expect("decodes").len(), 1);
        assert_eq!(read(&frame, 3, 0, 9, 6).expect("decodes").len(), 1);
        assert_eq!(read(&frame, 3, 0, 9, 12).expect("decodes").len(), 2);
        assert_eq!(read(&frame, 3, 0, 0, 9_999).expect("decodes").len(), 0);
    }

    /// Property: no cut and no flipped bit makes the decoder panic, and a cut is always noticed.
    #[test]
    fn damage_is_an_error_or_other_content_never_a_panic() {
        let whole = frame();
        for cut in 0..whole.len() {
            assert!(read(&whole.slice(..cut), 3, 0, 99, 9_999).is_err(), "cut at {cut}");
        }
        for bit in 0..whole.len() * 8 {
            let mut bytes = whole.to_vec();
            bytes[bit / 8] ^= 1 << (bit % 8);
            let _ = read(&Bytes::from(bytes), 3, 0, 99, 9_999);
        }
    }
}
