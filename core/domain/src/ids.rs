//! Identifiers: one newtype each, so that one cannot stand where another is meant.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Longest identifier that is accepted from outside.
pub const ID_BYTES_MAX: usize = 128;

/// Why a text is not an identifier.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} must be 1 to {ID_BYTES_MAX} characters of letters, digits and - _ . : @, got {got:?}")]
pub struct IdError {
    /// What the text was meant to be, e.g. `customer id`.
    pub what: &'static str,
    /// The text, cut to 40 characters.
    pub got: String,
}

/// Whether `text` is safe as part of a log key, a path and a label: no slash, no space, no control character.
fn is_plain(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= ID_BYTES_MAX
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.:@".contains(&b))
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Arc<str>);

        impl $name {
            /// Checks and wraps `text`.
            pub fn new(text: &str) -> Result<Self, IdError> {
                if is_plain(text) {
                    Ok(Self(Arc::from(text)))
                } else {
                    Err(IdError { what: $what, got: text.chars().take(40).collect() })
                }
            }

            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                Self::new(text)
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdError;
            fn try_from(text: String) -> Result<Self, IdError> {
                Self::new(&text)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0.to_string()
            }
        }
    };
}

text_id!(
    /// The SaaS company that runs workflows for its customers, e.g. `acc_demo`.
    AccountId, "account id"
);
text_id!(
    /// A customer (tenant) of an account, e.g. `cus_acme`. The SaaS's own stable id is welcome here.
    CustomerId, "customer id"
);
text_id!(
    /// A workflow, e.g. `wf_3f2a9c0d1b7e`, or the name that a project file gives it.
    WorkflowId, "workflow id"
);
text_id!(
    /// A trigger, e.g. `trg_github`. It is part of the public webhook URL.
    TriggerId, "trigger id"
);
text_id!(
    /// A connector app, e.g. `hubspot`.
    AppId, "app id"
);
text_id!(
    /// The part of an app's public URL that stands for it: random, so that it tells nothing.
    EndpointId, "endpoint"
);
text_id!(
    /// An environment that versions are deployed to: `test` and `live` are built in.
    EnvironmentId, "environment"
);

/// Longest event id: CloudEvents sets no limit, SQL indexes and headers do.
pub const EVENT_ID_BYTES_MAX: usize = 256;

/// The id of an event. Senders choose it (CloudEvents `id`, a provider's delivery id), so any printable text goes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct EventId(Arc<str>);

impl EventId {
    /// Checks and wraps `text`: 1 to [`EVENT_ID_BYTES_MAX`] bytes, no control character.
    pub fn new(text: &str) -> Result<Self, EventIdError> {
        if text.is_empty() || text.len() > EVENT_ID_BYTES_MAX || text.chars().any(char::is_control) {
            return Err(EventIdError);
        }
        Ok(Self(Arc::from(text)))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Why a text is not an event id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an event id must be 1 to {EVENT_ID_BYTES_MAX} bytes without control characters")]
pub struct EventIdError;

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for EventId {
    type Error = EventIdError;
    fn try_from(text: String) -> Result<Self, EventIdError> {
        Self::new(&text)
    }
}

impl From<EventId> for String {
    fn from(id: EventId) -> String {
        id.0.to_string()
    }
}

/// An execution: 128 bits of a hash, so that the same event and route always name the same execution.
///
/// Written `exec_` and 26 characters of lower-case Crockford base 32.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ExecutionId(pub u128);

const BASE32: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

impl ExecutionId {
    /// The execution that `event` causes through `route` (trigger and route, or workflow, of the same customer).
    /// A replay adds its own id, so that it is a new execution however often its request is delivered.
    pub fn derive(scope_key: &str, event: &str, route: &str, replay: Option<&str>) -> Self {
        let mut hash = blake3::Hasher::new_derive_key("fastn 2026 execution id");
        for part in [scope_key, event, route, replay.unwrap_or("")] {
            hash.update(&(part.len() as u64).to_le_bytes());
            hash.update(part.as_bytes());
        }
        Self(first_128_bits(&hash.finalize()))
    }

    /// The 16 bytes, big-endian: the form in which SQL keeps it.
    pub fn to_bytes(self) -> [u8; 16] {
        self.0.to_be_bytes()
    }
}

/// The first 16 bytes of a hash as a number.
pub fn first_128_bits(hash: &blake3::Hash) -> u128 {
    let mut head = [0u8; 16];
    head.copy_from_slice(&hash.as_bytes()[..16]);
    u128::from_be_bytes(head)
}

impl fmt::Display for ExecutionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("exec_")?;
        for shift in (0..26).rev() {
            let digit = (self.0 >> (shift * 5)) & 31;
            fmt::Write::write_char(f, char::from(BASE32[digit as usize]))?;
        }
        Ok(())
    }
}

/// Why a text is not an execution id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an execution id is exec_ and 26 base-32 characters")]
pub struct ExecutionIdError;

impl FromStr for ExecutionId {
    type Err = ExecutionIdError;
    fn from_str(text: &str) -> Result<Self, ExecutionIdError> {
        let digits = text.strip_prefix("exec_").ok_or(ExecutionIdError)?;
        if digits.len() != 26 || digits.as_bytes()[0] > b'7' {
            return Err(ExecutionIdError);
        }
        digits
            .bytes()
            .try_fold(0u128, |id, byte| {
                let digit = BASE32.iter().position(|&b| b == byte).ok_or(ExecutionIdError)?;
                Ok((id << 5) | digit as u128)
            })
            .map(Self)
    }
}

impl Serialize for ExecutionId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ExecutionId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Property: an execution id survives its text form, and the same inputs give the same id for ever.
    #[test]
    fn execution_ids_are_stable_and_round_trip() {
        let id = ExecutionId::derive("acc/cus", "evt_1", "trg/0", None);
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!(ExecutionId(u128::MAX).to_string().parse(), Ok(ExecutionId(u128::MAX)));
        assert_ne!(id, ExecutionId::derive("acc/cus", "evt_1", "trg/0", Some("replay_1")));
        assert_ne!(id, ExecutionId::derive("acc/cu", "sevt_1", "trg/0", None));
        assert!("exec_zzzzzzzzzzzzzzzzzzzzzzzzzz".parse::<ExecutionId>().is_err());
    }

    /// Property: an id with a slash, a space or nothing in it is refused, since ids are joined into log keys.
    #[test]
    fn ids_that_could_break_a_key_are_refused() {
        for bad in ["", "a/b", "a b", "a\n", &"x".repeat(129)] {
            assert!(CustomerId::new(bad).is_err(), "{bad:?}");
        }
        assert!(CustomerId::new("org@example.com").is_ok());
    }
}
