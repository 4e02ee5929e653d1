//! A message of librdkafka as a record of ours. What a stranger wrote reads like anything else.

use std::panic::{AssertUnwindSafe, catch_unwind};

use bytes::{Bytes, BytesMut};
use fastn_domain::time::Timestamp;
use rdkafka::message::{BorrowedMessage, Headers, Message};

use crate::seam::StoredRecord;

const MICROS_PER_MILLI: i64 = 1_000;

/// Copies the message. Key, value and headers share one allocation.
pub(crate) fn stored(message: &BorrowedMessage<'_>) -> StoredRecord {
    let key = message.key().unwrap_or_default();
    let value = message.payload().unwrap_or_default();
    // The crate panics on a header whose name is no UTF-8; such a record has no headers for us.
    let headers = catch_unwind(AssertUnwindSafe(|| names_and_values(message))).unwrap_or_default();
    let bytes = key.len() + value.len() + headers.iter().map(|(_, value)| value.len()).sum::<usize>();
    let mut all = BytesMut::with_capacity(bytes);
    all.extend_from_slice(key);
    all.extend_from_slice(value);
    headers.iter().for_each(|(_, value)| all.extend_from_slice(value));
    let mut rest = all.freeze();
    let mut cut = |bytes: usize| -> Bytes { rest.split_to(bytes) };
    let (key, value) = (cut(key.len()), cut(value.len()));
    StoredRecord {
        // Kafka's offsets and times start at zero.
        offset: u64::try_from(message.offset()).unwrap_or_default(),
        timestamp: Timestamp(message.timestamp().to_millis().unwrap_or_default().saturating_mul(MICROS_PER_MILLI)),
        key,
        value,
        headers: headers.into_iter().map(|(name, value)| (name.into(), cut(value.len()))).collect(),
    }
}

fn names_and_values<'m>(message: &'m BorrowedMessage<'_>) -> Vec<(String, &'m [u8])> {
    let Some(headers) = message.headers() else { return Vec::new() };
    headers.iter().map(|header| (header.key.to_owned(), header.value.unwrap_or_default())).collect()
}
