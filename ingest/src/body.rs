//! Reading a request body: as sent, within a size, a time and the shared budget, and then its content decoding.
//!
//! The two steps are apart because signatures are checked between them. A signature covers the bytes as they were sent,
//! before any content decoding: so an unproven sender can never make this process decompress anything.

use std::io::Read;
use std::time::Duration;

use axum::body::Body;
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_ENCODING, CONTENT_LENGTH};
use bytes::{Bytes, BytesMut};
use fastn_contract::error::{ErrorCode, Problem};
use flate2::bufread::MultiGzDecoder;
use futures_util::StreamExt;

use crate::budget::{Budget, Share};
use crate::problem::invalid_part;

/// How much is decompressed between two looks at the budget.
const DECODE_STEP_BYTES: usize = 64 * 1024;

/// A body and its share of the budget, which lives as long as the bytes do.
#[derive(Debug)]
pub(crate) struct Received {
    /// The bytes.
    pub(crate) bytes: Bytes,
    share: Share,
}

/// How the body's content is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    /// Not at all.
    Identity,
    /// RFC 1952.
    Gzip,
}

impl Encoding {
    /// Reads `Content-Encoding`.
    ///
    /// # Errors
    /// `UNSUPPORTED_MEDIA_TYPE` for anything but gzip.
    pub(crate) fn of(headers: &HeaderMap) -> Result<Self, Problem> {
        let mut values = headers.get_all(CONTENT_ENCODING).iter();
        let Some(value) = values.next() else { return Ok(Self::Identity) };
        let known = match value.as_bytes() {
            name if name.eq_ignore_ascii_case(b"identity") || name.is_empty() => Some(Self::Identity),
            name if name.eq_ignore_ascii_case(b"gzip") || name.eq_ignore_ascii_case(b"x-gzip") => Some(Self::Gzip),
            _ => None,
        };
        match (known, values.next()) {
            (Some(encoding), None) => Ok(encoding),
            _ => {
                let detail = "The body's content encoding is not supported. Send it plain or with one gzip.";
                Err(Problem::new(ErrorCode::UnsupportedMediaType, detail))
            }
        }
    }
}

/// Reads the whole body as it was sent.
///
/// # Errors
/// `PAYLOAD_TOO_LARGE`, `SERVICE_UNAVAILABLE` when the budget is used up, `VALIDATION_ERROR` when the body ends early or
/// does not arrive within `time_max`.
pub(crate) async fn receive(
    headers: &HeaderMap,
    body: Body,
    budget: &Budget,
    bytes_max: usize,
    time_max: Duration,
) -> Result<Received, Problem> {
    let announced = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|bytes| bytes > bytes_max as u64) {
        return Err(too_large(bytes_max));
    }
    match tokio::time::timeout(time_max, collect(body, budget.share(), bytes_max)).await {
        Ok(received) => received,
        Err(_) => {
            let detail = format!("The body did not arrive within {time_max:?}. Nothing was taken.");
            Err(Problem::new(ErrorCode::ValidationError, detail))
        }
    }
}

async fn collect(body: Body, mut share: Share, bytes_max: usize) -> Result<Received, Problem> {
    let mut chunks = body.into_data_stream();
    let mut first = Bytes::new();
    let mut joined = BytesMut::new();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|_| {
            let detail = "The body ended before it was complete. Nothing was taken; send it again.";
            Problem::new(ErrorCode::ValidationError, detail)
        })?;
        if first.len() + joined.len() + chunk.len() > bytes_max {
            return Err(too_large(bytes_max));
        }
        share.grow(chunk.len())?;
        // Small bodies come as one chunk, which is then never copied.
        if first.is_empty() && joined.is_empty() {
            first = chunk;
        } else {
            joined.extend_from_slice(&std::mem::take(&mut first));
            joined.extend_from_slice(&chunk);
        }
    }
    let bytes = if joined.is_empty() { first } else { joined.freeze() };
    Ok(Received { bytes, share })
}

/// Undoes the content encoding. Decompression runs on a thread of its own, step by step, and stops at the limit.
///
/// # Errors
/// As [`receive`]; `VALIDATION_ERROR` for what is no complete gzip stream.
pub(crate) async fn decode(received: Received, encoding: Encoding, bytes_max: usize) -> Result<Received, Problem> {
    match encoding {
        Encoding::Identity => Ok(received),
        Encoding::Gzip => tokio::task::spawn_blocking(move || gunzip(received, bytes_max)).await.unwrap_or_else(|_| {
            Err(Problem::new(ErrorCode::InternalError, "Decompressing the body failed. Nothing was taken."))
        }),
    }
}

fn gunzip(received: Received, bytes_max: usize) -> Result<Received, Problem> {
    let Received { bytes, mut share } = received;
    let mut decoder = MultiGzDecoder::new(bytes.as_ref());
    let mut plain = Vec::new();
    loop {
        let from = plain.len();
        let step = DECODE_STEP_BYTES.min(bytes_max + 1 - from);
        share.grow(step)?;
        let read = decoder.by_ref().take(step as u64).read_to_end(&mut plain);
        read.map_err(|_| invalid_part("content-encoding", "says gzip, and the body is no complete gzip stream"))?;
        if plain.len() > bytes_max {
            return Err(too_large(bytes_max));
        }
        if plain.len() - from < step {
            return Ok(Received { bytes: Bytes::from(plain), share });
        }
    }
}

/// The answer to a body or payload above its limit.
pub(crate) fn too_large(bytes_max: usize) -> Problem {
    let detail = format!("The payload is larger than {bytes_max} bytes, after decompression. Nothing was taken.");
    Problem::new(ErrorCode::PayloadTooLarge, detail)
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use std::io::Write;

    const LIMIT: usize = 200_000;

    fn gzip(plain: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(plain).unwrap();
        encoder.finish().unwrap()
    }

    fn gunzip_all(body: Vec<u8>, budget: usize) -> Result<Bytes, Problem> {
        let received = Received { bytes: Bytes::from(body), share: Budget::new(budget).share() };
        gunzip(received, LIMIT).map(|received| received.bytes)
    }

    /// Property: gzip up to the limit is decoded, over several steps and members, and one byte more is refused.
    #[test]
    fn gzip_is_decoded_up_to_the_limit() {
        let plain: Vec<u8> = (0..LIMIT).map(|at| (at % 251) as u8).collect();
        assert_eq!(gunzip_all(gzip(&plain), 1 << 20).unwrap(), plain);
        let members = [gzip(&plain[..70_000]), gzip(&plain[70_000..])].concat();
        assert_eq!(gunzip_all(members, 1 << 20).unwrap(), plain);
        let bomb = gzip(&vec![0u8; LIMIT + 1]);
        assert_eq!(gunzip_all(bomb, 1 << 20).unwrap_err().code, ErrorCode::PayloadTooLarge);
        assert_eq!(gunzip_all(gzip(b""), 1 << 20).unwrap(), b"".as_slice());
    }

    /// Property: what is truncated, damaged or followed by garbage is refused, and memory is bounded by the budget.
    #[test]
    fn damaged_gzip_is_refused() {
        let whole = gzip(b"hello, hello, hello");
        for bad in [&whole[..whole.len() - 1], &whole[..5], b"garbage", &[&whole[..], b"x"].concat()] {
            assert_eq!(gunzip_all(bad.to_vec(), 1 << 20).unwrap_err().code, ErrorCode::ValidationError, "{bad:?}");
        }
        assert_eq!(gunzip_all(gzip(&[0; 150_000]), 100_000).unwrap_err().code, ErrorCode::ServiceUnavailable);
    }
}
