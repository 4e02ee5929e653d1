//! The ids of traces and spans. They follow from the execution and the key of a step alone, so every process that tells of
//! an execution, once or again, tells of the same trace; and an outside call carries its span before anybody has told it.
//!
//! ```text
//!   the sender's span ─▶ execution ─┬▶ step
//!   (traceparent)                   └▶ call ─▶ the receiver's spans (traceparent)
//! ```
//!
//! W3C Trace Context: <https://www.w3.org/TR/trace-context/>.

use crate::ids::ExecutionId;

/// Longest `tracestate` that is passed on: what the recommendation asks every hop to be able to.
pub const TRACESTATE_BYTES_MAX: usize = 512;

/// Where an execution hangs in the trace of whoever caused it, or a trace of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceContext {
    /// The trace.
    pub trace_id: [u8; 16],
    /// The sender's span, if there is one.
    pub parent: Option<[u8; 8]>,
    /// The sender's flags; sampled when there is no sender.
    pub flags: u8,
}

impl TraceContext {
    /// Of an execution whose event came with `traceparent`. What is no such header counts as none.
    pub fn of(execution: ExecutionId, traceparent: Option<&str>) -> Self {
        traceparent.and_then(parse).unwrap_or_else(|| Self {
            trace_id: first(&hash(execution, "trace")),
            parent: None,
            flags: 1,
        })
    }

    /// The header for a call of which `span` tells.
    pub fn header(&self, span: [u8; 8]) -> String {
        format!("00-{}-{}-{:02x}", hex(&self.trace_id), hex(&span), self.flags & 1)
    }
}

/// The span of an execution.
pub fn execution_span(execution: ExecutionId) -> [u8; 8] {
    first(&hash(execution, "execution"))
}

/// The span of the step or call `key` of an execution.
pub fn step_span(execution: ExecutionId, key: &str) -> [u8; 8] {
    first(&hash(execution, &format!("step {key}")))
}

/// Whether a header is a `traceparent` that is understood.
pub fn is_traceparent(header: &str) -> bool {
    parse(header).is_some()
}

fn hash(execution: ExecutionId, what: &str) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new_derive_key("fastn 2026 trace ids");
    hasher.update(&execution.to_bytes());
    hasher.update(what.as_bytes());
    *hasher.finalize().as_bytes()
}

/// The first bytes of a hash; never all zero, which no id may be.
fn first<const N: usize>(hash: &[u8; 32]) -> [u8; N] {
    let mut id = [0; N];
    id.copy_from_slice(&hash[..N]);
    if id == [0; N] {
        id[N - 1] = 1;
    }
    id
}

fn parse(header: &str) -> Option<TraceContext> {
    let mut parts = header.split('-');
    let (version, trace, parent, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let bare = |text: &str, length: usize| text.len() == length;
    if !(bare(version, 2) && bare(trace, 32) && bare(parent, 16) && bare(flags, 2)) || version == "ff" {
        return None;
    }
    let (trace_id, parent): ([u8; 16], [u8; 8]) = (unhex(trace)?, unhex(parent)?);
    let [flags] = unhex(flags)?;
    (trace_id != [0; 16] && parent != [0; 8]).then_some(TraceContext { trace_id, parent: Some(parent), flags })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    for (at, pair) in text.as_bytes().chunks_exact(2).enumerate() {
        *bytes.get_mut(at)? = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    /// Property: a call of an execution goes on in the sender's trace, with its own span as the parent; without a sender
    /// the trace is the execution's own; what is no traceparent is none.
    #[test]
    fn calls_go_on_in_the_senders_trace() {
        let (one, other) = (ExecutionId(1), ExecutionId(2));
        let context = TraceContext::of(one, Some(SENT));
        assert_eq!(hex(&context.trace_id), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(context.parent.map(|span| hex(&span)), Some("00f067aa0ba902b7".to_owned()));
        let header = context.header(step_span(one, "fetch#1"));
        assert!(header.starts_with("00-4bf92f3577b34da6a3ce929d0e0e4736-") && header.ends_with("-01"), "{header}");
        assert!(!header.contains("00f067aa0ba902b7"), "{header}");
        assert_eq!(parse(&header).map(|context| context.trace_id), Some(context.trace_id));
        assert_ne!(TraceContext::of(one, None).trace_id, TraceContext::of(other, None).trace_id);
        for bad in [
            "",
            "00",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            &SENT.to_uppercase(),
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-é-b-c",
        ] {
            assert_eq!(TraceContext::of(one, Some(bad)), TraceContext::of(one, None), "{bad}");
        }
    }

    /// Property: the spans of an execution and its steps differ, and are the same whenever they are asked for.
    #[test]
    fn spans_are_told_apart() {
        let one = ExecutionId(1);
        let spans = [execution_span(one), step_span(one, "a"), step_span(one, "b"), step_span(ExecutionId(2), "a")];
        for (at, span) in spans.iter().enumerate() {
            assert!(!spans[..at].contains(span));
        }
        assert_eq!(step_span(one, "a"), step_span(one, "a"));
    }
}
